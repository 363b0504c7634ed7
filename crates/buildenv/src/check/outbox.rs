//! Checks of where messages go out to the world: addresses, and one place of each secret.

use crate::load::{Gathered, Item};
use crate::values::Checker;

const PASSWORD: [&str; 2] = ["password_file", "password_env"];
const SECRET: [&str; 2] = ["secret_file", "secret_env"];
const TOKEN: [&str; 2] = ["token_file", "token_env"];

pub(super) fn outbox(checker: &mut Checker, all: &Gathered) {
    for (section, secret, address) in [("gerrit", PASSWORD, "url"), ("webhook", SECRET, "url")] {
        for ((_, name), item) in all.section(section) {
            let path = format!("{section}.{name}");
            one_place(checker, &path, secret, item);
            web(checker, &path, address, item);
        }
    }
    if let Some(item) = all.find("github_posts", None, "") {
        one_place(checker, "github_posts", TOKEN, item);
        web(checker, "github_posts", "api", item);
    }
    for ((_, name), item) in all.section("repo") {
        let Some(entry) = item.table.get("pulls") else { continue };
        let path = format!("repo.{name}.pulls");
        let halves = entry.node.text().and_then(|text| text.split_once('/'));
        if !halves.is_some_and(|(owner, repo)| word(owner) && word(repo)) {
            let problem = checker.problem(entry.node.place, &path, "no repository of GitHub");
            checker.report(problem.expected("OWNER/REPO"));
        } else if all.find("github_posts", None, "").is_none() {
            let problem =
                checker.problem(entry.node.place, &path, "nothing says how GitHub is asked and answered");
            checker.report(problem.expected("a section [github_posts]"));
        }
    }
    if let Some(item) = all.find("mail", None, "")
        && let Some(user) = item.table.get("user")
        && places(item, PASSWORD) != 1
    {
        let problem = checker.problem(user.place, "mail.user", "its password has not one place");
        checker.report(problem.expected("password_file or password_env"));
    }
}

/// Whether it can be a half of a repository's name.
fn word(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=100).contains(&text.len()) && text != "." && text != ".." && text.bytes().all(fits)
}

fn places(item: &Item, keys: [&str; 2]) -> usize {
    keys.iter().filter(|key| item.table.get(key).is_some()).count()
}

fn one_place(checker: &mut Checker, path: &str, keys: [&str; 2], item: &Item) {
    if places(item, keys) != 1 && !checker.reported(path) {
        let [file, env] = keys;
        let key = file.trim_end_matches("_file");
        let problem = checker.problem(item.place, path, format!("the {key} of {path} has not one place"));
        checker.report(problem.expected(format!("{file} or {env}")));
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
