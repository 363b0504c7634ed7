//! `cargo xtask fuzz`: runs the targets of fuzz/ for a while each, and says what they saw.
//!
//! They are built as cargo-fuzz builds them, so that `cargo fuzz run` works in fuzz/, too; but nothing beside the toolchain and a
//! compiler for C++ is needed. Two switches of rustc are unstable, which `RUSTC_BOOTSTRAP` opens on every toolchain.

mod said;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::metadata;
use crate::process::{self, End, Line};
use said::Said;

/// The whole build may take this long, from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// What a target may take beyond its time: to read its corpus, and to end.
const AROUND: Duration = Duration::from_secs(180);
/// The longest input that is tried, in bytes.
const LONGEST: u32 = 8192;
/// An input that takes longer is a finding, in seconds.
const SLOW: u32 = 20;
/// As cargo-fuzz has them: what counts which way a program went, what it compared, and what it did to its memory.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cllvm-args=-simplifycfg-branch-fold-threshold=0 \
    -Zsanitizer=address --cfg fuzzing";

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
#[command(after_help = "\
Inputs that led somewhere new are kept in target/fuzz/corpus/TARGET, and the next run begins with them; those of
fuzz/seeds/TARGET are tried each time, and by `cargo test` as well. A finding is kept in target/fuzz/found/TARGET.

Examples:
  cargo xtask fuzz                               all targets, a minute each
  cargo xtask fuzz untar --seconds 3600          one of them for an hour
  cargo xtask fuzz untar --repeat FILE           a finding again, with where it happened
  cargo xtask fuzz untar --shrink FILE           makes a finding as small as it gets in --seconds

A finding that is mended goes into fuzz/seeds/TARGET, named after what it does.")]
pub struct Args {
    /// Only these targets [default: all]
    targets: Vec<String>,
    /// How long each runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Runs one target on this file alone
    #[arg(long, value_name = "FILE", conflicts_with = "shrink")]
    repeat: Option<PathBuf>,
    /// Makes this finding of one target smaller
    #[arg(long, value_name = "FILE")]
    shrink: Option<PathBuf>,
    /// Names the targets and ends
    #[arg(long)]
    list: bool,
}

impl Args {
    /// All targets, for so long each.
    pub(crate) fn all(seconds: u32) -> Self {
        Self { targets: Vec::new(), seconds, repeat: None, shrink: None, list: false }
    }
}

