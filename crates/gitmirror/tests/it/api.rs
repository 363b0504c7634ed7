//! The API and the pages.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn the_api_answers_about_commits() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    let first = source.run(&["rev-parse", "HEAD"]);
    source.write("Cargo.toml", "[package]");
    source.write("a/b/c", "deep");
    source.write("a/b/c2/d", "too deep");
    source.write("big", vec![b'x'; (1 << 20) + 1]);
    let head = source.commit("two");
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    running.first("r").await;
    assert_eq!(running.json("/mirror/r/resolve?rev=HEAD~1").await, json!({"commit": first}));
    assert_eq!(
        running.get("/mirror/r/file?rev=main&path=Cargo.toml").await,
        (StatusCode::OK, "[package]".into())
    );
    assert_eq!(running.json("/mirror/r/tree?rev=main").await, json!(["Cargo.toml", "big", "a/b/c"]));
    assert_eq!(running.json("/mirror/r/submodules?rev=main").await, json!([]));
    let refs = running.json("/mirror/r/refs").await;
    assert_eq!(refs, json!({"default_branch": "main", "head": head, "refs": {"refs/heads/main": head}}));
    for (above, below, wanted) in [(&head, &first, true), (&first, &head, false), (&head, &head, true)] {
        let answer = running.json(&format!("/mirror/r/ancestor?commit={above}&ancestor={below}")).await;
        assert_eq!(answer, json!({"ancestor": wanted}));
    }
    for (path, status, code) in [
        ("/mirror/r/file?rev=main&path=none", 404, "not_found"),
        ("/mirror/r/file?rev=main&path=../../x", 404, "not_found"),
        ("/mirror/r/file?rev=main&path=big", 413, "too_large"),
        ("/mirror/r/file?rev=main", 400, "bad_request"),
        ("/mirror/r/resolve", 400, "bad_request"),
        ("/mirror/r/resolve?rev=--help", 400, "bad_request"),
        ("/mirror/x/resolve?rev=main", 404, "not_found"),
        ("/mirror/r/bundle?rev=main&depth=x", 400, "bad_request"),
    ] {
        let (got, text) = running.get(path).await;
        let error: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((got.as_u16(), error["code"].as_str()), (status, Some(code)), "{path}");
    }
    running.stop().await;
}

#[tokio::test]
async fn an_uncommitted_tree_comes_in_as_a_bundle() {
    let mut fixture = Fixture::new();
    fixture.tuning.bundle_bytes = 100_000;
    let source = fixture.source("source");
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    running.first("r").await;
    let elsewhere = fixture.path("elsewhere");
    source.run(&["worktree", "add", "-q", "--detach", elsewhere.to_str().unwrap()]);
    let other = crate::fixture::Source(elsewhere);
    other.write("file", "dirty");
    let commit = other.commit("dirty");
    let file = fixture.path("x.bundle");
    other.run(&["bundle", "create", "-q", file.to_str().unwrap(), "HEAD", "^main"]);
    let put = |commit: &str, body: Vec<u8>| {
        Request::put(format!("/mirror/r/bundle?commit={commit}")).body(Body::from(body)).unwrap()
    };
    let bundle = std::fs::read(&file).unwrap();
    let (status, _, body) = running.send(put(&commit, bundle.clone())).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    assert_eq!(running.get(&format!("/mirror/r/file?rev={commit}&path=file")).await.1, "dirty");
    let landed = |rev: &str| format!("/mirror/r/landed?commit={rev}");
    assert_eq!(running.json(&landed("main")).await, json!({"landed": true}));
    assert_eq!(running.json(&landed(&commit)).await, json!({"landed": false}));
    assert_eq!(running.call(Method::GET, &format!("/r.tar.gz?rev={commit}")).await.0, StatusCode::OK);
    for (commit, body, status) in [
        ("main", bundle.clone(), 400),
        ("7777777777777777777777777777777777777777", bundle, 422),
        (commit.as_str(), b"no bundle".to_vec(), 422),
        (commit.as_str(), vec![0; 100_001], 413),
    ] {
        assert_eq!(running.send(put(commit, body)).await.0.as_u16(), status);
    }
    // It lands, and is taken back, which is known with the next round.
    source.run(&["branch", "side", &commit]);
    assert_eq!(running.json(&landed(&commit)).await, json!({"landed": false}));
    running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!(running.json(&landed(&commit)).await, json!({"landed": true}));
    source.run(&["tag", "v1", &commit]);
    source.run(&["branch", "-D", "side"]);
    running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!(running.json(&landed(&commit)).await, json!({"landed": true}), "a tag has it");
    source.run(&["tag", "-d", "v1"]);
    running.mirror.hint_and_wait("r").await.unwrap();
    assert_eq!(running.json(&landed(&commit)).await, json!({"landed": false}));
    assert_eq!(
        running.get(&landed("7777777777777777777777777777777777777777")).await.0,
        StatusCode::NOT_FOUND
    );
    let left = std::fs::read_dir(fixture.path("mirrors/r.git")).unwrap().flatten();
    assert!(!left.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("upload-")));

    let (status, headers, body) = running.call(Method::GET, "/mirror/r/bundle?rev=main&depth=1").await;
    assert_eq!(
        (status, headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, "application/x-git-bundle")
    );
    assert!(body.starts_with(b"# v2 git bundle"));
    running.stop().await;
}

