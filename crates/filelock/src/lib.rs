//! A lock on a file that is free the moment its holder lets go.
//!
//! Such a lock belongs to the open file, of which a program that is being started has a copy from the fork until it becomes what
//! it shall be. So whoever only closes the file while another thread starts a program leaves it locked for that long, and who
//! tries next is refused, though nobody has it. [`Held`] therefore takes its lock back in words.

use std::fs::{File, TryLockError};
use std::ops::Deref;

/// The lock on a file, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Held(File);

impl Held {
    /// Locks a file for this holder alone, without waiting.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] where another has it.
    pub fn take(file: File) -> Result<Self, TryLockError> {
        file.try_lock()?;
        Ok(Self(file))
    }
}

impl Deref for Held {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Where it fails, closing the file is what is left.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_open_file_keeps_nothing_locked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let held = Held::take(file.reopen().unwrap()).unwrap();
        // What a program that is being started has.
        let copy = held.try_clone().unwrap();
        assert!(matches!(Held::take(file.reopen().unwrap()), Err(TryLockError::WouldBlock)));
        drop(held);
        Held::take(file.reopen().unwrap()).unwrap();
        drop(copy);
    }
}
