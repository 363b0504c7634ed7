//! What the rules say of a tree: a pure function of who is red and how much waits.

use std::collections::BTreeMap;

use buildenv::TreeRules;
use store::BuildId;

use crate::api::TreeStatus;

/// So many builders are named in a reason.
const NAMED: usize = 4;

/// What a builder said of the newest commit that it judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Green,
    /// The build, and the commit.
    Red(BuildId, String),
}

/// What the rules say, and why.
pub(crate) fn judge(
    rules: &TreeRules,
    verdicts: &BTreeMap<String, Verdict>,
    queued: Option<u64>,
) -> (TreeStatus, String) {
    let red: Vec<&str> =
        verdicts.iter().filter(|(_, one)| **one != Verdict::Green).map(|(name, _)| name.as_str()).collect();
    let closing: Vec<&str> = red.iter().copied().filter(|name| rules.closers.matches(name)).collect();
    let (reds, judged) = (red.len() as u64, verdicts.len() as u64);
    if !closing.is_empty() {
        return (TreeStatus::Closed, format!("{} red", named(&closing)));
    }
    let share = rules.throttle_red.filter(|share| reds > 0 && reds * 100 >= u64::from(*share) * judged);
    if share.is_some() {
        return (
            TreeStatus::Throttled,
            format!("{reds} of {judged} builders {} red: {}", be(reds), list(&red)),
        );
    }
    if let Some((queued, _)) =
        queued.zip(rules.throttle_queued).filter(|(queued, most)| *queued > u64::from(*most))
    {
        return (TreeStatus::Throttled, format!("{queued} builds wait"));
    }
    let reason = match (judged, reds) {
        (0, _) => "no builder has judged one of the newest commits".to_owned(),
        (1, 0) => "the one builder that judged is green".to_owned(),
        (_, 0) => format!("all {judged} builders that judged are green"),
        _ => {
            format!("{reds} of {judged} builders {} red, none that closes the tree: {}", be(reds), list(&red))
        }
    };
    (TreeStatus::Open, reason)
}

fn list(names: &[&str]) -> String {
    let mut text = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}

fn be(many: u64) -> &'static str {
    if many == 1 { "is" } else { "are" }
}

fn named(names: &[&str]) -> String {
    format!("{} {}", list(names), be(names.len() as u64))
}

#[cfg(test)]
mod tests {
    use buildenv::Patterns;
    use store::Micros;

    use super::*;

    fn told(closers: &[&str], share: u32, most: u32, verdicts: &str, queued: u64) -> (TreeStatus, String) {
        let rules = TreeRules {
            closers: Patterns::of(closers.iter().copied()).unwrap(),
            throttle_red: (share > 0).then_some(share),
            throttle_queued: (most > 0).then_some(most),
        };
        let red = || Verdict::Red(BuildId::new(Micros(0), &mut |to| to.fill(0)), "c".into());
        let verdicts = verdicts.split_whitespace().map(|one| match one.strip_prefix('!') {
            Some(name) => (name.to_owned(), red()),
            None => (one.to_owned(), Verdict::Green),
        });
        judge(&rules, &verdicts.collect(), Some(queued))
    }

    #[test]
    fn a_red_closer_closes_it() {
        assert_eq!(told(&[], 0, 0, "a !b", 0), (TreeStatus::Closed, "b is red".into()));
        assert_eq!(told(&["a"], 0, 0, "a !b", 0).0, TreeStatus::Open);
        assert_eq!(told(&["!b"], 0, 0, "!a !b", 0), (TreeStatus::Closed, "a is red".into()));
        let many = told(&[], 0, 0, "!a !b !c !d !e !f", 0).1;
        assert_eq!(many, "a, b, c, d and 2 more are red");
    }

    #[test]
    fn many_red_ones_or_a_long_queue_throttle_it() {
        assert_eq!(told(&["x"], 50, 0, "!a b c", 0).0, TreeStatus::Open);
        assert_eq!(
            told(&["x"], 33, 0, "!a b c", 0),
            (TreeStatus::Throttled, "1 of 3 builders is red: a".into())
        );
        assert_eq!(told(&["x"], 1, 0, "a b c", 0).0, TreeStatus::Open);
        assert_eq!(told(&["!*"], 0, 0, "!a !b", 0).0, TreeStatus::Open);
        assert_eq!(told(&[], 0, 9, "a", 10), (TreeStatus::Throttled, "10 builds wait".into()));
        assert_eq!(told(&[], 0, 9, "a", 9).0, TreeStatus::Open);
    }

    #[test]
    fn an_open_tree_says_why_too() {
        assert_eq!(told(&[], 25, 0, "", 0).1, "no builder has judged one of the newest commits");
        assert_eq!(told(&[], 25, 0, "a b", 0).1, "all 2 builders that judged are green");
        assert_eq!(told(&["b"], 0, 0, "!a b", 0).1, "1 of 2 builders is red, none that closes the tree: a");
    }
}
