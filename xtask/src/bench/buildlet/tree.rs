//! The tree that is moved, and whether what arrived is the same.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::process;

/// What of Go's own tree is moved: all of its sources but the tests of the compiler.
const PARTS: [&str; 5] = ["api", "doc", "lib", "misc", "src"];
/// Longest run of tar.
const LIMIT: Duration = Duration::from_secs(120);

/// The archive's name in its place.
pub(super) const PACKED: &str = "tree.tar.gz";

/// A tree and an archive of it.
pub(super) struct Tree {
    /// One gzip member, as `git archive` and tar make it.
    pub(super) archive: Vec<u8>,
    pub(super) manifest: Manifest,
}

/// By path: what a file is, so that two are the same only if they are the same in all that an archive carries.
pub(super) type Manifest = BTreeMap<PathBuf, Member>;

/// A file's mode, time and content; of a directory only that it is there, since originals keep no more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    Dir,
    File { mode: u32, mtime: i64, size: u64, digest: [u8; 32] },
}

impl Tree {
    /// Copies the sources of the Go that is installed.
    pub(super) fn of_go(place: &Path) -> Result<Self> {
        let root = process::output(Command::new("go").args(["env", "GOROOT"]), LIMIT)?;
        let root = Path::new(root.trim());
        let dir = place.join("tree");
        fs::create_dir_all(&dir)?;
        let packed = place.join(PACKED);
        // ustar has whole seconds, which is all that the originals' archives have.
        let mut command = Command::new("tar");
        command.args(["--format=ustar", "-czf"]).arg(&packed).arg("-C").arg(root).args(PARTS);
        process::output(&mut command, LIMIT)?;
        unpack(&packed, &dir)?;
        let manifest = manifest(&dir)?;
        Ok(Self { archive: fs::read(&packed)?, manifest })
    }

    /// Files in it.
    pub(super) fn files(&self) -> usize {
        self.manifest.values().filter(|member| **member != Member::Dir).count()
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        let size = |member: &Member| match member {
            Member::Dir => 0,
            Member::File { size, .. } => *size,
        };
        self.manifest.values().map(size).sum()
    }
}

/// Unpacks by tar; returns how long it took.
pub(super) fn unpack(archive: &Path, dir: &Path) -> Result<Duration> {
    let began = Instant::now();
    let mut command = Command::new("tar");
    process::output(command.arg("-xzf").arg(archive).arg("-C").arg(dir), LIMIT)?;
    Ok(began.elapsed())
}

/// Packs by tar and pigz; returns how long it took.
pub(super) fn pack(dir: &Path, archive: &Path) -> Result<Duration> {
    let began = Instant::now();
    let mut command = Command::new("tar");
    process::output(command.args(["-I", "pigz", "-cf"]).arg(archive).arg("-C").arg(dir).arg("."), LIMIT)?;
    Ok(began.elapsed())
}

/// Reads a whole tree.
pub(super) fn manifest(dir: &Path) -> Result<Manifest> {
    let mut found = Manifest::new();
    let mut left = vec![PathBuf::new()];
    while let Some(inside) = left.pop() {
        for entry in fs::read_dir(dir.join(&inside)).with_context(|| inside.display().to_string())? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            let stat = entry.metadata()?;
            if stat.is_dir() {
                left.push(path.clone());
                found.insert(path, Member::Dir);
                continue;
            }
            ensure!(stat.is_file(), "{}: no file and no directory", path.display());
            let content = fs::read(entry.path())?;
            let member = Member::File {
                mode: stat.permissions().mode() & 0o7777,
                mtime: stat.mtime(),
                size: stat.len(),
                digest: Sha256::digest(&content).into(),
            };
            found.insert(path, member);
        }
    }
    Ok(found)
}

/// Fails with the first difference.
pub(super) fn equal(what: &str, want: &Manifest, got: &Manifest) -> Result<()> {
    for (path, member) in want {
        match got.get(path) {
            Some(found) if found == member => {}
            found => bail!("{what}: {} is {found:?} and not {member:?}", path.display()),
        }
    }
    match got.keys().find(|path| !want.contains_key(*path)) {
        Some(path) => bail!("{what}: {} is too much", path.display()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_a_time_a_byte_or_a_name_makes_a_difference() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let file = dir.path().join("d/f");
        fs::write(&file, "content").unwrap();
        let before = manifest(dir.path()).unwrap();
        equal("same", &before, &before).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let changed = manifest(dir.path()).unwrap();
        assert!(equal("mode", &before, &changed).unwrap_err().to_string().contains("d/f"));
        fs::write(dir.path().join("more"), "").unwrap();
        assert!(
            equal("more", &changed, &manifest(dir.path()).unwrap())
                .unwrap_err()
                .to_string()
                .contains("too much")
        );
        fs::remove_file(&file).unwrap();
        assert!(equal("less", &before, &manifest(dir.path()).unwrap()).is_err());
    }
}
