//! Prints what the mirror costs: `cargo run --release -p gitmirror --example cost -- PATH_OF_A_REPOSITORY`.
//!
//! CPU time is that of this process and of its ended children (user and system), by `/proc/self/stat`.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use gitmirror::{Mirror, MirrorConfig, RepoConfig};
use http::Request;
use tokio_util::sync::CancellationToken;
use transport::Service;

const TIMES: u32 = 2000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::path::absolute(std::env::args().nth(1).ok_or("the path of a repository is missing")?)?;
    let dir = std::env::temp_dir().join(format!("gitmirror-cost-{}", std::process::id()));
    let mirror = Mirror::open(MirrorConfig {
        dir: dir.join("mirrors"),
        cache_bytes: 1 << 30,
        repos: vec![RepoConfig::new("r", path.to_str().ok_or("not UTF-8")?)],
        git: git::GitConfig::new(dir.join("home")),
    })
    .await?;
    let shutdown = CancellationToken::new();
    let dashboard = Service::in_process(Router::new().fallback(async || "{}"));
    let started = Instant::now();
    let run = tokio::spawn({
        let (mirror, shutdown) = (mirror.clone(), shutdown.clone());
        async move { mirror.run(dashboard, shutdown).await }
    });
    let state = mirror.wait_first_round("r").await.ok_or("no such repository")?;
    println!("first round          {:>9.1} ms", started.elapsed().as_secs_f64() * 1e3);
    let head = state.head.ok_or_else(|| state.reason.unwrap_or_default())?;
    let web = Service::in_process(gitmirror::router(&mirror));
    let mut size = 0;
    for (what, times) in [("archive, first time  ", 1), ("archive, kept        ", TIMES)] {
        let (began, cpu) = (Instant::now(), cpu()?);
        for _ in 0..times {
            let request = Request::get(format!("/r.tar.gz?rev={head}")).body(Body::empty())?;
            let answer = web.send_ok(request).await?;
            size = axum::body::to_bytes(answer.into_body(), usize::MAX).await?.len();
        }
        report(what, began, cpu, times)?;
    }
    println!("its size             {size:>9} bytes");
    let (began, before) = (Instant::now(), cpu()?);
    for _ in 0..20 {
        mirror.hint_and_wait("r").await.ok_or("the round did not end")?;
    }
    report("round without news   ", began, before, 20)?;
    let before = cpu()?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    println!("idle                 {:>9.3} ms CPU per s", (cpu()? - before) * 1e3 / 10.0);
    shutdown.cancel();
    run.await?;
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

fn report(what: &str, began: Instant, cpu_before: f64, times: u32) -> Result<(), Box<dyn std::error::Error>> {
    let each = |seconds: f64| seconds * 1e3 / f64::from(times);
    println!(
        "{what}{:>9.3} ms, {:.3} ms CPU",
        each(began.elapsed().as_secs_f64()),
        each(cpu()? - cpu_before)
    );
    Ok(())
}

/// CPU time so far, in seconds, of this process and its ended children.
fn cpu() -> Result<f64, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks: u64 = fields[11..15].iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / 100.0)
}
