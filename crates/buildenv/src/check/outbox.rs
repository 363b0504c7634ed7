//! Checks of where messages go out to the world: addresses, and one place of each secret.

use crate::load::{Gathered, Item};
use crate::tree::Node;
use crate::values::Checker;

const PASSWORD: [&str; 2] = ["password_file", "password_env"];
const SECRET: [&str; 2] = ["secret_file", "secret_env"];
const TOKEN: [&str; 2] = ["token_file", "token_env"];
/// By what an app is known.
const APP: [&str; 3] = ["app", "installation", "app_key_file"];

pub(super) fn outbox(checker: &mut Checker, all: &Gathered) {
    for (section, secret, address) in [("gerrit", PASSWORD, "url"), ("webhook", SECRET, "url")] {
        for ((_, name), item) in all.section(section) {
            let path = format!("{section}.{name}");
            one_place(checker, &path, secret, item);
            web(checker, &path, address, item);
        }
    }
    if let Some(item) = all.find("github_posts", None, "") {
        posts(checker, item);
        web(checker, "github_posts", "api", item);
    }
    pulls(checker, all);
    if let Some(item) = all.find("mail", None, "")
        && let Some(user) = item.table.get("user")
        && places(item, PASSWORD) != 1
    {
        let problem = checker.problem(user.place, "mail.user", "its password has not one place");
        checker.report(problem.expected("password_file or password_env"));
    }
}

/// By what GitHub knows who posts: one token, or all that an app is known by.
fn posts(checker: &mut Checker, item: &Item) {
    let place = "github_posts";
    let said: Vec<_> = APP.iter().filter(|key| item.table.get(key).is_some()).collect();
    if said.is_empty() {
        return one_place(checker, place, TOKEN, item);
    }
    let entry = said.first().and_then(|key| item.table.get(key));
    let at = entry.map_or(item.place, |entry| entry.place);
    if places(item, TOKEN) > 0 {
        let problem = checker.problem(at, place, "it is known both by a token and as an app");
        checker.report(problem.expected("a token, or app, installation and app_key_file"));
    }
    for key in APP.iter().filter(|key| item.table.get(key).is_none()) {
        let problem = checker.problem(at, place, format!("an app is not known without its {key}"));
        checker.report(problem.expected("app, installation and app_key_file"));
    }
}

/// Pull requests of each repository of GitHub are one repository's here, and are known by what is watched.
fn pulls(checker: &mut Checker, all: &Gathered) {
    let maintnerd = all.find("maintnerd", None, "");
    let follows = maintnerd.is_some_and(|item| item.table.get("follow").is_some());
    let github = maintnerd.and_then(|item| item.table.get("github"));
    let watched: Vec<&str> =
        github.map_or(&[][..], |entry| entry.node.many()).iter().filter_map(Node::text).collect();
    let mut known: Vec<(String, String)> = Vec::new();
    for ((_, name), item) in all.section("repo") {
        asked_by(checker, name, item);
        let Some(entry) = item.table.get("pulls") else { continue };
        let path = format!("repo.{name}.pulls");
        let text = entry.node.text().unwrap_or_default();
        let place = entry.node.place;
        if !text.split_once('/').is_some_and(|(owner, repo)| word(owner) && word(repo)) {
            let problem = checker.problem(place, &path, "no repository of GitHub");
            checker.report(problem.expected("OWNER/REPO"));
            continue;
        }
        if all.find("github_posts", None, "").is_none() {
            let problem = checker.problem(place, &path, "nothing says how GitHub is asked and answered");
            checker.report(problem.expected("a section [github_posts]"));
        }
        // Names there are the same in any case.
        let lower = text.to_ascii_lowercase();
        if let Some((other, _)) = known.iter().find(|(_, known)| *known == lower) {
            let message = format!("the pull requests of {text} are those of repo {other} already");
            checker.report(checker.problem(place, &path, message).expected("each of GitHub's once"));
        } else if !follows && !watched.contains(&text) {
            let message = format!("nobody watches {text}, so nothing is known of what is said there");
            let problem = checker.problem(place, &path, message).nearest(text, watched.iter().copied());
            checker.report(problem.expected("one of [maintnerd] github"));
        }
        known.push((name.to_string(), lower));
    }
}

/// Who asks is a login or a team; what starts otherwise would be nobody.
fn asked_by(checker: &mut Checker, name: &str, item: &Item) {
    let path = format!("repo.{name}.try_by");
    for node in item.table.get("try_by").map_or(&[][..], |entry| entry.node.many()) {
        let text = node.text().unwrap_or_default();
        let good = match text.strip_prefix('@') {
            Some(team) => team.split_once('/').is_some_and(|(org, team)| word(org) && word(team)),
            None => word(text),
        };
        if !good {
            let problem = checker.problem(node.place, &path, format!("{text:?} is nobody on GitHub"));
            checker.report(problem.expected("a login, or @ORG/TEAM"));
        }
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
