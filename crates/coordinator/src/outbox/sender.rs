//! Sends what is in the outbox.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use store::outbox::{self, MessageRow};
use store::{Micros, StoreError, Tx};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::{Again, Channel, Channels, Delivered, Delivery, Failure, Kind};
use crate::attempt::Shared;
use crate::ledger::{pause as pause_for_database, transition};

/// How long messages are kept after they were sent or given up: as long as events.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// How the sender behaves.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages of one kind on their way at once.
    pub at_once: u32,
    /// The longest that one attempt may take.
    pub time: Duration,
    /// The mean wait after the first attempt that came to nothing, doubled after each further one.
    pub first: Duration,
    /// The longest such wait.
    pub longest: Duration,
    /// Attempts after which a message is given up: with the other defaults a day and a half.
    pub attempts: u32,
    /// How often it is looked for what is due.
    pub poll: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            at_once: 4,
            time: Duration::from_secs(90),
            first: Duration::from_secs(5),
            longest: Duration::from_secs(3600),
            attempts: 45,
            poll: Duration::from_secs(1),
        }
    }
}

impl Limits {
    /// How long to wait after so many attempts: from half to one and a half times the mean, by chance.
    fn pause(&self, attempts: u32, chance: u16) -> Duration {
        let mean = self.first.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(self.longest);
        mean.mul_f64(0.5 + f64::from(chance) / f64::from(u16::MAX))
    }
}

/// What sends.
pub(crate) struct Sender {
    pub shared: Arc<Shared>,
    pub channels: Channels,
    pub limits: Limits,
}

/// A message that is taken.
struct Taken {
    row: MessageRow,
    fence: i64,
    kind: Kind,
}

impl Sender {
    /// Sends until the task is dropped, or another coordinator leads. What is on its way then is looked for by whoever comes next.
    pub async fn run(self) {
        let sender = Arc::new(self);
        let mut tasks: JoinSet<()> = JoinSet::new();
        let mut on_their_way: HashMap<Id, (i64, Kind)> = HashMap::new();
        let (mut failures, mut counted) = (0, None);
        loop {
            match sender.take(&on_their_way).await {
                Ok(taken) => {
                    failures = 0;
                    for message in taken {
                        let which = (message.fence, message.kind);
                        let id = tasks.spawn(Arc::clone(&sender).send(message)).id();
                        on_their_way.insert(id, which);
                    }
                }
                Err(StoreError::Stale) => {
                    tracing::info!("another coordinator leads: it sends what is in the outbox");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "it can't be read what is in the outbox; trying again");
                    tokio::time::sleep(pause_for_database(failures)).await;
                    failures += 1;
                }
            }
            if counted.is_none_or(|at: Instant| at.elapsed() >= sender.limits.poll) {
                sender.count().await;
                counted = Some(Instant::now());
            }
            tokio::select! {
                Some(done) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                    let id = match done {
                        Ok((id, ())) => id,
                        Err(error) => {
                            tracing::error!(%error, "sending a message ended badly; it is tried again");
                            error.id()
                        }
                    };
                    on_their_way.remove(&id);
                }
                () = tokio::time::sleep(sender.limits.poll) => {}
            }
        }
    }

    /// Takes what is due, as far as there is room.
    async fn take(&self, on_their_way: &HashMap<Id, (i64, Kind)>) -> Result<Vec<Taken>, StoreError> {
        let ledger = &self.shared.ledger;
        let now = ledger.clock().now();
        // Whatever was taken before all that is on its way was taken by somebody who died over it, or could not note its end.
        let floor =
            on_their_way.values().map(|(fence, _)| *fence).min().unwrap_or_else(|| ledger.next_fence());
        let mut due = Vec::new();
        for kind in Kind::ALL {
            let busy = on_their_way.values().filter(|(_, other)| *other == kind).count();
            let room = self.limits.at_once.saturating_sub(u32::try_from(busy).unwrap_or(u32::MAX));
            if room > 0 {
                let mut reader = ledger.db().read().await?;
                let rows = outbox::due(&mut reader, kind.as_str(), now, floor, room).await?;
                due.extend(rows.into_iter().map(|row| (kind, row)));
            }
        }
        let mut taken = Vec::new();
        for (kind, row) in due {
            let fence = ledger.next_fence();
            // One transaction each: they are few, and one that can't be taken keeps no other.
            match self.take_one(&row.key, fence, floor).await {
                Ok(()) => taken.push(Taken { row, fence, kind }),
                Err(error) if taken.is_empty() => return Err(error),
                Err(error) => {
                    tracing::debug!(%error, "not all that is due can be taken now");
                    break;
                }
            }
        }
        Ok(taken)
    }

    async fn take_one(&self, key: &str, fence: i64, floor: i64) -> Result<(), StoreError> {
        let ledger = &self.shared.ledger;
        ledger.reach("before_outbox_take", key).await;
        let mut tx = ledger.begin().await?;
        outbox::take(&mut tx, key, fence, floor).await?;
        tx.commit().await?;
        ledger.reach("after_outbox_take", key).await;
        Ok(())
    }

    async fn send(self: Arc<Self>, taken: Taken) {
        let Taken { row, fence, kind } = taken;
        let delivery = Delivery {
            key: &row.key,
            marker: &row.marker,
            target: &row.target,
            body: &row.body,
            again: row.attempts > 0,
        };
        let outcome = match self.channels.get(&kind) {
            Some(channel) => self.deliver(&**channel, delivery).await,
            None => Err(Failure::later(format!("this server is not configured to send by {kind}"))),
        };
        self.shared.ledger.reach("outbox_posted", &row.key).await;
        let noted = self.note(&row, fence, kind, &outcome).await;
        match noted {
            Ok(()) | Err(StoreError::Stale) => {}
            // It stays taken, and is taken once more when nothing older is on its way.
            Err(error) => {
                tracing::error!(key = row.key, %error, "it can't be noted what became of a message")
            }
        }
    }

    async fn deliver(&self, channel: &dyn Channel, delivery: Delivery<'_>) -> Result<Delivered, Failure> {
        let limit = self.limits.time;
        let late = || Failure::later(format!("it took more than {} s", limit.as_secs()));
        // A channel that panics has failed like another: it must not be tried at once, and for ever.
        let delivered = AssertUnwindSafe(channel.deliver(delivery)).catch_unwind();
        match tokio::time::timeout(limit, delivered).await {
            Ok(Ok(delivered)) => delivered,
            Ok(Err(_)) => Err(Failure::later("the channel panicked: the server's log says where")),
            Err(_) => Err(late()),
        }
    }

    /// Notes what became of a message.
    async fn note(
        &self,
        row: &MessageRow,
        fence: i64,
        kind: Kind,
        outcome: &Result<Delivered, Failure>,
    ) -> Result<(), StoreError> {
        let ledger = &self.shared.ledger;
        let (key, target) = (&row.key, &row.target);
        let attempts = u32::try_from(row.attempts).unwrap_or(u32::MAX).saturating_add(1);
        let end = match outcome {
            Ok(Delivered::Now) => End::Sent(None),
            Ok(Delivered::Before) => {
                tracing::info!(key, target, %kind, "a message had arrived before");
                End::Sent(None)
            }
            Ok(Delivered::Partly(without)) => {
                tracing::warn!(key, target, %kind, without, "a message arrived, but for a part of it");
                End::Sent(Some(without))
            }
            Err(failure) => self.after(failure, attempts),
        };
        transition!(ledger, "outbox_note", key, |tx| end
            .write(&mut tx, key, fence, ledger.clock().now())
            .await?)?;
        match end {
            End::Sent(_) => self.shared.measures.message_sent(kind.as_str()),
            End::GivenUp(error) => {
                tracing::error!(key, target, %kind, attempts, error, "a message is given up");
                self.shared.measures.message_given_up(kind.as_str());
            }
            End::Waits(wait, error) => {
                let seconds = wait.as_secs();
                tracing::warn!(key, target, %kind, attempts, error, seconds, "a message did not arrive; it is tried again");
            }
        }
        Ok(())
    }

    fn after<'a>(&self, failure: &'a Failure, attempts: u32) -> End<'a> {
        let mut chance = [0; 2];
        self.shared.ledger.clock().random(&mut chance);
        let pause = self.limits.pause(attempts, u16::from_le_bytes(chance));
        match failure.again {
            Again::Never => End::GivenUp(&failure.message),
            _ if attempts >= self.limits.attempts => End::GivenUp(&failure.message),
            Again::Later => End::Waits(pause, &failure.message),
            Again::After(least) => End::Waits(pause.max(least.min(self.limits.longest)), &failure.message),
        }
    }

    /// Takes over how things stand into the metrics.
    async fn count(&self) {
        let counted = async { outbox::counts(&mut self.shared.ledger.db().read().await?).await };
        // The database's troubles are told by whoever writes.
        if let Ok(rows) = counted.await {
            self.shared.measures.observe_outbox(&rows);
        }
    }
}

