//! Paths and patterns from the wire, against a tree full of links.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::Path;

use arbitrary::Unstructured;

use super::scratch::{Scratch, visit};
use super::{bytes, number, once_in, one};
use crate::beneath::{LOOK, walk};
use crate::files::{glob, open};
use crate::paths::{clean, is_relative_beneath, join_beneath};
use crate::sys::Errno;
use crate::sys::fs::{Mode, OFlags, fstat};
use crate::wire::GlobRequest;

const PARTS: [&str; 14] =
    ["a", "b", "c", "f", "..", ".", "", "x", "d", "l", "work", "\\", "\u{e9}", "/proc/self/root"];
const PATTERNS: [&str; 16] =
    ["*", "**", "?", "[a-z]", "[!a]", "[", "]", "a", "b", "f", "/", ".", "-", "\\", "\u{e9}", "aaaa"];
/// Of which paths and patterns are made that find something.
const GOOD_PARTS: [&str; 5] = ["a", "b", "c", "f", "d"];
const GOOD_PATTERNS: [&str; 9] = ["a", "b", "c", "f", "*", "**", "?", "[a-f]", ".*"];
/// For patterns that match in many ways, or nearly.
const MANY: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

thread_local! {
    static SCRATCH: Scratch = Scratch::new();
}

/// Opens paths and looks for files: nothing outside is seen, and our walk finds what the kernel finds.
pub fn paths(data: &[u8]) {
    SCRATCH.with(|scratch| {
        let mut u = Unstructured::new(data);
        let work = scratch.work();
        fill(&mut u, work);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(work, flags, Mode::empty()).expect("the work directory");
        for _ in 0..6 {
            let path = path(&mut u);
            text(&path);
            both(&mut u, &root, &path);
            if let Ok((file, _)) = open(work, &path) {
                inside(work, file.metadata().expect("an open file").ino());
            }
        }
        look(&mut u, work);
        scratch.check();
    });
}

fn path(u: &mut Unstructured<'_>) -> String {
    if once_in(u, 6) {
        return String::from_utf8_lossy(&bytes(u, 40)).into_owned();
    }
    let (parts, most) = if once_in(u, 3) { (&GOOD_PARTS[..], 2) } else { (&PARTS[..], 7) };
    let parts: Vec<&str> = (0..=number(u, most)).map(|_| *one(u, parts)).collect();
    parts.join("/")
}

fn fill(u: &mut Unstructured<'_>, work: &Path) {
    fs::create_dir_all(work.join("a/b")).expect("a directory");
    for file in ["f", "a/f", "a/b/f", "a/.h", MANY] {
        fs::write(work.join(file), "inside").expect("a file");
    }
    for _ in 0..number(u, 5) {
        let at = work.join(*one(u, &["c", "x", "d", "a/c", "a/x", "a/b/c"]));
        let target = if once_in(u, 4) { "../d".to_owned() } else { path(u).replace('\0', "") };
        let _there_already = symlink(target, at);
    }
}

/// What the text alone says, against counting how deep it is.
fn text(path: &str) {
    let mut depth = 0_i32;
    let mut least = 0;
    for part in path.split('/') {
        depth += match part {
            "" | "." => 0,
            ".." => -1,
            _ => 1,
        };
        least = least.min(depth);
    }
    let stays = least >= 0 && !path.is_empty() && !path.starts_with('/') && !path.contains('\0');
    assert_eq!(is_relative_beneath(path), stays, "{path:?}");
    let cleaned = clean(path);
    assert_eq!(cleaned.is_some(), stays, "{path:?}");
    if let Some(cleaned) = cleaned {
        let good = |part: &str| !matches!(part, "" | "." | "..");
        assert!(cleaned.is_empty() || cleaned.split('/').all(good), "{path:?} {cleaned:?}");
        assert!(cleaned.is_empty() || clean(&cleaned).as_deref() == Some(cleaned.as_str()), "{path:?}");
        let joined = join_beneath(Path::new("/base"), path).expect("what is cleaned can be joined");
        assert!(joined.starts_with("/base"), "{path:?}");
    }
}

/// The kernel's way and ours lead to the same thing, or both to none.
fn both(u: &mut Unstructured<'_>, root: &OwnedFd, path: &str) {
    let ways = [
        OFlags::RDONLY | OFlags::NONBLOCK,
        OFlags::RDONLY | OFlags::DIRECTORY,
        LOOK,
        LOOK | OFlags::NOFOLLOW,
    ];
    let flags = *one(u, &ways) | OFlags::CLOEXEC;
    let inode = |opened: Result<OwnedFd, Errno>| opened.map(|fd| fstat(fd).expect("an open file").st_ino);
    let kernel = inode(crate::beneath::open(root, path, flags, Mode::empty()));
    let ours = inode(walk(root, path.as_bytes(), flags, Mode::empty()));
    match (kernel, ours) {
        (Ok(kernel), Ok(ours)) => assert_eq!(kernel, ours, "{path:?} {flags:?}"),
        (kernel, ours) => assert!(kernel.is_err() && ours.is_err(), "{path:?} {flags:?} {kernel:?} {ours:?}"),
    }
}

fn inside(work: &Path, inode: u64) {
    let mut found = false;
    visit(work, &mut |_, it| found |= it.ino() == inode);
    assert!(found, "a file was opened that is not in the work directory");
}

fn look(u: &mut Unstructured<'_>, work: &Path) {
    let request = if once_in(u, 6) {
        let json = bytes(u, 400);
        let Ok(request) = serde_json::from_slice::<GlobRequest>(&json) else { return };
        request
    } else {
        let mut patterns = Vec::new();
        for _ in 0..=number(u, 3) {
            patterns.push(if once_in(u, 2) {
                let parts: Vec<&str> = (0..=number(u, 3)).map(|_| *one(u, &GOOD_PATTERNS)).collect();
                parts.join("/")
            } else {
                (0..=number(u, 24)).map(|_| *one(u, &PATTERNS)).collect()
            });
        }
        let dir = if once_in(u, 2) { path(u) } else { (*one(u, &["", "a", "a/b"])).to_owned() };
        GlobRequest { patterns, dir }
    };
    let Ok(report) = glob(work, &request) else { return };
    for file in &report.files {
        let (opened, size) = open(work, format!("{}/{}", request.dir, file.path).trim_start_matches('/'))
            .unwrap_or_else(|error| panic!("{:?} of {request:?}: {error}", file.path));
        assert_eq!(size, file.size);
        inside(work, opened.metadata().expect("an open file").ino());
    }
}
