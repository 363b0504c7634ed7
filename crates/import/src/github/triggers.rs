//! `on`: which branches are built after submission, and whether changes under review are.

use std::rc::Rc;

use super::expression::Scope;
use crate::draft::is_pattern;
use crate::ledger::Ledger;
use crate::yaml::{Entry, Node, Value};

/// When the jobs of a workflow run.
#[derive(Debug, Default, Clone)]
pub struct Triggers {
    /// Branches after submission; without any and `pushed`, all.
    pub branches: Vec<String>,
    /// Whether anything happens after submission.
    pub pushed: bool,
    /// Whether changes under review are built.
    pub review: bool,
    /// Of which branches changes are built; without any, of all.
    pub review_branches: Vec<String>,
    /// Whether it only runs when something else asks.
    pub only_by_hand: bool,
}

pub fn read(root: &Node, scope: &mut Scope, ledger: &mut Ledger) -> Triggers {
    let mut found = Triggers::default();
    // YAML 1.1 reads a bare `on` as true; both are seen in files that other tools wrote.
    let Some(on) = root.get("on").or_else(|| root.get("true")) else { return found };
    match &on.node.value {
        Value::Map(entries) => {
            ledger.enter(on);
            for entry in entries {
                event(&entry.key, Some(entry), entry, &mut found, scope, ledger);
            }
        }
        Value::List(_) | Value::Text { .. } => {
            for name in on.node.texts() {
                event(&name, None, on, &mut found, scope, ledger);
            }
        }
    }
    found.only_by_hand = !found.pushed && !found.review;
    found
}

fn event(
    name: &str,
    filters: Option<&Entry>,
    at: &Entry,
    found: &mut Triggers,
    scope: &mut Scope,
    ledger: &mut Ledger,
) {
    match name {
        "push" => {
            found.pushed = true;
            match filters.filter(|entry| entry.node.is_map()) {
                Some(entry) => push(entry, found, ledger),
                None => ledger.carried(at, "branches = [\"*\"]: a push to any branch is built"),
            }
            if found.branches.is_empty() {
                found.branches.push("*".into());
            }
        }
        "pull_request" | "pull_request_target" | "merge_group" => {
            found.review = true;
            ledger.carried(at, "try = true (no effect yet: this version makes no try runs)");
            if let Some(entry) = filters.filter(|entry| entry.node.is_map()) {
                ledger.enter(entry);
                for filter in entry.node.entries() {
                    match filter.key.as_str() {
                        "types" => ledger.meaningless(filter, "every new state of a change is tried"),
                        "branches" if filter.node.texts() == ["**"] || filter.node.texts() == ["*"] => {
                            ledger.carried(filter, "changes on every branch are tried");
                        }
                        "branches" | "branches-ignore" => {
                            let not = if filter.key == "branches" { "" } else { "!" };
                            found.review_branches.extend(patterns(&filter.node, not, ledger, filter));
                        }
                        "paths" | "paths-ignore" => paths(filter, ledger),
                        _ => {}
                    }
                }
            }
        }
        "workflow_dispatch" | "workflow_call" => {
            let what = "anybody with the role may ask for a build: `bellwether build --builder NAME`";
            match filters.filter(|entry| entry.node.is_map()) {
                Some(entry) => {
                    ledger.enter(entry);
                    inputs(entry, scope, ledger);
                }
                None => ledger.meaningless(at, what),
            }
        }
        "schedule" => ledger.open(
            at,
            "nothing is built by the clock: commits are built as they come",
            "let cron call `bellwether build --builder NAME` where the clock matters",
        ),
        "release" | "create" | "registry_package" | "deployment" | "page_build" => ledger.open(
            at,
            format!("{name} starts no build here"),
            "call `bellwether build` from what makes the release",
        ),
        _ => ledger.open(
            at,
            format!("the event {name} starts no build here"),
            "call `bellwether build` from where it happens",
        ),
    }
}

fn inputs(entry: &Entry, scope: &mut Scope, ledger: &mut Ledger) {
    for part in entry.node.entries() {
        if part.key != "inputs" {
            ledger.open(part, "builds take no arguments and give none back", "use variables of builders");
            continue;
        }
        ledger.enter(part);
        for input in part.node.entries() {
            match input.node.get("default").and_then(|default| default.node.text()) {
                Some(default) => {
                    scope.inputs.push((input.key.clone(), default.to_owned()));
                    ledger.carried(input, format!("its default, {default:?}, wherever it is used"));
                }
                None => ledger.open(
                    input,
                    "builds take no arguments, and this one has no default",
                    "make a builder for each value, with the value in its env",
                ),
            }
        }
    }
}

fn push(entry: &Entry, found: &mut Triggers, ledger: &mut Ledger) {
    ledger.enter(entry);
    let has = |key: &str| entry.node.get(key).is_some();
    // Only tags: nothing is built of branches.
    found.pushed = has("branches") || has("branches-ignore") || !(has("tags") || has("tags-ignore"));
    for filter in entry.node.entries() {
        match filter.key.as_str() {
            "branches" => {
                let patterns = patterns(&filter.node, "", ledger, filter);
                found.branches.extend(patterns);
            }
            "branches-ignore" => {
                let patterns = patterns(&filter.node, "!", ledger, filter);
                found.branches.extend(patterns);
            }
            "tags" | "tags-ignore" => ledger.open(
                filter,
                "tags are not built, the commits of branches are",
                "name the branch that is tagged, or call `bellwether build REPO@TAG` when you tag",
            ),
            "paths" | "paths-ignore" => paths(filter, ledger),
            _ => {}
        }
    }
}

pub fn paths(filter: &Entry, ledger: &mut Ledger) {
    ledger.open(
        filter,
        "every commit is built, whatever files it changed",
        "let a first step end the build where nothing of interest changed",
    );
}

/// Patterns of branches: `**` and `*` are both any text here.
fn patterns(node: &Rc<Node>, prefix: &str, ledger: &mut Ledger, at: &Entry) -> Vec<String> {
    let mut all = Vec::new();
    for text in node.texts() {
        let (not, rest) = text.strip_prefix('!').map_or(("", text.as_str()), |rest| ("!", rest));
        if rest.contains(['+', '?', '\\']) || !is_pattern(rest) {
            ledger.open(
                at,
                format!("{text:?} is no pattern here, where nothing is repeated by + and ?"),
                "write the branches as patterns of *, ? and [a-z]: docs/CONFIG.md, Values",
            );
            continue;
        }
        let pattern = format!("{prefix}{not}{}", rest.replace("**", "*").replace("**", "*"));
        if pattern.contains('*') && !rest.contains("**") && pattern != "*" {
            ledger.carried(at, format!("{pattern:?} in branches; here * stands for / too"));
        } else {
            ledger.carried(at, format!("{pattern:?} in branches"));
        }
        all.push(pattern);
    }
    all
}
