//! Where a journal's bytes are kept.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use thiserror::Error;

pub use super::growing::Piece;

/// Why bytes could not be made safe. The journal takes none after that: what is safe is found out by opening it again.
#[derive(Debug, Error)]
pub enum StorageError {
    /// A file.
    #[error("{}: {what}: {why}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What was done with it.
        what: &'static str,
        /// The system's word.
        why: io::Error,
    },
    /// Somebody else took over.
    #[error("{place}: another leader took over: {holder}")]
    Fenced {
        /// The folder or the store.
        place: String,
        /// Who.
        holder: String,
    },
    /// An object store.
    #[error("{object}: {what}: {why}")]
    Object {
        /// Which object.
        object: String,
        /// What was done with it.
        what: &'static str,
        /// The store's word.
        why: String,
    },
    /// There is no name for one more segment.
    #[error(
        "the log has {segments} segments, and their names have four digits: begin another log, in another folder or below \
        another prefix; this one stays as it is and is read as before"
    )]
    Full {
        /// How many there are.
        segments: u32,
    },
    /// The task that wrote is gone.
    #[error("the writer was stopped")]
    Stopped,
}

/// Makes bytes safe, in the order in which they come. It is asked one thing at a time, and nothing after an error.
#[async_trait]
pub trait Storage: Send + 'static {
    /// Makes a piece safe; where it says so, the segment before it is sealed first. When this returns, readers may see the piece.
    ///
    /// # Errors
    /// What went wrong, or that somebody else leads now.
    async fn commit(&mut self, piece: &Arc<Piece>) -> Result<(), StorageError>;

    /// What can wait until readers see the piece: its rows of the index.
    ///
    /// # Errors
    /// What went wrong.
    async fn settle(&mut self, piece: &Arc<Piece>) -> Result<(), StorageError>;

    /// Waits for what goes on behind.
    ///
    /// # Errors
    /// What went wrong with it.
    async fn close(&mut self) -> Result<(), StorageError>;
}
