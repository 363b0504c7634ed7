//! The objects of a backup: copied out beside the rows that name them, and put back.

use std::io::BufRead as _;
use std::path::Path;

use bytes::Bytes;
use futures::{Stream as _, StreamExt as _, TryStreamExt as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;

use super::dump::{Lines, hex};
use super::{BackupError, OBJECTS, Part, Progress, io, object_file};
use crate::{ObjectError, Objects};

/// What is kept. Snapshots are made again from source, and uploads under way are nobody's yet.
const KEPT: [&str; 2] = ["artifacts", "logs"];
/// Bytes that are read of a file at once.
const PIECE: usize = 256 * 1024;

#[derive(Serialize, Deserialize)]
struct Listed {
    path: String,
    size: u64,
    sha256: String,
}

/// Copies every object that is kept; returns their list and their sizes together.
pub(super) async fn copy_out(
    store: &Objects,
    dir: &Path,
    told: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<(Part, u64), BackupError> {
    let list = dir.join(OBJECTS);
    let mut lines = Lines::create(&list).map_err(io(&list))?;
    let (mut rows, mut bytes) = (0, 0);
    for prefix in KEPT {
        for object in store.list(prefix).await? {
            let to = dir.join(object_file(&object.path));
            let listed = match copy_one(store, object.path, &to).await {
                // Its rows' time was over, and so was its own: no row of this moment is left without it that a server
                // would still show.
                Err(BackupError::Object(ObjectError::NotFound(_))) => continue,
                copied => copied?,
            };
            rows += 1;
            bytes += listed.size;
            lines.write(&listed).map_err(io(&list))?;
            told(Progress { what: "objects", done: rows });
        }
    }
    Ok((Part { rows, sha256: lines.finish().map_err(io(&list))? }, bytes))
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
