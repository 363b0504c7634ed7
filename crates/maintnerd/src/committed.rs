//! What of a log is safe, and may be shown.

use std::fs::File;
use std::io;
use std::path::Path;

/// A segment of the log, as far as it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// From 0, without a gap.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// SHA-224 of them.
    pub sha224: [u8; 28],
    /// Whether it stays as it is.
    pub sealed: bool,
}

impl Segment {
    /// The name of its file.
    #[must_use]
    pub fn name(&self) -> String {
        if self.sealed {
            return format!("{:04}.{}.mutlog", self.number, hex::encode(self.sha224));
        }
        format!("{:04}.growing.mutlog", self.number)
    }

    /// Opens its file; its first `size` bytes are the segment's.
    ///
    /// # Errors
    /// What can't be opened.
    pub fn open(&self, folder: &Path) -> io::Result<File> {
        File::open(folder.join(self.name()))
    }
}

/// What readers may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// The segments from 0 on; all but the last are sealed, and none is empty.
    pub segments: Vec<Segment>,
    /// Bytes of all of them.
    pub total: u64,
}
