//! A journal in an object store. Three kinds of objects lie below its prefix:
//!
//! * `tail/SEQ`: what was committed together, as it came (SEQ is 16 hexadecimal digits, counted from 0 without a gap), or the
//!   claim of a leader (module `tail`);
//! * `NNNN.SHA224.mutlog`: a sealed segment, the original's, which took the place of its tails;
//! * `sealed/NNNN`: the list of all segments up to this one, and the tail that the next begins with (module `seals`).
//!
//! All but the segments are created and never replaced, so that of two who try one is refused. A leader begins with a claim at
//! the first tail that is not there, which is where the leader before it would write next: its write is refused, and it knows
//! why. Claims are never removed, so that this holds however late that leader wakes up.
//!
//! A prefix with segments and nothing else is the bucket of a leader of the original, which is taken over (module `adopt`).
//!
//! But for that, nothing depends on listing, which stores may answer late: all names but those of segments can be counted, and
//! those are in the lists. A local folder holds the whole log as a copy, for readers; it is made anew where it is not what the
//! store has.
//! Segments are uploaded beside what goes on, and only after that their tails are removed.

mod adopt;
mod calls;
mod merge;
mod seals;
mod tail;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use object_store::ObjectStore;
use sha2::{Digest as _, Sha224};
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::calls::{Calls, Put};
use self::merge::{Full, Merger};
use self::seals::Seals;
use self::tail::Tail;
use super::copied;
use super::disk::replace;
use super::folder::{Folder, Local, Safety};
use super::storage::{Piece, Storage, StorageError};
use super::{Cut, Disk, GATHER, Journal, OpenError, Options, Segment, growing_name, holder, idx_name, open};
use crate::log;

/// Tails that are fetched at a time.
const AT_ONCE: usize = 32;
/// Segments that wait to be uploaded. When there are more, appends wait, for [`Limits::behind`].
const BEHIND: usize = 4;
/// How long closing waits for uploads; whoever opens the journal next goes on with them.
const CLOSING: Duration = Duration::from_secs(30);

/// How long is waited for the store.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One call that moves little.
    pub call: Duration,
    /// One call that moves a segment.
    pub transfer: Duration,
    /// How often a call is made that fails for a reason that may pass.
    pub tries: u32,
    /// Pause before the second; each further one is twice as long, at most 10 s.
    pub pause: Duration,
    /// How long an append waits while too many full segments wait to be uploaded. After that the journal takes no more: whoever
    /// opens it next has to read all that was not uploaded.
    pub behind: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(15),
            transfer: Duration::from_secs(300),
            tries: 8,
            pause: Duration::from_millis(200),
            behind: Duration::from_secs(600),
        }
    }
}

