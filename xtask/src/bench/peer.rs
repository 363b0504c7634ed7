//! The same work on Buildbot from PyPI and on Bellwether, in one run.
//!
//! Each side starts a server and one worker, gets the same builds over its own HTTP API, and is asked for the same
//! figures. Only the server's own process counts as its CPU. The figures are ratios from one machine, never a test.

mod bellwether;
mod buildbot;
mod report;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::Args;
use crate::setup;

/// Bytes of the big log, as in the figures that the budgets were made from.
const LOG_BYTES: usize = 13_290_000;
/// Seconds of the build in which the server is killed; it is killed in the middle.
const LONG_SECONDS: u64 = 10;
/// Builds besides those that are counted: the first, the log's, the long one.
const OTHER_BUILDS: usize = 3;
/// No single build may take longer.
const BUILD_LIMIT: Duration = Duration::from_secs(120);

/// The work, by the shell commands of its three builders.
struct Jobs {
    /// Does nothing.
    trivial: String,
    /// Prints [`LOG_BYTES`].
    log: String,
    /// Notes each of its seconds in `notes`.
    long: String,
    /// A line for each second of work, those done twice included.
    notes: PathBuf,
}

impl Jobs {
    fn new(dir: &std::path::Path) -> Self {
        let notes = dir.join("notes");
        let line = "a line of the log as compilers print them, neither long nor short";
        Self {
            trivial: "true".into(),
            log: format!("yes '{line}' | head -c {LOG_BYTES}"),
            long: format!(
                "i=0; while [ $i -lt {LONG_SECONDS} ]; do echo $i >>'{}'; sleep 1; i=$((i + 1)); done",
                notes.display()
            ),
            notes,
        }
    }

    /// Seconds of work noted so far.
    fn noted(&self) -> u64 {
        std::fs::read_to_string(&self.notes).map_or(0, |text| text.lines().count() as u64)
    }
}

/// Which of the three builders.
#[derive(Clone, Copy)]
enum Job {
    Trivial,
    /// The same, of a commit whose tree is at hand: each time another builder.
    Again,
    Log,
    Long,
}

impl Job {
    fn name(self) -> &'static str {
        match self {
            Self::Trivial | Self::Again => "trivial",
            Self::Log => "log",
            Self::Long => "long",
        }
    }
}

/// One product under the same work.
trait Side {
    /// An opaque id of a submitted build.
    fn submit(&mut self, job: Job) -> Result<String>;
    /// Waits until all of these are done and well.
    fn wait(&mut self, ids: &[String], limit: Duration) -> Result<()>;
    /// Fetches the log of a build that is done; gives its length.
    fn fetch_log(&mut self, id: &str) -> Result<usize>;
    /// The server's pid.
    fn server(&self) -> Result<u32>;
    /// A worker's pid, if it can be told.
    fn worker(&self) -> Option<u32>;
    /// kill -9 of the server.
    fn crash(&mut self) -> Result<()>;
    /// Starts the server again on its data.
    fn resume(&mut self) -> Result<()>;
}

/// What one side did.
#[derive(Debug, Clone, Default)]
struct Figures {
    version: String,
    builds_per_second: f64,
    cpu_ms_per_build: f64,
    /// The two figures above for builds of one commit.
    again_per_second: f64,
    cpu_ms_again: f64,
    single_ms: Vec<f64>,
    /// As `single_ms`, for builds of one commit.
    again_ms: Vec<f64>,
    server_idle_bytes: u64,
    worker_idle_bytes: Option<u64>,
    log_in_mb_per_second: f64,
    log_out_mb_per_second: f64,
    /// Seconds of work done twice because of kill -9 of the server in the middle of a build.
    lost_seconds: u64,
}

/// Runs both sides; the section of the document, if both were wanted.
pub(super) fn section(args: &Args) -> Result<Option<String>> {
    let dir = tempfile::Builder::new().prefix("bw-bench-").tempdir()?;
    let wanted = |side: &str| args.side.as_deref().is_none_or(|only| only == side);
    let mut peer = None;
    if wanted("buildbot") {
        setup::ensure("bench")?;
        let place = dir.path().join("buildbot");
        std::fs::create_dir_all(&place)?;
        let jobs = Jobs::new(&place);
        let mut side = buildbot::Buildbot::start(&place, &jobs)?;
        let version = side.version();
        peer = Some(measure("Buildbot", version, &mut side, &jobs, args)?);
    }
    let mut ours = None;
    if wanted("bellwether") {
        let place = dir.path().join("bellwether");
        std::fs::create_dir_all(&place)?;
        let jobs = Jobs::new(&place);
        let mut side =
            bellwether::Bellwether::start(&place, &jobs, args.builds + args.single + OTHER_BUILDS)?;
        ours = Some(measure("Bellwether", env!("CARGO_PKG_VERSION").into(), &mut side, &jobs, args)?);
    }
    Ok(peer.zip(ours).map(|(peer, ours)| report::markdown(&peer, &ours, args)))
}

