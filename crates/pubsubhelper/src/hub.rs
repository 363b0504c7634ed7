//! The events between those who publish and those who wait.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use store::pubsub_events::{self, PubsubEventRow};
use store::{Db, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::http::Room;
use crate::kept::{self, Kept};
use crate::seen::Seen;
use crate::{Config, Event, GerritEvent, GithubEvent};

/// So many events may wait to be stored.
const QUEUE: usize = 1024;
/// So many are stored at once, at most.
const BATCH: usize = 256;
/// So many webhooks of the largest size fit into memory at once.
const WHOLE: usize = 4;
/// How long somebody who publishes waits for the database.
const PATIENCE: Duration = Duration::from_secs(20);

/// Something that happened, before it has a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// At a Gerrit.
    Gerrit(GerritEvent),
    /// At GitHub.
    Github(GithubEvent),
}

/// What became of a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Published {
    /// It is this event now, and is stored.
    New(Arc<Event>),
    /// Its delivery was taken before.
    Repeated,
}

/// Why a hint is not published.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// It can't be stored.
    #[error("the event is not stored: {0}")]
    Store(Arc<StoreError>),
    /// Too many are being stored, or it takes too long; it may be published later.
    #[error("the event is not stored yet: the database is slow")]
    Slow,
    /// [`Hub::run`] has ended, or has not begun.
    #[error("nobody stores events any more")]
    Ended,
}

struct Order {
    hint: Hint,
    delivery: Option<String>,
    done: oneshot::Sender<Result<Published, PublishError>>,
}

/// The events. Cheap to clone. A database has one hub at a time.
#[derive(Clone)]
pub struct Hub {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    db: Db,
    pub(crate) config: Config,
    /// Held for as long as it takes to look, never across a wait.
    kept: Mutex<Kept>,
    seen: Mutex<Seen>,
    /// Changes with each publication.
    news: watch::Sender<()>,
    /// Memory for bodies of webhooks.
    pub(crate) room: Room,
    orders: mpsc::Sender<Order>,
    taken: tokio::sync::Mutex<mpsc::Receiver<Order>>,
}

