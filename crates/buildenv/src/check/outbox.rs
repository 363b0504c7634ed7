//! Checks of where messages go out to the world: addresses, and one place of each secret.

use crate::load::{Gathered, Item};
use crate::values::Checker;

pub(super) fn outbox(checker: &mut Checker, all: &Gathered) {
    for (section, secret, address) in [("gerrit", "password", "url"), ("webhook", "secret", "url")] {
        for ((_, name), item) in all.section(section) {
            let path = format!("{section}.{name}");
            one_place(checker, &path, secret, item);
            web(checker, &path, address, item);
        }
    }
    if let Some(item) = all.find("github_posts", None, "") {
        one_place(checker, "github_posts", "token", item);
        web(checker, "github_posts", "api", item);
    }
    if let Some(item) = all.find("mail", None, "")
        && let Some(user) = item.table.get("user")
        && places(item, "password") != 1
    {
        let problem = checker.problem(user.place, "mail.user", "its password has not one place");
        checker.report(problem.expected("password_file or password_env"));
    }
}

fn places(item: &Item, key: &str) -> usize {
    ["file", "env"].iter().filter(|kind| item.table.get(&format!("{key}_{kind}")).is_some()).count()
}

fn one_place(checker: &mut Checker, path: &str, key: &str, item: &Item) {
    if places(item, key) != 1 && !checker.reported(path) {
        let problem = checker.problem(item.place, path, format!("the {key} of {path} has not one place"));
        checker.report(problem.expected(format!("{key}_file or {key}_env")));
    }
}

/// An address of the web, without a login: that would be shown where the address is.
fn web(checker: &mut Checker, path: &str, key: &str, item: &Item) {
    let Some(entry) = item.table.get(key) else { return };
    let good = entry.node.text().is_some_and(|text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next());
        host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
    });
    if !good {
        let problem = checker.problem(entry.node.place, &format!("{path}.{key}"), "no address of a server");
        checker.report(problem.expected("an address that begins with https:// or http://, without a user"));
    }
}
