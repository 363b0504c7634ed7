//! The trees that further machines begin from: as the attempt's own machine has built them, for this attempt alone.
//!
//! They are no snapshots that a row names: no other build ever starts from them, whatever the attempt's trust, and they go
//! with the step that needs them. What a crash leaves is swept.

use std::time::Duration;

use futures::StreamExt as _;
use store::{AttemptId, ObjectError, Objects};

use crate::attempt::{Buildlet, Trouble};

/// Where they lie.
pub(crate) const TREES: &str = "spread";

/// A tree.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// Its directory, relative to the work directory.
    pub dir: String,
    /// Its object.
    pub object: String,
}

/// How the names of an attempt's objects begin.
pub(super) fn prefix(attempt: AttemptId, fence: i64, index: usize) -> String {
    format!("{TREES}/{attempt}/{fence}-{index}")
}

/// The attempt of an object, by its name.
pub(crate) fn attempt_of(path: &str) -> Option<AttemptId> {
    path.strip_prefix(TREES)?.strip_prefix('/')?.split('/').next()?.parse().ok()
}

/// Puts the machine's trees into the store.
pub(super) async fn keep(
    objects: &Objects,
    buildlet: &Buildlet,
    prefix: &str,
    dirs: impl Iterator<Item = String>,
) -> Result<Result<Vec<Tree>, ObjectError>, Trouble> {
    let mut trees = Vec::new();
    for (n, dir) in dirs.enumerate() {
        let object = format!("{prefix}-{n}.tar.gz");
        let stream = buildlet.tgz(&dir).await?;
        let stream = stream.map(|chunk| chunk.map_err(std::io::Error::other));
        if let Err(error) = objects.put_stream(&object, stream).await {
            forget(objects, &trees).await;
            return Ok(Err(error));
        }
        trees.push(Tree { dir, object });
    }
    Ok(Ok(trees))
}

/// Unpacks them on a further machine.
pub(super) async fn unpack(objects: &Objects, buildlet: &Buildlet, trees: &[Tree]) -> Result<(), Trouble> {
    for tree in trees {
        let mut tries = 0;
        loop {
            let (_, stream) = objects.get_stream(&tree.object).await.map_err(|error| {
                Trouble::source(format!("the built tree {} can't be had: {error}", tree.dir))
            })?;
            let stream = stream.map(|chunk| chunk.map_err(std::io::Error::other));
            match buildlet.unpack(&tree.dir, stream).await {
                Ok(links) => {
                    buildlet.link(&tree.dir, &links).await?;
                    break;
                }
                Err(error) if error.is_transient() && tries < 2 => {
                    tracing::warn!(%error, "sending a built tree to a worker broke off; trying again");
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Deletes them.
pub(super) async fn forget(objects: &Objects, trees: &[Tree]) {
    for tree in trees {
        if let Err(error) = objects.delete(&tree.object).await {
            tracing::debug!(%error, object = tree.object, "a tree is left to be swept");
        }
    }
}
