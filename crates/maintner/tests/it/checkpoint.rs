//! A corpus from a checkpoint and the tail of its log is that of the whole log; what does not fit is made anew.

use std::path::Path;

use maintner::checkpoint::{self, Keeper, Start, Unfit};
use maintner::corpus::{Corpus, Replay};
use maintner::log::Log;
use maintner::rules::Rules;
use maintpb::Mutation;
use proptest::prelude::*;

use crate::cases::cases;
use crate::growth::happening;
use crate::logs::{dumped, write};
use crate::original::change;

fn load(folder: &Path, rules: Rules) -> Corpus {
    Corpus::load(Log::open(folder).unwrap(), rules, Replay::OneThread).unwrap()
}

fn start(folder: &Path) -> (Corpus, Start) {
    Corpus::start(&Log::open(folder).unwrap(), Rules::Ours, &folder.join(checkpoint::NAME)).unwrap()
}

/// A log with a checkpoint after so many records.
fn with_checkpoint(mutations: &[Mutation], after: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &mutations[..after]);
    checkpoint::write(&load(folder.path(), Rules::Ours), &folder.path().join(checkpoint::NAME)).unwrap();
    checkpoint::verify(&folder.path().join(checkpoint::NAME)).unwrap();
    // A mapped file is not cut: the longer one takes its place.
    std::fs::remove_file(folder.path().join("maintner-2017-07-01.mutlog")).unwrap();
    write(folder.path(), mutations);
    folder
}

fn why(folder: &Path) -> String {
    match start(folder).1 {
        Start::Replay(why) => why.to_string(),
        Start::Checkpoint { .. } => panic!("it was taken"),
    }
}

#[test]
fn after_each_record_it_is_the_same() {
    let log = change();
    for after in 0..=log.len() {
        let folder = with_checkpoint(&log, after);
        let (corpus, how) = start(folder.path());
        assert!(
            matches!(how, Start::Checkpoint { tail, .. } if tail == (log.len() - after) as u64),
            "{how:?}"
        );
        assert_eq!(dumped(&corpus), dumped(&load(folder.path(), Rules::Ours)));
        assert_eq!(corpus.records, log.len() as u64);
    }
}

proptest! {
    #![proptest_config(cases(30))]
    #[test]
    fn checkpoint_and_tail_equal_the_whole(
        mutations in prop::collection::vec(happening(), 1..40), after in any::<prop::sample::Index>(),
    ) {
        let folder = with_checkpoint(&mutations, after.index(mutations.len() + 1));
        let (corpus, how) = start(folder.path());
        let taken = matches!(how, Start::Checkpoint { .. });
        prop_assert!(taken, "{:?}", how);
        prop_assert_eq!(dumped(&corpus), dumped(&load(folder.path(), Rules::Ours)));
    }
}

#[test]
fn without_one_or_with_another_logs_or_rules_the_log_is_replayed() {
    let log = change();
    let folder = with_checkpoint(&log, log.len());
    let path = folder.path().join(checkpoint::NAME);
    let other = Corpus::start(&Log::open(folder.path()).unwrap(), Rules::Original, &path).unwrap();
    assert!(matches!(other.1, Start::Replay(Unfit::Version(_))), "{:?}", other.1);

    std::fs::remove_file(folder.path().join("maintner-2017-07-01.mutlog")).unwrap();
    write(folder.path(), &log[1..]);
    assert!(
        why(folder.path()).contains("it is of another log: maintner-2017-07-01.mutlog does not begin as")
    );
    assert_eq!(dumped(&start(folder.path()).0), dumped(&load(folder.path(), Rules::Ours)));

    std::fs::write(&path, b"something else, and as long as the head of a checkpoint would be: 64").unwrap();
    assert_eq!(why(folder.path()), "it is of another version (it is no checkpoint)");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(why(folder.path()), "there is no checkpoint yet");
}

/// Wherever it is cut or a bit is flipped: the start says so and replays, or `verify` finds it, and nothing panics on the way.
#[test]
fn what_is_cut_or_changed_is_found() {
    let log = change();
    let folder = with_checkpoint(&log, log.len());
    let path = folder.path().join(checkpoint::NAME);
    let whole = std::fs::read(&path).unwrap();
    let replace = |bytes: &[u8]| {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    };
    replace(&whole);
    checkpoint::verify(&path).unwrap();
    let step = (whole.len() / 150).max(1);
    for at in (0..whole.len()).step_by(step).chain(0..64) {
        replace(&whole[..at]);
        assert!(matches!(start(folder.path()).1, Start::Replay(_)), "cut at {at}");
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        replace(&flipped);
        assert!(checkpoint::verify(&path).is_err(), "changed at {at}");
        let _ = start(folder.path());
    }
}

/// A mistake in it is never written again with good sums.
#[tokio::test]
async fn of_a_spoilt_one_no_other_is_made() {
    let log = change();
    let folder = with_checkpoint(&log, 3);
    let path = folder.path().join(checkpoint::NAME);
    let (corpus, how) = start(folder.path());
    let corpus = std::sync::Arc::new(corpus);
    let keeper = Keeper::new(path.clone(), &how);
    assert!(keeper.keep(corpus.clone(), 0).await.unwrap().is_none(), "nobody has read all of it yet");
    // It is mapped: what takes its place is another file.
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    assert!(keeper.verify().await.is_err());
    assert!(keeper.keep(corpus.clone(), 0).await.unwrap().is_none() && !path.exists());
    keeper.replayed().await;
    assert!(keeper.keep(corpus.clone(), 0).await.unwrap().is_some());
    let (_, how) = start(folder.path());
    let keeper = Keeper::new(path, &how);
    keeper.verify().await.unwrap();
    assert!(keeper.keep(corpus, 0).await.unwrap().is_some());
}

/// A disk that is full, and has room later.
#[tokio::test(start_paused = true)]
async fn that_none_can_be_written_is_seen_until_one_is() {
    let folder = with_checkpoint(&change(), 3);
    let (corpus, _) = start(folder.path());
    let path = folder.path().join("away").join(checkpoint::NAME);
    let keeper = std::sync::Arc::new(Keeper::new(path.clone(), &Start::Replay(Unfit::Missing)));
    assert_eq!(keeper.trouble(), None);
    let (_sender, versions) = tokio::sync::watch::channel(std::sync::Arc::new(corpus));
    let runs = tokio::spawn({
        let keeper = keeper.clone();
        async move { keeper.run(versions).await }
    });
    let until = async |trouble: bool| {
        // Seconds of a clock that goes on by itself: it tries every few minutes. The writing takes real time.
        for _ in 0..3600 {
            if keeper.trouble().is_some() == trouble && path.exists() != trouble {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        panic!("trouble {:?}, and the file is there: {}", keeper.trouble(), path.exists());
    };
    until(true).await;
    assert!(keeper.trouble().unwrap().contains("away"), "{:?}", keeper.trouble());
    std::fs::create_dir(folder.path().join("away")).unwrap();
    until(false).await;
    runs.abort();
}

#[test]
fn a_checkpoint_that_can_not_be_written_leaves_the_old_one() {
    let folder = with_checkpoint(&change(), 3);
    let corpus = load(folder.path(), Rules::Ours);
    let nowhere = folder.path().join("none").join(checkpoint::NAME);
    let said = checkpoint::write(&corpus, &nowhere).unwrap_err().to_string();
    assert!(said.contains("none"), "{said}");
    checkpoint::verify(&folder.path().join(checkpoint::NAME)).unwrap();
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}