impl Hub {
    /// Reads the events that are stored.
    ///
    /// # Errors
    /// The database's; [`StoreError::Corrupt`] if it holds what was not written here.
    pub async fn open(config: Config, db: Db) -> Result<Hub, StoreError> {
        let rows = pubsub_events::newest(&mut db.read().await?, config.most_events).await?;
        let mut seen = Seen::new(config.replay_window);
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let corrupt = |why: String| StoreError::Corrupt(format!("pubsub_events {}: {why}", row.time_ns));
            let time = Timestamp::from_nanosecond(row.time_ns.into()).map_err(|e| corrupt(e.to_string()))?;
            let event = Event::from_json(&row.event).map_err(|e| corrupt(e.to_string()))?;
            if let Some(id) = &row.delivery {
                seen.note(id, time);
            }
            events.push((time, Arc::new(event)));
        }
        let kept = Kept::new(events, config.most_events as usize);
        let (orders, taken) = mpsc::channel(QUEUE);
        let room = Room::new(config.webhook_bytes.saturating_mul(WHOLE));
        let inner = Inner {
            db,
            config,
            kept: Mutex::new(kept),
            seen: Mutex::new(seen),
            news: watch::Sender::new(()),
            room,
            orders,
            taken: tokio::sync::Mutex::new(taken),
        };
        Ok(Hub { inner: Arc::new(inner) })
    }

    /// Stores and shows what is published, until `shutdown`. What was ordered before that is still stored.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut taken = self.inner.taken.lock().await;
        let mut batch = Vec::new();
        loop {
            let count = tokio::select! {
                biased;
                () = shutdown.cancelled(), if !taken.is_closed() => {
                    taken.close();
                    continue;
                }
                count = taken.recv_many(&mut batch, BATCH) => count,
            };
            if count == 0 {
                return;
            }
            self.store(std::mem::take(&mut batch)).await;
        }
    }

    /// Publishes a hint: it is stored when this returns. Of one delivery, by its sender's id, there is one event.
    ///
    /// # Errors
    /// It is not published, or ([`PublishError::Slow`]) may be later.
    pub async fn publish(&self, hint: Hint, delivery: Option<String>) -> Result<Published, PublishError> {
        let (done, answer) = oneshot::channel();
        let stored = async {
            let order = Order { hint, delivery, done };
            self.inner.orders.send(order).await.map_err(|_| PublishError::Ended)?;
            answer.await.map_err(|_| PublishError::Ended)?
        };
        tokio::time::timeout(PATIENCE, stored).await.unwrap_or(Err(PublishError::Slow))
    }

    /// Waits for the oldest event later than a time; without one, for the next. When the wait is over, it is an event that says
    /// so, with a time to ask with again. Nothing is held meanwhile, and dropping it leaves nothing behind.
    pub async fn wait(&self, after: Option<Timestamp>) -> Arc<Event> {
        // Before the first look: what comes between the look and the wait has changed it.
        let mut news = self.inner.news.subscribe();
        let (found, mut from) = {
            let kept = self.kept();
            (after.and_then(|after| kept.after(after)), kept.last())
        };
        if let Some(event) = found {
            return event;
        }
        let over = tokio::time::sleep(self.inner.config.long_poll);
        tokio::pin!(over);
        loop {
            tokio::select! {
                _ = news.changed() => {}
                () = &mut over => {
                    let mut kept = self.kept();
                    return kept.after(from).unwrap_or_else(|| {
                        let time = Some(kept.tick(Timestamp::now()));
                        Arc::new(Event { time, long_poll_timeout: true, ..Event::default() })
                    });
                }
            }
            let kept = self.kept();
            if let Some(event) = kept.after(from) {
                return event;
            }
            from = kept.last();
        }
    }

    /// The events from a time on, itself among them, the newest first.
    #[must_use]
    pub fn recent(&self, since: Timestamp) -> Vec<Arc<Event>> {
        self.kept().since(since)
    }

    /// The newest events, at most so many, the newest first.
    #[must_use]
    pub fn newest(&self, most: usize) -> Vec<Arc<Event>> {
        self.kept().newest(most)
    }

    /// How many wait for an event.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.inner.news.receiver_count()
    }

    /// Whether events are stored; without that nothing can be published.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.inner.taken.try_lock().is_err() && !self.inner.orders.is_closed()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn store(&self, orders: Vec<Order>) {
        let now = Timestamp::now();
        let (mut new, mut repeated) = (Vec::new(), Vec::new());
        {
            let mut seen = self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for order in orders {
                // One that is in this batch already is not noted before it is stored.
                let among = |id: &String| new.iter().any(|one: &Order| one.delivery.as_ref() == Some(id));
                match &order.delivery {
                    Some(id) if seen.knows(id, now) || among(id) => repeated.push(order),
                    _ => new.push(order),
                }
            }
        }
        let stored = if new.is_empty() { Ok(Vec::new()) } else { self.store_new(&new, now).await };
        match stored {
            Ok(events) => {
                for (order, event) in new.into_iter().zip(events) {
                    // Whoever asked may have gone.
                    let _ = order.done.send(Ok(Published::New(event)));
                }
                for order in repeated {
                    let _ = order.done.send(Ok(Published::Repeated));
                }
            }
            Err(error) => {
                tracing::error!(%error, "events can't be stored");
                let error = Arc::new(error);
                for order in new.into_iter().chain(repeated) {
                    let _ = order.done.send(Err(PublishError::Store(Arc::clone(&error))));
                }
            }
        }
    }

    /// Stores events, then shows them.
    async fn store_new(&self, orders: &[Order], now: Timestamp) -> Result<Vec<Arc<Event>>, StoreError> {
        let (mut time, oldest) = {
            let mut kept = self.kept();
            (kept.begin(now), kept.oldest())
        };
        let mut events = Vec::with_capacity(orders.len());
        for order in orders {
            events.push((time, Arc::new(order.hint.at(time))));
            time = kept::after(time);
        }
        let written = self.write(orders, &events, oldest).await;
        let shown = if written.is_ok() { events.clone() } else { Vec::new() };
        self.kept().finish(shown, now);
        written?;
        {
            let mut seen = self.inner.seen.lock().unwrap_or_else(PoisonError::into_inner);
            orders.iter().filter_map(|order| order.delivery.as_ref()).for_each(|id| seen.note(id, now));
        }
        self.inner.news.send_replace(());
        Ok(events.into_iter().map(|(_, event)| event).collect())
    }

    async fn write(
        &self,
        orders: &[Order],
        events: &[(Timestamp, Arc<Event>)],
        oldest: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut tx = self.inner.db.begin().await?;
        for (order, (time, event)) in orders.iter().zip(events) {
            let time_ns = nanoseconds(*time);
            let row = PubsubEventRow { time_ns, event: event.to_json(), delivery: order.delivery.clone() };
            pubsub_events::add(&mut tx, &row).await?;
        }
        if let Some(oldest) = oldest {
            pubsub_events::forget(&mut tx, nanoseconds(oldest)).await?;
        }
        tx.commit().await
    }
}

impl Hint {
    fn at(&self, time: Timestamp) -> Event {
        let event = Event { time: Some(time), ..Event::default() };
        match self.clone() {
            Hint::Gerrit(gerrit) => Event { gerrit: Some(gerrit), ..event },
            Hint::Github(github) => Event { github: Some(github), ..event },
        }
    }
}

/// As a row has it. From 1677 to 2262 that is the time itself.
fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(if time < Timestamp::UNIX_EPOCH {
        i64::MIN
    } else {
        i64::MAX
    })
}
