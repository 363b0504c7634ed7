//! What is in a checkpoint, and of which log it is.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ALIGNED;
use crate::corpus::Corpus;
use crate::log::{Log, LogFile};
use crate::mapped::{Mapped, Part};
use crate::rules::Rules;
use crate::section::Unfit;

/// Bytes at the beginning and at the end of a file by which it is known again.
const LOOKED_AT: usize = 64 << 10;

/// The table of a checkpoint.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Table {
    /// Whether it was made by the original's rules.
    pub(super) original: bool,
    files: Vec<Covered>,
    pub(super) sections: Vec<Section>,
}

/// A file of the log, as far as the checkpoint knows it.
#[derive(Debug, Serialize, Deserialize)]
struct Covered {
    name: String,
    length: u64,
    head: u32,
    tail: u32,
}

/// Where a section is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Section {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) crc: u32,
}

impl Section {
    /// Its bytes.
    pub(super) fn part(&self, map: &Arc<Mapped>) -> Result<Part, Unfit> {
        let range = (usize::try_from(self.start), usize::try_from(self.length));
        let part = match range {
            (Ok(start), Ok(length)) if self.start.is_multiple_of(ALIGNED) => {
                Part::new(map.clone(), start, length)
            }
            _ => None,
        };
        part.ok_or(Unfit::Spoilt("the place of a section"))
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl Covered {
    fn of(file: &LogFile) -> Self {
        let bytes = file.bytes();
        let (head, tail) = ends(bytes);
        Self { name: name(file.path()), length: bytes.len() as u64, head, tail }
    }

    /// Whether a file begins with what was covered.
    fn is(&self, file: &LogFile) -> bool {
        let bytes = usize::try_from(self.length).ok().and_then(|length| file.bytes().get(..length));
        // One that grew may have been sealed meanwhile.
        let same = name(file.path()) == self.name || self.name.ends_with(".growing.mutlog");
        same && bytes.is_some_and(|bytes| ends(bytes) == (self.head, self.tail))
    }
}

/// Sums over the beginning and the end of bytes.
fn ends(bytes: &[u8]) -> (u32, u32) {
    let looked_at = bytes.len().min(LOOKED_AT);
    (crc32c::crc32c(&bytes[..looked_at]), crc32c::crc32c(&bytes[bytes.len() - looked_at..]))
}

impl Table {
    pub(super) fn of(corpus: &Corpus, sections: Vec<Section>) -> Self {
        let files = corpus.log.files().iter().map(|file| Covered::of(file)).collect();
        Self { original: corpus.gerrit.rules() == Rules::Original, files, sections }
    }

    pub(super) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts are JSON")
    }

    pub(super) fn read(text: &[u8]) -> Result<Self, Unfit> {
        serde_json::from_slice(text).map_err(|_| Unfit::Spoilt("its table"))
    }

    /// How much of a log the checkpoint knows, if the log begins with that.
    pub(super) fn fits(&self, log: &Log) -> Result<u64, Unfit> {
        let mut covered = 0;
        for (at, known) in self.files.iter().enumerate() {
            let Some(file) = log.files().get(at) else {
                return Err(Unfit::Log(format!("{} is not there", known.name)));
            };
            if !known.is(file) {
                return Err(Unfit::Log(format!(
                    "{} does not begin as {} did",
                    name(file.path()),
                    known.name
                )));
            }
            // What is behind a file that grew since is not known of the next ones either.
            if file.bytes().len() as u64 != known.length && at + 1 < self.files.len() {
                return Err(Unfit::Log(format!("{} has another length", name(file.path()))));
            }
            covered += known.length;
        }
        Ok(covered)
    }
}
