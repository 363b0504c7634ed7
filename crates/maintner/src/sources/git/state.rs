//! How a source is doing, for pages, and what wakes it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use crate::time::Time;

/// How a source is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Polls that came to an end, good or bad.
    pub polls: u64,
    /// The corpus has all that the remote showed then.
    pub whole: Time,
    /// When the last poll that failed had begun.
    pub failed: Time,
    /// Why the last poll failed; none after a good one.
    pub error: Option<String>,
    /// Refs that are followed.
    pub refs: usize,
    /// Refs whose news are not in the log yet.
    pub waiting: usize,
    /// Changes of the corpus that the remote does not show any more: deleted ones, or not for us to see.
    pub gone: usize,
    /// Commits that can't be had, or that no log can take.
    pub refused: usize,
    /// What the remote has damaged and can't give, in words; all else is followed.
    pub broken: Option<String>,
}

impl State {
    /// How old the corpus is, at most; `None` where it was never whole.
    #[must_use]
    pub fn lag(&self, now: Time) -> Option<Duration> {
        let seconds = now.seconds()?.saturating_sub(self.whole.seconds()?);
        Some(Duration::from_secs(seconds.try_into().unwrap_or_default()))
    }
}

/// Wakes one source. Of hints that come while it works one is kept, so that none is lost and a thousand are one poll.
#[derive(Debug, Clone, Default)]
pub struct Hint(Arc<Notify>);

impl Hint {
    /// Something happened there.
    pub fn give(&self) {
        self.0.notify_one();
    }

    pub(super) async fn taken(&self) {
        self.0.notified().await;
    }
}

/// The hints of all sources by project, `HOST/PATH`.
#[derive(Debug, Clone, Default)]
pub struct Hints(HashMap<String, Hint>);

impl Hints {
    /// Adds a source's.
    pub fn add(&mut self, project: &str, hint: Hint) {
        self.0.insert(project.to_owned(), hint);
    }

    /// Wakes the source of a project; says whether there is one.
    pub fn give(&self, project: &str) -> bool {
        let hint = self.0.get(project);
        hint.inspect(|hint| hint.give()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_hint_is_remembered() {
        let mut hints = Hints::default();
        let hint = Hint::default();
        hints.add("h/p", hint.clone());
        assert!(hints.give("h/p") && hints.give("h/p") && !hints.give("h/q"));
        hint.taken().await;
        assert!(tokio::time::timeout(Duration::from_millis(1), hint.taken()).await.is_err());
    }

    #[test]
    fn the_lag_is_since_it_was_whole() {
        let state = State { whole: Time::from_seconds(10), ..State::default() };
        assert_eq!(state.lag(Time::from_seconds(17)), Some(Duration::from_secs(7)));
        assert_eq!(state.lag(Time::from_seconds(3)), Some(Duration::ZERO));
        assert_eq!(State::default().lag(Time::from_seconds(3)), None);
    }
}
