//! The log in an object store that fails, answers late, and never lists.

mod store;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use maintner::journal::objects::Limits;
use maintner::journal::{Journal, OpenError, Options, Segment};
use maintner::log::Log;
use maintner::verify::verify;
use object_store::local::LocalFileSystem;
use sha2::Digest as _;

use self::store::{Stormy, Weather};
use super::disk::Faulty;
use super::{assert_shown, options, payloads, record};

const LIMITS: Limits = Limits {
    call: Duration::from_millis(60),
    transfer: Duration::from_millis(200),
    tries: 6,
    pause: Duration::from_millis(1),
    behind: Duration::from_secs(20),
};

async fn open(store: &Arc<Stormy>, folder: &Path, holder: &str) -> Result<Journal, OpenError> {
    let options = Options { segment: 900, holder: holder.into(), ..options(&Arc::new(Faulty::default())) };
    Journal::open_objects(store.clone(), "logs/of/it", folder, options, LIMITS).await
}

/// So many reads of an object may not show yet that it was put. A leader reads the lists of segments twice, before its claim and
/// behind it: a store that hides one from both is of none of those that are offered.
const STALE: u32 = 1;

fn nth(nth: u32) -> Vec<u8> {
    record(nth, 100)
}

async fn append(journal: &Journal, numbers: std::ops::Range<u32>) {
    for number in numbers {
        journal.append(vec![nth(number)]).await.unwrap();
    }
}

fn all(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(nth).collect()
}

/// How many objects of a kind there are.
async fn count(store: &Stormy, kind: &str) -> usize {
    store.names().await.iter().filter(|name| name.starts_with(&format!("logs/of/it/{kind}"))).count()
}

#[tokio::test]
async fn a_log_is_written_merged_and_had_again_by_another_folder() {
    let store = Arc::new(Stormy::default());
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = open(&store, one.path(), "first").await.unwrap();
    append(&journal, 0..30).await;
    assert_shown(one.path(), &journal.committed().borrow());
    let shown = journal.committed().borrow().clone();
    journal.close().await.unwrap();
    assert_eq!(payloads(one.path()), all(30));
    assert_eq!(shown.segments.len(), 4);
    // Three are merged, and of their tails only the claim is left.
    assert_eq!((count(&store, "0").await, count(&store, "sealed/").await), (3, 3));
    let tails = count(&store, "tail/").await;
    assert!((2..=10).contains(&tails), "{tails} tails");
    for (folder, from) in [(other.path(), 30), (one.path(), 31), (other.path(), 32)] {
        let journal = open(&store, folder, "later").await.unwrap();
        if from == 30 {
            assert_eq!(**journal.committed().borrow(), *shown);
        }
        append(&journal, from..from + 1).await;
        assert_shown(folder, &journal.committed().borrow());
        journal.close().await.unwrap();
        assert_eq!(payloads(folder), all(from + 1));
        let verified = verify(&Log::open(folder).unwrap()).unwrap();
        assert_eq!((verified.files, verified.unvouched), (verified.indexed, 0));
    }
}

#[tokio::test]
async fn what_comes_together_is_one_object() {
    let store = Arc::new(Stormy::default());
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&store, folder.path(), "").await.unwrap();
    journal.append(vec![nth(0)]).await.unwrap();
    let before = store.creates.load(Ordering::Relaxed);
    let appends = (1..60).map(|number| journal.append(vec![record(number, 5)]));
    for done in futures::future::join_all(appends).await {
        done.unwrap();
    }
    let creates = store.creates.load(Ordering::Relaxed) - before;
    assert!(creates <= 4, "{creates} objects for 59 appends");
    journal.close().await.unwrap();
}