/// Runs what was asked for; fails if there is a finding.
pub fn run(args: &Args) -> Result<ExitCode> {
    let all = targets()?;
    if args.list {
        all.iter().for_each(|name| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(name)) {
        bail!("there is no target {unknown}; there are {}", all.join(", "));
    }
    let chosen = if args.targets.is_empty() { &all } else { &args.targets };
    let one = args.repeat.as_ref().or(args.shrink.as_ref());
    if one.is_some() && args.targets.len() != 1 {
        bail!("a file is for one target: name it");
    }
    let folder = build(chosen)?;
    if let (Some(file), Some(name)) = (one, args.targets.first()) {
        return again(&folder.join(name), args, file);
    }
    let mut findings = 0;
    println!("{}", said::HEAD);
    for name in chosen {
        let said = fuzz(&folder.join(name), name, args.seconds)?;
        println!("{}", said.line(name));
        if let Some(why) = said.finding() {
            findings += 1;
            println!("{why}\n  again: cargo xtask fuzz {name} --repeat {}", said.file(name));
        }
    }
    println!("fuzz: {} targets, {findings} findings", chosen.len());
    Ok(if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Bin>,
}

#[derive(Deserialize)]
struct Bin {
    name: String,
}

/// The targets, as fuzz/Cargo.toml names them.
fn targets() -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(metadata::root().join("fuzz/Cargo.toml")).context("fuzz/Cargo.toml")?;
    let manifest: Manifest = toml::from_str(&text).context("fuzz/Cargo.toml")?;
    Ok(manifest.bin.into_iter().map(|bin| bin.name).collect())
}

/// A folder of target/fuzz, made.
fn place(below: &str) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(metadata::root().join("target"), PathBuf::from);
    let folder = target.join("fuzz").join(below);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Builds the targets, and gives the folder they are in.
fn build(targets: &[String]) -> Result<PathBuf> {
    let folder = place("build")?;
    let host = host()?;
    let mut command = process::cargo();
    // With a target named, what runs while it is built is not instrumented.
    command
        .args(["build", "--release", "--quiet", "--locked", "--target", &host, "--target-dir"])
        .arg(&folder)
        .args(targets.iter().flat_map(|name| ["--bin", name.as_str()]))
        .env("RUSTFLAGS", FLAGS)
        .env("RUSTC_BOOTSTRAP", "1")
        .current_dir(metadata::root().join("fuzz"));
    process::output(&mut command, BUILD_LIMIT).context("the fuzz targets do not build")?;
    Ok(folder.join(host).join("release"))
}

/// What rustc calls this system.
fn host() -> Result<String> {
    let said = process::output(Command::new("rustc").arg("-vV"), Duration::from_secs(60))?;
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc does not say what it runs on")
}

/// One target, with what all of its runs have in common.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Safe Rust may leak; who looks for that needs rights that a container has not.
    command.env("ASAN_OPTIONS", "detect_leaks=0").env("RUST_BACKTRACE", "1");
    command.args([&format!("-max_len={LONGEST}"), &format!("-timeout={SLOW}"), "-detect_leaks=0"]);
    command
}

fn fuzz(program: &Path, name: &str, seconds: u32) -> Result<Said> {
    let (corpus, found) = (place(&format!("corpus/{name}"))?, place(&format!("found/{name}"))?);
    let mut command = command(program);
    command
        // Weighing inputs by how rare their ways are takes half of the time of a target that is quick.
        .args([&format!("-max_total_time={seconds}"), "-print_final_stats=1", "-entropic=0"])
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg(&corpus)
        .arg(metadata::root().join("fuzz/seeds").join(name));
    let mut said = Said::default();
    let limit = AROUND + Duration::from_secs(seconds.into());
    let end = process::stream(&mut command, limit, |line| match line {
        Line::Out(line) | Line::Err(line) => said.take(&line),
    })?;
    said.ended(match end {
        End::Exited(status) if status.success() => None,
        End::Exited(status) => Some(status.to_string()),
        End::TimedOut => Some(format!("not done after {} s", limit.as_secs())),
    });
    Ok(said)
}

/// Runs a target on one file, or makes that smaller, and shows all it says.
fn again(program: &Path, args: &Args, file: &Path) -> Result<ExitCode> {
    let mut command = command(program);
    let mut limit = AROUND;
    if args.shrink.is_some() {
        limit += Duration::from_secs(args.seconds.into());
        let smaller = file.with_extension("small");
        command.args(["-minimize_crash=1", &format!("-max_total_time={}", args.seconds)]);
        command.arg(format!("-exact_artifact_path={}", smaller.display()));
    }
    command.arg(file);
    let end = process::stream(&mut command, limit, |line| match line {
        Line::Out(line) | Line::Err(line) => println!("{line}"),
    })?;
    Ok(match end {
        End::Exited(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_seeds_and_a_line_in_the_book() {
        let book = std::fs::read_to_string(metadata::root().join("docs/TESTING.md")).unwrap();
        let targets = targets().unwrap();
        assert!(!targets.is_empty());
        for name in targets {
            let seeds = metadata::root().join("fuzz/seeds").join(&name);
            assert!(seeds.read_dir().unwrap().count() > 0, "{name}");
            assert!(
                book.contains(&format!("`{name}`")),
                "docs/TESTING.md does not name the fuzz target {name}"
            );
        }
    }
}
