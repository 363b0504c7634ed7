//! Measures the agent from outside: idle memory, `true` as a command, a wipe, and output through the spool.
//!
//! `cargo build --release -p buildlet && cargo run --release -p buildlet --example latency [BUILDLET]`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a measuring tool")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use buildlet_client::{Address, BuildletClient, ExecRequest, OriginalExec, OriginalMode};
use futures::StreamExt as _;

fn request(id: String, script: Option<&str>) -> ExecRequest {
    let argv = match script {
        None => vec!["true".to_owned()],
        Some(script) => vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()],
    };
    ExecRequest { id, argv, ..ExecRequest::default() }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!("{what}: p50 {:.2} ms, p95 {:.2} ms ({} runs)", at(50), at(95), times.len());
}

async fn measure(client: &BuildletClient, pid: u32) {
    let status = client.status().await.unwrap().bellwether.unwrap();
    println!("limits {}, isolation {}", status.limits, status.isolation);
    let memory = || {
        let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = |name: &str| {
            text.lines().find(|l| l.starts_with(name)).unwrap().split_whitespace().nth(1).unwrap().to_owned()
        };
        format!("VmRSS {} kB, RssAnon {} kB", line("VmRSS"), line("RssAnon"))
    };
    println!("idle memory: {}", memory());
    let mut bw1 = Vec::new();
    let mut original = Vec::new();
    for n in 0..200 {
        let started = Instant::now();
        let id = format!("t{n}");
        client.start(&request(id.clone(), None)).await.unwrap();
        let state = client.exec_state(&id, Duration::from_secs(10)).await.unwrap();
        assert_eq!(state.process_state, "ok");
        bw1.push(started.elapsed());
        let started = Instant::now();
        let exec = OriginalExec { cmd: "true".into(), mode: OriginalMode::System, ..OriginalExec::default() };
        let mut stream = client.exec_original(&exec).await.unwrap();
        while stream.next().await.is_some() {}
        original.push(started.elapsed());
    }
    report("/bw1/exec true (start and end)", bw1);
    report("/exec true (the original's)", original);
    let mut wipes = Vec::new();
    for _ in 0..50 {
        let started = Instant::now();
        assert!(client.wipe().await.unwrap().clean);
        wipes.push(started.elapsed());
    }
    report("/bw1/wipe of an empty work directory", wipes);
    let started = Instant::now();
    client.start(&request("big".into(), Some("head -c 200000000 /dev/zero"))).await.unwrap();
    let mut stream = client.output("big", 0).await.unwrap();
    let mut bytes = 0_u64;
    while let Some(chunk) = stream.next().await {
        bytes += chunk.unwrap().len() as u64;
    }
    println!("output: {:.0} MB/s through the spool", bytes as f64 / 1e6 / started.elapsed().as_secs_f64());
    assert_eq!(bytes, 200_000_000);
    assert!(client.wipe().await.unwrap().clean);
    println!("memory after: {}", memory());
}

fn main() {
    let beside = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("buildlet");
    let binary = std::env::args_os().nth(1).map_or(beside, PathBuf::from);
    println!("binary: {:.1} MB", std::fs::metadata(&binary).unwrap().len() as f64 / 1e6);
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s/agent.sock");
    let mut agent = std::process::Command::new(binary)
        .args(["--listen", &format!("unix:{}", socket.display()), "--workdir"])
        .arg(dir.path().join("work"))
        .arg("--state-dir")
        .arg(dir.path().join("state"))
        .env("BELLWETHER_LOG", "error")
        .spawn()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pid = agent.id();
    runtime.block_on(async {
        let client = BuildletClient::new(Address::Unix(socket), None);
        while client.status().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        measure(&client, pid).await;
        client.halt().await.unwrap();
    });
    agent.wait().unwrap();
}
