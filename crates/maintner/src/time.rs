//! Instants as the log has them.

use std::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// An instant in seconds and nanoseconds since 1970, or none. Any `Timestamp` of the log fits; twelve bytes, since a corpus
/// holds millions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Time {
    high: i32,
    low: u32,
    nanos: u32,
}

impl Time {
    /// No instant.
    pub const NONE: Self = Self::of(i64::MIN, 0);

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "two halves of one number")]
    const fn of(seconds: i64, nanos: u32) -> Self {
        Self { high: (seconds >> 32) as i32, low: seconds as u32, nanos }
    }

    /// The instant of a `Timestamp`: nanoseconds out of their range are carried into the seconds, as Go does it.
    #[must_use]
    pub fn new(seconds: i64, nanos: i32) -> Self {
        let carried = i64::from(nanos).div_euclid(1_000_000_000);
        let nanos = i64::from(nanos).rem_euclid(1_000_000_000);
        // The smallest number says that there is none.
        let seconds = seconds.saturating_add(carried).max(i64::MIN + 1);
        Self::of(seconds, u32::try_from(nanos).unwrap_or_default())
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self::of(seconds, 0)
    }

    /// Whether it is none.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Seconds since 1970, rounded down; `None` where there is no instant.
    #[must_use]
    pub fn seconds(self) -> Option<i64> {
        (!self.is_none()).then(|| i64::from(self.high) << 32 | i64::from(self.low))
    }

    /// Nanoseconds after [`seconds`](Self::seconds), below 10^9.
    #[must_use]
    pub const fn nanos(self) -> u32 {
        self.nanos
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::NONE
    }
}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    /// None comes before all.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.high, self.low, self.nanos).cmp(&(other.high, other.low, other.nanos))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seconds() {
            None => f.write_str("none"),
            Some(seconds) => write!(f, "{seconds}.{:09}", self.nanos),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        for seconds in [0, 1, -1, 1 << 40, -(1 << 40), i64::MAX, i64::MIN + 1] {
            let time = Time::new(seconds, 7);
            assert_eq!((time.seconds(), time.nanos()), (Some(seconds), 7));
        }
        assert_eq!(Time::new(5, -1), Time::new(4, 999_999_999));
        assert_eq!(Time::new(5, 2_000_000_001), Time::new(7, 1));
        assert!(!Time::new(i64::MIN, -1).is_none());
        assert_eq!(Time::NONE.seconds(), None);
    }

    #[test]
    fn they_are_in_order() {
        let ordered = [
            Time::NONE,
            Time::new(-5, 0),
            Time::new(-1, 3),
            Time::new(0, 0),
            Time::new(0, 1),
            Time::new(1 << 33, 0),
        ];
        assert!(ordered.is_sorted());
    }
}
