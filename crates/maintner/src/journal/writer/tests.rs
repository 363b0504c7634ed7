//! When what is written together is written, on a clock that stands while anybody has something to do; and when nothing is.

use std::sync::Mutex;

use async_trait::async_trait;
use tokio::time::sleep;

use super::*;
use crate::journal::growing::LAST;
use crate::journal::idx::Chain;
use crate::journal::{GATHER, GATHERED, QUIET};

/// Makes all safe at once, and keeps when and how much.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<(Instant, usize)>>>);

impl Memory {
    fn commits(&self) -> Vec<(Instant, usize)> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Storage for Memory {
    async fn commit(&mut self, piece: &Arc<Piece>) -> Result<(), StorageError> {
        self.0.lock().unwrap().push((Instant::now(), piece.bytes.len()));
        Ok(())
    }

    async fn settle(&mut self, _: &Arc<Piece>) -> Result<(), StorageError> {
        Ok(())
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
}

type Running = tokio::task::JoinHandle<Result<(), Arc<StorageError>>>;

fn begin(memory: &Memory, number: u32, quiet: Duration, segment: u64) -> (mpsc::Sender<Request>, Running) {
    let (sender, requests) = mpsc::channel(256);
    let writer = Writer {
        storage: Box::new(memory.clone()),
        growing: Growing::new(number, Chain::default()),
        sealed: Vec::new(),
        rules: Rules { gather: GATHER, quiet, bytes: GATHERED, segment },
        requests,
        shown: watch::Sender::default(),
        unsettled: None,
    };
    (sender, tokio::spawn(writer.run()))
}

async fn ask(to: &mpsc::Sender<Request>, bytes: usize) -> oneshot::Receiver<Result<u64, AppendError>> {
    let (done, answer) = oneshot::channel();
    let request = Request { records: vec![vec![7; bytes]], done };
    assert!(to.send(request).await.is_ok(), "the writer is gone");
    answer
}

/// The longest that a record waited of those that came so long apart, and how many commits they made.
async fn longest(quiet: Duration, apart: Duration, records: u32, bytes: usize) -> (Duration, usize) {
    let memory = Memory::default();
    let (sender, running) = begin(&memory, 0, quiet, u64::MAX);
    let mut waiting = Vec::new();
    for _ in 0..records {
        let (asked, answer) = (Instant::now(), ask(&sender, bytes).await);
        waiting.push(tokio::spawn(async move {
            answer.await.unwrap().unwrap();
            asked.elapsed()
        }));
        sleep(apart).await;
    }
    drop(sender);
    running.await.unwrap().unwrap();
    let mut longest = Duration::ZERO;
    for waited in waiting {
        longest = longest.max(waited.await.unwrap());
    }
    let commits = memory.commits();
    assert!(commits.iter().map(|commit| commit.1).sum::<usize>() > bytes * records as usize);
    (longest, commits.len())
}

const LIMIT: Duration = Duration::from_millis(20);
const MILLISECOND: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn whatever_follows_it_a_record_is_safe_within_20_ms() {
    // As in an object store: with what comes within the 20 ms from one commit to the next.
    let (waited, commits) = longest(GATHER, MILLISECOND, 400, 100).await;
    assert!(waited <= LIMIT && waited > LIMIT / 2, "{waited:?}");
    assert!((18..=23).contains(&commits), "{commits} commits in 400 ms");
    // As in a folder, where one that is alone waits for no other. Those that are closer together wait for the 20 ms and no more.
    let (waited, commits) = longest(QUIET, 5 * MILLISECOND, 100, 100).await;
    assert!(waited <= 2 * MILLISECOND, "{waited:?}");
    assert_eq!(commits, 100);
    let (waited, _) = longest(QUIET, MILLISECOND, 400, 100).await;
    assert!(waited <= LIMIT, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_more_than_256_kib_does_not_wait() {
    let (waited, commits) = longest(GATHER, MILLISECOND, 40, 64 << 10).await;
    assert!(waited <= 5 * MILLISECOND, "{waited:?}");
    assert!((9..=13).contains(&commits), "{commits} commits of 2.5 MiB");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_full_takes_no_more_and_says_why() {
    let memory = Memory::default();
    let (sender, running) = begin(&memory, LAST, QUIET, 1000);
    ask(&sender, 600).await.await.unwrap().unwrap();
    for _ in 0..2 {
        let why = ask(&sender, 600).await.await.unwrap().unwrap_err().to_string();
        assert!(why.contains("the log has 10000 segments"), "{why}");
    }
    assert_eq!(memory.commits().len(), 1, "nothing of a segment without a name is written");
    drop(sender);
    assert!(running.await.unwrap().is_err());
}
