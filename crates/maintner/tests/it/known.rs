//! A log that is written as things happen: its corpus of a moment is that of the records that were there by then.

mod made;

use maintner::corpus::{Corpus, Replay};
use maintner::log::Log;
use maintner::rules::Rules;
use maintner::time::Time;
use maintpb::Mutation;

use crate::logs::{corpus, dumped, write};
use made::Made;

fn past(mutations: &[Mutation], seconds: i64) -> Corpus {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), mutations);
    Corpus::at(Log::open(folder.path()).unwrap(), Time::from_seconds(seconds)).unwrap()
}

fn replayed(mutations: &[Mutation]) -> Corpus {
    corpus(mutations, Rules::Ours, Replay::OneThread)
}

/// The lines of a dump but for names, which are those of today, and the places of what came later.
fn lines(dump: &str) -> Vec<&str> {
    let shown = |line: &&str| {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["U" | "T" | "R" | "L" | "M", ..] | ["K", _, "-"] | ["I", _, _, "1"] => false,
            // A project without commits, a change without anything.
            ["P", _, "0", "-"] | ["G", _, _, "0", "0", "-", "-"] => false,
            _ => true,
        }
    };
    dump.lines().filter(shown).collect()
}

/// How many logs are made up.
fn seeds() -> u64 {
    if std::env::var_os("BELLWETHER_TEST_LONG").is_some() { 300 } else { 12 }
}

#[test]
fn the_corpus_of_the_end_is_that_of_all_records() {
    for seed in 0..seeds() {
        let made = Made::of(seed, 150);
        let all: Vec<Mutation> = made.records.iter().map(|(_, mutation)| mutation.clone()).collect();
        let want = dumped(&replayed(&all));
        for end in [made.now, i64::from(u32::MAX)] {
            let (have, digest) = dumped(&past(&all, end));
            let differ: Vec<&str> = have.lines().filter(|line| !want.0.contains(*line)).collect();
            assert!(digest == want.1, "seed {seed} at {end}: {differ:#?}");
        }
    }
}

#[test]
fn the_corpus_of_a_moment_is_that_of_the_records_by_then() {
    for seed in 0..seeds() {
        let made = Made::of(seed, 100);
        let all: Vec<Mutation> = made.records.iter().map(|(_, mutation)| mutation.clone()).collect();
        for at in (0..10).map(|nth| made.begun + (made.now - made.begun) * nth / 10) {
            let by = made.records.iter().filter(|(time, _)| *time <= at);
            let by: Vec<Mutation> = by.map(|(_, mutation)| mutation.clone()).collect();
            let (want, have) = (dumped(&replayed(&by)).0, dumped(&past(&all, at)).0);
            let (want, have) = (lines(&want), lines(&have));
            let only = |one: &[&str], other: &[&str]| -> Vec<String> {
                one.iter().filter(|line| !other.contains(line)).map(|line| (*line).to_owned()).collect()
            };
            assert!(
                want == have,
                "seed {seed} at {at}: by then {:#?}, at the moment {:#?}",
                only(&want, &have),
                only(&have, &want)
            );
        }
    }
}
