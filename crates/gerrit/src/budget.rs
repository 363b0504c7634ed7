//! When the next request may be made: by the caller's own wish, and by what Gerrit says when it is too much for it (429).

use std::time::Duration;

use tokio::time::Instant;

/// The longest that one answer can make everybody wait.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);
/// A limit without a time: the first wait, doubled each time.
const FIRST_HOLD: Duration = Duration::from_secs(10);

/// How quickly requests may follow one another by the caller's own wish.
#[derive(Debug, Clone, Copy)]
pub struct Tempo {
    /// The mean distance of two of them.
    pub gap: Duration,
    /// So many may come at once.
    pub burst: u32,
}

/// The state of the budget. Gerrit says nothing of what is left of a quota, only that it is used up.
#[derive(Debug)]
pub(crate) struct Budget {
    tempo: Tempo,
    /// When a request would be due if all came at the tempo's gap.
    due: Option<Instant>,
    held_until: Option<Instant>,
    /// Limits without a time, one after the other.
    in_row: u32,
}

impl Budget {
    pub(crate) fn new(tempo: Tempo) -> Self {
        Self { tempo, due: None, held_until: None, in_row: 0 }
    }

    /// Takes one request out of the budget, or says when to ask for one again.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.held_until.filter(|until| *until > now) {
            return Err(until);
        }
        let due = self.due.map_or(now, |due| due.max(now));
        let ahead = self.tempo.gap * self.tempo.burst.saturating_sub(1);
        if due > now + ahead {
            return Err(due - ahead);
        }
        self.due = Some(due + self.tempo.gap);
        Ok(())
    }

    /// An answer that was none of a limit.
    pub(crate) fn answered(&mut self) {
        self.in_row = 0;
    }

    /// Gerrit has had enough; it may say for how many seconds.
    pub(crate) fn refused(&mut self, now: Instant, seconds: Option<u64>) {
        let hold = seconds.map_or_else(
            || {
                self.in_row += 1;
                FIRST_HOLD * (1 << self.in_row.saturating_sub(1).min(8))
            },
            // Zero seconds is no time to wait.
            |seconds| Duration::from_secs(seconds.max(1)),
        );
        let until = now + hold.min(LONGEST_HOLD);
        self.held_until = Some(self.held_until.map_or(until, |known| known.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tempo_and_limits_are_kept() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut budget = Budget::new(Tempo { gap: Duration::from_secs(2), burst: 3 });
        for _ in 0..3 {
            assert_eq!(budget.take(at(0)), Ok(()));
        }
        assert_eq!(budget.take(at(0)), Err(at(2)));
        assert_eq!(budget.take(at(2)), Ok(()));
        budget.refused(at(2), Some(30));
        assert_eq!(budget.take(at(31)), Err(at(32)));
        assert_eq!(budget.take(at(32)), Ok(()));
        // Without a time, longer each time, until an answer comes.
        for (from, until) in [(100, 110), (200, 220), (300, 340)] {
            budget.refused(at(from), None);
            assert_eq!(budget.take(at(from)), Err(at(until)));
        }
        budget.answered();
        budget.refused(at(1000), None);
        assert_eq!(budget.take(at(1000)), Err(at(1010)));
        budget.refused(at(1000), Some(999_999));
        assert_eq!(budget.take(at(1000)), Err(at(4600)));
    }
}
