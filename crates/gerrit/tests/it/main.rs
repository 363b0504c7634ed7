//! The client, against a Gerrit that keeps reviews and against servers that do one thing wrong. Time is tokio's, which leaps when
//! all wait.

#![allow(clippy::unwrap_used, reason = "these are tests: a panic is how they fail")]

mod scenario;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use gerrit::model::ReviewInput;
use gerrit::{Change, Client, Error, Revision};
use scenario::{BOT, GUEST, LABEL, client};
use testkit::gerrit::{Fault, Reviews};
use tokio::time::Instant;
use transport::Service;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn server() -> (Reviews, Change) {
    let reviews = Reviews::new(&[LABEL]);
    reviews.account(BOT.0, BOT.1, &[LABEL]);
    reviews.account(GUEST.0, GUEST.1, &[]);
    reviews.change("infra/core~7", COMMIT);
    (reviews, Change::numbered("infra/core", 7).unwrap())
}

fn plain(text: &str) -> ReviewInput {
    ReviewInput { message: text.into(), ..Default::default() }
}

async fn post(client: &Client, change: &Change) -> Result<(), Error> {
    client.set_review(change, &Revision::commit(COMMIT).unwrap(), &plain("hello")).await.map(|_| ())
}

#[tokio::test]
async fn the_fake_answers_as_the_real_one() {
    let (reviews, change) = server();
    let service = Service::in_process(reviews.router());
    let close = async || reviews.set_status("infra/core~7", "ABANDONED");
    scenario::run(&service, &change, COMMIT, close).await;
}

#[tokio::test(start_paused = true)]
async fn a_post_that_may_have_happened_is_not_tried_again() {
    let (reviews, change) = server();
    let service = Service::in_process(reviews.router()).with_timeout(Duration::from_secs(10));
    let bot = client(service, BOT);
    for (fault, there) in [
        (Fault::Status(500), 0),
        (Fault::Status(502), 0),
        (Fault::Hang, 0),
        (Fault::AnswerLost, 1),
        (Fault::DoneBut(503), 2),
    ] {
        let before = reviews.counts().0;
        reviews.fail(&[fault]);
        let error = post(&bot, &change).await.unwrap_err();
        assert!(error.may_have_happened() && error.may_succeed_later(), "{fault:?}: {error}");
        assert_eq!((reviews.counts().0 - before, reviews.get("infra/core~7").messages.len()), (1, there));
    }
    // A limit is none of these: it is waited for.
    reviews.fail(&[Fault::Status(429), Fault::Status(429)]);
    let before = Instant::now();
    post(&bot, &change).await.unwrap();
    assert_eq!((before.elapsed().as_secs(), reviews.get("infra/core~7").messages.len()), (30, 3));
    // No longer than the caller has patience, though.
    reviews.fail(&[Fault::Status(429); 9]);
    let error = post(&bot, &change).await.unwrap_err();
    assert!(matches!(error, Error::Limited { .. }) && !error.may_have_happened(), "{error}");
}

/// A server that answers the n-th request by a function of n.
fn answers(answer: impl Fn(u32) -> Response + Clone + Send + Sync + 'static) -> (Client, Arc<AtomicU32>) {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let router = Router::new().fallback(move || {
        let response = answer(count.fetch_add(1, Ordering::SeqCst));
        async move { response }
    });
    (client(Service::in_process(router), BOT), asked)
}

fn answer(status: u16, body: &'static str) -> Response {
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_again_and_no_page_is_taken_for_gerrit() {
    let (client, asked) =
        answers(|n| if n < 2 { answer(503, "down") } else { answer(200, ")]}'\n{\"_account_id\":3}") });
    assert_eq!((client.account().await.unwrap().id, asked.load(Ordering::SeqCst)), (3, 3));
    let (client, asked) = answers(|_| answer(500, "<html>no</html>"));
    assert!(matches!(client.account().await.unwrap_err(), Error::Server { .. }));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    for odd in ["{\"_account_id\":3}", "<html>Sign in</html>", ")]}'\n7", ")]}'", ""] {
        let (client, asked) = answers(move |_| answer(200, odd));
        let error = client.account().await.unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{odd}: {error}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
    let (client, _) = answers(|_| answer(409, "Cannot reduce vote on labels for closed change"));
    let error = client.account().await.unwrap_err();
    assert!(matches!(error, Error::Conflict { .. }) && !error.may_have_happened(), "{error}");
    assert!(!error.may_succeed_later() && error.to_string().contains("Cannot reduce"), "{error}");
    // Nobody is followed elsewhere with our password.
    let (client, asked) = answers(|_| {
        Response::builder()
            .status(302)
            .header("location", "http://elsewhere.invalid/")
            .body(Body::empty())
            .unwrap()
    });
    assert!(matches!(client.account().await.unwrap_err(), Error::Rejected { .. }));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn bodies_have_a_limit_in_bytes_and_time() {
    let (small, _) = answers(|_| {
        let endless = futures::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(bytes::Bytes::from_static(&[b' '; 65536]))
        });
        Response::new(Body::from_stream(endless))
    });
    assert!(matches!(small.account().await.unwrap_err(), Error::Malformed { .. }));
    let (slow, _) = answers(|_| {
        Response::new(Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>()))
    });
    assert!(matches!(slow.account().await.unwrap_err(), Error::Malformed { .. }));
    let change = Change::numbered("p", 1).unwrap();
    let (client, asked) = answers(|_| answer(200, ")]}'\n{}"));
    let long = plain(&"x".repeat(600 << 10));
    let error = client.set_review(&change, &Revision::commit(COMMIT).unwrap(), &long).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }) && asked.load(Ordering::SeqCst) == 0, "{error}");
}
