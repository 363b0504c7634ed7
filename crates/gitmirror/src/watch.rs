//! News of a repository on this machine, seen without starting git.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of `HEAD` and the folder of the branches.
pub(crate) type Folders = (PathBuf, PathBuf);

/// How many folders of refs are looked at.
const MAX_FOLDERS: usize = 20_000;

/// Sums up what tells of a change: `HEAD`, the packed refs and each folder of refs. Git replaces a ref's file by
/// renaming, which touches its folder.
pub(crate) async fn fingerprint(folders: Option<Folders>) -> Option<u64> {
    let (git_dir, common_dir) = folders?;
    tokio::task::spawn_blocking(move || {
        let mut sum = DefaultHasher::new();
        for file in
            [git_dir.join("HEAD"), common_dir.join("packed-refs"), common_dir.join("reftable/tables.list")]
        {
            stamp(&file, &mut sum);
        }
        stamp(&git_dir.join("HEAD"), &mut sum);
        let mut left = MAX_FOLDERS;
        folders_of(&common_dir.join("refs"), &mut left, &mut sum);
        sum.finish()
    })
    .await
    .ok()
}

/// Waits until the fingerprint is another one; for ever where there is nothing to look at.
pub(crate) async fn changed(folders: Option<Folders>, before: Option<u64>, every: Duration) {
    if folders.is_none() {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(every).await;
        if fingerprint(folders.clone()).await != before {
            return;
        }
    }
}

fn stamp(path: &Path, sum: &mut DefaultHasher) {
    if let Ok(data) = std::fs::metadata(path) {
        data.modified().ok().hash(sum);
        data.len().hash(sum);
    }
}

fn folders_of(dir: &Path, left: &mut usize, sum: &mut DefaultHasher) {
    stamp(dir, sum);
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut names: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    names.sort();
    for name in names {
        if *left == 0 {
            return;
        }
        *left -= 1;
        folders_of(&name, left, sum);
    }
}
