//! Measurements against one another: pure functions over what was posted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use store::legacy::bench_results::ResultRow;
use store::legacy::noise::Noise;

use super::pages::percent;

/// The change, in percent, that is noise as long as nothing was learned.
pub(super) const UNKNOWN: f64 = 200.0;
/// Of the changes between neighbours so many are noise, times so much, and at least so many percent.
const SHARE: f64 = 0.95;
const TIMES: f64 = 1.1;
const LEAST: f64 = 0.5;

/// What a builder measured of a commit by one benchmark.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measurement {
    hash: String,
    builder: String,
    benchmark: String,
    ok: bool,
    metrics: Vec<(String, f64)>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    ok: bool,
    #[serde(default)]
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    r#type: String,
    value: f64,
}

impl Measurement {
    /// Reads a row; the pseudo benchmark that ends a commit measures nothing.
    pub(super) fn read(row: ResultRow) -> Option<Self> {
        let data: Data = serde_json::from_str(&row.data).ok()?;
        let metrics = data.metrics.into_iter().map(|metric| (metric.r#type, metric.value)).collect();
        let ResultRow { hash, builder, benchmark, .. } = row;
        (benchmark != super::super::bench::DONE).then_some(Measurement {
            hash,
            builder,
            benchmark,
            ok: data.ok,
            metrics,
        })
    }
}

/// Measurements by builder, benchmark and commit.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<(String, String), BTreeMap<String, Measurement>>);

/// A metric of a commit beside what it was before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) builder: String,
    pub(super) benchmark: String,
    pub(super) metric: String,
    pub(super) old: Option<f64>,
    pub(super) new: f64,
}

impl Change {
    /// By how much it changed.
    pub(super) fn percent(&self) -> Option<f64> {
        change(self.old?, self.new)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.builder, self.benchmark, self.metric)?;
        self.percent().map_or(Ok(()), |by| write!(f, " {}", percent(by)))
    }
}

fn change(old: f64, new: f64) -> Option<f64> {
    (old != 0.0).then(|| (new / old - 1.0) * 100.0)
}

impl Table {
    pub(super) fn of(all: impl Iterator<Item = Measurement>) -> Self {
        let mut table = Table::default();
        for one in all {
            let series = table.0.entry((one.builder.clone(), one.benchmark.clone())).or_default();
            series.insert(one.hash.clone(), one);
        }
        table
    }

    /// Whether anything of a commit was measured.
    pub(super) fn has(&self, hash: &str) -> bool {
        self.0.values().any(|series| series.contains_key(hash))
    }

    /// Every builder, benchmark and metric that there is.
    pub(super) fn series(&self) -> BTreeSet<(String, String, String)> {
        let all = self.0.values().flat_map(BTreeMap::values);
        all.flat_map(|one| {
            let name = |metric: &String| (one.builder.clone(), one.benchmark.clone(), metric.clone());
            one.metrics.iter().map(move |(metric, _)| name(metric))
        })
        .collect()
    }

    /// A value, if it went well.
    pub(super) fn value(&self, hash: &str, builder: &str, benchmark: &str, metric: &str) -> Option<f64> {
        let series = self.0.get(&(builder.to_owned(), benchmark.to_owned()))?;
        value(series.get(hash)?, metric)
    }

    /// All metrics of a commit beside those of the first of some others, the newest first, that went well.
    pub(super) fn changes(&self, hash: &str, before: &[&str]) -> Vec<Change> {
        let mut changes = Vec::new();
        for ((builder, benchmark), series) in &self.0 {
            let Some(new) = series.get(hash).filter(|one| one.ok) else { continue };
            let old = before.iter().find_map(|hash| series.get(*hash).filter(|one| one.ok));
            changes.extend(new.metrics.iter().map(|(metric, new)| Change {
                builder: builder.clone(),
                benchmark: benchmark.clone(),
                metric: metric.clone(),
                old: old.and_then(|old| value(old, metric)),
                new: *new,
            }));
        }
        changes
    }
}

fn value(one: &Measurement, metric: &str) -> Option<f64> {
    let found = one.metrics.iter().find(|(name, _)| one.ok && name == metric);
    found.map(|(_, value)| *value)
}

