//! A work directory, and beside it what nothing that happens in it may touch.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::files::open_beneath;
use crate::sys::fd::OwnedFd;
use crate::sys::fs::OFlags;

/// The names beside the work directory, which targets put into their paths.
pub(super) const BESIDE: [&str; 4] = ["x", "d", "d/f", "l"];

/// All that is known of one thing; when it was read last is no matter.
type Seen = (PathBuf, [i64; 9], Vec<u8>);

/// Made once and used for many inputs.
pub(super) struct Scratch {
    top: TempDir,
    work: PathBuf,
    before: Vec<Seen>,
}

/// A directory to unpack into.
pub(super) fn opened(dir: &Path) -> OwnedFd {
    open_beneath(dir, "", OFlags::RDONLY | OFlags::DIRECTORY).expect("a directory")
}

/// What is in a work directory.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Held {
    pub(super) things: u64,
    pub(super) bytes: u64,
}

impl Scratch {
    pub(super) fn new() -> Self {
        // In memory where that can be.
        let shared = Path::new("/dev/shm");
        let place = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let top = tempfile::Builder::new().prefix("bw-fuzz-").tempdir_in(place).expect("a directory");
        let work = top.path().join("work");
        fs::create_dir(&work).expect("a directory");
        fs::create_dir(top.path().join("d")).expect("a directory");
        fs::write(top.path().join("x"), "safe").expect("a file");
        fs::write(top.path().join("d/f"), "safe, too").expect("a file");
        symlink("d/f", top.path().join("l")).expect("a link");
        let mut scratch = Self { top, work, before: Vec::new() };
        scratch.before = scratch.outside();
        scratch
    }

    /// The work directory, emptied. The agent's own way takes threads, which take long under a sanitizer, so it is there for what
    /// is too much for the simple one, and for an empty directory each time.
    pub(super) fn work(&self) -> &Path {
        for entry in fs::read_dir(&self.work).expect("a directory").flatten() {
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let _if_it_can =
                if is_dir { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        }
        let left = crate::removal::empty_dir(&self.work).expect("the work directory can be emptied");
        assert!(left.is_empty(), "{left:?}");
        &self.work
    }

    /// Sees that nothing beside the work directory was made, changed or removed.
    pub(super) fn check(&self) {
        assert_eq!(self.outside(), self.before, "something outside of the work directory was touched");
    }

    fn outside(&self) -> Vec<Seen> {
        let top = self.top.path();
        let mut seen = vec![seen(top)];
        for folder in [top.to_owned(), top.join("d")] {
            let entries =
                fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path());
            seen.extend(entries.filter(|path| *path != self.work).map(|path| self::seen(&path)));
        }
        seen.sort();
        seen
    }
}

fn seen(path: &Path) -> Seen {
    let it = path.symlink_metadata().expect("what is there");
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let content = match it.file_type() {
        kind if kind.is_file() => fs::read(path).expect("a file"),
        kind if kind.is_symlink() => {
            fs::read_link(path).expect("a link").into_os_string().into_encoded_bytes()
        }
        _ => Vec::new(),
    };
    let numbers = [
        number(it.ino()),
        i64::from(it.mode()),
        number(it.nlink()),
        i64::from(it.uid()),
        i64::from(it.gid()),
        it.mtime(),
        it.mtime_nsec(),
        it.ctime(),
        it.ctime_nsec(),
    ];
    (path.to_owned(), numbers, content)
}

/// Counts what is beneath a directory; a file of several names is one thing for each, and has its bytes once.
pub(super) fn held(dir: &Path) -> Held {
    let mut all = Held::default();
    let mut files = BTreeSet::new();
    let mut each = |_: &Path, it: &Metadata| {
        all.things += 1;
        if it.is_file() && files.insert(it.ino()) {
            all.bytes += it.size();
        }
    };
    visit(dir, &mut each);
    all
}

/// Calls a function for all that is beneath a directory, as far down as a path can say.
pub(super) fn visit(dir: &Path, each: &mut impl FnMut(&Path, &Metadata)) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(it) = path.symlink_metadata() else { continue };
        each(&path, &it);
        if it.is_dir() {
            visit(&path, each);
        }
    }
}
