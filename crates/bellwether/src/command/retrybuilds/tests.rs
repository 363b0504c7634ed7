use super::*;
use axum::Router;
use axum::extract::{Path, RawQuery};
use axum::routing::{get, post};
use clap::Parser as _;
use dashboard::api::{AttemptReport, BuildList, BuildState, FailureLine, FoundLog, LogsFound};
use std::sync::{Arc, Mutex};
use transport::Service;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Retrybuilds,
}

fn args(words: &[&str]) -> Retrybuilds {
    Line::parse_from(["x"].iter().chain(words)).args
}

fn build(n: u32) -> BuildReport {
    let failure = Failure {
        rule: "go-test".into(),
        test: Some(format!("TestDial/{n}")),
        headline: format!("--- FAIL: TestDial/{n}"),
        line: 3,
        lines: vec![FailureLine {
            line: 4,
            text: if n.is_multiple_of(2) { "connection reset" } else { "7 != 8" }.into(),
        }],
        signature: None,
    };
    let attempt = serde_json::json!({"id": "a", "number": 1, "worker": format!("w{n}"), "host": "local"});
    let attempt: AttemptReport = serde_json::from_value(attempt).unwrap();
    let doc = serde_json::json!({
        "id": format!("B{n}"), "builder": "linux", "repo": "app", "branch": "main",
        "revision": format!("app@{n:04x}{}", "0".repeat(36)), "class": "post_submit", "state": BuildState::Done,
        "outcome": Outcome::Failed, "fence": 1, "version": 1, "created": "2026-03-04T00:00:00Z",
    });
    let mut report: BuildReport = serde_json::from_value(doc).unwrap();
    (report.failure, report.attempts) = (Some(failure), vec![attempt]);
    report
}

fn summary(n: u32) -> BuildSummary {
    let report = build(n);
    BuildSummary {
        id: report.id,
        builder: report.builder,
        repo: report.repo,
        branch: report.branch,
        revision: report.revision,
        class: report.class,
        state: report.state,
        outcome: report.outcome,
        cause: None,
        attempts: 1,
        created: report.created,
        started: None,
        ended: None,
        expected_ms: None,
    }
}

/// A server with builds 1 to 6 that failed, of which 6 can't be retried; it notes which are.
fn server(retried: &Arc<Mutex<Vec<String>>>) -> Remote {
    let list = |RawQuery(query): RawQuery| async move {
        let failed = query.unwrap().contains("outcome=failed");
        let builds = if failed { (1..=6).rev().map(summary).collect() } else { Vec::new() };
        axum::Json(BuildList { builds, next_cursor: None })
    };
    let one = |Path(id): Path<String>| async move { axum::Json(build(id[1..].parse().unwrap())) };
    let log = |Path(id): Path<String>| async move {
        if id == "B5" { "killed\n".to_owned() } else { "ok\n".repeat(40) }
    };
    let retried = Arc::clone(retried);
    let again = move |Path(id): Path<String>| async move {
        if id == "B6" {
            return Err((http::StatusCode::CONFLICT, "no"));
        }
        retried.lock().unwrap().push(id.clone());
        Ok(axum::Json(serde_json::json!({"id": id, "revision": "r", "state": "queued", "new": false})))
    };
    let search = |RawQuery(query): RawQuery| async move {
        let found = FoundLog {
            build: "B3".into(),
            attempt: "a".into(),
            builder: "linux".into(),
            repo: "app".into(),
            branch: "main".into(),
            revision: String::new(),
            outcome: None,
            created: Timestamp::UNIX_EPOCH,
            hits: Vec::new(),
            more: false,
        };
        let logs = if query.unwrap().contains("outcome=failed") { vec![found] } else { Vec::new() };
        axum::Json(LogsFound { logs, indexed: true, ..LogsFound::default() })
    };
    let failures = || async {
        let hash = format!("{:04x}{}", 2, "0".repeat(36));
        format!("{hash} linux https://x/dash/log/abcd12\nbroken line\n{hash} other https://x/dash/log/ffff\n")
    };
    let router = Router::new()
        .route("/api/v1/builds", get(list))
        .route("/api/v1/builds/{id}", get(one))
        .route("/api/v1/builds/{id}/log", get(log))
        .route("/api/v1/builds/{id}/tests", get(|| async { axum::Json(serde_json::json!({"tests": []})) }))
        .route("/api/v1/builds/{id}/retry", post(again))
        .route("/api/v1/logs/search", get(search))
        .route("/dash/", get(failures));
    Remote::of(Service::in_process(router), "http://x")
}

async fn found(words: &[&str]) -> Vec<String> {
    let args = args(words);
    let now = "2026-03-05T00:00:00Z".parse().unwrap();
    let wanted = Wanted::of(&args, now).unwrap();
    let found = find(&server(&Arc::default()), &args, &wanted).await.unwrap();
    found.builds.into_iter().map(|one| one.build).collect()
}

#[tokio::test]
async fn builds_are_found_by_all_that_is_given() {
    assert_eq!(found(&["--failure", "connection (reset|refused)"]).await, ["B6", "B4", "B2"]);
    assert_eq!(found(&["--failure", ""]).await.len(), 6);
    assert_eq!(found(&["--test", "^TestDial/[12]$"]).await, ["B2", "B1"]);
    assert_eq!(found(&["--hash", "0003"]).await, ["B3"]);
    assert_eq!(found(&["--machine", "w4"]).await, ["B4"]);
    assert_eq!(found(&["--host", "local", "--hash", "0001"]).await, ["B1"]);
    assert_eq!(found(&["--host", "other"]).await, [""; 0]);
    assert_eq!(found(&["--log", "anything"]).await, ["B3"]);
    assert_eq!(found(&["--loghash", "ABCD"]).await, ["B2"]);
    assert_eq!(found(&["--redo-flaky"]).await, ["B5"]);
    assert_eq!(found(&["--builder", "linux", "--since", "12h"]).await, [""; 0]);
}

#[test]
fn what_says_nothing_or_nonsense_is_refused() {
    let now = Timestamp::UNIX_EPOCH;
    for bad in [
        &[][..],
        &["--hash", "zz"],
        &["--failure", "("],
        &["--builder", "x", "--outcome", "ok"],
        &["--hash", "abc"],
    ] {
        assert!(Wanted::of(&args(bad), now).is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn each_is_queued_once_and_what_is_refused_is_said() {
    let retried = Arc::default();
    let remote = server(&retried);
    let builds = [2, 6].map(|n| One::of(&summary(n))).into();
    let found = retry(&remote, Found { builds, ..Found::default() }).await;
    assert_eq!(*retried.lock().unwrap(), ["B2"]);
    assert!(found.builds[0].queued_again && found.builds[0].error.is_none());
    assert!(!found.builds[1].queued_again && found.builds[1].error.is_some());
}
