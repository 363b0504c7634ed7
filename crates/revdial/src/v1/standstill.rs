//! How long a connection may stand still for readers who take nothing.
//!
//! While it stands still, all its streams do. So that those who read keep nine tenths of their rate whatever the others do,
//! standing still is paid for by moving: a tenth of the time that a session has lived is all it gets, besides what it is
//! given at its beginning. What is not used is kept for later, up to a limit.

use std::time::Duration;

use tokio::time::Instant;

/// How many times as long as it may stand still the connection has to move.
const MOVING: u32 = 9;

#[derive(Debug)]
pub(super) struct Standstill {
    left: Duration,
    most: Duration,
    since: Instant,
}

impl Standstill {
    /// Begins with `first`; there are never more than `most`.
    pub(super) fn new(first: Duration, most: Duration, now: Instant) -> Standstill {
        Standstill { left: first.min(most), most, since: now }
    }

    /// The connection stops: until when it may wait for a reader to take something.
    pub(super) fn stop(&mut self, now: Instant) -> Instant {
        let moved = now.saturating_duration_since(self.since);
        self.left = (self.left + moved / MOVING).min(self.most);
        self.since = now;
        now + self.left
    }

    /// The reader went on. That was no standstill: it sets the pace, which is what a slow reader is to do.
    pub(super) fn taken(&mut self, now: Instant) {
        self.since = now;
    }

    /// The reader took nothing until then.
    pub(super) fn in_vain(&mut self, now: Instant) {
        (self.left, self.since) = (Duration::ZERO, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_after_another_that_is_not_read_gets_a_tenth_of_the_time() {
        let start = Instant::now();
        let mut standstill = Standstill::new(100 * MS, 1000 * MS, start);
        let (mut now, mut still) = (start, Duration::ZERO);
        for _ in 0..1000 {
            now += 18 * MS;
            let until = standstill.stop(now);
            still += until - now;
            now = until;
            standstill.in_vain(now);
        }
        let lived = now - start;
        assert!(still <= lived / 10 + 100 * MS, "{still:?} of {lived:?}");
        assert!(still >= lived / 10, "{still:?} of {lived:?}");
    }

    #[test]
    fn what_is_kept_has_a_limit_and_who_goes_on_pays_nothing() {
        let start = Instant::now();
        let mut standstill = Standstill::new(100 * MS, 1000 * MS, start);
        let mut now = start + 3_600_000 * MS;
        assert_eq!(standstill.stop(now), now + 1000 * MS);
        for _ in 0..100 {
            now += 900 * MS;
            standstill.taken(now);
            assert_eq!(standstill.stop(now), now + 1000 * MS);
        }
        now += 1000 * MS;
        standstill.in_vain(now);
        assert_eq!(standstill.stop(now), now, "nothing is left");
        assert_eq!(standstill.stop(now + 90 * MS), now + 100 * MS);
    }
}
