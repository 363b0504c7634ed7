//! Leaders that die: at each step, by a disk that goes away, and by `kill -9`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use maintner::checkpoint::Start;
use maintner::corpus::{Corpus, Replay};
use maintner::journal::{Committed, Journal, Options, Segment};
use maintner::leader::Leader;
use maintner::live::Sink as _;
use maintner::log::Log;
use maintner::rules::Rules;
use maintpb::GithubIssueMutation;
use prost::Message as _;

use super::disk::Faulty;
use super::{assert_shown, options, payloads, record};
use crate::logs::{dumped, issue, of_issue};

const SEGMENT: u64 = 700;
const RECORDS: u32 = 24;

fn long() -> bool {
    std::env::var_os("BELLWETHER_TEST_LONG").is_some()
}

fn nth(nth: u32) -> Vec<u8> {
    record(nth, 40 + nth as usize * 7 % 90)
}

/// What was shown once: bytes that may never change.
fn shown(folder: &Path, committed: &Committed) -> Vec<Vec<u8>> {
    let read = |segment: &Segment| {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut segment.open(folder).unwrap(), &mut bytes).unwrap();
        bytes.truncate(usize::try_from(segment.size).unwrap());
        bytes
    };
    committed.segments.iter().map(read).collect()
}

/// Writes until the disk dies; gives how many records were acknowledged, and what was shown last.
async fn write(folder: &Path, disk: Arc<Faulty>) -> (u32, Vec<Vec<u8>>) {
    let Ok(journal) = Journal::open(folder, Options { segment: SEGMENT, ..options(&disk) }).await else {
        return (0, Vec::new());
    };
    let mut safe = 0;
    while safe < RECORDS && journal.append(vec![nth(safe)]).await.is_ok() {
        safe += 1;
    }
    if safe < RECORDS {
        // Nothing is tried again as if it had worked.
        assert!(journal.append(vec![nth(safe)]).await.is_err());
    }
    let last = journal.committed();
    let committed = last.borrow().clone();
    let _ = journal.close().await;
    (safe, shown(folder, &committed))
}

/// Opens what a dead leader left, and finishes it.
async fn finish(folder: &Path, safe: u32, seen: &[Vec<u8>]) {
    let disk = Arc::new(Faulty::default());
    let journal = Journal::open(folder, Options { segment: SEGMENT, ..options(&disk) }).await.unwrap();
    let committed = journal.committed().borrow().clone();
    assert_shown_or_growing(folder, &committed);
    let now = shown(folder, &committed);
    for (number, seen) in seen.iter().enumerate() {
        assert!(now[number].starts_with(seen), "segment {number} is not what it was");
    }
    let there = if committed.total == 0 { 0 } else { u32::try_from(payloads(folder).len()).unwrap() };
    assert!(there >= safe && there <= safe + 1, "{there} records are there, {safe} were safe");
    for number in there..RECORDS {
        journal.append(vec![nth(number)]).await.unwrap();
    }
    assert_shown(folder, &journal.committed().borrow());
    journal.close().await.unwrap();
    assert_eq!(payloads(folder), (0..RECORDS).map(nth).collect::<Vec<_>>());
    maintner::verify::verify(&Log::open(folder).unwrap()).unwrap();
}

/// When it is opened, the last segment may be sealed and none has begun.
fn assert_shown_or_growing(folder: &Path, committed: &Committed) {
    let mut committed = committed.clone();
    if let Some(last) = committed.segments.last_mut().filter(|last| last.sealed) {
        assert!(folder.join(last.name()).exists());
        committed.total -= last.size;
        committed.segments.pop();
        return;
    }
    assert_shown(folder, &committed);
}

#[tokio::test]
async fn at_whatever_step_a_leader_dies_nothing_that_was_shown_changes() {
    let disk = Arc::new(Faulty::default());
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(write(folder.path(), disk.clone()).await.0, RECORDS);
    let steps = disk.steps.load(std::sync::atomic::Ordering::Relaxed);
    assert!(steps > u64::from(RECORDS) * 4);
    for step in (0..steps).step_by(if long() { 1 } else { 5 }) {
        let folder = tempfile::tempdir().unwrap();
        let (safe, seen) = write(folder.path(), Arc::new(Faulty::dying(step))).await;
        finish(folder.path(), safe, &seen).await;
    }
}

/// What is written when the leader is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A folder.
    Folder,
    /// A folder, and a checkpoint after each record.
    Checkpoints,
    /// An object store that is a folder itself.
    #[cfg(feature = "objects")]
    Objects,
}

/// More than a leader that is to be killed comes to write, and an end for one that nobody kills.
const ENDLESS: u32 = 2000;

impl Place {
    const ALL: &[Self] = &[
        Self::Folder,
        Self::Checkpoints,
        #[cfg(feature = "objects")]
        Self::Objects,
    ];

    fn record(self, number: u32) -> Vec<u8> {
        match self {
            // What makes a corpus other than it was.
            Self::Checkpoints => {
                let title = format!("title {number}");
                let number = i32::try_from(number / 2 + 1).unwrap();
                of_issue(GithubIssueMutation { title, ..issue(number) }).encode_to_vec()
            }
            _ => nth(number),
        }
    }
}

fn few() -> Options {
    Options { segment: SEGMENT, ..Options::default() }
}

