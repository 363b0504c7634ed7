//! Ids of builds, attempts, leases, workers and events: ULIDs, one type each, stored as TEXT.

use crate::Micros;

/// Says that a text is not a ULID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what} id (26 characters of Crockford's base 32)")]
pub struct ParseIdError {
    what: &'static str,
    text: String,
}

fn make(now: Micros, random: &mut dyn FnMut(&mut [u8])) -> ulid::Ulid {
    let mut bits = [0_u8; 16];
    random(&mut bits[6..]);
    ulid::Ulid::from_parts(u64::try_from(now.0 / 1000).unwrap_or(0), u128::from_be_bytes(bits))
}

fn parse(what: &'static str, text: &str) -> Result<ulid::Ulid, ParseIdError> {
    // The crate also takes lower case and look-alikes; one id must have one text, because it is a key.
    match ulid::Ulid::from_string(text) {
        Ok(id) if id.to_string() == text => Ok(id),
        _ => Err(ParseIdError { what, text: text.chars().take(64).collect() }),
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ulid::Ulid);

        impl $name {
            /// Makes an id of this time (its millisecond is part of it) from ten bytes of `random`.
            pub fn new(now: Micros, random: &mut dyn FnMut(&mut [u8])) -> Self {
                Self(make(now, random))
            }

            /// Makes an id of this time with the operating system's randomness.
            ///
            /// # Panics
            /// If the operating system has no randomness to give.
            #[must_use]
            pub fn generate(now: Micros) -> Self {
                Self::new(now, &mut |to| getrandom::fill(to).expect("the operating system gives randomness"))
            }

            /// Returns the time in the id, to the millisecond.
            #[must_use]
            pub fn time(self) -> Micros {
                Micros(i64::try_from(self.0.timestamp_ms()).unwrap_or(i64::MAX / 1000) * 1000)
            }

            /// Returns its 128 bits, big end first.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut text = [0_u8; ulid::ULID_LEN];
                f.write_str(self.0.array_to_str(&mut text))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse($what, text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// What fills a cell.
    BuildId = "build";
    /// One try at a build on one worker.
    AttemptId = "attempt";
    /// Our hold on a worker.
    LeaseId = "lease";
    /// A live worker.
    WorkerId = "worker";
    /// The builds of a change under review.
    TryRunId = "try run";
    /// The search for the commit that broke a builder.
    BisectionId = "bisection";
    /// One input of the scheduler.
    EventId = "event";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_text() {
        let id = BuildId::new(Micros(1_700_000_000_123_456), &mut |to| to.fill(0xa5));
        let text = id.to_string();
        assert_eq!(text.len(), 26);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(id.time(), Micros(1_700_000_000_123_000));
        assert!(text.to_lowercase().parse::<BuildId>().is_err());
        assert!("../../etc/passwd".parse::<BuildId>().is_err());
        assert!("".parse::<AttemptId>().is_err());
    }

    #[test]
    fn ids_sort_by_time() {
        let early = EventId::new(Micros(1_000_000), &mut |to| to.fill(0xff));
        let late = EventId::new(Micros(1_001_000), &mut |to| to.fill(0));
        assert!(early < late);
        assert!(early.to_string() < late.to_string());
    }
}
