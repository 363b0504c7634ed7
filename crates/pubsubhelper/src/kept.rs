//! Which events are kept, and for how long. Nothing here knows what time it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::Event;

/// Up to so many events nothing is dropped, however old.
const ALWAYS: usize = 50;
/// What is younger than this is kept.
const WHILE: Duration = Duration::from_secs(3600);
const NANOSECOND: Duration = Duration::from_nanos(1);

/// The events that are kept, each later than the one before it.
///
/// An event is published in two steps, since it is stored in between: [`Kept::begin`] gives its time, [`Kept::finish`] shows
/// it. A wait that ends meanwhile without an event is told a time before that ([`Kept::tick`]), so that whoever asks again
/// with this time misses nothing.
#[derive(Debug)]
pub(crate) struct Kept {
    events: VecDeque<(Timestamp, Arc<Event>)>,
    most: usize,
    /// No later event has this time or an earlier one.
    last: Timestamp,
    /// The first time of those that are being stored.
    pending: Option<Timestamp>,
}

impl Kept {
    /// Keeps these, which come in their order, and never more than `most` later on.
    pub(crate) fn new(events: Vec<(Timestamp, Arc<Event>)>, most: usize) -> Kept {
        let last = events.last().map_or(Timestamp::MIN, |(time, _)| *time);
        let mut kept = Kept { events: events.into(), most: most.max(1), last, pending: None };
        kept.bound();
        kept
    }

    /// Gives the time of the first of some events that are published now; each of the others is a nanosecond later.
    pub(crate) fn begin(&mut self, now: Timestamp) -> Timestamp {
        let time = now.max(after(self.last));
        self.pending = Some(time);
        time
    }

    /// Shows events that are stored; without any, those of [`Kept::begin`] are given up.
    pub(crate) fn finish(&mut self, events: Vec<(Timestamp, Arc<Event>)>, now: Timestamp) {
        self.pending = None;
        for (time, event) in events {
            self.last = self.last.max(time);
            self.events.push_back((time, event));
        }
        if self.events.len() > ALWAYS {
            let oldest = now.checked_sub(WHILE).unwrap_or(Timestamp::MIN);
            while self.events.front().is_some_and(|(time, _)| *time < oldest) {
                self.events.pop_front();
            }
        }
        self.bound();
    }

    /// The time to tell those whose wait is over: no event that they were not told has it or an earlier one.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Timestamp {
        if let Some(pending) = self.pending {
            return pending.checked_sub(NANOSECOND).unwrap_or(Timestamp::MIN);
        }
        self.last = self.last.max(now);
        self.last
    }

    /// The oldest event later than a time.
    pub(crate) fn after(&self, time: Timestamp) -> Option<Arc<Event>> {
        let at = self.events.partition_point(|(one, _)| *one <= time);
        self.events.get(at).map(|(_, event)| Arc::clone(event))
    }

    /// All events from a time on, the newest first.
    pub(crate) fn since(&self, time: Timestamp) -> Vec<Arc<Event>> {
        let at = self.events.partition_point(|(one, _)| *one < time);
        self.events.range(at..).rev().map(|(_, event)| Arc::clone(event)).collect()
    }

    /// The newest events, at most so many, the newest first.
    pub(crate) fn newest(&self, most: usize) -> Vec<Arc<Event>> {
        self.events.iter().rev().take(most).map(|(_, event)| Arc::clone(event)).collect()
    }

    /// No event to come has this time or an earlier one; all that there are have.
    pub(crate) fn last(&self) -> Timestamp {
        self.last
    }

    /// The time of the oldest that is kept.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.events.front().map(|(time, _)| *time)
    }

    fn bound(&mut self) {
        let over = self.events.len().saturating_sub(self.most);
        self.events.drain(..over);
    }
}

/// The next time that there is. At the end of all times it stays the same.
pub(crate) fn after(time: Timestamp) -> Timestamp {
    time.checked_add(NANOSECOND).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    fn publish(kept: &mut Kept, now: Timestamp) -> Timestamp {
        let time = kept.begin(now);
        kept.finish(vec![(time, event(time))], now);
        time
    }

    fn event(time: Timestamp) -> Arc<Event> {
        Arc::new(Event { time: Some(time), ..Event::default() })
    }

    fn empty() -> Kept {
        Kept::new(Vec::new(), 1000)
    }

    #[test]
    fn fifty_are_kept_however_old() {
        let mut kept = empty();
        for n in 0..50 {
            publish(&mut kept, second(n));
        }
        // The fifty-first comes two hours later: all before it are old, and go.
        assert_eq!(kept.oldest(), Some(second(0)));
        publish(&mut kept, second(7200));
        assert_eq!(kept.oldest(), Some(second(7200)));
    }

    #[test]
    fn an_hour_is_kept_however_many() {
        let mut kept = empty();
        for n in 0..=3600 / 60 * 10 {
            publish(&mut kept, second(n * 6));
        }
        assert_eq!(kept.since(Timestamp::MIN).len(), 601, "exactly an hour old is not older");
        publish(&mut kept, second(3601));
        assert_eq!(kept.oldest(), Some(second(6)));
    }

    #[test]
    fn never_more_than_told() {
        let mut kept = Kept::new(Vec::new(), 60);
        for n in 0..100 {
            publish(&mut kept, second(n));
        }
        assert_eq!((kept.since(Timestamp::MIN).len(), kept.oldest()), (60, Some(second(40))));
        let again = Kept::new((0..100).map(|n| (second(n), event(second(n)))).collect(), 60);
        assert_eq!((again.oldest(), again.last()), (Some(second(40)), second(99)));
    }

    #[test]
    fn times_only_grow_though_the_clock_stands_or_goes_back() {
        let mut kept = empty();
        let times: Vec<_> =
            [5, 5, 3, 6].into_iter().map(|n| publish(&mut kept, second(n)).as_nanosecond()).collect();
        assert_eq!(times, [5_000_000_000, 5_000_000_001, 5_000_000_002, 6_000_000_000]);
        assert_eq!(kept.after(second(5)).unwrap().time, Some(after(second(5))));
        assert_eq!(kept.since(second(5)).len(), 4, "of a time on, it too");
        assert_eq!(kept.after(second(6)), None);
    }

    #[test]
    fn whoever_waited_in_vain_misses_nothing_that_is_being_stored() {
        let mut kept = empty();
        let time = kept.begin(second(5));
        let told = kept.tick(second(9));
        assert!(told < time);
        kept.finish(vec![(time, event(time))], second(9));
        assert_eq!(kept.after(told).unwrap().time, Some(time));
        // And nothing that comes once the clock has gone back.
        let told = kept.tick(second(20));
        assert_eq!(told, second(20));
        let time = publish(&mut kept, second(12));
        assert_eq!(kept.after(told).unwrap().time, Some(time));
        // What could not be stored was never there.
        kept.begin(second(30));
        kept.finish(Vec::new(), second(30));
        assert_eq!(kept.tick(second(31)), second(31));
    }
}
