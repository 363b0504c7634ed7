//! Keeps the index of logs: each log gets its filter once it is finished, older ones meanwhile, the newest first.

use std::time::Duration;

use futures::TryStreamExt as _;
use store::logs::LogRow;
use store::{AttemptId, Micros, log_index};
use tokio_util::sync::CancellationToken;

use super::refusal::Answer;
use super::{Dashboard, logstore};
use crate::grams::Grams;

/// So much of a log's beginning and of its end can be found.
const SEARCHED: u64 = 32 << 20;
/// Logs that are taken up together.
const STEP: u32 = 32;
/// Between logs, so that others get to the database.
const PAUSE: Duration = Duration::from_millis(2);
/// Logs that another process finished are looked for so often.
const LOOK: Duration = Duration::from_secs(30);
/// After something went wrong.
const LATER: Duration = Duration::from_secs(30);

/// Which bytes of a log can be found, and whether that is all of them.
pub(super) fn searched(log: &LogRow) -> (Vec<(u64, u64)>, bool) {
    let size = log.bytes.unsigned_abs();
    if size <= 2 * SEARCHED {
        return (vec![(0, size)], true);
    }
    (vec![(0, SEARCHED), (size - SEARCHED, size)], false)
}

impl Dashboard {
    /// Puts logs into the index until `stop`. More than one process may do so.
    pub async fn index_logs(&self, stop: CancellationToken) {
        let mut grams = Grams::default();
        loop {
            let wait = match stop.run_until_cancelled(self.index_some(&mut grams)).await {
                None => return,
                Some(Ok(0)) => LOOK,
                Some(Ok(_)) => continue,
                Some(Err(refusal)) => {
                    tracing::warn!(cause = refusal.message, "logs are not put into the index for now");
                    // What it had taken of a log is not of the next.
                    grams = Grams::default();
                    LATER
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.log_ended().notified(), if wait == LOOK => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Puts some logs into the index that are not in it, and says how many.
    async fn index_some(&self, grams: &mut Grams) -> Answer<usize> {
        let wanted = log_index::wanted(&mut self.db().read().await?, STEP).await?;
        let (mut done, mut away) = (0, None);
        for attempt in &wanted {
            let filter = match self.filter_of(*attempt, grams).await {
                // It is away for now, and others may not be.
                Err(refusal) if refusal.status == http::StatusCode::SERVICE_UNAVAILABLE => {
                    *grams = Grams::default();
                    away = Some(refusal);
                    continue;
                }
                // It can't be read, so that nobody knows what it holds: who searches it hears so.
                Err(refusal) => {
                    tracing::warn!(%attempt, cause = refusal.message, "a log goes into the index unread");
                    *grams = Grams::default();
                    Vec::new()
                }
                Ok(filter) => filter,
            };
            let mut tx = self.db().begin().await?;
            log_index::put(&mut tx, *attempt, &filter, Micros::now()).await?;
            tx.commit().await?;
            done += 1;
            tokio::time::sleep(PAUSE).await;
        }
        match away {
            Some(refusal) if done == 0 => Err(refusal),
            _ => Ok(done),
        }
    }

    async fn filter_of(&self, attempt: AttemptId, grams: &mut Grams) -> Answer<Vec<u8>> {
        let log = logstore::existing(self, attempt).await?;
        for (from, to) in searched(&log).0 {
            grams.cut();
            let mut pieces = std::pin::pin!(logstore::read(self, attempt, from, to));
            while let Some(piece) = pieces.try_next().await? {
                grams.push(&piece.bytes);
                tokio::task::yield_now().await;
            }
        }
        Ok(grams.filter())
    }
}
