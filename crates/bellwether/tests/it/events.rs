//! Events over a server that is killed: what was told is what happened.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::{File, GitRepo, Server, ServerOptions, wait_for, workers};

const PROJECT: &str = r#"
[builder.one]
recipe = "r"

[builder.two]
recipe = "r"

[recipe.r]
run = "grep -q ok result"
"#;

/// Ends the workers of a data directory.
struct Workers<'a>(&'a Path);

impl Drop for Workers<'_> {
    fn drop(&mut self) {
        for worker in workers(self.0) {
            // It may have ended by itself meanwhile.
            let _ = worker.kill();
        }
    }
}

/// What there is after a number, as a client that comes back with it is told.
fn since(server: &Server, after: u64) -> anyhow::Result<Vec<Value>> {
    let answer = server.request("GET", &format!("/api/v1/events?follow=false&after={after}"), None, None)?;
    anyhow::ensure!(answer.status == 200, "status {}", answer.status);
    let text = String::from_utf8(answer.body)?;
    text.lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| Ok(serde_json::from_str(data)?))
        .collect()
}

fn builds(server: &Server) -> anyhow::Result<Vec<Value>> {
    let list = server.request("GET", "/api/v1/builds?limit=1000", None, None)?.json()?;
    Ok(list["builds"].as_array().cloned().unwrap_or_default())
}

#[test]
fn events_are_the_history_of_builds_over_reconnects_and_a_killed_server() {
    let dir = tempfile::tempdir().unwrap();
    let mut repo = GitRepo::create(&dir.path().join("app")).unwrap();
    repo.commit("first", &[("bellwether.toml", File::Text(PROJECT)), ("result", File::Text("ok\n"))])
        .unwrap();
    let data = dir.path().join("data");
    let _workers = Workers(&data);
    let mut server = Server::start(ServerOptions {
        program: env!("CARGO_BIN_EXE_bellwether").into(),
        data: data.clone(),
        arguments: vec![repo.dir().to_string_lossy().into_owned()],
        environment: Vec::new(),
    })
    .unwrap();
    let (mut seen, mut last) = (Vec::new(), 0);
    for round in 0..4_usize {
        let result = if round % 2 == 0 { "ok\n" } else { "bad\n" };
        repo.commit(
            &format!("round {round}"),
            &[("result", File::Text(result)), ("n", File::Text(&round.to_string()))],
        )
        .unwrap();
        // Something of this round has begun, and is killed in whatever state it is.
        wait_for("news", Duration::from_secs(180), || {
            let news = since(&server, last)?;
            if let Some(newest) = news.last() {
                last = newest["id"].as_u64().unwrap();
            }
            seen.extend(news);
            let head = repo.git(&["rev-parse", "HEAD"])?;
            let of_head =
                |event: &&Value| event["revision"].as_str().is_some_and(|text| text.contains(head.trim()));
            let builds = seen.iter().filter(of_head).filter(|event| event["kind"] != "commit").count();
            // A build of a moment is told of once: there may be no more than two.
            Ok((builds > round % 2).then_some(()))
        })
        .unwrap();
        server.crash().unwrap();
        server.resume().unwrap();
    }
    wait_for("the end of all builds", Duration::from_secs(180), || {
        let list = builds(&server)?;
        Ok((list.len() >= 8 && list.iter().all(|build| build["state"] == "done")).then_some(()))
    })
    .unwrap();
    seen.extend(since(&server, last).unwrap());
    let numbers: Vec<u64> = seen.iter().map(|event| event["id"].as_u64().unwrap()).collect();
    assert_eq!(
        numbers,
        (1..=numbers.len() as u64).collect::<Vec<_>>(),
        "none is missing and none came twice"
    );
    let mut of: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for event in seen.iter().filter(|event| event["kind"] != "commit") {
        of.entry(event["build"].as_str().unwrap()).or_default().push(event);
    }
    let list = builds(&server).unwrap();
    assert_eq!(of.len(), list.len(), "each build is told of, and no other");
    for build in &list {
        let told = &of[build["id"].as_str().unwrap()];
        let finished: Vec<_> = told.iter().filter(|event| event["kind"] == "finished").collect();
        assert_eq!(finished.len(), 1, "{build:#} {told:#?}");
        assert_eq!(finished[0]["outcome"], build["outcome"]);
        assert_eq!(told.last().unwrap()["kind"], "finished");
        assert_eq!(finished[0]["builder"], build["builder"]);
    }
    // The command says the same.
    let out = Command::new(env!("CARGO_BIN_EXE_bellwether"))
        .args(["events", "--json", "--server", &server.address().to_string(), "--data"])
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8(out.stdout).unwrap();
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said, seen);
    server.interrupt().unwrap();
}