impl Journal {
    /// Opens the journal below a prefix of an object store, and leads it from now on. The folder is its copy.
    ///
    /// # Errors
    /// That the store does not answer, that its objects are none of a journal, that another process uses the folder. Another
    /// leader is no error: it is the one that is refused from now on.
    pub async fn open_objects(
        store: Arc<dyn ObjectStore>,
        prefix: &str,
        folder: &Path,
        options: Options,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let calls = Calls::new(store, prefix, limits);
        let who = holder(&options.holder);
        let (path, disk) = (folder.to_path_buf(), options.disk.clone());
        let lead = blocking({
            let who = who.clone();
            move || {
                let lead = open::lead(&path, &*disk, &who)?;
                let failed = |why| OpenError::Io { path: path.clone(), why };
                if !copied::is(&path).map_err(failed)? {
                    if !log::segments(&path).map_err(failed)?.is_empty() {
                        return Err(OpenError::Own { path });
                    }
                    copied::set(&path, &*disk).map_err(failed)?;
                }
                Ok(lead)
            }
        })
        .await?;
        let mut seals = Seals::last(&calls).await?;
        if seals.segments.is_empty()
            && calls.get_tail(0).await?.is_none()
            && let Some(original) = adopt::found(&calls).await?
        {
            // All of it is fetched and read before it is ours.
            tracing::info!(segments = original.segments.len(), "a bucket of the original is taken over");
            fill(&calls, folder, &options.disk, original.segments.clone(), Vec::new()).await?;
            adopt::keep(&calls, &original).await?;
            seals = original;
        }
        let led = loop {
            let led = lead_store(&calls, &seals, &who).await?;
            // A leader before may have removed tails that were to be read, of a segment that it merged meanwhile. The claim
            // that took the number of one of them stays, and harms nobody.
            let now = Seals::last(&calls).await?;
            if now == seals {
                break led;
            }
            seals = now;
        };
        let (sealed, tails) = (seals.segments.clone(), led.segments.clone());
        let found = fill(&calls, folder, &options.disk, sealed, tails).await?;
        let known = seals.segments.len();
        let (full, waiting) = mpsc::channel(BEHIND + led.segments.len());
        for (nth, segment) in found.sealed.iter().enumerate().skip(known) {
            let next = led.segments.get(nth + 1 - known).map_or(led.next, |segment| segment.first);
            // There is room for all of them.
            let _ = full.try_send(Full { segment: *segment, next });
        }
        let (trouble, merging) = watch::channel(None);
        let (stored, stored_now) = watch::channel(known);
        let (place, claims) = (folder.to_path_buf(), led.claims);
        let merger = Merger { calls: calls.clone(), folder: place, seals, claims, trouble, stored };
        let local = Folder::new(folder.to_path_buf(), options.disk, lead, Safety::Copied);
        let storage = Objects {
            calls,
            who,
            fence: led.fence,
            next: led.next,
            local: Local::new(local),
            full: Some(full),
            behind: limits.behind,
            merging,
            merger: tokio::spawn(merger.run(waiting)),
        };
        let mut journal = Self::begin(folder, found, Box::new(storage), options.segment, GATHER);
        journal.stored = Some(stored_now);
        Ok(journal)
    }
}

