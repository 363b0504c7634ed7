//! Versions of Go in the names of tags and branches. Source: spec/maintner.md §5.3, §7.6.

/// A version of three numbers, of which the last may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// From 1.
    pub major: u16,
    /// From 0.
    pub minor: u16,
    /// From 0.
    pub patch: u16,
}

impl Version {
    /// Without the last number.
    #[must_use]
    pub const fn series(self) -> (u16, u16) {
        (self.major, self.minor)
    }
}

/// 0 to 999, without zeros before it.
fn number(text: &str) -> Option<u16> {
    let digits = matches!(text.len(), 1..=3) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

/// `X[.Y[.Z]]`, of at most so many parts; the number of parts beside it.
fn parts(text: &str, most: usize) -> Option<(Version, usize)> {
    let (mut all, mut count) = ([0; 3], 0);
    for part in text.split('.') {
        if count == most {
            return None;
        }
        *all.get_mut(count)? = number(part)?;
        count += 1;
    }
    let [major, minor, patch] = all;
    (major > 0).then_some((Version { major, minor, patch }, count))
}

/// The version of a tag `goX[.Y[.Z]]`; none of betas and candidates.
#[must_use]
pub fn of_tag(tag: &str) -> Option<Version> {
    Some(parts(tag.strip_prefix("go")?, 3)?.0)
}

/// The series of a branch `release-branch.goX[.Y]`.
#[must_use]
pub fn of_release_branch(branch: &str) -> Option<(u16, u16)> {
    let (version, count) = parts(branch.strip_prefix("release-branch.go")?, 2)?;
    (count == 1 || version.minor > 0).then_some(version.series())
}

/// The series of a branch `internal-branch.goX[.Y]-SUFFIX`.
#[must_use]
pub fn of_internal_branch(branch: &str) -> Option<(u16, u16)> {
    let (tag, suffix) = branch.strip_prefix("internal-branch.")?.split_once('-')?;
    let version = of_tag(tag)?;
    (!suffix.is_empty() && version.patch == 0).then_some(version.series())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (tag, want) in [
            ("go1", (1, 0, 0)),
            ("go1.2", (1, 2, 0)),
            ("go1.2.0", (1, 2, 0)),
            ("go1.2.3", (1, 2, 3)),
            ("go23.45.67", (23, 45, 67)),
        ] {
            let found = of_tag(tag).map(|version| (version.major, version.minor, version.patch));
            assert_eq!(found, Some(want), "{tag}");
        }
        for tag in "not-go go go. go1. go1-bad go1.2. go1.2-bad go1.2.3. go1.2.3-bad go1.2.3.4 go0.0.0 go-1 go1.-2 go1.2.-3 go+1 \
                    go01 go001 go1000 go00 go00.2 go00.2.3 go1.00 go1.00.0 go1.00.3 go1.2.00"
            .split_whitespace()
        {
            assert_eq!(of_tag(tag), None, "{tag}");
        }
    }

    #[test]
    fn release_branches() {
        for (name, want) in [("go1", (1, 0)), ("go1.2", (1, 2)), ("go23.45", (23, 45))] {
            assert_eq!(of_release_branch(&format!("release-branch.{name}")), Some(want), "{name}");
        }
        for name in "go go. go1. go1-bad go1.2. go1.2-bad go1.2.3 go0.0 go-1 go1.-2 go+1 go01 go001 go1000 go1.0 go00 go00.2 go1.00"
            .split_whitespace()
        {
            assert_eq!(of_release_branch(&format!("release-branch.{name}")), None, "{name}");
        }
        assert_eq!(of_release_branch("not-release-branch"), None);
    }

    #[test]
    fn internal_branches() {
        assert_eq!(of_internal_branch("internal-branch.go1.16-vendor"), Some((1, 16)));
        assert_eq!(of_internal_branch("internal-branch.go42-suffix"), Some((42, 0)));
        for branch in [
            "internal-branch.go1.16-",
            "internal-branch.go1.16",
            "not-internal-branch",
            "internal-branch.go1.16.2-x",
        ] {
            assert_eq!(of_internal_branch(branch), None, "{branch}");
        }
    }
}
