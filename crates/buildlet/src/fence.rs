//! The highest fencing token seen, which survives a restart.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch;

use crate::sys::FileExt as _;

/// The fence of this agent; it only rises.
pub(crate) struct Fence {
    current: watch::Sender<u64>,
    file: Arc<File>,
    rising: tokio::sync::Mutex<()>,
}

/// What a holder sends. It breaks off once a newer one has come: nothing more of it is written.
pub(crate) struct Held<R> {
    fence: Arc<Fence>,
    token: Option<u64>,
    inner: R,
}

impl<R: io::Read> io::Read for Held<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.token {
            Some(token) if token < self.fence.current() => {
                Err(io::Error::other("another holds this machine now"))
            }
            _ => Ok(read),
        }
    }
}

/// Why a token was not let in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FenceError {
    #[error("fencing token is older than {0}")]
    Stale(u64),
    #[error("the fence could not be stored")]
    Store(#[from] io::Error),
}

impl Fence {
    /// Opens the fence in a state directory.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Self> {
        let path = state_dir.join("fence");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let text = std::fs::read_to_string(&path)?;
        let current = match text.trim() {
            "" => 0,
            digits => digits.parse().map_err(|_bad| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: not a number", path.display()))
            })?,
        };
        Ok(Self {
            current: watch::Sender::new(current),
            file: Arc::new(file),
            rising: tokio::sync::Mutex::new(()),
        })
    }

    /// Returns the highest token seen.
    pub(crate) fn current(&self) -> u64 {
        *self.current.borrow()
    }

    /// Returns once somebody newer than the holder of a token has come; never for who holds none.
    pub(crate) async fn outrun(&self, token: Option<u64>) {
        let Some(token) = token else { return std::future::pending().await };
        // The sender lives as long as `self`.
        let mut current = self.current.subscribe();
        let _newer = current.wait_for(|current| token < *current).await;
    }

    /// Reads of what a holder sends, as long as nobody newer has come.
    pub(crate) fn holds<R>(self: &Arc<Self>, token: Option<u64>, inner: R) -> Held<R> {
        Held { fence: Arc::clone(self), token, inner }
    }

    /// Lets a token in if it is not older than the highest seen; a newer one is on disk before this returns.
    pub(crate) async fn admit(&self, token: u64) -> Result<(), FenceError> {
        if token > self.current() {
            let _rising = self.rising.lock().await;
            if token > self.current() {
                let file = Arc::clone(&self.file);
                let store = move || {
                    // Always the same length, so that one write replaces it.
                    file.write_all_at(format!("{token:020}\n").as_bytes(), 0)?;
                    file.sync_data()
                };
                tokio::task::spawn_blocking(store).await.map_err(io::Error::other)??;
                self.current.send_replace(token);
            }
        }
        match self.current() {
            current if token < current => Err(FenceError::Stale(current)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_rises_and_survives() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::open(dir.path()).unwrap();
        fence.admit(7).await.unwrap();
        fence.admit(7).await.unwrap();
        assert!(matches!(fence.admit(6).await, Err(FenceError::Stale(7))));
        drop(fence);
        assert_eq!(Fence::open(dir.path()).unwrap().current(), 7);
    }

    #[test]
    fn garbage_is_an_error_and_no_zero() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("fence"), "x").unwrap();
        assert!(Fence::open(dir.path()).is_err());
    }
}