/// Makes the folder a copy of what the store has, and finds what is in it.
async fn fill(
    calls: &Calls,
    folder: &Path,
    disk: &Arc<dyn Disk>,
    sealed: Vec<Segment>,
    tails: Vec<Tailed>,
) -> Result<open::Found, OpenError> {
    let kept = blocking({
        let (path, disk) = (folder.to_path_buf(), disk.clone());
        move || copy(&path, &sealed, &tails, &*disk)
    })
    .await?;
    for segment in &kept.missing {
        let bytes = calls.get_segment(segment).await?;
        let (path, disk) = (folder.join(segment.name()), disk.clone());
        blocking(move || replace(&*disk, &path, &bytes).map_err(|why| OpenError::Io { path, why })).await?;
    }
    let (path, disk) = (folder.to_path_buf(), disk.clone());
    let mut found = blocking(move || find(&path, &*disk)).await?;
    match found.opened.cut.take() {
        Some(Cut { path, why, .. }) => Err(OpenError::Store { object: path.display().to_string(), why }),
        None => Ok(found),
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, OpenError> + Send + 'static,
) -> Result<T, OpenError> {
    tokio::task::spawn_blocking(act).await.map_err(|_| OpenError::Stopped)?
}

/// A segment that has no object yet.
#[derive(Debug, Clone, Default)]
struct Tailed {
    number: u32,
    /// Number of its first tail.
    first: u64,
    bytes: Vec<u8>,
}

/// What the tails say, and that we lead.
struct Led {
    segments: Vec<Tailed>,
    claims: BTreeSet<u64>,
    /// Number of our claim.
    fence: u64,
    /// Number of the next tail.
    next: u64,
}

/// Reads all tails, and claims the first number that has none.
async fn lead_store(calls: &Calls, seals: &Seals, who: &str) -> Result<Led, OpenError> {
    let mut led = Led { segments: Vec::new(), claims: BTreeSet::new(), fence: 0, next: seals.next };
    loop {
        let numbers = led.next..led.next.saturating_add(AT_ONCE as u64);
        let mut tails = futures::stream::iter(numbers).map(|number| calls.get_tail(number)).buffered(AT_ONCE);
        let mut ended = false;
        while let Some(tail) = tails.next().await {
            let Some(tail) = tail? else {
                ended = true;
                break;
            };
            take(&mut led, seals, &tail)
                .map_err(|why| OpenError::Store { object: calls.tail_name(led.next), why })?;
            led.next += 1;
        }
        drop(tails);
        if !ended {
            continue;
        }
        let claim = Tail::Claim { holder: who.to_owned() }.encode(led.next);
        // One that is there already may be ours, of a call whose answer was lost; it is read like any other, and harms nobody.
        if calls.create(&calls.tail_name(led.next), claim).await? == Put::Created {
            led.claims.insert(led.next);
            led.fence = led.next;
            led.next += 1;
            return Ok(led);
        }
    }
}

/// Takes the next tail.
fn take(led: &mut Led, seals: &Seals, tail: &Tail) -> Result<(), String> {
    let Tail::Group { number, offset, bytes, .. } = tail else {
        led.claims.insert(led.next);
        return Ok(());
    };
    let first = u32::try_from(seals.segments.len()).unwrap_or(u32::MAX);
    let (last, size) =
        led.segments.last().map_or((None, 0), |last| (Some(last.number), last.bytes.len() as u64));
    if last == Some(*number) && *offset == size {
        if let Some(last) = led.segments.last_mut() {
            last.bytes.extend_from_slice(bytes);
        }
        return Ok(());
    }
    if *number != last.map_or(first, |last| last.saturating_add(1)) || *offset != 0 {
        return Err(format!(
            "it is of segment {number:04} from {offset} on, which does not follow what is before it"
        ));
    }
    led.segments.push(Tailed { number: *number, first: led.next, bytes: bytes.clone() });
    Ok(())
}

/// What the copy does not have.
struct Kept {
    missing: Vec<Segment>,
}

/// Makes the folder a copy of what the store has, as far as that needs no fetching.
fn copy(folder: &Path, sealed: &[Segment], tails: &[Tailed], disk: &dyn Disk) -> Result<Kept, OpenError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |why| OpenError::Io { path, why }
    };
    let mut missing = Vec::new();
    let mut wanted: BTreeSet<PathBuf> = BTreeSet::new();
    for segment in sealed {
        let path = folder.join(segment.name());
        if !fs::read(&path).is_ok_and(|bytes| segment.has(&bytes)) {
            missing.push(*segment);
        }
        wanted.insert(path);
    }
    // Its bytes are those of the store, or it is not kept; then its index is not either.
    for (nth, segment) in tails.iter().enumerate() {
        let size = segment.bytes.len() as u64;
        let sha224 = Sha224::digest(&segment.bytes).into();
        let name = Segment { number: segment.number, size, sha224, sealed: nth + 1 < tails.len() }.name();
        let (path, growing) = (folder.join(name), folder.join(growing_name(segment.number)));
        let there = if path.exists() { &path } else { &growing };
        let same = fs::read(there).is_ok_and(|bytes| bytes == segment.bytes);
        if !same {
            remove(&folder.join(idx_name(segment.number)))?;
            replace(disk, &path, &segment.bytes).map_err(failed(&path))?;
        } else if there != &path {
            fs::rename(there, &path).map_err(failed(&path))?;
        }
        wanted.insert(path);
    }
    // What the store does not have was of another journal, or is a part of a segment that is whole now.
    for path in log::segments(folder).map_err(failed(folder))? {
        if !wanted.contains(&path) {
            fs::remove_file(&path).map_err(failed(&path))?;
        }
    }
    let count = sealed.len() + tails.len();
    let stale =
        (count..).map(|number| folder.join(format!("{number:04}.idx"))).take_while(|path| path.exists());
    for path in stale.collect::<Vec<_>>() {
        remove(&path)?;
    }
    for segment in &missing {
        remove(&folder.join(idx_name(segment.number)))?;
    }
    Ok(Kept { missing })
}

