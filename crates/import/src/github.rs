//! GitHub Actions: each job of a workflow becomes a builder with its recipe.

mod expression;
mod job;
mod matrix;
mod steps;
mod triggers;
mod uses;

use crate::draft::Draft;
use crate::ledger::Ledger;
use crate::yaml::Document;
use crate::{Refused, System};

use expression::Scope;
use triggers::Triggers;
pub use uses::artifact;

/// What is known of a workflow when its jobs are read.
struct Workflow<'a> {
    file: &'a str,
    triggers: Triggers,
    scope: Scope,
    /// `defaults.run` of the workflow.
    defaults: steps::Defaults,
    env: steps::Env,
}

pub fn translate(documents: &[Document], ledger: &mut Ledger, draft: &mut Draft) -> Result<(), Refused> {
    for document in documents {
        workflow(document, ledger, draft)?;
    }
    Ok(())
}

fn workflow(document: &Document, ledger: &mut Ledger, draft: &mut Draft) -> Result<(), Refused> {
    let root = &document.root;
    let Some(jobs) = root.get("jobs").filter(|jobs| jobs.node.is_map()) else {
        let why = format!("no `jobs`: this is no workflow of GitHub Actions (--from {})", System::GitHub);
        return Err(Refused::Shape { file: document.file.clone(), why });
    };
    ledger.enter(jobs);
    let mut scope = Scope::default();
    let triggers = triggers::read(root, &mut scope, ledger);
    for entry in root.entries() {
        match entry.key.as_str() {
            "name" => {
                let name = entry.node.text().unwrap_or_default().to_owned();
                ledger.meaningless(
                    entry,
                    format!("workflows have no name of their own; builders have ({name})"),
                );
            }
            "run-name" => ledger.meaningless(entry, "builds are named by builder and commit"),
            "permissions" => ledger.meaningless(entry, "jobs get no token of GitHub at all"),
            "concurrency" => job::concurrency(entry, ledger),
            _ => {}
        }
    }
    let defaults = steps::defaults(root, None, &mut scope, ledger);
    let env = steps::env(root.get("env"), &mut scope, ledger);
    let workflow = Workflow { file: &document.file, triggers, scope, defaults, env };
    for entry in jobs.node.entries() {
        job::translate(entry, &workflow, ledger, draft);
    }
    Ok(())
}
