//! The log as it is written: what is shown, what stays, and who may write.

mod crash;
mod damage;
mod disk;
#[cfg(feature = "objects")]
mod objects;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use maintner::journal::{AppendError, Committed, Journal, OpenError, Options};
use maintner::log::Log;
use sha2::{Digest as _, Sha224};

use disk::Faulty;

/// A mutation of some length, unlike all others, which no reader knows and all pass over.
pub fn record(nth: u32, length: usize) -> Vec<u8> {
    let mut record = vec![0xfa, 0x0f];
    let mut rest = u32::try_from(length).unwrap();
    while rest >= 0x80 {
        record.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    record.push(rest.to_le_bytes()[0]);
    let mut random = fastrand::Rng::with_seed(u64::from(nth));
    let block: Vec<u8> = std::iter::repeat_with(|| random.u8(1..)).take(length.min(61)).collect();
    let from = record.len();
    while record.len() - from < length {
        let missing = length - (record.len() - from);
        record.extend_from_slice(&block[..missing.min(block.len())]);
    }
    record
}

pub fn options(disk: &Arc<Faulty>) -> Options {
    Options { disk: disk.clone(), ..Options::default() }
}

/// The payloads of the log in a folder, which has to be whole.
pub fn payloads(folder: &Path) -> Vec<Vec<u8>> {
    let log = Log::open(folder).unwrap();
    let mut payloads = Vec::new();
    for file in log.files() {
        file.records(|source| {
            payloads.push(source.bytes.to_vec());
            Ok(())
        })
        .unwrap();
    }
    payloads
}

/// What is shown is what lies in the folder: names, sizes and digests.
pub fn assert_shown(folder: &Path, shown: &Committed) {
    let mut total = 0;
    for (nth, segment) in shown.segments.iter().enumerate() {
        let bytes = std::fs::read(folder.join(segment.name())).unwrap();
        assert_eq!((segment.number as usize, segment.size), (nth, bytes.len() as u64));
        assert_eq!(segment.sha224, <[u8; 28]>::from(Sha224::digest(&bytes)));
        assert_eq!(segment.sealed, nth + 1 < shown.segments.len());
        assert!(segment.size > 0);
        total += segment.size;
    }
    assert_eq!(shown.total, total);
}

#[tokio::test]
async fn what_is_appended_is_shown_and_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<Vec<u8>> = (0..60).map(|nth| record(nth, 90)).collect();
    let disk = Arc::new(Faulty::default());
    for part in all.chunks(20) {
        let journal =
            Journal::open(folder.path(), Options { segment: 1000, ..options(&disk) }).await.unwrap();
        assert_eq!(journal.opened(), &maintner::journal::Opened::default());
        let mut shown = journal.committed();
        for records in part.chunks(3) {
            let before = shown.borrow_and_update().total;
            let total = journal.append(records.to_vec()).await.unwrap();
            assert!(shown.has_changed().unwrap());
            assert_eq!(shown.borrow().total, total);
            assert!(total > before);
        }
        assert_shown(folder.path(), &shown.borrow());
        journal.close().await.unwrap();
    }
    assert_eq!(payloads(folder.path()), all);
    assert!(Log::open(folder.path()).unwrap().files().len() > 5);
}

#[tokio::test]
async fn what_comes_together_is_made_safe_together() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let journal = Journal::open(folder.path(), options(&disk)).await.unwrap();
    journal.append(vec![record(0, 10)]).await.unwrap();
    let before = disk.syncs.load(Ordering::Relaxed);
    let appends = (1..=200).map(|nth| journal.append(vec![record(nth, 100)]));
    for done in futures::future::join_all(appends).await {
        done.unwrap();
    }
    // One of the data and one of the index, and another pair for those that could not be gathered in time.
    let syncs = disk.syncs.load(Ordering::Relaxed) - before;
    assert!(syncs <= 4, "{syncs} syncs for 200 appends");
    let before = disk.syncs.load(Ordering::Relaxed);
    let appends = (0..8).map(|nth| journal.append(vec![record(nth, 200 << 10)]));
    for done in futures::future::join_all(appends).await {
        done.unwrap();
    }
    // What is more than 256 KiB does not wait for more: no two groups of these are one.
    let syncs = disk.syncs.load(Ordering::Relaxed) - before;
    assert!(syncs >= 2 * 4 - 1, "{syncs} syncs for 1.6 MB");
    assert_shown(folder.path(), &journal.committed().borrow());
}

