//! How try runs are asked for and answered.

use std::time::Duration;

use crate::fields::Fields;

/// So many builds give most verdicts (docs/flakes.md).
const RERUNS: u32 = 24;

/// How somebody asks in a review for a try run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tries {
    /// The label that asks.
    pub label: String,
    /// The vote from which on it does.
    pub value: i8,
    /// The label of the answer.
    pub result: String,
    /// How often GitHub is asked for the heads of pull requests.
    pub pulls_every: Duration,
    /// Whether changes of one topic are tried together.
    pub topics_together: bool,
    /// How often what fails is built again at most, to tell whose fault it is; 0 for never.
    pub reruns: u32,
    /// How long that may take.
    pub rerun_time: Duration,
}

impl Tries {
    pub(crate) fn read(f: Fields<'_>) -> Self {
        let or = |key: &str, default: &str| f.owned(key).unwrap_or_else(|| default.to_owned());
        Self {
            label: or("label", "Run-TryBot"),
            // The schema has checked that it is 1 or 2.
            value: f.int("value").and_then(|value: u32| i8::try_from(value).ok()).unwrap_or(1),
            result: or("result", "TryBot-Result"),
            pulls_every: f.duration("pulls_every").unwrap_or(Duration::from_secs(10)),
            topics_together: or("topics", "apart") == "together",
            reruns: f.int("reruns").unwrap_or(RERUNS),
            rerun_time: f.duration("rerun_time").unwrap_or(Duration::from_secs(2 * 3600)),
        }
    }
}
