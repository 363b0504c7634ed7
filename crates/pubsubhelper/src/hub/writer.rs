//! The one that stores events and shows them.
//!
//! Every write is one transaction under our epoch, with a limit of time. Where a write fails, it may have taken place all the
//! same: its answer was lost. What became of it is then read in a transaction that waits for the lock which the write held,
//! so that nothing can change it any more; and before that is known nothing else is written.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use store::leader::{self, PUBSUBHELPER};
use store::pubsub_events::{self, PubsubEventRow};
use store::{StoreError, Tx};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::lead::{self, LEAD, RENEW};
use super::{BATCH, Inner, Order, PublishError, Published, Replaced};
use crate::{Event, kept};

/// An event with its time, and what brought it.
#[derive(Debug)]
struct New {
    time: Timestamp,
    event: Arc<Event>,
    delivery: Option<String>,
}

pub(super) struct Writer<'a> {
    inner: &'a Inner,
    /// What was written and may have taken place.
    unsure: Option<Vec<New>>,
    /// The next write takes place, and is answered with an error.
    #[cfg(test)]
    lose_answer: bool,
}

impl<'a> Writer<'a> {
    pub(super) fn new(inner: &'a Inner) -> Writer<'a> {
        Writer {
            inner,
            unsure: None,
            #[cfg(test)]
            lose_answer: false,
        }
    }

    pub(super) async fn run(
        mut self,
        taken: &mut mpsc::Receiver<Order>,
        shutdown: CancellationToken,
    ) -> Result<(), Replaced> {
        let mut batch = Vec::new();
        let mut beat = tokio::time::interval(RENEW);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let count = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !taken.is_closed() => {
                    taken.close();
                    continue;
                }
                _ = beat.tick() => {
                    self.beat().await?;
                    continue;
                }
                count = taken.recv_many(&mut batch, BATCH) => count,
            };
            if count == 0 {
                break;
            }
            self.store(std::mem::take(&mut batch)).await?;
        }
        // So that the next one need not wait.
        if let Err(error) = self.limited(lead::renew(&self.inner.db, self.inner.epoch, Duration::ZERO)).await
        {
            tracing::warn!(%error, "the place of pubsubhelper is not given back");
        }
        Ok(())
    }

    /// Keeps the place, and looks what became of what failed.
    async fn beat(&mut self) -> Result<(), Replaced> {
        let settled = self.settle().await.map(drop);
        let renewed = self.limited(lead::renew(&self.inner.db, self.inner.epoch, LEAD)).await;
        for result in [settled, renewed] {
            match result {
                Err(StoreError::Stale) => return Err(Replaced),
                Err(error) => tracing::warn!(%error, "the place of pubsubhelper is not renewed"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Stores what was ordered, and answers.
    async fn store(&mut self, orders: Vec<Order>) -> Result<(), Replaced> {
        let stored = match self.settle().await {
            Ok(_) => self.store_all(&orders).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(answers) => {
                for (order, answer) in orders.into_iter().zip(answers) {
                    // Whoever asked may have gone.
                    let _ = order.done.send(Ok(answer));
                }
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "events can't be stored");
                let replaced = matches!(error, StoreError::Stale);
                let error = Arc::new(error);
                for order in orders {
                    let _ = order.done.send(Err(PublishError::Store(Arc::clone(&error))));
                }
                if replaced { Err(Replaced) } else { Ok(()) }
            }
        }
    }

    async fn store_all(&mut self, orders: &[Order]) -> Result<Vec<Published>, StoreError> {
        let now = self.inner.now();
        let mut new: Vec<New> = Vec::new();
        let mut answers = Vec::with_capacity(orders.len());
        let (mut time, oldest) = {
            let mut kept = self.inner.kept();
            (kept.begin(now), kept.oldest())
        };
        {
            let mut seen = self.inner.seen();
            for order in orders {
                // One that is in this batch already is not noted before it is stored.
                let among = |id: &str| new.iter().any(|one| one.delivery.as_deref() == Some(id));
                if order.delivery.as_deref().is_some_and(|id| seen.knows(id, now.uptime) || among(id)) {
                    answers.push(Published::Repeated);
                    continue;
                }
                let event = Arc::new(order.hint.at(time));
                answers.push(Published::New(Arc::clone(&event)));
                new.push(New { time, event, delivery: order.delivery.clone() });
                time = kept::after(time);
            }
        }
        if new.is_empty() {
            self.show(new);
            return Ok(answers);
        }
        match self.limited(self.write(&new, oldest)).await {
            Ok(()) => {
                self.show(new);
                Ok(answers)
            }
            Err(error) => {
                tracing::warn!(%error, "whether events are stored is to be seen");
                self.unsure = Some(new);
                match self.settle().await {
                    Ok(true) => Ok(answers),
                    Err(StoreError::Stale) => Err(StoreError::Stale),
                    Ok(false) | Err(_) => Err(error),
                }
            }
        }
    }

    /// Finds out what became of a write that failed, and shows its events if it took place. True if it did.
    async fn settle(&mut self) -> Result<bool, StoreError> {
        let Some(first) = self.unsure.as_ref().and_then(|new| new.first()).map(|one| one.time) else {
            return Ok(false);
        };
        let there = async {
            let mut tx = self.begin().await?;
            // A transaction took place as a whole, or not at all.
            pubsub_events::has(&mut tx, nanoseconds(first)).await
        };
        let there = self.limited(there).await?;
        let new = self.unsure.take().filter(|_| there).unwrap_or_default();
        self.show(new);
        Ok(there)
    }

    /// Shows events that are stored; without any, what was begun is given up.
    fn show(&self, new: Vec<New>) {
        let now = self.inner.now();
        {
            let mut seen = self.inner.seen();
            new.iter().filter_map(|one| one.delivery.as_ref()).for_each(|id| seen.note(id, now.uptime));
        }
        let shown = new.into_iter().map(|one| (one.time, one.event)).collect();
        self.inner.kept().finish(shown, now);
        self.inner.news.send_replace(());
    }

    async fn write(&self, new: &[New], oldest: Option<Timestamp>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        for one in new {
            let (time_ns, delivery) = (nanoseconds(one.time), one.delivery.clone());
            pubsub_events::add(&mut tx, &PubsubEventRow { time_ns, event: one.event.to_json(), delivery })
                .await?;
        }
        if let Some(oldest) = oldest {
            pubsub_events::forget(&mut tx, nanoseconds(oldest)).await?;
        }
        tx.commit().await?;
        #[cfg(test)]
        if self.lose_answer {
            return Err(StoreError::Unavailable("the answer was lost".into()));
        }
        Ok(())
    }

    /// Begins a transaction, which has the lock of our place until its end.
    async fn begin(&self) -> Result<Tx, StoreError> {
        let mut tx = self.inner.db.begin().await?;
        leader::guard(&mut tx, PUBSUBHELPER, self.inner.epoch).await?;
        Ok(tx)
    }

    async fn limited<T>(&self, what: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        let limit = self.inner.config.write;
        let slow = |_| Err(StoreError::Busy(format!("it took longer than {} ms", limit.as_millis())));
        tokio::time::timeout(limit, what).await.unwrap_or_else(slow)
    }
}

/// As a row has it. From 1677 to 2262 that is the time itself.
fn nanoseconds(time: Timestamp) -> i64 {
    let end = if time < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX };
    i64::try_from(time.as_nanosecond()).unwrap_or(end)
}

#[cfg(test)]
#[path = "writer/tests.rs"]
mod tests;
