//! How long builds take as a rule: the dashboard's words, remembered for a while.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use dashboard::client::DashboardClient;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an expected time is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// The most questions to the dashboard for one answer of ours; the next answer asks on.
const QUESTIONS: usize = 100;
/// The most that is remembered.
const REMEMBERED: usize = 10_000;

/// A builder and a repo.
type Pair = (String, String);

/// Remembers expected times.
#[derive(Debug, Default)]
pub struct Usual {
    known: Mutex<HashMap<Pair, (Instant, Option<u64>)>>,
}

impl Usual {
    /// The expected time of one, in milliseconds.
    pub async fn one(&self, dashboard: &DashboardClient, builder: &str, repo: &str) -> Option<u64> {
        let pair = (builder.to_owned(), repo.to_owned());
        self.of(dashboard, BTreeSet::from([pair])).await.into_values().next()
    }

    /// A first build has ended: what was not known before may be known now.
    pub async fn forget_unknown(&self, builder: &str, repo: &str) {
        let pair = (builder.to_owned(), repo.to_owned());
        let mut known = self.known.lock().await;
        if known.get(&pair).is_some_and(|(_, value)| value.is_none()) {
            known.remove(&pair);
        }
    }

    /// The expected times, in milliseconds, of those of which something is known.
    pub async fn of(&self, dashboard: &DashboardClient, wanted: BTreeSet<Pair>) -> HashMap<Pair, u64> {
        let mut found = HashMap::new();
        let mut stale = Vec::new();
        {
            let mut known = self.known.lock().await;
            if known.len() > REMEMBERED {
                known.clear();
            }
            for pair in wanted {
                match known.get(&pair) {
                    Some((when, value)) if when.elapsed() < BELIEVED => {
                        found.extend(value.map(|ms| (pair, ms)))
                    }
                    _ => stale.push(pair),
                }
            }
        }
        for pair in stale.into_iter().take(QUESTIONS) {
            // One that does not answer will not answer the next question either.
            let Ok(asked) = dashboard.expected(&pair.0, &pair.1, None).await else { break };
            self.known.lock().await.insert(pair.clone(), (Instant::now(), asked.median_ms));
            found.extend(asked.median_ms.map(|ms| (pair, ms)));
        }
        found
    }
}
