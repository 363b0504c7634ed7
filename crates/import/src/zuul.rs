//! Zuul: each job that a pipeline of the project runs becomes a builder; its playbooks are run by Ansible on the worker.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::Refused;
use crate::draft::{Builder, Draft, Recipe, Step, is_pattern, seconds};
use crate::ledger::Ledger;
use crate::shell::quote;
use crate::yaml::{Document, Entry, Node};

/// Parents nested deeper are not followed.
const MAX_DEPTH: usize = 16;

struct Item<'a> {
    file: &'a str,
    entry: &'a Entry,
}

/// In which pipelines a job runs.
#[derive(Default, Clone, Copy)]
struct Runs {
    submitted: bool,
    review: bool,
}

pub fn translate(documents: &[Document], ledger: &mut Ledger, draft: &mut Draft) -> Result<(), Refused> {
    let lists: Vec<_> = documents.iter().map(|document| (document, document.root.many())).collect();
    let mut items: Vec<Item<'_>> = Vec::new();
    for (document, list) in &lists {
        for node in list {
            items.extend(node.entries().iter().map(|entry| Item { file: &document.file, entry }));
        }
    }
    let jobs: BTreeMap<&str, &Item<'_>> = items
        .iter()
        .filter(|item| item.entry.key == "job")
        .filter_map(|item| Some((item.entry.node.get("name")?.node.text()?, item)))
        .collect();
    if !items.iter().any(|item| matches!(item.entry.key.as_str(), "job" | "project" | "project-template")) {
        let file = documents.first().map(|document| document.file.clone()).unwrap_or_default();
        let why =
            "a list of - job:, - project: … is expected: this is no configuration of Zuul's jobs".into();
        return Err(Refused::Shape { file, why });
    }
    let nodesets = nodesets(&items, ledger);
    let mut runs: Vec<(String, Runs, Option<Entry>)> = Vec::new();
    for item in &items {
        match item.entry.key.as_str() {
            "project" | "project-template" => project(item, &mut runs, ledger),
            "job" | "nodeset" => {}
            "secret" => ledger.open(
                item.entry,
                "a secret that only Zuul can read",
                "[secret.NAME] of the server's file, with the value from where it came",
            ),
            "pipeline" | "queue" | "semaphore" => ledger.open(
                item.entry,
                format!("{} are the scheduler's own here", item.entry.key),
                "[limit.NAME] of the server's file where builders must not run at once",
            ),
            _ => {}
        }
    }
    for (name, item) in &jobs {
        let found = runs.iter().filter(|(job, ..)| job == name);
        let (mut all, mut asked) = (Runs::default(), false);
        for (_, one, _) in found {
            asked = true;
            (all.submitted, all.review) = (all.submitted || one.submitted, all.review || one.review);
        }
        let base = items.iter().any(|other| {
            other.entry.key == "job"
                && other.entry.node.get("parent").and_then(|p| p.node.text()) == Some(name)
        });
        ledger.enter(item.entry);
        let spoken = item.entry.node.get("abstract").is_some_and(|flag| flag.node.flag() == Some(true));
        if !asked && (base || spoken) {
            // Its keys are told where a job takes them over.
            continue;
        }
        job(name, item, all, asked, &jobs, &nodesets, ledger, draft);
    }
    for item in items.iter().filter(|item| item.entry.key == "job") {
        let name = item.entry.node.get("name").and_then(|name| name.node.text()).unwrap_or_default();
        if jobs.get(name).is_none_or(|counts| counts.entry.id != item.entry.id) {
            let message = format!("a further definition of the job {name}: the last one in the files counts");
            ledger.open(item.entry, message, "make a builder of its own for the variant");
            continue;
        }
        for key in item.entry.node.entries() {
            ledger.unless_said(key, "no job that is run takes it from here");
        }
    }
    for (name, _, entry) in &runs {
        if let (false, Some(entry)) = (jobs.contains_key(name.as_str()), entry) {
            ledger.open(
                entry,
                format!("the job {name} is defined elsewhere"),
                "import the file that defines it too, or write its builder and recipe by hand",
            );
        }
    }
    Ok(())
}

fn nodesets<'a>(items: &[Item<'a>], ledger: &mut Ledger) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for item in items.iter().filter(|item| item.entry.key == "nodeset") {
        let labels = labels(&item.entry.node);
        if let Some(name) = item.entry.node.get("name").and_then(|name| name.node.text()) {
            all.insert(name.to_owned(), labels);
            ledger.carried(item.entry, "needs of the builders that name it");
        }
    }
    all
}

