//! Whether what somebody showed still counts, for what lasts longer than a request.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// What somebody showed to say who they are, as long as it counts. Cheap to clone; all clones end at once.
///
/// A request asks once who it is from. Whoever serves a stream or a session for longer ends it with this.
#[derive(Debug, Clone)]
pub struct Standing {
    ended: Option<Arc<watch::Sender<bool>>>,
    until: Option<Instant>,
}

impl Standing {
    /// One that counts for ever: of what nobody can take away.
    #[must_use]
    pub fn lasting() -> Standing {
        Standing { ended: None, until: None }
    }

    /// One that counts until it is ended.
    #[must_use]
    pub fn revocable() -> Standing {
        Standing { ended: Some(Arc::new(watch::Sender::new(false))), until: None }
    }

    /// The same, and it ends by itself after so long.
    #[must_use]
    pub fn good_for(self, lasts: Duration) -> Standing {
        Standing { until: Instant::now().checked_add(lasts), ..self }
    }

    /// Has it count no longer.
    pub fn end(&self) {
        if let Some(ended) = &self.ended {
            ended.send_replace(true);
        }
    }

    /// Whether it counts no longer.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| *ended.borrow())
            || self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Returns when it counts no longer.
    pub async fn ended(&self) {
        let told = async {
            match &self.ended {
                // The sender is ours, and there as long as this waits.
                Some(ended) => drop(ended.subscribe().wait_for(|ended| *ended).await),
                None => std::future::pending().await,
            }
        };
        let over = async {
            match self.until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = told => {}
            () = over => {}
        }
    }

    /// How many hold on to it; none of what lasts for ever.
    #[must_use]
    pub fn holders(&self) -> usize {
        self.ended.as_ref().map_or(0, Arc::strong_count)
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Standing) -> bool {
        let same = match (&self.ended, &other.ended) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same && self.until == other.until
    }
}

impl Eq for Standing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_it_is_told_to_or_by_itself() {
        let told = Standing::revocable();
        let later = told.clone();
        assert!(!later.has_ended());
        told.end();
        later.ended().await;
        assert!(later.has_ended());
        let short = Standing::revocable().good_for(Duration::from_secs(60));
        assert!(!short.has_ended());
        short.ended().await;
        assert!(short.has_ended());
        let lasting = Standing::lasting();
        lasting.end();
        assert!(!lasting.has_ended());
        assert!(tokio::time::timeout(Duration::from_secs(9999), lasting.ended()).await.is_err());
    }

    #[test]
    fn two_are_equal_that_end_at_once() {
        let one = Standing::revocable();
        assert_eq!(one, one.clone());
        assert_ne!(one, Standing::revocable());
        assert_eq!(Standing::lasting(), Standing::lasting());
    }
}
