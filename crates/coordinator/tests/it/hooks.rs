//! Hooks that hold, freeze, kill, fail, or turn the clock at named points.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use coordinator::{Clock, Fault, Hooks};
use futures::future::BoxFuture;
use store::{Micros, StoreError};
use tokio_util::sync::CancellationToken;

/// Freezes a coordinator at the n-th time it comes to a point: from then on no task of it gets past any point.
pub struct Freeze {
    point: String,
    /// How many more times it passes the point.
    left: AtomicU32,
    pub reached: CancellationToken,
    pub release: CancellationToken,
}

impl Freeze {
    pub fn at(point: &str) -> Arc<Freeze> {
        Freeze::at_time(1, point)
    }

    pub fn at_time(n: u32, point: &str) -> Arc<Freeze> {
        Arc::new(Freeze {
            point: point.to_owned(),
            left: AtomicU32::new(n - 1),
            reached: CancellationToken::new(),
            release: CancellationToken::new(),
        })
    }
}

impl Hooks for Freeze {
    fn reach(&self, point: &str, _: &str) -> BoxFuture<'static, ()> {
        let passes = || self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if point == self.point && !passes() {
            self.reached.cancel();
        }
        if !self.reached.is_cancelled() {
            return Box::pin(std::future::ready(()));
        }
        let release = self.release.clone();
        Box::pin(async move { release.cancelled().await })
    }
}

/// Lets each transition fail so many times, and counts how often it was hit.
pub struct Faulty {
    pub at: Fault,
    pub times: u32,
    pub error: fn() -> StoreError,
    pub hits: Mutex<BTreeMap<(String, String), u32>>,
}

impl Hooks for Faulty {
    fn reach(&self, _: &str, _: &str) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn fault(&self, transition: &str, subject: &str, at: Fault) -> Option<StoreError> {
        if at != self.at {
            return None;
        }
        let mut hits = self.hits.lock().unwrap();
        let hits = hits.entry((transition.to_owned(), subject.to_owned())).or_default();
        *hits += 1;
        (*hits <= self.times).then(self.error)
    }
}

/// The real clock, turned by the test.
#[derive(Default)]
pub struct TurnedClock(Mutex<i64>);

impl TurnedClock {
    pub fn turn(&self, seconds: i64) {
        *self.0.lock().unwrap() += seconds * 1_000_000;
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> Micros {
        Micros(Micros::now().0 + *self.0.lock().unwrap())
    }

    fn random(&self, buffer: &mut [u8]) {
        coordinator::SystemClock.random(buffer);
    }
}

/// Turns the clock once at a point.
pub struct Turn {
    pub point: &'static str,
    pub seconds: i64,
    pub clock: Arc<TurnedClock>,
    pub done: CancellationToken,
}

impl Hooks for Turn {
    fn reach(&self, point: &str, _: &str) -> BoxFuture<'static, ()> {
        if point == self.point && !self.done.is_cancelled() {
            self.done.cancel();
            self.clock.turn(self.seconds);
        }
        Box::pin(std::future::ready(()))
    }
}
