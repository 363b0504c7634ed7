//! `log stats`, `log digest`, `log verify`, `log recover`, `log tail`: looks at a mutation log, on this machine and without a server.

mod tail;

use std::io::{BufWriter, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use maintner::checkpoint::{self, Start};
use maintner::corpus::{Corpus, Replay};
use maintner::dump::Dump;
use maintner::journal::recover::recover;
use maintner::log::Log;
use maintner::rules::Rules;
use maintner::verify::verify;
use serde::Serialize;

pub use self::tail::of_server as tail_of_server;
use super::client::print_json;
use crate::args::{DigestLog, MutationLog, RecoverLog, Replayed, StatsLog, VerifyLog};

pub fn run(args: &MutationLog) -> Result<ExitCode> {
    match args {
        MutationLog::Stats(args) => stats(args)?,
        MutationLog::Digest(args) => digest(args)?,
        MutationLog::Verify(args) => verified(args)?,
        MutationLog::Recover(args) => recovered(args)?,
        MutationLog::Tail(args) => tail::tail(args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What `log stats` prints.
#[derive(Serialize)]
struct Stats {
    records: u64,
    bytes: u64,
    repos: usize,
    issues: usize,
    comments: usize,
    events: usize,
    reviews: usize,
    users: usize,
    projects: usize,
    cls: usize,
    commits: usize,
    refs: usize,
    /// Elements that could not be taken, such as refs to commits that never came.
    passed_over: u64,
    seconds: f64,
    /// Memory that is this process's own; the log's, which is mapped, is beside it. Neither is known everywhere.
    anonymous_bytes: Option<u64>,
    mapped_bytes: Option<u64>,
}

fn stats(args: &StatsLog) -> Result<()> {
    let began = Instant::now();
    let corpus = load(&args.log, Rules::Ours)?;
    let seconds = began.elapsed().as_secs_f64();
    let (github, gerrit) = (&corpus.github, &corpus.gerrit);
    let patch_sets: usize = gerrit.changes().iter().map(|change| gerrit.patch_sets(change).count()).sum();
    let metas = gerrit.changes().iter().filter(|change| change.meta != maintner::column::NONE).count();
    let plain = gerrit.refs().iter().filter(|found| found.commit != maintner::column::NONE).count();
    let stats = Stats {
        records: corpus.records,
        bytes: corpus.log.len(),
        repos: github.repos().len(),
        issues: github.issues().len(),
        comments: github.comments().len(),
        events: github.events().len(),
        reviews: github.reviews().len(),
        users: github.users().len(),
        projects: gerrit.projects().len(),
        cls: gerrit.changes().len(),
        commits: gerrit.commits().len(),
        refs: patch_sets + metas + plain,
        passed_over: github.rejected() + gerrit.rejected(),
        seconds,
        anonymous_bytes: resident("RssAnon:"),
        mapped_bytes: resident("RssFile:"),
    };
    if args.log.json {
        return print_json(&stats);
    }
    println!("{}", table(&stats));
    Ok(())
}

fn table(stats: &Stats) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, count) in [
        ("repos", stats.repos),
        ("issues", stats.issues),
        ("comments", stats.comments),
        ("events", stats.events),
        ("reviews", stats.reviews),
        ("people", stats.users),
        ("projects", stats.projects),
        ("changes", stats.cls),
        ("commits", stats.commits),
        ("refs", stats.refs),
    ] {
        table.add_row([name.to_owned(), count.to_string()]);
    }
    table.add_row(["records".to_owned(), stats.records.to_string()]);
    table.add_row(["passed over".to_owned(), stats.passed_over.to_string()]);
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    table.add_row(["log".to_owned(), megabytes(stats.bytes)]);
    if let (Some(own), Some(mapped)) = (stats.anonymous_bytes, stats.mapped_bytes) {
        table.add_row(["memory of its own".to_owned(), megabytes(own)]);
        table.add_row(["mapped files in memory".to_owned(), megabytes(mapped)]);
    }
    table.add_row(["replayed in".to_owned(), format!("{:.3} s", stats.seconds)]);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// What Linux says this process has in memory, of one kind.
fn resident(kind: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(kind))?;
    let kilobytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn load(args: &Replayed, rules: Rules) -> Result<Corpus> {
    let log = opened(&args.dir)?;
    let replay = if args.one_thread { Replay::OneThread } else { Replay::Parallel };
    let told = Told::new(&format!("replaying {} MB", log.len() / 1_000_000));
    let corpus = Corpus::load(log, rules, replay)
        .context("the log can't be replayed; `bellwether log verify` says more")?;
    drop(told);
    Ok(corpus)
}

/// By a checkpoint and what is behind it, and how many records that is. Whatever does not fit is an error, and no reason to replay.
fn gone_on(args: &Replayed, rules: Rules, path: &Path) -> Result<(Corpus, Option<u64>)> {
    let log = opened(&args.dir)?;
    let failed = || format!("the checkpoint {}", path.display());
    if !path.exists() {
        let told = Told::new("writing a checkpoint of the first half");
        let first = Corpus::load(log.begin(log.len() / 2)?, rules, Replay::Parallel)
            .context("the log can't be replayed; `bellwether log verify` says more")?;
        checkpoint::write(&first, path).with_context(failed)?;
        drop(told);
    }
    checkpoint::verify(path).with_context(failed)?;
    let (corpus, how) = checkpoint::read(path, &log, rules).with_context(failed)?;
    let tail = match how {
        Start::Checkpoint { tail, .. } => Some(tail),
        Start::Replay(_) => None,
    };
    Ok((corpus, tail))
}

fn opened(dir: &Path) -> Result<Log> {
    Ok(Log::open(dir)?)
}

fn digest(args: &DigestLog) -> Result<()> {
    let rules = if args.original { Rules::Original } else { Rules::Ours };
    let (corpus, tail) = match &args.checkpoint {
        Some(path) => gone_on(&args.log, rules, path)?,
        None => (load(&args.log, rules)?, None),
    };
    let told = Told::new("digesting what it says");
    let dump = Dump::of(&corpus);
    let digest = dump.digest();
    drop(told);
    if args.dump {
        let mut out = BufWriter::new(std::io::stdout().lock());
        match dump.write(&mut out).and_then(|()| out.flush()) {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            other => other.context("writing the dump")?,
        }
        eprintln!("{digest}");
    } else if args.log.json {
        print_json(&serde_json::json!({
            "digest": digest, "lines": dump.lines(), "records": corpus.records, "tail": tail,
        }))?;
    } else {
        println!("{digest}");
    }
    Ok(())
}

fn verified(args: &VerifyLog) -> Result<()> {
    let log = opened(&args.dir)?;
    let told = Told::new(&format!("reading {} MB", log.len() / 1_000_000));
    let found = verify(&log)?;
    drop(told);
    if args.json {
        return print_json(&serde_json::json!({
            "files": found.files, "sealed": found.sealed, "indexed": found.indexed, "records": found.records,
            "unvouched": found.unvouched, "bytes": found.bytes,
        }));
    }
    println!("{} records in {} files, {} bytes: whole", found.records, found.files, found.bytes);
    if found.unvouched > 0 {
        println!(
            "of {} of the records there is no digest to compare with: a changed letter in them would not be seen",
            found.unvouched
        );
    }
    Ok(())
}

fn recovered(args: &RecoverLog) -> Result<()> {
    let told = Told::new("reading it");
    let done = recover(&args.dir, args.to.as_deref())?;
    drop(told);
    if args.json {
        let dropped: Vec<_> = done
            .dropped
            .iter()
            .map(|part| {
                serde_json::json!({"file": part.path, "offset": part.offset, "bytes": part.bytes, "why": part.why})
            })
            .collect();
        return print_json(&serde_json::json!({
            "records": done.records, "bytes": done.bytes, "dropped": dropped, "doubtful": done.doubtful,
            "indexed": done.indexed, "aside": done.aside,
        }));
    }
    for part in &done.dropped {
        println!(
            "dropped {} bytes of {} from {} on: {}",
            part.bytes,
            part.path.display(),
            part.offset,
            part.why
        );
    }
    for path in &done.doubtful {
        println!(
            "kept {}: its bytes were not those of its name, and nothing tells which record was changed",
            path.display()
        );
    }
    for path in &done.indexed {
        println!("made {} again", path.display());
    }
    for path in &done.aside {
        println!("what was there is {}", path.display());
    }
    println!("{} records are kept, {} bytes", done.records, done.bytes);
    Ok(())
}

/// Says on a terminal what is being done, while it is.
struct Told(ProgressBar);

impl Told {
    fn new(what: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        // The template is this program's own, and right.
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
