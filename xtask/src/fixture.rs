//! `cargo xtask fixture DIR`: repositories with real history and commits with every kind of trouble, and one server file
//! that names them all.
//!
//! What each cell must become is in xtask/fixtures/expected.json, written before the first run; `cargo xtask expect`
//! compares. The same components give the same commit ids; only the Go tree is this machine's.

mod config;
mod go_tree;
mod itself;
mod packages;
mod trouble;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::{metadata, setup};

/// Arguments of `cargo xtask fixture`.
#[derive(clap::Args)]
pub struct Args {
    /// Where to make it; must be empty or absent
    dir: PathBuf,
    /// Take Go's whole source and build it by `make.bash` (about 8 minutes of CPU), in place of a ready tree
    #[arg(long, conflicts_with = "short")]
    long: bool,
    /// Leave out this repository, and all but the newest commits of Go's modules
    #[arg(long)]
    short: bool,
}

/// How much there is to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// What a change must pass: without this repository, whose own run builds it, and with the newest of Go's modules' commits.
    Short,
    /// Everything, with a ready Go tree.
    Whole,
    /// Everything, and Go's tree is built.
    Long,
}

impl Size {
    /// How many of the newest commits of a repository are built.
    pub(crate) fn horizon(self, repo: &str) -> usize {
        if self == Self::Short && packages::is_of_go(repo) { 3 } else { 20 }
    }

    /// Whether a repository is there.
    pub(crate) fn has(self, repo: &str) -> bool {
        self != Self::Short || repo != "bellwether"
    }
}

/// The name of the server file in the fixture.
pub const SERVER_FILE: &str = "bellwether-server.toml";
/// The name of the expectations in the fixture.
pub const EXPECTED: &str = "expected.json";

pub(crate) use packages::unpack;

/// One repository of the fixture, as far as the expectations are concerned.
#[cfg(test)]
pub struct Planned {
    /// Its name.
    pub repo: &'static str,
    /// The first line of each commit's message.
    pub subjects: Vec<String>,
}

/// Makes the fixture and says what to do with it.
pub fn run(args: &Args) -> Result<ExitCode> {
    let size = match (args.short, args.long) {
        (true, _) => Size::Short,
        (_, true) => Size::Long,
        _ => Size::Whole,
    };
    let dir = make(&args.dir, size)?;
    remember(&dir)?;
    println!("  cargo run --release -- up --once {} --json", dir.display());
    println!("  cargo xtask expect");
    Ok(ExitCode::SUCCESS)
}

/// Makes the fixture in an empty or absent folder; returns its whole path.
pub fn make(dir: &Path, size: Size) -> Result<PathBuf> {
    let began = Instant::now();
    if dir.exists() && std::fs::read_dir(dir)?.next().is_some() {
        bail!("{} is not empty", dir.display());
    }
    std::fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    setup::ensure("fixture")?;
    let repos = dir.join("repos");
    packages::make(&repos)?;
    go_tree::make(&repos.join("go"), size == Size::Long)?;
    if size.has("bellwether") {
        itself::make(&repos.join("bellwether"))?;
    }
    let fix = trouble::make(&repos)?;
    std::fs::create_dir_all(dir.join("cache"))?;
    std::fs::write(dir.join(SERVER_FILE), config::server_file(&dir, &fix, size)?)?;
    let expected = std::fs::read_to_string(expected_file()).context("the expectations")?;
    std::fs::write(dir.join(EXPECTED), expected_of(&expected, size)?)?;
    println!("{} is ready after {:.1} s", dir.display(), began.elapsed().as_secs_f64());
    Ok(dir)
}

/// What is expected of the cells that a fixture of this size has.
fn expected_of(text: &str, size: Size) -> Result<String> {
    let mut expected: serde_json::Value = serde_json::from_str(text).context("the expectations")?;
    let cells = expected["cells"].as_array_mut().context("the expectations have no cells")?;
    cells.retain(|cell| {
        let (repo, subject) = (cell["repo"].as_str(), cell["subject"].as_str());
        repo.is_none_or(|repo| {
            size.has(repo) && subject.is_none_or(|subject| packages::is_built(repo, subject, size))
        })
    });
    Ok(serde_json::to_string_pretty(&expected)?)
}

/// What is expected, as committed.
pub fn expected_file() -> PathBuf {
    metadata::root().join("xtask/fixtures").join(EXPECTED)
}

/// The fixture that was made last on this machine.
pub fn last() -> Result<PathBuf> {
    let file = setup::cache()?.join("last-fixture");
    let text =
        std::fs::read_to_string(file).context("no fixture was made here: `cargo xtask fixture DIR`")?;
    Ok(PathBuf::from(text.trim_end()))
}

fn remember(dir: &Path) -> Result<()> {
    let cache = setup::cache()?;
    std::fs::create_dir_all(&cache)?;
    std::fs::write(cache.join("last-fixture"), format!("{}\n", dir.display()))?;
    Ok(())
}

/// Every repository that has commits, with them; for the check of the expectations.
#[cfg(test)]
pub fn planned() -> Vec<Planned> {
    let mut all = packages::planned();
    all.push(Planned { repo: "go", subjects: vec![go_tree::SUBJECT.into()] });
    all.push(Planned { repo: "bellwether", subjects: vec![itself::SUBJECT.into()] });
    all.extend(trouble::planned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_one_has_the_newest_commits_and_one_repository_less() {
        let text = std::fs::read_to_string(expected_file()).unwrap();
        let repos = |size| {
            let cells: serde_json::Value = serde_json::from_str(&expected_of(&text, size).unwrap()).unwrap();
            let cells = cells["cells"].as_array().unwrap().clone();
            let of = |cell: &serde_json::Value, key: &str| cell[key].as_str().unwrap_or_default().to_owned();
            cells.iter().map(|cell| (of(cell, "repo"), of(cell, "subject"))).collect::<Vec<_>>()
        };
        let (whole, short) = (repos(Size::Whole), repos(Size::Short));
        assert_eq!(whole, repos(Size::Long));
        let gone: Vec<_> = whole.iter().filter(|cell| !short.contains(cell)).collect();
        let count = |repo: &str| gone.iter().filter(|(of, _)| of == repo).count();
        assert_eq!((count("sync"), count("mod"), count("bellwether"), gone.len()), (5, 5, 1, 11));
        assert!(short.contains(&("mod".into(), "golang.org/x/mod v0.42.0".into())));
    }
}
