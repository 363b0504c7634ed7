//! Checks of a configuration as a whole: references, cycles, trust, and what staging may share with production.

mod access;
mod hints;
mod jobs;
mod maintnerd;
mod notify;
mod outbox;
mod quotas;
mod shared;
mod tls;

use std::collections::BTreeMap;

use crate::config::Config;
use crate::expand::{HOST_TEXTS, Whole};
use crate::fields::Fields;
use crate::load::{Gathered, Id, Item};
use crate::model::{Host, Isolation, Pool, Trust};
use crate::name::{EnvironmentName, HostName, RepoName};
use crate::source::{Files, Place};
use crate::tree::{Entry, Node, Table};
use crate::values::Checker;

/// Puts the keys of project files into their repositories. Where the server's file speaks too, its word counts.
pub(crate) fn projects(checker: &mut Checker, all: &mut Gathered) {
    let names: Vec<String> = all.names("repo", None).into_iter().map(Into::into).collect();
    let files: Vec<_> = checker.files.list.iter().enumerate().map(|(n, f)| (n, f.kind.clone())).collect();
    for (n, kind) in files {
        let crate::source::Kind::Project(repo) = kind else { continue };
        if !names.iter().any(|known| known == repo.as_str()) {
            let place = Place { file: n as u32, ..Place::default() };
            let problem = checker.problem(place, "", format!("no repository {repo:?} is watched"));
            checker.report(problem.nearest(repo.as_str(), names.iter().map(String::as_str)));
        }
    }
    for (repo, keys) in std::mem::take(&mut all.projects) {
        let item = all.items.get_mut("repo").and_then(|m| m.get_mut(&(None, repo.to_string())));
        let Some(item) = item else { continue };
        for entry in keys.0 {
            // Built-in values give way.
            let built_in = |place: Place| {
                let file = checker.files.list.get(place.file as usize);
                file.is_some_and(|file| file.kind == crate::source::Kind::Embedded)
            };
            item.table.0.retain(|old| old.key != entry.key || !built_in(old.place));
            if let Some(old) = item.table.get(&entry.key) {
                let key = format!("repo.{repo}.{}", entry.key);
                let server = checker.files.locate(old.place);
                let message =
                    format!("{:?} has no effect: the server's file says {}", entry.key, old.node.show());
                let warning = checker.problem(entry.place, &key, message);
                checker
                    .warnings
                    .push(warning.note(format!("the server's word is at {server}, and it counts")));
            } else {
                item.table.put(entry);
            }
        }
    }
}

/// Chooses the environment: the one asked for, or the only one.
pub(crate) fn environment(
    checker: &mut Checker,
    all: &Gathered,
    env: Option<&EnvironmentName>,
) -> Option<EnvironmentName> {
    let names = all.names("environment", None);
    let first = all.section("environment").min_by_key(|(_, i)| i.place)?;
    let list = format!("one of {}", names.join(", "));
    match env {
        Some(env) if names.contains(&env.as_str()) => Some(env.clone()),
        Some(env) => {
            let problem = checker.problem(first.1.place, "environment", format!("no environment {env}"));
            checker.report(problem.expected(list).nearest(env.as_str(), names.iter().copied()));
            None
        }
        None if names.len() == 1 => names[0].parse().ok(),
        None => {
            let message = "there are several environments and none was chosen";
            let problem = checker.problem(first.1.place, "environment", message);
            checker.report(problem.expected(format!("--env with {list}")));
            None
        }
    }
}

