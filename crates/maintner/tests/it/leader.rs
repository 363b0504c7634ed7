//! A leader: what is added is safe and seen, by it and by the one after it.

use std::path::Path;

use maintner::checkpoint::Start;
use maintner::corpus::{Corpus, Replay};
use maintner::journal::Options;
use maintner::leader::{LeadError, Leader};
use maintner::live::Sink as _;
use maintner::log::Log;
use maintner::rules::Rules;
use maintner::verify::verify;

use crate::logs::dumped;
use crate::original::change;

fn replayed(folder: &Path) -> Corpus {
    Corpus::load(Log::open(folder).unwrap(), Rules::Ours, Replay::Parallel).unwrap()
}

async fn open(folder: &Path, segment: u64) -> Leader {
    Leader::open(folder, Options { segment, ..Options::default() }).await.unwrap()
}

#[tokio::test]
async fn what_is_added_is_there_after_a_restart_from_the_checkpoint_and_the_tail() {
    let folder = tempfile::tempdir().unwrap();
    let log = change();
    // Segments of a few records each.
    let leader = open(folder.path(), 700).await;
    assert!(matches!(leader.start(), Start::Replay(_)));
    let empty = leader.corpus();
    for mutation in &log {
        let version = leader.add(vec![mutation.clone()]).await.unwrap();
        assert_eq!(dumped(&version), dumped(&replayed(folder.path())));
    }
    assert!(leader.journal().committed().borrow().segments.len() > 2);
    assert_eq!(empty.records, 0);
    assert!(leader.keep(1).await.unwrap().is_some());
    assert!(leader.keep(1).await.unwrap().is_none(), "nothing came since");
    let last = leader.add(log[..2].to_vec()).await.unwrap();
    let taken = Leader::open(folder.path(), Options::default()).await;
    assert!(matches!(taken, Err(LeadError::Open(_))), "{taken:?}");
    leader.close().await.unwrap();

    let next = open(folder.path(), 700).await;
    assert!(matches!(next.start(), Start::Checkpoint { tail: 2, .. }), "{:?}", next.start());
    assert_eq!(dumped(&next.corpus()), dumped(&last));
    verify(&Log::open(folder.path()).unwrap()).unwrap();
}

#[tokio::test]
async fn many_who_add_at_once_each_see_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let leader = open(folder.path(), 2000).await;
    let adding = (0..40).map(|nth| {
        let mutations = change()[nth % 3..nth % 3 + 1].to_vec();
        leader.add(mutations)
    });
    for version in futures::future::join_all(adding).await {
        assert!(version.unwrap().records > 0);
    }
    assert_eq!(leader.corpus().records, 40);
    assert_eq!(dumped(&leader.corpus()), dumped(&replayed(folder.path())));
}
