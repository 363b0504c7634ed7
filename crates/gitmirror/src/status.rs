//! The status lines of the original's pages.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// How many status texts are kept.
const RING: usize = 50;

pub(crate) struct Status {
    start: Instant,
    first_bad: Option<Instant>,
    last_bad: Option<Instant>,
    last_good: Option<Instant>,
    error: Option<String>,
    /// No activity for so long after a success looks like a hang.
    hung: Duration,
    ring: VecDeque<(Timestamp, String)>,
}

impl Status {
    pub(crate) fn new(start: Instant, poll: Duration) -> Self {
        Status {
            start,
            first_bad: None,
            last_bad: None,
            last_good: None,
            error: None,
            hung: hung_after(poll),
            ring: VecDeque::new(),
        }
    }

    /// Notes that a look comes after so long at the latest.
    pub(crate) fn expect_within(&mut self, poll: Duration) {
        self.hung = hung_after(poll);
    }

    /// Notes what is being done.
    pub(crate) fn note(&mut self, text: String) {
        self.ring.push_front((Timestamp::now(), text));
        self.ring.truncate(RING);
    }

    pub(crate) fn good(&mut self, now: Instant) {
        self.last_good = Some(now);
        self.error = None;
    }

    pub(crate) fn bad(&mut self, now: Instant, error: &str) {
        if self.error.is_none() {
            self.first_bad = Some(now);
        }
        self.last_bad = Some(now);
        self.error = Some(error.to_owned());
    }

    pub(crate) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(crate) fn line(&self, now: Instant) -> String {
        let since = |then: Instant| now.saturating_duration_since(then);
        match (&self.error, self.last_good) {
            (Some(_), None) => {
                format!(
                    "broken; permanently? always failing, for {}",
                    short(since(self.first_bad.unwrap_or(now)))
                )
            }
            (None, None) if since(self.start) < Duration::from_secs(300) => {
                "ok; starting up, no report yet".into()
            }
            (None, None) => {
                format!("hung; hang at start-up? no report since start {} ago", short(since(self.start)))
            }
            (Some(_), Some(good)) => format!("broken for {}", short(since(good))),
            (None, Some(good)) if since(good) > self.hung => {
                format!("hung? no activity since last success {} ago", short(since(good)))
            }
            (None, Some(_)) => match self.last_bad.map(since) {
                Some(bad) if bad < Duration::from_secs(3600) => {
                    format!("ok; recent failure {} ago", short(bad))
                }
                _ => "ok".into(),
            },
        }
    }

    /// Gives the texts, newest first: time, age, text.
    pub(crate) fn history(&self, now: Timestamp) -> Vec<String> {
        let line = |(time, text): &(Timestamp, String)| {
            let age = Duration::try_from(now.duration_since(*time)).unwrap_or_default();
            let time = Timestamp::from_second(time.as_second()).unwrap_or(*time);
            format!("{time} {:<20} {text}", format!("{} ago", short(age)))
        };
        self.ring.iter().map(line).collect()
    }
}

fn hung_after(poll: Duration) -> Duration {
    Duration::from_secs(360).max(poll + Duration::from_secs(60))
}

/// Writes a time as the original does: `1h2m3s`.
fn short(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, _) => format!("{minutes}m{rest}s"),
        _ => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_the_originals_states() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut status = Status::new(start, Duration::from_secs(60));
        assert_eq!(status.line(at(10)), "ok; starting up, no report yet");
        assert_eq!(status.line(at(3723)), "hung; hang at start-up? no report since start 1h2m3s ago");
        status.bad(at(5), "no");
        status.bad(at(15), "no");
        assert_eq!(status.line(at(70)), "broken; permanently? always failing, for 1m5s");
        status.good(at(80));
        assert_eq!(status.line(at(90)), "ok; recent failure 1m15s ago");
        assert_eq!(status.line(at(500)), "hung? no activity since last success 7m0s ago");
        status.good(at(4000));
        assert_eq!(status.line(at(4001)), "ok");
        status.bad(at(4010), "no");
        assert_eq!(status.line(at(4030)), "broken for 30s");
        assert_eq!(status.error(), Some("no"));
    }

    #[test]
    fn the_ring_keeps_the_newest() {
        let mut status = Status::new(Instant::now(), Duration::ZERO);
        (0..60).for_each(|n| status.note(format!("n{n}")));
        let history = status.history(Timestamp::now());
        assert_eq!(history.len(), RING);
        assert!(history[0].ends_with(" n59") && history[0].contains("0s ago"), "{}", history[0]);
    }
}
