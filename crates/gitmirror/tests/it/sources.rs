//! Sources that are there, are not, or never answer.

use std::time::Duration;

use gitmirror::{Health, RepoConfig};
use http::StatusCode;

use crate::fixture::{Fixture, Source, until};

#[tokio::test]
async fn a_source_that_cannot_be_fetched_blocks_with_its_reason() {
    let fixture = Fixture::new();
    let empty = Source(fixture.path("empty"));
    std::fs::create_dir(&empty.0).unwrap();
    empty.run(&["init", "-q", "-b", "main"]);
    let repos = vec![
        fixture.repo("missing", &fixture.path("missing")),
        fixture.repo("empty", &empty.0),
        RepoConfig::new("option", "--upload-pack=touch /tmp/x"),
        RepoConfig::new("helper", "ext::sh -c touch% /tmp/x"),
    ];
    let running = fixture.start(repos).await;
    for (name, word) in [
        ("missing", "does not exist"),
        ("empty", "no commits yet"),
        ("option", "begins with '-'"),
        ("helper", "not allowed"),
    ] {
        let state = running.first(name).await;
        assert_eq!(state.state, Health::Blocked, "{name}");
        assert!(state.reason.as_ref().is_some_and(|reason| reason.contains(word)), "{:?}", state.reason);
        assert!(state.status.starts_with("broken"), "{}", state.status);
        let repo = fixture.dashboard.told().repos[&format!("/api/v1/repos/{name}")].clone();
        assert_eq!(
            (repo["state"].as_str(), repo["reason"].as_str()),
            (Some("blocked"), state.reason.as_deref())
        );
    }
    let (status, text) = running.get("/healthz").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text.starts_with("empty: "), "{text}");
    // As soon as there is something, it is built.
    let head = empty.commit("first");
    until("the first commit is posted", || fixture.dashboard.head("empty", "main").as_ref() == Some(&head))
        .await;
    assert_eq!(running.mirror.state("empty").unwrap().state, Health::Ok);
    running.stop().await;
    assert_eq!(fixture.alive(), 0);
}

#[tokio::test]
async fn a_remote_that_never_answers_ends_with_no_git_left() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let mut fixture = Fixture::new();
    fixture.limits.listing = Duration::from_millis(200);
    let running = fixture.start(vec![RepoConfig::new("r", format!("http://{at}/x"))]).await;
    let state = running.first("r").await;
    assert!(state.reason.is_some_and(|reason| reason.contains("did not end within")), "its reason");
    running.stop().await;
    // What was killed takes a moment to be gone.
    until("no git is left", || fixture.alive() == 0).await;
    // Also when the mirror is stopped in the middle.
    fixture.limits.listing = Duration::from_secs(600);
    let running = fixture.start(vec![RepoConfig::new("r", format!("http://{at}/x"))]).await;
    until("git waits", || fixture.alive() > 0).await;
    running.stop().await;
    until("no git is left", || fixture.alive() == 0).await;
    // And when a request asked, and did not wait.
    fixture.limits.transfer = Duration::from_millis(700);
    let mirror = fixture.open(vec![RepoConfig::new("r", format!("http://{at}/x"))]).await;
    let web =
        transport::Service::in_process(gitmirror::router(&mirror)).with_timeout(Duration::from_millis(300));
    let path = format!("/r.tar.gz?rev={}", "7".repeat(40));
    let request = || http::Request::get(&path).body(axum::body::Body::empty()).unwrap();
    assert!(matches!(web.send(request()).await, Err(transport::CallError::Timeout { .. })));
    assert!(fixture.alive() > 0, "others may wait for the same");
    until("no git is left", || fixture.alive() == 0).await;
    let answer = web.with_timeout(Duration::from_secs(60)).send(request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
    server.abort();
}

#[tokio::test]
async fn a_path_within_a_work_tree_is_enough() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    source.write("sub/dir/file", "x");
    let head = source.commit("two");
    let running = fixture.start(vec![fixture.repo("r", &source.0.join("sub/dir"))]).await;
    assert_eq!(running.first("r").await.head, Some(head));
    running.stop().await;
}

#[tokio::test]
async fn a_shallow_source_is_posted_as_far_as_it_goes() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    source.commit("two");
    source.commit("three");
    let shallow = Source(fixture.path("shallow"));
    let from = format!("file://{}", source.0.display());
    source.run(&["clone", "-q", "--depth=1", &from, shallow.0.to_str().unwrap()]);
    let running = fixture.start(vec![fixture.repo("r", &shallow.0)]).await;
    running.first("r").await;
    assert_eq!(fixture.dashboard.branch("r", "main").unwrap().len(), 1);
    shallow.run(&["fetch", "-q", "--unshallow"]);
    let next = shallow.commit("four");
    until("all is posted", || fixture.dashboard.head("r", "main").as_ref() == Some(&next)).await;
    assert_eq!(running.call(http::Method::GET, "/r.tar.gz?rev=main~3").await.0, StatusCode::OK);
    running.stop().await;
}

#[tokio::test]
async fn the_list_of_repositories_can_be_replaced() {
    let fixture = Fixture::new();
    let (a, b) = (fixture.source("a"), fixture.source("b"));
    let running = fixture.start(vec![fixture.repo("a", &a.0)]).await;
    running.first("a").await;
    running.mirror.set_repos(vec![fixture.repo("a", &a.0), fixture.repo("b", &b.0)]).unwrap();
    running.first("b").await;
    assert_eq!(running.mirror.state("a").unwrap().rounds, 1, "it went on undisturbed");
    let mut changed = fixture.repo("a", &a.0);
    changed.branches = vec!["none".into()];
    running.mirror.set_repos(vec![changed]).unwrap();
    assert!(running.mirror.state("b").is_none());
    until("no branch is posted any more", || fixture.dashboard.head("a", "main").is_none()).await;
    for bad in ["", "A", "../x", "a/b", "-a"] {
        assert!(running.mirror.set_repos(vec![fixture.repo(bad, &a.0)]).is_err(), "{bad}");
    }
    assert!(running.mirror.set_repos(vec![fixture.repo("a", &a.0), fixture.repo("a", &b.0)]).is_err());
    assert!(running.mirror.state("a").is_some());
    running.stop().await;
}
