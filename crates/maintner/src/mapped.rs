//! Files in memory without being read.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

/// The bytes that a file had when it was opened.
#[derive(Debug)]
pub struct Mapped(Option<memmap2::Mmap>);

impl Mapped {
    /// Maps a file of a log, or as much of it as is asked for.
    ///
    /// # Errors
    /// What can't be opened or mapped.
    #[allow(unsafe_code, reason = "there is no safe way to map a file")]
    pub fn open(path: &Path, longest: u64) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len().min(longest);
        // Nothing can't be mapped.
        if length == 0 {
            return Ok(Self(None));
        }
        let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
        // SAFETY: The bytes of a mapping may not change while there are references to them. A log is only ever appended to:
        // no writer of ours or of the original's rewrites a byte in place or cuts a file short (what is mended or grown by
        // copying is renamed over the old one, whose mapping stays as it was), and the mapping ends where the file ended when
        // it was made. Who cuts the file from outside ends this process by SIGBUS.
        let map = unsafe { memmap2::MmapOptions::new().len(length).map(&file)? };
        Ok(Self(Some(map)))
    }

    /// Has all of it in memory, since all of it is going to be read: at once that costs less than page by page. A wish, no
    /// more; a system that can't does not.
    pub fn populate(&self) {
        #[cfg(target_os = "linux")]
        if let Some(map) = &self.0 {
            let _ = map.advise(memmap2::Advice::PopulateRead);
        }
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// A part of a mapped file, which stays mapped while there is one.
#[derive(Debug, Clone)]
pub struct Part {
    map: Arc<Mapped>,
    start: usize,
    length: usize,
}

impl Part {
    /// These bytes of a file; none where the file has not all of them.
    #[must_use]
    pub fn new(map: Arc<Mapped>, start: usize, length: usize) -> Option<Self> {
        map.get(start..start.checked_add(length)?)?;
        Some(Self { map, start, length })
    }

    /// Cuts off what is behind the first bytes; all of it goes where there are no more.
    pub fn take(&mut self, length: usize) -> Self {
        let length = length.min(self.length);
        let first = Self { map: self.map.clone(), start: self.start, length };
        (self.start, self.length) = (self.start + length, self.length - length);
        first
    }
}

impl Deref for Part {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map[self.start..self.start + self.length]
    }
}