#[tokio::test]
async fn pages_show_every_repository() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    let running =
        fixture.start(vec![fixture.repo("r", &source.0), fixture.repo("x", &fixture.path("a<b>"))]).await;
    running.first("r").await;
    running.first("x").await;
    let (status, page) = running.get("/debug/watcher/").await;
    assert_eq!(status, StatusCode::OK);
    let lines: Vec<&str> = page.lines().collect();
    assert!(lines[0].ends_with("<a href='/debug/watcher/r'>r</a> - ok"), "{page}");
    assert!(lines[1].contains("x</a> - broken; permanently? always failing, for "), "{page}");
    let (_, history) = running.get("/debug/watcher/r").await;
    assert!(history.lines().next().unwrap().ends_with(" waiting"), "{history}");
    assert_eq!(running.get("/debug/watcher/none").await.0, StatusCode::NOT_FOUND);
    let (_, page) = running.get("/mirror/").await;
    assert!(
        page.contains("<td>ok<td>main<td>") && page.contains("a&lt;b&gt;") && !page.contains("a<b>"),
        "{page}"
    );
    let states = running.json("/mirror/status.json").await;
    assert_eq!((states[0]["state"].as_str(), states[1]["state"].as_str()), (Some("ok"), Some("blocked")));
    assert_eq!(running.json("/mirror/r/status.json").await["head"], states[0]["head"]);

    let (status, _, _) = running.call(Method::POST, "/mirror/r/hint").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let head = source.commit("two");
    let (status, _, body) = running.call(Method::POST, "/mirror/r/hint?wait=1").await;
    let state: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, state["head"].as_str()), (StatusCode::OK, Some(head.as_str())));
    assert_eq!(running.call(Method::POST, "/mirror/none/hint").await.0, StatusCode::NOT_FOUND);

    running.mirror.set_repos(vec![fixture.repo("r", &source.0)]).unwrap();
    let (status, headers, body) = running.call(Method::GET, "/healthz").await;
    assert_eq!(
        (status, body.len(), headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, 0, "text/plain; charset=utf-8")
    );
    running.stop().await;
}

#[tokio::test]
async fn a_merge_is_made_here_and_lands_nowhere() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    source.write("a", "1\n");
    let base = source.commit("base");
    source.write("b", "2\n");
    let left = source.commit("left");
    source.run(&["checkout", "-q", "--detach", &base]);
    source.write("a", "2\n");
    let right = source.commit("right");
    source.run(&["checkout", "-q", "--detach", &base]);
    source.write("a", "3\n");
    let against = source.commit("against");
    // As a forge has changes: under names that are no branches.
    source.run(&["update-ref", "refs/changes/01/1/1", &right]);
    source.run(&["update-ref", "refs/changes/02/2/1", &against]);
    source.run(&["checkout", "-q", "main"]);
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    running.first("r").await;
    let merge = async |onto: &str, commit: &str| {
        let path = format!("/mirror/r/merge?onto={onto}&commit={commit}");
        let request = Request::builder().method(Method::POST).uri(path).body(Body::empty()).unwrap();
        let answer = running.web.send(request).await.unwrap();
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
    };
    let (status, answer) = merge(&left, &right).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let both = answer["commit"].as_str().unwrap().to_owned();
    assert_eq!(running.get(&format!("/mirror/r/file?rev={both}&path=a")).await.1, "2\n");
    assert_eq!(running.get(&format!("/mirror/r/file?rev={both}&path=b")).await.1, "2\n");
    assert_eq!(running.json(&format!("/mirror/r/landed?commit={both}")).await, json!({"landed": false}));
    assert_eq!(merge(&both, &against).await.1, json!({"conflicts": ["a"]}));
    assert_eq!(merge(&base, &left).await.1, json!({"commit": left}));
    assert_eq!(merge("main", &left).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(merge(&"1".repeat(40), &left).await.0, StatusCode::NOT_FOUND);
    running.stop().await;
}
