//! Finding and reading files beneath the work directory; symlinks never lead out of it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use glob::{MatchOptions, Pattern};

use crate::beneath::{self, LOOK};
use crate::paths::clean;
use crate::sys::fd::OwnedFd;
use crate::sys::fs::{FileType, Mode, OFlags, fstat};
use crate::sys::{Errno, OsStrExt as _};
use crate::walk::{Next, walk_fd};
use crate::wire::{GlobFile, GlobReport, GlobRequest};

/// The greatest number of files in a report.
const MAX_FILES: usize = 10_000;

/// Why a file is not given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("{0}")]
    Refused(String),
    #[error("{0}: no such file or directory")]
    Missing(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Opens something beneath a directory; `path` may be empty for the directory itself.
pub(crate) fn open_beneath(base: &Path, path: &str, flags: OFlags) -> Result<OwnedFd, FileError> {
    let base = crate::sys::fs::open(base, LOOK | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(io::Error::from)?;
    let refused = || FileError::Refused(format!("{path:?} is not beneath the work directory"));
    let inside = match path {
        "" => String::new(),
        path => clean(path).ok_or_else(refused)?,
    };
    let inside = if inside.is_empty() { "." } else { inside.as_str() };
    beneath::open(base, inside, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|error| match error {
        Errno::XDEV | Errno::LOOP => refused(),
        Errno::NOENT | Errno::NOTDIR => FileError::Missing(path.to_owned()),
        error => FileError::Io(error.into()),
    })
}

/// Opens a regular file and says how many bytes it has.
pub(crate) fn open(workdir: &Path, path: &str) -> Result<(File, u64), FileError> {
    // Not blocking: a fifo must not hold us.
    let fd = open_beneath(workdir, path, OFlags::RDONLY | OFlags::NONBLOCK)?;
    let stat = fstat(&fd).map_err(io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(FileError::Refused(format!("{path:?} is no regular file")));
    }
    Ok((File::from(fd), stat.st_size.cast_unsigned()))
}

/// Lists the regular files that match one of the patterns.
pub(crate) fn glob(workdir: &Path, request: &GlobRequest) -> Result<GlobReport, FileError> {
    let patterns = request
        .patterns
        .iter()
        .map(|text| Pattern::new(text).map_err(|e| FileError::Refused(format!("pattern {text:?}: {e}"))))
        .collect::<Result<Vec<_>, _>>()?;
    let options = MatchOptions {
        case_sensitive: true,
        require_literal_separator: true,
        require_literal_leading_dot: true,
    };
    let base = open_beneath(workdir, &request.dir, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut report = GlobReport::default();
    walk_fd(base, &mut |entry| {
        let path = OsStr::from_bytes(entry.path);
        if entry.kind == FileType::RegularFile
            && patterns.iter().any(|pattern| pattern.matches_path_with(Path::new(path), options))
        {
            if report.files.len() == MAX_FILES {
                report.truncated = true;
                return Ok(Next::Stop);
            }
            #[allow(clippy::useless_conversion, reason = "it is another type on Linux")]
            let nanos = i64::try_from(entry.stat.st_mtime_nsec).unwrap_or(0);
            report.files.push(GlobFile {
                path: path.to_string_lossy().into_owned(),
                size: entry.stat.st_size.cast_unsigned(),
                mtime_us: entry.stat.st_mtime.saturating_mul(1_000_000).saturating_add(nanos / 1000),
                mode: entry.mode() & 0o7777,
            });
        }
        Ok(Next::Enter)
    })?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(dir: &Path, patterns: &[&str]) -> Vec<String> {
        let patterns = patterns.iter().map(|p| (*p).to_owned()).collect();
        let report = glob(dir, &GlobRequest { patterns, dir: String::new() }).unwrap();
        report.files.into_iter().map(|f| f.path).collect()
    }

    #[test]
    fn patterns_match_and_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret.log"), "s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for file in ["x.log", "a/y.log", "a/b/z.log", "a/b/z.txt"] {
            std::fs::write(dir.path().join(file), "1").unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.log"), dir.path().join("s.log")).unwrap();
        assert_eq!(found(dir.path(), &["*.log"]), ["x.log"]);
        assert_eq!(found(dir.path(), &["**/*.log"]), ["a/b/z.log", "a/y.log", "x.log"]);
        assert_eq!(found(dir.path(), &["a/*"]), ["a/y.log"]);
        for path in ["out/secret.log", "s.log", "../x", "/etc/passwd"] {
            assert!(matches!(open(dir.path(), path), Err(FileError::Refused(_))), "{path}");
        }
        assert!(matches!(open(dir.path(), "none"), Err(FileError::Missing(_))));
        assert!(matches!(open(dir.path(), "a"), Err(FileError::Refused(_))));
        assert_eq!(open(dir.path(), "a/../x.log").unwrap().1, 1);
        let bad = GlobRequest { patterns: vec!["[".to_owned()], dir: String::new() };
        assert!(matches!(glob(dir.path(), &bad), Err(FileError::Refused(_))));
    }
}
