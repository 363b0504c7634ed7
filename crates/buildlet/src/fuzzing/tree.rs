//! A tree, packed and unpacked.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use arbitrary::Unstructured;

use super::scratch::{Scratch, opened, visit};
use super::{bytes, number, once_in, one};
use crate::pack::{Level, pack};
use crate::sys::fs::{Mode, OFlags};
use crate::untar::{Most, untar};

/// Long enough that a path of two does not fit a header, and one of a few no record of pax that is short.
const LONG: &str =
    "mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm";
const NAMES: [&str; 12] =
    ["a", "b", "c", ".h", "-", " ", "\\", "x\ny", "\u{e9}", "GNUSparseFile.0", "%n = 1", LONG];
const DEPTH: usize = 5;

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

/// Makes a tree, packs it, unpacks that, and finds the same.
pub fn tree(data: &[u8]) {
    SCRATCH.with(|scratch| {
        let mut u = Unstructured::new(data);
        let work = scratch.work();
        let (from, to) = (work.join("from"), work.join("to"));
        fs::create_dir(&from).expect("a directory");
        fs::create_dir(&to).expect("a directory");
        grow(&mut u, &from, 0);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = crate::sys::fs::open(&from, flags, Mode::empty()).expect("a directory");
        let mut archive = Vec::new();
        let send = |piece: axum::body::Bytes| {
            archive.extend_from_slice(&piece);
            Ok(())
        };
        pack(base, Level::default(), send).expect("the tree can be packed");
        let most = Most { bytes: 1 << 30, members: 10_000 };
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        untar(&archive[..], opened(&to), now, most, &|| true).expect("what was packed is unpacked");
        assert_eq!(all(&to), all(&from));
    });
}

fn grow(u: &mut Unstructured<'_>, dir: &Path, depth: usize) {
    for _ in 0..=number(u, 4) {
        if u.is_empty() {
            return;
        }
        let path = dir.join(*one(u, &NAMES));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match number(u, 3) {
            0 if depth < DEPTH => {
                fs::create_dir(&path).expect("a directory");
                grow(u, &path, depth + 1);
                let mode = *one(u, &[0o755, 0o700, 0o555, 0o777]);
                fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
            }
            1 => {
                // Up and down again, but never out: what leads out is refused.
                let up = if depth > 0 && once_in(u, 3) { "../" } else { "" };
                let target = format!("{up}{}", one(u, &NAMES));
                symlink(target, &path).expect("a link");
            }
            _ => file(u, &path),
        }
    }
}

fn file(u: &mut Unstructured<'_>, path: &Path) {
    let mut content = bytes(u, 64);
    if once_in(u, 4) {
        let length = *one(u, &[0, 511, 512, 513, 1024, 10_240]);
        content = content.iter().copied().cycle().take(length).collect();
    }
    if once_in(u, 200) {
        content.resize(600 << 10, 7);
    }
    fs::write(path, content).expect("a file");
    let at = UNIX_EPOCH + Duration::from_secs(*one(u, &[0, 1, 999_999_999, 1_700_000_000]));
    let file = File::options().write(true).open(path).expect("the file");
    file.set_times(FileTimes::new().set_modified(at)).expect("a time");
    let mode = *one(u, &[0o644, 0o755, 0o400, 0o777]);
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// All of a tree that an archive has: names, modes, when files were written, content and targets.
fn all(dir: &Path) -> BTreeMap<PathBuf, (u32, i64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    visit(dir, &mut |path, it| {
        let kind = it.file_type();
        let (at, content) = if kind.is_file() {
            (it.mtime(), fs::read(path).expect("a file"))
        } else if kind.is_symlink() {
            (0, fs::read_link(path).expect("a link").into_os_string().into_encoded_bytes())
        } else {
            (0, Vec::new())
        };
        let path = path.strip_prefix(dir).expect("invariant: it is beneath").to_owned();
        all.insert(path, (it.mode(), at, content));
    });
    all
}