#[tokio::test]
async fn of_two_leaders_the_later_one_leads() {
    let store = Arc::new(Stormy::default());
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stale = open(&store, one.path(), "the first").await.unwrap();
    append(&stale, 0..3).await;
    let shown = stale.committed().borrow().clone();
    let held = open(&store, one.path(), "the same folder").await.unwrap_err().to_string();
    assert!(held.contains("another leader has it: the first"), "{held}");
    let leads = open(&store, other.path(), "the second").await.unwrap();
    // So much that what the first would have written is merged long since, and its tails are gone.
    append(&leads, 3..40).await;
    leads.close().await.unwrap();
    assert_eq!(count(&store, "0").await, 4);
    for _ in 0..2 {
        let why = stale.append(vec![nth(99)]).await.unwrap_err().to_string();
        assert!(why.contains("another leader took over: the second"), "{why}");
    }
    assert_eq!(*stale.committed().borrow(), shown);
    stale.close().await.unwrap_err();
    assert_eq!(payloads(other.path()), all(40));
    let again = open(&store, one.path(), "the first, again").await.unwrap();
    append(&again, 40..41).await;
    again.close().await.unwrap();
    assert_eq!(payloads(one.path()), all(41));
}

#[tokio::test]
async fn a_store_that_fails_loses_nothing_that_was_safe() {
    let seeds = if std::env::var_os("BELLWETHER_TEST_LONG").is_some() { 200 } else { 8 };
    let (mut failed, mut reopened) = (0, 0);
    for seed in 0..seeds {
        let store = Arc::new(Stormy::default());
        let folder = tempfile::tempdir().unwrap();
        let mut safe = 0;
        store.set(Weather { seed, fails: 12, slow: seed % 2 == 0, ..Weather::default() });
        for _ in 0..100 {
            let journal = match open(&store, folder.path(), "").await {
                Ok(journal) => journal,
                Err(OpenError::Store { .. }) => {
                    failed += 1;
                    continue;
                }
                Err(other) => panic!("{other}"),
            };
            reopened += 1;
            let there =
                if journal.committed().borrow().total == 0 { Vec::new() } else { payloads(folder.path()) };
            let there = u32::try_from(there.len()).unwrap();
            assert!(there >= safe && there <= safe + 1, "seed {seed}: {there} are there, {safe} were safe");
            safe = there;
            while safe < 30 && journal.append(vec![nth(safe)]).await.is_ok() {
                safe += 1;
            }
            if safe < 30 {
                failed += 1;
            }
            let _ = journal.close().await;
            if safe == 30 {
                break;
            }
            // What is there is taken from the store, not from the folder.
            std::fs::remove_dir_all(folder.path()).unwrap();
        }
        store.set(Weather::default());
        let other = tempfile::tempdir().unwrap();
        open(&store, other.path(), "").await.unwrap().close().await.unwrap();
        assert_eq!(payloads(other.path()), all(30), "seed {seed}");
        verify(&Log::open(other.path()).unwrap()).unwrap();
    }
    assert!(reopened >= seeds && store::met() > 0, "{failed} failures");
}

#[tokio::test]
async fn while_a_segment_can_not_be_uploaded_others_are_written() {
    let store = Arc::new(Stormy::default());
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&store, folder.path(), "").await.unwrap();
    store.set(Weather { no_segments: true, ..Weather::default() });
    append(&journal, 0..30).await;
    assert_eq!((journal.committed().borrow().segments.len(), count(&store, "0").await), (4, 0));
    // It ends without having uploaded them, and the next one does it.
    drop(journal);
    the_next_one_uploads(&store).await;
}

/// That thirty records, whose segments are not in the store yet, are brought there by another leader in fair weather.
async fn the_next_one_uploads(store: &Arc<Stormy>) {
    let other = tempfile::tempdir().unwrap();
    store.set(Weather::default());
    let journal = open(store, other.path(), "").await.unwrap();
    append(&journal, 30..31).await;
    journal.close().await.unwrap();
    assert_eq!((payloads(other.path()), count(store, "0").await), (all(31), 3));
}

/// An upload that neither fails nor ends holds nobody up: not who appends, and not who leads next.
#[tokio::test]
async fn while_the_upload_of_a_segment_hangs_others_are_written() {
    let store = Arc::new(Stormy::default());
    let folder = tempfile::tempdir().unwrap();
    // So long that no upload is given up while this test lasts.
    let limits = Limits { transfer: Duration::from_secs(3600), ..LIMITS };
    let wanted = Options { segment: 900, ..options(&Arc::new(Faulty::default())) };
    let journal =
        Journal::open_objects(store.clone(), "logs/of/it", folder.path(), wanted, limits).await.unwrap();
    store.set(Weather { segments_hang: true, ..Weather::default() });
    let appends = append(&journal, 0..30);
    tokio::time::timeout(Duration::from_secs(60), appends).await.expect("an append waits for an upload");
    assert_eq!((journal.committed().borrow().segments.len(), count(&store, "0").await), (4, 0));
    assert_eq!(store.hanging.load(Ordering::Relaxed), 1, "one after the other");
    drop(journal);
    the_next_one_uploads(&store).await;
}

