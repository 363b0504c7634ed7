//! Trees: what the rules say of builds, what somebody sets by hand, and how others are told.

use std::sync::Arc;

use axum::body::Body;
use dashboard::api::{BuildReport, Outcome, TreeDetail, TreeList, TreeStatus};
use http::{Request, StatusCode, header};
use jiff::Timestamp;
use store::tree_changes::ChangeRow;
use store::tree_orders::OrderRow;
use store::{Micros, audit, tree_changes, tree_orders};
use transport::{Role, Service, Viewer};

use crate::fixture::{CONFIG, Fixture, at, build_id, config, done, hash, line, report, revision};

async fn tree(on: &Fixture, repo: &str, branch: &str) -> TreeDetail {
    on.service.get_json(&format!("/api/v1/tree/{repo}/{}", transport::segment(branch))).await.unwrap()
}

/// Status, reason, and the status of each change, oldest first.
async fn told(on: &Fixture, repo: &str) -> (TreeStatus, String, Vec<TreeStatus>) {
    let tree = tree(on, repo, "main").await;
    let changes = tree.changes.iter().rev().map(|change| change.status).collect();
    (tree.info.status, tree.info.reason, changes)
}

/// Reports a build as done, as of some seconds.
async fn built(on: &Fixture, n: u8, builder: &str, of: &str, outcome: Outcome) {
    on.client.put_build(&done(report(n, builder, &revision(of)), outcome, i64::from(n))).await.unwrap();
}

fn ada() -> Viewer {
    Viewer { csrf: Some("form-token".into()), ..Viewer::known("ada", Role::Developer) }
}

async fn send(service: &Service, request: Request<Body>) -> (StatusCode, http::HeaderMap, String) {
    let answer = service.send(request).await.unwrap();
    let (head, body) = answer.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 22).await.unwrap();
    (head.status, head.headers, String::from_utf8(bytes.into()).unwrap())
}

async fn post(
    service: &Service,
    path: &str,
    kind: &str,
    body: &str,
) -> (StatusCode, http::HeaderMap, String) {
    let request = Request::post(path).header(header::CONTENT_TYPE, kind).body(Body::from(body.to_owned()));
    send(service, request.unwrap()).await
}

async fn set(service: &Service, path: &str, status: &str, reason: &str) -> (StatusCode, String) {
    let body = serde_json::json!({"status": status, "reason": reason}).to_string();
    let (status, _, text) = post(service, &format!("{path}/set"), "application/json", &body).await;
    (status, text)
}

const FORM: &str = "application/x-www-form-urlencoded";

pub(crate) async fn the_rules_follow_the_builds(on: Fixture) {
    use TreeStatus::{Closed, Open};
    on.push("one", "main", &[3, 2, 1]).await;
    let (status, reason, _) = told(&on, "one").await;
    assert_eq!((status, &*reason), (Open, "no builder has judged one of the newest commits"));
    built(&on, 1, "a", "one@3", Outcome::Ok).await;
    built(&on, 2, "b", "one@2", Outcome::Failed).await;
    let now = tree(&on, "one", "main").await.info;
    assert_eq!((now.status, &*now.reason, now.judged), (Closed, "b is red", 2));
    let red = &now.red[0];
    assert_eq!((&*red.builder, &red.build, &red.commit, red.closes), ("b", &build_id(2), &hash(2), true));
    // What was not judged, and what is older, changes nothing.
    built(&on, 3, "b", "one@3", Outcome::InfraFailed).await;
    built(&on, 4, "b", "one@1", Outcome::Ok).await;
    assert_eq!(told(&on, "one").await.0, Closed);
    let tried = BuildReport { class: "try".into(), ..report(5, "b", &revision("one@3")) };
    on.client.put_build(&done(tried, Outcome::Ok, 5)).await.unwrap();
    assert_eq!(told(&on, "one").await.0, Closed);
    built(&on, 6, "b", "one@3", Outcome::Ok).await;
    let (status, reason, changes) = told(&on, "one").await;
    assert_eq!((status, &*reason), (Open, "all 2 builders that judged are green"));
    assert_eq!(changes, [Open, Closed, Open]);
    // Another server on the same database sees the same, and writes nothing down again.
    let another = Service::in_process(dashboard::router(&on.dashboard()));
    let tree: TreeDetail = another.get_json("/api/v1/tree/one/main").await.unwrap();
    assert_eq!((tree.info.status, tree.changes.len()), (Open, 3));
    // A builder that the configuration has no more holds nothing closed.
    built(&on, 7, "a", "one@3", Outcome::Failed).await;
    assert_eq!(told(&on, "one").await.0, Closed);
    let text = CONFIG.replace("[builder.a]\n", "[builder.a]\nrepos = [\"lib\"]\n");
    on.config.send_replace(Arc::new(config(&text)));
    assert_eq!(told(&on, "one").await.0, Open);
}

