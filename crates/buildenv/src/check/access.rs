//! Checks of who may read what.

use crate::load::Gathered;
use crate::values::Checker;

/// A private repository where everybody may read: it would be private by name only.
pub(super) fn private_repos(checker: &mut Checker, all: &Gathered) {
    let read = all.find("access", None, "").and_then(|item| item.table.get("read"));
    if read.is_some_and(|entry| entry.node.text() == Some("developer")) {
        return;
    }
    for ((_, name), item) in all.section("repo") {
        let Some(entry) = item.table.get("visibility") else { continue };
        if entry.node.text() != Some("private") {
            continue;
        }
        let message = format!(
            "{name} is private, and whoever reaches the server may read: [access] read is \"anonymous\""
        );
        let problem = checker.problem(entry.node.place, &format!("repo.{name}.visibility"), message);
        checker.report(problem.expected("read = \"developer\" in [access], so that reading needs the token"));
    }
}
