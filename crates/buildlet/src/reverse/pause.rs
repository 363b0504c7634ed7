//! How long to wait before dialling again.

use std::time::Duration;

/// After a connection that was good, and the first time.
const SHORTEST: Duration = Duration::from_secs(1);
/// However often it failed.
const LONGEST: Duration = Duration::from_secs(30);
/// A connection that lasted so long was good.
const GOOD: Duration = Duration::from_secs(60);

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The machine was registered for so long.
    Lasted(Duration),
    /// The coordinator could not be reached, or could not answer.
    Failed,
    /// Somebody has to change something before it can go well: the key, or the coordinator's configuration.
    Refused,
}

/// The pauses so far.
#[derive(Debug)]
pub(super) struct Pause {
    next: Duration,
}

impl Pause {
    pub(super) fn new() -> Self {
        Self { next: SHORTEST }
    }

    /// Returns how long to wait. `chance` from 0 to 1 spreads it from half to one and a half of what is due, so that a hundred
    /// machines that lost their coordinator together do not come back together.
    pub(super) fn after(&mut self, ended: Ended, chance: f64) -> Duration {
        match ended {
            Ended::Lasted(time) if time >= GOOD => self.next = SHORTEST,
            Ended::Lasted(_) | Ended::Failed => {}
            Ended::Refused => self.next = LONGEST,
        }
        let due = self.next;
        self.next = (due * 2).min(LONGEST);
        due.mul_f64(0.5 + chance.clamp(0.0, 1.0))
    }
}

/// A number from 0 to 1.
pub(super) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_short_again_after_a_good_connection() {
        let mut pause = Pause::new();
        let mut seconds = |ended, chance| pause.after(ended, chance).as_secs_f64();
        let grown = [Ended::Failed; 7].map(|ended| seconds(ended, 0.5));
        assert_eq!(grown, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert_eq!([0.0, 1.0, 9.0].map(|chance| seconds(Ended::Failed, chance)), [15.0, 45.0, 45.0]);
        assert_eq!(seconds(Ended::Lasted(GOOD), 0.5), 1.0);
        assert_eq!(seconds(Ended::Lasted(GOOD / 2), 0.5), 2.0, "one that is thrown out again and again");
        assert_eq!([Ended::Refused; 2].map(|ended| seconds(ended, 0.5)), [30.0, 30.0]);
        assert!((0.0..=1.0).contains(&chance()));
    }
}