fn labels(node: &Rc<Node>) -> Vec<String> {
    let nodes = node.get("nodes").map(|nodes| nodes.node.many()).unwrap_or_default();
    nodes.iter().filter_map(|one| one.get("label")?.node.text().map(str::to_owned)).collect()
}

fn project(item: &Item<'_>, runs: &mut Vec<(String, Runs, Option<Entry>)>, ledger: &mut Ledger) {
    ledger.enter(item.entry);
    for key in item.entry.node.entries() {
        match key.key.as_str() {
            "name" => ledger.meaningless(key, "the project file lies in the repository it speaks of"),
            "templates" => ledger.open(
                key,
                format!("templates of other files ({})", key.node.texts().join(", ")),
                "import the files that define them too, and write their jobs' builders",
            ),
            "merge-mode" | "default-branch" | "queue" => {
                ledger.meaningless(key, "nothing is merged here");
            }
            "vars" => ledger.open(
                key,
                "variables for all jobs of the project",
                "extra_vars of ansible-playbook in the recipes",
            ),
            "description" => ledger.meaningless(key, "repositories have notes in the server's file"),
            _ if key.node.get("jobs").is_some() => pipeline(key, runs, ledger),
            _ => {}
        }
    }
}

fn pipeline(entry: &Entry, runs: &mut Vec<(String, Runs, Option<Entry>)>, ledger: &mut Ledger) {
    ledger.enter(entry);
    let name = entry.key.as_str();
    let review = name.contains("check") || name.contains("gate") || name.contains("review");
    let submitted = name.contains("post") || name.contains("promote");
    for key in entry.node.entries() {
        match key.key.as_str() {
            "jobs" => {
                ledger.enter(key);
                if !review && !submitted {
                    ledger.open(
                        entry,
                        format!("the pipeline {name} starts no build here: neither changes under review nor submitted commits"),
                        "let cron or whatever triggers it call `bellwether build --builder NAME`",
                    );
                } else if review && name.contains("gate") {
                    ledger.carried(entry, "try = true; nothing is merged by the builds' outcome");
                } else {
                    ledger.carried(
                        entry,
                        if review { "try = true (no effect yet)" } else { "builds of submitted commits" },
                    );
                }
                for job in key.node.many() {
                    job_of_pipeline(&job, key, Runs { submitted, review }, runs, ledger);
                }
            }
            "queue" | "fail-fast" | "debug" => ledger.meaningless(key, "nothing is merged here"),
            _ => {}
        }
    }
}

