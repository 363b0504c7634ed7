//! The bytes of segments, as they lie in their files.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use maintner::log::{Log, LogError, LogFile};

use maintner::journal::{Committed, Segment};

/// So much is read rather than mapped: the end of the log, which everybody gets that follows it.
const SMALL: u64 = 64 << 10;
/// So many segments are open at once, to be sent from.
const OPENED: usize = 64;

/// The files of a log, mapped once for all who are sent them: what a client catches up with is copied from the pages that hold
/// the file into its connection, and nowhere else.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    mapped: Mutex<Log>,
    /// Files that were sent from last, each as it is mapped.
    opened: Mutex<Vec<(Weak<LogFile>, Arc<File>)>>,
}

/// A part of a file that stays mapped until it was sent.
struct Part {
    file: Arc<LogFile>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.file.bytes()[self.range.clone()]
    }
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, mapped: Mutex::default(), opened: Mutex::default() }
    }

    /// The file in which bytes lie that were read, and from where on in it.
    pub(super) fn lies(&self, committed: &Committed, bytes: &[u8]) -> Option<(Arc<File>, u64)> {
        let mapped = self.mapped.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let at = bytes.as_ptr().addr();
        // What is mapped here stays so until `mapped` is dropped: nothing else can lie there.
        let (number, map, from) = mapped.files().iter().enumerate().find_map(|(number, file)| {
            let from = at.checked_sub(file.bytes().as_ptr().addr())?;
            (from.checked_add(bytes.len())? <= file.bytes().len()).then_some((number, file, from))
        })?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let known = opened.iter().find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(map)));
        let file = match known {
            Some((_, file)) => file.clone(),
            None => {
                // By the name that it has now; what is mapped of it was committed, and stays.
                let file = Arc::new(committed.segments.get(number)?.open(&self.folder).ok()?);
                // The one that was opened first is closed, when all of it that is under way was sent.
                opened.truncate(OPENED - 1);
                opened.insert(0, (Arc::downgrade(map), file.clone()));
                file
            }
        };
        Some((file, from as u64))
    }

    /// Bytes of a segment. It may wait for the disk.
    pub(super) fn read(
        &self,
        committed: &Committed,
        segment: &Segment,
        range: Range<u64>,
    ) -> io::Result<Bytes> {
        if range.end - range.start > SMALL {
            match self.mapped(committed, segment, &range) {
                Ok(Some(bytes)) => return Ok(bytes),
                // It may have got its name while it was looked for; it is read as it is found.
                Ok(None) => {}
                Err(why) => tracing::debug!("the log can't be mapped: {why}"),
            }
        }
        let mut file = segment.open(&self.folder)?;
        file.seek(SeekFrom::Start(range.start))?;
        let length = usize::try_from(range.end - range.start).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }

    fn mapped(
        &self,
        committed: &Committed,
        segment: &Segment,
        range: &Range<u64>,
    ) -> Result<Option<Bytes>, LogError> {
        let now = || self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        let known = now().clone();
        if let Some(bytes) = part(&known, segment, range) {
            return Ok(Some(bytes));
        }
        let sized = |one: &Segment| (self.folder.join(one.name()), one.size);
        let paths: Vec<_> = committed.segments.iter().map(sized).collect();
        let grown = known.grown_of(&paths, committed.total)?;
        let bytes = part(&grown, segment, range);
        let mut mapped = now();
        // Another may have come farther meanwhile.
        if mapped.len() < grown.len() {
            *mapped = grown;
        }
        Ok(bytes)
    }
}

fn part(log: &Log, segment: &Segment, range: &Range<u64>) -> Option<Bytes> {
    let file = log.files().get(usize::try_from(segment.number).ok()?)?;
    let (start, end) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
    if end > file.bytes().len() {
        return None;
    }
    Some(Bytes::from_owner(Part { file: file.clone(), range: start..end }))
}
