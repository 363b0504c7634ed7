//! The kernel's shared memory files, which jobs without namespaces share with all others.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use crate::sandbox::SHM;

/// What is in the machine's `/dev/shm`, by device and inode.
pub(crate) fn now() -> HashSet<(u64, u64)> {
    let entries = std::fs::read_dir(SHM).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.path().symlink_metadata().ok())
        .map(|stat| (stat.dev(), stat.ino()))
        .collect()
}

/// Removes what is ours in the machine's `/dev/shm`, was not there before, and is held by no living process.
///
/// Only without namespaces: with them, jobs never see the machine's.
pub(super) fn empty(before: &HashSet<(u64, u64)>) -> io::Result<Vec<String>> {
    let mut problems = Vec::new();
    let me = rustix::process::geteuid().as_raw();
    let entries = match std::fs::read_dir(SHM) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(problems),
        entries => entries?,
    };
    let held = held_files();
    for entry in entries {
        let entry = entry?;
        let Ok(stat) = entry.path().symlink_metadata() else { continue };
        let file = (stat.dev(), stat.ino());
        if stat.uid() != me || before.contains(&file) || held.contains(&file) {
            continue;
        }
        let removed = if stat.is_dir() {
            std::fs::remove_dir_all(entry.path())
        } else {
            std::fs::remove_file(entry.path())
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                problems.push(format!("{}: {error}", entry.path().display()));
            }
            _ => {}
        }
    }
    Ok(problems)
}

/// Returns device and inode of every file in `/dev/shm` that a process holds by descriptor or mapping.
fn held_files() -> HashSet<(u64, u64)> {
    let mut held = HashSet::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        for kind in ["fd", "map_files"] {
            for link in std::fs::read_dir(process.path().join(kind)).into_iter().flatten().flatten() {
                if std::fs::read_link(link.path()).is_ok_and(|target| target.starts_with(SHM))
                    && let Ok(stat) = std::fs::metadata(link.path())
                {
                    held.insert((stat.dev(), stat.ino()));
                }
            }
        }
    }
    held
}
