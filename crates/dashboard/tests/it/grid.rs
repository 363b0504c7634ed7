//! The grid: since when a cell is red, filters, paging, and what an open page is told.

use dashboard::api::{CellWindow, Outcome};
use http_body_util::BodyExt as _;

use crate::fixture::{Fixture, attempt_id, build_id, done, hash, report, revision};

/// A build of commit `n` of `one` on `builder`; a red one says which test failed.
async fn built(on: &Fixture, id: u8, builder: &str, n: u32, outcome: Outcome) {
    if outcome == Outcome::Failed {
        on.log(&attempt_id(id), &build_id(id), &[b"test x::y ... FAILED\n"]).await;
        on.client.log_finish(&attempt_id(id), 1).await.unwrap();
    }
    let report = done(report(id, builder, &revision(&format!("one@{n}"))), outcome, 5);
    on.client.put_build(&report).await.unwrap();
}

async fn window(on: &Fixture, query: &str) -> CellWindow {
    let text = on.text(&format!("/grid.json?{query}")).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

pub(crate) async fn a_red_cell_says_since_when(on: Fixture) {
    on.push("one", "main", &[5, 4, 3, 2, 1]).await;
    built(&on, 1, "a", 1, Outcome::Ok).await;
    built(&on, 3, "a", 3, Outcome::Failed).await;
    built(&on, 5, "a", 5, Outcome::Failed).await;
    built(&on, 6, "b", 5, Outcome::Ok).await;
    let window = window(&on, "repo=one").await;
    let red = window.rows[0].cells.iter().find(|cell| cell.builder == "a").unwrap();
    let since = red.since.as_ref().unwrap();
    assert_eq!(since.first_red.commit, hash(3));
    assert_eq!(since.first_red.build.as_deref(), Some(&*build_id(3)));
    assert_eq!(since.last_green.as_ref().unwrap().commit, hash(1));
    // The second was never built: it may have been it.
    let between: Vec<_> = since.between.iter().map(|one| one.commit.clone()).collect();
    assert_eq!((since.commits, between), (2, vec![hash(3), hash(2)]));
    assert!(window.rows[0].cells.iter().all(|cell| cell.builder == "a" || cell.since.is_none()));
    let page = on.text("/grid?repo=one").await;
    for part in [
        "since 00000000",
        "last green",
        "first red",
        "One of 2 commits",
        &format!("/commits/one/{}", hash(2)),
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

pub(crate) async fn a_long_red_streak_is_followed_below_the_window(on: Fixture) {
    let commits: Vec<u32> = (1..=20).rev().collect();
    on.push("one", "main", &commits).await;
    built(&on, 1, "a", 2, Outcome::Ok).await;
    for n in 3..=20 {
        built(&on, n, "a", u32::from(n), Outcome::Failed).await;
    }
    let window = window(&on, "repo=one&limit=3").await;
    let since = window.rows[0].cells[0].since.clone().unwrap();
    assert_eq!(since.first_red.commit, hash(3));
    assert_eq!(since.last_green.map(|green| green.commit), Some(hash(2)));
    assert_eq!(since.commits, 1);
}

pub(crate) async fn builds_that_failed_alike_are_found(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    built(&on, 1, "a", 1, Outcome::Failed).await;
    built(&on, 2, "a", 2, Outcome::Failed).await;
    built(&on, 3, "b", 2, Outcome::Failed).await;
    on.log(&attempt_id(4), &build_id(4), &[b"test other ... FAILED\n"]).await;
    on.client.log_finish(&attempt_id(4), 1).await.unwrap();
    on.client.put_build(&done(report(4, "b", &revision("one@1")), Outcome::Failed, 5)).await.unwrap();
    let window = window(&on, "repo=one").await;
    let alike = window.rows[0].cells[0].alike.clone().unwrap();
    assert_eq!((alike.builds, alike.builders, &*alike.headline), (3, 2, "x::y"));
    let page = on.text("/").await;
    assert!(page.contains("3 builds on 2 builders failed alike"), "{page}");
    assert!(page.contains("no other build failed alike"), "{page}");
    let group = on.text(&format!("/failures/{}", alike.signature)).await;
    for n in [1, 2, 3] {
        assert!(group.contains(&build_id(n)), "{n} in {group}");
    }
    assert!(!group.contains(&build_id(4)), "{group}");
    let build = on.text(&format!("/builds/{}", build_id(3))).await;
    assert!(build.contains("3 builds failed alike"), "{build}");
    // The builds of these tests are of 1970, and the page shows the last month.
    assert!(on.text("/failures").await.contains("Nothing failed"));
    assert!(on.text(&format!("/failures/{}", "0".repeat(16))).await.contains("That is not here"));
}

pub(crate) async fn filters_are_in_the_address(on: Fixture) {
    on.push("one", "main", &[3, 2, 1]).await;
    on.push("one", "other", &[9]).await;
    built(&on, 1, "a", 3, Outcome::Failed).await;
    built(&on, 2, "b", 2, Outcome::Ok).await;
    let columns = |window: &CellWindow| window.builders.join(" ");
    assert_eq!(columns(&window(&on, "repo=one&builder=").await), "a b");
    assert_eq!(columns(&window(&on, "repo=one&builder=b*").await), "b");
    let red = window(&on, "repo=one&state=failed").await;
    assert_eq!((columns(&red), red.rows.len()), ("a".into(), 1));
    assert_eq!(red.rows[0].commit.hash, hash(3));
    assert_eq!(window(&on, "on=one+other").await.branch, "other");
    assert_eq!(window(&on, "repo=one&author=ADA").await.rows.len(), 3);
    assert_eq!(window(&on, "repo=one&author=nobody").await.rows.len(), 0);
    let page = on.text("/grid?on=one+main&builder=a&author=ada&state=failed").await;
    for part in
        ["value=\"ada\"", "<option value=\"failed\" selected>", "value=\"one main\" selected", "show all"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(
        page.contains("/grid.json?repo=one&#38;branch=main&#38;builder=a&#38;author=ada&#38;state=failed"),
        "{page}"
    );
    assert!(on.text("/grid?repo=one&author=nobody").await.contains("No cell of these commits"));
    for (path, status, said) in [
        ("/grid?branch=nope", 404, "branch &#34;nope&#34;; name its repo"),
        ("/grid?repo=one&branch=nope", 404, "branch &#34;nope&#34; of &#34;one&#34;"),
        ("/grid?state=zzz", 400, "it is one of ok, failed"),
        ("/api/v1/cells?state=zzz", 400, "it is one of ok, failed"),
    ] {
        assert_eq!(on.get(path).await.status(), status, "{path}");
        let text = on.text(path).await;
        assert!(text.contains(said), "{path}: {text}");
    }
    assert_eq!(window(&on, "repo=one&state=").await.rows.len(), 3, "as a form sends what is not filled in");
}

pub(crate) async fn commits_and_columns_are_paged(on: Fixture) {
    let commits: Vec<u32> = (1..=70).rev().collect();
    on.push("one", "main", &commits).await;
    let first = window(&on, "repo=one").await;
    assert_eq!((first.rows.len(), first.newer), (30, None));
    let second = window(&on, &format!("repo=one&before={}", first.older.unwrap())).await;
    assert_eq!(second.rows[0].commit.hash, hash(40));
    assert_eq!(second.rows[0].position, Some(30));
    let third = window(&on, &format!("repo=one&before={}", second.older.unwrap())).await;
    assert_eq!((third.rows.len(), third.older), (10, None));
    let back = window(&on, &format!("repo=one&before={}", third.newer.unwrap())).await;
    assert_eq!(back.rows[0].commit.hash, hash(40));
    let top = window(&on, &format!("repo=one&before={}", back.newer.unwrap())).await;
    assert_eq!((top.rows, top.newer), (first.rows, None));
    let page = on.text(&format!("/grid?repo=one&before={}", first.older.unwrap())).await;
    assert!(page.contains("newer commits") && page.contains("older commits"), "{page}");

    let mut text = crate::fixture::CONFIG.to_owned();
    for n in 0..400 {
        text += &format!("[builder.sys{}-cpu-{n:03}]\nhost = \"local\"\nrecipe = \"r\"\n", n / 100);
    }
    on.config.send_replace(std::sync::Arc::new(crate::fixture::config(&text)));
    built(&on, 1, "sys2-cpu-250", 70, Outcome::Failed).await;
    built(&on, 2, "sys3-cpu-300", 70, Outcome::Ok).await;
    let window_at = async |query: &str| window(&on, query).await;
    let first = window_at("repo=one").await;
    assert_eq!((first.columns, first.builders.len(), first.first_column), (402, 100, 0));
    let third = window_at("repo=one&column=200").await;
    assert_eq!(third.first_column, 200);
    let red: Vec<_> =
        third.rows.iter().flat_map(|row| &row.cells).filter(|cell| cell.build.is_some()).collect();
    assert_eq!((red.len(), &*red[0].builder), (1, "sys2-cpu-250"));
    assert!(red[0].since.is_some());
    let page = on.text("/grid?repo=one&column=200").await;
    for part in ["builders 201 to 300 of 402", "builders before", "builders after", "sys2-cpu"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}

pub(crate) async fn a_page_that_is_open_is_told_of_changes(on: Fixture) {
    on.push("one", "main", &[1]).await;
    let page = on.text("/").await;
    assert!(page.contains("data-events=\"/grid/events\"") && page.contains("data-live"), "{page}");
    let mut events = on.get("/grid/events").await.into_body();
    built(&on, 1, "a", 1, Outcome::Ok).await;
    let limit = std::time::Duration::from_secs(30);
    let frame = tokio::time::timeout(limit, events.frame()).await.unwrap().unwrap().unwrap();
    let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    // A browser passes on no event without data.
    assert!(["event: changed", "id: ", "data: "].iter().all(|part| text.contains(part)), "{text}");
    // Who was away is told at once.
    let request = http::Request::get("/grid/events").header("last-event-id", "0");
    let answer = on.service.send(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let frame = tokio::time::timeout(limit, answer.into_body().frame()).await.unwrap().unwrap().unwrap();
    assert!(frame.into_data().unwrap().starts_with(b"event: changed"));
}
