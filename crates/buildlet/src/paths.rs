//! Which paths from the wire are let in (spec 1.10, the newest rule, which has no hole).

use std::path::{Path, PathBuf};

/// What a system's paths are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paths {
    /// Parts between `/`, in which anything may be.
    Unix,
    /// Parts between `/` or `\\`. A colon names a drive, or another content of a file.
    Windows,
}

const HERE: Paths = if cfg!(windows) { Paths::Windows } else { Paths::Unix };

impl Paths {
    fn parts(self, path: &str) -> impl Iterator<Item = &str> {
        path.split(move |c| self.separates(c))
    }

    fn separates(self, c: char) -> bool {
        c == '/' || (self == Self::Windows && c == '\\')
    }

    fn is_relative_beneath(self, path: &str) -> bool {
        if path.is_empty() || path.starts_with(|c| self.separates(c)) || path.contains('\0') {
            return false;
        }
        if self == Self::Windows && path.contains(':') {
            return false;
        }
        let mut depth = 0_usize;
        for part in self.parts(path) {
            match part {
                "" | "." => {}
                ".." => match depth.checked_sub(1) {
                    Some(less) => depth = less,
                    None => return false,
                },
                _ => depth += 1,
            }
        }
        true
    }
}

/// Says whether a path stays beneath its base by its text alone: not empty, not absolute, not climbing out.
///
/// Symlinks are another matter; whoever opens the path resolves it beneath a descriptor.
pub fn is_relative_beneath(path: &str) -> bool {
    HERE.is_relative_beneath(path)
}

/// Joins a wire path to a base, with `.` and `..` taken out of it; `None` if it may not be let in.
pub fn join_beneath(base: &Path, path: &str) -> Option<PathBuf> {
    Some(base.join(clean(path)?))
}

/// Returns the path without `.`, `..` and doubled slashes; empty for the base itself; `None` if it climbs out.
pub fn clean(path: &str) -> Option<String> {
    if !is_relative_beneath(path) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in HERE.parts(path) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vectors_of_the_original() {
        let vectors = [
            ("", false),
            ("a/b", true),
            ("/a", false),
            ("..", false),
            ("../a", false),
            ("a/..", true),
            ("a/../b", true),
            ("a/../../b", false),
            (".", true),
            ("a\\b", true),
            ("a//b", true),
            ("...", true),
            ("..a", true),
            ("a\0b", false),
        ];
        for (path, want) in vectors {
            assert_eq!(is_relative_beneath(path), want, "{path:?}");
        }
    }

    #[test]
    fn windows_has_another_separator_and_drives() {
        let vectors = [
            (r"a\b", true),
            (r"a\..\b/c", true),
            (r"..\a", false),
            (r"a\..\..\b", false),
            (r"\a", false),
            (r"\\server\share", false),
            (r"C:\a", false),
            ("C:a", false),
            ("a:stream", false),
            ("a/b", true),
        ];
        for (path, want) in vectors {
            assert_eq!(Paths::Windows.is_relative_beneath(path), want, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_let_in_never_leaves_its_base(path in "(\\.|\\.\\.|a|b|/|){0,12}") {
            match join_beneath(Path::new("/base/dir"), &path) {
                None => prop_assert!(!is_relative_beneath(&path)),
                Some(joined) => {
                    prop_assert!(joined.starts_with("/base/dir"));
                    prop_assert!(!joined.components().any(|c| c.as_os_str() == ".."));
                }
            }
        }

        #[test]
        fn what_is_refused_would_leave(path in "(\\.\\.|a|b)(/(\\.\\.|a|b|\\.)){0,10}") {
            // The reference: walk the parts and see whether the depth ever gets negative.
            let mut depth = 0_i64;
            let mut least = 0;
            for part in path.split('/') {
                depth += match part { ".." => -1, "." => 0, _ => 1 };
                least = least.min(depth);
            }
            prop_assert_eq!(is_relative_beneath(&path), least >= 0);
        }
    }
}
