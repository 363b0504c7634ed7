//! The section of docs/benchmarks.md.

use std::fmt::Write;

use super::super::Args;
use super::{Figures, LOG_BYTES, LONG_SECONDS, percentile};

/// What a row compares, and by which ratio its budget (design §8) is met.
enum Better {
    Less(f64),
    More(f64),
    None,
}

pub(super) fn markdown(peer: &Figures, ours: &Figures, args: &Args) -> String {
    let mut out = format!(
        "`--only buildbot --builds {} --single {}`: Buildbot {} and Bellwether {}, one server and one worker each, SQLite on both. Trivial builds run `true`; the server's CPU is that of its \
         own process, waiting for the builds included. Buildbot's builds have no source. Of \
         Bellwether's, the first kind is of a commit of its own each, whose tree is taken out of git; the second kind \
         (“of one commit”) is of one commit on a builder of its own each. Both unpack the tree and wipe the worker.\n\n\
         | what | Buildbot | Bellwether | ratio | budget | |\n|---|---|---|---|---|---|\n",
        args.builds, args.single, peer.version, ours.version
    );
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    let mut row = |what: &str, unit: &str, peer: f64, ours: f64, better: Better| {
        let (ratio, budget, met) = match better {
            Better::Less(limit) => {
                let ratio = peer / ours.max(1e-9);
                (format!("{ratio:.1} × less"), format!("≥ {limit:.0} × less"), ratio >= limit)
            }
            Better::More(limit) => {
                let ratio = ours / peer.max(1e-9);
                (format!("{ratio:.1} ×"), format!("≥ {limit:.0} ×"), ratio >= limit)
            }
            Better::None => {
                let ratio = peer / ours.max(1e-9);
                (format!("{ratio:.1} × less"), "–".into(), true)
            }
        };
        let mark = if met { "met" } else { "**missed**" };
        let _ =
            writeln!(out, "| {what} | {peer:.2} {unit} | {ours:.2} {unit} | {ratio} | {budget} | {mark} |");
    };
    let builds = format!("{} trivial builds at once", args.builds);
    row(&builds, "builds/s", peer.builds_per_second, ours.builds_per_second, Better::More(1.0));
    row("… server CPU each", "ms", peer.cpu_ms_per_build, ours.cpu_ms_per_build, Better::Less(50.0));
    row(
        "submit → done, p50",
        "ms",
        percentile(&peer.single_ms, 50),
        percentile(&ours.single_ms, 50),
        Better::Less(15.0),
    );
    row(
        "submit → done, p95",
        "ms",
        percentile(&peer.single_ms, 95),
        percentile(&ours.single_ms, 95),
        Better::None,
    );
    let again = format!("{} trivial builds of one commit", args.builds);
    row(&again, "builds/s", peer.again_per_second, ours.again_per_second, Better::More(1.0));
    row("… server CPU each", "ms", peer.cpu_ms_again, ours.cpu_ms_again, Better::Less(50.0));
    let (theirs, mine) = (percentile(&peer.again_ms, 50), percentile(&ours.again_ms, 50));
    row("… submit → done, p50", "ms", theirs, mine, Better::Less(15.0));
    row("server, idle", "MiB", mib(peer.server_idle_bytes), mib(ours.server_idle_bytes), Better::None);
    if let (Some(peer), Some(ours)) = (peer.worker_idle_bytes, ours.worker_idle_bytes) {
        row("worker, idle", "MiB", mib(peer), mib(ours), Better::None);
    }
    let megabytes = LOG_BYTES as f64 / 1e6;
    let into = format!("log of {megabytes:.1} MB in");
    row(&into, "MB/s", peer.log_in_mb_per_second, ours.log_in_mb_per_second, Better::More(40.0));
    row("… out", "MB/s", peer.log_out_mb_per_second, ours.log_out_mb_per_second, Better::More(40.0));
    let lost = if ours.lost_seconds == 0 { "met" } else { "**missed**" };
    let _ = writeln!(
        out,
        "| kill -9 of the server in the middle of {LONG_SECONDS} s: work done twice | {} s | {} s | – | none | {lost} |",
        peer.lost_seconds, ours.lost_seconds
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_marked() {
        let peer = Figures {
            cpu_ms_per_build: 200.0,
            builds_per_second: 2.0,
            lost_seconds: 5,
            ..Figures::default()
        };
        let ours = Figures { cpu_ms_per_build: 5.0, builds_per_second: 90.0, ..Figures::default() };
        let args = Args { builds: 200, single: 60, ..Args::default() };
        let text = markdown(&peer, &ours, &args);
        let line = |what: &str| text.lines().find(|line| line.contains(what)).unwrap().to_owned();
        assert!(line("CPU each").ends_with("| 40.0 × less | ≥ 50 × less | **missed** |"), "{text}");
        assert!(line("at once").ends_with("| 45.0 × | ≥ 1 × | met |"), "{text}");
        assert!(line("kill -9").ends_with("| 5 s | 0 s | – | none | met |"), "{text}");
    }
}
