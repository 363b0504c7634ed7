//! JUnit files, which lie on the machines that ran the tests: read while those are still ours, and put together as if one machine
//! had them all.

use std::collections::HashSet;

use buildlet_client::Error;
use futures::StreamExt as _;
use testresults::{Format, Limits, Reader, Test};

use super::record::Record;
use super::results::{format, left_out, put};
use super::{Buildlet, Shared, Trouble};
use crate::spread::files::{self, Written};

/// The most JUnit files of an attempt, and the most bytes of all together.
pub(crate) const FILES: usize = 1000;
pub(crate) const BYTES: u64 = 256 << 20;
/// So many results are sent at once.
const BATCH: usize = 500;

/// What the JUnit files of an attempt say.
pub(crate) struct Junit {
    reader: Reader,
    waiting: Vec<Test>,
    files: usize,
    bytes: u64,
    /// Files of several machines that were read: of one name and content there is one.
    seen: HashSet<(String, files::Digest)>,
    /// What was warned of.
    said: HashSet<String>,
}

impl Junit {
    pub(crate) fn new() -> Junit {
        Junit {
            reader: Reader::new(Format::Junit, Limits::default(), 0),
            waiting: Vec::new(),
            files: 0,
            bytes: 0,
            seen: HashSet::new(),
            said: HashSet::new(),
        }
    }

    /// Warns once of what may come from every machine.
    pub(crate) fn warn(&mut self, record: &mut Record, what: String) {
        if self.said.len() < FILES && self.said.insert(what.clone()) {
            record.warn(what);
        }
    }

    /// Whether there is room for one more file.
    fn room(&mut self, record: &mut Record, path: &str, size: u64) -> bool {
        if self.files >= FILES {
            self.warn(record, too_many());
            return false;
        }
        if self.bytes.saturating_add(size) > BYTES {
            let what = format!("JUnit file {path} and those after it were left out: more than {BYTES} bytes");
            if self.bytes < BYTES {
                record.warn(what);
            }
            self.bytes = BYTES;
            return false;
        }
        (self.files, self.bytes) = (self.files + 1, self.bytes + size);
        true
    }

    async fn feed(&mut self, shared: &Shared, record: &mut Record, bytes: &[u8]) -> Result<(), Trouble> {
        self.reader.feed(bytes);
        self.send(shared, record, BATCH).await
    }

    /// A file is done.
    fn end_file(&mut self, record: &mut Record, path: &str) {
        if let Some(problem) = self.reader.next_file(Format::Junit) {
            record.warn(format!("JUnit file {path}: {problem}"));
        }
    }

    /// Sends what is read, where it is as much.
    async fn send(&mut self, shared: &Shared, record: &mut Record, least: usize) -> Result<(), Trouble> {
        self.waiting.extend(self.reader.take());
        while self.waiting.len() >= least.max(1) {
            let rest = self.waiting.split_off(self.waiting.len().min(BATCH));
            put(shared, record, std::mem::replace(&mut self.waiting, rest)).await?;
        }
        Ok(())
    }

    /// Reads a file that was fetched from one of several machines. What it was kept in is its caller's to delete.
    pub(crate) async fn take(
        &mut self,
        shared: &Shared,
        record: &mut Record,
        file: &Written,
    ) -> Result<(), Trouble> {
        if !self.seen.insert((file.path.clone(), file.digest)) || !self.room(record, &file.path, file.size) {
            return Ok(());
        }
        for piece in &file.output.pieces {
            let bytes = shared.objects.get(piece).await;
            let bytes =
                bytes.map_err(|error| Trouble::server("objects", format!("a JUnit file: {error}")))?;
            self.feed(shared, record, &bytes).await?;
        }
        self.feed(shared, record, &file.output.rest).await?;
        self.end_file(record, &file.path);
        Ok(())
    }
}

pub(crate) fn too_many() -> String {
    format!("too many JUnit files: {FILES} at most are read")
}

/// Reads JUnit files, where the job's results are in such: all, or what other machines and this one have not told of yet.
pub(super) async fn files(shared: &Shared, record: &mut Record, buildlet: &Buildlet) -> Result<(), Trouble> {
    let (Some(Format::Junit), Some(pattern)) = (format(record), record.job.junit.clone()) else {
        return Ok(());
    };
    record.span("results", &pattern);
    let mut junit = match record.junit.take() {
        Some(mut junit) => {
            rest(shared, record, buildlet, &mut junit, pattern).await?;
            junit
        }
        None => {
            let mut junit = Junit::new();
            all(shared, record, buildlet, &mut junit, pattern).await?;
            junit
        }
    };
    let summary = junit.reader.finish();
    junit.send(shared, record, 1).await?;
    left_out(record, summary.left_out);
    record.end_span(None);
    Ok(())
}

fn none(record: &mut Record) {
    record.warn("no result of a test is known: no file matches `junit`".to_owned());
}

fn not_listed(what: &str) -> String {
    format!("no result of a test is known: the JUnit files can't be listed: {what}")
}

/// What this machine has beside what was read after its chunks.
async fn rest(
    shared: &Shared,
    record: &mut Record,
    buildlet: &Buildlet,
    junit: &mut Junit,
    pattern: String,
) -> Result<(), Trouble> {
    let kept = std::sync::atomic::AtomicUsize::new(0);
    let wanted = files::Wanted { dir: record.job.repo.clone(), pattern };
    let name = format!("{}/{}/{}-rest", crate::spread::trees::TREES, record.attempt.id, record.fence);
    let mut seen = files::Seen::default();
    let look = files::look(&shared.objects, buildlet, &wanted, &name, &mut seen, &kept).await;
    let look = look.map_err(crate::spread::helper::trouble)?;
    for warning in look.warnings {
        junit.warn(record, warning);
    }
    for file in &look.files {
        junit.take(shared, record, file).await?;
        file.output.forget(&shared.objects).await;
    }
    if junit.files == 0 {
        none(record);
    }
    Ok(())
}

/// All that the one machine has that ran the tests: as it comes, as nothing is there twice.
async fn all(
    shared: &Shared,
    record: &mut Record,
    buildlet: &Buildlet,
    junit: &mut Junit,
    pattern: String,
) -> Result<(), Trouble> {
    let dir = record.job.repo.clone();
    let found = match buildlet.glob(&dir, &[pattern]).await {
        Ok(found) => found,
        // Names that no list can hold are the job's doing.
        Err(Error::Protocol { what }) => {
            record.warn(not_listed(&what.to_string()));
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if found.truncated || found.files.len() > FILES {
        junit.warn(record, too_many());
    }
    if found.files.is_empty() {
        none(record);
    }
    for file in found.files.into_iter().take(FILES) {
        if !junit.room(record, &file.path, file.size) {
            break;
        }
        let mut stream = match buildlet.file(&format!("{dir}/{}", file.path)).await {
            Ok(stream) => stream,
            // By a name that the job chose.
            Err(Error::Refused { status: 400, message, .. }) => {
                record.warn(format!("JUnit file {} was left out: {message}", file.path));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // It may have grown since it was listed, and a worker may say anything.
        let mut left = file.size;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            let chunk = &chunk[..chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            left -= chunk.len() as u64;
            junit.feed(shared, record, chunk).await?;
        }
        junit.end_file(record, &file.path);
    }
    Ok(())
}
