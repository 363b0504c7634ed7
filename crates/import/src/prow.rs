//! Prow: presubmits, postsubmits and periodics, each a builder with its recipe.

use std::rc::Rc;

use crate::draft::{Builder, Draft, Recipe, Step, is_pattern, seconds};
use crate::gitlab::pattern;
use crate::ledger::Ledger;
use crate::shell::{self, Shell};
use crate::yaml::{Document, Entry, Node};
use crate::{Options, Refused};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Presubmit,
    Postsubmit,
    Periodic,
}

pub fn translate(
    documents: &[Document],
    options: &Options,
    ledger: &mut Ledger,
    draft: &mut Draft,
) -> Result<(), Refused> {
    let kinds = ["presubmits", "postsubmits", "periodics"];
    let has = |document: &&Document| kinds.iter().any(|kind| document.root.get(kind).is_some());
    let Some(first) = documents.iter().find(has) else {
        let file = documents.first().map(|document| document.file.clone()).unwrap_or_default();
        let why = "no presubmits, postsubmits or periodics: this is no configuration of Prow's jobs".into();
        return Err(Refused::Shape { file, why });
    };
    let of = repo(documents, options).map_err(|why| Refused::Shape { file: first.file.clone(), why })?;
    for document in documents {
        for (key, kind) in kinds.iter().zip([Kind::Presubmit, Kind::Postsubmit, Kind::Periodic]) {
            let Some(entry) = document.root.get(key) else { continue };
            ledger.enter(entry);
            if entry.node.is_map() {
                for repo in entry.node.entries() {
                    if of.as_ref().is_some_and(|of| *of != repo.key) {
                        let message = "jobs of another repository";
                        ledger.open(
                            repo,
                            message,
                            format!("import them with --of {} into that repository", repo.key),
                        );
                        continue;
                    }
                    ledger.enter(repo);
                    repo.node
                        .many()
                        .iter()
                        .for_each(|job| self::job(document, repo, job, kind, ledger, draft));
                }
            } else {
                entry.node.many().iter().for_each(|node| job(document, entry, node, kind, ledger, draft));
            }
        }
        if let Some(presets) = document.root.get("presets") {
            let message = "settings that jobs share by labels";
            ledger.open(
                presets,
                message,
                "write their variables into the recipes of the jobs with those labels",
            );
        }
    }
    Ok(())
}

/// Whose jobs are meant. In a repository's own `.prow.yaml` no repository is named.
fn repo(documents: &[Document], options: &Options) -> Result<Option<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for document in documents {
        for key in ["presubmits", "postsubmits"] {
            for entry in document.root.get(key).map_or(&[][..], |entry| entry.node.entries()) {
                if !names.contains(&entry.key) {
                    names.push(entry.key.clone());
                }
            }
        }
    }
    match (&options.of, names.len()) {
        (Some(of), _) if names.contains(of) => Ok(Some(of.clone())),
        (Some(of), _) => Err(format!("it has no jobs of {of}; it has those of {}", names.join(", "))),
        (None, 0 | 1) => Ok(names.pop()),
        (None, _) => {
            Err(format!("it has jobs of several repositories; choose one with --of: {}", names.join(", ")))
        }
    }
}

