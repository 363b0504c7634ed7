//! Sections on their way into a checkpoint and out of it.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use super::ALIGNED;
use super::table::Section;
use crate::mapped::{Mapped, Part};
use crate::section::{Sections, Unfit};

/// Writes sections one behind the other.
pub(super) struct Writer {
    file: BufWriter<File>,
    at: u64,
    sections: Vec<Section>,
}

impl Writer {
    /// Into a file, behind room for a head.
    pub(super) fn new(mut file: BufWriter<File>, head: u64) -> io::Result<Self> {
        file.write_all(&vec![0; usize::try_from(head).unwrap_or_default()])?;
        Ok(Self { file, at: head, sections: Vec::new() })
    }

    /// The file, where it goes on, and what is in it.
    pub(super) fn finish(self) -> (BufWriter<File>, u64, Vec<Section>) {
        (self.file, self.at, self.sections)
    }

    fn write(&mut self, pieces: &mut dyn Iterator<Item = &[u8]>) -> io::Result<()> {
        let gap = self.at.next_multiple_of(ALIGNED) - self.at;
        self.file.write_all(&[0; 64][..usize::try_from(gap).unwrap_or_default()])?;
        let mut section = Section { start: self.at + gap, length: 0, crc: 0 };
        for piece in pieces {
            self.file.write_all(piece)?;
            section.length += piece.len() as u64;
            section.crc = crc32c::crc32c_append(section.crc, piece);
        }
        self.at = section.start + section.length;
        self.sections.push(section);
        Ok(())
    }
}

impl Sections for Writer {
    fn section(
        &mut self,
        _size: usize,
        pieces: &mut dyn Iterator<Item = &[u8]>,
    ) -> Result<Option<Part>, Unfit> {
        self.write(pieces).map_err(|why| Unfit::Io { path: PathBuf::from("checkpoint"), why })?;
        Ok(None)
    }
}

/// Gives out the sections of a mapped checkpoint.
pub(super) struct Reader<'a> {
    map: &'a Arc<Mapped>,
    rest: std::slice::Iter<'a, Section>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(map: &'a Arc<Mapped>, sections: &'a [Section]) -> Self {
        Self { map, rest: sections.iter() }
    }

    /// That all were asked for.
    pub(super) fn finish(mut self) -> Result<(), Unfit> {
        self.rest.next().map_or(Ok(()), |_| Err(Unfit::Spoilt("how many sections there are")))
    }
}

impl Sections for Reader<'_> {
    fn section(
        &mut self,
        size: usize,
        _pieces: &mut dyn Iterator<Item = &[u8]>,
    ) -> Result<Option<Part>, Unfit> {
        let section = self.rest.next().ok_or(Unfit::Spoilt("how many sections there are"))?;
        let part = section.part(self.map)?;
        if !part.len().is_multiple_of(size) {
            return Err(Unfit::Spoilt("the length of a section"));
        }
        Ok(Some(part))
    }
}
