use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use dashboard::LogLimits;
use dashboard::api::{LogGap, LogRange};
use dashboard::client::{DashboardClient, LogOf};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use proptest::prelude::{Strategy as _, any};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use store::Objects;

use crate::faulty::Faulty;
use crate::fixture::{Fixture, attempt_id, build_id, write_log};

async fn all(client: &DashboardClient, attempt: &str) -> Vec<u8> {
    let bytes = client.log_bytes(LogOf::Attempt(attempt), LogRange::All, 1 << 30).await.unwrap();
    bytes.into()
}

/// Bytes that zstd can't shrink, with line ends.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..length).map(next).collect()
}

/// Whatever is written, in whatever chunks, any range and any lines of it are what was written there.
pub(crate) async fn bytes_come_back_as_written(on: Fixture) {
    let strategy = proptest::collection::vec(
        (any::<u64>(), 0_usize..3000, any::<bool>()).prop_map(|(seed, length, text)| {
            if text { vec![b'\n'; length % 40] } else { noise(length, seed) }
        }),
        0..12,
    );
    let cases = proptest::collection::vec(strategy, 20);
    let mut runner = TestRunner::new(Config { cases: 1, ..Config::default() });
    let chunkings = cases.new_tree(&mut runner).unwrap().current();
    let small = on.with(&on.objects, LogLimits { inline: 500, ..LogLimits::default() });
    for (at, chunks) in chunkings.iter().enumerate() {
        let attempt = attempt_id(at as u8 + 1);
        let parts: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
        let whole = chunks.concat();
        let state = write_log(&small, &attempt, &build_id(1), &parts).await;
        let ends = whole.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!((state.bytes, state.lines, state.next_n), (whole.len() as u64, ends, chunks.len() as u64));
        assert_eq!(all(&small, &attempt).await, whole);
        let starts: Vec<_> = [0]
            .into_iter()
            .chain(whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1))
            .collect();
        for step in 0..8_usize {
            let from = whole.len() * step / 8;
            let to = (from + 1 + 997 * step).min(whole.len());
            let range = LogRange::Bytes(from as u64, to as u64);
            let part = small.log_bytes(LogOf::Attempt(&attempt), range, 1 << 30).await.unwrap();
            assert_eq!(part, whole[from.min(to)..to], "{from}..{to} of {}", whole.len());
            let line = starts.len() * step / 8;
            let end = starts.get(line + 3).copied().unwrap_or(whole.len());
            let range = LogRange::Lines(line as u64, 3);
            let part = small.log_bytes(LogOf::Attempt(&attempt), range, 1 << 30).await.unwrap();
            assert_eq!(part, whole[starts[line]..end], "line {line} of {}", starts.len());
        }
    }
}
pub(crate) async fn a_chunk_again_is_fine_and_another_is_not(on: Fixture) {
    let attempt = attempt_id(1);
    let put = async |n, first_byte, raw_end, text: &'static [u8]| {
        on.client.log_put(&attempt, 1, n, first_byte, raw_end, bytes::Bytes::from_static(text)).await
    };
    assert!(put(0, 0, 3, b"abc").await.unwrap_err().is_code("not_found"));
    on.client.log_open(&attempt, &build_id(1), 1).await.unwrap();
    let first = put(0, 0, 30, b"abc").await.unwrap();
    assert_eq!((first.next_n, first.bytes, first.raw_end), (1, 3, 30));
    assert_eq!(put(0, 0, 30, b"abc").await.unwrap(), first);
    assert!(put(0, 0, 30, b"abd").await.unwrap_err().is_code("conflict"));
    assert!(put(0, 0, 31, b"abc").await.unwrap_err().is_code("conflict"));
    assert!(put(2, 3, 40, b"x").await.unwrap_err().is_code("gap"));
    assert!(put(1, 2, 40, b"x").await.unwrap_err().is_code("gap"));
    assert!(put(1, 3, 29, b"x").await.unwrap_err().is_code("bad_request"));
    let large = vec![0; (256 << 10) + 1];
    let refused = on.client.log_put(&attempt, 1, 1, 3, 40, large.into()).await.unwrap_err();
    assert!(refused.is_code("too_large"), "{refused}");
    put(1, 3, 40, b"def\n").await.unwrap();
    let finished = on.client.log_finish(&attempt, 1).await.unwrap();
    assert!(finished.finished);
    assert_eq!(put(1, 3, 40, b"def\n").await.unwrap().next_n, 2);
    assert!(put(2, 7, 41, b"more").await.unwrap_err().is_code("finished"));
    assert_eq!(all(&on.client, &attempt).await, b"abcdef\n");
    let info = on.client.log_info(LogOf::Build(&build_id(1))).await.unwrap();
    assert_eq!((info.bytes, info.lines, info.finished, info.gap), (7, 1, true, None));
}

