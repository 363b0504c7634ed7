//! The task that writes: it takes what came together, makes it safe at once, shows it, and answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::growing::Growing;
use super::storage::{Piece, Storage, StorageError};
use super::{AppendError, Committed, Segment};

/// Records that are to be written, and who waits for it.
pub(super) struct Request {
    pub records: Vec<Vec<u8>>,
    pub done: oneshot::Sender<Result<u64, AppendError>>,
}

impl Request {
    fn bytes(&self) -> usize {
        self.records.iter().map(Vec::len).sum()
    }
}

/// What is gathered before it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// From the begin of one commit to that of the next this long, where less than `bytes` came.
    pub gather: Duration,
    /// Unless nothing came for this long: whoever waits for each of its records is not held up by others that do not come.
    pub quiet: Duration,
    pub bytes: usize,
    pub segment: u64,
}

pub(super) struct Writer {
    pub storage: Box<dyn Storage>,
    pub growing: Growing,
    pub sealed: Vec<Segment>,
    pub rules: Rules,
    pub requests: mpsc::Receiver<Request>,
    pub shown: watch::Sender<Arc<Committed>>,
    /// What readers see and the index does not have yet.
    pub unsettled: Option<Arc<Piece>>,
}

impl Writer {
    /// Writes until nobody can ask any more.
    pub async fn run(mut self) -> Result<(), Arc<StorageError>> {
        let mut last: Option<Instant> = None;
        while let Some(first) = self.requests.recv().await {
            let until = last.map_or_else(Instant::now, |last| last + self.rules.gather);
            let group = self.gather(first, until).await;
            last = Some(Instant::now());
            if let Err(why) = self.write(group).await {
                let why = Arc::new(why);
                tracing::error!(error = %why, "the mutation log takes no more records: a write failed");
                self.refuse(&why).await;
                return Err(why);
            }
        }
        self.storage.close().await.map_err(Arc::new)
    }

    async fn gather(&mut self, first: Request, until: Instant) -> Vec<Request> {
        let mut bytes = first.bytes();
        let mut group = vec![first];
        while bytes < self.rules.bytes {
            // What is there already is taken in any case.
            let until = until.min(Instant::now() + self.rules.quiet);
            let Ok(Some(next)) = timeout_at(until, self.requests.recv()).await else { break };
            bytes += next.bytes();
            group.push(next);
        }
        group
    }

    /// Writes a group. Whoever waits is answered in any case, and before what can wait.
    async fn write(&mut self, group: Vec<Request>) -> Result<(), StorageError> {
        let mut records = Vec::new();
        let mut waiting = Vec::new();
        for request in group {
            records.extend(request.records);
            waiting.push(request.done);
        }
        let done = self.commit(&records).await;
        let answer = match &done {
            Ok(()) => Ok(self.shown.borrow().total),
            Err(why) => Err(AppendError::Failed { why: why.to_string().into() }),
        };
        for waits in waiting {
            // Whoever does not wait any more need not be told.
            let _ = waits.send(answer.clone());
        }
        done?;
        self.settle().await
    }

    async fn commit(&mut self, records: &[Vec<u8>]) -> Result<(), StorageError> {
        for piece in self.growing.plan(records, self.rules.segment) {
            self.settle().await?;
            piece.named()?;
            let piece = Arc::new(piece);
            self.storage.commit(&piece).await?;
            self.sealed.extend(piece.seal);
            self.shown.send_replace(Arc::new(Committed::of(&self.sealed, piece.after)));
            self.unsettled = Some(piece);
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), StorageError> {
        match self.unsettled.take() {
            Some(piece) => self.storage.settle(&piece).await,
            None => Ok(()),
        }
    }

    /// Refuses what comes, until nothing can come any more.
    async fn refuse(&mut self, why: &Arc<StorageError>) {
        let why: Arc<str> = why.to_string().into();
        while let Some(request) = self.requests.recv().await {
            let _ = request.done.send(Err(AppendError::Failed { why: why.clone() }));
        }
    }
}

#[cfg(test)]
mod tests;