/// Checks all references and combinations.
pub(crate) fn all(checker: &mut Checker, all: &Gathered, builders: &BTreeMap<Id, Whole>) {
    repos(checker, all);
    hosts(checker, all);
    let hosts: Vec<Host> =
        all.section("host").filter_map(|(id, i)| read_host(&checker.files, &id.1, i)).collect();
    for (id, whole) in builders {
        builder(checker, all, &hosts, id, whole);
    }
    names(checker, builders);
    jobs::recipes(checker, all);
    shared::environments(checker, all, builders);
    shared::secrets(checker, all, builders);
    access::sign_in(checker, all);
    tls::tls(checker, all);
    hints::hints(checker, all);
    maintnerd::maintnerd(checker, all);
    outbox::outbox(checker, all);
    notify::notify(checker, all);
    quotas::quotas(checker, all);
    if let Some(item) = all.find("dashboard", None, "") {
        refer(checker, all, None, "repo", "dashboard", &item.table, "main");
    }
    if let Some(rules) = all.top.get("policy") {
        known_repos(checker, all, "policy", rules);
        for rule in rules.node.many() {
            let Some(entry) = rule.table().and_then(|t| t.get("builder")) else { continue };
            named_builders(checker, all, builders, "policy.builder", literals(&entry.node));
        }
    }
}

/// Checks that nothing is left to be filled in that the chosen environment does not say.
pub(crate) fn filled(checker: &mut Checker, all: &Gathered, chosen: Option<&EnvironmentName>) {
    let Some(item) = chosen.and_then(|name| all.find("environment", None, name.as_str())) else { return };
    let cloud = Fields(&item.table).vars("cloud");
    for ((_, name), host) in all.section("host") {
        for (key, entry) in HOST_TEXTS.iter().filter_map(|key| Some((key, host.table.get(key)?))) {
            let texts = entry.node.text().into_iter().flat_map(|text| text.split('{').skip(1));
            let open = texts.filter_map(|rest| Some(rest.split_once('}')?.0));
            let Some(open) = open.into_iter().find(|open| cloud.iter().all(|(known, _)| known != open))
            else {
                continue;
            };
            let message = format!("{{{open}}} stands for nothing");
            let problem = checker.problem(entry.node.place, &format!("host.{name}.{key}"), message);
            let labels = Fields(&host.table).labels("labels");
            let valid: Vec<_> = labels
                .keys()
                .chain(cloud.iter().map(|(k, _)| k))
                .map(String::as_str)
                .chain(["name"])
                .collect();
            let problem = problem.nearest(open, valid.iter().copied());
            checker.report(problem.expected(format!("one of {}", valid.join(", "))));
        }
    }
}

/// Checks that what a key names exists.
fn refer(
    checker: &mut Checker,
    all: &Gathered,
    scope: Option<&RepoName>,
    section: &str,
    path: &str,
    table: &Table,
    key: &str,
) {
    let valid = all.names(section, scope);
    for node in table.get(key).map_or(&[][..], |e| e.node.many()) {
        unknown(checker, node, &format!("{path}.{key}"), section, &valid);
    }
}

fn unknown(checker: &mut Checker, node: &Node, key: &str, what: &str, valid: &[&str]) {
    let Some(name) = node.text().filter(|name| !valid.contains(name)) else { return };
    let mut problem = checker.problem(node.place, key, format!("no {what} {name:?}"));
    problem = match valid.len() {
        0 => problem.expected(format!("a {what}, but none is defined")),
        1..13 => problem.expected(format!("one of {}", valid.join(", "))),
        n => problem.expected(format!("one of the {n} that are defined")),
    };
    problem = problem.nearest(name, valid.iter().copied());
    if what == "host" && name == "local" {
        problem = problem.note("the built-in host is kept beside others by an empty table [host.local]");
    }
    checker.report(problem);
}

/// Checks builders that are named across scopes: `BUILDER` of the server, or `REPO:BUILDER` of a project file. What
/// a project file defines may change without the server's files, so of that only the repository is checked.
fn named_builders<'a>(
    checker: &mut Checker,
    all: &Gathered,
    builders: &BTreeMap<Id, Whole>,
    key: &str,
    list: impl IntoIterator<Item = &'a Node>,
) {
    let repos = all.names("repo", None);
    let valid: Vec<_> = builders.keys().filter(|id| id.0.is_none()).map(|id| id.1.as_str()).collect();
    for node in list {
        match node.text().and_then(|text| text.split_once(':')) {
            Some((repo, _)) if repos.contains(&repo) => {}
            _ => unknown(checker, node, key, "builder", &valid),
        }
    }
}