pub(crate) async fn closers_and_thresholds_are_configured(on: Fixture) {
    let rules = "[repo.one.tree]\nclosers = [\"b\"]\nthrottle_red = 50\nthrottle_queued = 1\n";
    on.config.send_replace(Arc::new(config(&format!("{CONFIG}{rules}"))));
    on.push("one", "main", &[3, 2, 1]).await;
    built(&on, 1, "b", "one@3", Outcome::Ok).await;
    built(&on, 2, "a", "one@3", Outcome::Failed).await;
    let (status, reason, _) = told(&on, "one").await;
    assert_eq!((status, &*reason), (TreeStatus::Throttled, "1 of 2 builders is red: a"));
    built(&on, 3, "a", "one@3", Outcome::Ok).await;
    on.client.put_build(&report(4, "a", &revision("one@2"))).await.unwrap();
    assert_eq!(told(&on, "one").await.0, TreeStatus::Open);
    on.client.put_build(&report(5, "b", &revision("one@2"))).await.unwrap();
    let (status, reason, changes) = told(&on, "one").await;
    assert_eq!((status, &*reason), (TreeStatus::Throttled, "2 builds wait"));
    assert_eq!(changes.len(), 4, "{changes:?}");
    let page = on.text("/tree/one/main").await;
    for part in ["closed if a builder of b is red", "50 % of the builders are red", "more than 1 builds wait"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
}

pub(crate) async fn each_branch_of_the_toolchain_counts(on: Fixture) {
    let pairs = "[repo.sub]\npairs = [{ with = [\"main\", \"release-1\"] }]\n";
    on.config.send_replace(Arc::new(config(&CONFIG.replace("[repo.sub]\n", pairs))));
    on.push("lib", "main", &[9, 8]).await;
    on.client.put_branch("lib", "release-1", &line("release-1", &[7])).await.unwrap();
    on.push("sub", "main", &[5, 4]).await;
    built(&on, 1, "a", "sub@5+lib@8", Outcome::Failed).await;
    assert_eq!(told(&on, "sub").await.0, TreeStatus::Closed);
    // Against a newer commit of the same branch it is well.
    built(&on, 2, "a", "sub@5+lib@9", Outcome::Ok).await;
    assert_eq!(told(&on, "sub").await.0, TreeStatus::Open);
    // Against another branch it is not, whatever is newer.
    built(&on, 3, "a", "sub@4+lib@7", Outcome::Failed).await;
    built(&on, 4, "a", "sub@4+lib@9", Outcome::Ok).await;
    assert_eq!(told(&on, "sub").await.0, TreeStatus::Closed);
    built(&on, 5, "a", "sub@5+lib@7", Outcome::Ok).await;
    assert_eq!(told(&on, "sub").await.0, TreeStatus::Open);
}

pub(crate) async fn a_force_push_takes_its_red_commit_along(on: Fixture) {
    on.push("one", "main", &[3, 1]).await;
    built(&on, 1, "a", "one@3", Outcome::Failed).await;
    let now = tree(&on, "one", "main").await.info;
    assert_eq!(
        (now.status, now.since),
        (TreeStatus::Closed, Some(at(11))),
        "it is as old as the build's end"
    );
    on.push("one", "main", &[4, 1]).await;
    assert_eq!(told(&on, "one").await.0, TreeStatus::Open);
}

pub(crate) async fn what_is_set_by_hand_wins_until_it_is_released(on: Fixture) {
    use TreeStatus::{Closed, Open, Throttled};
    on.push("one", "main", &[2, 1]).await;
    built(&on, 1, "a", "one@2", Outcome::Failed).await;
    let people = on.service.clone().asking_as(ada());
    let path = "/api/v1/tree/one/main";
    let (status, text) = set(&people, path, "open", "known, see #12").await;
    assert_eq!(status, 200, "{text}");
    let now = tree(&on, "one", "main").await.info;
    assert_eq!((now.status, &*now.reason, now.owner.as_deref()), (Open, "known, see #12", Some("ada")));
    assert_eq!((now.computed, &*now.computed_reason), (Closed, "a is red"));
    // By the form, with an end; the answer leads back to the page.
    let form = "csrf=form-token&status=throttled&reason=a+%3Cslow%3E+day&expires_in=3600";
    let (status, head, text) = post(&people, &format!("{path}/set"), FORM, form).await;
    assert_eq!(
        (status.as_u16(), head[header::LOCATION].to_str().unwrap()),
        (303, "/tree/one/main"),
        "{text}"
    );
    let now = tree(&on, "one", "main").await.info;
    assert_eq!((now.status, now.since.is_some()), (Throttled, true));
    assert_eq!(now.until.unwrap().as_second() - now.since.unwrap().as_second(), 3600);
    // The grid, the list and the page say it.
    for page in ["/grid?repo=one&branch=main", "/tree", "/tree/one/main"] {
        let text = on.text(page).await;
        assert!(text.contains("a &#60;slow&#62; day") && text.contains("throttled"), "{page}: {text}");
    }
    let page = send(&people, Request::get("/tree/one/main").body(Body::empty()).unwrap()).await.2;
    assert!(page.contains("action=\"/api/v1/tree/one/main/set\"") && page.contains("form-token"), "{page}");
    assert!(page.contains("action=\"/api/v1/tree/one/main/release\""), "{page}");
    // Builds change nothing while it counts.
    built(&on, 2, "a", "one@2", Outcome::Ok).await;
    assert_eq!(told(&on, "one").await.0, Throttled);
    let (status, head, _) = post(&people, &format!("{path}/release"), FORM, "csrf=form-token").await;
    assert_eq!((status.as_u16(), head[header::LOCATION].to_str().unwrap()), (303, "/tree/one/main"));
    let (status, _, changes) = told(&on, "one").await;
    assert_eq!((status, changes), (Open, vec![Closed, Open, Throttled, Open]));
    assert_eq!(post(&people, &format!("{path}/release"), "", "").await.0, StatusCode::CONFLICT);
    // Who did it is in the audit log.
    let rows = audit::after(&mut on.db.read().await.unwrap(), 0, 10).await.unwrap();
    let deeds: Vec<_> =
        rows.iter().map(|row| (&*row.deed.actor, &*row.deed.action, &*row.deed.target)).collect();
    let by_hand = ("ada", "tree_set", "one main");
    assert_eq!(deeds, [by_hand, by_hand, ("ada", "tree_release", "one main")]);
    assert_eq!(rows[0].deed.detail, "open: known, see #12");
    assert!(rows[1].deed.detail.starts_with("throttled until 20"), "{rows:?}");
}

pub(crate) async fn who_may_not_set_it_does_not(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    let path = "/api/v1/tree/one/main";
    let scoped = ada().scoped(vec!["lib".into()]);
    for (viewer, wanted) in
        [(Viewer::stranger(true), 401), (Viewer::known("r", Role::Reader), 403), (scoped, 403)]
    {
        let service = on.service.clone().asking_as(viewer.clone());
        assert_eq!(set(&service, path, "closed", "why not").await.0.as_u16(), wanted, "{viewer:?}");
        let page = send(&service, Request::get("/tree/one/main").body(Body::empty()).unwrap()).await.2;
        assert!(!page.contains("<form"), "{page}");
    }
    let people = on.service.clone().asking_as(ada());
    let long = "x".repeat(501);
    for (status, reason) in [("closed", " "), ("closed", &*long), ("ajar", "why")] {
        let answer = set(&people, path, status, reason).await;
        assert!(answer.0.is_client_error(), "{status} {reason}: {answer:?}");
    }
    for form in ["status=closed&reason=x&expires_in=soon", "status=closed&reason=x&expires_in=0", "reason=x"]
    {
        let answer = post(&people, &format!("{path}/set"), FORM, form).await;
        assert!(answer.0.is_client_error(), "{form}: {answer:?}");
    }
    for nowhere in ["/api/v1/tree/one/other", "/api/v1/tree/nil/main", "/api/v1/tree/one/%00"] {
        assert_eq!(set(&people, nowhere, "closed", "why").await.0, StatusCode::NOT_FOUND, "{nowhere}");
    }
    assert_eq!(tree(&on, "one", "main").await.info.owner, None);
    assert!(audit::after(&mut on.db.read().await.unwrap(), 0, 9).await.unwrap().is_empty());
}

pub(crate) async fn what_was_set_ends_by_itself(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    // As if it had been set an hour ago, for half an hour.
    let now = Micros::now();
    let ago = |minutes: i64| Micros(now.0 - minutes * 60_000_000);
    let (repo, branch, status) = ("one".to_owned(), "main".to_owned(), "closed".to_owned());
    let (owner, reason, until) = ("ada".to_owned(), "the roof leaks".to_owned(), Some(ago(30)));
    let mut tx = on.db.begin().await.unwrap();
    let order = OrderRow {
        repo: repo.clone(),
        branch: branch.clone(),
        status: status.clone(),
        owner: owner.clone(),
        reason: reason.clone(),
        since: ago(60),
        until,
    };
    tree_orders::put(&mut tx, &order).await.unwrap();
    let change = ChangeRow { repo, branch, n: 1, time: ago(60), status, owner: Some(owner), reason, until };
    tree_changes::insert(&mut tx, &change).await.unwrap();
    tx.commit().await.unwrap();
    let tree = tree(&on, "one", "main").await;
    assert_eq!((tree.info.status, tree.info.owner), (TreeStatus::Open, None));
    let ended = Timestamp::from_microsecond(ago(30).0).unwrap();
    assert_eq!((tree.changes.len(), tree.changes[0].time), (2, ended));
    assert_eq!(tree.info.since, Some(ended));
}

pub(crate) async fn a_badge_and_a_feed_for_others(on: Fixture) {
    let branch = "rel/<1> \u{202e}\u{ffff}\u{1}&";
    let one = "[repo.one]\nbranches = [\"*\"]\n";
    on.config.send_replace(Arc::new(config(&CONFIG.replace("[repo.one]\n", one))));
    on.push("one", "main", &[2, 1]).await;
    // Gitmirror posts no name with a control; everything else it may.
    let branch = branch.replace('\u{1}', "");
    on.client.put_branch("one", &branch, &line("x", &[2, 1])).await.unwrap();
    built(&on, 1, "a", "one@2", Outcome::Failed).await;
    let people = on.service.clone().asking_as(ada());
    let path = format!("/tree/one/{}", transport::segment(&branch));
    let api = format!("/api/v1{path}");
    assert_eq!(set(&people, &api, "throttled", "]]> \u{ffff}\u{1} <b> & \u{202e}").await.0, 200);
    let feed = send(&people, Request::get(format!("{path}/feed.atom")).body(Body::empty()).unwrap()).await;
    assert_eq!(feed.1[header::CONTENT_TYPE], "application/atom+xml; charset=utf-8");
    let parsed =
        atom_syndication::Feed::read_from(feed.2.as_bytes()).unwrap_or_else(|e| panic!("{e}: {}", feed.2));
    assert_eq!(parsed.entries().len(), 2);
    let newest = &parsed.entries()[0];
    assert!(newest.title().value.contains("throttled: ]]> \u{fffd}␁ <b> & ⟦U+202E⟧"), "{newest:?}");
    assert_eq!((newest.authors()[0].name(), parsed.updated()), ("ada", newest.updated()));
    assert_ne!(newest.id(), parsed.entries()[1].id());
    assert!(parsed.links().iter().any(|link| link.rel() == "self" && link.href().ends_with("/feed.atom")));
    // A reader that has it is told so, and one that has not gets it.
    for (what, kind) in [("feed.atom", "application/atom+xml; charset=utf-8"), ("badge.svg", "image/svg+xml")]
    {
        let at = format!("{path}/{what}");
        let (status, head, text) = send(&people, Request::get(&at).body(Body::empty()).unwrap()).await;
        assert_eq!((status.as_u16(), head[header::CONTENT_TYPE].to_str().unwrap()), (200, kind));
        assert_eq!(head[header::CACHE_CONTROL], "public, max-age=60");
        let again = Request::get(&at).header(header::IF_NONE_MATCH, head[header::ETAG].clone());
        let (status, _, nothing) = send(&people, again.body(Body::empty()).unwrap()).await;
        assert_eq!((status.as_u16(), &*nothing), (304, ""));
        let other = Request::get(&at).header(header::IF_NONE_MATCH, "\"x\"").body(Body::empty()).unwrap();
        assert_eq!(send(&people, other).await.2, text);
    }
    let badge = send(&people, Request::get("/tree/one/main/badge.svg").body(Body::empty()).unwrap()).await.2;
    for part in ["<title>one main: tree closed</title>", "role=\"img\"", ">closed</text>"] {
        assert!(badge.contains(part), "{part} in {badge}");
    }
    assert!(!badge.contains("url(") && !badge.contains("style="), "{badge}");
    assert_eq!(on.get("/tree/one/none/badge.svg").await.status(), StatusCode::NOT_FOUND);
}

pub(crate) async fn trees_are_listed_and_have_twins(on: Fixture) {
    let json = "[repo.one]\nbranches = [\"*\"]\n";
    on.config.send_replace(Arc::new(config(&CONFIG.replace("[repo.one]\n", json))));
    on.push("one", "main", &[2, 1]).await;
    on.client.put_branch("one", "a.json", &line("a.json", &[1])).await.unwrap();
    on.push("lib", "main", &[8]).await;
    // Not built: it has no tree.
    on.client.put_branch("lib", "other", &line("other", &[8])).await.unwrap();
    let list: TreeList = on.service.get_json("/tree.json").await.unwrap();
    let names: Vec<_> = list.trees.iter().map(|tree| format!("{} {}", tree.repo, tree.branch)).collect();
    assert_eq!(names, ["lib main", "one main", "one a.json"]);
    let twin: TreeDetail = on.service.get_json("/tree/one/main.json").await.unwrap();
    assert_eq!(twin, tree(&on, "one", "main").await);
    assert!(on.text("/tree/one/a.json").await.contains("<h1>"));
    let twin: TreeDetail = on.service.get_json("/tree/one/a.json.json").await.unwrap();
    assert_eq!(twin.info.branch, "a.json");
    assert!(on.text("/tree/lib/other").await.contains("That is not here"));
    let page = on.text("/tree/one/main").await;
    for part in ["/tree/one/main/badge.svg", "rel=\"alternate\" type=\"application/atom+xml\"", "the rules"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}
