//! A server's log, looked at as it comes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use godata::{Config, Tail, TailError};
use maintnerd::logs::LogsConfig;

use crate::log::{Written, mutation};
use crate::server::Server;

/// Nothing takes so long but a hang.
const LONG: Duration = Duration::from_secs(30);

fn tail(server: &Server, from: Option<u64>) -> Tail {
    let mut config = Config::at(&server.index(), "");
    config.retry.delay = Duration::from_millis(1);
    config.waits.apart = Duration::from_millis(1);
    Tail::new(&config, from).unwrap()
}

async fn seen(tail: &mut Tail) -> Result<Vec<(u64, Vec<u8>)>, TailError> {
    let mut seen = Vec::new();
    let visit = |position, payload: &[u8]| {
        seen.push((position, payload.to_vec()));
        Ok(())
    };
    tokio::time::timeout(LONG, tail.next(visit)).await.unwrap()?;
    Ok(seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_is_seen_once_over_segments_and_cuts() {
    let mut written = Written::new();
    let a = written.add("a");
    written.seal();
    let b = written.add("b");
    let logs = written.logs(LogsConfig::default());
    let server = Server::start(&logs).await;
    let (mut all, mut end) = (tail(&server, Some(0)), tail(&server, None));
    assert_eq!(seen(&mut all).await.unwrap(), [(0, mutation("a")), (a, mutation("b"))]);
    assert_eq!(seen(&mut end).await.unwrap(), []);
    assert_eq!(
        server.faults.asked(),
        [format!("/logs/0/0000 bytes=0-{}", a - 1), format!("/logs/1 bytes=0-{}", b - 1)]
    );
    // Answers that end amid a record, and a server that is ill for a moment.
    let c = written.add("c");
    let d = written.add("dd");
    written.seal();
    server.faults.cut.store(usize::try_from(c).unwrap() + 3, Ordering::SeqCst);
    for tail in [&mut all, &mut end] {
        server.faults.refused.store(2, Ordering::SeqCst);
        assert_eq!(seen(tail).await.unwrap(), [(a + b, mutation("c")), (a + b + c, mutation("dd"))]);
    }
    server.faults.cut.store(0, Ordering::SeqCst);
    written.add("e");
    for tail in [&mut all, &mut end] {
        assert_eq!(seen(tail).await.unwrap(), [(a + b + c + d, mutation("e"))]);
    }
    // One that waits is told.
    let waits = tokio::spawn(async move { seen(&mut end).await });
    tokio::time::timeout(LONG, async {
        while logs.waiting() == 0 {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap();
    written.add("f");
    assert_eq!(waits.await.unwrap().unwrap().len(), 1);
    assert_eq!(seen(&mut all).await.unwrap()[0].1, mutation("f"));
    // As long as before, or longer, and another log.
    written.rewrite(&["gg", "h", "i"]);
    let why = seen(&mut all).await.unwrap_err();
    assert!(matches!(why, TailError::Broken { number: 2, .. }), "{why}");
    written.rewrite(&[]);
    written.committed.send_replace(std::sync::Arc::default());
    let why = seen(&mut all).await.unwrap_err();
    assert!(matches!(why, TailError::Rewritten { total: 0, .. }), "{why}");
}

/// Each record of the other log begins where one of the first did: only digests tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_rewritten_at_the_same_length_is_told_as_such() {
    let mut written = Written::new();
    let a = written.add("a");
    written.add("b");
    let server = Server::start(&written.logs(LogsConfig::default())).await;
    let (mut all, mut some, mut end) = (tail(&server, Some(0)), tail(&server, Some(a)), tail(&server, None));
    for (tail, count) in [(&mut all, 2), (&mut some, 1), (&mut end, 0)] {
        assert_eq!(seen(tail).await.unwrap().len(), count);
    }
    written.rewrite(&["x", "b", "c"]);
    for tail in [&mut all, &mut some, &mut end] {
        let why = seen(tail).await.unwrap_err();
        assert!(matches!(why, TailError::Rewritten { .. }), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_begins_where_a_record_does() {
    let mut written = Written::new();
    let a = written.add("a");
    let total = a + written.add("b");
    let server = Server::start(&written.logs(LogsConfig::default())).await;
    for (from, count) in [(0, Some(2)), (a, Some(1)), (total, Some(0)), (a + 1, None), (total + 1, None)] {
        assert_eq!(
            seen(&mut tail(&server, Some(from))).await.ok().map(|seen| seen.len()),
            count,
            "from {from}"
        );
    }
    // Whoever looks has seen enough.
    let why =
        tail(&server, Some(0)).next(|_, _| Err(std::io::ErrorKind::BrokenPipe.into())).await.unwrap_err();
    assert!(matches!(why, TailError::Visit { at: 0, .. }), "{why}");
}