/// The patterns of a list that name exactly one thing.
fn literals(node: &Node) -> impl Iterator<Item = &Node> {
    node.many()
        .iter()
        .filter(|n| n.text().is_some_and(|t| !t.starts_with('!') && !t.contains(['*', '?', '['])))
}

fn known_repos(checker: &mut Checker, all: &Gathered, path: &str, entry: &Entry) {
    let valid = all.names("repo", None);
    for table in entry.node.many().iter().filter_map(Node::table) {
        for node in table.get("repo").into_iter().flat_map(|e| literals(&e.node)) {
            unknown(checker, node, &format!("{path}.repo"), "repo", &valid);
        }
    }
}

fn repos(checker: &mut Checker, all: &Gathered) {
    let mut reported = Vec::new();
    for ((_, name), item) in all.section("repo") {
        let path = format!("repo.{name}");
        refer(checker, all, None, "repo", &path, &item.table, "needs");
        let outside = ["url", "mirrors"].into_iter().filter_map(|key| item.table.get(key));
        for node in outside.flat_map(|e| e.node.many()) {
            if node.text().is_some_and(|t| t.is_empty() || t.starts_with('-')) {
                let problem = checker.problem(node.place, &path, "this is no address of a repository");
                checker.report(problem.expected("a URL or a path"));
            }
        }
        if reported.contains(name) {
            continue;
        }
        if let Some(cycle) = cycle(all, name) {
            // If a project file takes part, it is the one to be left out.
            let needs = |name: &String| Some(all.find("repo", None, name)?.table.get("needs")?.node.place);
            let project = |p: &Place| matches!(checker.files.kind(*p), crate::source::Kind::Project(_));
            let of_project = cycle.iter().filter_map(needs).find(project);
            let place = of_project.or_else(|| needs(name)).unwrap_or(item.place);
            let message = format!("needs go in a circle: {}", cycle.join(" → "));
            let problem = checker.problem(place, &format!("{path}.needs"), message);
            checker.report(problem.expected("repositories that need one another in one direction"));
            reported.extend(cycle);
        }
    }
}

/// Follows `needs` from a repository back to itself.
fn cycle(all: &Gathered, start: &str) -> Option<Vec<String>> {
    let mut paths = vec![vec![start.to_string()]];
    let mut seen = Vec::new();
    while let Some(path) = paths.pop() {
        let last = path.last().cloned().unwrap_or_default();
        let Some(item) = all.find("repo", None, &last) else { continue };
        for next in Fields(&item.table).texts("needs") {
            let mut longer = path.clone();
            longer.push(next.clone());
            if next == start {
                return Some(longer);
            }
            if !seen.contains(&next) {
                seen.push(next);
                paths.push(longer);
            }
        }
    }
    None
}

fn read_host(files: &Files, name: &str, item: &Item) -> Option<Host> {
    Some(Host::read(name.parse().ok()?, Fields(&item.table), files.locate(item.place), Default::default()))
}

/// What the server's own machine can't do, or must not.
fn on_this_machine(checker: &mut Checker, name: &str, host: &Host, item: &Item) {
    let place = |key: &str| item.table.get(key).map_or(item.place, |e| e.node.place);
    if host.isolation == Isolation::Vm {
        let message = "pool local makes no virtual machines";
        let problem = checker.problem(place("isolation"), &format!("host.{name}.isolation"), message);
        checker.report(problem.expected("isolation = \"namespaces\", or another pool"));
    }
    if host.trust == Trust::UntrustedOk && host.isolation == Isolation::None {
        let message = "untrusted work on pool local needs isolation";
        let problem = checker.problem(place("trust"), &format!("host.{name}.trust"), message);
        checker.report(problem.expected("isolation = \"namespaces\", or trust = \"trusted\""));
    }
    for node in item.table.get("visible").map_or(&[][..], |e| e.node.many()) {
        if node.text().is_some_and(|path| !path.starts_with('/')) {
            let problem =
                checker.problem(node.place, &format!("host.{name}.visible"), "not an absolute path");
            checker.report(problem.expected("a path like \"/srv/sdk\""));
        }
    }
}