/// A store that creates at once, and whose reads may be behind: each new leader begins by reading what the one before it wrote
/// a moment ago.
#[tokio::test]
async fn what_reads_do_not_show_yet_is_not_lost() {
    let seeds = if std::env::var_os("BELLWETHER_TEST_LONG").is_some() { 60 } else { 8 };
    let mut stale = 0;
    for seed in 0..seeds {
        let store = Arc::new(Stormy::default());
        // Some answers are lost too, so that what was put is read again by who put it.
        store.set(Weather { seed, stale: STALE, fails: 4, ..Weather::default() });
        let mut safe = 0;
        for leader in 0..60 {
            let folder = tempfile::tempdir().unwrap();
            let journal = match open(&store, folder.path(), "").await {
                Ok(journal) => journal,
                Err(OpenError::Store { .. }) => continue,
                Err(other) => panic!("{other}"),
            };
            let nothing = journal.committed().borrow().total == 0;
            let there = if nothing { 0 } else { u32::try_from(payloads(folder.path()).len()).unwrap() };
            assert!(
                there >= safe && there <= safe + 1,
                "seed {seed}, leader {leader}: {there} are there, {safe} were safe"
            );
            safe = there;
            let until = (safe + 7).min(30);
            while safe < until && journal.append(vec![nth(safe)]).await.is_ok() {
                safe += 1;
            }
            let _ = journal.close().await;
            if safe == 30 {
                break;
            }
        }
        stale += store.stale.load(Ordering::Relaxed);
        store.set(Weather::default());
        let other = tempfile::tempdir().unwrap();
        open(&store, other.path(), "").await.unwrap().close().await.unwrap();
        assert_eq!(payloads(other.path()), all(30), "seed {seed}");
        verify(&Log::open(other.path()).unwrap()).unwrap();
    }
    assert!(stale > seeds, "{stale} reads were behind, of {seeds} seeds");
}

/// The only copy of a log is in a folder that is named beside a store which does not have it.
#[tokio::test]
async fn a_folder_with_a_log_of_its_own_is_not_made_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), Options { segment: 900, ..Options::default() }).await.unwrap();
    append(&journal, 0..20).await;
    journal.close().await.unwrap();
    let store = Arc::new(Stormy::default());
    let why = open(&store, folder.path(), "one").await.unwrap_err();
    assert!(matches!(why, OpenError::Own { .. }), "{why}");
    assert_eq!(payloads(folder.path()), all(20));
    // A copy that was gone on with as a log of its own is one.
    let other = tempfile::tempdir().unwrap();
    let journal = open(&store, other.path(), "two").await.unwrap();
    append(&journal, 0..5).await;
    journal.close().await.unwrap();
    open(&store, other.path(), "three").await.unwrap().close().await.unwrap();
    let journal = Journal::open(other.path(), Options::default()).await.unwrap();
    append(&journal, 5..6).await;
    journal.close().await.unwrap();
    assert!(matches!(open(&store, other.path(), "four").await, Err(OpenError::Own { .. })));
    assert_eq!(payloads(other.path()), all(6));
}

