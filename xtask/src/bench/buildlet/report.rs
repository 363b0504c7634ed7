//! The section of docs/benchmarks.md.

use std::fmt::Write;

use super::super::Args;
use super::super::beside::{Beside, Budget, median, sorted};
use super::super::peer::percentile;
use super::tree::Tree;
use super::{Figures, Floor, OUTPUT};

/// The figures of the last round, for whoever waits.
pub(super) fn last(figures: &Figures) -> String {
    let of = |values: &[f64]| values.last().copied().unwrap_or_default();
    format!(
        "in {:.2} s, out {:.2} s, own in {:.2} s, listing {:.0} ms, removal {:.0} ms, output {:.0} MB/s",
        of(&figures.tar_in),
        of(&figures.tar_out),
        of(&figures.own_in),
        of(&figures.listing) * 1e3,
        of(&figures.removal) * 1e3,
        OUTPUT as f64 / 1e6 / of(&figures.output)
    )
}

pub(super) fn markdown(
    version: &str,
    original: &Figures,
    ours: &Figures,
    floor: &Floor,
    tree: &Tree,
    args: &Args,
) -> String {
    let mut out = format!(
        "`--only buildlet --rounds {} --execs {}{}`: the original buildlet {version}, as `go install` builds it, and ours as it is \
         shipped (static, all features) unless the run was given a program. Both listen on loopback with a password and are asked by one \
         client, in turns; medians. The tree is the installed Go's sources: {} files, {:.0} MB, {:.1} MB as `tar -cz` packs them. What \
         each unpacked, what each packed, and what each unpacked of its own was the same in names, modes, times and content in every \
         round.\n\n",
        args.rounds,
        args.execs,
        args.place.as_ref().map_or(String::new(), |place| format!(" --place {}", place.display())),
        tree.files(),
        tree.bytes() as f64 / 1e6,
        tree.archive.len() as f64 / 1e6
    );
    let mut table = Beside::default();
    let mut row = |what: &str, unit: &str, original: f64, ours: f64, budget: Budget| {
        table.row(what, unit, original, ours, budget);
    };
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    row("tar in", "s", median(&original.tar_in), median(&ours.tar_in), Budget::Less(1.5));
    row("… its CPU time", "s", median(&original.tar_in_cpu), median(&ours.tar_in_cpu), Budget::None);
    row("tar out", "s", median(&original.tar_out), median(&ours.tar_out), Budget::Less(1.5));
    row("… its CPU time", "s", median(&original.tar_out_cpu), median(&ours.tar_out_cpu), Budget::None);
    let size = Budget::Less(1.0 / 1.1);
    row("… size of the archive", "MB", megabytes(original.archive), megabytes(ours.archive), size);
    row(
        "in, of what it packed itself",
        "s",
        median(&original.own_in),
        median(&ours.own_in),
        Budget::Less(1.5),
    );
    row(
        "out and in again, as snapshots go",
        "s",
        median(&original.ends),
        median(&ours.ends),
        Budget::Less(3.0),
    );
    row("… size of that archive", "MB", megabytes(original.between), megabytes(ours.between), Budget::None);
    let (theirs, mine) = (sorted(&original.exec), sorted(&ours.exec));
    row("exec of `true`, p50", "ms", percentile(&theirs, 50), percentile(&mine, 50), Budget::Less(1.0));
    row("… p99", "ms", percentile(&theirs, 99), percentile(&mine, 99), Budget::Less(1.0));
    let rate = |figures: &Figures| OUTPUT as f64 / 1e6 / median(&figures.output);
    row("1 GB of output", "MB/s", rate(original), rate(ours), Budget::More(1.0));
    let (theirs, mine) = (median(&original.listing) * 1e3, median(&ours.listing) * 1e3);
    row("listing of all with digests", "ms", theirs, mine, Budget::Less(1.0));
    let (theirs, mine) = (median(&original.removal) * 1e3, median(&ours.removal) * 1e3);
    row("removal of the tree", "ms", theirs, mine, Budget::Less(1.0));
    let (theirs, mine) = (median(&original.removal_cpu) * 1e3, median(&ours.removal_cpu) * 1e3);
    row("… its CPU time", "ms", theirs, mine, Budget::None);
    row("memory, idle", "MB", megabytes(original.idle), megabytes(ours.idle), Budget::Less(2.0));
    row(
        "… at most, over the whole run",
        "MB",
        megabytes(original.peak),
        megabytes(ours.peak),
        Budget::Less(2.0),
    );
    row("program", "MB", megabytes(original.program), megabytes(ours.program), Budget::Less(5.0));
    out.push_str(&table.finish());
    let (unpack, pack) = (median(&floor.unpack), median(&floor.pack));
    let times = |ours: f64, floor: f64| {
        let ratio = ours / floor.max(1e-9);
        format!("{ratio:.2} × ({})", if ratio <= 1.5 { "met" } else { "**missed**" })
    };
    let _ = write!(
        out,
        "\nThe floor, on the same file system in the same run: `tar -xz` {unpack:.2} s, `tar` through `pigz` {pack:.2} s. Ours takes {} of the \
         first to unpack, and {} of the second to pack; the budget is 1.5 ×.\n",
        times(median(&ours.tar_in), unpack),
        times(median(&ours.tar_out), pack)
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_of_medians_and_marked() {
        let original = Figures {
            tar_in: vec![9.0, 1.5, 1.0],
            output: vec![2.0],
            archive: 100,
            program: 50,
            ..Figures::default()
        };
        let ours =
            Figures { tar_in: vec![1.0], output: vec![1.0], archive: 111, program: 11, ..Figures::default() };
        let tree = Tree { archive: Vec::new(), manifest: Default::default() };
        let args = Args { rounds: 3, execs: 1, ..Args::default() };
        let floor = Floor { unpack: vec![0.5], pack: vec![1.0] };
        let text = markdown("v0", &original, &ours, &floor, &tree, &args);
        let line = |what: &str| text.lines().find(|line| line.contains(what)).unwrap().to_owned();
        assert!(line("| tar in |").ends_with("| 1.50 × less | ≥ 1.5 × less | met |"), "{text}");
        assert!(line("size of the archive").ends_with("**missed** |"), "{text}");
        assert!(line("1 GB of output").ends_with("| 2.00 × | ≥ 1.0 × | met |"), "{text}");
        assert!(line("| program |").ends_with("**missed** |"), "{text}");
        assert!(text.contains("2.00 × (**missed**) of the"), "{text}");
    }
}