#[tokio::test]
async fn a_second_leader_is_told_who_leads() {
    let folder = tempfile::tempdir().unwrap();
    let named = Options { holder: "the first".into(), ..Options::default() };
    let first = Journal::open(folder.path(), named).await.unwrap();
    first.append(vec![record(0, 10)]).await.unwrap();
    let why = Journal::open(folder.path(), Options::default()).await.unwrap_err();
    let said = why.to_string();
    assert!(matches!(why, OpenError::Held { .. }), "{said}");
    assert!(said.contains(&format!("the first, process {}", std::process::id())), "{said}");
    first.close().await.unwrap();
    let second = Journal::open(folder.path(), Options::default()).await.unwrap();
    second.append(vec![record(1, 10)]).await.unwrap();
    assert_eq!(payloads(folder.path()).len(), 2);
}

/// As on a file system whose locks hold nobody back.
#[tokio::test]
async fn a_leader_whose_number_was_passed_writes_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let stale = Journal::open(folder.path(), Options::default()).await.unwrap();
    stale.append(vec![record(0, 10)]).await.unwrap();
    std::fs::remove_file(folder.path().join("leader.lock")).unwrap();
    let named = Options { holder: "the second".into(), ..Options::default() };
    let second = Journal::open(folder.path(), named).await.unwrap();
    second.append(vec![record(1, 10)]).await.unwrap();
    for nth in 2..4 {
        let why = stale.append(vec![record(nth, 10)]).await.unwrap_err().to_string();
        assert!(why.contains("another leader took over: the second"), "{why}");
    }
    assert!(stale.close().await.is_err());
    second.append(vec![record(4, 10)]).await.unwrap();
    assert_eq!(payloads(folder.path()), [record(0, 10), record(1, 10), record(4, 10)]);
}

#[tokio::test]
async fn what_no_reader_takes_is_refused_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), Options::default()).await.unwrap();
    let cut = journal.append(vec![record(0, 10), vec![0x0a, 9]]).await.unwrap_err();
    assert!(matches!(cut, AppendError::Undecodable(_)), "{cut}");
    let long = journal.append(vec![record(0, maintner::log::LONGEST_RECORD)]).await.unwrap_err();
    assert!(matches!(long, AppendError::Large { .. }), "{long}");
    assert_eq!(*journal.committed().borrow(), Arc::default());
    journal.append(vec![record(1, 10), vec![]]).await.unwrap();
    assert_eq!(payloads(folder.path()), [record(1, 10), vec![]]);
}

#[tokio::test]
async fn a_folder_of_day_files_is_not_written_to() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("maintner-2017-07-01.mutlog"), "REC@0+0=").unwrap();
    let why = Journal::open(folder.path(), Options::default()).await.unwrap_err();
    assert!(why.to_string().contains("day files are read and not written"), "{why}");
}

/// A record that could be a hole which a file system left is shown when its row is there.
#[tokio::test]
async fn many_zeros_are_kept_when_they_were_shown() {
    let folder = tempfile::tempdir().unwrap();
    let zeros = [&[0xfa, 0x0f, 0x80, 0x08][..], &[0; 1024]].concat();
    // The disk goes at the step of each of its two syncs, and behind them.
    for dies_at in 0..12 {
        let folder = tempfile::tempdir().unwrap();
        let disk = Arc::new(Faulty::dying(dies_at));
        let Ok(journal) = Journal::open(folder.path(), options(&disk)).await else { continue };
        let shown = journal.append(vec![zeros.clone()]).await.is_ok();
        let _ = journal.close().await;
        let journal = Journal::open(folder.path(), Options::default()).await.unwrap();
        assert!(!shown || journal.committed().borrow().total > 0, "lost, dying at step {dies_at}");
    }
    let journal = Journal::open(folder.path(), Options::default()).await.unwrap();
    journal.append(vec![zeros.clone()]).await.unwrap();
    journal.append(vec![record(0, 9)]).await.unwrap();
    journal.close().await.unwrap();
    let journal = Journal::open(folder.path(), Options::default()).await.unwrap();
    assert_eq!(journal.opened(), &maintner::journal::Opened::default());
    assert_eq!(payloads(folder.path()), [zeros, record(0, 9)]);
}

/// A folder as a client of the original has it, which knows of no index.
#[tokio::test]
async fn segments_without_an_index_are_given_one() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let small = || Options { segment: 300, ..options(&disk) };
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    for nth in 0..10 {
        journal.append(vec![record(nth, 90)]).await.unwrap();
    }
    journal.close().await.unwrap();
    let idx = |number: u32| folder.path().join(format!("{number:04}.idx"));
    let before: Vec<Vec<u8>> = (0..4).map(|number| std::fs::read(idx(number)).unwrap()).collect();
    for number in 0..4 {
        std::fs::remove_file(idx(number)).unwrap();
    }
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    assert_eq!((journal.opened().indexed, journal.opened().unvouched), (3, 1));
    let after: Vec<Vec<u8>> = (0..4).map(|number| std::fs::read(idx(number)).unwrap()).collect();
    assert_eq!(before, after);
    journal.append(vec![record(10, 90)]).await.unwrap();
    assert_shown(folder.path(), &journal.committed().borrow());
}
