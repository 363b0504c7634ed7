//! What a corpus of a log costs, as JSON: `replay DIR` from all of the log, which then leaves a checkpoint, `start DIR` from the
//! checkpoint. Each in a process of its own, so that neither has the other's memory. For `cargo xtask bench --only corpus`.

use std::error::Error;
use std::fs::read_to_string;
use std::path::Path;
use std::time::Instant;

use maintner::checkpoint::{self, Start};
use maintner::corpus::{Corpus, Replay};
use maintner::log::Log;
use maintner::rules::Rules;
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let said = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["replay", dir] => replay(Path::new(dir), Replay::Parallel)?,
        ["one-thread", dir] => replay(Path::new(dir), Replay::OneThread)?,
        ["start", dir] => start(Path::new(dir))?,
        _ => return Err("usage: figures replay|one-thread|start DIR".into()),
    };
    println!("{said}");
    Ok(())
}

fn replay(dir: &Path, how: Replay) -> Result<Value, Box<dyn Error>> {
    let (began, used) = (Instant::now(), cpu()?);
    let corpus = Corpus::load(Log::open(dir)?, Rules::Ours, how)?;
    let (load, cpu) = (began.elapsed().as_secs_f64(), cpu()? - used);
    let memory = anonymous()?;
    let (walk, issues, comments) = walk(&corpus);
    let began = Instant::now();
    let checkpoint = checkpoint::write(&corpus, &dir.join(checkpoint::NAME))?;
    Ok(json!({
        "records": corpus.records, "log_bytes": corpus.log.len(), "load": load, "cpu": cpu, "anonymous": memory,
        "walk": walk, "issues": issues, "comments": comments,
        "checkpoint_bytes": checkpoint, "checkpoint_seconds": began.elapsed().as_secs_f64(),
    }))
}

fn start(dir: &Path) -> Result<Value, Box<dyn Error>> {
    let path = dir.join(checkpoint::NAME);
    let began = Instant::now();
    let (corpus, how) = Corpus::start(&Log::open(dir)?, Rules::Ours, &path)?;
    let seconds = began.elapsed().as_secs_f64();
    let Start::Checkpoint { tail, .. } = how else { return Err(format!("{how:?}").into()) };
    // An issue in the middle, by its number, with all that is said on it.
    let some = corpus.github.issues().get(corpus.github.issues().next() / 2);
    let began = Instant::now();
    let number = corpus.github.issue(some.repo, some.number).ok_or("an issue that is there is not found")?;
    let issue = corpus.github.issues().get(number);
    let read: usize =
        corpus.github.comments_of(issue).iter().map(|comment| corpus.log.text(comment.body).len()).sum();
    let query = began.elapsed().as_secs_f64();
    let touched = mapped(checkpoint::NAME)? as f64 / std::fs::metadata(&path)?.len() as f64;
    let memory = anonymous()?;
    let (walk, issues, comments) = walk(&corpus);
    Ok(json!({
        "start": seconds, "tail": tail, "query": query, "read": read, "touched": touched, "anonymous": memory,
        "walk": walk, "issues": issues, "comments": comments,
    }))
}

/// Goes through all issues and comments in their orders.
fn walk(corpus: &Corpus) -> (f64, u64, u64) {
    let began = Instant::now();
    let (mut issues, mut comments) = (0, 0);
    for issue in corpus.github.issues().iter() {
        issues += 1;
        comments += corpus.github.comments_of(issue).len() as u64;
    }
    (began.elapsed().as_secs_f64(), issues, comments)
}

/// Seconds of this process on processors, the system's for it included.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let text = read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}

/// Bytes of this process's own memory: what is mapped from files is not in it.
fn anonymous() -> Result<u64, Box<dyn Error>> {
    let text = read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

/// Bytes of a file of that name that are mapped and in memory for this process: what was touched, and what the system brought
/// with it.
fn mapped(name: &str) -> Result<u64, Box<dyn Error>> {
    let (mut inside, mut bytes) = (false, 0);
    for line in read_to_string("/proc/self/smaps")?.lines() {
        if let Some(resident) = line.strip_prefix("Rss:") {
            if inside {
                bytes += resident.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024;
            }
        } else if line.starts_with(|first: char| first.is_ascii_digit() || first.is_ascii_lowercase()) {
            inside = line.ends_with(name);
        }
    }
    Ok(bytes)
}
