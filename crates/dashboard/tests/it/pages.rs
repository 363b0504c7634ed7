use std::time::Duration;

use dashboard::api::{
    BranchUpdate, BuildList, BuildReport, Cause, CellWindow, CommitInfo, LogRange, Outcome, Wait,
};
use dashboard::client::{DashboardClient, LogOf};
use http::{StatusCode, header};
use tokio_util::sync::CancellationToken;
use transport::Service;

use crate::fixture::{Fixture, attempt_id, build_id, commit, done, hash, line, report, revision, write_log};

async fn some_builds(on: &Fixture) {
    on.push("one", "main", &[2, 1]).await;
    on.push("one", "gone", &[7]).await;
    let failed = BuildReport {
        cause: Some(Cause { kind: "exit".into(), detail: "step test exited 1".into() }),
        ..done(report(1, "a", &revision("one@2")), Outcome::Failed, 65)
    };
    on.log(&attempt_id(1), &build_id(1), &[b"test x::y ... FAILED\n<script>alert(1)</script>\n"]).await;
    on.client.put_build(&failed).await.unwrap();
    let waiting = BuildReport {
        wait: Some(Wait { reason: "3 builds are ahead of it".into(), ..Wait::default() }),
        ..report(2, "b", &revision("one@2"))
    };
    on.client.put_build(&waiting).await.unwrap();
}

pub(crate) async fn pages_show_what_there_is(on: Fixture) {
    assert!(on.text("/").await.contains("No commits yet"));
    some_builds(&on).await;
    let grid = on.text("/grid?repo=one&branch=main").await;
    for part in ["commit 2", "✗ failed", "… queued", "due", &format!("/builds/{}", build_id(1)), "one gone"]
    {
        assert!(grid.contains(part), "{part} in {grid}");
    }
    assert_eq!(on.text("/grid").await, on.text("/").await);
    let build = on.text(&format!("/builds/{}", build_id(1))).await;
    for part in [
        "x::y",
        "step test exited 1",
        "1 min 5 s",
        "a process was left behind",
        "source",
        "on <code>w1</code>",
        "data-events",
    ] {
        assert!(build.contains(part), "{part} in {build}");
    }
    assert!(build.find("x::y").unwrap() < build.find("revision").unwrap(), "the failure comes first");
    assert!(on.text(&format!("/builds/{}", build_id(2))).await.contains("3 builds are ahead of it"));
    assert!(on.text("/builders/a").await.contains("✗ failed"));
    assert!(on.text(&format!("/commits/one/{}", hash(2))).await.contains("with a body"));
    for missing in
        ["/builds/x", &format!("/builds/{}", build_id(9)), "/builders/zzz", "/commits/one/1", "/grid?repo=x"]
    {
        let status = on.get(missing).await.status();
        let bad = missing.ends_with("/1");
        assert_eq!(status, if bad { StatusCode::BAD_REQUEST } else { StatusCode::NOT_FOUND }, "{missing}");
        let said = if bad { "That can&#39;t be shown" } else { "That is not here" };
        assert!(on.text(missing).await.contains(said), "{missing}");
    }
}

pub(crate) async fn pages_escape_what_they_show(on: Fixture) {
    some_builds(&on).await;
    let evil = "<img src=x onerror=alert(1)>";
    let commits = vec![CommitInfo { author_name: evil.into(), message: evil.into(), ..commit(3, Some(2)) }];
    let update = BranchUpdate {
        head: Some(hash(3)),
        first_parent: vec![hash(3), hash(2)],
        commits,
        ..line("main", &[2])
    };
    on.client.put_branch("one", "main", &update).await.unwrap();
    on.client.put_branch("one", evil, &line("x", &[1])).await.unwrap();
    for page in ["/".to_owned(), format!("/commits/one/{}", hash(3)), format!("/builds/{}", build_id(1))] {
        let text = on.text(&page).await;
        assert!(!text.contains("<img") && !text.contains("<script>"), "{page}: {text}");
    }
    assert!(on.text("/").await.contains("&#60;img") || on.text("/").await.contains("&lt;img"));
}