fn job(
    document: &Document,
    holder: &Entry,
    node: &Rc<Node>,
    kind: Kind,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    let text = |key: &str| node.get(key).and_then(|entry| entry.node.text()).unwrap_or_default().to_owned();
    let wanted = text("name");
    let name = draft.unique(&wanted);
    let from = format!("{}:{}", document.file, node.line);
    let mut builder = Builder {
        name: name.clone(),
        from: from.clone(),
        recipe: name,
        post_submit: kind == Kind::Postsubmit,
        on_review: kind == Kind::Presubmit,
        ..Builder::default()
    };
    let mut recipe = Recipe::default();
    for key in node.entries() {
        match key.key.as_str() {
            "name" => ledger.carried(key, format!("builder {}", builder.name)),
            "spec" => spec(key, document, &mut builder, &mut recipe, ledger, draft),
            "branches" => builder.branches.extend(branches(key, "", ledger)),
            "skip_branches" => builder.branches.extend(branches(key, "!", ledger)),
            "run_if_changed" | "skip_if_only_changed" => ledger.open(
                key,
                format!("every commit is built, whatever files it changed ({})", key.node.text().unwrap_or_default()),
                "let a first step end the build where nothing of interest changed",
            ),
            "always_run" if kind == Kind::Presubmit && key.node.flag() == Some(false) && node.get("run_if_changed").is_none() => {
                builder.on_review = false;
                builder.comments.push("Built only when somebody asks: bellwether build --builder NAME".into());
                ledger.carried(key, "not tried by itself");
            }
            "always_run" => ledger.carried(key, "try of the builder"),
            "optional" | "skip_report" | "context" | "trigger" | "rerun_command" | "hidden" | "max_concurrency_per_org" => {
                ledger.meaningless(key, "no builder keeps a change from going in; each shows on the grid");
            }
            "max_concurrency" => match key.node.text().and_then(|text| text.parse::<u32>().ok()) {
                Some(most) => {
                    ledger.carried(key, "max_at_once");
                    builder.max_at_once = Some(most).filter(|most| *most > 0);
                }
                None => ledger.open(key, "no number", "max_at_once = N in the builder"),
            },
            "decorate" => ledger.meaningless(key, "every build has its log, its time limit and its artefacts"),
            "decoration_config" => decoration(key, &mut recipe, ledger),
            "annotations" => annotations(key, &mut builder, ledger),
            "labels" => ledger.open(
                key,
                "labels bring settings from presets, which are not read here",
                "write what the presets set into the recipe's env, and make secrets of the server's file of their volumes",
            ),
            "interval" | "cron" | "minimum_interval" => ledger.open(
                key,
                "nothing is built by the clock: commits are built as they come",
                "let cron call `bellwether build --builder NAME` where the clock matters",
            ),
            "extra_refs" => ledger.open(
                key,
                "other repositories beside the one that is built",
                "`needs` of the repository, where it is built against another; else fetch it in a first step",
            ),
            "path_alias" | "clone_uri" | "clone_depth" | "skip_submodules" | "skip_fetch_head" => {
                ledger.meaningless(key, "the tree of the commit is there before the first step, below $WORKDIR");
            }
            "agent" if key.node.text() == Some("kubernetes") => ledger.meaningless(key, "jobs run on hosts"),
            "cluster" => ledger.open(key, "clusters are hosts here", "needs = { … } in the builder, with a label of such hosts"),
            "reporter_config" | "slack_config" => {
                ledger.open(key, "nobody is told by a key of the job", "watch the grid, its feed or the API");
            }
            _ => {}
        }
    }
    if kind == Kind::Periodic {
        builder.post_submit = true;
        builder.comments.push("By the clock in Prow; here every commit is built.".into());
    }
    if !draft.add(builder, recipe) {
        let message =
            format!("the job {wanted} has no command that could be carried over, so it has no builder");
        ledger.open(node.get("name").unwrap_or(holder), message, "write its builder and recipe by hand");
    }
}

fn branches(entry: &Entry, prefix: &str, ledger: &mut Ledger) -> Vec<String> {
    let mut all = Vec::new();
    for text in entry.node.texts() {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/'));
        // A bare name is an expression too, and fits in the middle; a name is what is meant.
        let found = if plain { Some(text.clone()).filter(|text| is_pattern(text)) } else { pattern(&text) };
        match found {
            Some(found) => {
                ledger.carried(entry, format!("\"{prefix}{found}\" in branches"));
                all.push(format!("{prefix}{found}"));
            }
            None => ledger.open(
                entry,
                format!("the expression {text:?}"),
                "write the branches as patterns of *, ? and [a-z]: docs/CONFIG.md, Values",
            ),
        }
    }
    all
}

fn decoration(entry: &Entry, recipe: &mut Recipe, ledger: &mut Ledger) {
    ledger.enter(entry);
    for key in entry.node.entries() {
        match (key.key.as_str(), key.node.text().and_then(duration)) {
            ("timeout", Some(text)) => {
                ledger.carried(key, "timeout of the recipe");
                recipe.timeout = Some(text);
            }
            ("timeout", None) => ledger.open(key, "no duration", "timeout = \"…\" in the recipe"),
            _ => ledger.meaningless(key, "the server does what the pod utilities do"),
        }
    }
}

