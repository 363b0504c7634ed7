//! The events between those who publish and those who wait.

mod lead;
mod writer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use store::leader::Epoch;
use store::pubsub_events::{self, PubsubEventRow};
use store::{Db, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use lead::{OpenError, TakeOver};
use writer::Writer;

use crate::http::Room;
use crate::kept::{Kept, Moment, Most};
use crate::seen::{self, Seen};
use crate::{Config, Event, GerritEvent, GithubEvent};

/// So many events may wait to be stored.
const QUEUE: usize = 1024;
/// So many are stored at once, at most.
const BATCH: usize = 256;
/// So many rows are read at once.
const PAGE: u32 = 1000;
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
    /// No delivery is called by as many bytes.
    #[error("the delivery's id has {0} bytes, more than 128")]
    Delivery(usize),
}

/// Another hub has taken this one's place at the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another pubsubhelper stores events in this database now")]
pub struct Replaced;

struct Order {
    hint: Hint,
    delivery: Option<String>,
    done: oneshot::Sender<Result<Published, PublishError>>,
}

/// The events. Cheap to clone. A database has one hub at a time: the one that was opened last, as a row there says.
#[derive(Clone)]
pub struct Hub {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    db: Db,
    /// What every write is made under.
    epoch: Epoch,
    began: Instant,
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
    /// Takes the place of the one hub of a database, and reads the events that are stored.
    ///
    /// # Errors
    /// [`OpenError::Held`] while another hub has the place; else the database's, among them [`StoreError::Corrupt`] if it
    /// holds what was not written here.
    pub async fn open(config: Config, db: Db) -> Result<Hub, OpenError> {
        let epoch = lead::take(&db, &config).await?;
        let (began, now) = (Instant::now(), Timestamp::now());
        let now = Moment { clock: now, uptime: SignedDuration::ZERO };
        let mut seen = Seen::new(config.replay_window);
        let mut events = Vec::new();
        for row in stored(&db, &config).await? {
            let corrupt = |why: String| StoreError::Corrupt(format!("pubsub_events {}: {why}", row.time_ns));
            let time = Timestamp::from_nanosecond(row.time_ns.into()).map_err(|e| corrupt(e.to_string()))?;
            let event = Event::from_json(&row.event).map_err(|e| corrupt(e.to_string()))?;
            if let Some(id) = &row.delivery {
                seen.note(id, now.uptime_at(time));
            }
            events.push((time, Arc::new(event)));
        }
        let most = Most { events: config.most_events as usize, bytes: config.most_bytes };
        let kept = Kept::new(events, most, now);
        let (orders, taken) = mpsc::channel(QUEUE);
        let room = Room::new(config.webhook_bytes.saturating_mul(WHOLE));
        let inner = Inner {
            db,
            epoch,
            began,
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
    ///
    /// # Errors
    /// Another hub was opened on the database; nothing can be published here any more.
    pub async fn run(&self, shutdown: CancellationToken) -> Result<(), Replaced> {
        let mut taken = self.inner.taken.lock().await;
        let ended = Writer::new(&self.inner).run(&mut taken, shutdown).await;
        // Whoever is still in the queue is told by this.
        taken.close();
        while taken.try_recv().is_ok() {}
        ended
    }

    /// Publishes a hint: it is stored when this returns. Of one delivery, by its sender's id, there is one event.
    ///
    /// # Errors
    /// It is not published, or ([`PublishError::Slow`]) may be later.
    pub async fn publish(&self, hint: Hint, delivery: Option<String>) -> Result<Published, PublishError> {
        if let Some(id) = delivery.as_ref().filter(|id| id.len() > seen::LONGEST) {
            return Err(PublishError::Delivery(id.len()));
        }
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
                        let time = Some(kept.tick(self.inner.now()));
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
        self.inner.kept()
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Moment {
        let uptime = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        Moment { clock: Timestamp::now(), uptime }
    }
}

/// The rows of the newest events, the oldest first: as many as are kept, page by page, since they may be large.
async fn stored(db: &Db, config: &Config) -> Result<Vec<PubsubEventRow>, StoreError> {
    let mut reader = db.read().await?;
    let (mut rows, mut bytes, mut before) = (Vec::new(), 0, i64::MAX);
    while rows.len() < config.most_events as usize && bytes < config.most_bytes {
        let page = pubsub_events::newest(&mut reader, before, PAGE).await?;
        let Some(first) = page.first() else { break };
        before = first.time_ns;
        bytes += page.iter().map(|row| row.event.len()).sum::<usize>();
        rows.extend(page.into_iter().rev());
    }
    rows.reverse();
    Ok(rows)
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
