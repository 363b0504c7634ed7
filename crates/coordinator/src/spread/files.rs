//! Files in which a chunk's results are, fetched from the machine that ran it as soon as it has: what one chunk wrote the next may
//! write over, and a machine that is lost later takes nothing along that was done.
//!
//! They wait with the chunk's output for its turn. As with the trees, what is put away for that is deleted with the attempt.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use buildlet_client::Error;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use store::{ObjectError, Objects};

use super::member::Broken;
use super::output::{ALL, Output, PIECE, SMALL};
use crate::attempt::Buildlet;
use crate::attempt::junit::{BYTES, FILES, too_many};
use crate::recipe::RunError;

/// SHA-256.
pub(crate) type Digest = [u8; 32];

/// Which files.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// A directory, relative to the work directory.
    pub dir: String,
    /// A path pattern below it.
    pub pattern: String,
}

/// Files that a machine had already, and what was in them.
pub(crate) type Seen = HashMap<String, Digest>;

/// A file as it was when a chunk had ended.
#[derive(Debug)]
pub(crate) struct Written {
    pub path: String,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    pub output: Output,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Look {
    pub files: Vec<Written>,
    pub warnings: Vec<String>,
}

/// Fetches what is new or has changed since the last look at this machine. `name` is how the names of its objects begin.
pub(crate) async fn look(
    objects: &Objects,
    buildlet: &Buildlet,
    wanted: &Wanted,
    name: &str,
    seen: &mut Seen,
    kept: &AtomicUsize,
) -> Result<Look, Broken> {
    let mut look = Look::default();
    let found = match buildlet.glob(&wanted.dir, std::slice::from_ref(&wanted.pattern)).await {
        Ok(found) => found,
        // Names that no list can hold are the job's doing.
        Err(Error::Protocol { what }) => {
            look.warnings
                .push(format!("results of tests are missing: the JUnit files can't be listed: {what}"));
            return Ok(look);
        }
        Err(error) => return Err(broken(error)),
    };
    if found.truncated || found.files.len() > FILES {
        look.warnings.push(too_many());
    }
    let mut bytes = 0;
    for (n, file) in found.files.into_iter().take(FILES).enumerate() {
        bytes += file.size;
        if bytes > BYTES {
            look.warnings.push(format!(
                "JUnit file {} and those after it were left out: more than {BYTES} bytes",
                file.path
            ));
            break;
        }
        let stream = match buildlet.file(&format!("{}/{}", wanted.dir, file.path)).await {
            Ok(stream) => stream,
            // By a name that the job chose.
            Err(Error::Refused { status: 400, message, .. }) => {
                look.warnings.push(format!("JUnit file {} was left out: {message}", file.path));
                continue;
            }
            Err(error) => return Err(broken(error)),
        };
        let (digest, output) = fetch(objects, stream, file.size, &format!("{name}-{n}"), kept).await?;
        if seen.get(&file.path) == Some(&digest) {
            output.forget(objects).await;
            kept.fetch_sub(output.rest.len(), Ordering::Relaxed);
            continue;
        }
        seen.insert(file.path.clone(), digest);
        look.files.push(Written { path: file.path, digest, size: file.size, output });
    }
    Ok(look)
}

async fn fetch(
    objects: &Objects,
    mut stream: futures::stream::BoxStream<'static, Result<axum::body::Bytes, Error>>,
    size: u64,
    name: &str,
    kept: &AtomicUsize,
) -> Result<(Digest, Output), Broken> {
    let (mut sum, mut output) = (Sha256::new(), Output::default());
    // It may have grown since it was listed, and a worker may say anything.
    let mut left = size;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(broken)?;
        let chunk = &chunk[..chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        left -= chunk.len() as u64;
        sum.update(chunk);
        output.rest.extend_from_slice(chunk);
        if output.rest.len() >= PIECE {
            put_away(objects, &mut output, name).await.map_err(RunError::Sink)?;
        }
    }
    if output.rest.len() > SMALL || kept.load(Ordering::Relaxed) > ALL {
        put_away(objects, &mut output, name).await.map_err(RunError::Sink)?;
    }
    kept.fetch_add(output.rest.len(), Ordering::Relaxed);
    Ok((sum.finalize().into(), output))
}

async fn put_away(objects: &Objects, output: &mut Output, name: &str) -> Result<(), ObjectError> {
    if output.rest.is_empty() {
        return Ok(());
    }
    let name = format!("{name}-{}.xml", output.pieces.len());
    objects.put_new(&name, std::mem::take(&mut output.rest)).await?;
    output.pieces.push(name);
    Ok(())
}

/// Why a machine does not tell what it wrote.
fn broken(error: Error) -> Broken {
    match error {
        Error::StaleFence { .. } => RunError::Stale,
        error if error.is_transient() => RunError::WorkerLost(error.to_string()),
        error => RunError::Refused(error.to_string()),
    }
}
