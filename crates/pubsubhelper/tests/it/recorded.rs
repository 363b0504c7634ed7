//! Payloads that GitHub has really sent, as its own people keep them.

use std::process::Command;

use axum::body::Body;
use http::Request;
use jiff::Timestamp;
use serde_json::Value;

use crate::world::{World, config};

/// All that were recorded, each with the name of its event.
fn payloads() -> Vec<(String, Value)> {
    let package = testkit::component_file("github-webhook-examples").unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-xzO", "--occurrence=1", "-f"]).arg(package).arg("package/api.github.com/index.json");
    let output = tar.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let events: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let mut all = Vec::new();
    for event in events {
        let name = event["name"].as_str().unwrap();
        all.extend(
            event["examples"].as_array().unwrap().iter().map(|example| (name.to_owned(), example.clone())),
        );
    }
    all
}

#[tokio::test]
async fn every_recorded_payload_is_read_and_those_of_issues_make_events() {
    let on = World::sqlite(config()).await;
    let payloads = payloads();
    assert_eq!(payloads.len(), 329);
    let mut expected = Vec::new();
    for (name, payload) in &payloads {
        let body = payload.to_string();
        let before = on.hub.recent(Timestamp::MIN).len();
        let request = Request::post("/github-webhook")
            .header("x-hub-signature-256", super::http::sign(body.as_bytes()));
        let answer = on.ask(request.header("x-github-event", name).body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status(), 200);
        let number = |key: &str| {
            payload[key].as_object().map(|about| about.get("number").and_then(Value::as_i64).unwrap_or(0))
        };
        let (issue, pull) = (number("issue"), number("pull_request"));
        let repo = payload["repository"]["full_name"].as_str();
        let known = expected.contains(&payload);
        let made = on.hub.recent(Timestamp::MIN).len() - before;
        match repo.filter(|_| issue.is_some() || pull.is_some()) {
            Some(repo) if !known => {
                assert_eq!(made, 1, "{name}");
                let events = on.hub.recent(Timestamp::MIN);
                let newest = events.iter().max_by_key(|event| event.time).unwrap();
                let event = newest.github.as_ref().unwrap();
                assert_eq!(format!("{}/{}", event.repo_owner, event.repo), repo, "{name}");
                assert_eq!(
                    (event.issue_number, event.pull_request_number),
                    (issue.unwrap_or(0), pull.unwrap_or(0))
                );
                assert_eq!(event.action, payload["action"].as_str().unwrap_or_default());
                expected.push(payload);
            }
            // The same bytes are the same webhook.
            _ => assert_eq!(made, 0, "{name}"),
        }
    }
    assert!(expected.len() > 70, "{}", expected.len());
}

/// What the followers' tests are told by is what GitHub signs.
#[tokio::test]
async fn webhooks_of_the_github_of_tests_are_taken() {
    let on = World::sqlite(config()).await;
    let github = testkit::github::GitHub::new(
        3,
        testkit::github::Options::default(),
        std::sync::Arc::new(|| 1_500_000_000),
    );
    for _ in 0..30 {
        github.step();
    }
    let webhooks = github.webhooks();
    assert!(webhooks.len() > 10);
    for webhook in &webhooks {
        let request =
            Request::post("/github-webhook").header("x-hub-signature-256", webhook.signature("s3cr3t"));
        on.ask(request.body(Body::from(webhook.body.clone())).unwrap()).await;
        let request =
            Request::post("/github-webhook").header("x-hub-signature-256", webhook.signature("another"));
        on.ask(request.body(Body::from(webhook.body.clone())).unwrap()).await;
    }
    let events = on.hub.recent(Timestamp::MIN);
    // The same bytes are the same webhook.
    let distinct: std::collections::BTreeSet<_> = webhooks.iter().map(|webhook| &webhook.body).collect();
    assert_eq!(events.len(), distinct.len());
    let github = |event: &pubsubhelper::Event| event.github.clone().unwrap();
    assert!(events.iter().all(|event| github(event).repo == "go" && github(event).issue_number > 0));
}
