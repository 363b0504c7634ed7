//! Checks of who may what.

use crate::load::Gathered;
use crate::values::Checker;

/// What a person can become by signing in.
const ROLES: [&str; 3] = ["reader", "developer", "admin"];

/// Roles that there are, and a place where each secret is found.
pub(super) fn sign_in(checker: &mut Checker, all: &Gathered) {
    let Some(access) = all.find("access", None, "") else { return };
    for way in ["oidc", "github"] {
        let Some(entry) = access.table.get(way) else { continue };
        let Some(table) = entry.node.table() else { continue };
        let path = format!("access.{way}");
        let places = ["client_secret_file", "client_secret_env"];
        if places.iter().filter(|key| table.get(key).is_some()).count() != 1 {
            let message = "our secret there has not one place";
            let problem = checker.problem(entry.place, &path, message);
            checker.report(problem.expected("client_secret_file or client_secret_env"));
        }
        let Some(roles) = table.get("roles") else {
            let problem = checker.problem(entry.place, &format!("{path}.roles"), "nobody gets a role by it");
            checker.report(problem.expected("roles = { GROUP = \"developer\" }"));
            continue;
        };
        for role in roles.node.table().map_or(&[][..], |table| &table.0) {
            if role.node.text().is_none_or(|text| !ROLES.contains(&text)) {
                let key = format!("{path}.roles.{}", role.key);
                let problem = checker.problem(role.node.place, &key, "not a role that a person can have");
                checker.report(problem.expected(format!("one of {}", ROLES.join(", "))));
            }
        }
    }
}
