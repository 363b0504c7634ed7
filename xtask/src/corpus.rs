//! `cargo xtask corpus DIR`: a mutation log the size of the Go project's, made up, the same bytes for the same scale and seed.
//!
//! Nothing of it is anybody's: words are made of syllables, and hashes are those of the commits that are made up. What is
//! like the Go project's is how much there is of what, how long texts are, and in which order a leader writes: time goes
//! forward, commits come before refs that name them, and a commit may come before its parents.

mod change;
mod commit;
mod day;
mod event;
mod issue;
mod label;
mod log;
mod note;
mod past;
mod people;
mod project;
pub(crate) mod random;
#[cfg(test)]
mod tests;
mod words;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, ensure};

use log::Counts;
use world::World;

/// What a log of scale 1 has of each.
const ISSUES: f64 = 70_000.0;
const CHANGES: f64 = 100_000.0;
/// The usual seed.
const SEED: u64 = 2014;

#[derive(clap::Args)]
pub struct Args {
    /// The folder for the day files; made where it is missing, and there must be none of them in it
    dir: PathBuf,
    /// 1 is the Go project's size: 1.7 million records, 1.28 GB
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Another number is another log of the same kind
    #[arg(long, default_value_t = SEED)]
    seed: u64,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    ensure!(args.scale.is_finite() && (0.0001..=10.0).contains(&args.scale), "a scale is from 0.0001 to 10");
    let begun = Instant::now();
    let counts = write(args)?;
    counts.print();
    eprintln!("made in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(ExitCode::SUCCESS)
}

/// A log of that scale in a folder that exists, with the usual seed; and how many comments on lines it has.
pub(crate) fn make(dir: &std::path::Path, scale: f64) -> Result<u64> {
    write(&Args { dir: dir.to_path_buf(), scale, seed: SEED }).map(|counts| counts.inline)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a scale is checked, and small")]
fn write(args: &Args) -> Result<Counts> {
    let of = |whole: f64| (whole * args.scale).ceil().max(1.0) as u32;
    let log = log::Log::create(&args.dir)?;
    let mut world = World::new(args.seed, of(ISSUES), of(CHANGES), log);
    world.run()?;
    world.log.finish()
}
