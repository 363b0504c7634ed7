//! GitLab: each job of `.gitlab-ci.yml` becomes a builder with its recipe.

mod extends;
mod job;
mod rules;

use std::rc::Rc;

pub use rules::pattern;

use crate::draft::Draft;
use crate::ledger::Ledger;
use crate::yaml::{Document, Entry, Node};
use crate::{Refused, System};

/// Keys at the top that are no jobs.
const GLOBAL: [&str; 12] = [
    "default",
    "stages",
    "variables",
    "workflow",
    "include",
    "image",
    "services",
    "before_script",
    "after_script",
    "cache",
    "spec",
    "types",
];

/// What is known of a file when its jobs are read.
struct Pipeline<'a> {
    file: &'a str,
    root: &'a Rc<Node>,
    variables: job::Variables,
    /// What `workflow` lets through.
    workflow: rules::When,
}

pub fn translate(documents: &[Document], ledger: &mut Ledger, draft: &mut Draft) -> Result<(), Refused> {
    let mut seen = false;
    for document in documents {
        let root = &document.root;
        let jobs = root.entries().iter().any(is_job);
        // The first document of a component only says what it takes.
        if !jobs && documents.len() > 1 {
            continue;
        }
        seen |= jobs;
        pipeline(document, ledger, draft);
    }
    if seen {
        return Ok(());
    }
    let file = documents.first().map(|document| document.file.clone()).unwrap_or_default();
    let why = format!("no job with a `script`: this is no .gitlab-ci.yml (--from {})", System::GitLab);
    Err(Refused::Shape { file, why })
}

fn is_job(entry: &Entry) -> bool {
    let keys = ["script", "extends", "trigger", "run"];
    !GLOBAL.contains(&entry.key.as_str())
        && !entry.key.starts_with('.')
        && keys.iter().any(|key| entry.node.get(key).is_some())
}

fn pipeline(document: &Document, ledger: &mut Ledger, draft: &mut Draft) {
    let root = &document.root;
    let mut workflow = rules::When::default();
    for entry in root.entries() {
        match entry.key.as_str() {
            "stages" | "types" => ledger.open(
                entry,
                format!("builders do not wait for one another ({})", entry.node.texts().join(", ")),
                "where one must not run unless another is ok, make their steps one recipe",
            ),
            "include" => ledger.open(
                entry,
                "other files are included, and not read here",
                "`glab ci config compile`, or the pipeline editor's full configuration, writes one file of all: import that",
            ),
            "workflow" => {
                ledger.enter(entry);
                for key in entry.node.entries() {
                    match key.key.as_str() {
                        "rules" => workflow = rules::rules(key, ledger),
                        "name" => ledger.meaningless(key, "builds are named by builder and commit"),
                        "auto_cancel" => ledger.meaningless(key, "each commit is built"),
                        _ => {}
                    }
                }
            }
            "default" => ledger.enter(entry),
            "spec" => ledger.open(entry, "a component that takes inputs", "import the file of a pipeline that uses it"),
            _ => {}
        }
    }
    let variables = job::variables(root.get("variables"), ledger);
    let pipeline = Pipeline { file: &document.file, root, variables, workflow };
    for entry in root.entries().iter().filter(|entry| !GLOBAL.contains(&entry.key.as_str())) {
        if is_job(entry) {
            job::translate(entry, &pipeline, ledger, draft);
        } else if entry.key.starts_with('.') {
            ledger.enter(entry);
        }
    }
    // Templates that no job took anything of.
    for entry in root.entries().iter().filter(|entry| entry.key.starts_with('.')) {
        for key in entry.node.entries() {
            ledger.unless_said(key, "a template: no job takes this key from it");
        }
        if !entry.node.is_map() {
            ledger.meaningless(entry, "a template for aliases, which are spelled out where they stand");
        }
    }
    for key in ["image", "services", "before_script", "after_script", "cache"] {
        if let Some(entry) = root.get(key) {
            ledger.unless_said(entry, "a default: every job has its own");
        }
    }
    if let Some(default) = root.get("default") {
        for key in default.node.entries() {
            ledger.unless_said(key, "a default: every job has its own");
        }
    }
}