/// What is noted of a message.
enum End<'a> {
    Sent(Option<&'a String>),
    GivenUp(&'a str),
    Waits(Duration, &'a str),
}

impl End<'_> {
    async fn write(&self, tx: &mut Tx, key: &str, fence: i64, now: Micros) -> Result<(), StoreError> {
        match self {
            Self::Sent(without) => outbox::sent(tx, key, fence, now, without.map(String::as_str)).await,
            Self::GivenUp(error) => outbox::give_up(tx, key, fence, now, error).await,
            Self::Waits(wait, error) => outbox::put_off(tx, key, fence, now + *wait, error).await,
        }
    }
}

/// Forgets messages whose time is over, and returns how many.
pub(crate) async fn expire(tx: &mut Tx, now: Micros) -> Result<u64, StoreError> {
    outbox::prune(tx, Micros(now.0.saturating_sub(KEPT.as_micros() as i64))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_end_after_a_day() {
        let limits = Limits::default();
        let mean = |attempts| limits.pause(attempts, u16::MAX / 2).as_secs_f64().round() as u64;
        let means: Vec<u64> = (1..=12).map(mean).collect();
        assert_eq!(means, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        assert_eq!(limits.pause(1, 0), Duration::from_millis(2500));
        assert_eq!(limits.pause(1, u16::MAX), Duration::from_millis(7500));
        assert_eq!(limits.pause(u32::MAX, u16::MAX), Duration::from_secs(5400));
        let all: f64 =
            (1..limits.attempts).map(|attempts| limits.pause(attempts, u16::MAX / 2).as_secs_f64()).sum();
        assert!((24.0..48.0).contains(&(all / 3600.0)), "{all}");
    }
}
