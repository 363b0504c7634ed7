//! A journal in a folder: bytes are safe when they were appended to the growing segment's file and synced.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::disk::Disk;
use super::idx;
use super::lead::Lead;
use super::open::unwritten;
use super::storage::{Piece, Storage, StorageError};
use super::{Segment, growing_name, idx_name};

/// When a file's bytes are made safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Safety {
    /// When they are committed.
    Synced,
    /// Never: the folder is a copy of what is safe elsewhere.
    #[cfg_attr(not(feature = "objects"), allow(dead_code, reason = "for object stores"))]
    Copied,
}

/// The files of the growing segment.
struct Open {
    data: File,
    data_path: PathBuf,
    idx: File,
    idx_path: PathBuf,
}

/// The folder, for whoever leads it.
pub(super) struct Folder {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    lead: Lead,
    safety: Safety,
    open: Option<Open>,
    /// The rows of the last piece are written: it could not be told from a hole without them.
    settled: bool,
}

impl Folder {
    pub fn new(path: PathBuf, disk: Arc<dyn Disk>, lead: Lead, safety: Safety) -> Self {
        Self { path, disk, lead, safety, open: None, settled: false }
    }

    /// Writes a piece, and makes it safe.
    pub fn commit(&mut self, piece: &Piece) -> Result<(), StorageError> {
        let lost = self.lead.lost().map_err(|why| failed(self.lead.path(), "reading who leads", why))?;
        if let Some(holder) = lost {
            return Err(StorageError::Fenced { place: self.path.display().to_string(), holder });
        }
        if let Some(sealed) = &piece.seal {
            self.seal(sealed)?;
        }
        let opened = self.open.is_none();
        if opened {
            self.open = Some(self.opened(piece)?);
        }
        let Some(open) = &self.open else { return Err(StorageError::Stopped) };
        let failed = |what| move |why| failed(&open.data_path, what, why);
        self.disk.write(&open.data, &piece.bytes).map_err(failed("writing"))?;
        if self.safety == Safety::Synced {
            self.disk.sync(&open.data).map_err(failed("syncing"))?;
            if opened {
                self.sync_folder()?;
            }
            if unwritten(&piece.bytes) {
                self.settle(piece)?;
                self.settled = true;
            }
        }
        Ok(())
    }

    /// Writes the rows of a piece.
    pub fn settle(&mut self, piece: &Piece) -> Result<(), StorageError> {
        if std::mem::take(&mut self.settled) {
            return Ok(());
        }
        let Some(open) = &self.open else { return Err(StorageError::Stopped) };
        let failed = |what| move |why| failed(&open.idx_path, what, why);
        self.disk.write(&open.idx, &piece.rows).map_err(failed("writing"))?;
        if self.safety == Safety::Synced {
            self.disk.sync(&open.idx).map_err(failed("syncing"))?;
        }
        Ok(())
    }

    /// The files that a piece goes to. They are as long as the piece before says, since this is the only leader.
    fn opened(&self, piece: &Piece) -> Result<Open, StorageError> {
        let data_path = self.path.join(growing_name(piece.number));
        let idx_path = self.path.join(idx_name(piece.number));
        if piece.offset == 0 {
            // Of a segment that begins, nothing may be left from before.
            for path in [&data_path, &idx_path] {
                match std::fs::remove_file(path) {
                    Err(why) if why.kind() != io::ErrorKind::NotFound => {
                        return Err(failed(path, "removing", why));
                    }
                    _ => {}
                }
            }
        }
        let append = |path: &Path| self.disk.append(path).map_err(|why| failed(path, "opening", why));
        let open = Open { data: append(&data_path)?, idx: append(&idx_path)?, data_path, idx_path };
        if piece.offset == 0 {
            let head = idx::head(piece.number, &piece.before);
            self.disk.write(&open.idx, &head).map_err(|why| failed(&open.idx_path, "writing", why))?;
        }
        Ok(open)
    }

    /// Gives the growing segment the name that it keeps.
    fn seal(&mut self, sealed: &Segment) -> Result<(), StorageError> {
        // Its rows are all written: a piece is settled before the next one is committed. A file that is open can't be
        // renamed on Windows.
        self.open = None;
        let (from, to) = (self.path.join(growing_name(sealed.number)), self.path.join(sealed.name()));
        self.disk.rename(&from, &to).map_err(|why| failed(&from, "renaming", why))?;
        self.sync_folder()
    }

    fn sync_folder(&self) -> Result<(), StorageError> {
        if self.safety == Safety::Copied {
            return Ok(());
        }
        self.disk.sync_folder(&self.path).map_err(|why| failed(&self.path, "syncing", why))
    }
}

fn failed(path: &Path, what: &'static str, why: io::Error) -> StorageError {
    StorageError::Io { path: path.to_path_buf(), what, why }
}

/// The folder on a thread where waiting for a disk harms nobody.
pub(super) struct Local(Option<Folder>);

impl Local {
    pub fn new(folder: Folder) -> Self {
        Self(Some(folder))
    }

    async fn with(
        &mut self,
        piece: &Arc<Piece>,
        act: fn(&mut Folder, &Piece) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut folder = self.0.take().ok_or(StorageError::Stopped)?;
        let piece = piece.clone();
        let done = tokio::task::spawn_blocking(move || {
            let done = act(&mut folder, &piece);
            (folder, done)
        });
        let (folder, done) = done.await.map_err(|_| StorageError::Stopped)?;
        self.0 = Some(folder);
        done
    }
}

#[async_trait]
impl Storage for Local {
    async fn commit(&mut self, piece: &Arc<Piece>) -> Result<(), StorageError> {
        self.with(piece, Folder::commit).await
    }

    async fn settle(&mut self, piece: &Arc<Piece>) -> Result<(), StorageError> {
        self.with(piece, Folder::settle).await
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        self.0 = None;
        Ok(())
    }
}
