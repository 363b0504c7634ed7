//! Checks of quotas and widths: who they are of, and that what is wide finds room.

use std::collections::BTreeSet;

use super::Whole;
use crate::fields::Fields;
use crate::load::Gathered;
use crate::values::Checker;

/// Checks the quotas of single repositories and people.
pub(super) fn quotas(checker: &mut Checker, all: &Gathered) {
    let Some(item) = all.find("quotas", None, "") else { return };
    let path = "quotas.own";
    let mut seen = BTreeSet::new();
    for (node, own) in Fields(&item.table).tables("own") {
        let (repo, user) = (own.text("repo"), own.text("user"));
        if repo.is_some() == user.is_some() {
            if !checker.reported(path) {
                let problem = checker.problem(node.place, path, "it says not whose quota it is");
                checker.report(problem.expected("one of repo and user"));
            }
            continue;
        }
        if let Some(name) = repo.filter(|name| all.find("repo", None, name).is_none()) {
            let problem = checker.problem(node.place, path, format!("no repo {name}"));
            let names = all.names("repo", None);
            checker.report(problem.nearest(name, names.iter().copied()));
        }
        if !seen.insert((repo, user)) {
            let who = repo.or(user).unwrap_or_default();
            let problem = checker.problem(node.place, path, format!("{who} has a quota already"));
            checker.report(problem.expected("one for each"));
        }
    }
}

/// Warns of a builder whose builds take more slots than a limit of theirs has: each runs alone there.
pub(super) fn width(checker: &mut Checker, all: &Gathered, path: &str, whole: &Whole) {
    let fields = Fields(&whole.table);
    let Some(width) = fields.int::<u32>("width").filter(|width| *width > 1) else { return };
    let named = whole.table.get("limit").map_or(&[][..], |entry| entry.node.many());
    let named = named.iter().filter_map(|node| {
        let name = node.text()?;
        let most: u32 = Fields(&all.find("limit", None, name)?.table).int("max")?;
        Some((format!("limit {name}"), most))
    });
    let own = fields.limit("max_at_once").map(|most| ("max_at_once".to_owned(), most));
    let tight = own.into_iter().chain(named).find(|(_, most)| *most < width);
    let Some((name, most)) = tight else { return };
    let place = whole.table.get("width").map_or(whole.place, |entry| entry.place);
    let message = format!("it is wider than {name}, which has {most}: each of its builds runs alone there");
    let warning = checker.problem(place, &format!("{path}.width"), message);
    checker.warnings.push(warning.expected(format!("at most {most}")));
}
