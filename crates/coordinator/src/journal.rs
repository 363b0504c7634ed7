//! What the core writes down without waiting: the scheduler's inputs, and the states of machines.
//!
//! Notes are written in order and in batches. None of them decides anything after a crash: builds are found by their own
//! rows, machines by asking the pools.

use std::sync::Arc;
use std::time::Duration;

use store::events::{self, EventRow};
use store::{Micros, StoreError, WorkerId, workers};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::attempt::Shared;
use crate::ledger::{is_waitable, pause};
use crate::pool::PoolEvent;
use crate::replay::Mark;
use crate::schedule::Event;

/// Something to write down.
#[derive(Debug)]
pub(crate) enum Note {
    /// An input of the scheduler.
    Event(Micros, Box<Event>),
    /// What is recorded beside them.
    Mark(Micros, Mark),
    /// A machine's state, with its reason.
    Worker(Micros, WorkerId, &'static str, Option<String>),
    /// A machine is ready at this address.
    WorkerReady(Micros, WorkerId, String),
    /// A machine is no more.
    WorkerGone(Micros, WorkerId, String),
}

/// The most notes in one transaction.
const BATCH: usize = 512;
/// How long a batch gathers.
const GATHER: Duration = Duration::from_millis(20);

pub(crate) struct Journal {
    sender: Option<mpsc::Sender<Note>>,
    failed: mpsc::Sender<PoolEvent>,
    task: JoinHandle<()>,
}

impl Journal {
    /// Starts writing after event number `last`.
    pub fn start(shared: Arc<Shared>, last: i64, failed: mpsc::Sender<PoolEvent>) -> Journal {
        let (sender, receiver) = mpsc::channel(65_536);
        Journal { sender: Some(sender), failed, task: tokio::spawn(write(shared, receiver, last)) }
    }

    /// Takes a note. A journal that can't keep up (the database is away) loses notes rather than stopping the scheduler.
    pub fn note(&self, note: Note) {
        let Some(sender) = &self.sender else { return };
        if let Err(mpsc::error::TrySendError::Full(note)) = sender.try_send(note) {
            tracing::warn!(?note, "the journal is full; a note is lost");
        }
    }

    /// Where failures of pools are told that are not the pool's own words.
    pub fn failed(&self) -> mpsc::Sender<PoolEvent> {
        self.failed.clone()
    }

    /// Writes what is left, for a moment.
    pub async fn close(&mut self) {
        self.sender = None;
        let _ = tokio::time::timeout(Duration::from_secs(2), &mut self.task).await;
        self.task.abort();
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(shared: Arc<Shared>, mut notes: mpsc::Receiver<Note>, mut last: i64) {
    let mut batch = Vec::new();
    while notes.recv_many(&mut batch, BATCH).await > 0 {
        tokio::time::sleep(GATHER).await;
        while batch.len() < BATCH {
            match notes.try_recv() {
                Ok(note) => batch.push(note),
                Err(_) => break,
            }
        }
        let mut tries = 0;
        loop {
            match write_batch(&shared, &batch, last).await {
                Ok(written) => {
                    last = written;
                    break;
                }
                Err(error) if is_waitable(&error) => {
                    tokio::time::sleep(pause(tries)).await;
                    tries += 1;
                }
                Err(StoreError::Stale) => return,
                Err(error) => {
                    tracing::error!(%error, "a batch of the journal is lost");
                    break;
                }
            }
        }
        batch.clear();
    }
}

async fn write_batch(shared: &Shared, batch: &[Note], mut seq: i64) -> Result<i64, StoreError> {
    let mut tx = shared.ledger.begin().await?;
    let mut rows = Vec::new();
    for note in batch {
        match note {
            Note::Event(time, event) => {
                seq += 1;
                let body = serde_json::to_value(event).unwrap_or_default();
                let kind = body.get("event").and_then(|kind| kind.as_str()).unwrap_or("?").to_owned();
                rows.push(EventRow { seq, time: *time, kind, body: body.to_string() });
            }
            Note::Mark(time, mark) => {
                seq += 1;
                let body = serde_json::to_string(mark).unwrap_or_default();
                rows.push(EventRow { seq, time: *time, kind: mark.kind().to_owned(), body });
            }
            Note::Worker(time, worker, state, reason) => {
                workers::set(&mut tx, *worker, state, reason.as_deref(), *time).await?;
            }
            Note::WorkerReady(time, worker, address) => {
                workers::ready(&mut tx, *worker, address, *time).await?
            }
            Note::WorkerGone(time, worker, reason) => workers::gone(&mut tx, *worker, reason, *time).await?,
        }
    }
    events::insert(&mut tx, &rows).await?;
    tx.commit().await?;
    Ok(seq)
}
