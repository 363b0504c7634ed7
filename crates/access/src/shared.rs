//! Where many strangers look at the same thing at once, it is made once for all of them.
//!
//! Only in a crowd, and only for so short a time that nobody is shown what was true before they were told of a change.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};

use crate::limit::{Bucket, Rate};

/// As many strangers' answers as all of them together get before they are a crowd.
const CROWD: Rate = Rate { per_second: 50, burst: 50 };
/// An answer is given to others for so long after somebody began to make it. Pages that are open are told of a change no
/// sooner than this after it (`dashboard`'s `changes`), so that what they then ask for has it.
const AGE: Duration = Duration::from_millis(50);
/// So many answers are kept at once,
const KEPT: usize = 64;
/// and none that is larger.
const LARGEST: usize = 256 << 10;
/// Nor is an address kept that is longer.
const LONGEST: usize = 1024;

/// Headers by which answers differ.
static TELLING: [HeaderName; 3] = [header::HOST, header::ACCEPT, header::ACCEPT_ENCODING];
/// Headers by which none does. Whoever sends any other gets an answer of their own.
static IDLE: [HeaderName; 9] = [
    header::USER_AGENT,
    header::ACCEPT_LANGUAGE,
    header::REFERER,
    header::CONNECTION,
    header::CACHE_CONTROL,
    header::PRAGMA,
    header::UPGRADE_INSECURE_REQUESTS,
    header::DNT,
    header::TE,
];
/// The same, of names without a constant.
const IDLE_TOO: [&str; 4] = ["priority", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"];

/// What is asked for: equal for those who get equal answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(String, [Option<HeaderValue>; 3]);

/// Returns what a stranger's request asks for, if others may ask for the same.
pub(crate) fn key<B>(request: &Request<B>) -> Option<Key> {
    let path = request.uri().path_and_query()?.as_str();
    if request.method() != Method::GET || path.len() > LONGEST || !request.headers().keys().all(is_known) {
        return None;
    }
    let mut values = [const { None }; 3];
    for (name, value) in TELLING.iter().zip(&mut values) {
        let mut said = request.headers().get_all(name).iter();
        *value = said.next().cloned();
        if said.next().is_some() {
            return None;
        }
    }
    Some(Key(path.to_owned(), values))
}

fn is_known(name: &HeaderName) -> bool {
    let text = name.as_str();
    TELLING.contains(name) || IDLE.contains(name) || IDLE_TOO.contains(&text) || text.starts_with("sec-")
}

#[derive(Debug)]
struct Kept {
    since: Instant,
    headers: HeaderMap,
    body: Bytes,
}

/// The answers of this moment.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    everybody: Option<Bucket>,
    kept: HashMap<Key, Kept>,
    /// When an order was carried out last.
    ordered: Option<Instant>,
}

impl Shared {
    /// Counts one who asks, and says whether they are one of a crowd.
    pub(crate) fn crowd(&mut self, now: Instant) -> bool {
        let crowd = Bucket::take(&mut self.everybody, CROWD, now).is_err();
        if !crowd {
            self.kept = HashMap::new();
        }
        crowd
    }

    /// Notes that an order was carried out: whoever looks then sees what came of it.
    pub(crate) fn ordered(&mut self, now: Instant) {
        self.ordered = Some(now);
        self.kept = HashMap::new();
    }

    /// Returns the answer that somebody else got just now.
    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<Response> {
        let kept = self.kept.get(key).filter(|kept| now.saturating_duration_since(kept.since) < AGE)?;
        let mut response = Response::new(Body::from(kept.body.clone()));
        response.headers_mut().clone_from(&kept.headers);
        Some(response)
    }

    /// Keeps what was made for one of them, begun at `since`.
    pub(crate) fn put(&mut self, key: Key, since: Instant, headers: &HeaderMap, body: &Bytes) {
        if self.ordered.is_some_and(|ordered| since <= ordered) {
            return;
        }
        self.kept.retain(|_, kept| since.saturating_duration_since(kept.since) < AGE);
        if self.kept.len() < KEPT || self.kept.contains_key(&key) {
            self.kept.insert(key, Kept { since, headers: headers.clone(), body: body.clone() });
        }
    }
}

/// Whether an answer is equal for all, and small.
pub(crate) fn is_for_all(response: &Response) -> bool {
    let headers = response.headers();
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let length = length.or_else(|| {
        http_body::Body::size_hint(response.body()).exact().and_then(|exact| usize::try_from(exact).ok())
    });
    response.status() == StatusCode::OK
        && !headers.contains_key(header::SET_COOKIE)
        && length.is_some_and(|length| length <= LARGEST)
}

