//! `cargo xtask bench`: figures for docs/benchmarks.md, each as a ratio measured in one run.
//!
//! The document has a section for each part; a run of one part writes that section anew and leaves the others.

mod beside;
mod buildlet;
mod corpus;
mod ended;
mod examples;
mod history;
mod month;
mod peer;
mod scrape;
mod served;
mod site;
mod spread;
mod start;
mod table;
mod tries;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::server_binary;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args, Default)]
pub struct Args {
    /// Trivial builds submitted at once for builds/s and CPU
    #[arg(long, default_value_t = 200)]
    builds: usize,
    /// Trivial builds one after another for the times from submit to done
    #[arg(long, default_value_t = 60)]
    single: usize,
    /// Only this part, and only its section of the document is written anew
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Of part buildbot only this side: buildbot or bellwether; nothing is written then
    #[arg(long)]
    side: Option<String>,
    /// Finished builds in the large world of part start; the small one has a hundredth
    #[arg(long, default_value_t = 100_000)]
    finished: usize,
    /// Part start on SQLite only
    #[arg(long)]
    sqlite_only: bool,
    /// Starts of part start of which the best counts
    #[arg(long, default_value_t = 5)]
    starts: usize,
    /// Watchers of part watch
    #[arg(long, default_value_t = 10_000)]
    watchers: usize,
    /// Builds of part month
    #[arg(long, default_value_t = 100_000)]
    month: usize,
    /// Rounds of the parts buildlet, revdial, spread, corpus and served, each with both sides
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Commands in each round of part buildlet
    #[arg(long, default_value_t = 200)]
    execs: usize,
    /// Part corpus: the scale of the log that is made up; 1 is the Go project's size
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Parts corpus and served: a folder with a log, instead of one that is made up
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// The folder in which the work directories of buildlets are made, if not the usual one for temporary files: one in
    /// memory, where others use the disk
    #[arg(long, value_name = "DIR")]
    place: Option<PathBuf>,
    /// What is built already: the server for the parts start, scrape, watch and month, the buildlet for its parts
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where the figures are written
    #[arg(long, default_value = "docs/benchmarks.md")]
    out: PathBuf,
}

/// What is measured, in the order of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The same builds on Buildbot
    Buildbot,
    /// The same requests to the original buildlet
    Buildlet,
    /// The original's package revdial/v2, and both buildlets over it
    Revdial,
    /// The server's start with many finished builds
    Start,
    /// The scheduler with many queued builds
    Dispatch,
    /// A window of a large grid
    Grid,
    /// Pages of millions of test results
    Results,
    /// From a vote for a change to its first machine
    Tries,
    /// The tests of real projects on two machines, and what a chunk costs
    Spread,
    /// Builds while a stranger asks for pages all the time
    Scrape,
    /// Builds while many have the grid open
    Watch,
    /// A log of the Go project's size in the original's package maintner
    Corpus,
    /// A log that is served to many, and to the original's client
    Served,
    /// What the server holds over many builds; takes long, and runs only by its name
    Month,
}

const PARTS: [Part; 14] = [
    Part::Buildbot,
    Part::Buildlet,
    Part::Revdial,
    Part::Start,
    Part::Dispatch,
    Part::Grid,
    Part::Results,
    Part::Tries,
    Part::Spread,
    Part::Scrape,
    Part::Watch,
    Part::Corpus,
    Part::Served,
    Part::Month,
];

impl Part {
    fn heading(self) -> &'static str {
        match self {
            Self::Buildbot => "Beside Buildbot",
            Self::Buildlet => "Beside the original buildlet",
            Self::Revdial => "Beside the original's revdial",
            Self::Start => "Start-up with finished builds",
            Self::Dispatch => "Dispatch with queued builds",
            Self::Grid => "A window of the grid",
            Self::Results => "Test results",
            Self::Tries => "Try runs",
            Self::Spread => "Tests on two machines",
            Self::Scrape => "A scraper",
            Self::Watch => "Watchers",
            Self::Corpus => "Beside the original's maintner",
            Self::Served => "A log that is served",
            Self::Month => "A month of builds",
        }
    }

    fn section(self, args: &Args) -> Result<Option<String>> {
        match self {
            Self::Buildbot => peer::section(args),
            Self::Buildlet => buildlet::section(args).map(Some),
            Self::Revdial => buildlet::over_revdial(args).map(Some),
            Self::Start => start::section(args).map(Some),
            Self::Dispatch => examples::dispatch().map(Some),
            Self::Grid => examples::grid().map(Some),
            Self::Results => examples::results().map(Some),
            Self::Tries => tries::section(args).map(Some),
            Self::Spread => spread::section(args).map(Some),
            Self::Scrape => scrape::section(args).map(Some),
            Self::Watch => watch::section(args).map(Some),
            Self::Corpus => corpus::section(args).map(Some),
            Self::Served => served::section(args).map(Some),
            Self::Month => month::section(args).map(Some),
        }
    }
}

const INTRO: &str = "# Benchmarks

Written by `cargo xtask bench`; each section by `--only` with its name (buildbot, buildlet, revdial, start, dispatch, grid, results, tries, spread, scrape, watch, corpus, served, month). The figures of a section
are from one run on one machine. Look at the ratios; the absolute figures are that machine's. Budgets are those of the design. What a
profile shows, and what was tried where a budget is missed, is in [performance.md](performance.md), with the figures under load.
";

impl Args {
    /// The release server of these features, or what was told.
    fn server(&self, features: &[&str]) -> Result<PathBuf> {
        match &self.program {
            Some(program) => program.canonicalize().with_context(|| program.display().to_string()),
            None => server_binary::build(&[&["--release"], features].concat()),
        }
    }
}

/// Runs the parts and writes their sections.
pub fn run(args: &Args) -> Result<ExitCode> {
    let wanted = |part: &Part| args.only.map_or(*part != Part::Month, |only| only == *part);
    for part in PARTS.into_iter().filter(wanted) {
        let Some(section) = part.section(args).with_context(|| format!("part {part:?}"))? else { continue };
        print!("{section}");
        // One after another, so that a part that fails takes nothing from those before it.
        let old = std::fs::read_to_string(&args.out).unwrap_or_default();
        let text = document(&old, part, &section);
        std::fs::write(&args.out, text).with_context(|| format!("writing {}", args.out.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The document with one section written anew.
fn document(old: &str, part: Part, section: &str) -> String {
    let mut text = INTRO.to_owned();
    for known in PARTS {
        let heading = format!("## {}", known.heading());
        let body = if known == part {
            section
        } else {
            let Some((_, rest)) = old.split_once(&format!("{heading}\n")) else { continue };
            rest.split_once("\n## ").map_or(rest, |(body, _)| body)
        };
        text.push_str(&format!("\n{heading}\n\n{}\n", body.trim()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let one = document("", Part::Dispatch, "of dispatch\n\n| a |\n");
        let two = document(&one, Part::Buildbot, "of buildbot\n");
        assert!(two.starts_with(INTRO));
        let three = document(&two, Part::Dispatch, "anew");
        let at = |text: &str, word: &str| text.find(word).unwrap_or_else(|| panic!("{word}: {text}"));
        assert!(at(&two, "of buildbot") < at(&two, "of dispatch\n\n| a |\n"), "{two}");
        assert!(at(&three, "of buildbot") < at(&three, "anew"), "{three}");
        assert!(!three.contains("of dispatch"), "{three}");
        assert_eq!(document(&three, Part::Dispatch, "anew"), three);
    }
}
