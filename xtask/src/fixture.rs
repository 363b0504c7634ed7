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
    #[arg(long)]
    long: bool,
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
    let dir = make(&args.dir, args.long)?;
    remember(&dir)?;
    println!("  cargo run --release -- up --once {} --json", dir.display());
    println!("  cargo xtask expect");
    Ok(ExitCode::SUCCESS)
}

/// Makes the fixture in an empty or absent folder; returns its whole path.
pub fn make(dir: &Path, long: bool) -> Result<PathBuf> {
    let began = Instant::now();
    if dir.exists() && std::fs::read_dir(dir)?.next().is_some() {
        bail!("{} is not empty", dir.display());
    }
    std::fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    setup::ensure("fixture")?;
    let repos = dir.join("repos");
    packages::make(&repos)?;
    go_tree::make(&repos.join("go"), long)?;
    itself::make(&repos.join("bellwether"))?;
    let fix = trouble::make(&repos)?;
    std::fs::create_dir_all(dir.join("cache"))?;
    std::fs::write(dir.join(SERVER_FILE), config::server_file(&dir, &fix, long)?)?;
    std::fs::copy(expected_file(), dir.join(EXPECTED)).context("the expectations")?;
    println!("{} is ready after {:.1} s", dir.display(), began.elapsed().as_secs_f64());
    Ok(dir)
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
