//! Every changed, cut, missing or moved byte of a log is found, and all before it is kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use maintner::journal::idx::{Chain, Damage, Idx, hold};
use maintner::journal::recover::recover;
use maintner::journal::{Journal, Options};
use maintner::log::Log;
use maintner::verify::{Verified, VerifyError, verify};

use sha2::{Digest as _, Sha224};

use super::disk::Faulty;
use super::{options, payloads, record};

fn long() -> bool {
    std::env::var_os("BELLWETHER_TEST_LONG").is_some()
}

/// Writes a log of some records of some length.
async fn written(folder: &Path, records: u32, length: usize, segment: u64) {
    let disk = Arc::new(Faulty::default());
    let journal = Journal::open(folder, Options { segment, ..options(&disk) }).await.unwrap();
    journal.append((0..records).map(|nth| record(nth, length)).collect()).await.unwrap();
    journal.close().await.unwrap();
}

fn named(folder: &Path, prefix: &str) -> PathBuf {
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    all.find(|path| name(path).starts_with(prefix) && name(path).ends_with("log")).unwrap()
}

fn verified(folder: &Path) -> Result<Verified, VerifyError> {
    verify(&Log::open(folder).unwrap())
}

/// The record that is named, counted from 0.
fn found(folder: &Path) -> (usize, Damage) {
    match verified(folder) {
        Err(VerifyError::Record { why, path }) => {
            let said = VerifyError::Record { path: path.clone(), why }.to_string();
            assert!(
                said.contains("bellwether log recover") && said.contains(&*path.to_string_lossy()),
                "{said}"
            );
            (why.record, why.what)
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn in_64_kib_every_bit_that_flips_and_every_byte_that_is_cut_is_found_at_its_record() {
    const LENGTH: usize = 48;
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 1072, LENGTH, 1 << 20).await;
    let path = named(folder.path(), "0000.");
    let mut bytes = std::fs::read(&path).unwrap();
    assert!((64 << 10..66 << 10).contains(&bytes.len()), "{}", bytes.len());
    let rows = std::fs::read(folder.path().join("0000.idx")).unwrap();
    let idx = Idx::read(&rows, 0).unwrap();
    assert_eq!(idx.len(), 1072);
    hold(&bytes, &idx, Chain::default()).unwrap();
    let whole = bytes.clone();
    let (mut flips, mut cuts) = (0, 0);
    for number in 0..idx.len() {
        for at in idx.begin(number)..idx.begin(number + 1) {
            let at = usize::try_from(at).unwrap();
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(!idx.is(&bytes, number), "bit {bit} of byte {at}");
                if long() || (at + bit) % 64 == 0 {
                    assert_eq!(idx.holds(&bytes, number), Err(Damage::Changed), "bit {bit} of byte {at}");
                }
                bytes[at] ^= 1 << bit;
                flips += 1;
            }
            assert!(!idx.is(&bytes[..at], number), "cut at {at}");
            if long() || at % 16 == 0 {
                assert!(matches!(idx.holds(&bytes[..at], number), Err(Damage::Cut { .. })), "cut at {at}");
            }
            cuts += 1;
        }
    }
    assert_eq!((flips, cuts), (bytes.len() * 8, bytes.len()));
    // The whole way through the files, at some of the places.
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..if long() { 2000 } else { 20 } {
        let at = random.usize(..bytes.len());
        let number = (0..idx.len()).find(|number| idx.begin(number + 1) > at as u64).unwrap();
        bytes[at] ^= 1 << random.u8(..8);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(found(folder.path()), (number, Damage::Changed));
        bytes.clone_from(&whole);
        std::fs::write(&path, &bytes[..at]).unwrap();
        let cut = found(folder.path());
        assert!(matches!(cut, (cut, Damage::Cut { .. }) if cut == number), "{cut:?} at {at}");
    }
}

#[tokio::test]
async fn in_a_full_segment_what_changes_anywhere_is_found() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 4100, 4096, 16 << 20).await;
    let bytes = std::fs::read(named(folder.path(), "0000.")).unwrap();
    assert!(bytes.len() > (16 << 20) - 8192, "{}", bytes.len());
    let rows = std::fs::read(folder.path().join("0000.idx")).unwrap();
    let idx = Idx::read(&rows, 0).unwrap();
    hold(&bytes, &idx, Chain::default()).unwrap();
    let mut changed = bytes;
    let mut random = fastrand::Rng::with_seed(2);
    for _ in 0..if long() { 10_000 } else { 300 } {
        let at = random.usize(..changed.len());
        let (mut low, mut high) = (0, idx.len());
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            if idx.begin(middle) <= at as u64 { low = middle } else { high = middle }
        }
        let by = random.u8(1..);
        changed[at] ^= by;
        assert_eq!(idx.holds(&changed, low), Err(Damage::Changed), "byte {at}");
        changed[at] ^= by;
        assert!(idx.holds(&changed[..at], low).is_err());
        assert_eq!(idx.holds(&changed, low), Ok(()));
    }
}

