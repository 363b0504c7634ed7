//! Measures what a window of the grid costs in a small and in a large world, as design §8 wants it:
//! `cargo run --release -p dashboard --example grid_window`; with `--json` a line for programs.
//!
//! 30 commits × 100 columns out of 100 builders × 1,000 commits, and out of 10,000 × 100,000, on SQLite. In both worlds each
//! of the newest 30 commits has a build on every builder, a tenth of them red.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use dashboard::{Dashboard, DashboardParts, LogLimits};
use store::branches::BranchRow;
use store::commits::CommitRow;
use store::repos::RepoRow;
use store::results::ResultRow;
use store::{BuildId, Db, Micros, Objects};
use transport::Service;

const ROUNDS: usize = 15;
const WINDOW: u32 = 30;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Outcome<()> {
    let small = measure(100, 1_000).await?;
    let large = measure(10_000, 100_000).await?;
    if std::env::args().any(|word| word == "--json") {
        let of = |found: &[(Duration, usize); 2]| {
            found.map(|(time, bytes)| serde_json::json!({"ms": time.as_secs_f64() * 1e3, "bytes": bytes}))
        };
        println!("{}", serde_json::json!({"small": of(&small), "large": of(&large)}));
        return Ok(());
    }
    for (n, what) in ["page", "JSON"].iter().enumerate() {
        let ratio = large[n].0.as_secs_f64() / small[n].0.as_secs_f64();
        let bytes = large[n].1 as f64 / small[n].1 as f64;
        println!(
            "{what}: {:.1} ms and {} kB, then {:.1} ms and {} kB: {ratio:.2} times the time, {bytes:.2} times the bytes",
            small[n].0.as_secs_f64() * 1e3,
            small[n].1 / 1000,
            large[n].0.as_secs_f64() * 1e3,
            large[n].1 / 1000,
        );
    }
    Ok(())
}

/// Returns the least time and the size of a window as a page and as JSON.
async fn measure(builders: u32, commits: u32) -> Outcome<[(Duration, usize); 2]> {
    let dir = tempfile::tempdir()?;
    let db = Db::open(&"sqlite:x.db".parse()?, dir.path()).await?;
    let objects = Objects::open(&"file:objects".parse()?, dir.path())?;
    let mut text =
        String::from("[repo.one]\nurl = \"https://example.com/one\"\n[recipe.r]\nrun = \"true\"\n");
    for n in 0..builders {
        text += &format!("[builder.{}]\nhost = \"local\"\nrecipe = \"r\"\n", name(n));
    }
    let sources = [buildenv::embedded("linux", "amd64"), buildenv::Source::server("server.toml", text)];
    let config = buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None)?;
    let (_keep, config) = tokio::sync::watch::channel(Arc::new(config));
    fill(&db, builders, commits).await?;
    let dashboard = Dashboard::new(DashboardParts { db, objects, config, logs: LogLimits::default() });
    let service = Service::in_process(dashboard::router(&dashboard));
    let mut found = [(Duration::ZERO, 0); 2];
    for (found, path) in found.iter_mut().zip(["/grid?repo=one", "/grid.json?repo=one"]) {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let answer = service.send_ok(http::Request::get(path).body(Body::empty())?).await?;
            found.1 = axum::body::to_bytes(answer.into_body(), 64 << 20).await?.len();
            times.push(began.elapsed());
        }
        // Other work on the machine only ever adds.
        found.0 = times.into_iter().min().unwrap_or_default();
    }
    Ok(found)
}

fn name(n: u32) -> String {
    format!("sys{:02}-cpu-{n:05}", n / 500)
}

async fn fill(db: &Db, builders: u32, commits: u32) -> Outcome<()> {
    let mut tx = db.begin().await?;
    let head = Some(format!("{commits:040x}"));
    let repo = RepoRow {
        name: "one".into(),
        state: "ok".into(),
        reason: None,
        default_branch: Some("main".into()),
        head: head.clone(),
        visibility: "public".into(),
        updated: Micros(0),
    };
    store::repos::put(&mut tx, &repo).await?;
    let (repo, branch) = ("one".to_owned(), "main".to_owned());
    let row = BranchRow { repo, branch, head, is_default: true, deleted: false, updated: Micros(0) };
    store::branches::put(&mut tx, &row).await?;
    for n in 1..=commits {
        let commit = CommitRow {
            hash: format!("{n:040x}"),
            parents: Vec::new(),
            author_name: "Ada".into(),
            author_email: None,
            time: Micros(i64::from(n)),
            message: format!("commit {n}"),
        };
        store::commits::insert(&mut tx, "one", &commit).await?;
        store::branch_commits::insert(&mut tx, "one", "main", i64::from(n), &commit.hash).await?;
    }
    for commit in commits - WINDOW + 1..=commits {
        for n in 0..builders {
            let outcome = if (n + commit) % 10 == 0 { "failed" } else { "ok" };
            let hash = format!("{commit:040x}");
            let at = Micros(i64::from(commit) * 1_000_000);
            let row = ResultRow {
                build: BuildId::generate(at),
                builder: name(n),
                repo: "one".into(),
                branch: "main".into(),
                revision: format!("one@{hash}"),
                subject: hash,
                class: "post_submit".into(),
                state: "done".into(),
                outcome: Some(outcome.into()),
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
        }
    }
    tx.commit().await?;
    Ok(())
}