/// `2h`, `1h30m0s`.
fn duration(text: &str) -> Option<String> {
    buildenv::parse_duration(text.strip_suffix("0s").filter(|rest| rest.ends_with('m')).unwrap_or(text))
        .map(|found| seconds(found.as_secs()))
}

fn annotations(entry: &Entry, builder: &mut Builder, ledger: &mut Ledger) {
    ledger.enter(entry);
    for key in entry.node.entries() {
        match (key.key.as_str(), key.node.text()) {
            ("description", Some(text)) => {
                ledger.carried(key, "notes of the builder");
                builder.notes = Some(text.to_owned());
            }
            (name, _) if name.starts_with("testgrid") => {
                ledger.meaningless(key, "every builder is a column of the grid");
            }
            _ => ledger.open(key, "an annotation for another program", "see what reads it"),
        }
    }
}

fn spec(
    entry: &Entry,
    document: &Document,
    builder: &mut Builder,
    recipe: &mut Recipe,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    ledger.enter(entry);
    for key in entry.node.entries() {
        match key.key.as_str() {
            "containers" => {
                ledger.enter(key);
                for (n, one) in key.node.many().iter().enumerate() {
                    container(one, n, document, builder, recipe, ledger);
                }
            }
            "nodeSelector" => {
                let needs: Vec<_> = key.node.entries().iter().map(label).collect();
                draft.machine(&needs);
                builder.needs.extend(needs);
                ledger.carried(key, "needs of the builder; give a host these labels");
            }
            "volumes" | "serviceAccountName" | "imagePullSecrets" => ledger.open(
                key,
                "nothing is mounted, and jobs get no account of a cluster",
                "make secrets of the server's file; files that jobs need lie on the host",
            ),
            "initContainers" => {
                ledger.open(key, "containers before the job", "make their commands the first steps")
            }
            "tolerations"
            | "affinity"
            | "terminationGracePeriodSeconds"
            | "restartPolicy"
            | "securityContext"
            | "automountServiceAccountToken"
            | "dnsPolicy"
            | "dnsConfig"
            | "hostNetwork"
            | "enableServiceLinks" => {
                ledger.meaningless(key, "a matter of the cluster");
            }
            _ => {}
        }
    }
}

fn label(entry: &Entry) -> (String, String) {
    let value = entry.node.text().unwrap_or_default().to_owned();
    match entry.key.as_str() {
        "kubernetes.io/os" | "beta.kubernetes.io/os" => ("os".into(), value),
        "kubernetes.io/arch" | "beta.kubernetes.io/arch" => ("arch".into(), value),
        key => (crate::draft::slug(key.rsplit('/').next().unwrap_or(key)), value),
    }
}

