//! `cargo xtask targets`: checks or links the agent for every system whose standard library rustup has.
//!
//! What is done for each is [`list::TARGETS`], which the table in docs/BUILDLET.md repeats; the two are held together by
//! a test and by the command. A target that can't be had is a failure with its name, never a line that is missing.

mod list;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{metadata, process, setup};
use list::{Asked, TARGETS, Target};

/// The time one target may take, dependencies included.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// The time a linked program may take to say its version.
const VERSION: Duration = Duration::from_secs(60);

/// Arguments of `cargo xtask targets`.
#[derive(clap::Args)]
pub struct Args {
    /// Only targets whose name has this in it; may be repeated
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Also those that are not looked at each time
    #[arg(long)]
    all: bool,
    /// Link by this profile of Cargo.toml; `dist` is what is shipped
    #[arg(long, value_name = "NAME", default_value = "dev")]
    profile: String,
    /// Link also what is only checked, where a compiler for it is here
    #[arg(long)]
    link: bool,
    /// Link also what is for Windows, and run its tests by Wine
    #[arg(long)]
    wine: bool,
}

impl Args {
    fn links(&self, target: &Target) -> bool {
        self.link || self.wines(target)
    }

    fn wines(&self, target: &Target) -> bool {
        self.wine && target.triple.contains("windows")
    }
}

/// What became of one target.
struct Came {
    /// One word: checked, linked or run.
    what: &'static str,
    /// What there is to add: a size, what the program said, why more was not done.
    more: String,
}

/// Does what the list asks, a line for each target, and fails if one failed or could not be had.
pub fn run(args: &Args) -> Result<ExitCode> {
    let book = std::fs::read_to_string(metadata::root().join(list::BOOK)).context(list::BOOK)?;
    list::told_in(&book)?;
    // What can't be installed is said below, beside the target that was not linked or not run for want of it.
    if let Err(why) = setup::ensure("targets") {
        eprintln!("{why:#}");
    }
    if args.wine {
        setup::ensure("wine")?;
    }
    let wanted = |target: &&Target| {
        args.only.is_empty() || args.only.iter().any(|part| target.triple.contains(part.as_str()))
    };
    let (mut done, mut failed) = (0, 0);
    for target in TARGETS.iter().filter(wanted) {
        if target.rarely && !args.all && args.only.is_empty() {
            println!("not now  {}: with --all", target.triple);
            continue;
        }
        let began = Instant::now();
        let name = format!("{}, {}", target.triple, target.features.text());
        match one(target, args) {
            Ok(came) => {
                done += 1;
                let seconds = began.elapsed().as_secs();
                println!("{:<8} {name:<44} {seconds:>4} s  {}", came.what, came.more);
            }
            Err(why) => {
                failed += 1;
                println!("FAILED   {name}\n{why:#}");
            }
        }
    }
    for (triple, why) in list::NOT_HAD {
        println!("left out {triple}: {why}");
    }
    println!("targets: {done} ok, {failed} failed, {} left out", list::NOT_HAD.len());
    Ok(if failed == 0 && done > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(target: &Target, args: &Args) -> Result<Came> {
    tools::standard_library(target.triple).context("its standard library can't be had")?;
    let (compiler, linker, runner) = match target.asked {
        Asked::Link { compiler, linker, runner } => (compiler, linker, Some(runner)),
        Asked::Check { linked_by: Some(compiler) } if args.links(target) => (compiler, None, None),
        Asked::Check { .. } => {
            check(target)?;
            return Ok(Came { what: "checked", more: String::new() });
        }
    };
    if tools::found(compiler).is_none() || runner.is_none() {
        check(target)?;
    }
    if tools::found(compiler).is_none() {
        return Ok(Came { what: "checked", more: format!("not linked: no {compiler} here") });
    }
    let program = link(target, compiler, linker, &args.profile)?;
    let size = std::fs::metadata(&program)?.len();
    let size = format!("{}.{} MB by profile {}", size / 1_000_000, size / 100_000 % 10, args.profile);
    if args.wines(target) {
        return Ok(Came { what: "run", more: format!("{size}; {}", by_wine(&program)?) });
    }
    let Some(runner) = runner else { return Ok(Came { what: "linked", more: size }) };
    match tools::how_to_run(runner) {
        Ok(prefix) => {
            let said = version(&prefix, &program)?;
            Ok(Came { what: "run", more: format!("{size}; {said}") })
        }
        Err(why) => Ok(Came { what: "linked", more: format!("{size}; not run: {why}") }),
    }
}

/// Looks at the agent for the target as clippy does. Nothing is linked, so the parts in C need no real compiler.
fn check(target: &Target) -> Result<()> {
    let mut command = cargo("clippy", target);
    tools::compile_nothing(&mut command, target.triple);
    command.args(["--", "-D", "warnings"]);
    process::output(&mut command, LIMIT).map(|_| ())
}

fn link(target: &Target, compiler: &str, linker: Option<&str>, profile: &str) -> Result<PathBuf> {
    let mut command = cargo("build", target);
    command.args(["--bin", "buildlet", "--profile", profile]);
    tools::set(&mut command, "CC", target.triple, compiler);
    if let Some(linker) = linker {
        command.env(format!("CARGO_TARGET_{}_LINKER", tools::upper(target.triple)), linker);
    }
    process::output(&mut command, LIMIT)?;
    let target_dir =
        std::env::var_os("CARGO_TARGET_DIR").map_or(metadata::root().join("target"), PathBuf::from);
    let folder = if profile == "dev" { "debug" } else { profile };
    let name = if target.triple.contains("windows") { "buildlet.exe" } else { "buildlet" };
    let program = target_dir.join(target.triple).join(folder).join(name);
    if !program.exists() {
        bail!("cargo linked no {}", program.display());
    }
    Ok(program)
}

fn cargo(verb: &str, target: &Target) -> Command {
    let mut command = process::cargo();
    command
        .args([verb, "--quiet", "--locked", "--package", "buildlet", "--target", target.triple])
        .args(target.features.flags())
        // Nobody debugs what comes of it, and it is half of the work.
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .current_dir(metadata::root());
    command
}

/// Runs the tests that there are of the agent for Windows.
fn by_wine(program: &Path) -> Result<&'static str> {
    let mut command = process::cargo();
    command
        .args(["test", "--quiet", "--locked", "--package", "buildlet", "--test", "it"])
        .args(["--", "--nocapture", "wine::"])
        .env("BELLWETHER_WINDOWS_BUILDLET", program)
        .current_dir(metadata::root());
    let said = process::output(&mut command, LIMIT)?;
    if !said.contains("1 passed") {
        bail!("its tests did not run:\n{said}");
    }
    Ok("its tests passed under Wine")
}

/// What the program says of itself, which it must say of the agent's version.
fn version(prefix: &[String], program: &Path) -> Result<String> {
    let mut words = prefix.iter().map(Path::new).chain([program]);
    let mut command = Command::new(words.next().context("invariant: the program is a word")?);
    command.args(words).arg("--version");
    let said = process::output(&mut command, VERSION)?;
    let line = said.lines().next().unwrap_or_default();
    if !line.starts_with("buildlet version ") {
        bail!("`{}` says `{line}`", process::shown(&command));
    }
    Ok(line.to_owned())
}
