//! How many requests may be made, and when the next: what GitHub says of it, kept in one place for all who ask.
//!
//! Times of GitHub's are turned into those of the own clock by the header `Date`, so that a clock that is wrong neither waits
//! for hours nor asks too early.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

/// The longest that one answer can make everybody wait: GitHub's windows are an hour.
const LONGEST_HOLD: Duration = Duration::from_secs(3700);
/// A window ends with its last second.
const SECOND: Duration = Duration::from_secs(1);
/// A limit without a time: the first wait, doubled each time.
const FIRST_HOLD: Duration = Duration::from_secs(60);

/// What GitHub says of the budget, for pages and metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rate {
    /// Requests in a window.
    pub limit: Option<u64>,
    /// Requests left in this one.
    pub remaining: Option<u64>,
    /// When the next begins, by the own clock.
    pub reset: Option<Timestamp>,
    /// Until when nothing is asked at all, if that is later than now.
    pub held_until: Option<Timestamp>,
    /// How often GitHub has refused an answer for this reason.
    pub refused: u64,
}

/// How quickly requests may follow one another by the caller's own wish.
#[derive(Debug, Clone, Copy)]
pub struct Tempo {
    /// The mean distance of two of them.
    pub gap: Duration,
    /// So many may come at once.
    pub burst: u32,
}

/// The state of the budget.
#[derive(Debug)]
pub(crate) struct Budget {
    tempo: Tempo,
    rate: Rate,
    /// `X-RateLimit-Reset` as it came: tells answers of one window from those of another.
    window: i64,
    /// When a request would be due if all came at the tempo's gap.
    due: Timestamp,
    /// Limits without a time, one after the other.
    in_row: u32,
}

/// What an answer means for who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is an answer.
    Answered,
    /// Ask again when the budget lets you.
    Refused,
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// The time of the header `Date`.
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(http::header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|date| date.timestamp())
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

impl Budget {
    pub(crate) fn new(tempo: Tempo) -> Self {
        Self { tempo, rate: Rate::default(), window: i64::MIN, due: Timestamp::MIN, in_row: 0 }
    }

    pub(crate) fn rate(&self, now: Timestamp) -> Rate {
        Rate { held_until: self.rate.held_until.filter(|until| *until > now), ..self.rate }
    }

