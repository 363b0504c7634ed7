//! Leaders that die: at each step, by a disk that goes away, and by `kill -9`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use maintner::journal::{Committed, Journal, Options, Segment};

use super::disk::Faulty;
use super::{assert_shown, options, payloads, record};

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
    maintner::verify::verify(&maintner::log::Log::open(folder).unwrap()).unwrap();
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

/// In a process of its own, which is this program once more.
#[tokio::test]
async fn a_leader_writes_until_it_is_killed() {
    let Some(folder) = std::env::var_os("BELLWETHER_JOURNAL_TO_KILL") else { return };
    let journal = Journal::open(Path::new(&folder), Options { segment: SEGMENT, ..Options::default() });
    let journal = journal.await.unwrap();
    for number in 0..RECORDS {
        journal.append(vec![nth(number)]).await.unwrap();
        println!("\nsafe {}", number + 1);
    }
}

#[tokio::test]
async fn a_leader_that_is_killed_leaves_what_it_said_is_safe() {
    let mut died = 0;
    for seed in 0..if long() { 500 } else { 12 } {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().unwrap();
        let name = "journal::crash::a_leader_writes_until_it_is_killed";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env("BELLWETHER_JOURNAL_TO_KILL", folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let until = random.u32(0..RECORDS);
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
        // Somewhere within the next commit or two.
        let spins = random.u32(0..30_000);
        (0..spins).for_each(|_| std::hint::spin_loop());
        child.kill().unwrap();
        for line in lines {
            read(line);
        }
        child.wait().unwrap();
        died += u32::from(safe < RECORDS);
        // A leader that was killed had not told of all that is there: those after are its too.
        reopened(folder.path(), safe).await;
    }
    assert!(died > 0, "all were through before they were killed");
}

async fn reopened(folder: &Path, safe: u32) {
    let journal = Journal::open(folder, Options { segment: SEGMENT, ..Options::default() }).await.unwrap();
    let there = if journal.committed().borrow().total == 0 { Vec::new() } else { payloads(folder) };
    let count = u32::try_from(there.len()).unwrap();
    assert!(count >= safe && count <= safe + 1, "{count} records are there, {safe} were safe");
    assert_eq!(there, (0..count).map(nth).collect::<Vec<_>>());
    journal.append(vec![nth(count)]).await.unwrap();
    assert_eq!(payloads(folder).len(), there.len() + 1);
    journal.close().await.unwrap();
}