/// A log by the original: segments under their names, the last one short, and an older one of the same number that it had no
/// time to remove.
#[tokio::test]
async fn a_bucket_of_the_original_is_gone_on_with() {
    let (made, bucket) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = Journal::open(made.path(), Options { segment: 900, ..Options::default() }).await.unwrap();
    journal.append(all(30)).await.unwrap();
    journal.close().await.unwrap();
    let below = bucket.path().join("logs");
    std::fs::create_dir_all(below.join("deeper")).unwrap();
    std::fs::write(below.join("readme"), "not of the log").unwrap();
    let log = Log::open(made.path()).unwrap();
    let put = |bytes: &[u8], number: usize| {
        let sha224 = <[u8; 28]>::from(sha2::Sha224::digest(bytes));
        let segment = Segment { number: u32::try_from(number).unwrap(), size: 0, sha224, sealed: true };
        let path = below.join(segment.name());
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(below.join("deeper").join(segment.name()), bytes).unwrap();
        path
    };
    let older = put(&[], 3);
    let past = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    std::fs::File::options().write(true).open(&older).unwrap().set_modified(past).unwrap();
    let first = put(log.files()[0].bytes(), 0);
    for (number, file) in log.files().iter().enumerate().skip(1) {
        put(file.bytes(), number);
    }
    let store = Arc::new(LocalFileSystem::new_with_prefix(bucket.path()).unwrap());
    let open = |folder: &tempfile::TempDir| {
        let (store, folder) = (store.clone(), folder.path().to_path_buf());
        let options = Options { segment: 900, ..Options::default() };
        async move { Journal::open_objects(store, "logs", &folder, options, LIMITS).await }
    };
    // What is not whole is not taken, and nothing is written there.
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let hidden = bucket.path().join("hidden");
    std::fs::rename(&first, &hidden).unwrap();
    let why = open(&one).await.unwrap_err().to_string();
    assert!(why.contains("logs/0000.*.mutlog: it is missing"), "{why}");
    assert!(!below.join("sealed").exists() && !below.join("tail").exists());
    std::fs::write(&first, &log.files()[1].bytes()[..log.files()[0].bytes().len()]).unwrap();
    let why = open(&one).await.unwrap_err().to_string();
    assert!(why.contains("its bytes are not those"), "{why}");
    assert!(!below.join("sealed").exists() && !below.join("tail").exists());
    std::fs::rename(&hidden, &first).unwrap();

    let journal = open(&one).await.unwrap();
    let shown = journal.committed().borrow().clone();
    assert_eq!((shown.segments.len(), shown.total), (4, log.len()));
    assert!(
        shown
            .segments
            .iter()
            .zip(log.files())
            .all(|(segment, file)| segment.size == file.bytes().len() as u64)
    );
    append(&journal, 30..45).await;
    journal.close().await.unwrap();
    // All of its objects are there still, and the next leader has all of it.
    let journal = open(&other).await.unwrap();
    append(&journal, 45..46).await;
    assert_eq!(journal.committed().borrow().segments[..4], shown.segments);
    journal.close().await.unwrap();
    assert_eq!(payloads(other.path()), all(46));
    verify(&Log::open(other.path()).unwrap()).unwrap();
    assert!(older.exists() && first.exists());
}

/// What a leader of the original leaves that ends before it removed the older object, in a bucket that was copied in any order.
#[tokio::test]
async fn of_two_objects_of_a_number_the_whole_one_is_gone_on_with_whichever_is_newer() {
    let made = tempfile::tempdir().unwrap();
    let journal = Journal::open(made.path(), Options::default()).await.unwrap();
    journal.append(all(4)).await.unwrap();
    let short = Log::open(made.path()).unwrap().files()[0].bytes().to_vec();
    journal.append((4..7).map(nth).collect()).await.unwrap();
    journal.close().await.unwrap();
    let long = Log::open(made.path()).unwrap().files()[0].bytes().to_vec();
    assert!(long.len() > short.len() && long.starts_with(&short));
    let mut other = short.clone();
    *other.last_mut().unwrap() ^= 1;
    // What is written, in this order, which of them is damaged, and how many records are gone on with.
    for (objects, damaged, want) in [
        ([&short, &long], None, Ok(7)),
        ([&long, &short], None, Ok(7)),
        ([&short, &long], Some(1), Ok(4)),
        ([&long, &other], None, Err("they are of two logs")),
        ([&other, &long], None, Err("they are of two logs")),
    ] {
        let (bucket, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(bucket.path().join("logs")).unwrap();
        for (nth, bytes) in objects.into_iter().enumerate() {
            let sha224 = <[u8; 28]>::from(sha2::Sha224::digest(bytes));
            let name = Segment { number: 0, size: 0, sha224, sealed: true }.name();
            let mut bytes = bytes.clone();
            if damaged == Some(nth) {
                *bytes.last_mut().unwrap() ^= 1;
            }
            let path = bucket.path().join("logs").join(name);
            std::fs::write(&path, bytes).unwrap();
            let at = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1 + nth as u64);
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
        }
        let store = Arc::new(LocalFileSystem::new_with_prefix(bucket.path()).unwrap());
        let opened = Journal::open_objects(store, "logs", folder.path(), Options::default(), LIMITS).await;
        match (opened, want) {
            (Ok(journal), Ok(count)) => {
                journal.close().await.unwrap();
                assert_eq!(payloads(folder.path()), all(count));
            }
            (Err(why), Err(want)) => assert!(why.to_string().contains(want), "{why}"),
            (opened, want) => panic!("{:?} instead of {want:?}", opened.map(drop)),
        }
    }
}

