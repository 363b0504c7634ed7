//! Which deliveries were taken already.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use jiff::SignedDuration;

/// The most ids that are remembered.
const MOST: usize = 10_000;

/// The longest id that is remembered, bytes.
pub(crate) const LONGEST: usize = 128;

/// Ids of deliveries, for a while. Times are those of a clock that never jumps: see [`Moment`](crate::kept::Moment).
#[derive(Debug)]
pub(crate) struct Seen {
    window: SignedDuration,
    order: VecDeque<(SignedDuration, String)>,
    ids: HashSet<String>,
}

impl Seen {
    pub(crate) fn new(window: Duration) -> Seen {
        let window = SignedDuration::try_from(window).unwrap_or(SignedDuration::MAX);
        Seen { window, order: VecDeque::new(), ids: HashSet::new() }
    }

    /// Whether an id was noted within the window.
    pub(crate) fn knows(&mut self, id: &str, now: SignedDuration) -> bool {
        self.forget(now);
        self.ids.contains(id)
    }

    /// Notes an id.
    pub(crate) fn note(&mut self, id: &str, now: SignedDuration) {
        if self.ids.insert(id.to_owned()) {
            self.order.push_back((now, id.to_owned()));
        }
        self.forget(now);
    }

    fn forget(&mut self, now: SignedDuration) {
        let oldest = now.saturating_sub(self.window);
        while self.order.len() > MOST || self.order.front().is_some_and(|(time, _)| *time < oldest) {
            if let Some((_, id)) = self.order.pop_front() {
                self.ids.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> SignedDuration {
        SignedDuration::from_secs(n)
    }

    #[test]
    fn an_id_is_known_for_a_while() {
        let mut seen = Seen::new(Duration::from_secs(10));
        assert!(!seen.knows("a", second(0)));
        seen.note("a", second(0));
        seen.note("a", second(5));
        assert!(seen.knows("a", second(10)) && !seen.knows("b", second(10)));
        assert!(!seen.knows("a", second(11)));
    }

    #[test]
    fn so_many_ids_are_known_and_no_more() {
        let mut seen = Seen::new(Duration::from_secs(10));
        for n in 0..=MOST {
            seen.note(&n.to_string(), second(0));
        }
        assert!(!seen.knows("0", second(0)) && seen.knows("1", second(0)));
        assert_eq!((seen.ids.len(), seen.order.len()), (MOST, MOST));
    }
}
