use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Method, Request, Response, header};
use jiff::Timestamp;
use pubsubhelper::{Config, Event, GerritEvent, Hint, OverTls, Published, WebhookTls, parse_time};

use crate::world::{World, ask, config, get, hint, text};

/// Of the specification, §6.5.
const BODY: &str = r#"{"action":"opened","issue":{"url":"https://api.github.com/repos/golang/go/issues/1","number":1},"repository":{"full_name":"golang/go"}}"#;
const SIGNATURE: &str = "sha256=81b04cbd3e3e11934350554d43f0eff8e4129f9c59f43cb74d9b5c04695955b5";

fn hook(path: &str, signature: &str, delivery: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("x-hub-signature-256", signature);
    request.header("x-github-delivery", delivery).body(body.into()).unwrap()
}

pub(crate) fn sign(body: &[u8]) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"s3cr3t").unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

async fn taken(answer: Response<Body>) {
    assert_eq!(answer.status(), 200);
    assert_eq!(text(answer).await, "");
}

fn count(world: &World) -> usize {
    world.hub.recent(Timestamp::MIN).len()
}

fn event_of(published: Published) -> Event {
    match published {
        Published::New(event) => Event::clone(&event),
        Published::Repeated => panic!("it was taken before"),
    }
}

#[tokio::test]
async fn a_webhook_becomes_an_event_once() {
    let on = World::sqlite(config()).await;
    taken(on.ask(hook("/github-webhook", SIGNATURE, "1", BODY)).await).await;
    taken(on.ask(hook("/hooks/github", SIGNATURE, "1", BODY)).await).await;
    // Whoever saw it once can't make another of it by another id, which nobody signs.
    taken(on.ask(hook("/hooks/github", SIGNATURE, "2", BODY)).await).await;
    taken(on.ask(hook("/hooks/github", &SIGNATURE.to_uppercase().replace("SHA", "sha"), "3", BODY)).await)
        .await;
    assert_eq!(count(&on), 1);
    let other = BODY.replace("opened", "closed");
    taken(on.ask(hook("/hooks/github", &sign(other.as_bytes()), "1", other)).await).await;
    assert_eq!(count(&on), 2);
    let answer = on.ask(get("/waitevent?after=2017-07-27T16:28:01Z")).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json; charset=utf-8");
    let got = text(answer).await;
    let time = Event::from_json(&got).unwrap().time.unwrap();
    let github = "{\n\t\t\"Action\": \"opened\",\n\t\t\"RepoOwner\": \"golang\",\n\t\t\"Repo\": \"go\",\n\t\t\"IssueNumber\": 1\n\t}";
    assert_eq!(got, format!("{{\n\t\"Time\": \"{time}\",\n\t\"GitHub\": {github}\n}}"));
    // The time of the answer leads to the next one.
    let next = text(on.ask(get(&format!("/waitevent?after={time}"))).await).await;
    assert!(Event::from_json(&next).unwrap().time.unwrap() > time);
}

#[tokio::test]
async fn what_github_cannot_mend_is_answered_with_200_and_ignored() {
    let on = World::sqlite(config()).await;
    let bad = "no json";
    for request in [
        hook("/github-webhook", "sha256=00", "1", BODY),
        hook("/github-webhook", "", "1", BODY),
        hook("/github-webhook", SIGNATURE, "1", format!("{BODY} ")),
        hook("/github-webhook", &sign(bad.as_bytes()), "1", bad),
        hook("/github-webhook", &sign(b"{}"), "1", "{}"),
    ] {
        taken(on.ask(request).await).await;
    }
    assert_eq!(count(&on), 0);
    let nothing = World::sqlite(Config { webhook_secret: None, ..config() }).await;
    taken(nothing.ask(hook("/github-webhook", SIGNATURE, "1", BODY)).await).await;
    assert_eq!(count(&nothing), 0);
}

#[tokio::test]
async fn a_webhook_of_25_mb_is_taken_and_a_larger_one_ignored() {
    let on = World::sqlite(config()).await;
    let padded = |bytes: usize, with: &str| {
        let start = r#"{"issue":{"number":5},"repository":{"full_name":"a/b"},"padding":""#;
        format!("{start}{}\"}}", with.repeat(bytes - start.len() - 2))
    };
    let unsaid = |body: &str| Body::from_stream(Body::from(body.to_owned()).into_data_stream());
    let fits = padded(25 << 20, "x");
    taken(on.ask(hook("/github-webhook", &sign(fits.as_bytes()), "1", fits)).await).await;
    let fits = padded(25 << 20, "y");
    taken(on.ask(hook("/github-webhook", &sign(fits.as_bytes()), "2", unsaid(&fits))).await).await;
    assert_eq!(count(&on), 2);
    let large = padded((25 << 20) + 1, "x");
    let signature = sign(large.as_bytes());
    taken(on.ask(hook("/github-webhook", &signature, "3", large.clone())).await).await;
    taken(on.ask(hook("/github-webhook", &signature, "4", unsaid(&large))).await).await;
    assert_eq!(count(&on), 2);
}

