//! Logs that are cut, changed or of another writer.

use maintner::corpus::{Corpus, Replay};
use maintner::log::{Log, LogError};
use maintner::reclog::header;
use maintner::rules::Rules;
use proptest::prelude::*;
use prost::Message as _;

use crate::cases::cases;
use crate::logs::{bytes, dumped};
use crate::original::change;

fn load(bytes: &[u8], replay: Replay) -> Result<Corpus, LogError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("maintner-2017-07-01.mutlog"), bytes).unwrap();
    Corpus::load(Log::open(folder.path()).unwrap(), Rules::Ours, replay)
}

#[test]
fn cut_at_any_byte_it_is_told_but_between_records() {
    let whole = bytes(&change());
    let mut ends = vec![0];
    for nth in 1..=change().len() {
        ends.push(bytes(&change()[..nth]).len());
    }
    for cut in 0..=whole.len() {
        let loaded = load(&whole[..cut], Replay::Parallel);
        assert_eq!(loaded.is_ok(), ends.contains(&cut), "{cut}");
    }
}

#[test]
fn both_ways_of_replaying_fail_at_the_same_record() {
    let mut bad = bytes(&change());
    let good = bad.len();
    // A field of Gerrit's that is cut, in a whole record, and then one of an issue.
    bad.extend(format!("REC@{good:x}+3=\x22\x01\x12").bytes());
    bad.extend(format!("REC@{:x}+3=\x0a\x01\x12", bad.len()).bytes());
    for replay in [Replay::Parallel, Replay::OneThread] {
        match load(&bad, replay) {
            Err(LogError::Undecodable { offset, .. }) => assert_eq!(offset, good as u64),
            other => panic!("{other:?}"),
        }
    }
}

/// What a later version of the format adds is passed over.
#[test]
fn unknown_fields_are_passed_over() {
    let known = bytes(&change());
    let mut more = known.clone();
    let at = more.len();
    let payload = b"\x2a\x03abc\x30\x01\x3b\x08\x01\x3c\x45\x01\x02\x03\x04";
    more.extend(format!("REC@{at:x}+{:x}=", payload.len()).bytes());
    more.extend(payload);
    let text = |bytes: &[u8]| dumped(&load(bytes, Replay::Parallel).unwrap());
    assert_eq!(text(&known), text(&more));
}

#[test]
fn a_copy_stays_while_the_log_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("maintner-2017-07-01.mutlog"), bytes(&change())).unwrap();
    let corpus = Corpus::load(Log::open(folder.path()).unwrap(), Rules::Ours, Replay::Parallel).unwrap();
    let (copy, before) = (corpus.clone(), dumped(&corpus));
    let mut more = corpus;
    more.github.make_repo(b"a", b"b");
    more.gerrit.finish(&more.log);
    assert_ne!(dumped(&more), before);
    assert_eq!(dumped(&copy), before);
}

proptest! {
    #![proptest_config(cases(300))]
    /// What loading takes is what `verify` and a writer take.
    #[test]
    fn a_record_is_loaded_if_it_is_a_mutation_in_all_its_parts(
        which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()), gone in any::<bool>(),
    ) {
        let mut mutation = which.get(&change()).clone();
        if let Some(issue) = mutation.github_issue.as_mut().filter(|_| gone) {
            issue.not_exist = true;
        }
        let mut payload = mutation.encode_to_vec();
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len()));
        }
        let mut log = header(0, payload.len()).into_bytes();
        log.extend(&payload);
        let want = maintner::check::check(&payload);
        for replay in [Replay::Parallel, Replay::OneThread] {
            prop_assert_eq!(load(&log, replay).is_ok(), want.is_ok(), "{:?} {:x?}", want, payload);
        }
    }
}
