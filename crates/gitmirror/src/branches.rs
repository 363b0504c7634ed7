//! Which branches are posted.

use std::collections::BTreeMap;

use git::{Listing, ObjectId, RefName};

use crate::state::View;

/// The name of the branch that stands for a `HEAD` on no branch.
pub(crate) const DETACHED: &str = "HEAD";

/// Finds the default branch of a source; `None` if it has no branch at all.
pub(crate) fn default_branch(listing: &Listing) -> Option<String> {
    let branches: BTreeMap<&str, ObjectId> =
        listing.refs.iter().filter_map(|entry| Some((entry.name.as_branch()?, entry.id))).collect();
    let named = listing.head_branch.as_ref().and_then(RefName::as_branch);
    if let Some(named) = named.filter(|name| branches.contains_key(name)) {
        return Some(named.to_owned());
    }
    let usual = |allowed: &dyn Fn(ObjectId) -> bool| {
        let fits = |name: &&str| branches.get(*name).is_some_and(|id| allowed(*id));
        let first = branches.iter().find(|(_, id)| allowed(**id)).map(|(name, _)| *name);
        ["main", "master"].into_iter().find(fits).or(first).map(str::to_owned)
    };
    match listing.head {
        Some(head) => usual(&|id| id == head).or(Some(DETACHED.to_owned())),
        None => usual(&|_| true),
    }
}

/// Selects the branches to post, with their commits.
pub(crate) fn select(view: &View, patterns: &[String]) -> BTreeMap<String, ObjectId> {
    let mut selected: BTreeMap<String, ObjectId> = BTreeMap::new();
    for (name, id) in view.refs.iter() {
        let Some(branch) = name.as_branch() else { continue };
        let wanted = match patterns {
            [] => view.default_branch.as_deref() == Some(branch),
            patterns => patterns.iter().any(|pattern| matches(pattern, branch)),
        };
        if wanted {
            selected.insert(branch.to_owned(), *id);
        }
    }
    if let (Some(head), Some(DETACHED)) = (view.detached, view.default_branch.as_deref()) {
        selected.insert(DETACHED.to_owned(), head);
    }
    selected
}

/// Whether a name fits a pattern of `*` (any characters) and `?` (one).
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p + 1, n));
                p += 1;
            }
            Some('?') => (p, n) = (p + 1, n + 1),
            Some(c) if *c == name[n] => (p, n) = (p + 1, n + 1),
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    (p, n) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use git::Ref;

    fn listing(refs: &[(&str, u8)], head: Option<u8>, head_branch: Option<&str>) -> Listing {
        let id = |n| ObjectId::from_bytes([n; 20]);
        Listing {
            refs: refs
                .iter()
                .map(|(name, n)| Ref { name: RefName::branch(name).unwrap(), id: id(*n) })
                .collect(),
            head: head.map(id),
            head_branch: head_branch.map(|name| RefName::branch(name).unwrap()),
        }
    }

    #[test]
    fn the_default_branch_is_where_head_stands() {
        let default = |refs: &[(&str, u8)], head, branch| default_branch(&listing(refs, head, branch));
        let refs = [("a", 1), ("main", 1), ("trunk", 2)];
        assert_eq!(default(&refs, Some(2), Some("trunk")).as_deref(), Some("trunk"));
        assert_eq!(default(&refs, Some(1), None).as_deref(), Some("main"), "detached on a branch's commit");
        assert_eq!(default(&refs, Some(9), None).as_deref(), Some("HEAD"), "detached elsewhere");
        assert_eq!(default(&refs, None, None).as_deref(), Some("main"), "unborn");
        assert_eq!(default(&[("x", 1)], None, None).as_deref(), Some("x"));
        assert_eq!(default(&[], None, None), None);
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, fits) in [
            ("master", "master", true),
            ("master", "master2", false),
            ("release-branch.*", "release-branch.go1.2", true),
            ("release-branch.*", "release-branch", false),
            ("*", "a/b", true),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcdf", false),
            ("v?", "v1", true),
            ("v?", "v12", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