fn hosts(checker: &mut Checker, all: &Gathered) {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for ((_, name), item) in all.section("host") {
        let Some(host) = read_host(&checker.files, name, item) else { continue };
        if host.pool == Pool::Local {
            on_this_machine(checker, name, &host, item);
        }
        for node in item.table.get("aliases").map_or(&[][..], |e| e.node.many()) {
            let Some(alias) = node.text() else { continue };
            let taken = all.find("host", None, alias).filter(|_| alias != name).map(|i| i.place);
            if let Some(other) = taken.or_else(|| seen.get(alias).copied()) {
                let other = checker.files.locate(other);
                let problem = checker.problem(
                    node.place,
                    &format!("host.{name}.aliases"),
                    format!("{alias:?} is taken"),
                );
                checker.report(problem.note(format!("the other one is at {other}")));
            }
            seen.insert(alias.to_string(), node.place);
        }
    }
}

fn builder(checker: &mut Checker, all: &Gathered, hosts: &[Host], id: &Id, whole: &Whole) {
    let (table, path, scope) = (&whole.table, format!("builder.{}", id.1), id.0.as_ref());
    refer(checker, all, scope, "recipe", &path, table, "recipe");
    refer(checker, all, None, "host", &path, table, "host");
    refer(checker, all, None, "limit", &path, table, "limit");
    refer(checker, all, None, "secret", &path, table, "secrets");
    if let Some(entry) = table.get("repos") {
        let valid = all.names("repo", None);
        literals(&entry.node).for_each(|n| unknown(checker, n, &format!("{path}.repos"), "repo", &valid));
    }
    for key in ["policy", "try"] {
        table.get(key).into_iter().for_each(|e| known_repos(checker, all, &format!("{path}.{key}"), e));
    }
    for (node, ancestor) in Fields(table).tables("required_ancestors") {
        refer(checker, all, None, "repo", &format!("{path}.required_ancestors"), ancestor.0, "repo");
        if ancestor.text("commit").is_some_and(|c| c.parse::<crate::revision::Commit>().is_err()) {
            let place = ancestor.node("commit").map_or(node.place, |n| n.place);
            let problem = checker.problem(place, &format!("{path}.required_ancestors"), "this is no commit");
            checker.report(problem.expected("40 lower-case hex digits"));
        }
    }
    for rule in Fields(table).tables("policy") {
        if let Some(entry) = rule.1.0.get("builder") {
            let problem = checker.problem(
                entry.place,
                &format!("{path}.policy.builder"),
                "a builder's own rules speak of itself",
            );
            checker.report(problem.expected("`builder` only in [[policy]] at the top of a server file"));
        }
    }
    let helpers = ["helpers", "try_helpers"].into_iter().find(|k| Fields(table).limit(k).is_some());
    if let (true, Some(key)) = (Fields(table).flag("skip_snapshot"), helpers) {
        let place = table.get("skip_snapshot").map_or(whole.place, |e| e.place);
        let problem =
            checker.problem(place, &format!("{path}.skip_snapshot"), format!("skip_snapshot excludes {key}"));
        checker.report(problem.expected("one of the two: helpers start from a snapshot"));
    }
    quotas::width(checker, all, &path, whole);
    jobs::compile_only(checker, all, scope, &path, table);
    candidates(checker, hosts, &path, whole);
}