pub(crate) async fn a_lost_fence_writes_nothing(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    on.client.log_open(&attempt, &build, 5).await.unwrap();
    let put = async |fence, n, first_byte, bytes: Vec<u8>| {
        let end = first_byte + bytes.len() as u64;
        on.client.log_put(&attempt, fence, n, first_byte, end, bytes.into()).await
    };
    put(5, 0, 0, b"five\n".to_vec()).await.unwrap();
    let taken = on.client.log_open(&attempt, &build, 6).await.unwrap();
    assert_eq!((taken.next_n, taken.bytes, taken.raw_end), (1, 5, 5));
    // The paused owner wakes up: nothing of what it does changes anything, not even an object appears.
    let before = on.objects.list("").await.unwrap();
    assert!(put(5, 1, 5, noise(100_000, 1)).await.unwrap_err().is_code("stale"));
    assert!(put(5, 0, 0, b"five\n".to_vec()).await.unwrap_err().is_code("stale"));
    assert!(on.client.log_finish(&attempt, 5).await.unwrap_err().is_code("stale"));
    assert!(on.client.log_open(&attempt, &build, 5).await.unwrap_err().is_code("stale"));
    // Nor does one with a fence that nobody gave out, or one that takes the attempt for another build's.
    assert!(put(7, 1, 5, b"seven".to_vec()).await.unwrap_err().is_code("stale"));
    assert!(on.client.log_open(&attempt, &build_id(2), 9).await.unwrap_err().is_code("stale"));
    assert_eq!(on.objects.list("").await.unwrap(), before);
    put(6, 1, 5, b"six\n".to_vec()).await.unwrap();
    assert_eq!(all(&on.client, &attempt).await, b"five\nsix\n");
}

pub(crate) async fn many_writers_of_one_chunk_write_it_once(on: Fixture) {
    let attempt = attempt_id(1);
    on.client.log_open(&attempt, &build_id(1), 1).await.unwrap();
    let content = noise(60_000, 3);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..12_usize {
        let (client, attempt) = (on.client.clone(), attempt.clone());
        // The same chunk from some, another with the same number from others: as after a time-out and a retry.
        let bytes = if writer % 3 == 0 { content[..50_000].to_vec() } else { content.clone() };
        writers.spawn(async move {
            client
                .log_put(&attempt, 1, 0, 0, bytes.len() as u64, bytes.into())
                .await
                .map_err(|e| e.to_string())
        });
    }
    let mut written = 0;
    while let Some(done) = writers.join_next().await {
        written += usize::from(done.unwrap().is_ok());
    }
    assert!(written >= 4, "{written}");
    let kept = all(&on.client, &attempt).await;
    assert!(kept == content || kept == content[..50_000], "{}", kept.len());
    assert_eq!(on.client.log_info(LogOf::Attempt(&attempt)).await.unwrap().bytes, kept.len() as u64);
}

