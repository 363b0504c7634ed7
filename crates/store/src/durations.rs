//! The coordinator's `durations`: how long tests take on a builder, and what comes before them, by the middle one of the
//! latest times, so that a single slow machine changes nothing.

use std::collections::HashMap;

use sqlx::Row as _;

use crate::statement::statements;
use crate::{Conn, Micros, StoreError, Tx};

/// So many of the latest times of each are kept.
const SAMPLES: usize = 9;
/// The longest name that is kept, bytes.
const NAME: usize = 1000;
/// The most names of a builder and a kind that are read.
const NAMES: i64 = 100_000;

statements! {
    LIST = "durations.list", "SELECT name, median_us FROM durations WHERE builder = $1 AND repo = $2 AND kind = $3 \
        ORDER BY name LIMIT $4";
    SAMPLED = "durations.sampled", "SELECT samples FROM durations \
        WHERE builder = $1 AND repo = $2 AND kind = $3 AND name = $4";
    PUT = "durations.put", "INSERT INTO durations (builder, repo, kind, name, samples, median_us, updated_us) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (builder, repo, kind, name) DO UPDATE SET \
        samples = excluded.samples, median_us = excluded.median_us, updated_us = excluded.updated_us";
    EXPIRE = "durations.expire", "DELETE FROM durations WHERE updated_us < $1";
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of the tests that a recipe's `list` prints, by its name.
    Test,
    /// From the lease until tests can run; has no name.
    Tests,
    /// From the ask for a further machine until it is there, by its host.
    Helper,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Test => "test",
            Kind::Tests => "tests",
            Kind::Helper => "helper",
        }
    }
}

/// Returns the middle one of the latest times of each name, in microseconds.
///
/// # Errors
/// The database's.
pub async fn medians(
    on: &mut impl Conn,
    builder: &str,
    repo: &str,
    kind: Kind,
) -> Result<HashMap<String, u64>, StoreError> {
    let query = LIST.query().bind(builder.to_owned()).bind(repo.to_owned());
    let rows = query.bind(kind.as_str()).bind(NAMES).fetch_all(on.conn()).await?;
    let read = |row: &sqlx::any::AnyRow| {
        let median: i64 = row.try_get(1)?;
        Ok((row.try_get(0)?, u64::try_from(median).unwrap_or(0)))
    };
    rows.iter().map(read).collect()
}

/// Adds one time of each of these names, in microseconds; a name that is too long is left out.
///
/// # Errors
/// The database's.
pub async fn add(
    tx: &mut Tx,
    (builder, repo): (&str, &str),
    kind: Kind,
    times: &[(String, u64)],
    now: Micros,
) -> Result<(), StoreError> {
    for (name, micros) in times.iter().filter(|(name, _)| name.len() <= NAME) {
        let query = SAMPLED.query().bind(builder.to_owned()).bind(repo.to_owned());
        let row = query.bind(kind.as_str()).bind(name.clone()).fetch_optional(tx.conn()).await?;
        let before: String = row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
        let mut samples: Vec<u64> = before.split(' ').filter_map(|text| text.parse().ok()).collect();
        samples.push((*micros).min(i64::MAX as u64));
        let samples = &samples[samples.len().saturating_sub(SAMPLES)..];
        let text: Vec<String> = samples.iter().map(u64::to_string).collect();
        let query = PUT.query().bind(builder.to_owned()).bind(repo.to_owned()).bind(kind.as_str());
        let query = query.bind(name.clone()).bind(text.join(" "));
        query.bind(i64::try_from(middle(samples)).unwrap_or(i64::MAX)).bind(now).execute(tx.conn()).await?;
    }
    Ok(())
}

/// Forgets what was not timed since.
///
/// # Errors
/// The database's.
pub async fn expire(tx: &mut Tx, before: Micros) -> Result<u64, StoreError> {
    Ok(EXPIRE.query().bind(before).execute(tx.conn()).await?.rows_affected())
}

/// The middle one; the lower of two.
fn middle(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_machine_changes_nothing() {
        assert_eq!(middle(&[]), 0);
        assert_eq!(middle(&[7]), 7);
        assert_eq!(middle(&[9, 1]), 1);
        assert_eq!(middle(&[10, 11, 9_000_000, 10, 12]), 11);
    }
}
