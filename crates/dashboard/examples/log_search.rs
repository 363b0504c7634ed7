//! Measures a search of many logs with the index and without it:
//! `cargo run --release -p dashboard --example log_search -- [LOGS]` (100,000 if not said).
//!
//! Logs as a compiler and a test runner write them, of 2 to 60 KiB, in SQLite in a temporary directory (about 5 KiB of disk a log).
//! One in a thousand has a panic in it, one in 20,000 names a test that no other does.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dashboard::api::LogsFound;
use dashboard::{Dashboard, DashboardParts, LogLimits};
use store::log_chunks::ChunkRow;
use store::logs::Added;
use store::results::ResultRow;
use store::{AttemptId, BuildId, Db, Micros, Objects};
use tokio_util::sync::CancellationToken;
use transport::{Service, segment};

type Failed = Box<dyn std::error::Error>;

/// A number by a number, always the same.
fn mixed(n: u64) -> u64 {
    let mut n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn log(n: u64) -> String {
    let mut text = format!("+ ./all.bash\ncommit {:016x}{:016x}\n", mixed(n), mixed(n + 1));
    let lines = 40 + mixed(n) % 1200;
    for line in 0..lines {
        let word = mixed(n * 5000 + line);
        let (package, took) = (word % 700, word % 997);
        let _ = match word % 3 {
            0 => writeln!(text, "ok  \texample.com/project/internal/part{package}\t{}.{took:03}s", took % 9),
            1 => writeln!(text, "cc -O2 -c -o build/object_{package}.o source/module_{}/file.c", took),
            _ => writeln!(text, "=== RUN   TestCase{package}/variant_{:x}", word >> 40),
        };
    }
    if n % 1000 == 7 {
        text.push_str(
            "panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\n",
        );
    }
    if n % 20_000 == 11 {
        text.push_str("--- FAIL: TestHandshakeOfTwoPeers (0.03s)\n");
    }
    text
}

async fn fill(db: &Db, logs: u64) -> Result<u64, Failed> {
    let mut bytes = 0;
    for step in (0..logs).step_by(500) {
        let mut tx = db.begin().await?;
        for n in step..logs.min(step + 500) {
            let text = log(n);
            bytes += text.len() as u64;
            let at = Micros(1_700_000_000_000_000 + n as i64 * 1_000_000);
            let mut random =
                |to: &mut [u8]| to.iter_mut().zip(mixed(n).to_le_bytes()).for_each(|(to, byte)| *to = byte);
            let (build, attempt) = (BuildId::new(at, &mut random), AttemptId::new(at, &mut random));
            let commit = format!("{n:040x}");
            let row = ResultRow {
                build,
                builder: format!("builder-{}", n % 40),
                repo: "one".into(),
                branch: "main".into(),
                revision: format!("one@{commit}"),
                subject: commit,
                class: "post_submit".into(),
                state: "done".into(),
                outcome: Some(if n % 50 == 7 { "failed" } else { "ok" }.into()),
                cause: None,
                recipe: None,
                attempts: 1,
                fence: 1,
                version: 1,
                created: at,
                started: Some(at),
                ended: Some(at),
                expected: None,
                sample: false,
            };
            store::results::put(&mut tx, &row, "{}").await?;
            store::logs::open(&mut tx, attempt, build, 1, at).await?;
            let lines = text.bytes().filter(|byte| *byte == b'\n').count() as i64;
            let size = text.len() as i64;
            let added = Added { bytes: size, lines, raw_end: size };
            store::logs::append(&mut tx, attempt, 1, 0, added, at).await?;
            let chunk = ChunkRow {
                n: 0,
                fence: 1,
                first_byte: 0,
                first_line: 0,
                bytes: size,
                lines,
                raw_end: size,
                crc32c: i64::from(crc32c::crc32c(text.as_bytes())),
                time: at,
                inline: Some(zstd::bulk::compress(text.as_bytes(), 1)?),
                object: None,
            };
            store::log_chunks::insert(&mut tx, attempt, &chunk).await?;
            store::logs::finish(&mut tx, attempt, 1, at).await?;
        }
        tx.commit().await?;
    }
    Ok(bytes)
}

/// Asks until there is no more, and says how often, how many lines, and how many logs were read.
async fn all(service: &Service, expression: &str) -> Result<(u64, usize, u64), Failed> {
    let (mut asked, mut lines, mut read, mut cursor) = (0, 0, 0, String::new());
    loop {
        let path = format!("/api/v1/logs/search?limit=200&q={}{cursor}", segment(expression));
        let found: LogsFound = service.get_json(&path).await?;
        asked += 1;
        lines += found.logs.iter().map(|log| log.hits.len()).sum::<usize>();
        read += found.read;
        match found.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok((asked, lines, read)),
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    let logs: u64 = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let db = Db::open(&"sqlite:x.db".parse()?, dir.path()).await?;
    let objects = Objects::open(&"file:objects".parse()?, dir.path())?;
    let embedded = [buildenv::embedded("linux", "amd64")];
    let config = buildenv::load(&embedded, &|_| Err(std::io::ErrorKind::NotFound.into()), None)?;
    let (_keep, config) = tokio::sync::watch::channel(Arc::new(config));
    let parts = DashboardParts { db: db.clone(), objects, config, logs: LogLimits::default() };
    let dashboard = Dashboard::new(parts);
    let service = Service::in_process(dashboard::router(&dashboard)).with_timeout(Duration::from_secs(60));

    let began = Instant::now();
    let bytes = fill(&db, logs).await?;
    println!("{logs} logs, {:.0} MB, written in {:.0?}", bytes as f64 / 1e6, began.elapsed());
    let expressions = [
        r"panic: .* index out of range",
        r"--- FAIL: TestHandshake\w+",
        r"(?i)no such file or (directory|folder)",
        r"part123\t[0-8]\.99",
    ];
    let began = Instant::now();
    let (asked, lines, read) = all(&service, expressions[0]).await?;
    let scanned = began.elapsed();
    println!("without the index: {lines} lines of {read} logs read in {scanned:.1?}, {asked} requests");

    let began = Instant::now();
    let stop = CancellationToken::new();
    let indexing = tokio::spawn({
        let stop = stop.clone();
        async move { dashboard.index_logs(stop).await }
    });
    while !store::log_index::wanted(&mut db.read().await?, 1).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    indexing.await?;
    println!("index made in {:.1?}", began.elapsed());
    for expression in expressions {
        let began = Instant::now();
        let (asked, lines, read) = all(&service, expression).await?;
        let took = began.elapsed();
        let times = scanned.as_secs_f64() / took.as_secs_f64();
        println!(
            "{expression}: {lines} lines, {read} logs read, {asked} requests, {took:.2?}: 1/{times:.0} of reading all"
        );
    }
    Ok(())
}
