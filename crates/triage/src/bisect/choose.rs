//! What to test next.

use super::Bisection;
use super::answer::{TWICE, failed, passed};
use super::weigh::Weights;

/// Commits that fail or pass with more certainty than this tell nothing.
const OPEN: f64 = 0.02;
/// How likely it has to be that an answer rests on a commit, for a spare worker to repeat it.
const WORTH: f64 = 0.05;

/// The commits for so many workers; a commit may be there more than once.
pub(super) fn choose(bisection: &Bisection, weights: &Weights, free: usize) -> Vec<usize> {
    let commits = &bisection.commits;
    let running = |at: usize| bisection.running.values().filter(|id| **id == commits[at].id).count();
    // Counted once: the range may be long.
    let mut busy: Vec<usize> = if bisection.running.is_empty() {
        vec![0; commits.len()]
    } else {
        (0..commits.len()).map(running).collect()
    };
    let mut chosen = quantiles(bisection, weights, &busy, free);
    chosen.iter().for_each(|at| busy[*at] += 1);
    while chosen.len() < free {
        let Some(at) = to_repeat(bisection, weights, &busy) else { break };
        busy[at] += 1;
        chosen.push(at);
    }
    let stuck = chosen.is_empty() && free > 0 && bisection.running.is_empty();
    if stuck && let Some(group) = weights.leading() {
        // Seen as often as an answer needs, and still not sure, as it happens where the test fails at times.
        chosen.extend(group.passes.into_iter().chain(group.fails).take(free));
    }
    chosen
}

/// The commits that cut the weight into equal parts, each once.
fn quantiles(bisection: &Bisection, weights: &Weights, busy: &[usize], free: usize) -> Vec<usize> {
    let commits = &bisection.commits;
    let testable = |at: usize| bisection.testable(&commits[at]);
    let open = |at: usize| weights.fails[at] > OPEN && weights.fails[at] < 1.0 - OPEN;
    let candidates: Vec<usize> =
        (0..commits.len()).filter(|at| testable(*at) && open(*at) && busy[*at] == 0).collect();
    let parts = free as f64 + 1.0;
    // Untestable commits come in rows; beside one is not the best place.
    let beside = |at: usize| {
        let untestable = |at: Option<usize>| at.is_some_and(|at| at < commits.len() && !testable(at));
        untestable(at.checked_sub(1)) || untestable(Some(at + 1))
    };
    let mut chosen: Vec<usize> = Vec::new();
    for part in 1..=free.min(candidates.len()) {
        let wanted = part as f64 / (free.min(candidates.len()) as f64 + 1.0);
        let far = |at: usize| {
            let penalty = if beside(at) { 0.1 / parts } else { 0.0 };
            (weights.fails[at] - wanted).abs() + penalty
        };
        let open = candidates.iter().copied().filter(|at| !chosen.contains(at));
        chosen.extend(open.min_by(|a, b| far(*a).total_cmp(&far(*b))));
    }
    chosen
}

/// The commit that an answer most likely rests on and that has not been seen often enough for it.
fn to_repeat(bisection: &Bisection, weights: &Weights, busy: &[usize]) -> Option<usize> {
    let lacks = |at: usize, seen: u32| u64::from(seen) + (busy[at] as u64) < u64::from(TWICE);
    let mut wants: Vec<(usize, f64)> = Vec::new();
    let mut add = |at: usize, weight: f64| match wants.iter_mut().rev().take(2).find(|want| want.0 == at) {
        Some(want) => want.1 += weight,
        None => wants.push((at, weight)),
    };
    for group in weights.groups.iter().filter(|group| group.weight >= WORTH / 2.0) {
        if let Some(at) = group.passes
            && lacks(at, passed(&bisection.commits[at]))
        {
            add(at, group.weight);
        }
        if let Some(at) = group.fails
            && lacks(at, failed(&bisection.commits[at]))
        {
            add(at, group.weight);
        }
    }
    let best = wants.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    best.filter(|(_, weight)| *weight >= WORTH).map(|(at, _)| at)
}