/// Three sealed segments and one that grows, of eight records each.
async fn four(folder: &Path) {
    written(folder, 30, 100, 900).await;
    let whole = verified(folder).unwrap();
    let files = Log::open(folder).unwrap().files().len() as u64;
    assert_eq!((whole.files, whole.indexed, whole.records, whole.unvouched), (files, files, 30, 0));
    assert_eq!(whole.sealed, files - 1);
    assert!(files > 3, "{files} files");
}

/// Records of a length may change their places if their headers do too.
fn swapped(bytes: &[u8]) -> Vec<u8> {
    let records: Vec<_> = maintner::reclog::Records::new(bytes, 0).map(Result::unwrap).collect();
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.swap(2, 3);
    let mut all = Vec::new();
    for nth in order {
        all.extend(maintner::reclog::header(all.len() as u64, records[nth].payload.len()).into_bytes());
        all.extend(records[nth].payload);
    }
    all
}

#[tokio::test]
async fn what_is_changed_with_care_is_found_by_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    four(folder.path()).await;
    let first = named(folder.path(), "0001.");
    let whole = std::fs::read(&first).unwrap();
    // Records that changed places, also under a name that fits.
    let moved = swapped(&whole);
    std::fs::write(&first, &moved).unwrap();
    assert_eq!(found(folder.path()), (2, Damage::Changed));
    // Written again, name, index and all, of other records: the next segment does not follow it.
    let name = format!("0001.{}.mutlog", hex::encode(Sha224::digest(&moved)));
    std::fs::remove_file(&first).unwrap();
    std::fs::write(folder.path().join(name), &moved).unwrap();
    let before = Idx::read(&std::fs::read(folder.path().join("0001.idx")).unwrap(), 1).unwrap().before;
    let mut rows = maintner::journal::idx::head(1, &before).to_vec();
    let mut chain = before;
    for record in maintner::reclog::Records::new(&moved, 0).map(Result::unwrap) {
        let (from, to) = (usize::try_from(record.offset).unwrap(), usize::try_from(record.end()).unwrap());
        let entry = maintner::journal::idx::Entry::of(record.offset, &moved[from..to], &chain);
        rows.extend(entry.row());
        chain = entry.chain;
    }
    std::fs::write(folder.path().join("0001.idx"), &rows).unwrap();
    assert_eq!(found(folder.path()), (0, Damage::Chain));
    // The last records of a growing one, its index left as it is.
    let folder = tempfile::tempdir().unwrap();
    four(folder.path()).await;
    let last = named(folder.path(), "0003.");
    let bytes = std::fs::read(&last).unwrap();
    let second = maintner::reclog::Records::new(&bytes, 0).nth(1).unwrap().unwrap().offset;
    std::fs::write(&last, &bytes[..usize::try_from(second).unwrap()]).unwrap();
    assert!(matches!(found(folder.path()), (1, Damage::Cut { have: 0, .. })));
}