    /// Takes one request out of the budget, or says when to ask for one again.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.clamp(now);
        if let Some(until) = self.rate.held_until.filter(|until| *until > now) {
            return Err(until);
        }
        if let Some(reset) = self.rate.reset {
            if now >= reset {
                // A new window, of which nothing is known but that it has begun.
                (self.rate.reset, self.rate.remaining) = (None, self.rate.limit);
            } else if self.rate.remaining == Some(0) {
                return Err(reset);
            }
        }
        let due = self.due.max(now);
        let ahead = self.tempo.gap * self.tempo.burst.saturating_sub(1);
        if due > later(now, ahead) {
            return Err(due.checked_sub(ahead).unwrap_or(now));
        }
        self.due = later(due, self.tempo.gap);
        self.rate.remaining = self.rate.remaining.map(|left| left.saturating_sub(1));
        Ok(())
    }

    /// A clock that was set back must not make anybody wait for longer than these times can be ahead.
    fn clamp(&mut self, now: Timestamp) {
        self.due = self.due.min(later(now, self.tempo.gap.saturating_mul(self.tempo.burst.max(1))));
        self.rate.held_until = self.rate.held_until.map(|until| until.min(later(now, LONGEST_HOLD)));
        let longest = later(now, LONGEST_HOLD + SECOND);
        self.rate.reset = self.rate.reset.map(|reset| reset.min(longest));
    }

    /// Learns from the head and the words of an answer.
    pub(crate) fn saw(
        &mut self,
        now: Timestamp,
        status: StatusCode,
        headers: &HeaderMap,
        words: &str,
    ) -> Verdict {
        self.read(now, status, headers);
        if !matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) {
            self.in_row = 0;
            return Verdict::Answered;
        }
        let hold = if let Some(seconds) = number::<u64>(headers, "retry-after") {
            // Zero seconds is no time to wait.
            Duration::from_secs(seconds.max(1))
        } else if number::<u64>(headers, "x-ratelimit-remaining") == Some(0) {
            // `read` has said until when.
            let reset = self.rate.reset.and_then(|reset| Duration::try_from(reset.duration_since(now)).ok());
            reset.unwrap_or(FIRST_HOLD)
        } else if status == StatusCode::TOO_MANY_REQUESTS || is_abuse(words) {
            self.in_row += 1;
            FIRST_HOLD * (1 << self.in_row.saturating_sub(1).min(6))
        } else {
            return Verdict::Answered;
        };
        self.rate.refused += 1;
        let until = later(now, hold.min(LONGEST_HOLD));
        self.rate.held_until = Some(self.rate.held_until.map_or(until, |known| known.max(until)));
        Verdict::Refused
    }

    fn read(&mut self, now: Timestamp, status: StatusCode, headers: &HeaderMap) {
        let (Some(remaining), Some(window)) =
            (number::<u64>(headers, "x-ratelimit-remaining"), number::<i64>(headers, "x-ratelimit-reset"))
        else {
            if status == StatusCode::NOT_MODIFIED {
                // It did not count.
                self.rate.remaining = self.rate.remaining.map(|left| left + 1);
            }
            return;
        };
        self.rate.limit = number(headers, "x-ratelimit-limit").or(self.rate.limit);
        // Answers come out of order: in one window what is left only shrinks, but for those that did not count.
        let same = window == self.window && self.rate.reset.is_some();
        if window < self.window {
            return;
        }
        let known = self.rate.remaining.filter(|_| same && status != StatusCode::NOT_MODIFIED);
        self.rate.remaining = Some(known.map_or(remaining, |known| known.min(remaining)));
        if !same {
            self.window = window;
            let seconds = window.saturating_sub(date(headers).unwrap_or(now).as_second());
            let wait = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(LONGEST_HOLD);
            // The second is to be over.
            self.rate.reset = Some(later(now, wait + SECOND));
        }
    }
}

