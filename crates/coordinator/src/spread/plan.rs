//! Cuts a list of tests into chunks, and says how long so many machines take over them. Pure: no clock, no machine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// So many chunks there are for each machine, where the tests are small enough: the last to end is late by a chunk at most.
const GRAIN: u64 = 32;
/// A chunk is expected to take at least so long, microseconds: to begin one costs something.
const LEAST: u64 = 1_000_000;
/// What a test is expected to take of which, and of all others, nothing is known, microseconds.
const UNKNOWN: u64 = 1_000_000;
/// No chunk is smaller than this part of the whole: there are at most twice as many chunks, and some for long names.
const MOST: u64 = 800;
/// The most bytes of the names of a chunk: they are written into one command line.
const NAMES: usize = 64 << 10;

/// Tests that one command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Their names, in the order of the list.
    pub tests: Vec<String>,
    /// What each of them is expected to take, in microseconds.
    pub each: Vec<u64>,
}

impl Chunk {
    /// How long it is expected to take, in microseconds.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.each.iter().fold(0, |sum, one| sum.saturating_add(*one))
    }

    /// Tells what each test took of the time that the chunk took, in microseconds: in the proportion that was expected.
    #[must_use]
    pub fn shares(&self, took: u64) -> Vec<(String, u64)> {
        let whole = u128::from(self.expected()).max(1);
        let share = |each: &u64| u64::try_from(u128::from(took) * u128::from(*each) / whole).unwrap_or(took);
        self.tests.iter().cloned().zip(self.each.iter().map(share)).collect()
    }
}

/// Cuts a list into chunks for so many machines. Neighbours stay together, and the chunks are in the order of the list; each
/// test is in exactly one. `known` tells how long a test takes, in microseconds.
pub fn chunks(tests: &[String], known: impl Fn(&str) -> Option<u64>, machines: usize) -> Vec<Chunk> {
    let told: Vec<Option<u64>> = tests.iter().map(|test| known(test).map(|micros| micros.max(1))).collect();
    let mut sorted: Vec<u64> = told.iter().copied().flatten().collect();
    sorted.sort_unstable();
    // What is new is as others are.
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(UNKNOWN);
    let each: Vec<u64> = told.iter().map(|micros| micros.unwrap_or(usual)).collect();
    let total = each.iter().fold(0_u64, |sum, one| sum.saturating_add(*one));
    let machines = u64::try_from(machines.max(1)).unwrap_or(u64::MAX);
    let size = (total / machines.saturating_mul(GRAIN)).max(LEAST).max(total / MOST);
    let mut chunks: Vec<Chunk> = Vec::new();
    let (mut sum, mut bytes) = (0_u64, 0_usize);
    for (test, micros) in tests.iter().zip(each) {
        let room = sum.saturating_add(micros) <= size && bytes + test.len() < NAMES;
        match chunks.last_mut().filter(|_| room) {
            Some(last) => {
                last.tests.push(test.clone());
                last.each.push(micros);
            }
            None => {
                chunks.push(Chunk { tests: vec![test.clone()], each: vec![micros] });
                (sum, bytes) = (0, 0);
            }
        }
        sum = sum.saturating_add(micros);
        bytes += test.len() + 1;
    }
    chunks
}

/// The order in which chunks are taken: the longest first, and of equals the first of the list.
#[must_use]
pub fn longest_first(expected: &[u64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..expected.len()).collect();
    order.sort_by_key(|n| (Reverse(expected[*n]), *n));
    order
}