/// Checks that some host serves a builder.
fn candidates(checker: &mut Checker, hosts: &[Host], path: &str, whole: &Whole) {
    let fields = Fields(&whole.table);
    let named = fields.text("host");
    let needs = fields.labels("needs");
    let hosts: Vec<&Host> =
        hosts.iter().filter(|h| named.is_none_or(|name| h.name.as_str() == name)).collect();
    if named.is_some() && hosts.is_empty() {
        return; // Reported as unknown.
    }
    if hosts.iter().any(|h| h.serves(&needs)) {
        return;
    }
    let entry = whole.table.get("needs");
    let (place, key) = entry.map_or((whole.place, "host"), |e| (e.place, "needs"));
    let missing: Vec<_> = needs
        .iter()
        .filter(|(k, v)| !hosts.iter().any(|h| h.serves(&[((*k).clone(), (*v).clone())].into())))
        .map(|(k, v)| format!("{k} = {v:?}"))
        .collect();
    let message = match (hosts.is_empty(), missing.is_empty()) {
        (true, _) => "no host is defined to run this builder".to_string(),
        (false, true) => "no host has all the labels that this builder needs".to_string(),
        (false, false) => format!("no host has the label {}", missing.join(" or ")),
    };
    let have = |h: &Host| {
        let labels: Vec<_> = h.labels.iter().map(|(k, v)| format!("{k} = {v:?}")).collect();
        format!("host {} has {{ {} }}", h.name, labels.join(", "))
    };
    let mut problem = checker.problem(place, &format!("{path}.{key}"), message);
    problem = problem.expected("labels that one host has");
    for host in hosts.iter().take(6) {
        problem = problem.note(have(host));
    }
    checker.report(problem);
}

/// Checks that names and short names of builders tell them apart.
fn names(checker: &mut Checker, builders: &BTreeMap<Id, Whole>) {
    let mut seen: BTreeMap<String, Place> = BTreeMap::new();
    for (id, whole) in builders.iter().filter(|(id, _)| id.0.is_none()) {
        for node in whole.table.get("aliases").map_or(&[][..], |e| e.node.many()) {
            let Some(alias) = node.text() else { continue };
            if let Some(other) = seen.get(alias).copied() {
                let key = format!("builder.{}.aliases", id.1);
                let other = checker.files.locate(other);
                let problem = checker.problem(node.place, &key, format!("{alias:?} is taken"));
                checker.report(problem.note(format!("the other one is at {other}")));
            }
            seen.insert(alias.to_string(), node.place);
        }
    }
    // A builder made by the server's matrix may meet one of a project file.
    for (id, whole) in builders.iter().filter(|(id, _)| id.0.is_some()) {
        if let Some(other) = builders.get(&(None, id.1.clone())) {
            let other = checker.files.locate(other.place);
            let path = format!("builder.{}", id.1);
            let problem = checker.problem(whole.place, &path, format!("{path} is defined twice"));
            checker.report(problem.note(format!("the other one is at {other}")));
        }
    }
}

/// Checks that no secret comes near work from unreviewed changes.
pub(crate) fn trust(checker: &mut Checker, all: &Gathered, config: &Config) {
    let open = |name: &HostName| config.host(name.as_str()).is_some_and(|h| h.trust == Trust::UntrustedOk);
    for builder in config.builders().iter().filter(|b| b.try_.ever() && !b.secrets.is_empty()) {
        let Some(host) = builder.hosts.iter().find(|name| open(name)) else { continue };
        let full = builder.full_name();
        for (id, item) in all.section("secret") {
            let nodes = item.table.get("builders").map_or(&[][..], |e| e.node.many());
            for node in nodes.iter().filter(|n| n.text() == Some(full.as_str())) {
                let message = format!("builder {full} may run untrusted work, so it gets no secret");
                let mut problem = checker.problem(node.place, &format!("secret.{}.builders", id.1), message);
                // A project's file that says so is left out, and blocks no other; and it is not shown the server's line.
                if builder.scope.is_some() {
                    problem.project.clone_from(&builder.scope);
                    problem.snippet.clear();
                }
                let problem = problem
                    .expected("builders that build no changes under review, or run on trusted hosts only")
                    .note(format!(
                        "try is set at {}, host {host} takes untrusted work",
                        builder.facts.said("try")
                    ));
                checker.report(problem);
            }
        }
    }
}
