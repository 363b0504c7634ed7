//! What a checkpoint is made of: runs of plain elements, which the parts of a corpus give out in a fixed order, or take back as
//! they lie in the mapped file.

use std::path::PathBuf;

use thiserror::Error;
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::mapped::Part;

/// Writes sections, or reads them in the same order.
pub(crate) trait Sections {
    /// The next section, of elements of that size: a writer takes the pieces and gives nothing, a reader gives what it has.
    fn section(
        &mut self,
        size: usize,
        pieces: &mut dyn Iterator<Item = &[u8]>,
    ) -> Result<Option<Part>, Unfit>;
}

/// A section of some numbers, which are given out or replaced.
pub(crate) fn numbers(numbers: &mut [u64], sections: &mut dyn Sections) -> Result<(), Unfit> {
    let part = sections.section(size_of::<u64>(), &mut [numbers.as_bytes()].into_iter())?;
    if let Some(part) = part {
        let kept = <[u64]>::ref_from_bytes(&part).unwrap_or_default();
        if kept.len() != numbers.len() {
            return Err(Unfit::Spoilt("how many numbers there are"));
        }
        numbers.copy_from_slice(kept);
    }
    Ok(())
}

/// Why there is no corpus by a checkpoint. The log says all that it would have said.
#[derive(Debug, Error)]
pub enum Unfit {
    /// There is none yet.
    #[error("there is no checkpoint yet")]
    Missing,
    /// It can't be read or written.
    #[error("{}: {why}", path.display())]
    Io {
        /// The checkpoint.
        path: PathBuf,
        /// The system's word.
        why: std::io::Error,
    },
    /// Another program's file, or of another version or other rules.
    #[error("it is of another version ({0})")]
    Version(String),
    /// It is of a log that does not begin as this one does.
    #[error("it is of another log: {0}")]
    Log(String),
    /// It is cut or changed.
    #[error("it was changed since it was written: {0} does not fit")]
    Spoilt(&'static str),
    /// The log has a bad record behind what the checkpoint knows.
    #[error(transparent)]
    Tail(#[from] crate::log::LogError),
}