#[tokio::test]
async fn what_is_changed_in_an_index_is_told_from_what_is_changed_in_a_record() {
    let folder = tempfile::tempdir().unwrap();
    four(folder.path()).await;
    let path = folder.path().join("0001.idx");
    let rows = std::fs::read(&path).unwrap();
    for at in (0..rows.len()).step_by(if long() { 1 } else { 5 }) {
        let mut changed = rows.clone();
        changed[at] ^= 0x10;
        std::fs::write(&path, &changed).unwrap();
        match verified(folder.path()).unwrap_err() {
            VerifyError::Idx { .. } => assert!(at < 48, "byte {at}"),
            VerifyError::Record { why, .. } => {
                let row = at / 48 - 1;
                // A changed length of the row before is one where this record is not.
                let want = if at % 48 < 16 { Damage::Row } else { Damage::Chain };
                assert_eq!((why.record, why.what), (row, want), "byte {at}");
            }
            other => panic!("{other}"),
        }
    }
    for cut in [0, 20, 48, 100, rows.len() - 48, rows.len() - 1] {
        std::fs::write(&path, &rows[..cut]).unwrap();
        verified(folder.path()).unwrap_err();
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(verified(folder.path()), Err(VerifyError::Missing { .. })));
    // All of it is made again, and nothing is dropped.
    let recovered = recover(folder.path(), None).unwrap();
    assert_eq!((recovered.dropped.len(), recovered.indexed, recovered.records), (0, vec![path.clone()], 30));
    assert_eq!(std::fs::read(&path).unwrap(), rows);
    verified(folder.path()).unwrap();
}

#[tokio::test]
async fn all_up_to_the_first_bad_record_is_kept() {
    let all: Vec<Vec<u8>> = (0..30).map(|nth| record(nth, 100)).collect();
    for (prefix, seed) in [("0000.", 1), ("0001.", 2), ("0002.", 3), ("0003.", 4)] {
        for cut in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            four(folder.path()).await;
            let path = named(folder.path(), prefix);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = fastrand::Rng::with_seed(seed).usize(..bytes.len());
            if cut {
                bytes.truncate(at)
            } else {
                bytes[at] ^= 4
            }
            std::fs::write(&path, &bytes).unwrap();
            let (number, _) = found(folder.path());
            match Journal::open(folder.path(), Options::default()).await {
                // What is sealed is not read again each time.
                Ok(journal) if !cut && prefix != "0003." => journal.close().await.unwrap(),
                opened => {
                    let said = opened.unwrap_err().to_string();
                    assert!(said.contains("bellwether log"), "{said}");
                }
            }
            let to = tempfile::tempdir().unwrap();
            let copied = recover(folder.path(), Some(to.path())).unwrap();
            assert!(copied.aside.is_empty());
            assert_eq!(std::fs::read(&path).unwrap(), bytes, "the original was touched");
            let mended = recover(folder.path(), None).unwrap();
            assert_eq!(mended.dropped, copied.dropped);
            assert_eq!(mended.dropped[0].path, path);
            let aside = mended.aside.iter().find(|aside| aside.to_string_lossy().contains(".mutlog.damaged"));
            assert!(aside.is_some_and(|aside| aside.exists()));
            for folder in [folder.path(), to.path()] {
                let kept = if mended.records == 0 { Vec::new() } else { payloads(folder) };
                assert_eq!(kept, all[..kept.len()]);
                assert_eq!(kept.len() as u64, mended.records);
                let segments: usize = prefix[..4].parse().unwrap();
                assert!(kept.len() >= segments * 7 + number && kept.len() <= segments * 8 + number);
                // And it goes on from there.
                let small = Options { segment: 900, ..Options::default() };
                let journal = Journal::open(folder, small).await.unwrap();
                journal.append(all[kept.len()..].to_vec()).await.unwrap();
                journal.close().await.unwrap();
                assert_eq!(payloads(folder), all);
                verified(folder).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_last_segment_that_is_missing_is_found_and_reported() {
    for (gone, kept) in
        [(&["0003."][..], 3), (&["0002.", "0003."], 2), (&["0000.", "0001.", "0002.", "0003."], 0)]
    {
        let folder = tempfile::tempdir().unwrap();
        four(folder.path()).await;
        for prefix in gone {
            std::fs::remove_file(named(folder.path(), prefix)).unwrap();
        }
        let said = Journal::open(folder.path(), Options::default()).await.unwrap_err().to_string();
        let name = format!("{}growing.mutlog", gone[0]);
        for part in [&*name, "the file is missing", "bellwether log recover"] {
            assert!(said.contains(part), "{said}");
        }
        if kept > 0 {
            assert!(matches!(found(folder.path()), (0, Damage::Missing { .. })));
        }
        let recovered = recover(folder.path(), None).unwrap();
        assert_eq!((recovered.dropped.len(), recovered.aside.len()), (gone.len(), gone.len()));
        assert!(recovered.dropped[0].path.ends_with(&name) && recovered.dropped[0].bytes > 0);
        let journal = Journal::open(folder.path(), Options::default()).await.unwrap();
        assert_eq!(journal.committed().borrow().segments.len(), kept);
        journal.close().await.unwrap();
        assert!(recover(folder.path(), None).is_ok_and(|again| again.dropped.is_empty()) || kept == 0);
    }
}

#[tokio::test]
async fn an_index_that_was_not_written_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    four(folder.path()).await;
    let path = folder.path().join("0003.idx");
    let rows = std::fs::read(&path).unwrap();
    for from in [0, 48, rows.len() - 40] {
        let mut torn = rows.clone();
        torn[from..].fill(0);
        std::fs::write(&path, &torn).unwrap();
        Journal::open(folder.path(), Options::default()).await.unwrap().close().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), rows, "from {from} on");
    }
}