fn job_of_pipeline(
    node: &Rc<Node>,
    list: &Entry,
    how: Runs,
    runs: &mut Vec<(String, Runs, Option<Entry>)>,
    ledger: &mut Ledger,
) {
    if let Some(name) = node.text() {
        return runs.push((name.to_owned(), how, Some(list.clone())));
    }
    for entry in node.entries() {
        ledger.enter(entry);
        runs.push((entry.key.clone(), how, Some(entry.clone())));
        for key in entry.node.entries() {
            match key.key.as_str() {
                "voting" => ledger.meaningless(key, "no builder keeps a change from going in"),
                "dependencies" | "soft" => ledger.open(
                    key,
                    "builders do not wait for one another",
                    "where one must not run unless another is ok, make their steps one recipe",
                ),
                _ => ledger.open(
                    key,
                    "a job that is another in this pipeline",
                    "write it in the builder, or make a builder of its own",
                ),
            }
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one call")]
fn job(
    wanted: &str,
    item: &Item<'_>,
    runs: Runs,
    asked: bool,
    jobs: &BTreeMap<&str, &Item<'_>>,
    nodesets: &BTreeMap<String, Vec<String>>,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    let name = draft.unique(wanted);
    let from = format!("{}:{}", item.file, item.entry.line);
    let mut builder = Builder {
        name: name.clone(),
        from: from.clone(),
        recipe: name,
        post_submit: runs.submitted,
        on_review: runs.review,
        ..Builder::default()
    };
    if !asked {
        builder.comments.push("No pipeline of the project runs it: say when it builds.".into());
    }
    let mut recipe = Recipe::default();
    let chain = chain(item, jobs, ledger);
    let mut variables: Vec<(String, String)> = Vec::new();
    // Pre-playbooks of the outermost come first, post-playbooks last.
    let (mut pre, mut run, mut post) = (Vec::new(), Vec::new(), Vec::new());
    for (depth, one) in chain.iter().enumerate() {
        ledger.enter(one.entry);
        for key in one.entry.node.entries() {
            let list = || {
                key.node
                    .many()
                    .iter()
                    .filter_map(playbook)
                    .map(|text| (text, one.file, key.line))
                    .collect::<Vec<_>>()
            };
            match key.key.as_str() {
                "name" => ledger.carried(key, "builder"),
                "abstract" | "final" | "protected" | "intermediate" => {
                    ledger.meaningless(key, "recipes are not inherited");
                }
                "description" => {
                    ledger.carried(key, "notes of the builder");
                    if builder.notes.is_none() {
                        builder.notes = key.node.text().map(|text| text.trim().to_owned());
                    }
                }
                "pre-run" => pre.splice(0..0, list()).for_each(drop),
                "run" if run.is_empty() => run = list(),
                "run" => {}
                "post-run" => post.extend(list()),
                "timeout" | "post-timeout" => match key.node.text().and_then(|text| text.parse::<u64>().ok()) {
                    Some(limit) => {
                        ledger.carried(key, "timeout of the recipe, which counts for each step");
                        recipe.timeout.get_or_insert(seconds(limit));
                    }
                    None => ledger.open(key, "no number of seconds", "timeout = \"…\" in the recipe"),
                },
                "attempts" => match key.node.text().and_then(|text| text.parse::<u32>().ok()) {
                    Some(n) if (1..=10).contains(&n) => ledger.meaningless(
                        key,
                        "a build whose machine was lost is tried again by itself, up to three times",
                    ),
                    _ => ledger.open(key, "no number", "retries = N in the recipe"),
                },
                "vars" => {
                    ledger.carried(key, "extra variables of ansible-playbook");
                    for entry in key.node.entries() {
                        if !variables.iter().any(|(name, _)| *name == entry.key) {
                            variables.push((entry.key.clone(), json(&entry.node)));
                        }
                    }
                }
                "nodeset" if builder.needs.is_empty() => nodeset(key, nodesets, &mut builder, ledger, draft),
                "branches" if depth == 0 => branches(key, &mut builder, ledger),
                "voting" | "tags" | "success-message" | "failure-message" | "success-url" | "failure-url"
                | "ansible-version" | "ansible-split-streams" | "match-on-config-updates" | "workspace-scheme" => {
                    ledger.meaningless(key, "no builder keeps a change from going in; each build has its page");
                }
                "required-projects" => ledger.open(
                    key,
                    format!("other repositories beside the one that is built ({})", key.node.texts().join(", ")),
                    "`needs` of the repository, where it is built against another; else fetch them in a first step",
                ),
                "dependencies" | "provides" | "requires" => ledger.open(
                    key,
                    "builders do not wait for one another, and hand nothing to one another",
                    "where one needs what another made, make their steps one recipe",
                ),
                "files" | "irrelevant-files" => ledger.open(
                    key,
                    "every commit is built, whatever files it changed",
                    "let a first step end the build where nothing of interest changed",
                ),
                "secrets" => ledger.open(
                    key,
                    "secrets come from the server's file",
                    "[secret.NAME] there, with this builder in its builders",
                ),
                "semaphore" | "semaphores" | "allowed-projects" | "override-checkout" | "roles" | "group-vars"
                | "host-vars" | "extra-vars" | "cleanup-run" | "hold-following-changes" | "deduplicate"
                | "image-build-name" | "variant-description" | "post-review" => {
                    ledger.open(key, "has no counterpart", "see what it does there, and do it by a command in a step");
                }
                _ => {}
            }
        }
    }
    let extra = match variables.is_empty() {
        true => String::new(),
        false => {
            let pairs: Vec<_> =
                variables.iter().map(|(name, value)| format!("{}: {value}", string(name))).collect();
            format!(" --extra-vars {}", quote(&format!("{{{}}}", pairs.join(", "))))
        }
    };
    for (kind, list, when) in [("pre", &pre, None), ("run", &run, None), ("post", &post, Some("always"))] {
        for (text, file, line) in list {
            recipe.steps.push(Step {
                name: format!("{kind}-{}", text.rsplit('/').next().unwrap_or(text).trim_end_matches(".yaml")),
                from: format!("{file}:{line}"),
                run: format!(
                    "ansible-playbook --inventory localhost, --connection local{extra} {}",
                    quote(text)
                ),
                when,
                ..Step::default()
            });
        }
    }
    for one in &chain {
        for key in one
            .entry
            .node
            .entries()
            .iter()
            .filter(|key| matches!(key.key.as_str(), "run" | "pre-run" | "post-run"))
        {
            ledger.carried(key, "a step that runs the playbook by ansible-playbook on the worker itself");
            ledger.open(
                key,
                "the playbook itself was not looked at: roles of other repositories and Zuul's own variables (zuul.*) are not there",
                "install Ansible on the host; better, write as `run` the commands that the playbook runs",
            );
        }
    }
    if !draft.add(builder, recipe) {
        let at = item.entry.node.get("name").unwrap_or(item.entry);
        let message = format!("the job {wanted} has no playbook in these files, so it has no builder");
        ledger.open(
            at,
            message,
            "import the file of its parent too, or write its builder and recipe by hand",
        );
    }
}

/// The job and its parents, as far as the files have them.
fn chain<'a>(
    item: &'a Item<'a>,
    jobs: &BTreeMap<&str, &'a Item<'a>>,
    ledger: &mut Ledger,
) -> Vec<&'a Item<'a>> {
    let mut chain = vec![item];
    while let Some(parent) = chain.last().and_then(|last| last.entry.node.get("parent")) {
        let name = parent.node.text().unwrap_or_default();
        match jobs.get(name) {
            Some(next)
                if chain.len() < MAX_DEPTH && !chain.iter().any(|one| one.entry.id == next.entry.id) =>
            {
                ledger.carried(parent, format!("the keys of {name} are spelled out"));
                chain.push(next);
            }
            _ if name.is_empty() || name == "base" => {
                ledger.meaningless(parent, "the base job prepares machines, which the server does");
                break;
            }
            _ => {
                let message = format!("the parent {name} is not in these files");
                ledger.open(
                    parent,
                    message,
                    "import the file that defines it too, or write its steps by hand",
                );
                break;
            }
        }
    }
    chain
}

fn playbook(node: &Rc<Node>) -> Option<String> {
    let text = node.text().or_else(|| node.get("name")?.node.text())?;
    let outside = text.starts_with('/') || text.split('/').any(|part| part == "..");
    (!outside).then(|| text.to_owned())
}

fn nodeset(
    entry: &Entry,
    nodesets: &BTreeMap<String, Vec<String>>,
    builder: &mut Builder,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    let named =
        entry.node.text().map(|name| nodesets.get(name).cloned().unwrap_or_else(|| vec![name.to_owned()]));
    let labels = named.unwrap_or_else(|| labels(&entry.node));
    let Some(first) = labels.first() else {
        return ledger.meaningless(entry, "no machine: here each build has one");
    };
    builder.needs = vec![("image".into(), first.clone())];
    draft.machine(&builder.needs);
    ledger.carried(entry, format!("needs = {{ image = {first:?} }}; give a host this label"));
    if labels.len() > 1 {
        ledger.open(
            entry,
            "several machines for one job",
            "a build has one machine: run the parts on it one by one",
        );
    }
}

fn branches(entry: &Entry, builder: &mut Builder, ledger: &mut Ledger) {
    for text in entry.node.texts() {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/'));
        match if plain {
            Some(text.clone()).filter(|text| is_pattern(text))
        } else {
            crate::gitlab::pattern(&text)
        } {
            Some(pattern) => {
                ledger.carried(entry, format!("{pattern:?} in branches"));
                builder.branches.push(pattern);
            }
            None => ledger.open(
                entry,
                format!("the expression {text:?}"),
                "write the branches as patterns of *, ? and [a-z]: docs/CONFIG.md, Values",
            ),
        }
    }
}

fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A value as JSON, for Ansible.
fn json(node: &Rc<Node>) -> String {
    use crate::yaml::Value;
    match &node.value {
        Value::List(items) => {
            format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let pairs: Vec<_> = entries
                .iter()
                .map(|entry| format!("{}: {}", string(&entry.key), json(&entry.node)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Text { .. } if node.is_null() => "null".into(),
        Value::Text { text, .. } => match node.flag() {
            Some(flag) => flag.to_string(),
            None if matches!(&node.value, Value::Text { plain: true, .. }) && text.parse::<i64>().is_ok() => {
                text.clone()
            }
            None => string(text),
        },
    }
}
