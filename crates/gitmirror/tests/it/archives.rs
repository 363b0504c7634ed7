//! Archives over HTTP.

use std::io::Read;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use tokio::io::AsyncReadExt;

use crate::fixture::Fixture;

fn unpacked(body: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut tar).unwrap();
    tar
}

async fn tar_of(fixture: &Fixture, source: &std::path::Path, commit: &str) -> Vec<u8> {
    let git = git::Git::new(git::GitConfig::new(fixture.path("home"))).unwrap();
    let repository = git.init_bare(&source.join(".git")).await.unwrap();
    let mut tar = Vec::new();
    repository.archive(commit.parse().unwrap(), None).await.unwrap().read_to_end(&mut tar).await.unwrap();
    tar
}

#[tokio::test]
async fn an_archive_answers_as_the_original_does() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    source.write("file", "hello");
    let commit = source.commit("two");
    source.run(&["tag", "-a", "-m", "x", "v1"]);
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    running.first("r").await;
    let wanted = tar_of(&fixture, &source.0, &commit).await;
    for rev in [&commit, "main", "v1", "HEAD", "refs/heads/main", &commit[..10], "main~0"] {
        let (status, headers, body) = running.call(Method::GET, &format!("/r.tar.gz?rev={rev}")).await;
        assert_eq!(status, StatusCode::OK, "{rev}");
        assert_eq!(headers["content-type"], "application/x-compressed");
        assert_eq!(headers["bw-commit"], commit.as_str());
        assert!(unpacked(&body) == wanted, "{rev}");
    }
    let path = format!("/r.tar.gz?rev={commit}");
    let (status, headers, body) = running.call(Method::HEAD, &path).await;
    assert!(status == StatusCode::OK && body.is_empty() && headers.contains_key("content-length"));
    let again = Request::get(&path).header("if-none-match", &headers["etag"]).body(Body::empty()).unwrap();
    assert_eq!(running.send(again).await.0, StatusCode::NOT_MODIFIED);

    for (method, path, status) in [
        (Method::GET, "/r.tar.gz", 400),
        (Method::GET, "/r.tar.gz?rev=", 400),
        (Method::GET, "/r.tar.gz?rev=--help", 400),
        (Method::GET, "/r.tar.gz?rev=main:file", 400),
        (Method::POST, "/r.tar.gz?rev=main", 400),
        (Method::DELETE, "/r.tar.gz?rev=main", 400),
        (Method::GET, "/r.tar.gz?rev=nothing", 404),
        (Method::GET, "/other.tar.gz?rev=main", 404),
        (Method::GET, "/r.zip", 404),
    ] {
        let (got, _, body) = running.call(method.clone(), path).await;
        assert_eq!((got.as_u16(), body.is_empty()), (status, false), "{method} {path}");
    }
    let (_, text) = running.get("/r.tar.gz?rev=nothing").await;
    assert_eq!(text, "unknown revision \"nothing\" in repository r\n");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_archive_is_read_while_it_is_made_by_all_who_ask() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    // Does not shrink: a sequence of a multiplicative generator.
    let mut seed = 1u64;
    let mut noise = |_| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 56) as u8
    };
    source.write("noise", (0..20 << 20).map(&mut noise).collect::<Vec<u8>>());
    let commit = source.commit("two");
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    running.first("r").await;
    let wanted = tar_of(&fixture, &source.0, &commit).await;
    let path = format!("/r.tar.gz?rev={commit}");
    let (first, second, third) = tokio::join!(
        running.call(Method::GET, &path),
        running.call(Method::GET, &path),
        running.call(Method::GET, &path)
    );
    assert!(unpacked(&first.2) == wanted && second.2 == first.2 && third.2 == first.2);
    assert!(!first.1.contains_key("content-length"), "it was sent before it was whole");
    let (_, headers, body) = running.call(Method::GET, &path).await;
    assert!(headers.contains_key("content-length") && body == first.2, "now it is a file");
    running.stop().await;
}

#[tokio::test]
async fn archives_outlive_a_restart_and_are_bounded() {
    let mut fixture = Fixture::new();
    let source = fixture.source("source");
    source.write("file", "x".repeat(1000));
    let commits: Vec<String> = (0..5)
        .map(|n| {
            source.write("other", n.to_string());
            source.commit(&n.to_string())
        })
        .collect();
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    running.first("r").await;
    let mut size = 0;
    for commit in &commits {
        size = running.call(Method::GET, &format!("/r.tar.gz?rev={commit}")).await.2.len();
    }
    running.stop().await;
    let kept = |fixture: &Fixture| std::fs::read_dir(fixture.path("mirrors/archives")).unwrap().count();
    assert_eq!(kept(&fixture), 5);
    std::fs::write(fixture.path("mirrors/archives/new-1"), "half").unwrap();
    fixture.cache_bytes = 2 * size as u64 + 20;
    // Not even the source is needed for what is kept.
    let mirror = fixture.open(vec![fixture.repo("r", &source.0)]).await;
    assert_eq!(kept(&fixture), 2, "the oldest went, and the half one");
    let web = transport::Service::in_process(gitmirror::router(&mirror));
    for commit in commits.iter().rev() {
        let request = Request::get(format!("/r.tar.gz?rev={commit}")).body(Body::empty()).unwrap();
        let answer = web.send(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    }
    assert_eq!(kept(&fixture), 2);
}

#[tokio::test]
async fn a_damaged_commit_is_an_error_and_not_a_short_archive() {
    let fixture = Fixture::new();
    let source = fixture.source("source");
    source.write("file", "to be lost");
    let commit = source.commit("two");
    let running = fixture.start(vec![fixture.repo("r", &source.0)]).await;
    running.first("r").await;
    let packs = fixture.path("mirrors/r.git/objects/pack");
    for entry in std::fs::read_dir(packs).unwrap().flatten() {
        std::fs::remove_file(entry.path()).unwrap();
    }
    std::fs::remove_dir_all(source.0.join(".git/objects")).unwrap();
    std::fs::create_dir(source.0.join(".git/objects")).unwrap();
    let (status, text) = running.get(&format!("/r.tar.gz?rev={commit}")).await;
    assert!(status.is_server_error() || status == StatusCode::NOT_FOUND, "{status} {text}");
    assert_eq!(std::fs::read_dir(fixture.path("mirrors/archives")).unwrap().count(), 0);
    running.stop().await;
}