/// Finds what is in the copy. Its indexes are made again where they are of other segments.
fn find(folder: &Path, disk: &dyn Disk) -> Result<open::Found, OpenError> {
    match open::find_of(folder, disk, Safety::Copied) {
        Err(OpenError::Length { .. } | OpenError::Damaged { .. } | OpenError::Idx { .. }) => {
            for path in
                log::segments(folder).map_err(|why| OpenError::Io { path: folder.to_path_buf(), why })?
            {
                if let Some((number, _)) = log::named(&path) {
                    remove(&folder.join(format!("{number:04}.idx")))?;
                }
            }
            open::find_of(folder, disk, Safety::Copied)
        }
        found => found,
    }
}

fn remove(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => {
            Err(OpenError::Io { path: path.to_path_buf(), why })
        }
        _ => Ok(()),
    }
}

/// The store, for whoever leads it.
struct Objects {
    calls: Calls,
    who: String,
    fence: u64,
    next: u64,
    local: Local,
    full: Option<mpsc::Sender<Full>>,
    behind: Duration,
    /// Why the segment can't be uploaded that is.
    merging: watch::Receiver<Option<String>>,
    merger: JoinHandle<()>,
}

impl Objects {
    /// A place among the segments that wait to be uploaded, for the one that a piece seals.
    async fn place(&self, piece: &Piece) -> Result<Option<(OwnedPermit<Full>, Segment)>, StorageError> {
        let (Some(segment), Some(full)) = (piece.seal, &self.full) else { return Ok(None) };
        let why = match tokio::time::timeout(self.behind, full.clone().reserve_owned()).await {
            Ok(Ok(place)) => return Ok(Some((place, segment))),
            Ok(Err(_)) => return Err(StorageError::Stopped),
            Err(_) => self.merging.borrow().clone().unwrap_or_else(|| "the store is too slow".to_owned()),
        };
        let (object, behind) = (self.calls.segment_name(&segment), self.behind);
        let why = format!(
            "{BEHIND} segments before it could not be uploaded for {behind:?}: {why}; when the store takes them again, open \
             the log again, which goes on with them"
        );
        Err(StorageError::Object { object, what: "uploading it", why })
    }
}

#[async_trait]
impl Storage for Objects {
    async fn commit(&mut self, piece: &Arc<Piece>) -> Result<(), StorageError> {
        // Before anything is written: what is safe is shown, and does not wait for what has time.
        let place = self.place(piece).await?;
        let name = self.calls.tail_name(self.next);
        let group = Tail::Group {
            number: piece.number,
            offset: piece.offset,
            fence: self.fence,
            bytes: piece.bytes.clone(),
        };
        let encoded = group.encode(self.next);
        if self.calls.create(&name, encoded).await? == Put::Exists {
            match self.calls.get_tail(self.next).await? {
                // The answer to the first call was lost, or that came after the second.
                Some(found) if found == group => {}
                Some(Tail::Claim { holder }) => return Err(StorageError::Fenced { place: name, holder }),
                _ => return Err(StorageError::Fenced { place: name, holder: "nobody knows who".to_owned() }),
            }
        }
        let first = self.next;
        self.next += 1;
        self.local.commit(piece).await?;
        if let Some((place, segment)) = place {
            place.send(Full { segment, next: first });
        }
        Ok(())
    }

    async fn settle(&mut self, piece: &Arc<Piece>) -> Result<(), StorageError> {
        self.local.settle(piece).await
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        self.full = None;
        if tokio::time::timeout(CLOSING, &mut self.merger).await.is_err() {
            tracing::warn!(leader = %self.who, "full segments were not all uploaded; the next leader goes on with them");
            self.merger.abort();
        }
        self.local.close().await
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        self.merger.abort();
    }
}