#[cfg(feature = "objects")]
async fn of_store(folder: &Path, copy: &Path) -> Journal {
    let below = folder.join("store");
    std::fs::create_dir_all(&below).unwrap();
    let store = Arc::new(object_store::local::LocalFileSystem::new_with_prefix(below).unwrap());
    Journal::open_objects(store, "logs", copy, few(), Default::default()).await.unwrap()
}

/// In a process of its own, which is this program once more.
#[tokio::test]
async fn a_leader_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os("BELLWETHER_JOURNAL_TO_KILL") else { return };
    let (folder, kind) = (Path::new(&folder), std::env::var("BELLWETHER_JOURNAL_KIND").unwrap());
    let place = *Place::ALL.iter().find(|place| format!("{place:?}") == kind).unwrap();
    let said = |number: u32| println!("\nsafe {}", number + 1);
    let journal = match place {
        Place::Folder => Journal::open(folder, few()).await.unwrap(),
        Place::Checkpoints => {
            let leader = Leader::open(folder, few()).await.unwrap();
            for number in 0..ENDLESS {
                leader.append(vec![place.record(number)]).await.unwrap();
                said(number);
                assert!(leader.keep(1).await.unwrap().is_some());
            }
            return;
        }
        #[cfg(feature = "objects")]
        Place::Objects => of_store(folder, &folder.join("copy")).await,
    };
    for number in 0..ENDLESS {
        journal.append(vec![place.record(number)]).await.unwrap();
        said(number);
    }
}

/// Has a leader killed somewhere within the next commit or two after so many records; says how many it said are safe.
fn killed(place: Place, folder: &Path, until: u32, spins: u32) -> u32 {
    let name = "journal::crash::a_leader_writes_until_it_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("BELLWETHER_JOURNAL_TO_KILL", folder)
        .env("BELLWETHER_JOURNAL_KIND", format!("{place:?}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut safe = 0;
    let mut read = |line: std::io::Result<String>| {
        if let Some(number) = line.unwrap().strip_prefix("safe ") {
            safe = number.parse().unwrap();
        }
        safe
    };
    for line in lines.by_ref() {
        if read(line) >= until {
            break;
        }
    }
    (0..spins).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    for line in lines {
        read(line);
    }
    child.wait().unwrap();
    safe
}

#[tokio::test]
async fn a_leader_that_is_killed_leaves_what_it_said_is_safe() {
    for place in Place::ALL.iter().copied() {
        let seeds = match (place, long()) {
            (Place::Folder, true) => 500,
            (Place::Folder, false) => 25,
            (_, true) => 60,
            (_, false) => 4,
        };
        let (mut died, mut began) = (0, 0);
        for seed in 0..seeds {
            let mut random = fastrand::Rng::with_seed(seed);
            let folder = tempfile::tempdir().unwrap();
            let safe = killed(place, folder.path(), random.u32(0..RECORDS), random.u32(0..30_000));
            // One that came to its end, or to no begin, was not killed while it wrote.
            died += u64::from(safe < ENDLESS);
            began += u64::from(safe > 0);
            match place {
                // A leader that was killed had not told of all that is there: those after are its too.
                Place::Folder => {
                    let journal = Journal::open(folder.path(), few()).await.unwrap();
                    reopened(journal, folder.path(), safe).await;
                }
                Place::Checkpoints => started(folder.path(), safe).await,
                #[cfg(feature = "objects")]
                Place::Objects => {
                    // What the store has counts, with its copy or with none.
                    let copy = folder.path().join(if seed % 2 == 0 { "copy" } else { "another" });
                    reopened(of_store(folder.path(), &copy).await, &copy, safe).await;
                }
            }
        }
        assert!(died * 2 > seeds, "{place:?}: of {seeds} only {died} were killed before they were through");
        assert!(began * 2 > seeds, "{place:?}: of {seeds} only {began} wrote anything");
    }
}

async fn reopened(journal: Journal, folder: &Path, safe: u32) {
    let there = if journal.committed().borrow().total == 0 { Vec::new() } else { payloads(folder) };
    let count = u32::try_from(there.len()).unwrap();
    assert!(count >= safe && count <= safe + 1, "{count} records are there, {safe} were safe");
    assert_eq!(there, (0..count).map(nth).collect::<Vec<_>>());
    journal.append(vec![nth(count)]).await.unwrap();
    assert_eq!(payloads(folder).len(), there.len() + 1);
    journal.close().await.unwrap();
}

/// A checkpoint that was being written is there as a whole, or the one before it is.
async fn started(folder: &Path, safe: u32) {
    let leader = Leader::open(folder, few()).await.unwrap();
    let count = leader.corpus().records;
    assert!(
        (u64::from(safe)..=u64::from(safe) + 1).contains(&count),
        "{count} records are there, {safe} were safe"
    );
    let from_checkpoint = matches!(leader.start(), Start::Checkpoint { .. });
    assert!(from_checkpoint || safe < 2, "after {safe} records: {:?}", leader.start());
    leader.checkpoint().verify().await.unwrap();
    let before = if count == 0 { Vec::new() } else { payloads(folder) };
    assert!(before.iter().zip(0..).all(|(one, number)| *one == Place::Checkpoints.record(number)));
    let next = leader.append(vec![Place::Checkpoints.record(u32::try_from(count).unwrap())]).await.unwrap();
    assert!(leader.keep(1).await.unwrap().is_some());
    let whole = Corpus::load(Log::open(folder).unwrap(), Rules::Ours, Replay::Parallel).unwrap();
    assert_eq!((next.records, dumped(&next)), (count + 1, dumped(&whole)));
    leader.close().await.unwrap();
}