/// How long so many machines take over pieces of these times, each free one taking the longest that is left.
#[must_use]
pub fn makespan(times: &[u64], machines: usize) -> u64 {
    let mut free: BinaryHeap<Reverse<u64>> =
        (0..machines.max(1).min(times.len().max(1))).map(|_| Reverse(0)).collect();
    let mut end = 0;
    for n in longest_first(times) {
        let Some(Reverse(from)) = free.pop() else { break };
        let until = from.saturating_add(times[n]);
        end = end.max(until);
        free.push(Reverse(until));
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("t{n}")).collect()
    }

    /// A list like Go's: the sums of the 28 sets of spec/coordinator.md §7.3, each of several tests, in seconds; the three
    /// long tests alone.
    fn go() -> Vec<u64> {
        const SETS: [f64; 28] = [
            9.46, 9.01, 7.93, 9.26, 9.72, 8.51, 9.34, 9.96, 9.84, 9.35, 9.82, 7.66, 9.41, 9.10, 8.26, 9.84,
            9.82, 21.02, 9.76, 6.98, 8.84, 9.42, 7.41, 18.0, 4.58, 36.0, 9.53, 9.37,
        ];
        let set = |seconds: f64| {
            let micros = (seconds * 1e6) as u64;
            match seconds > 15.0 {
                true => vec![micros],
                // Of five tests, unlike each other.
                false => [10, 15, 20, 25, 30].iter().map(|share| micros * share / 100).collect(),
            }
        };
        SETS.into_iter().flat_map(set).collect()
    }

    #[test]
    fn go_s_list_is_within_five_percent_of_the_lower_bound() {
        let times = go();
        let tests = names(times.len());
        let at = |test: &str| Some(times[test[1..].parse::<usize>().unwrap()]);
        let (sum, longest) = (times.iter().sum::<u64>(), *times.iter().max().unwrap());
        for machines in 1..=16 {
            let cut: Vec<u64> = chunks(&tests, at, machines).iter().map(Chunk::expected).collect();
            let bound = longest.max(sum.div_ceil(machines as u64));
            let took = makespan(&cut, machines);
            assert!(took >= bound && took <= bound + bound / 20, "{machines}: {took} against {bound}");
        }
    }

    #[test]
    fn what_is_new_is_as_long_as_others_and_nothing_known_is_cut_evenly() {
        let tests = names(5);
        let known = |test: &str| (test != "t4").then_some(4_000_000);
        let cut = chunks(&tests, known, 2);
        assert_eq!(cut.len(), 5);
        assert_eq!(cut[4].expected(), 4_000_000);
        let cut = chunks(&names(640), |_| None, 2);
        assert!(cut.iter().all(|chunk| chunk.tests.len() == 10), "{cut:?}");
    }

    #[test]
    fn a_command_line_takes_no_more_names_than_it_can() {
        let long: Vec<String> = (0..300).map(|n| format!("{n:01000}")).collect();
        for chunk in chunks(&long, |_| Some(1), 1) {
            assert!(chunk.tests.iter().map(String::len).sum::<usize>() <= NAMES);
        }
    }

    #[test]
    fn a_chunk_s_time_is_shared_as_it_was_expected() {
        let chunk = Chunk { tests: names(2), each: vec![1, 3] };
        assert_eq!(chunk.shares(400), [("t0".to_owned(), 100), ("t1".to_owned(), 300)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_test_is_in_one_chunk_in_its_order(
            times in prop::collection::vec(prop::option::of(0_u64..60_000_000), 0..300),
            machines in 0_usize..20,
        ) {
            let tests = names(times.len());
            let cut = chunks(&tests, |test| times[test[1..].parse::<usize>().unwrap()], machines);
            let all: Vec<String> = cut.iter().flat_map(|chunk| chunk.tests.clone()).collect();
            prop_assert_eq!(all, tests);
            prop_assert!(cut.iter().all(|chunk| !chunk.tests.is_empty() && chunk.tests.len() == chunk.each.len()));
        }

        #[test]
        fn no_list_takes_longer_than_grahams_bound_or_shorter_than_it_can(
            times in prop::collection::vec(0_u64..100_000_000, 0..200),
            machines in 1_usize..20,
        ) {
            let (sum, longest) = (times.iter().sum::<u64>(), times.iter().copied().max().unwrap_or(0));
            let n = machines as u64;
            let took = makespan(&times, machines);
            prop_assert!(took >= longest.max(sum.div_ceil(n)));
            prop_assert!(took <= sum / n + longest);
            // The rule is no worse than 4/3 of the best, which one machine more never makes longer.
            prop_assert!(makespan(&times, machines + 1) <= took + took / 3 + 1);
        }
    }
}
