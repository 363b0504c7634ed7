//! Holds a command's share of processors where the kernel does not: an account of time allowed and time used.

use std::time::Duration;

/// What may be saved up and used at once, in milliseconds of the clock.
const SAVED_MS: i64 = 100;

/// The account of one command.
#[derive(Debug)]
pub(super) struct Throttle {
    millis: i64,
    /// Microseconds of processor time that it may still use; negative while it has used too much.
    credit: i64,
    /// What its processes had used at the last look, in milliseconds.
    used_ms: u64,
    holding: bool,
}

impl Throttle {
    /// Opens an account with a share in thousandths of a processor.
    pub(super) fn new(millis: u64) -> Self {
        let millis = i64::try_from(millis).unwrap_or(i64::MAX / SAVED_MS).clamp(1, i64::MAX / SAVED_MS);
        Self { millis, credit: millis * SAVED_MS, used_ms: 0, holding: false }
    }

    /// Whether the processes are stopped.
    pub(super) fn holds(&self) -> bool {
        self.holding
    }

    /// Takes in what passed since the last look, and what all living processes have used by now; says whether they are
    /// to stand still until the next look.
    pub(super) fn over(&mut self, elapsed: Duration, used_ms: u64) -> bool {
        let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
        // Of a process that died unseen nothing more is known, so the sum may go down.
        let used = i64::try_from(used_ms.saturating_sub(self.used_ms)).unwrap_or(i64::MAX);
        self.used_ms = used_ms;
        let earned = elapsed.saturating_mul(self.millis) / 1000;
        let credit = self.credit.saturating_add(earned).saturating_sub(used.saturating_mul(1000));
        self.credit = credit.min(self.millis * SAVED_MS);
        self.holding = self.credit < 0;
        self.holding
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a command that always wants `threads` processors run for so many looks; returns its use in milliseconds.
    fn used_after(looks: u32, millis: u64, threads: u64) -> u64 {
        let mut throttle = Throttle::new(millis);
        let (mut used, mut held) = (0, false);
        for _ in 0..looks {
            if !held {
                used += 100 * threads;
            }
            held = throttle.over(Duration::from_millis(100), used);
        }
        used
    }

    #[test]
    fn the_average_is_the_share() {
        for (millis, threads) in [(200, 1), (200, 4), (1000, 2), (2500, 4), (10, 1)] {
            let used = used_after(10_000, millis, threads);
            let allowed = 1000 * millis;
            // At most what was saved up and one look too much.
            assert!(used <= allowed + millis / 10 + 100 * threads, "{millis} {threads}: {used} of {allowed}");
            assert!(used * 100 >= allowed * 99, "{millis} {threads}: {used} of {allowed}");
        }
    }

    #[test]
    fn who_stays_below_the_share_is_never_stopped() {
        assert_eq!(used_after(1000, 1000, 1), 100_000);
        let mut throttle = Throttle::new(500);
        assert!((0..100).all(|look| !throttle.over(Duration::from_millis(100), look * 50)));
    }

    #[test]
    fn what_died_unseen_costs_nothing() {
        let mut throttle = Throttle::new(1000);
        assert!(!throttle.over(Duration::from_millis(100), 100));
        assert!(!throttle.over(Duration::from_millis(100), 0));
        assert!(!throttle.over(Duration::from_millis(100), 100));
    }
}
