//! A log of the Go project's size, replayed by the original's package maintner and by ours.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Args;
use super::beside::{Beside, Budget, median};
use crate::interop::around;
use crate::{corpus, metadata, process};

/// Making the log, or building a program.
const LIMIT: Duration = Duration::from_secs(40 * 60);
/// Megabytes.
pub(super) const MB: f64 = 1e6;

pub(super) fn section(args: &Args) -> Result<String> {
    let made = tempfile::tempdir().context("a folder for the log")?;
    let log = match &args.log {
        Some(log) => log.as_path(),
        None => {
            corpus::make(made.path(), args.scale)?;
            made.path()
        }
    };
    let original = around("maintner", "./maintner")?;
    let ours = example("maintner", "figures")?;
    let mut runs = Runs::default();
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}", args.rounds);
        runs.original.push(said(Command::new(&original).arg("time").arg(log))?);
        runs.one.push(said(Command::new(&ours).arg("one-thread").arg(log))?);
        runs.replay.push(said(Command::new(&ours).arg("replay").arg(log))?);
        runs.start.push(said(Command::new(&ours).arg("start").arg(log))?);
        runs.floor.push(said(Command::new(&ours).arg("floor").arg(log))?);
    }
    runs.section(args)
}

/// What each run said, in turns.
#[derive(Default)]
struct Runs {
    original: Vec<Value>,
    one: Vec<Value>,
    replay: Vec<Value>,
    start: Vec<Value>,
    floor: Vec<Value>,
}

impl Runs {
    fn section(&self, args: &Args) -> Result<String> {
        let of = |runs: &[Value], name: &str| -> Result<f64> {
            let values: Result<Vec<f64>> = runs
                .iter()
                .map(|run| run[name].as_f64().with_context(|| format!("no {name} in {run}")))
                .collect();
            Ok(median(&values?))
        };
        let (original, replay, start) = (&self.original, &self.replay, &self.start);
        for name in ["records", "issues", "comments"] {
            let (theirs, ours) = (of(original, name)?, of(replay, name)?);
            ensure!((theirs - ours).abs() < 0.5, "the original has {theirs} {name}, we have {ours}");
        }
        let mut table = Beside::default();
        let load = of(original, "load_seconds")?;
        table.row("replay of the whole log", "s", load, of(replay, "load")?, Budget::Less(20.0));
        table.row("… on one thread", "s", load, of(&self.one, "load")?, Budget::None);
        table.row("… its CPU time", "s", of(original, "load_cpu_seconds")?, of(replay, "cpu")?, Budget::None);
        let memory = of(original, "resident_bytes_after_gc")?;
        table.row("own memory after it", "MB", memory / MB, of(replay, "anonymous")? / MB, Budget::Less(6.0));
        table.row("start from a checkpoint", "s", load, of(start, "start")?, Budget::None);
        table.row("… own memory after it", "MB", memory / MB, of(start, "anonymous")? / MB, Budget::None);
        let walk = of(original, "walk_seconds")?;
        table.row("walk of all issues and comments", "s", walk, of(replay, "walk")?, Budget::Less(2.0));
        table.row(
            "… the first one after a start from a checkpoint",
            "s",
            walk,
            of(start, "walk")?,
            Budget::None,
        );
        let begins = of(start, "start")?;
        let touched = of(start, "touched")? * 100.0;
        let mark = |met: bool| if met { "met" } else { "**missed**" };
        Ok(format!(
            "`--only corpus --rounds {}`: a made-up log (`cargo xtask corpus`) of {} records, {:.0} MB, {} issues and {} comments, replayed by the \
             original's package maintner (`interop/maintner`) and by ours (the example `figures` of crate maintner), each in a process \
             of its own, in turns; medians. The original's memory is what is resident after a collection; ours is its own, without the mapped log.{}\n\n{}\n\
             A start from a checkpoint of {:.0} MB takes {:.1} ms (budget < 500 ms: {}), and has mapped {touched:.1} % of it after the first query \
             (an issue by number with its comments; budget < 5 %: {}). Writing it took {:.1} s.\n\n\
             What no replay can be below: reading the files, {:.2} s; decoding every message on one thread and keeping nothing, {:.2} s \
             ({:.1} million fields).\n",
            args.rounds,
            of(replay, "records")?,
            of(replay, "log_bytes")? / MB,
            of(replay, "issues")?,
            of(replay, "comments")?,
            load_of_machine(),
            table.finish(),
            of(replay, "checkpoint_bytes")? / MB,
            begins * 1e3,
            mark(begins < 0.5),
            mark(touched < 5.0),
            of(replay, "checkpoint_seconds")?,
            of(&self.floor, "read")?,
            of(&self.floor, "decode")?,
            of(&self.floor, "fields")? / MB,
        ))
    }
}

/// What else ran, for whoever compares the figures with others.
pub(super) fn load_of_machine() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().map_or(String::new(), |load| format!(" The machine's load at the end was {load}."))
}

pub(super) fn said(command: &mut Command) -> Result<Value> {
    let said = process::output(command, LIMIT)?;
    serde_json::from_str(&said).with_context(|| format!("`{}` said {said:?}", process::shown(command)))
}

/// An example, built for a release.
pub(super) fn example(package: &str, name: &str) -> Result<PathBuf> {
    let mut build = process::cargo();
    build.args(["build", "--release", "--package", package, "--example", name]);
    build.arg("--message-format=json-render-diagnostics").current_dir(metadata::root());
    let said = process::output(&mut build, LIMIT)?;
    let made = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let made = made.filter(|message| message["target"]["name"] == name);
    let program = made.filter_map(|message| message["executable"].as_str().map(PathBuf::from)).next_back();
    program.with_context(|| format!("cargo made no example `{name}`"))
}
