//! Points in time as SQL stores them.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: microseconds since 1970-01-01 UTC. Turning it into RFC 3339 is up to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Returns the machine's wall clock. Rules take the time as a parameter; this is for the edges.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_microsecond())
    }

    /// Returns the time from `earlier` to this point, zero if it lies after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Micros {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Micros {
    type Output = Self;

    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_and_subtracts_without_wrapping() {
        let t = Micros(5_000_000);
        assert_eq!(t + Duration::from_secs(2), Micros(7_000_000));
        assert_eq!(t - Duration::from_secs(2), Micros(3_000_000));
        assert_eq!(Micros(i64::MAX) + Duration::from_secs(1), Micros(i64::MAX));
        assert_eq!(t.since(Micros(9_000_000)), Duration::ZERO);
        assert_eq!(t.since(Micros(4_000_000)), Duration::from_secs(1));
    }
}
