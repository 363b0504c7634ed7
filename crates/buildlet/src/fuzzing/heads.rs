//! The head of a connection's first request, into which a header is put.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use arbitrary::Unstructured;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::connection::{Wire, pieces, run};
use super::{bytes, number, once_in, one};
use crate::te::WithTrailers;

const BEFORE: [&str; 6] = ["", "", "", "\r\n", "\n", "\r"];
const METHODS: [&str; 6] = ["POST ", "POST ", "GET ", "post ", "PO\rST ", "POST  "];
const PLACES: [&str; 6] =
    ["/connect-ssh", "/connect-ssh", "/exec", "/connect-ssh?x", "/connect-s", "http://a/b"];
const VERSIONS: [&str; 6] = [" HTTP/1.1", " HTTP/1.1", " HTTP/1.1", " HTTP/1.0", "", " HTTP/2"];
const ENDS: [&str; 8] = ["\r\n", "\r\n", "\r\n", "\n", "\n", "\r", "\r\r\n", "\0"];
const HEADERS: [&str; 14] = [
    "Host: x",
    "Content-Length: 3",
    "Content-Length: 0",
    "Transfer-Encoding: chunked",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: upgrade",
    "Upgrade: h2c",
    "TE: trailers",
    "te: gzip",
    "Expect: 100-continue",
    " folded: x",
    ": x",
    "x",
];
const BODIES: [&str; 6] =
    ["", "", "abc", "3\r\nabc\r\n0\r\n\r\n", "0\r\nx: y\r\n\r\n", "fffffffffffffffff\r\nabc"];
/// A request of nearly as many headers as hyper takes may have one too many with ours.
const NEARLY: usize = 97;

/// Reads a connection's bytes: the header is behind its first line however they come, and hyper finds the same requests as
/// without it.
pub fn heads(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let pieces = pieces(&mut u);
    let room = *one(&mut u, &[1, 2, 5, 4096]);
    let said = if once_in(&mut u, 4) { bytes(&mut u, 4096) } else { requests(&mut u) };
    run(async {
        let mut came = Vec::new();
        let mut reader = WithTrailers::new(Wire::new(&said, &pieces));
        let mut buffer = vec![0; room];
        loop {
            let read = reader.read(&mut buffer).await.expect("nothing fails here");
            if read == 0 {
                break;
            }
            came.extend_from_slice(&buffer[..read]);
        }
        assert_eq!(came, with_header(&said), "{:?}", String::from_utf8_lossy(&said));

        let plain = asked(Wire::new(&said, &pieces)).await;
        let ours = asked(WithTrailers::new(Wire::new(&said, &pieces))).await;
        same(plain, &ours, &said);
    });
}

fn requests(u: &mut Unstructured<'_>) -> Vec<u8> {
    let mut said = Vec::new();
    for _ in 0..=number(u, 2) {
        for parts in [&BEFORE, &METHODS, &PLACES, &VERSIONS] {
            said.extend_from_slice(one(u, parts).as_bytes());
        }
        said.extend_from_slice(one(u, &ENDS).as_bytes());
        for _ in 0..number(u, 5) {
            said.extend_from_slice(one(u, &HEADERS).as_bytes());
            said.extend_from_slice(one(u, &ENDS).as_bytes());
        }
        said.extend_from_slice(one(u, &ENDS).as_bytes());
        said.extend_from_slice(one(u, &BODIES).as_bytes());
        if once_in(u, 12) {
            said.extend(bytes(u, 16));
        }
    }
    said
}

/// The same in the simplest way, from all the bytes at once.
fn with_header(said: &[u8]) -> Vec<u8> {
    let of_an_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let start = said.iter().position(|byte| !of_an_end(byte)).unwrap_or(said.len());
    let Some(end) = said[start..].iter().position(|byte| *byte == b'\n') else { return said.to_vec() };
    let (line, rest) = said.split_at(start + end + 1);
    let words: Vec<u8> = line.iter().copied().filter(|byte| !of_an_end(byte)).collect();
    let upgrade: &[u8] = if words.starts_with(b"POST /connect-ssh") { b"upgrade: ssh\r\n" } else { b"" };
    [line, b"te: trailers\r\n", upgrade, rest].concat()
}

/// A request as hyper has it.
#[derive(Debug, PartialEq)]
struct Asked {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    /// Nothing if it did not come to its end.
    body: Option<(Bytes, Option<HeaderMap>)>,
}

async fn asked(connection: impl AsyncRead + AsyncWrite + Unpin) -> Vec<Asked> {
    let all = Mutex::new(Vec::new());
    let service = hyper::service::service_fn(|request: Request<Incoming>| async {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.ok().map(|body| {
            let trailers = body.trailers().cloned();
            (body.to_bytes(), trailers)
        });
        let asked = Asked {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            headers: parts.headers,
            body,
        };
        all.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    // How it ends is not asked here.
    let _ended =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Only the first request has something more.
fn same(mut plain: Vec<Asked>, ours: &[Asked], said: &[u8]) {
    let is_tunnel = with_header(said).len() > said.len() + "te: trailers\r\n".len();
    if let Some(first) = plain.first_mut() {
        if first.headers.len() > NEARLY && ours.is_empty() {
            return;
        }
        before(&mut first.headers, header::TE, "trailers");
        if is_tunnel {
            before(&mut first.headers, header::UPGRADE, "ssh");
        }
    }
    assert_eq!(plain, ours, "{:?}", String::from_utf8_lossy(said));
}

/// Puts a value before those that there are of a name.
fn before(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    let others: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
    headers.insert(&name, HeaderValue::from_static(value));
    for other in others {
        headers.append(&name, other);
    }
}
