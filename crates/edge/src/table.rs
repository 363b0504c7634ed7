//! Which connections are open, and what each of them is at.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Limits;

/// A client's first request is on its way for so long.
const FRESH: Duration = Duration::from_secs(1);

/// What one connection is at.
#[derive(Debug)]
pub(crate) struct Activity {
    state: Mutex<State>,
    /// Fires when another connection takes its place.
    pub cut: CancellationToken,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Requests that are not answered to the end.
    busy: u32,
    /// Those of them whose answers are streams of events.
    streams: u32,
    /// Since when there is none but streams, or none.
    since: Instant,
    /// Whether there was none yet.
    first: bool,
}

impl Activity {
    fn new() -> Arc<Activity> {
        let state = State { busy: 0, streams: 0, since: Instant::now(), first: true };
        Arc::new(Activity { state: Mutex::new(state), cut: CancellationToken::new() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a request has begun; it lasts as long as the value.
    pub fn request(self: &Arc<Self>) -> Busy {
        let mut state = self.state();
        state.busy += 1;
        state.first = false;
        Busy { activity: Arc::clone(self), stream: false }
    }

    /// Until when the next request's head must have come; none while a request is under way.
    pub fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let state = *self.state();
        let wait = if state.first { limits.head } else { limits.idle };
        (state.busy == 0).then(|| state.since + wait)
    }

    /// Who gives way first to another connection: who waits before who is told events, then who came a moment ago and may be
    /// about to ask; of those alike, whoever is at it for longest. Who reads events asks again by itself, with the number of
    /// the last one, and misses none.
    fn gives_way(&self) -> Option<(Turn, Instant)> {
        let state = *self.state();
        let turn = match state.busy {
            0 if state.first && state.since.elapsed() < FRESH => Turn::Fresh,
            0 => Turn::Waits,
            busy if busy == state.streams => Turn::Told,
            _ => return None,
        };
        Some((turn, state.since))
    }
}

/// What a connection is at that gives way, in the order in which they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    Waits,
    Told,
    Fresh,
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Busy {
    activity: Arc<Activity>,
    stream: bool,
}

impl Busy {
    /// Notes that the answer is a stream of events.
    pub fn is_stream(&mut self) {
        if !std::mem::replace(&mut self.stream, true) {
            let mut state = self.activity.state();
            state.streams += 1;
            state.since = Instant::now();
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.activity.state();
        state.busy = state.busy.saturating_sub(1);
        state.streams = state.streams.saturating_sub(self.stream.into());
        if state.busy == state.streams {
            state.since = Instant::now();
        }
    }
}

/// All connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Table(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Arc<Activity>>,
    cut: u64,
}

impl Table {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open().connections.len()
    }

    /// How many were cut or turned away because there were too many.
    pub fn cut(&self) -> u64 {
        self.open().cut
    }

    /// Takes a connection in. Where there are `most`, another one gives way (see [`Activity::gives_way`]); nothing if none does.
    pub fn enter(self: &Arc<Self>, most: usize) -> Option<Entry> {
        let mut open = self.open();
        if open.connections.len() >= most.max(1) {
            open.cut += 1;
            if !open.make_way() {
                return None;
            }
        }
        let (id, activity) = (open.next, Activity::new());
        open.next += 1;
        open.connections.insert(id, Arc::clone(&activity));
        Some(Entry { table: Arc::clone(self), id, activity })
    }

    /// Cuts the connection that is the first to give way, if one does.
    pub fn make_room(&self) -> bool {
        let mut open = self.open();
        open.cut += 1;
        open.make_way()
    }
}

impl Open {
    fn make_way(&mut self) -> bool {
        let all = self.connections.iter().filter_map(|(id, activity)| Some((activity.gives_way()?, *id)));
        let Some((_, id)) = all.min() else { return false };
        if let Some(activity) = self.connections.remove(&id) {
            activity.cut.cancel();
        }
        true
    }
}

/// A connection's place in the table, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    table: Arc<Table>,
    id: u64,
    /// What the connection is at.
    pub activity: Arc<Activity>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.open().connections.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waited_longest_gives_way_and_none_that_is_answered() {
        let table = Arc::new(Table::default());
        let first = table.enter(2).unwrap();
        let answered = first.activity.request();
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = table.enter(2).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let third = table.enter(2).unwrap();
        assert!(second.activity.cut.is_cancelled() && !first.activity.cut.is_cancelled());
        assert_eq!((table.len(), table.cut()), (2, 1));
        drop(second);
        assert_eq!(table.len(), 2, "its place is taken already");
        let also_answered = third.activity.request();
        assert!(table.enter(2).is_none(), "nobody waits");
        drop(answered);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(table.enter(2).is_some() && first.activity.cut.is_cancelled());
        drop((first, third, also_answered));
        assert_eq!((table.len(), table.cut()), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_told_events_gives_way_after_who_waits_and_before_nobody_gets_in() {
        let table = Arc::new(Table::default());
        let told = table.enter(3).unwrap();
        let mut events = told.activity.request();
        events.is_stream();
        let both = table.enter(3).unwrap();
        let mut more = both.activity.request();
        more.is_stream();
        let page = both.activity.request();
        let waits = table.enter(3).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        let next = table.enter(3).unwrap();
        assert!(waits.activity.cut.is_cancelled(), "though it came last");
        let _answered = next.activity.request();
        // One that came this moment has its request on the way.
        let fresh = table.enter(3).unwrap();
        assert!(told.activity.cut.is_cancelled());
        let _answered_too = fresh.activity.request();
        assert!(table.enter(3).is_none(), "one of the other's requests is no stream");
        drop(page);
        assert!(table.enter(3).is_some() && both.activity.cut.is_cancelled());
        drop((events, more));
        assert_eq!(told.activity.state().streams, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_less_time_than_the_next() {
        let (table, limits) = (Arc::new(Table::default()), Limits::default());
        let entry = table.enter(1).unwrap();
        assert_eq!(entry.activity.deadline(&limits), Some(Instant::now() + limits.head));
        let request = entry.activity.request();
        assert_eq!(entry.activity.deadline(&limits), None);
        tokio::time::advance(Duration::from_secs(100)).await;
        drop(request);
        assert_eq!(entry.activity.deadline(&limits), Some(Instant::now() + limits.idle));
    }
}