/// What is noise, by builder, benchmark and metric.
#[derive(Debug, Default)]
pub(super) struct Noises(BTreeMap<(String, String, String), f64>);

impl Noises {
    pub(super) fn of(all: Vec<Noise>) -> Self {
        Noises(all.into_iter().map(|one| ((one.builder, one.benchmark, one.metric), one.percent)).collect())
    }

    pub(super) fn of_change(&self, change: &Change) -> f64 {
        let key = (change.builder.clone(), change.benchmark.clone(), change.metric.clone());
        self.0.get(&key).copied().unwrap_or(UNKNOWN)
    }

    pub(super) fn says_something(&self, change: &Change) -> bool {
        change.percent().is_some_and(|percent| percent.abs() > self.of_change(change))
    }
}

/// Learns from the changes between neighbours of a line, the newest first.
pub(super) fn learn(table: &Table, line: &[&str]) -> Vec<Noise> {
    let mut all = Vec::new();
    for (builder, benchmark, metric) in table.series() {
        let values = line.iter().filter_map(|hash| table.value(hash, &builder, &benchmark, &metric));
        let values: Vec<f64> = values.collect();
        let pairs = values.windows(2).filter_map(|pair| change(pair[1], pair[0]));
        let mut changes: Vec<f64> = pairs.map(f64::abs).filter(|by| by.is_finite()).collect();
        if changes.is_empty() {
            continue;
        }
        changes.sort_by(f64::total_cmp);
        let place = (changes.len() as f64 * SHARE).ceil() as usize;
        let percent = (changes[place.clamp(1, changes.len()) - 1] * TIMES).max(LEAST);
        all.push(Noise { builder, benchmark, metric, percent });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(hash: &str, ok: bool, value: f64) -> Measurement {
        let metrics = vec![("time".to_owned(), value)];
        Measurement { hash: hash.into(), builder: "b".into(), benchmark: "http-4".into(), ok, metrics }
    }

    #[test]
    fn a_commit_is_compared_with_the_last_one_that_went_well() {
        let table =
            Table::of([one("3", true, 150.0), one("2", false, 1.0), one("1", true, 100.0)].into_iter());
        let changes = table.changes("3", &["2", "1"]);
        assert_eq!((changes.len(), changes[0].old, changes[0].percent()), (1, Some(100.0), Some(50.0)));
        assert_eq!(changes[0].to_string(), "b http-4 time +50.00 %");
        assert!(table.changes("2", &["1"]).is_empty(), "it did not go well itself");
        assert_eq!(table.changes("1", &[])[0].percent(), None);
        let zero = Table::of([one("2", true, 1.0), one("1", true, 0.0)].into_iter());
        assert_eq!(zero.changes("2", &["1"])[0].percent(), None);
    }

    #[test]
    fn noise_is_the_95th_percentile_and_a_tenth_more() {
        let unknown = Noises::default();
        let table = Table::of([one("2", true, 299.0), one("1", true, 100.0)].into_iter());
        assert!(!unknown.says_something(&table.changes("2", &["1"])[0]), "199 % of what was never learned");
        let hashes: Vec<String> = (0..=20).map(|n| n.to_string()).collect();
        // Twenty changes: 1 % each, the last one is a real one of 100 %.
        let mut value = 100.0;
        let mut all = vec![one("0", true, value)];
        for (n, hash) in hashes.iter().enumerate().skip(1) {
            value *= if n == 20 { 2.0 } else { 1.01 };
            all.push(one(hash, true, value));
        }
        let line: Vec<&str> = hashes.iter().rev().map(String::as_str).collect();
        let learned = learn(&Table::of(all.into_iter()), &line);
        assert_eq!(learned.len(), 1);
        assert!((learned[0].percent - 1.1).abs() < 0.001, "{learned:?}");
        let still = Table::of([one("2", true, 100.0), one("1", true, 100.0)].into_iter());
        assert_eq!(learn(&still, &["2", "1"])[0].percent, 0.5);
        assert!(learn(&still, &["2"]).is_empty());
    }
}
