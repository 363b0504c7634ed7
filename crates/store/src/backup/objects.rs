//! The objects of a backup: copied out beside the rows that name them, and put back.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::BufRead as _;
use std::path::Path;

use bytes::Bytes;
use futures::{Stream as _, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::dump::{Lines, hex};
use super::{BackupError, OBJECTS, Part, Progress, io, named, object_file};
use crate::{Db, ObjectError, Objects};

/// What is kept. Snapshots are made again from source, and uploads under way are nobody's yet.
const KEPT: [&str; 3] = ["artifacts", "legacy/logs", "logs"];
/// Bytes that are read of a file at once.
const PIECE: usize = 256 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Listed {
    path: String,
    size: u64,
    sha256: String,
}

/// The objects that were copied so far, by their paths. They never change, so that none is copied twice.
#[derive(Debug, Default)]
pub(super) struct Copies(BTreeMap<String, Listed>);

impl Copies {
    /// Copies every object that is kept; returns false where one of `named` is gone and rows name it no more.
    ///
    /// # Errors
    /// [`BackupError::Missing`] if rows still name it.
    pub(super) async fn add(
        &mut self,
        db: &Db,
        store: &Objects,
        dir: &Path,
        named: &HashSet<String>,
        told: &mut (dyn FnMut(Progress<'_>) + Send),
    ) -> Result<bool, BackupError> {
        let mut found = BTreeSet::new();
        for prefix in KEPT {
            found.extend(store.list(prefix).await?.into_iter().map(|object| object.path));
        }
        // Where the store is not the server's own, that is said before there is anything to wait for.
        let missing = self.missing(named, |path| found.contains(path));
        named::refuse(db, &missing).await?;
        for path in found {
            if self.0.contains_key(&path) {
                continue;
            }
            let to = dir.join(object_file(&path));
            match copy_one(store, path, &to).await {
                // It went since it was listed; whether it may have gone is looked at below.
                Err(BackupError::Object(ObjectError::NotFound(_))) => continue,
                copied => {
                    let copied = copied?;
                    self.0.insert(copied.path.clone(), copied);
                }
            }
            told(Progress { what: "objects", done: self.0.len() as u64 });
        }
        let missing = self.missing(named, |_| false);
        named::refuse(db, &missing).await?;
        Ok(missing.is_empty())
    }

    /// Those of `named` that are neither copied nor found elsewhere.
    fn missing(&self, named: &HashSet<String>, found: impl Fn(&str) -> bool) -> Vec<String> {
        named.iter().filter(|path| !self.0.contains_key(*path) && !found(path)).cloned().collect()
    }

    /// Writes their list; returns it, and their sizes together.
    pub(super) fn finish(&self, dir: &Path) -> Result<(Part, u64), BackupError> {
        let list = dir.join(OBJECTS);
        let mut lines = Lines::create(&list).map_err(io(&list))?;
        for listed in self.0.values() {
            lines.write(listed).map_err(io(&list))?;
        }
        let (rows, bytes) = (self.0.len() as u64, self.0.values().map(|listed| listed.size).sum());
        Ok((Part { rows, sha256: lines.finish().map_err(io(&list))? }, bytes))
    }
}

async fn copy_one(store: &Objects, path: String, to: &Path) -> Result<Listed, BackupError> {
    let (_, mut stream) = store.get_stream(&path).await?;
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).map_err(io(parent))?;
    }
    let mut file = tokio::fs::File::create_new(to).await.map_err(io(to))?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(bytes) = stream.try_next().await? {
        hash.update(&bytes);
        size += bytes.len() as u64;
        file.write_all(&bytes).await.map_err(io(to))?;
    }
    file.sync_all().await.map_err(io(to))?;
    Ok(Listed { path, size, sha256: hex(&hash.finalize()) })
}

/// Puts every object back; one that is there already is put again, which changes nothing.
pub(super) async fn copy_in(
    store: &Objects,
    dir: &Path,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(), BackupError> {
    let list = std::fs::File::open(dir.join(OBJECTS)).and_then(zstd::Decoder::new);
    let list = std::io::BufReader::new(list.map_err(io(&dir.join(OBJECTS)))?);
    for (at, line) in list.lines().enumerate() {
        let line = line.map_err(|error| BackupError::damaged(OBJECTS, error))?;
        let listed: Listed =
            serde_json::from_str(&line).map_err(|error| BackupError::damaged(OBJECTS, error))?;
        put_one(store, dir, listed).await?;
        told(Progress { what: "objects", done: at as u64 + 1 });
    }
    Ok(())
}

async fn put_one(store: &Objects, dir: &Path, listed: Listed) -> Result<(), BackupError> {
    let name = object_file(&listed.path);
    if listed.path.split('/').any(|segment| segment.is_empty() || segment.starts_with('.')) {
        return Err(BackupError::damaged(OBJECTS, format!("{:?} is not the path of an object", listed.path)));
    }
    let from = dir.join(&name);
    let file = tokio::fs::File::open(&from).await.map_err(io(&from))?;
    let mut hash = Sha256::new();
    let mut size = 0;
    let expected = (listed.size, listed.sha256);
    // The last item of the stream is an error where the bytes are not those that were listed: then there is no object.
    let pieces = tokio_util::io::ReaderStream::with_capacity(file, PIECE).map(Some);
    let mut pieces = Box::pin(pieces.chain(futures::stream::once(async { None })));
    let checked = futures::stream::poll_fn(move |context| {
        pieces.as_mut().poll_next(context).map(|piece| match piece? {
            Some(Ok(bytes)) => {
                hash.update(&bytes);
                size += bytes.len() as u64;
                Some(Ok::<Bytes, std::io::Error>(bytes))
            }
            Some(Err(error)) => Some(Err(error)),
            None if (size, hex(&hash.clone().finalize())) == expected => None,
            None => Some(Err(std::io::Error::other("not the bytes that were written"))),
        })
    });
    match store.put_stream(&listed.path, checked).await {
        Ok(_) => Ok(()),
        Err(ObjectError::Source { source, .. }) => Err(BackupError::damaged(name, source)),
        Err(error) => Err(error.into()),
    }
}
