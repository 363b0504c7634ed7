//! The client, against a GitHub that keeps its state and against servers that do one thing wrong. Time is tokio's, which leaps
//! when all wait.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod app;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use github::{Client, Clock, Error, Limits, Options, Repo, Tempo};
use jiff::Timestamp;
use testkit::github::{Faults, GitHub, Gone};
use tokio::time::Instant;
use transport::Service;

#[derive(Clone, Copy)]
struct Paused(Instant);

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_500_000_000).unwrap() + self.0.elapsed()
    }
}

fn clock() -> Paused {
    Paused(Instant::now())
}

fn limits() -> Limits {
    Limits { tempo: Tempo { gap: Duration::ZERO, burst: 1 }, ..Limits::default() }
}

fn client(router: Router, clock: Paused, limits: Limits) -> Client {
    let options = Options {
        service: Service::in_process(router).with_timeout(Duration::from_secs(30)),
        token: Some("s3cr3t".into()),
        user_agent: "bellwether-test".into(),
        clock: Arc::new(clock),
        seed: 1,
        limits,
    };
    Client::new(options).unwrap()
}

fn repo() -> Repo {
    "golang/go".parse().unwrap()
}

fn server(clock: Paused, options: testkit::github::Options) -> GitHub {
    let github = GitHub::new(1, options, Arc::new(move || clock.now().as_second()));
    github.change(|world, now| {
        for number in 1..=25 {
            world.open(now, 1, false, &format!("title {number}"), "");
            world.comment(now, number, 2, "a comment");
        }
    });
    github
}

async fn all(client: &Client) -> Result<Vec<i32>, Error> {
    let (mut numbers, mut cursor) = (Vec::new(), None);
    loop {
        let page = client.issues(&repo(), cursor.as_ref()).await?;
        numbers.extend(page.items.iter().map(|issue| issue.number));
        cursor = page.next;
        if cursor.is_none() {
            return Ok(numbers);
        }
    }
}

/// A server that answers the n-th request by a function of n.
fn answers(answer: impl Fn(u32) -> Response + Clone + Send + Sync + 'static) -> (Router, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let router = Router::new().fallback(move || {
        let response = answer(count.fetch_add(1, Ordering::SeqCst));
        async move { response }
    });
    (router, asked)
}