/// GitHub's words for limits that it does not count for all to see.
fn is_abuse(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("secondary rate limit") || words.contains("abuse detection")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const FREE: Tempo = Tempo { gap: Duration::ZERO, burst: 1 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_500_000_000 + second).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn window(remaining: u64, reset: i64) -> HeaderMap {
        headers(&[
            ("x-ratelimit-limit", "60"),
            ("x-ratelimit-remaining", &remaining.to_string()),
            ("x-ratelimit-reset", &(1_500_000_000 + reset).to_string()),
        ])
    }

    #[test]
    fn nothing_is_asked_of_an_empty_window() {
        let mut budget = Budget::new(FREE);
        assert_eq!(budget.take(at(0)), Ok(()));
        assert_eq!(budget.saw(at(0), StatusCode::OK, &window(1, 100), ""), Verdict::Answered);
        assert_eq!(budget.take(at(1)), Ok(()));
        assert_eq!(budget.take(at(2)), Err(at(101)));
        // An answer that was on its way for long does not make the window fuller.
        budget.saw(at(2), StatusCode::OK, &window(7, 100), "");
        assert_eq!(budget.take(at(100)), Err(at(101)));
        assert_eq!(budget.take(at(101)), Ok(()));
        assert_eq!(budget.rate(at(101)).remaining, Some(59));
        // Nor does one of the window before.
        budget.saw(at(102), StatusCode::OK, &window(0, 3700), "");
        budget.saw(at(102), StatusCode::OK, &window(50, 100), "");
        assert_eq!(budget.take(at(103)), Err(at(3701)));
    }

    #[test]
    fn what_did_not_change_does_not_count() {
        let mut budget = Budget::new(FREE);
        budget.saw(at(0), StatusCode::OK, &window(1, 100), "");
        budget.take(at(0)).unwrap();
        budget.saw(at(0), StatusCode::NOT_MODIFIED, &window(1, 100), "");
        assert_eq!(budget.take(at(0)), Ok(()));
        budget.saw(at(0), StatusCode::NOT_MODIFIED, &HeaderMap::new(), "");
        assert_eq!(budget.take(at(0)), Ok(()));
    }

    #[test]
    fn a_wrong_clock_is_seen_by_the_date() {
        let mut budget = Budget::new(FREE);
        let mut said = window(0, 100_000 + 50);
        said.insert("date", HeaderValue::from_static("Sat, 15 Jul 2017 06:26:40 GMT"));
        budget.saw(at(0), StatusCode::OK, &said, "");
        assert_eq!(budget.take(at(0)), Err(at(51)));
    }

    #[test]
    fn limits_hold_everybody() {
        let mut budget = Budget::new(FREE);
        let forbidden = StatusCode::FORBIDDEN;
        assert_eq!(budget.saw(at(0), forbidden, &headers(&[("retry-after", "30")]), ""), Verdict::Refused);
        assert_eq!(budget.take(at(29)), Err(at(30)));
        assert_eq!(budget.take(at(30)), Ok(()));
        assert_eq!(budget.saw(at(30), forbidden, &window(0, 100), ""), Verdict::Refused);
        assert_eq!(budget.take(at(40)), Err(at(101)));
        // Without a time, longer each time, until an answer comes.
        let words = "You have exceeded a secondary rate limit";
        for (from, until) in [(200, 260), (300, 420), (500, 740)] {
            assert_eq!(budget.saw(at(from), forbidden, &HeaderMap::new(), words), Verdict::Refused);
            assert_eq!(budget.take(at(from)), Err(at(until)));
        }
        budget.saw(at(800), StatusCode::OK, &HeaderMap::new(), "");
        assert_eq!(
            budget.saw(at(900), StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), ""),
            Verdict::Refused
        );
        assert_eq!(budget.take(at(900)), Err(at(960)));
        assert_eq!(budget.rate(at(1000)).refused, 6);
        // No answer makes us wait for a day, and a plain no is none of a limit.
        budget.saw(at(1000), forbidden, &headers(&[("retry-after", "86400")]), "");
        assert_eq!(budget.take(at(1000)), Err(at(4700)));
        assert_eq!(
            budget.saw(at(1000), forbidden, &window(5, 5000), "Must have admin rights"),
            Verdict::Answered
        );
    }

    #[test]
    fn the_tempo_is_kept() {
        let mut budget = Budget::new(Tempo { gap: Duration::from_secs(2), burst: 3 });
        for _ in 0..3 {
            assert_eq!(budget.take(at(0)), Ok(()));
        }
        assert_eq!(budget.take(at(0)), Err(at(2)));
        assert_eq!(budget.take(at(2)), Ok(()));
        assert_eq!(budget.take(at(2)), Err(at(4)));
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing_for_long() {
        let day = 86_400;
        let mut budget = Budget::new(Tempo { gap: Duration::from_secs(2), burst: 3 });
        while budget.take(at(day)).is_ok() {}
        assert_eq!(budget.take(at(0)), Err(at(2)));
        let mut budget = Budget::new(FREE);
        budget.saw(at(day), StatusCode::FORBIDDEN, &headers(&[("retry-after", "30")]), "");
        assert_eq!(budget.take(at(0)), Err(at(3700)));
        assert_eq!(budget.take(at(1000)), Err(at(3700)));
        assert_eq!(budget.take(at(3700)), Ok(()));
        let mut budget = Budget::new(FREE);
        budget.saw(at(day), StatusCode::OK, &window(0, day + 100), "");
        assert_eq!(budget.take(at(0)), Err(at(3701)));
        assert_eq!(budget.take(at(3701)), Ok(()));
    }
}