pub(crate) async fn twins_are_the_api(on: Fixture) {
    some_builds(&on).await;
    let window: CellWindow = serde_json::from_str(&on.text("/grid.json?repo=one&branch=main").await).unwrap();
    assert_eq!(window, on.client.cells("one", "main", 30).await.unwrap());
    let path = format!("/builds/{}.json", build_id(1));
    assert_eq!(on.text(&path).await, on.text(&format!("/api/v1/builds/{}", build_id(1))).await);
    let list: BuildList = serde_json::from_str(&on.text("/builders/a.json").await).unwrap();
    assert_eq!(list.builds.len(), 1);
    let list: BuildList =
        serde_json::from_str(&on.text(&format!("/commits/one/{}.json", hash(2))).await).unwrap();
    assert_eq!(list.builds.len(), 2);
    let refused = on.text("/builds/nothing.json").await;
    assert!(refused.contains("\"code\":\"not_found\"") && refused.contains("\"request_id\":\""), "{refused}");
}

pub(crate) async fn nothing_inline(on: Fixture) {
    some_builds(&on).await;
    for path in ["/", "/builders/a", "/builds/x", &format!("/builds/{}", build_id(1))] {
        let response = on.get(path).await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'"), "{policy}");
        let text = on.text(path).await;
        assert!(
            !text.contains(" style=") && !text.contains("<style") && !text.contains(" onclick="),
            "{path}"
        );
        let scripts: Vec<_> = text.match_indices("<script").collect();
        assert!(scripts.iter().all(|(at, _)| text[*at..].starts_with("<script src=")), "{path}");
        for file in text.split('"').filter(|part| part.starts_with("/assets/")) {
            assert_eq!(on.get(file).await.status(), StatusCode::OK, "{file}");
        }
    }
}

pub(crate) async fn a_log_opens_anywhere_in_little(on: Fixture) {
    let text: String = (1..=8192).map(|n| format!("line {n} of a part, and some more of it\n")).collect();
    let parts: Vec<&[u8]> = text.as_bytes().chunks(text.len().div_ceil(2)).collect();
    let chunks: Vec<&[u8]> = parts.iter().cycle().take(2 * 120).copied().collect();
    on.log(&attempt_id(1), &build_id(1), &chunks).await;
    on.client.put_build(&done(report(1, "a", &revision("one@1")), Outcome::Ok, 5)).await.unwrap();
    let page = on.text(&format!("/builds/{}/log?line=900000&lines=300", build_id(1))).await;
    // 900,000 lies in the 110th part.
    let within = (900_000 - 1) % 8192 + 1;
    let first = "id=\"L900000\"><a href=\"#L900000\">900000</a><span>line ";
    assert!(page.contains(&format!("{first}{within} of")), "{page}");
    assert!(page.contains("id=\"L900299\"") && !page.contains("id=\"L900300\""), "{page}");
    assert!(page.len() < 200_000, "{}", page.len());
    // A build's page shows the end of it, and no more.
    let page = on.text(&format!("/builds/{}", build_id(1))).await;
    assert!(page.contains("id=\"L983040\"") && !page.contains("id=\"L900000\""), "{page}");
    assert!(page.len() < 200_000, "{}", page.len());
    let found = on.text(&format!("/builds/{}/log?q=line+8192+of&line=1&lines=1", build_id(1))).await;
    assert!(found.contains("120 lines found") && found.contains("#L8192\""), "{found}");
    // A line that is longer than a page is cut, and what it would be in markup counts.
    on.log(&attempt_id(2), &build_id(2), &[&vec![b'<'; 200_000], b"\nend\n"]).await;
    on.client.put_build(&done(report(2, "a", &revision("one@2")), Outcome::Ok, 5)).await.unwrap();
    let page = on.text(&format!("/builds/{}/log", build_id(2))).await;
    assert!(page.len() < 60_000 && page.contains("… and "), "{}", page.len());
}

pub(crate) async fn it_serves_over_tcp_until_it_is_told_to_end(on: Fixture) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = Service::url(&format!("http://{}", listener.local_addr().unwrap()));
    let client = DashboardClient::new(service.with_bearer("its token"));
    let shutdown = CancellationToken::new();
    let (router, told) = (dashboard::routes(&on.dashboard()).behind_token("its token"), shutdown.clone());
    let server = tokio::spawn(async move { dashboard::serve(router, listener, told).await });
    let content = vec![b'x'; 200_000];
    write_log(&client, &attempt_id(1), &build_id(1), &[&content, &content]).await;
    client.log_finish(&attempt_id(1), 1).await.unwrap();
    let read = client.log_bytes(LogOf::Build(&build_id(1)), LogRange::Follow(100), 1 << 20).await.unwrap();
    assert_eq!(read.len(), 399_900);
    client.put_branch("one", "a/b %2F?", &line("x", &[1])).await.unwrap();
    assert_eq!(client.cells("one", "a/b %2F?", 9).await.unwrap().branch, "a/b %2F?");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(30), server).await.unwrap().unwrap().unwrap();
}
