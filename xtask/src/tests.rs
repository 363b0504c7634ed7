//! `cargo xtask test`: builds everything once, runs every test binary, and says what ran.
//!
//! Cargo's own runner names no times. Here each binary is run by itself with libtest's JSON events; they are behind
//! libtest's unstable switch, which `RUSTC_BOOTSTRAP` opens for the test binary alone, on every toolchain.

mod report;
mod run;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::metadata;
use crate::process::{self, End, Line};
use crate::setup;
use report::Report;
use run::{Ran, Run};

/// The whole build may take this long, from nothing.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Binaries with a real Gerrit: they go first on what the others leave of the processors, which is a third. After them, and after
/// the changes of a third Gerrit that are tried, what is left of the others is begun there too.
const BESIDE: [&str; 2] = ["maintner::gerrit", "gerrit::real"];

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Also run what takes long: all seeds of the random tests, the soak, the fixture with Go built by make.bash,
    /// the script of a real Gerrit by itself, `bellwether-query`, and each fuzz target for a minute
    #[arg(long)]
    long: bool,
    /// Only the tests whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// Only this package; may be repeated
    #[arg(long, short)]
    package: Vec<String>,
}

/// One test binary.
pub(crate) struct Binary {
    /// `package::target`.
    name: String,
    executable: PathBuf,
    /// The package's folder, where its tests run.
    folder: PathBuf,
}

/// Runs everything and prints the closing line `N passed, N failed`.
pub fn run(args: &Args) -> Result<ExitCode> {
    let began = Instant::now();
    setup::ensure("test")?;
    let binaries = build(args)?;
    let built = began.elapsed();
    println!("built {} test binaries in {:.0} s", binaries.len(), built.as_secs_f64());
    let mut report = Report::default();
    let whole = args.filter.is_none() && args.package.is_empty();
    let (beside, others): (Vec<&Binary>, Vec<&Binary>) =
        binaries.iter().partition(|binary| BESIDE.contains(&binary.name.as_str()));
    let others = Queue(Mutex::new(others.into()));
    // Whatever can't be run is a failure by its name, and the verdicts of all else stay.
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut ran: Vec<Ran> =
                beside.into_iter().map(|binary| run::binary(binary, args, Run::Beside)).collect();
            if whole {
                ran.push(Ran::of("changes of a real Gerrit are tried", run::tries));
            }
            while let Some(binary) = others.next() {
                ran.push(run::binary(binary, args, Run::Beside));
            }
            ran
        });
        while let Some(binary) = others.next() {
            report.add(run::binary(binary, args, Run::First));
        }
        for ran in second.join().unwrap_or_else(|_| {
            let why = "`cargo xtask test` panicked over them; see above".into();
            vec![Ran::failed("what runs beside the others", 0.0, why)]
        }) {
            report.add(ran);
        }
    });
    if args.filter.is_none() {
        report.add(Ran::of("doc::(cargo)", || run::doc_tests(args)));
    }
    if args.long && whole {
        report.add(Ran::of("fixture with make.bash", run::fixture));
        report.add(Ran::of("the script of a real Gerrit", run::gerrit));
        report.add(Ran::of("bellwether-query", run::query));
        report.add(Ran::of("fuzz targets", run::fuzz));
    }
    report.left_out(args.long);
    report.print(began.elapsed());
    Ok(if report.good(whole) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Binaries that nobody has begun, in the order in which they are.
struct Queue<'a>(Mutex<VecDeque<&'a Binary>>);

impl<'a> Queue<'a> {
    fn next(&self) -> Option<&'a Binary> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Args {
    /// `--workspace` or the packages asked for, with all features.
    fn selection(&self) -> Vec<String> {
        let mut words = vec!["--all-features".to_owned()];
        if self.package.is_empty() {
            words.push("--workspace".to_owned());
        }
        for package in &self.package {
            words.extend(["--package".to_owned(), package.clone()]);
        }
        words
    }
}

#[derive(Deserialize)]
struct Artifact {
    reason: String,
    #[serde(default)]
    executable: Option<PathBuf>,
    #[serde(default)]
    manifest_path: Option<PathBuf>,
    #[serde(default)]
    target: Option<Target>,
    #[serde(default)]
    profile: Option<Profile>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

fn build(args: &Args) -> Result<Vec<Binary>> {
    let mut command = cargo();
    command.args(["test", "--no-run", "--message-format=json-render-diagnostics"]).args(args.selection());
    let mut binaries = Vec::new();
    let mut broken = None;
    let end = process::stream(&mut command, BUILD_LIMIT, |line| match line {
        Line::Err(text) => eprintln!("{text}"),
        Line::Out(text) => match serde_json::from_str::<Artifact>(&text) {
            Ok(artifact) => binaries.extend(test_binary(artifact)),
            Err(error) => broken = Some(error),
        },
    })?;
    match end {
        End::Exited(status) if status.success() => {}
        End::Exited(_) => bail!("the tests do not build"),
        End::TimedOut => bail!("the build took more than {} min", BUILD_LIMIT.as_secs() / 60),
    }
    if let Some(error) = broken {
        return Err(error).context("cargo's messages");
    }
    binaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(binaries)
}

fn test_binary(artifact: Artifact) -> Option<Binary> {
    if artifact.reason != "compiler-artifact" || !artifact.profile?.test {
        return None;
    }
    let folder = artifact.manifest_path?.parent()?.to_path_buf();
    let package = folder.file_name()?.to_string_lossy().into_owned();
    let target = artifact.target?.name;
    let name = if target.replace('_', "-") == package { package } else { format!("{package}::{target}") };
    Some(Binary { name, executable: artifact.executable?, folder })
}

fn cargo() -> Command {
    let mut command = process::cargo();
    command.current_dir(metadata::root());
    command
}