#[tokio::test]
async fn of_a_whole_log_nothing_is_changed_and_a_leader_is_not_disturbed() {
    let folder = tempfile::tempdir().unwrap();
    four(folder.path()).await;
    let before = payloads(folder.path());
    let recovered = recover(folder.path(), None).unwrap();
    assert!(recovered.dropped.is_empty() && recovered.indexed.is_empty() && recovered.aside.is_empty());
    assert_eq!(payloads(folder.path()), before);
    let journal = Journal::open(folder.path(), Options::default()).await.unwrap();
    let why = recover(folder.path(), None).unwrap_err().to_string();
    assert!(why.contains("another leader has it"), "{why}");
    let why = recover(folder.path(), Some(folder.path())).unwrap_err().to_string();
    assert!(why.contains("another leader has it"), "{why}");
    journal.close().await.unwrap();
    let why = recover(folder.path(), Some(folder.path())).unwrap_err().to_string();
    assert!(why.contains("name an empty folder"), "{why}");
}

#[tokio::test]
async fn without_an_index_a_missing_segment_and_a_wrong_name_are_mended_as_far_as_can_be() {
    let folder = tempfile::tempdir().unwrap();
    four(folder.path()).await;
    for number in 0..4 {
        let _ = std::fs::remove_file(folder.path().join(format!("{number:04}.idx")));
    }
    let path = named(folder.path(), "0000.");
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    std::fs::remove_file(named(folder.path(), "0002.")).unwrap();
    let recovered = recover(folder.path(), None).unwrap();
    assert_eq!(recovered.doubtful.len(), 1);
    assert!(
        recovered.dropped[0].why.contains("segment 0002 before it is missing"),
        "{:?}",
        recovered.dropped
    );
    assert_eq!(verified(folder.path()).unwrap().files, 2);
}
