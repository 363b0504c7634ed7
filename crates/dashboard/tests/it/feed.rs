//! What happens, told with numbers that last.

use std::time::Duration;

use axum::body::Body;
use dashboard::LogLimits;
use dashboard::api::{BuildReport, BuildState, Event, EventKind, Outcome};
use http::Request;
use http_body_util::BodyExt as _;
use transport::{Role, Service, Viewer};

use crate::fixture::{CONFIG, Fixture, build_id, config, done, report, revision};

/// Reads what there is after a number, and no more.
async fn since(service: &Service, after: &str, more: &str) -> Vec<Event> {
    let request = Request::get(format!("/api/v1/events?follow=false{more}")).header("last-event-id", after);
    let answer = service.send(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
    events(std::str::from_utf8(&bytes).unwrap())
}

/// Reads events, each of which has its number as its id and its kind as its name.
fn events(text: &str) -> Vec<Event> {
    let blocks = text.split("\n\n").filter(|block| block.contains("data: "));
    let one = |block: &str| {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        let event: Event = serde_json::from_str(&field("data: ")).unwrap();
        assert_eq!(field("id: "), event.id.to_string());
        assert_eq!(field("event: "), event.kind.to_string());
        event
    };
    blocks.map(one).collect()
}

fn words(events: &[Event]) -> Vec<String> {
    let one = |event: &Event| {
        let outcome = event.outcome.map_or_else(String::new, |outcome| format!(" {outcome}"));
        format!(
            "{} {}{outcome}",
            event.kind,
            event.builder.as_deref().or(event.branch.as_deref()).unwrap_or("-")
        )
    };
    events.iter().map(one).collect()
}

fn state(report: &BuildReport, state: BuildState) -> BuildReport {
    BuildReport { state, version: report.version + 1, ..report.clone() }
}

pub(crate) async fn what_happened_is_told_in_order_and_once(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    let queued = report(1, "a", &revision("one@2"));
    let preparing = state(&queued, BuildState::Preparing);
    let running = state(&preparing, BuildState::Running);
    let ended = done(running.clone(), Outcome::Failed, 5);
    for report in [&queued, &queued, &preparing, &running, &running, &ended, &ended] {
        on.client.put_build(report).await.unwrap();
    }
    // An old report that comes late changes nothing.
    on.client.put_build(&queued).await.unwrap_err();
    on.push("one", "main", &[2, 1]).await;
    let all = since(&on.service, "0", "").await;
    assert_eq!(words(&all), ["commit main", "queued a", "started a", "finished a failed"]);
    assert_eq!(all.iter().map(|event| event.id).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(all[0].revision.as_deref(), Some(&*revision("one@2")));
    assert_eq!(all[3].build.as_deref(), Some(&*build_id(1)));
    // Tried again, of which only the end was reported.
    let mut again = BuildReport { version: ended.version + 3, outcome: Some(Outcome::Ok), ..ended.clone() };
    again.attempts.push(again.attempts[0].clone());
    on.client.put_build(&again).await.unwrap();
    assert_eq!(words(&since(&on.service, "4", "").await), ["finished a ok"]);
    assert_eq!(words(&since(&on.service, "5", "").await), Vec::<String>::new());
}

pub(crate) async fn who_comes_back_misses_nothing_though_the_server_was_another(on: Fixture) {
    on.push("one", "main", &[1]).await;
    let mut seen = Vec::new();
    let mut last = "0".to_owned();
    for n in 1..=9 {
        let queued = report(n, "a", &revision(&format!("one@{n}")));
        on.client.put_build(&queued).await.unwrap();
        if n % 3 == 0 {
            // Another server on the same database: nothing is known from memory.
            let other = on.with_service(LogLimits::default());
            seen.extend(since(&other, &last, "").await);
            last = seen.last().unwrap().id.to_string();
        }
        on.client.put_build(&done(queued, Outcome::Ok, 1)).await.unwrap();
    }
    seen.extend(since(&on.service, &last, "").await);
    assert_eq!(seen.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=19).collect::<Vec<_>>());
    let list = on.client.builds(&Default::default()).await.unwrap();
    for build in list.builds {
        let of: Vec<_> = seen.iter().filter(|event| event.build.as_deref() == Some(&build.id)).collect();
        assert_eq!(
            of.iter().map(|event| event.kind).collect::<Vec<_>>(),
            [EventKind::Queued, EventKind::Finished]
        );
        assert_eq!(of[1].outcome, build.outcome);
    }
}

pub(crate) async fn who_follows_is_told_as_it_happens(on: Fixture) {
    on.push("one", "main", &[1]).await;
    let mut body = on.get("/api/v1/events?builder=b").await.into_body();
    let mut next = async || {
        let frame =
            tokio::time::timeout(Duration::from_secs(30), body.frame()).await.unwrap().unwrap().unwrap();
        events(std::str::from_utf8(frame.data_ref().unwrap()).unwrap())
    };
    let ready = next().await;
    assert_eq!((ready[0].kind, ready[0].id), (EventKind::Ready, 1), "the number from which on all is told");
    on.client.put_build(&report(1, "a", &revision("one@1"))).await.unwrap();
    on.client.put_build(&report(2, "b", &revision("one@1"))).await.unwrap();
    let told = next().await;
    assert_eq!((words(&told), told[0].id), (vec!["queued b".to_owned()], 3));
    assert_eq!(words(&since(&on.service, "0", "&repo=lib").await), Vec::<String>::new());
    assert_eq!(words(&since(&on.service, "0", "&repo=one&builder=a").await), ["queued a"]);
}

pub(crate) async fn a_number_that_is_not_known_any_more_is_said(on: Fixture) {
    on.push("one", "main", &[1]).await;
    for n in 1..=3 {
        on.client.put_build(&report(n, "a", &revision("one@1"))).await.unwrap();
    }
    let event = |kind: &str| store::feed::FeedRow {
        seq: 0,
        time: store::Micros(1),
        kind: kind.into(),
        repo: "one".into(),
        branch: "main".into(),
        builder: "a".into(),
        build: build_id(7),
        revision: revision("one@1"),
        outcome: None,
    };
    let mut tx = on.db.begin().await.unwrap();
    assert_eq!(store::feed::add(&mut tx, &event("queued"), 2).await.unwrap(), 5, "only two are kept");
    tx.commit().await.unwrap();
    let kinds = async |after: &str| {
        let events = since(&on.service, after, "").await;
        events.iter().map(|event| (event.kind, event.id)).collect::<Vec<_>>()
    };
    // The fourth and the fifth are there.
    assert_eq!(kinds("3").await, [(EventKind::Queued, 4), (EventKind::Queued, 5)]);
    assert_eq!(kinds("2").await, [(EventKind::Reset, 5)]);
    assert_eq!(kinds("6").await, [(EventKind::Reset, 5)], "a number of before a restore");
    assert_eq!(kinds("0").await, [(EventKind::Queued, 4), (EventKind::Queued, 5)], "all that is kept");
    let bad = Request::get("/api/v1/events").header("last-event-id", "x").body(Body::empty()).unwrap();
    assert_eq!(on.service.send(bad).await.unwrap().status(), 400);
}

pub(crate) async fn of_what_is_private_only_those_are_told_who_see_it(on: Fixture) {
    let text = CONFIG.replace("[repo.lib]\n", "[repo.lib]\nvisibility = \"private\"\n");
    on.config.send_replace(std::sync::Arc::new(config(&text)));
    on.push("lib", "main", &[8]).await;
    on.push("one", "main", &[1]).await;
    on.client.put_build(&report(1, "a", &revision("lib@8"))).await.unwrap();
    on.client.put_build(&report(2, "a", &revision("sub@4+lib@8"))).await.unwrap();
    on.client.put_build(&report(3, "b", &revision("one@1"))).await.unwrap();
    let stranger = on.service.clone().asking_as(Viewer::stranger(true));
    assert_eq!(words(&since(&stranger, "0", "").await), ["commit main", "queued b"]);
    assert_eq!(since(&stranger, "0", "&repo=lib").await, Vec::new(), "as of a repo that never was");
    let ada = on.service.clone().asking_as(Viewer::known("ada", Role::Developer));
    assert_eq!(since(&ada, "0", "").await.len(), 5);
    let eve = Viewer::known("eve", Role::Developer).scoped(vec!["one".into()]);
    assert_eq!(since(&on.service.clone().asking_as(eve), "0", "").await.len(), 2);
}