fn container(
    node: &Rc<Node>,
    number: usize,
    document: &Document,
    builder: &mut Builder,
    recipe: &mut Recipe,
    ledger: &mut Ledger,
) {
    let mut step = Step { from: format!("{}:{}", document.file, node.line), ..Step::default() };
    step.name = node.get("name").and_then(|name| name.node.text()).unwrap_or("test").to_owned();
    if number > 0 {
        let at = node.get("command").or_else(|| node.get("args")).or_else(|| node.get("image"));
        if let Some(at) = at {
            ledger.open(
                at,
                "containers that run at once run one after another here",
                "see that no step waits for another",
            );
        }
    }
    let mut words: Vec<String> = Vec::new();
    for key in node.entries() {
        match key.key.as_str() {
            "command" | "args" => ledger.carried(key, "run of a step"),
            "name" => ledger.carried(key, "name of the step"),
            "image" => {
                let image = key.node.text().unwrap_or_default();
                builder.comments.push(format!("The machine has to have what the image {image} has."));
                ledger.open(
                    key,
                    format!("jobs run on the host as it is, not in {image}"),
                    "install on the host what the image has, or call `docker run` in the step",
                );
            }
            "env" => env(key, &mut step, ledger),
            "workingDir" => ledger.open(key, "a folder of the image", "dir = \"…\" in the step, below the tree"),
            "resources" => ledger.open(
                key,
                "requests and limits of a container",
                "limits = { memory = \"4GiB\", cpu = 2 } in the recipe; hosts take as many jobs as their capacity says",
            ),
            "volumeMounts" | "envFrom" => ledger.open(
                key,
                "nothing is mounted",
                "make secrets of the server's file; files that jobs need lie on the host",
            ),
            "imagePullPolicy" | "ports" | "securityContext" | "terminationMessagePolicy" | "tty" | "stdin"
            | "terminationMessagePath" => {
                ledger.meaningless(key, "a matter of the container");
            }
            _ => {}
        }
    }
    for key in ["command", "args"] {
        words.extend(node.get(key).map(|entry| entry.node.texts()).unwrap_or_default());
    }
    let Some(at) = node.get("args").or_else(|| node.get("command")) else {
        let Some(image) = node.get("image") else { return };
        return ledger.open(image, "no command: the image's own one", "write as `run` what the image runs");
    };
    let (body, whole) = body(&words);
    let (prelude, theirs) =
        shell::their_variables(&body, &step.env.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    for name in theirs {
        ledger.open(at, format!("${name} is not set here"), "set it in env, or write what it stands for");
    }
    if prelude.iter().any(|line| line.contains("_artifacts")) {
        recipe.artifacts.push("_artifacts/**".into());
    }
    step.run = if prelude.is_empty() && whole { body } else { shell::script(&prelude, &body, Shell::Any) };
    recipe.steps.push(step);
}

/// What is run. `bash -c SCRIPT` is taken apart, so that it can be read; the flag says that it is one command already.
fn body(words: &[String]) -> (String, bool) {
    // Prow's own wrapper around the command.
    let words = match words.first().map(String::as_str) {
        Some("runner.sh" | "wrapper.sh" | "entrypoint.sh") => &words[1..],
        _ => words,
    };
    if let [shell, flags @ .., script] = words
        && matches!(shell.rsplit('/').next(), Some("sh" | "bash"))
        && flags.last().is_some_and(|flag| flag.starts_with('-') && flag.ends_with('c'))
    {
        return (script.clone(), false);
    }
    (words.iter().map(|word| argument(word)).collect::<Vec<_>>().join(" "), true)
}

/// An argument: in Kubernetes `$(NAME)` stands for a variable.
fn argument(word: &str) -> String {
    let Some(begin) = word.find("$(") else { return shell::quote(word) };
    let rest = &word[begin + 2..];
    let Some(end) = rest.find(')') else { return shell::quote(word) };
    let name = &rest[..end];
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return shell::quote(word);
    }
    let mut out = String::new();
    if begin > 0 {
        out.push_str(&shell::quote(&word[..begin]));
    }
    out.push_str(&format!("\"${{{name}}}\""));
    if end + 1 < rest.len() {
        out.push_str(&argument(&rest[end + 1..]));
    }
    out
}

fn env(entry: &Entry, step: &mut Step, ledger: &mut Ledger) {
    let mut whole = true;
    ledger.enter(entry);
    for variable in entry.node.many() {
        let text = |key: &str| variable.get(key).and_then(|entry| entry.node.text());
        match (text("name"), variable.get("valueFrom")) {
            (Some(_), Some(from)) => {
                whole = false;
                ledger.open(
                    from,
                    "a value from the cluster",
                    "a secret of the server's file, or a value in env",
                );
                if let Some(name) = variable.get("name") {
                    ledger.enter(name);
                }
            }
            (Some(name), None) if shell::is_variable(name) => {
                step.env.push((name.to_owned(), text("value").unwrap_or_default().to_owned()));
                for key in
                    variable.entries().iter().filter(|key| matches!(key.key.as_str(), "name" | "value"))
                {
                    ledger.enter(key);
                }
            }
            _ => {
                whole = false;
                ledger.open(entry, "a variable without a name that fits", "set it in env by hand");
            }
        }
    }
    if whole {
        ledger.carried(entry, "env of the step");
    }
}
