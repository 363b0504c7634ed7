//! `cargo xtask expect`: what `up --once FIXTURE --json` said, against what was written before the first run.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{self, End, Line};
use crate::{fixture, metadata, server_binary};

/// A first run may take this long.
const LIMIT: Duration = Duration::from_secs(60 * 60);

/// Arguments of `cargo xtask expect`.
#[derive(clap::Args)]
pub struct Args {
    /// What `up --once FIXTURE --json` printed; without it that command is run (again), and builds only what is due
    #[arg(long)]
    json: Option<PathBuf>,
    /// The server's data directory, if not the usual one
    #[arg(long)]
    data: Option<PathBuf>,
    /// Run the program that the tests run, which is built already where they ran, in place of the release
    #[arg(long)]
    tested: bool,
    /// The fixture; without it the one made last
    dir: Option<PathBuf>,
}

impl Args {
    /// For a fixture and a data directory that a caller made.
    pub fn of(dir: PathBuf, data: PathBuf) -> Self {
        Self { json: None, data: Some(data), tested: false, dir: Some(dir) }
    }
}

#[derive(Deserialize)]
struct Expected {
    cells: Vec<Wanted>,
}

/// What one cell must become. What is not named is not compared.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Wanted {
    repo: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    builder: Option<String>,
    outcome: String,
    /// The cause's kind; an outcome without one must have none.
    #[serde(default)]
    cause: Option<String>,
    /// Part of the cause's detail.
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    attempts: Option<u64>,
}

#[derive(Deserialize)]
struct Actual {
    cells: Vec<Cell>,
}

#[derive(Deserialize, Debug, Clone)]
struct Cell {
    repo: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    builder: Option<String>,
    outcome: Option<String>,
    #[serde(default)]
    cause: Option<Cause>,
    #[serde(default)]
    attempts: Option<u64>,
}

#[derive(Deserialize, Debug, Clone)]
struct Cause {
    kind: String,
    #[serde(default)]
    detail: Option<String>,
}

