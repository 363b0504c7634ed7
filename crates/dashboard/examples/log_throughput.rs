//! Measures how fast a log goes in and comes out: `cargo run --release -p dashboard --example log_throughput`.
//!
//! A 13 MB log of lines as a compiler writes them, in chunks of 256 KiB, over a TCP connection to a dashboard with
//! SQLite and local files in a temporary directory.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use dashboard::api::LogRange;
use dashboard::client::{DashboardClient, LogOf};
use dashboard::{Dashboard, DashboardParts, LogLimits};
use store::{AttemptId, BuildId, Db, Micros, Objects};
use transport::Service;

const ROUNDS: usize = 5;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let db = Db::open(&"sqlite:x.db".parse()?, dir.path()).await?;
    let objects = Objects::open(&"file:objects".parse()?, dir.path())?;
    let config = buildenv::load(
        &[buildenv::embedded("linux", "amd64")],
        &|_| Err(std::io::ErrorKind::NotFound.into()),
        None,
    )?;
    let (_keep, config) = tokio::sync::watch::channel(Arc::new(config));
    let dashboard = Dashboard::new(DashboardParts { db, objects, config, logs: LogLimits::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = dashboard::routes(&dashboard).behind_token("bench");
    let server = tokio::spawn(async move { dashboard::serve(router, listener, Default::default()).await });
    let client = DashboardClient::new(Service::url(&url).with_bearer("bench"));

    let mut text = String::new();
    for n in 0.. {
        writeln!(
            text,
            "{n:08} cc -O2 -c -o build/object_{}.o source/module_{}/file_{}.c",
            n * 7919,
            n % 97,
            n
        )?;
        if text.len() > 13_000_000 {
            break;
        }
    }
    let log = Bytes::from(text);
    for _ in 0..ROUNDS {
        let now = Micros::now();
        let (attempt, build) = (AttemptId::generate(now).to_string(), BuildId::generate(now).to_string());
        let began = Instant::now();
        let mut state = client.log_open(&attempt, &build, 1).await?;
        while state.bytes < log.len() as u64 {
            let from = state.bytes as usize;
            let to = log.len().min(from + (256 << 10));
            let part = log.slice(from..to);
            state = client.log_put(&attempt, 1, state.next_n, from as u64, to as u64, part).await?;
        }
        client.log_finish(&attempt, 1).await?;
        let written = began.elapsed();
        let began = Instant::now();
        let read = client.log_bytes(LogOf::Attempt(&attempt), LogRange::All, 1 << 30).await?;
        let read_in = began.elapsed();
        assert_eq!(read, log, "the log comes back as it was written");
        let began = Instant::now();
        let found = client.log_search(LogOf::Attempt(&attempt), "file_9999", false, 1000).await?;
        let searched = began.elapsed();
        let speed = |time: std::time::Duration| log.len() as f64 / 1e6 / time.as_secs_f64();
        println!(
            "in {:.0} MB/s · out {:.0} MB/s · search {:.0} MB/s ({} hits)",
            speed(written),
            speed(read_in),
            speed(searched),
            found.hits.len()
        );
    }
    server.abort();
    Ok(())
}