/// Nothing is held for those who do not even say a signature.
#[tokio::test]
async fn without_a_signature_no_body_is_read() {
    let on = World::sqlite(config()).await;
    let nothing = World::sqlite(Config { webhook_secret: None, ..config() }).await;
    let unread = || {
        let never = futures::stream::poll_fn(|_| -> std::task::Poll<Option<std::io::Result<Vec<u8>>>> {
            panic!("the body is read")
        });
        Body::from_stream(never)
    };
    for signature in ["", "sha256=00", &SIGNATURE.replace("sha256", "sha1"), &format!("{SIGNATURE}0")] {
        taken(on.ask(hook("/hooks/github", signature, "1", unread())).await).await;
    }
    taken(on.ask(Request::post("/hooks/github").body(unread()).unwrap()).await).await;
    let mut two = hook("/hooks/github", SIGNATURE, "1", unread());
    two.headers_mut().append("x-hub-signature-256", SIGNATURE.parse().unwrap());
    taken(on.ask(two).await).await;
    taken(nothing.ask(hook("/hooks/github", SIGNATURE, "1", unread())).await).await;
}

/// Whoever knows no secret can send bodies that do not end. They have all the room there is, and a true one has it all the same.
#[tokio::test]
async fn bodies_that_do_not_end_keep_no_true_one_out() {
    let on = World::sqlite(Config { webhook_bytes: 1 << 20, ..config() }).await;
    let (came, mut coming) = tokio::sync::mpsc::channel(4);
    let slow = || {
        let came = came.clone();
        let first = futures::stream::iter([Ok::<_, std::io::Error>(vec![b' '; 1 << 20])]);
        let rest = futures::stream::once(async move {
            came.send(()).await.unwrap();
            std::future::pending().await
        });
        Body::from_stream(futures::StreamExt::chain(first, rest))
    };
    let mut all = tokio::task::JoinSet::new();
    for n in 0..4 {
        let (hub, body) = (on.hub.clone(), slow());
        all.spawn(async move { ask(&hub, hook("/hooks/github", SIGNATURE, &n.to_string(), body)).await });
    }
    for _ in 0..4 {
        coming.recv().await.unwrap();
    }
    let asked = on.ask(hook("/hooks/github", SIGNATURE, "5", BODY));
    taken(tokio::time::timeout(crate::world::LONG, asked).await.unwrap()).await;
    assert_eq!(count(&on), 1);
    // The first of them had to give way: had it been GitHub's, it would come again.
    let gone = tokio::time::timeout(crate::world::LONG, all.join_next()).await.unwrap();
    assert_eq!(gone.unwrap().unwrap().status(), 503);
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn a_webhook_comes_over_tls_or_from_a_proxy_that_is_trusted() {
    let proxies = vec!["192.0.2.1".parse().unwrap()];
    let on = World::sqlite(Config { webhook_tls: WebhookTls::Required { proxies }, ..config() }).await;
    let from = |peer: &str, proto: &[&str]| {
        let mut request = hook("/github-webhook", SIGNATURE, "1", BODY);
        let peer = ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1));
        request.extensions_mut().insert(peer);
        for one in proto {
            request.headers_mut().append("x-forwarded-proto", one.parse().unwrap());
        }
        request
    };
    for (peer, proto) in [
        ("192.0.2.1", &[][..]),
        ("192.0.2.1", &["http"]),
        ("192.0.2.1", &["https, http"]),
        ("192.0.2.1", &["https", "http"]),
        ("192.0.2.2", &["https"]),
    ] {
        let answer = on.ask(from(peer, proto)).await;
        assert_eq!(answer.status(), 400, "{peer} {proto:?}");
        assert_eq!(text(answer).await, "HTTPS required\n");
    }
    assert_eq!(count(&on), 0);
    taken(on.ask(from("192.0.2.1", &["https"])).await).await;
    assert_eq!(count(&on), 1);
    let other = BODY.replace("opened", "closed");
    let mut direct = hook("/github-webhook", &sign(other.as_bytes()), "2", other);
    direct.extensions_mut().insert(OverTls);
    taken(on.ask(direct).await).await;
    assert_eq!(count(&on), 2);
}