/// Compares and prints `cells N, as written N, other N`.
pub fn run(args: &Args) -> Result<ExitCode> {
    let dir = match &args.dir {
        Some(dir) => dir.clone(),
        None if args.json.is_some() => PathBuf::new(),
        None => fixture::last()?,
    };
    let wanted = if dir.join(fixture::EXPECTED).is_file() {
        dir.join(fixture::EXPECTED)
    } else {
        fixture::expected_file()
    };
    let expected: Expected = read(&wanted)?;
    let actual: Actual = match &args.json {
        Some(file) => read(file)?,
        None => serde_json::from_str(&up(&dir, args)?).context("what `up --once --json` printed")?,
    };
    let verdict = compare(&expected.cells, &actual.cells);
    for line in &verdict.other {
        println!("{line}");
    }
    let other = verdict.other.len();
    println!("cells {}, as written {}, other {other}", verdict.as_written + other, verdict.as_written);
    Ok(if other == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{}", file.display()))
}

/// Runs `bellwether up --once DIR --json`; it exits otherwise than 0, because not all cells are meant to be ok.
fn up(dir: &Path, args: &Args) -> Result<String> {
    let mut command = if args.tested {
        Command::new(server_binary::tested()?)
    } else {
        let mut command = process::cargo();
        command.args(["run", "--quiet", "--release", "--"]);
        command
    };
    command.args(["up", "--once", "--json"]).arg(dir);
    if let Some(data) = &args.data {
        command.arg("--data").arg(data);
    }
    command.current_dir(metadata::root());
    let mut out = String::new();
    let end = process::stream(&mut command, LIMIT, |line| match line {
        Line::Out(text) => {
            out.push_str(&text);
            out.push('\n');
        }
        Line::Err(text) => eprintln!("{text}"),
    })?;
    match end {
        End::Exited(_) if !out.trim().is_empty() => Ok(out),
        End::Exited(status) => bail!("`{}` printed nothing: {status}", process::shown(&command)),
        End::TimedOut => bail!("`{}` took more than {} min", process::shown(&command), LIMIT.as_secs() / 60),
    }
}

struct Verdict {
    as_written: usize,
    other: Vec<String>,
}

fn compare(wanted: &[Wanted], cells: &[Cell]) -> Verdict {
    let mut left: Vec<Option<&Cell>> = cells.iter().map(Some).collect();
    let mut verdict = Verdict { as_written: 0, other: Vec::new() };
    for want in wanted {
        let found = left.iter_mut().find(|cell| cell.is_some_and(|cell| want.names(cell)));
        let Some(cell) = found.and_then(Option::take) else {
            verdict.other.push(format!("missing: {}", want.shown()));
            continue;
        };
        match want.difference(cell) {
            None => verdict.as_written += 1,
            Some(difference) => verdict.other.push(format!("{}: {difference}", want.shown())),
        }
    }
    for cell in left.into_iter().flatten() {
        verdict.other.push(format!("not written: {} is {}", shown(cell), outcome(cell)));
    }
    verdict
}

impl Wanted {
    fn names(&self, cell: &Cell) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        self.repo == cell.repo && same(&self.subject, &cell.subject) && same(&self.builder, &cell.builder)
    }

    fn difference(&self, cell: &Cell) -> Option<String> {
        let kind = cell.cause.as_ref().map(|cause| cause.kind.as_str());
        let detail = cell.cause.as_ref().and_then(|cause| cause.detail.as_deref()).unwrap_or_default();
        let good = cell.outcome.as_deref() == Some(self.outcome.as_str())
            && (self.cause.as_deref() == kind || self.cause.is_none() && self.outcome != "ok")
            && self.detail.as_deref().is_none_or(|part| detail.contains(part))
            && (self.attempts.is_none() || self.attempts == cell.attempts);
        let wanted = match (&self.cause, &self.detail) {
            (Some(cause), Some(detail)) => format!("{} {cause}({detail})", self.outcome),
            (Some(cause), None) => format!("{} {cause}", self.outcome),
            _ => self.outcome.clone(),
        };
        let wanted = self.attempts.map_or(wanted.clone(), |n| format!("{wanted} after {n} attempts"));
        (!good).then(|| format!("written {wanted}, is {}", outcome(cell)))
    }

    fn shown(&self) -> String {
        let parts = [Some(self.repo.as_str()), self.subject.as_deref(), self.builder.as_deref()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
    }
}

fn shown(cell: &Cell) -> String {
    let parts = [Some(cell.repo.as_str()), cell.subject.as_deref(), cell.builder.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn outcome(cell: &Cell) -> String {
    let cause = cell.cause.as_ref().map(|cause| match &cause.detail {
        Some(detail) => format!(" {}({detail})", cause.kind),
        None => format!(" {}", cause.kind),
    });
    let attempts = cell.attempts.map(|n| format!(" after {n} attempts"));
    format!(
        "{}{}{}",
        cell.outcome.as_deref().unwrap_or("open"),
        cause.unwrap_or_default(),
        attempts.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn committed() -> Vec<Wanted> {
        read::<Expected>(&fixture::expected_file()).unwrap().cells
    }

    /// Every commit that the generator makes has a cell that is written down, and no other has.
    #[test]
    fn the_expectations_name_exactly_the_commits_of_the_fixture() {
        let made: BTreeSet<(String, String)> = fixture::planned()
            .into_iter()
            .flat_map(|repo| repo.subjects.into_iter().map(move |subject| (repo.repo.to_owned(), subject)))
            .collect();
        let written: BTreeSet<(String, String)> =
            committed().into_iter().filter_map(|want| Some((want.repo, want.subject?))).collect();
        // The broken configuration and the missing repository have no cell of a commit.
        let missing: Vec<_> = made.difference(&written).filter(|(repo, _)| repo != "broken").collect();
        assert!(missing.is_empty(), "{missing:?}");
        let invented: Vec<_> = written.difference(&made).collect();
        assert!(invented.is_empty(), "{invented:?}");
    }

    #[test]
    fn the_expectations_have_thirty_cells_and_every_outcome_and_limit() {
        let all = committed();
        assert!(all.len() >= 30, "{}", all.len());
        let outcomes: BTreeSet<&str> = all.iter().map(|want| want.outcome.as_str()).collect();
        for outcome in ["ok", "failed", "infra_failed", "cancelled", "skipped", "blocked"] {
            assert!(outcomes.contains(outcome), "{outcome}");
        }
        let causes: BTreeSet<String> = all
            .iter()
            .filter_map(|want| {
                Some(format!("{} {}", want.cause.as_deref()?, want.detail.as_deref().unwrap_or("")))
            })
            .collect();
        for cause in ["exit ", "timeout ", "limit memory", "limit process", "limit disk", "limit log"] {
            assert!(causes.contains(cause), "{cause}: {causes:?}");
        }
    }

    fn cell(json: &str) -> Cell {
        serde_json::from_str(json).unwrap()
    }

    fn want(json: &str) -> Wanted {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn as_written_missing_different_and_not_written_are_told_apart() {
        let wanted = [
            want(r#"{"repo":"a","subject":"s","builder":"b","outcome":"ok"}"#),
            want(r#"{"repo":"a","subject":"t","outcome":"failed","cause":"limit","detail":"memory"}"#),
            want(r#"{"repo":"a","subject":"u","outcome":"infra_failed","attempts":3}"#),
            want(r#"{"repo":"gone","outcome":"blocked"}"#),
        ];
        let cells = [
            cell(r#"{"repo":"a","subject":"s","builder":"b","outcome":"ok","cause":null,"attempts":1}"#),
            cell(
                r#"{"repo":"a","subject":"t","builder":"b","outcome":"failed","cause":{"kind":"exit","detail":"1"}}"#,
            ),
            cell(
                r#"{"repo":"a","subject":"u","outcome":"infra_failed","attempts":3,"cause":{"kind":"worker"}}"#,
            ),
            cell(r#"{"repo":"b","subject":"x","builder":"b","outcome":"ok"}"#),
        ];
        let verdict = compare(&wanted, &cells);
        assert_eq!(verdict.as_written, 2);
        assert_eq!(
            verdict.other,
            [
                "a · t: written failed limit(memory), is failed exit(1)",
                "missing: gone",
                "not written: b · x · b is ok",
            ]
        );
    }

    #[test]
    fn an_ok_with_a_cause_is_not_as_written() {
        let verdict = compare(
            &[want(r#"{"repo":"a","outcome":"ok"}"#)],
            &[cell(r#"{"repo":"a","outcome":"ok","cause":{"kind":"exit"}}"#)],
        );
        assert_eq!(verdict.as_written, 0);
    }
}
