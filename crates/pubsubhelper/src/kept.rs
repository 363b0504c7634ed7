//! Which events are kept, and for how long. Nothing here knows what time it is.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::Event;

/// Up to so many events nothing is dropped, however old.
const ALWAYS: usize = 50;
/// What is younger than this is kept.
const WHILE: SignedDuration = SignedDuration::from_hours(1);
const NANOSECOND: SignedDuration = SignedDuration::from_nanos(1);
/// The latest time that the clock is believed: 2200-01-01. What comes after it is a nanosecond later each, so that the numbers
/// of a database's rows do not come to their end.
const LATEST: i64 = 7_258_118_400;

/// Now, by two clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The machine's clock, which may be wrong, and jumps when that is mended.
    pub(crate) clock: Timestamp,
    /// How long this has been running, by a clock that goes on evenly.
    pub(crate) uptime: SignedDuration,
}

impl Moment {
    /// When something was, by the even clock, that has this time by the other. What is still to come is now.
    pub(crate) fn uptime_at(&self, time: Timestamp) -> SignedDuration {
        self.uptime - self.clock.duration_since(time).max(SignedDuration::ZERO)
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    pub(crate) events: usize,
    /// By [`Event::weight`].
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct One {
    time: Timestamp,
    /// When it came, by the even clock.
    came: SignedDuration,
    event: Arc<Event>,
}

/// The events that are kept, each later than the one before it.
///
/// An event is published in two steps, since it is stored in between: [`Kept::begin`] gives its time, [`Kept::finish`] shows
/// it. A wait that ends meanwhile without an event is told a time before that ([`Kept::tick`]), so that whoever asks again
/// with this time misses nothing.
///
/// How old an event is, is said by a clock that goes on evenly, so that no jump of the other drops what is young or keeps what
/// is old.
#[derive(Debug)]
pub(crate) struct Kept {
    events: VecDeque<One>,
    most: Most,
    bytes: usize,
    /// No later event has this time or an earlier one.
    last: Timestamp,
    /// The first time of those that are being stored.
    pending: Option<Timestamp>,
}

impl Kept {
    /// Keeps these, which come in their order, and never more than `most` later on.
    pub(crate) fn new(events: Vec<(Timestamp, Arc<Event>)>, most: Most, now: Moment) -> Kept {
        let mut kept = Kept { events: VecDeque::new(), most, bytes: 0, last: Timestamp::MIN, pending: None };
        for (time, event) in events {
            kept.push(One { time, came: now.uptime_at(time), event });
        }
        kept
    }

    /// Gives the time of the first of some events that are published now; each of the others is a nanosecond later.
    pub(crate) fn begin(&mut self, now: Moment) -> Timestamp {
        let time = believed(now.clock).max(after(self.last));
        self.pending = Some(time);
        time
    }

    /// Shows events that are stored; without any, those of [`Kept::begin`] are given up.
    pub(crate) fn finish(&mut self, events: Vec<(Timestamp, Arc<Event>)>, now: Moment) {
        self.pending = None;
        for (time, event) in events {
            self.push(One { time, came: now.uptime, event });
        }
        if self.events.len() > ALWAYS {
            while self.events.front().is_some_and(|one| now.uptime - one.came > WHILE) {
                self.pop();
            }
        }
    }

    /// The time to tell those whose wait is over: no event that they were not told has it or an earlier one.
    pub(crate) fn tick(&mut self, now: Moment) -> Timestamp {
        if let Some(pending) = self.pending {
            return pending.checked_sub(NANOSECOND).unwrap_or(Timestamp::MIN);
        }
        self.last = self.last.max(believed(now.clock));
        self.last
    }

    /// The oldest event later than a time.
    pub(crate) fn after(&self, time: Timestamp) -> Option<Arc<Event>> {
        let at = self.events.partition_point(|one| one.time <= time);
        self.events.get(at).map(|one| Arc::clone(&one.event))
    }

    /// All events from a time on, the newest first.
    pub(crate) fn since(&self, time: Timestamp) -> Vec<Arc<Event>> {
        let at = self.events.partition_point(|one| one.time < time);
        self.events.range(at..).rev().map(|one| Arc::clone(&one.event)).collect()
    }

    /// The newest events, at most so many, the newest first.
    pub(crate) fn newest(&self, most: usize) -> Vec<Arc<Event>> {
        self.events.iter().rev().take(most).map(|one| Arc::clone(&one.event)).collect()
    }

    /// No event to come has this time or an earlier one; all that there are have.
    pub(crate) fn last(&self) -> Timestamp {
        self.last
    }

    /// The time of the oldest that is kept.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.events.front().map(|one| one.time)
    }

    /// Keeps one more, and drops the oldest that are too much by that. The newest always stays.
    fn push(&mut self, one: One) {
        self.last = self.last.max(one.time);
        self.bytes += one.event.weight();
        self.events.push_back(one);
        while self.events.len() > self.most.events.max(1)
            || (self.bytes > self.most.bytes && self.events.len() > 1)
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(one) = self.events.pop_front() {
            self.bytes -= one.event.weight();
        }
    }
}

fn believed(clock: Timestamp) -> Timestamp {
    Timestamp::from_second(LATEST).map_or(clock, |latest| clock.min(latest))
}

/// The next time that there is. At the end of all times it stays the same.
pub(crate) fn after(time: Timestamp) -> Timestamp {
    time.checked_add(NANOSECOND).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Most = Most { events: 1000, bytes: usize::MAX };

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    /// A moment at which both clocks say the same.
    fn at(n: i64) -> Moment {
        clocks(n, n)
    }

    fn clocks(clock: i64, uptime: i64) -> Moment {
        Moment { clock: second(clock), uptime: SignedDuration::from_secs(uptime) }
    }

    fn publish(kept: &mut Kept, now: Moment) -> Timestamp {
        let time = kept.begin(now);
        kept.finish(vec![(time, event(time))], now);
        time
    }

    fn event(time: Timestamp) -> Arc<Event> {
        Arc::new(Event { time: Some(time), ..Event::default() })
    }

    fn empty() -> Kept {
        Kept::new(Vec::new(), MOST, at(0))
    }

    #[test]
    fn fifty_are_kept_however_old() {
        let mut kept = empty();
        for n in 0..50 {
            publish(&mut kept, at(n));
        }
        // The fifty-first comes two hours later: all before it are old, and go.
        assert_eq!(kept.oldest(), Some(second(0)));
        publish(&mut kept, at(7200));
        assert_eq!(kept.oldest(), Some(second(7200)));
    }

    #[test]
    fn an_hour_is_kept_however_many() {
        let mut kept = empty();
        for n in 0..=3600 / 60 * 10 {
            publish(&mut kept, at(n * 6));
        }
        assert_eq!(kept.since(Timestamp::MIN).len(), 601, "exactly an hour old is not older");
        publish(&mut kept, at(3601));
        assert_eq!(kept.oldest(), Some(second(6)));
    }

    #[test]
    fn never_more_than_told() {
        let mut kept = Kept::new(Vec::new(), Most { events: 60, ..MOST }, at(0));
        for n in 0..100 {
            publish(&mut kept, at(n));
        }
        assert_eq!((kept.since(Timestamp::MIN).len(), kept.oldest()), (60, Some(second(40))));
        let stored = (0..100).map(|n| (second(n), event(second(n)))).collect();
        let again = Kept::new(stored, Most { events: 60, ..MOST }, at(100));
        assert_eq!((again.oldest(), again.last()), (Some(second(40)), second(99)));
    }

    #[test]
    fn never_more_bytes_than_told() {
        let of = |text: usize| {
            let gerrit = crate::GerritEvent { url: "x".repeat(text), ..crate::GerritEvent::default() };
            Arc::new(Event { gerrit: Some(gerrit), ..Event::default() })
        };
        let bytes = 10 * of(0).weight();
        assert!(of(1000).weight() >= of(0).weight() + 1000);
        let mut kept = Kept::new(Vec::new(), Most { bytes, ..MOST }, at(0));
        for n in 0..20 {
            let time = kept.begin(at(n));
            kept.finish(vec![(time, of(0))], at(n));
        }
        assert_eq!((kept.since(Timestamp::MIN).len(), kept.bytes), (10, bytes));
        let time = kept.begin(at(30));
        kept.finish(vec![(time, of(bytes))], at(30));
        assert_eq!(kept.since(Timestamp::MIN).len(), 1, "the newest stays, whatever it weighs");
        let time = kept.begin(at(31));
        kept.finish(vec![(time, of(0))], at(31));
        assert_eq!((kept.since(Timestamp::MIN).len(), kept.bytes), (1, of(0).weight()));
    }

    #[test]
    fn times_only_grow_though_the_clock_stands_or_goes_back() {
        let mut kept = empty();
        let times: Vec<_> =
            [5, 5, 3, 6].into_iter().map(|n| publish(&mut kept, at(n)).as_nanosecond()).collect();
        assert_eq!(times, [5_000_000_000, 5_000_000_001, 5_000_000_002, 6_000_000_000]);
        assert_eq!(kept.after(second(5)).unwrap().time, Some(after(second(5))));
        assert_eq!(kept.since(second(5)).len(), 4, "of a time on, it too");
        assert_eq!(kept.after(second(6)), None);
    }

    /// For a while the clock is a century ahead, and beyond all times; then it is right again.
    #[test]
    fn a_clock_that_is_far_ahead_and_goes_back_neither_keeps_nor_drops_for_ever() {
        let mut kept = empty();
        for n in 0..60 {
            publish(&mut kept, at(n));
        }
        let century = 3_155_760_000;
        for n in 60..120 {
            publish(&mut kept, clocks(n + century, n));
        }
        assert_eq!(kept.oldest(), Some(second(0)), "they are young");
        let end = Moment { clock: Timestamp::MAX, uptime: SignedDuration::from_secs(120) };
        let latest = publish(&mut kept, end);
        assert_eq!(latest, second(LATEST));
        assert!(publish(&mut kept, end) > latest && kept.tick(end) > latest);
        assert!(i64::try_from(latest.as_nanosecond()).unwrap() < i64::MAX - (1 << 60), "room for many more");
        for n in 121..200 {
            publish(&mut kept, at(n));
        }
        assert_eq!(kept.since(Timestamp::MIN).len(), 60 + 60 + 2 + 79);
        // An hour later all of these are old, whatever times they have.
        let time = publish(&mut kept, at(3801));
        assert_eq!((kept.since(Timestamp::MIN).len(), kept.oldest()), (1, Some(time)));
        // What a database has from then is taken for new.
        let stored = [5, century].map(|n| (second(n), event(second(n)))).to_vec();
        let mut again = Kept::new(stored, MOST, at(100));
        assert_eq!((again.events[0].came, again.events[1].came), (at(5).uptime, at(100).uptime));
        assert!(publish(&mut again, at(101)) > second(century));
    }

    #[test]
    fn whoever_waited_in_vain_misses_nothing_that_is_being_stored() {
        let mut kept = empty();
        let time = kept.begin(at(5));
        let told = kept.tick(at(9));
        assert!(told < time);
        kept.finish(vec![(time, event(time))], at(9));
        assert_eq!(kept.after(told).unwrap().time, Some(time));
        // And nothing that comes once the clock has gone back.
        let told = kept.tick(at(20));
        assert_eq!(told, second(20));
        let time = publish(&mut kept, at(12));
        assert_eq!(kept.after(told).unwrap().time, Some(time));
        // What could not be stored was never there.
        kept.begin(at(30));
        kept.finish(Vec::new(), at(30));
        assert_eq!(kept.tick(at(31)), second(31));
    }
}