/// A store that takes tails and never a segment: there must not be more and more of what the next leader has to read.
#[tokio::test]
async fn when_too_many_segments_wait_to_be_uploaded_the_log_says_why_it_takes_no_more() {
    let store = Arc::new(Stormy::default());
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let limits = Limits { behind: Duration::from_millis(100), ..LIMITS };
    let wanted = Options { segment: 900, ..options(&Arc::new(Faulty::default())) };
    let journal =
        Journal::open_objects(store.clone(), "logs/of/it", folder.path(), wanted, limits).await.unwrap();
    store.set(Weather { no_segments: true, ..Weather::default() });
    let mut taken = 0;
    let appends = async {
        loop {
            match journal.append((taken..taken + 4).map(nth).collect()).await {
                Ok(_) => taken += 4,
                Err(why) => return why.to_string(),
            }
        }
    };
    let why = tokio::time::timeout(Duration::from_secs(60), appends)
        .await
        .expect("it takes more for ever, or hangs");
    assert!(why.contains("could not be uploaded for 100ms") && why.contains("it rains"), "{why}");
    assert!(taken >= 40, "{taken} records");
    // What it took is shown and safe, and the next one goes on.
    let shown = journal.committed().borrow().total;
    journal.close().await.unwrap_err();
    store.set(Weather::default());
    let next = open(&store, other.path(), "").await.unwrap();
    assert_eq!(next.committed().borrow().total, shown);
    next.close().await.unwrap();
    let there = payloads(other.path());
    assert!(there.len() >= taken as usize && there == all(u32::try_from(there.len()).unwrap()));
}

#[tokio::test]
async fn what_is_damaged_in_the_copy_gets_nowhere() {
    let store = Arc::new(Stormy::default());
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&store, folder.path(), "").await.unwrap();
    store.set(Weather { no_segments: true, ..Weather::default() });
    append(&journal, 0..30).await;
    // The first waits to be uploaded since it was sealed; another one is changed before it is read.
    let spoil = |number: u32| {
        let log = Log::open(folder.path()).unwrap();
        let path = log.files()[number as usize].path().to_path_buf();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    spoil(1);
    store.set(Weather::default());
    journal.close().await.unwrap();
    let other = tempfile::tempdir().unwrap();
    open(&store, other.path(), "").await.unwrap().close().await.unwrap();
    assert_eq!(payloads(other.path()), all(30));
    // A copy is not believed for its size.
    spoil(0);
    open(&store, folder.path(), "").await.unwrap().close().await.unwrap();
    assert_eq!(payloads(folder.path()), all(30));
}

#[tokio::test]
async fn what_is_damaged_in_the_store_is_named() {
    let store = Arc::new(Stormy::default());
    let folder = tempfile::tempdir().unwrap();
    let journal = open(&store, folder.path(), "").await.unwrap();
    append(&journal, 0..12).await;
    journal.close().await.unwrap();
    let names = store.names().await;
    let of = |kind: &str| names.iter().rfind(|name| name.contains(kind)).unwrap().clone();
    for kind in ["/tail/", "/0000.", "/sealed/"] {
        let name = of(kind);
        let bytes = store.read(&name).await;
        let mut changed = bytes.clone();
        let at = changed.len() / 2;
        changed[at] ^= 0x40;
        store.write(&name, changed).await;
        let other = tempfile::tempdir().unwrap();
        let why = open(&store, other.path(), "").await.unwrap_err().to_string();
        assert!(why.contains(&name), "{why} does not name {name}");
        store.write(&name, bytes).await;
    }
    let other = tempfile::tempdir().unwrap();
    open(&store, other.path(), "").await.unwrap().close().await.unwrap();
    assert_eq!(payloads(other.path()), all(12));
}
