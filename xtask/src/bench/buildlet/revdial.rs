//! Revdial v2: the original's package and our crate doing the same, and both buildlets asked over it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::Args;
use super::super::beside::{Beside, Budget, median};
use super::side::{Kind, Side};
use super::tree::{self, Tree};
use super::{program, settle, timed};
use crate::{interop, metadata, process, setup};

/// Connections that are dialled in a round, one after another and so many at once.
const DIALS: &str = "1600";
const AT_ONCE: &str = "16";
/// Bytes that are sent and come back in a round.
const ECHO: &str = "500000000";
/// Building ours, or one run.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// What one side did: a value a round.
#[derive(Debug, Default)]
struct Figures {
    /// A second.
    dials: Vec<f64>,
    dials_at_once: Vec<f64>,
    /// Megabytes a second.
    echo: Vec<f64>,
    /// Seconds.
    tar_in: Vec<f64>,
    tar_out: Vec<f64>,
}

/// Runs both sides in turns.
pub(in super::super) fn section(args: &Args) -> Result<String> {
    let version = setup::version("xbuild-newest")?;
    let theirs = interop::around("rates", "./rates")?;
    let programs = [theirs.clone(), example()?];
    let buildlets = [(Kind::Original, interop::original("xbuild-newest")?), (Kind::Ours, program(args)?)];
    // Why the buildlets were not asked: the original's needs a port that is not everybody's.
    let mut missing = None;
    let place = args.place.clone().unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::Builder::new().prefix("bw-revdial-").tempdir_in(&place)?;
    let tree = Tree::of_go(dir.path())?;
    let mut figures = [Figures::default(), Figures::default()];
    let before = load()?;
    for round in 0..args.rounds.max(1) {
        for (program, figures) in programs.iter().zip(&mut figures) {
            figures.dials.push(rate(program, &["dials", DIALS, "1"])?);
            figures.dials_at_once.push(rate(program, &["dials", DIALS, AT_ONCE])?);
            figures.echo.push(rate(program, &["echo", ECHO])?);
        }
        for ((kind, buildlet), figures) in buildlets.iter().zip(&mut figures) {
            if missing.is_none() {
                let place = dir.path().join(format!("{kind:?}{round}"));
                let asked = reverse(*kind, buildlet, &theirs, &place, &tree, figures);
                missing = asked.err().map(|error| format!("{kind:?}, round {round}: {error:#}"));
            }
        }
        eprintln!("round {round}: {figures:?}");
    }
    let [original, ours] = figures;
    let loads = format!("{before} before it and {} after it", load()?);
    let mut text = markdown(&version, &original, &ours, &loads, args.rounds.max(1));
    if let Some(why) = missing {
        text.push_str(&format!("\nOver reverse: not run to the end. {why}\n"));
    }
    Ok(text)
}

/// The machine's load of the last minute.
fn load() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}

/// Our crate's example that does what `interop/rates` does.
fn example() -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(["build", "--quiet", "--release", "--package", "revdial", "--example", "rates"]);
    process::output(command.current_dir(metadata::root()), LIMIT)?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(metadata::root().join("target"), PathBuf::from);
    Ok(target.join("release/examples/rates"))
}

fn rate(program: &Path, args: &[&str]) -> Result<f64> {
    let said = process::output(Command::new(program).args(args), LIMIT)?;
    said.trim().parse().with_context(|| format!("{} said {said:?}", program.display()))
}

fn reverse(
    kind: Kind,
    program: &Path,
    relay: &Path,
    place: &Path,
    tree: &Tree,
    figures: &mut Figures,
) -> Result<()> {
    let mut side = Side::start_reverse(kind, program, relay, place)?;
    settle(place)?;
    figures.tar_in.push(timed(|| side.unpack("in", &tree.archive))?);
    tree::equal("unpacked", &tree.manifest, &tree::manifest(&side.workdir().join("in"))?)?;
    settle(place)?;
    let mut archive = Vec::with_capacity(tree.archive.len() * 2);
    figures.tar_out.push(timed(|| side.pack("in", &mut archive))?);
    drop(side);
    Ok(std::fs::remove_dir_all(place)?)
}

fn markdown(version: &str, original: &Figures, ours: &Figures, loads: &str, rounds: usize) -> String {
    let mut table = Beside::default();
    let mut row = |what: &str, unit: &str, of: fn(&Figures) -> &[f64], budget: Budget| {
        table.row(what, unit, median(of(original)), median(of(ours)), budget);
    };
    let at_once = format!("… {AT_ONCE} at once");
    row("dials, one after another", "/s", |figures| &figures.dials, Budget::More(1.0));
    row(&at_once, "/s", |figures| &figures.dials_at_once, Budget::More(1.0));
    row("echo over one connection", "MB/s", |figures| &figures.echo, Budget::More(1.0));
    if !ours.tar_out.is_empty() {
        row("tar in, over reverse", "s", |figures| &figures.tar_in, Budget::Less(1.0));
        row("tar out, over reverse", "s", |figures| &figures.tar_out, Budget::Less(1.0));
    }
    format!(
        "`--only revdial --rounds {rounds}`: revdial v2 over TLS on loopback, both ends in one program: the original's package of {version} \
         (`interop/rates`) and our crate (its example `rates`, with TLS as our programs have it), in turns; medians. A dial is a connection that the \
         other end makes, TLS and its request included, and one byte there and back. The echo is counted once. Over reverse, both buildlets \
         dial in to one coordinator, of the original's package, and are asked through it; the tree is that of the section before. The machine's \
         load was {loads}, on {} processors.\n\n{}",
        std::thread::available_parallelism().map_or(0, usize::from),
        table.finish()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_dials_and_less_time_meet_the_budget() {
        let figures = |rate: f64, time: f64| Figures {
            dials: vec![rate],
            dials_at_once: vec![rate],
            echo: vec![rate],
            tar_in: vec![time],
            tar_out: vec![time],
        };
        let text = markdown("v0", &figures(2.0, 2.0), &figures(3.0, 4.0), "1 before it and 2 after it", 3);
        let line = |what: &str| text.lines().find(|line| line.contains(what)).unwrap().to_owned();
        assert!(line("| echo").ends_with("| 1.50 × | ≥ 1.0 × | met |"), "{text}");
        assert!(line("| tar in").ends_with("| 0.50 × less | ≥ 1.0 × less | **missed** |"), "{text}");
    }
}
