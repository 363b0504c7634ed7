//! Whether a replay comes to what was.

use std::collections::HashMap;

use serde::Serialize;

use super::course::{Course, Leased};

/// The part of a queue time by which a replay may differ.
pub const PART: f64 = 0.05;
/// What it may differ by in any case, in microseconds: the scheduler is told of the time four times a second.
pub const FLOOR: i64 = 1_000_000;

/// How near the queue times of a replay come to those recorded.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Compared {
    /// Attempts in both.
    pub both: usize,
    /// Of them, those whose queue time is the same to the microsecond.
    pub same: usize,
    /// Those within [`PART`], or [`FLOOR`] where that is more.
    pub near: usize,
    /// The largest difference, in microseconds.
    pub largest: i64,
    /// Those that are not near, at most a hundred: as recorded, and as replayed.
    pub far: Vec<(Leased, Leased)>,
    /// Recorded and not replayed.
    pub missing: usize,
    /// Replayed and not recorded.
    pub more: usize,
}

impl Compared {
    /// Whether each queue time is near, and nothing is missing or too much.
    #[must_use]
    pub fn is_near(&self) -> bool {
        self.near == self.both && self.missing + self.more == 0
    }
}

/// Compares the queue times of what is leased from a moment on.
#[must_use]
pub fn compare(recorded: &Course, replayed: &Course, since: i64) -> Compared {
    let of = |course: &Course| -> HashMap<_, Leased> {
        let leases = course.leases.iter().filter(|one| one.leased >= since);
        leases.map(|one| ((one.build, one.number), one.clone())).collect()
    };
    let (was, mut is) = (of(recorded), of(replayed));
    let mut compared = Compared::default();
    let mut sorted: Vec<_> = was.into_iter().collect();
    sorted.sort_unstable_by_key(|(key, one)| (one.leased, *key));
    for (key, was) in sorted {
        let Some(is) = is.remove(&key) else {
            compared.missing += 1;
            continue;
        };
        let difference = (is.waited() - was.waited()).abs();
        compared.both += 1;
        compared.same += usize::from(difference == 0);
        compared.largest = compared.largest.max(difference);
        if difference <= FLOOR.max((was.waited() as f64 * PART) as i64) {
            compared.near += 1;
        } else if compared.far.len() < 100 {
            compared.far.push((was, is));
        }
    }
    compared.more = is.len();
    compared
}
