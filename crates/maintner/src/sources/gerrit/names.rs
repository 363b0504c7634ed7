//! What a ref of Gerrit is by its name. Source: spec/maintner.md §4.3.

/// What a ref is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `HEAD`, a branch, a tag, any other.
    Other,
    /// A change's patch set: number and patch set, from 1.
    PatchSet(i32, i32),
    /// A change's meta ref.
    Meta(i32),
}

/// Gerrit's own books, which are of no use to who asks about changes: settings, accounts, merges that it made to show a
/// difference, and what people keep for themselves.
const OWN: [&str; 10] = [
    "refs/users/",
    "refs/meta/",
    "refs/cache-automerge/",
    "refs/draft-comments/",
    "refs/starred-changes/",
    "refs/groups/",
    "refs/deleted-groups/",
    "refs/sequences/",
    "refs/keep/",
    "refs/cache-",
];

/// What a ref is; `None` of what is not followed: Gerrit's own, and of changes anything beside patch sets and meta refs
/// (`robot-comments`, `edit-…`).
#[must_use]
pub fn kind(name: &str) -> Option<Kind> {
    let Some(rest) = name.strip_prefix("refs/changes/") else {
        return (!OWN.iter().any(|own| name.starts_with(own))).then_some(Kind::Other);
    };
    let mut parts = rest.split('/');
    let (fan, number, last) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || fan.len() != 2 || !digits(fan) || !digits(number) {
        return None;
    }
    let number = number.parse().ok()?;
    match last {
        "meta" => Some(Kind::Meta(number)),
        _ if digits(last) => Some(Kind::PatchSet(number, last.parse().ok().filter(|version| *version > 0)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_told_apart_by_their_names() {
        for (name, want) in [
            ("HEAD", Some(Kind::Other)),
            ("refs/heads/main", Some(Kind::Other)),
            ("refs/tags/v1^{}", Some(Kind::Other)),
            ("refs/changes/00/14700/1", Some(Kind::PatchSet(14700, 1))),
            ("refs/changes/00/14700/10", Some(Kind::PatchSet(14700, 10))),
            ("refs/changes/00/14700/meta", Some(Kind::Meta(14700))),
            ("refs/changes/00/14700/0", None),
            ("refs/changes/00/14700/metadata", None),
            ("refs/changes/00/14700/1/2", None),
            ("refs/changes/00/14700/robot-comments", None),
            ("refs/changes/00/4294967296/1", None),
            ("refs/changes/00/+1/1", None),
            ("refs/meta/config", None),
            ("refs/users/00/1000000", None),
            ("refs/draft-comments/00/1/1000000", None),
        ] {
            assert_eq!(kind(name), want, "{name}");
        }
    }
}