/// Reads an answer that [`is_for_all`].
///
/// # Errors
/// It broke off.
pub(crate) async fn whole(response: Response) -> Result<(HeaderMap, Bytes), axum::Error> {
    let (parts, body) = response.into_parts();
    Ok((parts.headers, axum::body::to_bytes(body, LARGEST).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str, headers: &[(&str, &str)]) -> Option<Key> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        key(&request.body(()).unwrap())
    }

    #[test]
    fn who_sends_what_makes_no_difference_asks_for_the_same() {
        let host = ("host", "ci.example");
        let one = asked("/grid?a=b", &[host, ("user-agent", "a"), ("x-forwarded-for", "192.0.2.1")]).unwrap();
        let same = asked("/grid?a=b", &[("sec-fetch-mode", "cors"), host, ("referer", "/")]).unwrap();
        assert_eq!(one, same);
        let accept = ("accept", "text/html");
        for (path, headers) in [
            ("/grid?a=c", &[host][..]),
            ("/grid", &[host]),
            ("/grid?a=b", &[host, accept]),
            ("/grid?a=b", &[("host", "other.example")]),
            ("/grid?a=b", &[host, ("accept-encoding", "gzip")]),
        ] {
            assert_ne!(asked(path, headers).unwrap(), one, "{path} {headers:?}");
        }
        for other in [("cookie", "s=1"), ("range", "bytes=0-"), ("if-none-match", "x"), ("x-any", "1")] {
            assert_eq!(asked("/grid?a=b", &[host, other]), None, "{other:?}");
        }
        assert_eq!(asked("/grid?a=b", &[host, accept, accept]), None);
        assert_eq!(asked(&format!("/{}", "a".repeat(LONGEST)), &[host]), None);
        let head = Request::head("/grid?a=b").body(()).unwrap();
        assert_eq!(key(&head), None);
    }

    #[test]
    fn only_a_crowd_shares_and_only_for_a_moment() {
        let mut shared = Shared::default();
        let now = Instant::now();
        let crowds = (0..60).filter(|_| shared.crowd(now)).count();
        assert_eq!(crowds, 10, "those beyond the first {}", CROWD.burst);
        let key = asked("/grid", &[]).unwrap();
        assert!(shared.get(&key, now).is_none());
        shared.put(key.clone(), now, &HeaderMap::new(), &Bytes::from_static(b"x"));
        assert!(shared.get(&key, now + AGE / 2).is_some());
        assert!(shared.get(&key, now + AGE).is_none(), "its time is over");
        assert!(!shared.crowd(now + Duration::from_secs(1)));
        assert!(shared.kept.is_empty(), "nothing is kept for nobody");
    }

    #[test]
    fn who_has_given_an_order_sees_what_came_of_it() {
        let mut shared = Shared::default();
        let now = Instant::now();
        let key = asked("/grid", &[]).unwrap();
        shared.put(key.clone(), now, &HeaderMap::new(), &Bytes::new());
        shared.ordered(now + AGE / 4);
        assert!(shared.get(&key, now + AGE / 2).is_none());
        // Begun before, and done only now.
        shared.put(key.clone(), now, &HeaderMap::new(), &Bytes::new());
        assert!(shared.get(&key, now + AGE / 2).is_none());
        shared.put(key.clone(), now + AGE / 2, &HeaderMap::new(), &Bytes::new());
        assert!(shared.get(&key, now + AGE).is_some());
    }

    #[test]
    fn few_are_kept() {
        let mut shared = Shared::default();
        let now = Instant::now();
        let keys: Vec<Key> = (0..KEPT + 5).map(|n| asked(&format!("/{n}"), &[]).unwrap()).collect();
        for key in &keys {
            shared.put(key.clone(), now, &HeaderMap::new(), &Bytes::new());
        }
        assert_eq!(shared.kept.len(), KEPT);
        shared.put(keys[KEPT].clone(), now + AGE, &HeaderMap::new(), &Bytes::new());
        assert_eq!(shared.kept.len(), 1, "those whose time is over make room");
    }

    #[test]
    fn what_is_large_endless_somebodys_own_or_no_answer_is_not_for_all() {
        let response = |build: fn(http::response::Builder) -> http::response::Builder, body: Body| {
            is_for_all(&build(http::Response::builder()).body(body).unwrap())
        };
        assert!(response(|built| built, Body::from("x")));
        assert!(!response(|built| built.status(404), Body::from("x")));
        assert!(!response(|built| built.header("set-cookie", "a=b"), Body::from("x")));
        assert!(!response(|built| built, Body::from(vec![0; LARGEST + 1])));
        let stream = || Body::from_stream(futures::stream::empty::<Result<Bytes, std::io::Error>>());
        assert!(!response(|built| built, stream()), "nobody knows its length");
        assert!(response(|built| built.header("content-length", "0"), stream()));
    }
}