fn measure(name: &str, version: String, side: &mut impl Side, jobs: &Jobs, args: &Args) -> Result<Figures> {
    let mut figures = Figures { version, ..Figures::default() };
    // One build that counts for nothing: the worker is warm after it.
    let first = side.submit(Job::Trivial)?;
    side.wait(&[first], BUILD_LIMIT).with_context(|| format!("{name}: the first build"))?;
    figures.server_idle_bytes = testkit::resident_bytes(side.server()?)?;
    figures.worker_idle_bytes = side.worker().and_then(|pid| testkit::resident_bytes(pid).ok());

    figures.single_ms = one_by_one(side, Job::Trivial, args.single)?;
    println!(
        "{name}: submit to done p50 {:.1} ms, p95 {:.1} ms",
        percentile(&figures.single_ms, 50),
        percentile(&figures.single_ms, 95)
    );
    (figures.builds_per_second, figures.cpu_ms_per_build) = at_once(side, Job::Trivial, args.builds)?;
    println!(
        "{name}: {:.1} builds/s, {:.2} ms CPU each",
        figures.builds_per_second, figures.cpu_ms_per_build
    );
    figures.again_ms = one_by_one(side, Job::Again, args.single)?;
    (figures.again_per_second, figures.cpu_ms_again) = at_once(side, Job::Again, args.builds)?;
    println!(
        "{name}: of one commit: submit to done p50 {:.1} ms, {:.1} builds/s, {:.2} ms CPU each",
        percentile(&figures.again_ms, 50),
        figures.again_per_second,
        figures.cpu_ms_again
    );

    let megabytes = LOG_BYTES as f64 / 1e6;
    let began = Instant::now();
    let id = side.submit(Job::Log)?;
    side.wait(std::slice::from_ref(&id), BUILD_LIMIT)?;
    figures.log_in_mb_per_second = megabytes / began.elapsed().as_secs_f64();
    let began = Instant::now();
    let bytes = side.fetch_log(&id)?;
    figures.log_out_mb_per_second = bytes as f64 / 1e6 / began.elapsed().as_secs_f64();
    anyhow::ensure!(bytes >= LOG_BYTES, "{name}: the log has {bytes} bytes of {LOG_BYTES}");
    println!(
        "{name}: log in {:.1} MB/s, out {:.1} MB/s",
        figures.log_in_mb_per_second, figures.log_out_mb_per_second
    );

    let id = side.submit(Job::Long)?;
    testkit::wait_for("half of the long build", BUILD_LIMIT, || {
        Ok((jobs.noted() >= LONG_SECONDS / 2).then_some(()))
    })?;
    side.crash()?;
    side.resume()?;
    side.wait(&[id], BUILD_LIMIT)?;
    figures.lost_seconds = jobs.noted().saturating_sub(LONG_SECONDS);
    println!("{name}: kill -9 in the middle of {LONG_SECONDS} s of work lost {} s", figures.lost_seconds);
    Ok(figures)
}

/// Times from submit to done, in ms, sorted.
fn one_by_one(side: &mut impl Side, job: Job, count: usize) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        let id = side.submit(job)?;
        side.wait(&[id], BUILD_LIMIT)?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// Builds a second, and the server's CPU for each in ms.
fn at_once(side: &mut impl Side, job: Job, count: usize) -> Result<(f64, f64)> {
    let before = testkit::cpu_time(side.server()?)?;
    let began = Instant::now();
    let ids: Vec<String> = (0..count).map(|_| side.submit(job)).collect::<Result<_>>()?;
    side.wait(&ids, BUILD_LIMIT * 10)?;
    let took = began.elapsed().as_secs_f64();
    let cpu = testkit::cpu_time(side.server()?)? - before;
    Ok((count as f64 / took, cpu.as_secs_f64() * 1000.0 / count as f64))
}

/// The time that `percent` of the sorted times did not exceed.
pub(super) fn percentile(times: &[f64], percent: usize) -> f64 {
    let last = times.len().saturating_sub(1);
    times.get((last * percent).div_ceil(100)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_taken_from_sorted_times() {
        let figures = Figures { single_ms: (0..=100).map(f64::from).collect(), ..Figures::default() };
        assert!((percentile(&figures.single_ms, 50) - 50.0).abs() < 1e-9);
        assert!((percentile(&figures.single_ms, 95) - 95.0).abs() < 1e-9);
        assert!(percentile(&[], 50).abs() < 1e-9);
    }

    #[test]
    fn the_jobs_do_what_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::new(dir.path());
        let out = std::process::Command::new("sh").args(["-c", &jobs.log]).output().unwrap();
        assert_eq!(out.stdout.len(), LOG_BYTES);
        assert_eq!(jobs.noted(), 0);
        std::fs::write(&jobs.notes, "0\n1\n").unwrap();
        assert_eq!(jobs.noted(), 2);
    }
}
