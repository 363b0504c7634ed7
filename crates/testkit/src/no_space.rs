//! A disk that is full at a chosen write, for one kind of process: [`NoSpace`].
//!
//! A real full disk (see the tests with file systems of their own) can be filled before a build or in its middle, but not at
//! one write. So the calls that Linux can answer with ENOSPC are met in the real, unchanged program by a small library of C
//! that the loader puts before libc. It is C and not a crate, because what it does is unsafe from its first line to its last
//! and this workspace is not; the compiler is the one that links every Rust program.

use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const SOURCE: &str = include_str!("no_space.c");
/// Where `struct state` of the source has its fields, in bytes.
const SEEN: u64 = 0;
const FROM: u64 = 8;
const WINDOW: u64 = 16;
const LEFT: u64 = 24;
const FAILED: u64 = 32;
const BRIEF: u64 = 40;
const ROLE: (u64, usize) = (48, 16);
const DIR: (u64, usize) = (64, 4096);
const WHAT: (u64, usize) = (4160, 512);
const SIZE: u64 = 4672;

/// Whose writes meet the full disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The server's own.
    Server,
    /// Those of the git commands that the server runs.
    Git,
    /// Those of the local pool's buildlets, without their jobs'.
    Worker,
}

/// One kind of call at one of its occurrences in a run.
///
/// A bare number would name another call in each run, because threads take turns as they like; the second write to the
/// database's log is the second in each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The call, a space, and the path beneath the directory with `*` for what has another name in each run.
    pub kind: String,
    /// Which of the calls of this kind, from 1.
    pub nth: u64,
}

/// What the full disk does to the call at which it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It fails.
    Whole,
    /// A write takes half of its bytes, as where the last free block was found; the calls after it fail.
    Half,
}

/// A disk that can be full.
#[derive(Debug)]
pub struct NoSpace {
    library: PathBuf,
    path: PathBuf,
    state: File,
}

impl NoSpace {
    /// Makes a disk with room; `libraries` is a folder in which the library is, or is built and stays for others, and
    /// `state` a file that nobody else uses. It is about what lies beneath `dir`, a path without links in it.
    ///
    /// # Errors
    /// When there is no C compiler, or it fails, or the files can't be written.
    pub fn new(libraries: &Path, state: &Path, role: Role, dir: &Path) -> Result<Self> {
        let library = build(libraries)?;
        let file = File::options().read(true).write(true).create(true).truncate(true).open(state)?;
        file.set_len(SIZE)?;
        let disk = Self { library, path: state.to_owned(), state: file };
        let role = match role {
            Role::Server => "server",
            Role::Git => "git",
            Role::Worker => "worker",
        };
        disk.text(ROLE, role)?;
        disk.text(DIR, dir.to_str().context("the directory's name is not UTF-8")?)?;
        Ok(disk)
    }

    /// The variables with which the server is to be started; it and what it starts get no others.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![
            ("LD_PRELOAD".into(), self.library.display().to_string()),
            ("NO_SPACE".into(), self.path.display().to_string()),
        ]
    }

    /// Fills the disk at this point, for so many calls of any kind.
    ///
    /// # Errors
    /// When the state can't be written.
    pub fn fill_at(&self, point: &Point, calls: u64, cut: Cut) -> Result<()> {
        self.text(WHAT, &point.kind)?;
        self.put(BRIEF, u64::from(cut == Cut::Half))?;
        self.put(WINDOW, calls)?;
        self.put(SEEN, 0)?;
        self.put(FROM, point.nth)
    }

    /// Makes room again, for good.
    ///
    /// # Errors
    /// When the state can't be written.
    pub fn free(&self) -> Result<()> {
        self.put(FROM, 0)?;
        self.put(LEFT, 0)
    }

    /// How many calls met the full disk.
    ///
    /// # Errors
    /// When the state can't be read.
    pub fn failed(&self) -> Result<u64> {
        let mut bytes = [0; 8];
        self.state.read_exact_at(&mut bytes, FAILED)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// Every call so far, with its path beneath the directory, and ` FULL` behind those that failed.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let mut trace = self.path.clone().into_os_string();
        trace.push(".trace");
        let text = std::fs::read(trace).unwrap_or_default();
        String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
    }

    /// Every call so far as a point at which another run can fail, in order.
    #[must_use]
    pub fn points(&self) -> Vec<Point> {
        let mut counts = std::collections::BTreeMap::new();
        let points = self.calls().into_iter().map(|call| {
            let kind = kind(call.trim_end_matches(" FULL"));
            let nth = counts.entry(kind.clone()).or_insert(0);
            *nth += 1;
            Point { kind, nth: *nth }
        });
        points.collect()
    }

    fn put(&self, at: u64, value: u64) -> Result<()> {
        Ok(self.state.write_all_at(&value.to_ne_bytes(), at)?)
    }

    fn text(&self, (at, size): (u64, usize), text: &str) -> Result<()> {
        ensure!(text.len() < size, "{text:?} is longer than {size} bytes");
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(size, 0);
        Ok(self.state.write_all_at(&bytes, at)?)
    }
}

/// Compiles the library, unless it is there.
fn build(libraries: &Path) -> Result<PathBuf> {
    let mut hasher = std::hash::DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let library = libraries.join(format!("no_space-{:016x}.so", hasher.finish()));
    if library.exists() {
        return Ok(library);
    }
    // Tests run side by side: each builds its own, and the last one stays.
    let dir = tempfile::Builder::new().prefix("no_space-").tempdir_in(libraries)?;
    let (source, made) = (dir.path().join("no_space.c"), dir.path().join("no_space.so"));
    std::fs::write(&source, SOURCE)?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"];
    let output = Command::new(&compiler).args(flags).arg(&made).arg(&source).arg("-ldl").output();
    let output = output.with_context(|| {
        format!("no C compiler: {} can't be started; on Debian install build-essential", compiler.display())
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} can't compile no_space.c:\n{said}", compiler.display());
    std::fs::rename(&made, &library)?;
    Ok(library)
}

/// A call with `*` for every part of its path that has another name in each run: what holds a digit, or two letters of a
/// digest, or the random end that git gives to its temporary files.
fn kind(call: &str) -> String {
    let (name, path) = call.split_once(' ').unwrap_or((call, ""));
    let parts = path.trim_end_matches(" (deleted)").split('/').map(|part| {
        let digest = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let random = part.starts_with("tmp_") || part.starts_with("incoming-");
        if digest || random || part.bytes().any(|byte| byte.is_ascii_digit()) { "*" } else { part }
    });
    format!("{name} {}", parts.collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_run_to_run_is_no_part_of_a_kind() {
        assert_eq!(kind("write bellwether.db-wal"), "write bellwether.db-wal");
        assert_eq!(kind("create workers/0199-aa/worker.json"), "create workers/*/worker.json");
        assert_eq!(kind("link mirror/tiny/objects/ab/tmp_obj_XyZ"), "link mirror/tiny/objects/*/*");
        assert_eq!(kind("write gone (deleted)"), "write gone");
    }
}
