//! What a corpus of a log costs, as JSON: `replay DIR` from all of the log, which then leaves a checkpoint, `start DIR` from the
//! checkpoint. Each in a process of its own, so that neither has the other's memory. `floor DIR` is what no replay can be below:
//! reading all bytes, and decoding all messages without keeping anything. For `cargo xtask bench --only corpus`.

use std::error::Error;
use std::fs::{File, read_to_string};
use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use maintner::checkpoint::{self, Start};
use maintner::corpus::{Corpus, Replay};
use maintner::log::Log;
use maintner::rules::Rules;
use maintner::wire::{self, Fields, WireError};
use serde_json::{Value, json};

/// Which fields of a message are messages, by number (`crates/maintpb/proto/maintner.proto`).
struct Shape(&'static [(u32, &'static Shape)]);

const LEAF: Shape = Shape(&[]);
const SYNC: Shape = Shape(&[(1, &LEAF)]);
const MILESTONE: Shape = Shape(&[(3, &LEAF)]);
const COMMENT: Shape = Shape(&[(2, &LEAF), (4, &LEAF), (5, &LEAF)]);
const EVENT: Shape = Shape(&[(4, &LEAF), (5, &LEAF), (6, &MILESTONE), (9, &LEAF), (15, &LEAF), (16, &LEAF)]);
const REVIEW: Shape = Shape(&[(3, &LEAF)]);
const GITHUB: Shape = Shape(&[(3, &LEAF), (4, &MILESTONE)]);
const TREE: Shape = Shape(&[(1, &LEAF)]);
const INLINE: Shape = Shape(&[(5, &LEAF), (7, &LEAF)]);
const COMMIT: Shape = Shape(&[(3, &TREE), (100, &INLINE)]);
const GIT: Shape = Shape(&[(1, &LEAF), (2, &COMMIT)]);
const GERRIT: Shape = Shape(&[(2, &COMMIT), (3, &LEAF)]);
const ISSUE: Shape = Shape(&[
    (4, &LEAF),
    (5, &LEAF),
    (6, &LEAF),
    (8, &COMMENT),
    (10, &LEAF),
    (14, &SYNC),
    (19, &LEAF),
    (21, &LEAF),
    (22, &LEAF),
    (24, &LEAF),
    (25, &LEAF),
    (26, &EVENT),
    (27, &SYNC),
    (29, &REVIEW),
    (30, &SYNC),
    (31, &LEAF),
]);
const MUTATION: Shape = Shape(&[(1, &ISSUE), (2, &GIT), (3, &GITHUB), (4, &GERRIT)]);

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let said = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["replay", dir] => replay(Path::new(dir), Replay::Parallel)?,
        ["one-thread", dir] => replay(Path::new(dir), Replay::OneThread)?,
        ["start", dir] => start(Path::new(dir))?,
        ["floor", dir] => floor(Path::new(dir))?,
        _ => return Err("usage: figures replay|one-thread|start|floor DIR".into()),
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

fn floor(dir: &Path) -> Result<Value, Box<dyn Error>> {
    let log = Log::open(dir)?;
    let began = Instant::now();
    let (mut bytes, mut piece) = (0, vec![0; 1 << 17]);
    for file in log.files() {
        let mut file = File::open(file.path())?;
        loop {
            match file.read(&mut piece)? {
                0 => break,
                read => bytes += read,
            }
        }
    }
    let read = began.elapsed().as_secs_f64();
    let (began, mut fields) = (Instant::now(), 0);
    for file in log.files() {
        file.records(|record| {
            fields += decoded(record.bytes, &MUTATION)?;
            Ok(())
        })?;
    }
    let decode = began.elapsed().as_secs_f64();
    Ok(json!({ "read": read, "bytes": bytes, "decode": decode, "fields": fields }))
}

/// How many fields a message has, those of the messages in it included.
fn decoded(message: &[u8], shape: &Shape) -> Result<u64, WireError> {
    let (mut fields, mut seen) = (Fields::new(message), 0);
    while let Some((number, value)) = fields.read()? {
        seen += 1;
        if let (wire::Value::Bytes(bytes), Some((_, inner))) =
            (value, shape.0.iter().find(|(known, _)| *known == number))
        {
            seen += decoded(bytes, inner)?;
        }
    }
    Ok(seen)
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
