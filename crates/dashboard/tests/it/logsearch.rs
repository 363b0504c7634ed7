//! Lines are found in the logs of many builds, with the index and without it.

use std::sync::Arc;
use std::time::Duration;

use dashboard::api::{LogsFound, Outcome, Truncated};
use http::Request;
use store::log_index;
use tokio_util::sync::CancellationToken;
use transport::{Role, Viewer, segment};

use crate::fixture::{CONFIG, Fixture, attempt_id, build_id, config, done, report, revision};

/// A build of `one` that ended like this, with a log.
async fn build(on: &Fixture, n: u8, builder: &str, outcome: Outcome, log: &str) {
    let (attempt, build) = (attempt_id(n), build_id(n));
    on.log(&attempt, &build, &[log.as_bytes()]).await;
    on.client.log_finish(&attempt, 1).await.unwrap();
    let report = done(report(n, builder, &revision(&format!("one@{n}"))), outcome, 5);
    on.client.put_build(&report).await.unwrap();
}

async fn ask(on: &Fixture, query: &str, viewer: &Viewer) -> LogsFound {
    let service = on.service.clone().asking_as(viewer.clone());
    service.get_json(&format!("/api/v1/logs/search?{query}")).await.unwrap()
}

fn all() -> Viewer {
    Viewer::known("ada", Role::Admin)
}

/// What was found, as `build:line,line`.
fn places(found: &LogsFound) -> Vec<String> {
    let build = |id: &str| (1..=20).find(|n| build_id(*n) == id).unwrap();
    let lines = |log: &dashboard::api::FoundLog| {
        log.hits.iter().map(|hit| hit.line.to_string()).collect::<Vec<_>>().join(",")
    };
    found.logs.iter().map(|log| format!("{}:{}", build(&log.build), lines(log))).collect()
}

