//! What Windows says of places.

use std::path::Path;

use super::room;
use crate::check::Finding;

/// Whether this user may make files in a directory.
pub(super) fn can_write(dir: &Path) -> bool {
    crate::sys::fs::can_write(dir)
}

/// What the file system of the work directory is like.
pub(super) fn disk(dir: &Path) -> Vec<Finding> {
    match crate::sys::disk_free(dir) {
        Ok(free) => vec![room(dir, free, 0, 0)],
        Err(error) => vec![Finding::warn("disk", format!("{}: {error}", dir.display()))],
    }
}

/// What is wrong with a secret file's permissions; who may read it is not looked at here.
pub(super) fn open_to_others(_check: &'static str, _file: &Path) -> Option<Finding> {
    None
}
