//! The connections that are served at once, and who makes way when there are too many.
//!
//! Whoever may not ask can still connect, and say nothing. So a connection on which no request of somebody who may ask is being
//! answered makes way for a new one, the longest unused first: idle connections, however many, keep nobody else out.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::Instant;

/// Connections at once.
pub(super) const MOST: usize = 256;

/// What happens on a connection.
pub(crate) struct Activity {
    state: Mutex<State>,
    freed: Arc<Notify>,
}

struct State {
    requests: u32,
    since: Instant,
}

/// A request of somebody who may ask; the connection keeps its place while it is being answered.
pub(crate) struct Busy(Arc<Activity>);

impl Activity {
    fn new(freed: Arc<Notify>) -> Self {
        Self { state: Mutex::new(State { requests: 0, since: Instant::now() }), freed }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request of somebody who may ask.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.state().requests += 1;
        Busy(Arc::clone(self))
    }

    /// Since when it is unused, if it is.
    fn unused_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.requests == 0).then_some(state.since)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.since = Instant::now();
        drop(state);
        self.0.freed.notify_one();
    }
}

/// All connections; dropped, they end.
pub(super) struct Places {
    tasks: JoinSet<()>,
    taken: HashMap<Id, (AbortHandle, Arc<Activity>)>,
    freed: Arc<Notify>,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { tasks: JoinSet::new(), taken: HashMap::new(), freed: Arc::new(Notify::new()) }
    }

    /// Whether one more can be served, be it in the place of another.
    pub(super) fn has_room(&self) -> bool {
        self.taken.len() < MOST || self.taken.values().any(|(_, activity)| activity.unused_since().is_some())
    }

    /// Serves one more, in the place of the longest unused if there are too many.
    pub(super) fn take<F>(&mut self, serve: impl FnOnce(Arc<Activity>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.taken.len() >= MOST {
            let unused = |(id, (_, activity)): (&Id, &(AbortHandle, Arc<Activity>))| {
                Some((activity.unused_since()?, *id))
            };
            let oldest = self.taken.iter().filter_map(unused).min_by_key(|(since, _)| *since);
            if let Some((handle, _)) = oldest.and_then(|(_, id)| self.taken.remove(&id)) {
                handle.abort();
            }
        }
        let activity = Arc::new(Activity::new(Arc::clone(&self.freed)));
        let handle = self.tasks.spawn(serve(Arc::clone(&activity)));
        self.taken.insert(handle.id(), (handle, activity));
    }

    /// Waits for a connection to end or to be unused; may be dropped and asked again.
    pub(super) async fn changed(&mut self) {
        let freed = Arc::clone(&self.freed);
        let ended = tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => ended,
            () = freed.notified() => return,
        };
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => error.id(),
        };
        self.taken.remove(&id);
    }

    /// Waits until none is left.
    pub(super) async fn empty(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    #[tokio::test]
    async fn the_longest_unused_makes_way_and_who_is_answered_stays() {
        let (ended, mut gone) = mpsc::unbounded_channel::<usize>();
        struct Tell(usize, mpsc::UnboundedSender<usize>);
        impl Drop for Tell {
            fn drop(&mut self) {
                let _nobody = self.1.send(self.0);
            }
        }
        let mut places = Places::new();
        let (busy, mut started) = mpsc::unbounded_channel();
        let add = |places: &mut Places, number: usize| {
            let (tell, busy) = (Tell(number, ended.clone()), busy.clone());
            places.take(|activity| async move {
                let _tell = tell;
                // The first is being answered.
                let _held = (number == 0).then(|| activity.begin());
                busy.send(number).unwrap();
                std::future::pending::<()>().await;
            });
        };
        for number in 0..MOST {
            add(&mut places, number);
            started.recv().await.unwrap();
        }
        assert!(places.has_room());
        for number in 0..10 {
            add(&mut places, MOST + number);
            assert_eq!(gone.recv().await, Some(number + 1), "neither the first nor a new one");
            assert!(places.taken.len() <= MOST);
        }
    }
}
