//! Each reply of `/logs` and `/logs/NUM`, by the table of the specification.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use http::{Request, Response, StatusCode, header};
use maintnerd::logs::{Logs, LogsConfig};
use tower::ServiceExt as _;

use crate::log::{Written, open};

async fn ask(logs: &Logs, method: &str, path: &str, range: Option<&str>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(range) = range {
        request = request.header(header::RANGE, range);
    }
    open(logs).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().to_vec()).unwrap()
}

fn head<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// Two segments, the first of them sealed: a record of no bytes, then two of them.
fn two() -> Written {
    let mut written = Written::new();
    written.add_payload(b"");
    written.seal();
    written.add_payload(b"");
    written
}

const SUM: &str = "6f999257d6762411f2c5d42c993e824b5bd6b49b56b88769f9f9a63b";

#[tokio::test]
async fn the_index_is_the_originals_byte_for_byte() {
    let empty = Written::new().logs(LogsConfig::default());
    let answer = ask(&empty, "GET", "/logs", None).await;
    assert_eq!((answer.status(), head(&answer, "x-sum-segment-size")), (StatusCode::OK, Some("0")));
    assert_eq!(head(&answer, "content-type"), Some("application/json"));
    assert_eq!(text(answer).await, "[]");

    let written = two();
    let logs = written.logs(LogsConfig::default());
    let answer = ask(&logs, "GET", "/logs?waitsizenot=0", None).await;
    assert_eq!((answer.status(), head(&answer, "x-sum-segment-size")), (StatusCode::OK, Some("16")));
    let one = |number: u32, url: &str| {
        format!(
            "\t{{\n\t\t\"number\": {number},\n\t\t\"size\": 8,\n\t\t\"sha224\": \"{SUM}\",\n\t\t\"url\": \"{url}\"\n\t}}"
        )
    };
    let (first, second) = (one(0, &format!("/logs/0/0000.{SUM}.mutlog")), one(1, "/logs/1"));
    let whole = format!("[\n{first},\n{second}\n]");
    assert_eq!(text(answer).await, whole);

    let from = ask(&logs, "GET", "/logs?startseg=1", None).await;
    assert_eq!(head(&from, "x-sum-segment-size"), Some("8"));
    assert_eq!(text(from).await, format!("[\n{second}\n]"));
    for all in [
        "/logs?startseg=2",
        "/logs?startseg=x",
        "/logs?startseg=",
        "/logs?waitsizenot=",
        "/logs?waitsizenot=15",
    ] {
        assert_eq!(text(ask(&logs, "GET", all, None).await).await, whole, "{all}");
    }
    let bucket =
        LogsConfig { sealed_at: Some("https://storage.googleapis.com/b/p/".into()), ..LogsConfig::default() };
    let there = text(ask(&written.logs(bucket), "GET", "/logs", None).await).await;
    assert!(there.contains(&format!("\"https://storage.googleapis.com/b/p/0000.{SUM}.mutlog\"")), "{there}");
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_the_originals_words() {
    let logs = two().logs(LogsConfig::default());
    for (method, path, status, said) in [
        ("GET", "/logs?startseg=-1", 400, "bad startseg\n"),
        ("GET", "/logs?waitsizenot=-1", 400, "bad waitsizenot\n"),
        ("GET", "/logs?waitsizenot=x", 400, "bad waitsizenot\n"),
        ("POST", "/logs", 400, "bad method\n"),
        ("DELETE", "/logs/1", 400, "bad method\n"),
        ("GET", "/logs/", 400, "bad path\n"),
        ("GET", "/logs/x", 400, "bad path\n"),
        ("GET", "/logs/-1", 400, "bad segment number\n"),
        ("GET", "/logs/2", 400, "bad segment number\n"),
        ("GET", "/logs/4294967297", 400, "bad segment number\n"),
        ("GET", "/logs/0/0001.x.mutlog", 404, "no segment has this name\n"),
        ("GET", "/logs/1/0001.growing.mutlog", 404, "no segment has this name\n"),
    ] {
        let answer = ask(&logs, method, path, None).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(head(&answer, "content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(text(answer).await, said, "{method} {path}");
    }
}

#[tokio::test]
async fn segments_come_in_ranges() {
    let mut written = two();
    let logs = written.logs(LogsConfig::default());
    let sealed = format!("/logs/0/0000.{SUM}.mutlog");
    let moved = ask(&logs, "GET", "/logs/0", Some("bytes=1-2")).await;
    assert_eq!((moved.status(), head(&moved, "location")), (StatusCode::FOUND, Some(sealed.as_str())));
    for path in ["/logs/1", &sealed] {
        for (range, status, of, body) in [
            (None, 200, None, "REC@0+0="),
            (Some("bytes=3-99"), 206, Some("bytes 3-7/8"), "@0+0="),
            (Some("bytes=-3"), 206, Some("bytes 5-7/8"), "+0="),
            (Some("bytes=0-1,4-5"), 200, None, "REC@0+0="),
            (Some("bytes=8-7"), 416, Some("bytes */8"), "invalid range: failed to overlap\n"),
            (Some("bytes=9-20"), 416, Some("bytes */8"), "invalid range: failed to overlap\n"),
            (Some("bytes=2"), 416, None, "invalid range\n"),
        ] {
            let answer = ask(&logs, "GET", path, range).await;
            assert_eq!(
                (answer.status().as_u16(), head(&answer, "content-range")),
                (status, of),
                "{path} {range:?}"
            );
            if status < 300 {
                assert_eq!(head(&answer, "content-type"), Some("application/octet-stream"));
                assert_eq!(head(&answer, "accept-ranges"), Some("bytes"));
                assert_eq!(head(&answer, "cache-control").is_some(), path == sealed, "{path}");
            }
            assert_eq!(text(answer).await, body, "{path} {range:?}");
        }
        let answer = ask(&logs, "HEAD", path, Some("bytes=3-")).await;
        assert_eq!((answer.status().as_u16(), head(&answer, "content-length")), (206, Some("5")));
        assert_eq!(text(answer).await, "");
    }
    // The next one has nothing before anything is in it, and of nothing there is no range.
    written.seal();
    let next = ask(&logs, "GET", "/logs/2", Some("bytes=0-7")).await;
    assert_eq!((next.status().as_u16(), head(&next, "content-length")), (200, Some("0")));
    assert_eq!(ask(&logs, "GET", "/logs/1", None).await.status(), StatusCode::FOUND);
}

#[tokio::test]
async fn a_large_part_is_sent_from_the_mapped_file() {
    let mut written = Written::new();
    let long = vec![7; 300 << 10];
    let (one, two) = (written.add_payload(&long), written.add_payload(&long));
    let logs = written.logs(LogsConfig::default());
    let want = std::fs::read(written.folder().join("0000.growing.mutlog")).unwrap();
    let whole = ask(&logs, "GET", "/logs/0", None).await;
    assert_eq!(head(&whole, "content-length"), Some((one + two).to_string().as_str()));
    assert!(to_bytes(whole.into_body(), 1 << 20).await.unwrap() == want);
    written.add("more");
    let range = format!("bytes=5-{}", one + two + 1);
    let part = ask(&logs, "GET", "/logs/0", Some(&range)).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    let part = to_bytes(part.into_body(), 1 << 20).await.unwrap();
    assert_eq!((part.len() as u64, part[..9].to_vec()), (one + two - 3, want[5..14].to_vec()));
}

/// What is written and not yet safe is not shown: in no length, hash or range, whether it is sent from memory or from the file.
#[tokio::test]
async fn of_a_growing_file_only_what_is_committed_is_shown() {
    for (payload, beyond) in [(10, &b"REC@14+5=abc"[..]), (100 << 10, &[b'y'; 90 << 10][..])] {
        let mut written = Written::new();
        let size = written.add_payload(&vec![b'x'; payload]);
        let logs = written.logs(LogsConfig::default());
        let index = text(ask(&logs, "GET", "/logs", None).await).await;
        let path = written.folder().join("0000.growing.mutlog");
        let committed = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&committed, beyond].concat()).unwrap();

        let answer = ask(&logs, "GET", "/logs", None).await;
        assert_eq!(head(&answer, "x-sum-segment-size"), Some(size.to_string().as_str()));
        assert_eq!(text(answer).await, index, "{size}");
        let last = size - 1;
        for (range, from) in [
            (None, 0),
            (Some("bytes=0-".to_owned()), 0),
            (Some(format!("bytes=2-{}", size + 5)), 2),
            (Some(format!("bytes={last}-")), last),
            (Some("bytes=-7".to_owned()), size - 7),
        ] {
            let answer = ask(&logs, "GET", "/logs/0", range.as_deref()).await;
            let of = range.as_ref().map(|_| format!("bytes {from}-{last}/{size}"));
            assert_eq!(head(&answer, "content-range"), of.as_deref(), "{range:?} of {size}");
            let length = (size - from).to_string();
            assert_eq!(head(&answer, "content-length"), Some(length.as_str()), "{range:?} of {size}");
            let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            assert!(body == committed[from as usize..], "{range:?} of {size}: {}", body.len());
        }
        let answer = ask(&logs, "GET", "/logs/0", Some(&format!("bytes={size}-"))).await;
        let said = (answer.status().as_u16(), head(&answer, "content-range").map(str::to_owned));
        assert_eq!(said, (416, Some(format!("bytes */{size}"))));
        assert_eq!(text(answer).await, "invalid range: failed to overlap\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_a_commit_or_its_time() {
    let mut written = two();
    let logs = written.logs(LogsConfig { waiting: 1, ..LogsConfig::default() });
    let began = tokio::time::Instant::now();
    let nothing = ask(&logs, "GET", "/logs?waitsizenot=16", None).await;
    assert_eq!((nothing.status(), began.elapsed().as_secs()), (StatusCode::NOT_MODIFIED, 55));
    assert_eq!(text(nothing).await, "");

    let waits = ask(&logs, "GET", "/logs?waitsizenot=16", None);
    let grows = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(logs.waiting(), 1);
        let more = ask(&logs, "GET", "/logs?waitsizenot=16", None).await;
        assert_eq!((more.status(), head(&more, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("5")));
        written.add_payload(b"");
    };
    let (answer, ()) = tokio::join!(waits, grows);
    assert_eq!((answer.status(), head(&answer, "x-sum-segment-size")), (StatusCode::OK, Some("24")));
    assert_eq!(logs.waiting(), 0);

    // Neither a server that ends nor a writer that is gone keeps anybody waiting.
    let ended = written.logs(LogsConfig::default());
    for (ends, logs) in [(true, &ended), (false, &logs)] {
        let waits = ask(logs, "GET", "/logs?waitsizenot=24", None);
        let end = async { if ends { logs.end() } else { drop(std::mem::take(&mut written.committed)) } };
        let (answer, ()) = tokio::join!(waits, end);
        let said = (answer.status(), text(answer).await);
        assert_eq!(said, (StatusCode::SERVICE_UNAVAILABLE, "the server is ending\n".into()));
    }
}
