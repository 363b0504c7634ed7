//! How long it takes from the call that appends a mutation to our log until a client that follows the log over HTTP has it, as
//! JSON. Leader, server and client are in one process, with one clock, and speak over loopback.
//!
//! - `seen FOLDER COUNT`: our client, which is asked for its newest corpus
//! - `seen FOLDER COUNT PROGRAM`: the original's, in the process `PROGRAM follow` (interop/netsource), which says what comes
//!
//! FOLDER has the log's segments, to which the mutations are appended one after another, at random pauses of up to 40 ms. For
//! `cargo xtask bench --only corpus`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use edge::{Edge, Limits};
use maintner::journal::Options;
use maintner::leader::Leader;
use maintnerd::logs::{Logs, LogsConfig, routes};
use prost::Message as _;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc::{Sender, channel};
use tokio_util::sync::CancellationToken;
use transport::Viewer;

/// The longest pause between two mutations, in milliseconds.
const PAUSE: u64 = 40;
/// Nobody takes so long who is not hung up.
const PATIENCE: Duration = Duration::from_secs(120);
/// What is seen waits to be counted until all is appended; its time was taken before.
const WAITING: usize = 1 << 16;
/// From which the pauses are made.
const SEED: u64 = 1;

type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, count, theirs) = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [folder, count] => (PathBuf::from(folder), count.parse()?, None),
        [folder, count, program] => (PathBuf::from(folder), count.parse()?, Some(program)),
        _ => return Err("usage: seen FOLDER COUNT [PROGRAM]".into()),
    };
    let leader = Leader::open(&folder, Options::default()).await?;
    let logs = Logs::new(folder, leader.journal().committed(), LogsConfig::default());
    let router = routes(&logs, maintnerd::Readers::All).into_router().layer(from_fn(
        |mut request: Request, next: Next| {
            request.extensions_mut().insert(Viewer::stranger(true));
            next.run(request)
        },
    ));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (index, stop) = (format!("http://{}/logs", listener.local_addr()?), CancellationToken::new());
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { Edge::new(Limits::default()).serve(listener, router, stop).await }
    });
    let cache = tempfile::tempdir()?;
    let times = {
        let (said, mut seen) = channel(WAITING);
        let before = leader.live().corpus().records;
        let following = match theirs {
            None => tokio::spawn(ours(index, cache.path().to_path_buf(), said)),
            Some(program) => {
                tokio::spawn(original(program.to_owned(), index, cache.path().to_path_buf(), said))
            }
        };
        // All that is there already.
        while tokio::time::timeout(PATIENCE, seen.recv()).await?.ok_or("the client ended")?.0 < before {}
        let appended = append(&leader, count).await?;
        let mut times = Vec::with_capacity(count);
        while times.len() < count {
            let (records, at) =
                tokio::time::timeout(PATIENCE, seen.recv()).await?.ok_or("the client ended")?;
            while (times.len() as u64) < records - before {
                times.push((at - appended[times.len()]).as_secs_f64() * 1e3);
            }
        }
        following.abort();
        times
    };
    stop.cancel();
    logs.end();
    serving.await?;
    let mut times = times;
    times.sort_by(f64::total_cmp);
    let part = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
    println!(
        "{}",
        json!({
            "mutations": count, "p50": part(50), "p99": part(99), "max": part(100), "bytes": leader.live().corpus().log.len(),
        })
    );
    Ok(())
}

/// Appends mutations, and says when each was handed over.
async fn append(leader: &Leader, count: usize) -> Done<Vec<Instant>> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut appended = Vec::with_capacity(count);
    for number in 0..count {
        tokio::time::sleep(Duration::from_micros(random.u64(0..PAUSE * 1000))).await;
        let issue = maintpb::GithubIssueMutation {
            owner: "golang".into(),
            repo: "go".into(),
            number: 10_000_000 + i32::try_from(number)?,
            title: format!("issue {number}"),
            body: "It was not there a moment ago. ".repeat(random.usize(1..40)),
            ..Default::default()
        };
        let mutation = maintpb::Mutation { github_issue: Some(issue), ..Default::default() };
        appended.push(Instant::now());
        leader.append(vec![mutation.encode_to_vec()]).await?;
    }
    Ok(appended)
}

/// Says how many records our client has, and when it had them.
async fn ours(index: String, cache: PathBuf, said: Sender<(u64, Instant)>) -> Done {
    let godata = godata::get(godata::Config::at(&index, cache)).await?;
    let mut updates = godata.updates();
    said.send((godata.corpus().records, Instant::now())).await?;
    while let Some(corpus) = updates.next().await {
        said.send((corpus.records, Instant::now())).await?;
    }
    Ok(())
}

/// Says how many records the original's client has handed on, and when it had done so.
async fn original(program: String, index: String, cache: PathBuf, said: Sender<(u64, Instant)>) -> Done {
    let mut child = Command::new(program)
        .arg("follow")
        .arg(index)
        .arg::<&Path>(&cache)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("its output is ours")?).lines();
    let mut records = 0;
    while let Some(line) = lines.next_line().await? {
        let at = Instant::now();
        records += line.strip_prefix("round ").ok_or_else(|| format!("it says {line:?}"))?.parse::<u64>()?;
        said.send((records, at)).await?;
    }
    Ok(())
}
