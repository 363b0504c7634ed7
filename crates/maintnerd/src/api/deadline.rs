//! How long an answer may take.

use std::time::{Duration, Instant};

use tonic::metadata::MetadataMap;

/// Until when somebody waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

/// It took longer than whoever asked waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer took too long")]
pub struct Late;

impl Deadline {
    /// When whoever asks over gRPC, or else we, have waited for too long from now.
    #[must_use]
    pub fn of(asked: &MetadataMap, ours: Duration) -> Self {
        let theirs = asked.get("grpc-timeout").and_then(|timeout| timeout.to_str().ok()).and_then(timeout);
        Self::after(theirs.map_or(ours, |theirs| theirs.min(ours)))
    }

    /// The moment.
    #[must_use]
    pub fn at(&self) -> Instant {
        self.0
    }

    /// In so long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Looks whether it is over.
    ///
    /// # Errors
    /// If it is.
    pub fn check(&self) -> Result<(), Late> {
        if Instant::now() < self.0 { Ok(()) } else { Err(Late) }
    }
}

/// The time of a header `grpc-timeout`: at most eight digits and a unit. What is none sets no limit.
fn timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u32 = number.parse().ok()?;
    let of = match unit {
        "H" => return Some(Duration::from_secs(3600 * u64::from(number))),
        "M" => return Some(Duration::from_secs(60 * u64::from(number))),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    Some(of * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_time_counts() {
        let seconds = Duration::from_secs;
        for (text, want) in [
            ("2H", Some(seconds(7200))),
            ("3M", Some(seconds(180))),
            ("99999999H", Some(seconds(3600 * 99_999_999))),
            ("99999999S", Some(seconds(99_999_999))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("5", None),
            ("5s", None),
            ("-5S", None),
            ("+5S", None),
            ("5.5S", None),
            ("123456789S", None),
            ("5\u{fc}", None),
        ] {
            assert_eq!(timeout(text), want, "{text:?}");
        }
        let of = |text: &str| {
            let mut asked = MetadataMap::new();
            asked.insert("grpc-timeout", text.parse().unwrap());
            let before = Instant::now();
            Deadline::of(&asked, seconds(60)).at() - before
        };
        assert!(
            of("1S") < seconds(30)
                && of("1H") < seconds(90)
                && of("1H") > seconds(30)
                && of("x") > seconds(30)
        );
        assert_eq!(Deadline::of(&MetadataMap::new(), Duration::ZERO).check(), Err(Late));
    }
}