pub(crate) async fn lines_and_ranges(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    on.log(&attempt, &build, &[b"zero\non", b"e\n", b"tw", b"o\nthree"]).await;
    let lines = async |line, count| {
        let range = LogRange::Lines(line, count);
        on.client.log_bytes(LogOf::Build(&build), range, 1 << 20).await.unwrap()
    };
    assert_eq!(lines(0, 1).await, "zero\n");
    assert_eq!(lines(1, 1).await, "one\n");
    assert_eq!(lines(1, 2).await, "one\ntwo\n");
    assert_eq!(lines(3, 9).await, "three");
    assert_eq!(lines(4, 9).await, "");
    assert_eq!(lines(u64::MAX, u64::MAX).await, "");
    let path = format!("/api/v1/builds/{build}/log");
    let ranged = async |range: &str| {
        let request = Request::get(&path).header(header::RANGE, range).body(Body::empty()).unwrap();
        let response = on.service.send(request).await.unwrap();
        let content_range =
            response.headers().get(header::CONTENT_RANGE).map(|v| v.to_str().unwrap().to_owned());
        let status = response.status();
        (status, content_range, axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap())
    };
    let (status, of, bytes) = ranged("bytes=5-8").await;
    assert_eq!(
        (status, of.as_deref(), &*bytes),
        (StatusCode::PARTIAL_CONTENT, Some("bytes 5-8/18"), &b"one\n"[..])
    );
    assert_eq!(ranged("bytes=-5").await.2, "three");
    assert_eq!(ranged("bytes=18-").await.0, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(ranged("lines=1").await.0, StatusCode::OK);
    let head = on.get(&path).await;
    assert_eq!(head.headers()[header::CONTENT_LENGTH], "18");
    assert_eq!(head.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(head.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
}

pub(crate) async fn a_log_is_searched(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    on.log(&attempt, &build, &[b"alpha\nbe", b"ta (1+1)\n\xff gamma\n", b"beta 2"]).await;
    let search = async |text: &str, regex| on.client.log_search(LogOf::Build(&build), text, regex, 2).await;
    let found = search("beta", false).await.unwrap();
    let hits: Vec<_> = found.hits.iter().map(|hit| (hit.line, hit.byte, &*hit.text)).collect();
    assert_eq!(hits, [(1, 6, "beta (1+1)"), (3, 25, "beta 2")]);
    assert!(!found.more);
    assert_eq!(search("(1+1)", false).await.unwrap().hits.len(), 1);
    assert_eq!(search("^.amma|gam+a$", true).await.unwrap().hits[0].text, "\u{fffd} gamma");
    assert!(search("a", false).await.unwrap().more);
    assert!(search("(", true).await.unwrap_err().is_code("bad_request"));
    assert!(search(&"x{1000}{1000}".repeat(3), true).await.unwrap_err().is_code("bad_request"));
}

pub(crate) async fn a_log_is_followed_until_it_is_finished(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    // The reader is another dashboard: it hears of nothing and looks by itself.
    let other = on.with(&on.objects, LogLimits { poll: Duration::from_millis(10), ..LogLimits::default() });
    let mut state = on.log(&attempt, &build, &[b"1\n"]).await;
    let (here, there) = (read_all(&on.client, &attempt), read_all(&other, &attempt));
    let written = async {
        for n in 2..=20 {
            let line = format!("{n}\n").into_bytes();
            let (at, end) = (state.bytes, state.bytes + line.len() as u64);
            state = on.client.log_put(&attempt, 1, state.next_n, at, end, line.into()).await.unwrap();
            tokio::task::yield_now().await;
        }
        on.client.log_finish(&attempt, 1).await.unwrap();
    };
    let (here, there, ()) = tokio::join!(here, there, written);
    let expected: String = (1..=20).map(|n| format!("{n}\n")).collect();
    assert_eq!((&*here, &*there), (&*expected, &*expected));
}

async fn read_all(client: &DashboardClient, attempt: &str) -> String {
    let body = client.log(LogOf::Attempt(attempt), LogRange::Follow(0)).await.unwrap();
    let bytes = tokio::time::timeout(Duration::from_secs(30), axum::body::to_bytes(body, 1 << 20)).await;
    String::from_utf8(bytes.unwrap().unwrap().into()).unwrap()
}

/// Reads events until one is named `until` or so many have come; returns the text, the last id and the names.
async fn events(
    on: &Fixture,
    path: &str,
    last_id: Option<&str>,
    most: usize,
) -> (String, String, Vec<String>) {
    let mut request = Request::get(path);
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let response = on.service.send(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = response.into_body();
    let (mut raw, mut text, mut id, mut names) = (String::new(), String::new(), String::new(), Vec::new());
    while names.len() < most {
        let frame = tokio::time::timeout(Duration::from_secs(30), body.frame()).await.unwrap();
        let Some(frame) = frame else { break };
        raw.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
        while let Some((event, rest)) = raw.split_once("\n\n") {
            let field =
                |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim();
            if field("event:") == "log" {
                let data: dashboard::api::LogEvent = serde_json::from_str(field("data:")).unwrap();
                text.push_str(&data.text);
                id = field("id:").to_owned();
                assert_eq!(data.byte + data.text.len() as u64, id.parse::<u64>().unwrap());
            }
            names.push(field("event:").to_owned());
            raw = rest.to_owned();
        }
    }
    (text, id, names)
}

pub(crate) async fn events_go_on_where_they_were_left(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    // A character lies across two chunks.
    let sheep = "\u{1f411}".as_bytes();
    let one = [b"one\n", &sheep[..2]].concat();
    let two = [&sheep[2..], b"two\n"].concat();
    on.log(&attempt, &build, &[&one]).await;
    let path = format!("/api/v1/builds/{build}/log/events");
    let (text, id, _) = events(&on, &path, None, 1).await;
    assert_eq!((&*text, &*id), ("one\n", "4"));
    // The connection is lost here; more is written meanwhile.
    on.client.log_put(&attempt, 1, 1, 6, 12, two.into()).await.unwrap();
    on.client.log_finish(&attempt, 1).await.unwrap();
    let (rest, id, names) = events(&on, &path, Some(&id), 99).await;
    assert_eq!((&*rest, &*id), ("\u{1f411}two\n", "12"));
    assert_eq!(names.last().unwrap(), "end");
    let (again, ..) = events(&on, &format!("{path}?from=8"), None, 99).await;
    assert_eq!(again, "two\n");
}

/// Who never reads holds what was taken out of the store for them, and no more than that.
pub(crate) async fn a_live_log_is_taken_out_of_the_store_in_small_parts(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    // Chunks as large as they may be, one of them in its row, and characters that lie across the parts' ends.
    let sheep = "\u{1f411}x\n".repeat((256 << 10) / 6);
    let hard: String = noise(180_000, 3).iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    let chunks = [sheep.as_bytes(), hard.as_bytes(), b"the end\n"];
    on.log(&attempt, &build, &chunks).await;
    on.client.log_finish(&attempt, 1).await.unwrap();
    let path = format!("/api/v1/builds/{build}/log/events");
    let response = on.service.send(Request::get(&path).body(Body::empty()).unwrap()).await.unwrap();
    let mut body = response.into_body();
    let mut largest = 0;
    while let Some(frame) = body.frame().await {
        largest = largest.max(frame.unwrap().data_ref().map_or(0, bytes::Bytes::len));
    }
    assert!(largest < 80 << 10, "{largest} bytes at once");
    let (text, id, names) = events(&on, &path, None, 999).await;
    assert!(text.as_bytes() == chunks.concat(), "{} bytes", text.len());
    assert_eq!((&*id, &**names.last().unwrap()), (&*text.len().to_string(), "end"));
    assert_eq!(read_all(&on.client, &attempt).await, text);
}

pub(crate) async fn a_log_that_is_too_long_keeps_head_and_tail(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    let limits = LogLimits { head: 1000, tail: 500, inline: 60, ..LogLimits::default() };
    let client = on.with(&on.objects, limits);
    let chunk = |n: u32| format!("{n:099}\n").into_bytes();
    let noisy =
        |n: u32| [noise(99, u64::from(n) + 7).iter().map(|b| b | 0x80).collect(), b"\n".to_vec()].concat();
    let chunks: Vec<Vec<u8>> = (0..40).map(|n| if n % 2 == 0 { chunk(n) } else { noisy(n) }).collect();
    let parts: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
    let state = write_log(&client, &attempt, &build, &parts).await;
    assert_eq!((state.bytes, state.lines), (4000, 40));
    let info = client.log_info(LogOf::Attempt(&attempt)).await.unwrap();
    assert_eq!(info.gap, Some(LogGap { first_byte: 1000, end_byte: 3500, lines: 25 }));
    let whole = all(&client, &attempt).await;
    let note = b"\n[bellwether: 2500 bytes in 25 lines are left out here: the log is too long]\n";
    assert_eq!(whole, [chunks[..10].concat(), note.to_vec(), chunks[35..].concat()].concat());
    let lines = async |line, count| {
        client.log_bytes(LogOf::Attempt(&attempt), LogRange::Lines(line, count), 1 << 20).await.unwrap()
    };
    assert_eq!(lines(9, 1).await, chunks[9]);
    assert_eq!(lines(35, 1).await, [note.to_vec(), chunks[35].clone()].concat());
    assert_eq!(lines(38, 1).await, chunks[38]);
    // What is left out is gone from the store too.
    let kept = on.objects.list("logs").await.unwrap().len();
    assert!(kept <= 8, "{kept}");
}

pub(crate) async fn a_chunk_that_was_changed_on_disk_is_found(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    on.log(&attempt, &build, &[&noise(50_000, 1), &noise(50_000, 2)]).await;
    let object = on.objects.list("logs").await.unwrap().remove(1).path;
    let file = on.dir.path().join("objects").join(&object);
    // Still a zstd frame, of as many bytes, but of others.
    let frame = on.objects.get(&object.replace("1-1", "1-0")).await.unwrap();
    std::fs::write(&file, frame).unwrap();
    let first = on.client.log_bytes(LogOf::Attempt(&attempt), LogRange::Bytes(0, 50_000), 1 << 20).await;
    assert_eq!(first.unwrap(), noise(50_000, 1));
    let rest = on.client.log_bytes(LogOf::Attempt(&attempt), LogRange::Bytes(50_000, 100_000), 1 << 20).await;
    assert!(rest.is_err(), "it is given out");
}

pub(crate) async fn a_full_disk_is_said_and_nothing_is_half_there(on: Fixture) {
    let (attempt, build) = (attempt_id(1), build_id(1));
    let full = on.with(&Objects::from_store(Arc::new(Faulty::full())), LogLimits::default());
    full.log_open(&attempt, &build, 1).await.unwrap();
    let content = noise(50_000, 5);
    let put = |client: &DashboardClient| {
        let (client, attempt, content) = (client.clone(), attempt.clone(), content.clone());
        async move { client.log_put(&attempt, 1, 0, 0, 50_000, content.into()).await }
    };
    let refused = put(&full).await.unwrap_err();
    assert!(refused.is_code("full") && refused.is_transient(), "{refused}");
    let digest = "0".repeat(64);
    let refused = full.put_artifact(&attempt, 1, "x", &digest, Body::from("x")).await.unwrap_err();
    assert!(refused.is_code("full"), "{refused}");
    assert_eq!(full.log_info(LogOf::Attempt(&attempt)).await.unwrap().bytes, 0);
    // There is space again: the same chunk goes in.
    put(&on.client).await.unwrap();
    assert_eq!(all(&on.client, &attempt).await, content);
}