#[tokio::test]
async fn other_methods_and_times_are_refused() {
    let on = World::sqlite(config()).await;
    let by = |method: Method, path: &str| Request::builder().method(method).uri(path).body(Body::empty());
    for (method, path, status, allow) in [
        (Method::POST, "/waitevent", 405, Some("GET, HEAD")),
        (Method::HEAD, "/waitevent", 400, None),
        (Method::PUT, "/recent", 405, Some("GET, HEAD")),
        (Method::HEAD, "/recent", 200, None),
        (Method::GET, "/github-webhook", 405, Some("POST")),
        (Method::HEAD, "/hooks/github", 405, Some("POST")),
        (Method::GET, "/waitevent?after=x", 400, None),
        // A plus that is not escaped is a space.
        (Method::GET, "/waitevent?after=2017-07-27T16:28:01+02:00", 400, None),
        (Method::GET, "/recent?after=yesterday", 400, None),
        (Method::GET, "/recent?after=%ff", 400, None),
        (Method::GET, "/recent?other=1&after=2017-07-27T16:28:01%2B02:00", 200, None),
        (Method::GET, "/recent?after=", 200, None),
        (Method::GET, "/nothing", 404, None),
        (Method::GET, "/healthz", 200, None),
    ] {
        let answer = on.ask(by(method.clone(), path).unwrap()).await;
        assert_eq!(answer.status(), status, "{method} {path}");
        let said = answer.headers().get(header::ALLOW).map(|value| value.to_str().unwrap());
        assert_eq!(said, allow, "{method} {path}");
    }
    // Whoever may not read gets nothing but the webhook.
    for (path, status) in [("/waitevent", 401), ("/recent", 401), ("/", 401), ("/healthz", 200)] {
        let answer = tower::ServiceExt::oneshot(pubsubhelper::router(&on.hub), get(path)).await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn the_list_is_the_original_s() {
    let on = World::sqlite(config()).await;
    let list = async |query: &str| text(on.ask(get(&format!("/recent{query}"))).await).await;
    assert_eq!(list("").await, "[\n\n]\n");
    let mut events = Vec::new();
    // More than are written at once.
    for n in 1..=130 {
        events.push(event_of(on.hub.publish(hint(n), None).await.unwrap()));
    }
    let written = |events: &[Event]| {
        let texts: Vec<_> = events.iter().rev().map(Event::to_json).collect();
        format!("[\n{}\n]\n", texts.join(",\n"))
    };
    assert_eq!(list("").await, written(&events));
    for from in [1, 64, 65, 66, 129] {
        let time = events[from].time.unwrap();
        assert_eq!(list(&format!("?after={time}")).await, written(&events[from..]), "itself too");
    }
    let all: Vec<serde_json::Value> = serde_json::from_str(&list("").await).unwrap();
    assert_eq!(all.len(), 130);
}

#[tokio::test]
async fn a_wait_that_is_over_is_told_when_to_go_on_from() {
    let on = World::sqlite(Config { long_poll: Duration::from_millis(20), ..config() }).await;
    let got = text(on.ask(get("/waitevent")).await).await;
    let over = Event::from_json(&got).unwrap();
    let time = over.time.unwrap();
    assert_eq!(got, format!("{{\n\t\"Time\": \"{time}\",\n\t\"LongPollTimeout\": true\n}}"));
    let event = event_of(on.hub.publish(hint(1), None).await.unwrap());
    assert_eq!(text(on.ask(get(&format!("/waitevent?after={time}"))).await).await, event.to_json());
}

#[tokio::test]
async fn whoever_asks_for_what_comes_after_a_time_to_come_gets_the_next_event() {
    let on = World::sqlite(config()).await;
    let far = parse_time("2200-01-01T00:00:00Z").unwrap();
    let (got, event) = tokio::join!(on.hub.wait(Some(far)), on.hub.publish(hint(2), None));
    assert_eq!(Event::clone(&got), event_of(event.unwrap()));
}

#[tokio::test]
async fn the_page_shows_names_as_text() {
    let on = World::sqlite(config()).await;
    let gerrit = GerritEvent {
        url: "https://x/<script>alert(1)</script>".into(),
        project: "a\u{202e}b\"&".into(),
        commit_hash: String::new(),
        change_number: 7,
    };
    on.hub.publish(Hint::Gerrit(gerrit), None).await.unwrap();
    on.hub.publish(hint(3), None).await.unwrap();
    for path in ["/", "/hooks"] {
        let answer = on.ask(get(path)).await;
        assert_eq!(answer.status(), 200);
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = text(answer).await;
        assert!(page.contains("golang/go") && page.contains("issue 3") && page.contains("change 7"));
        assert!(!page.contains("<script>") && !page.contains('\u{202e}'), "{page}");
        assert!(page.contains("&#60;script&#62;") && page.contains("a⟦U+202E⟧b&#34;&#38;"), "{page}");
        // Its style and its script are there, where nobody else serves them.
        let sheet = page.split('"').find(|part| part.ends_with("/style.css")).unwrap();
        assert_eq!(on.ask(get(sheet)).await.status(), 200, "{sheet}");
    }
}