fn answer(status: u16, body: &'static str) -> Response {
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_to_its_end_and_then_not_sent_again() {
    let clock = clock();
    let github = server(clock, testkit::github::Options { page: 10, ..Default::default() });
    let client = client(github.router(), clock, limits());
    let expected: Vec<i32> = (1..=25).rev().collect();
    assert_eq!(all(&client).await.unwrap(), expected);
    let left = client.rate().remaining;
    assert_eq!((github.counts().requests, left), (3, Some(4997)));
    assert_eq!(all(&client).await.unwrap(), expected);
    let page = client.issues(&repo(), None).await.unwrap();
    assert!(page.unchanged && page.next.is_some() && page.items.len() == 10);
    assert_eq!(page.date.unwrap().as_second(), clock.now().as_second());
    assert_eq!((github.counts().unchanged, client.rate().remaining), (4, left));
    tokio::time::sleep(Duration::from_secs(1)).await;
    github.change(|world, now| world.rename(now, 3, 1, "news"));
    assert!(!client.issues(&repo(), None).await.unwrap().unchanged);
}

/// GitHub's ETag is that of the body: the last page of a list stays what it is when another comes behind it.
#[tokio::test(start_paused = true)]
async fn a_page_behind_one_that_did_not_change_is_found() {
    let clock = clock();
    let github = server(clock, testkit::github::Options { page: 10, ..Default::default() });
    github.change(|world, now| (0..9).for_each(|_| world.comment(now, 3, 2, "more")));
    let client = client(github.router(), clock, limits());
    let page = client.comments(&repo(), 3, None, None).await.unwrap();
    assert_eq!((page.items.len(), page.next), (10, None));
    github.change(|world, now| world.comment(now, 3, 2, "the eleventh"));
    let page = client.comments(&repo(), 3, None, None).await.unwrap();
    assert!(page.unchanged && page.next.is_some());
    assert_eq!(client.comments(&repo(), 3, None, page.next.as_ref()).await.unwrap().items.len(), 1);
}

/// Where "not modified" comes without a link, a full page is asked for anew.
#[tokio::test(start_paused = true)]
async fn a_full_page_without_a_next_one_is_not_kept() {
    for (count, kept) in [(99, true), (100, false)] {
        let seen = Arc::new(AtomicU32::new(0));
        let conditional = seen.clone();
        let router = Router::new().fallback(move |request: Request| {
            conditional
                .fetch_add(u32::from(request.headers().contains_key("if-none-match")), Ordering::SeqCst);
            let body = serde_json::json!(vec![serde_json::json!({"id": 1, "name": "l"}); count]).to_string();
            async move { Response::builder().header("etag", "\"e\"").body(Body::from(body)).unwrap() }
        });
        let client = client(router, clock(), limits());
        for _ in 0..2 {
            assert_eq!(client.labels(&repo(), None).await.unwrap().items.len(), count);
        }
        assert_eq!(seen.load(Ordering::SeqCst) == 1, kept, "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_says_so_and_is_asked_for_once() {
    let clock = clock();
    let github = server(clock, testkit::github::Options::default());
    github.change(|world, _| {
        for (number, how) in [(1, Gone::Deleted), (2, Gone::Transferred), (3, Gone::Hidden)] {
            world.remove(number, 1, how);
        }
    });
    let client = client(github.router(), clock, limits());
    for number in [1, 2, 3, 99] {
        assert!(client.issue(&repo(), number).await.unwrap_err().is_gone(), "{number}");
        assert!(client.comments(&repo(), number, None, None).await.unwrap_err().is_gone());
        assert!(client.events(&repo(), number, None).await.unwrap_err().is_gone());
        assert!(client.reviews(&repo(), number, None).await.unwrap_err().is_gone());
    }
    assert_eq!(github.counts().requests, 16);
    assert!(
        matches!(client.issue(&repo(), 2).await, Err(Error::Moved { location, .. }) if location.contains("/other/"))
    );
    let since = Timestamp::from_second(clock.now().as_second() + 1).unwrap();
    assert_eq!(client.comments(&repo(), 4, Some(since), None).await.unwrap().items.len(), 0);
    assert_eq!(client.comments(&repo(), 4, Some(clock.now()), None).await.unwrap().items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_succeed_is_tried_again_and_not_for_ever() {
    let clock = clock();
    let (router, asked) = answers(|nth| if nth < 4 { answer(502, "<html>") } else { answer(200, "[]") });
    let began = Instant::now();
    let read = client(router, clock, limits()).labels(&repo(), None).await.unwrap();
    assert!(read.items.is_empty() && asked.load(Ordering::SeqCst) == 5);
    // 1 + 2 + 4 + 8 s, and up to half as much again.
    let waited = began.elapsed().as_secs();
    assert!((15..23).contains(&waited), "{waited}");
    let (router, asked) = answers(|_| answer(500, "no"));
    let error = client(router, clock, limits()).labels(&repo(), None).await.unwrap_err();
    assert!(matches!(&error, Error::Status { status, .. } if status.as_u16() == 500), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 5);
    // No answer at all.
    let (router, asked) = (Router::new().fallback(std::future::pending::<()>), Instant::now());
    let error = client(router, clock, limits()).labels(&repo(), None).await.unwrap_err();
    assert!(matches!(error, Error::Call { .. }) && asked.elapsed().as_secs() < 180, "{error}");
    // Nor one that never ends, or is too long.
    let slow = || Response::new(Body::from_stream(tokio_stream()));
    let (router, asked) = answers(move |_| slow());
    let error = client(router, clock, limits()).labels(&repo(), None).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }) && asked.load(Ordering::SeqCst) == 5, "{error}");
    let (router, _) = answers(|_| answer(200, "[                                ]"));
    let small = Limits { body: 10, ..limits() };
    let error = client(router, clock, small).labels(&repo(), None).await.unwrap_err();
    assert!(error.to_string().contains("10 bytes"), "{error}");
    // What will never be right is not asked for again.
    for (status, body) in
        [(200, "{}"), (200, "["), (422, "{\"message\":\"bad\"}"), (403, "{\"message\":\"no rights\"}")]
    {
        let (router, asked) = answers(move |_| answer(status, body));
        let error = client(router, clock, limits()).labels(&repo(), None).await.unwrap_err();
        assert!(!error.is_gone() && asked.load(Ordering::SeqCst) == 1, "{error}");
    }
}

/// A byte a second.
fn tokio_stream() -> impl futures::Stream<Item = Result<Vec<u8>, std::convert::Infallible>> {
    futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok(vec![b' ']), ()))
    })
}

