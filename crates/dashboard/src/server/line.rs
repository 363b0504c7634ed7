//! How a posted first-parent list changes what is kept of a branch. Pure.

use std::collections::{HashMap, HashSet};

/// What to do with the rows of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Change {
    /// Mark everything above this position as no longer reachable.
    pub(crate) cut_above: Option<i64>,
    /// New rows with their positions.
    pub(crate) insert: Vec<(i64, String)>,
}

/// A branch as it is kept: its reachable line, newest first, and the ends of all its positions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) line: Vec<(i64, String)>,
    pub(crate) ends: Option<(i64, i64)>,
}

/// A list as it was posted, newest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posted<'a> {
    pub(crate) hashes: &'a [String],
    /// First parent of the last of them, if there is one.
    pub(crate) tail_parent: Option<&'a str>,
    /// Whether the list is known to reach the root or what was posted before.
    pub(crate) complete: bool,
}

/// Finds where the posted list meets the kept line; what is kept above that point was pushed away, what is posted
/// above it is new, and what is posted below the kept line's end was not known before.
pub(crate) fn merge(kept: &Kept, posted: Posted<'_>) -> Change {
    let places: HashMap<&str, i64> = kept.line.iter().map(|(at, hash)| (hash.as_str(), *at)).collect();
    let mut seen = HashSet::new();
    let list: Vec<&str> =
        posted.hashes.iter().map(String::as_str).filter(|hash| seen.insert(*hash)).collect();
    let (low, high) = kept.ends.unwrap_or((0, -1));

    let met = list.iter().position(|hash| places.contains_key(hash));
    let joint = match met {
        Some(at) => places.get(list[at]).copied(),
        None => posted.tail_parent.and_then(|parent| places.get(parent)).copied(),
    };
    let newer = &list[..met.unwrap_or(list.len())];
    let mut change = Change::default();
    let line_top = kept.line.first().map(|(at, _)| *at);
    match joint {
        Some(joint) if line_top > Some(joint) => change.cut_above = Some(joint),
        // The list neither meets the line nor reaches its own end: what lies between is not known, and nothing
        // says that the old commits are gone.
        None if posted.complete && line_top.is_some() => change.cut_above = Some(low - 1),
        _ => {}
    }
    for (at, hash) in newer.iter().rev().enumerate() {
        change.insert.push((high + 1 + at as i64, (*hash).to_owned()));
    }
    if let Some(met) = met {
        // Below the joint the list and the line are the same commits, as far as the line goes.
        let older = list[met..].iter().skip_while(|hash| places.contains_key(*hash));
        for (at, hash) in older.filter(|hash| !places.contains_key(*hash)).enumerate() {
            change.insert.push((low - 1 - at as i64, (*hash).to_owned()));
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(line: &[(i64, &str)], ends: (i64, i64)) -> Kept {
        Kept { line: line.iter().map(|(at, hash)| (*at, (*hash).to_owned())).collect(), ends: Some(ends) }
    }

    fn post(kept: &Kept, hashes: &[&str], tail_parent: Option<&str>, complete: bool) -> Change {
        let hashes: Vec<String> = hashes.iter().map(|hash| (*hash).to_owned()).collect();
        merge(kept, Posted { hashes: &hashes, tail_parent, complete })
    }

    fn change(cut_above: Option<i64>, insert: &[(i64, &str)]) -> Change {
        Change { cut_above, insert: insert.iter().map(|(at, hash)| (*at, (*hash).to_owned())).collect() }
    }

    #[test]
    fn the_first_list_fills_the_branch() {
        let filled = post(&Kept::default(), &["c", "b", "a"], None, true);
        assert_eq!(filled, change(None, &[(0, "a"), (1, "b"), (2, "c")]));
    }

    #[test]
    fn new_commits_go_on_top() {
        let line = kept(&[(2, "c"), (1, "b"), (0, "a")], (0, 2));
        let on_top = change(None, &[(3, "d"), (4, "e")]);
        assert_eq!(post(&line, &["e", "d"], Some("c"), true), on_top);
        assert_eq!(post(&line, &["e", "d", "c"], Some("b"), true), on_top);
        assert_eq!(post(&line, &["e", "d", "c", "b", "a"], None, true), on_top);
    }

    #[test]
    fn the_same_list_again_changes_nothing() {
        let line = kept(&[(2, "c"), (1, "b"), (0, "a")], (0, 2));
        assert_eq!(post(&line, &["c", "b"], Some("a"), false), Change::default());
        assert_eq!(post(&line, &[], None, true), change(Some(-1), &[]));
    }

    #[test]
    fn a_force_push_cuts_what_is_above_the_joint() {
        let line = kept(&[(2, "c"), (1, "b"), (0, "a")], (0, 2));
        assert_eq!(post(&line, &["x", "b", "a"], None, true), change(Some(1), &[(3, "x")]));
        assert_eq!(post(&line, &["a"], None, true), change(Some(0), &[]));
        assert_eq!(post(&line, &["x"], Some("a"), true), change(Some(0), &[(3, "x")]));
        assert_eq!(post(&line, &["y", "x"], None, true), change(Some(-1), &[(3, "x"), (4, "y")]));
    }

    #[test]
    fn a_list_that_is_too_short_to_meet_the_line_cuts_nothing() {
        let line = kept(&[(0, "a")], (0, 0));
        assert_eq!(post(&line, &["z", "y"], Some("x"), false), change(None, &[(1, "y"), (2, "z")]));
    }

    #[test]
    fn a_longer_list_goes_on_below() {
        let line = kept(&[(5, "c"), (3, "b")], (3, 5));
        let below = change(None, &[(2, "a"), (1, "0")]);
        assert_eq!(post(&line, &["c", "b", "a", "0"], None, true), below);
        let both = change(None, &[(6, "d"), (2, "a")]);
        assert_eq!(post(&line, &["d", "c", "b", "a"], None, true), both);
    }

    #[test]
    fn a_commit_that_comes_back_gets_a_new_place() {
        // `b` at 1 is unreachable and not on the line.
        let line = kept(&[(2, "x"), (0, "a")], (0, 2));
        assert_eq!(post(&line, &["b", "a"], None, true), change(Some(0), &[(3, "b")]));
    }

    proptest::proptest! {
        /// Whatever is pushed, the line that results is the list that was posted.
        #[test]
        fn the_line_is_what_was_posted_last(
            pushes in proptest::collection::vec((0_usize..6, 0_usize..5), 1..12)
        ) {
            let mut rows: HashMap<String, (i64, bool)> = HashMap::new();
            let mut head: Vec<String> = Vec::new();
            for (count, (back, new)) in pushes.into_iter().enumerate() {
                // Go back some commits, then put new ones on top: `head` is newest first.
                head.drain(..back.min(head.len()));
                for n in 0..new {
                    head.insert(0, format!("{count}.{n}"));
                }
                let mut line: Vec<_> =
                    rows.iter().filter(|(_, row)| row.1).map(|(hash, row)| (row.0, hash.clone())).collect();
                line.sort_by(|a, b| b.cmp(a));
                let low = rows.values().map(|row| row.0).min();
                let high = rows.values().map(|row| row.0).max();
                let kept = Kept { line, ends: low.zip(high) };
                let change = merge(&kept, Posted { hashes: &head, tail_parent: None, complete: true });
                if let Some(above) = change.cut_above {
                    rows.values_mut().filter(|row| row.0 > above).for_each(|row| row.1 = false);
                }
                for (at, hash) in change.insert {
                    let before = rows.insert(hash, (at, true));
                    proptest::prop_assert!(before.is_none_or(|row| !row.1));
                }
                let mut line: Vec<_> = rows.iter().filter(|(_, row)| row.1).collect();
                line.sort_by_key(|entry| std::cmp::Reverse(entry.1.0));
                let line: Vec<_> = line.into_iter().map(|(hash, _)| hash.clone()).collect();
                proptest::prop_assert_eq!(&line, &head);
            }
        }
    }
}