/// Puts everything into the index.
async fn index(on: &Fixture) {
    let stop = CancellationToken::new();
    let dashboard = on.dashboard();
    let indexing = tokio::spawn({
        let stop = stop.clone();
        async move { dashboard.index_logs(stop).await }
    });
    for _ in 0..3000 {
        if log_index::wanted(&mut on.db.read().await.unwrap(), 1).await.unwrap().is_empty() {
            stop.cancel();
            return indexing.await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("logs are not put into the index");
}

const PANIC: &str = "begin\nok a\npanic: no such thing\ngoroutine 1\nend\n";

pub(crate) async fn lines_are_found_in_the_logs_of_many_builds(on: Fixture) {
    build(&on, 1, "a", Outcome::Failed, PANIC).await;
    build(&on, 2, "b", Outcome::Ok, "begin\nok a\nend\n").await;
    build(&on, 3, "b", Outcome::Failed, &format!("{PANIC}{PANIC}")).await;
    let all = all();
    let found = ask(&on, &format!("q={}", segment("^panic: .* thing")), &all).await;
    assert_eq!(places(&found), ["3:2,7", "1:2"]);
    assert_eq!((found.next_cursor.as_deref(), found.truncated, found.looked_at), (None, None, 3));
    let hit = &found.logs[1].hits[0];
    assert_eq!((hit.text.as_str(), hit.byte), ("panic: no such thing", 11));
    let page = on.text(&hit.page.replace("#L3", "")).await;
    assert!(page.contains("id=\"L3\"") && page.contains("no such thing"), "{page}");
    for (query, expected) in [
        ("q=panic&builder=a", &["1:2"][..]),
        ("q=begin&outcome=ok", &["2:0"]),
        ("q=ok%20a%0Apanic&lines=1", &["3:1", "1:1"]),
        ("q=begin&omit=goroutine", &["2:0"]),
        ("q=begin&repo=one&branch=main&since=1970-01-01T00:00:02Z", &["3:0,5", "2:0"]),
        ("q=nowhere", &[]),
        ("q=begin&repo=lib", &[]),
    ] {
        assert_eq!(places(&ask(&on, query, &all).await), expected, "{query}");
    }
    let found = ask(&on, "q=panic&context=1&builder=a", &all).await;
    assert_eq!(
        (&found.logs[0].hits[0].before[..], &found.logs[0].hits[0].after[..]),
        (&["ok a".into()][..], &["goroutine 1".into()][..])
    );
    // By pages, each log once.
    let (mut cursor, mut seen) = (String::new(), Vec::new());
    for _ in 0..4 {
        let found = ask(&on, &format!("q=begin&limit=1{cursor}"), &all).await;
        seen.extend(places(&found));
        let Some(next) = found.next_cursor else { break };
        assert_eq!(found.truncated, Some(Truncated::Limit));
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, ["3:0,5", "2:0", "1:0"]);
    for bad in ["", "q=", "q=(", "q=x&limit=0", "q=x&cursor=x", "q=x&since=soon", "q=x&builder=%2F"] {
        let request =
            Request::get(format!("/api/v1/logs/search?{bad}")).body(axum::body::Body::empty()).unwrap();
        assert_eq!(on.service.send(request).await.unwrap().status(), 400, "{bad}");
    }
}

pub(crate) async fn the_index_loses_no_line_and_saves_reading(on: Fixture) {
    for n in 1..=8 {
        let log = format!(
            "begin {n}\nMixed Case of build number {n}{n}{n}{n}\n{}\nend\n",
            "x".repeat(usize::from(n))
        );
        build(&on, n, "a", Outcome::Failed, &log).await;
    }
    // One whose log is not whole yet is read.
    on.log(&attempt_id(9), &build_id(9), &[b"mixed case of build number 9\n"]).await;
    on.client.put_build(&report(9, "a", &revision("one@9"))).await.unwrap();
    let (all, queries) =
        (all(), ["number%203333", "(%3Fi)mixed%20CASE", "x%7B7%7D", "number%20[39]", "zzneedles|yyneedles"]);
    let mut before = Vec::new();
    for query in queries {
        before.push(ask(&on, &format!("q={query}"), &all).await);
    }
    index(&on).await;
    for (query, before) in queries.iter().zip(&before) {
        let found = ask(&on, &format!("q={query}"), &all).await;
        assert_eq!(found.logs, before.logs, "{query}");
        assert_eq!((before.read, found.looked_at), (9, 9), "{query}");
    }
    assert_eq!(ask(&on, "q=number%203333", &all).await.read, 2);
    assert_eq!(ask(&on, "q=zzneedles|yyneedles", &all).await.read, 1);
    let wide = ask(&on, "q=x%7B7%7D", &all).await;
    assert_eq!((wide.indexed, wide.read), (false, 9));
    // What comes later gets in as well.
    build(&on, 10, "a", Outcome::Failed, "later\n").await;
    index(&on).await;
    assert_eq!(places(&ask(&on, "q=later", &all).await), ["10:0"]);
}

pub(crate) async fn what_is_private_is_neither_found_nor_counted(on: Fixture) {
    let text = CONFIG.replace("[repo.lib]\n", "[repo.lib]\nvisibility = \"private\"\n");
    on.config.send_replace(Arc::new(config(&text)));
    on.push("one", "main", &[3, 2, 1]).await;
    build(&on, 1, "a", Outcome::Failed, PANIC).await;
    for (n, of) in [(2, "lib@8"), (3, "sub@5+lib@8")] {
        on.log(&attempt_id(n), &build_id(n), &[PANIC.as_bytes()]).await;
        on.client.log_finish(&attempt_id(n), 1).await.unwrap();
        on.client.put_build(&done(report(n, "a", &revision(of)), Outcome::Failed, 5)).await.unwrap();
    }
    let stranger = Viewer::stranger(true);
    for _ in 0..2 {
        let found = ask(&on, "q=panic", &stranger).await;
        assert_eq!((places(&found), found.looked_at, found.read), (vec!["1:2".to_owned()], 1, 1));
        assert_eq!(
            ask(&on, "q=panic&repo=lib", &stranger).await,
            ask(&on, "q=panic&repo=nil", &stranger).await
        );
        assert_eq!(ask(&on, "q=panic", &all()).await.looked_at, 3);
        index(&on).await;
    }
}

pub(crate) async fn a_log_that_is_lost_is_said_to_be_unread(on: Fixture) {
    // More than fits into a row, so that it is an object.
    let mut state = 7_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'a' + (state % 26) as u8)
    };
    let noise: String = std::iter::repeat_with(&mut letter).take(60_000).collect();
    build(&on, 1, "a", Outcome::Failed, &format!("{noise}\nneedle\n")).await;
    build(&on, 2, "a", Outcome::Failed, "needle\n").await;
    std::fs::remove_dir_all(on.dir.path().join("objects/logs")).unwrap();
    for _ in 0..2 {
        let found = ask(&on, "q=needle", &all()).await;
        assert_eq!((places(&found), found.unread), (vec!["2:0".to_owned()], 1));
        index(&on).await;
    }
}