#[tokio::test(start_paused = true)]
async fn all_who_share_a_client_share_its_budget() {
    let clock = clock();
    let faults = Faults { secondary: 5, abuse: 2, error: 5, cut: 5, ..Faults::default() };
    let github = server(clock, testkit::github::Options { limit: 30, page: 5, faults, ..Default::default() });
    let client =
        client(github.router(), clock, Limits { patience: Duration::from_secs(100 * 3600), ..limits() });
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let client = client.clone();
        tasks.spawn(async move {
            for number in 1..=25 {
                client.comments(&repo(), number, None, None).await.unwrap();
                client.events(&repo(), number, None).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let counts = github.counts();
    assert_eq!(counts.disobeyed, 0, "{counts:?}");
    assert!(counts.refusals > 5 && counts.faults > 5 && counts.unchanged > 100, "{counts:?}");
    assert_eq!(client.rate().refused, counts.refusals);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_they_wanted() {
    let clock = clock();
    let github = server(clock, testkit::github::Options { limit: 2, ..Default::default() });
    let client = client(github.router(), clock, Limits { patience: Duration::from_secs(60), ..limits() });
    for number in [1, 2] {
        client.issue(&repo(), number).await.unwrap();
    }
    let rate = client.rate();
    assert_eq!((rate.limit, rate.remaining), (Some(2), Some(0)));
    let error = client.issue(&repo(), 3).await.unwrap_err();
    assert!(matches!(error, Error::Limited { until, .. } if Some(until) == rate.reset), "{error}");
    tokio::time::sleep(Duration::from_secs(3602)).await;
    client.issue(&repo(), 3).await.unwrap();
    assert_eq!(github.counts().disobeyed, 0);
}

#[tokio::test(start_paused = true)]
async fn the_token_goes_nowhere_else() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let heard = seen.clone();
    let router = Router::new().fallback(move |request: Request| {
        let header =
            |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        let about = (request.uri().to_string(), header("authorization"), header("user-agent"));
        heard.lock().unwrap().push(about);
        let to = match heard.lock().unwrap().len() {
            1 => "https://elsewhere.example/api/v3/repositories/1/labels?page=2",
            2 => "https://elsewhere.example/steal",
            _ => "https://api.github.com/repos/golang/go/labels?per_page=100",
        };
        let link = format!("<{to}>; rel=\"next\"");
        async move { Response::builder().header("link", link).body(Body::from("[]")).unwrap() }
    });
    let client = client(router, clock(), limits());
    let first = client.labels(&repo(), None).await.unwrap();
    let error = client.labels(&repo(), first.next.as_ref()).await.unwrap_err();
    assert!(error.to_string().contains("next page"), "{error}");
    // A list that leads to itself has no end.
    assert!(client.labels(&repo(), None).await.unwrap_err().to_string().contains("itself"));
    let seen = seen.lock().unwrap();
    assert_eq!(seen[1].0, "/repositories/1/labels?page=2");
    assert!(seen.iter().all(|(_, token, agent)| token == "Bearer s3cr3t" && agent == "bellwether-test"));
}
