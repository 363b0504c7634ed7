//! A job: where it runs, when, and with which steps.

use super::Workflow;
use super::expression::{Scope, Test, condition, constant, matrix_variable};
use super::matrix::{self, Matrix};
use super::steps;
use crate::draft::{Builder, Draft, Labels, Recipe, Set, is_pattern, seconds, slug};
use crate::ledger::Ledger;
use crate::yaml::Entry;

pub fn translate(entry: &Entry, workflow: &Workflow<'_>, ledger: &mut Ledger, draft: &mut Draft) {
    if !entry.node.is_map() {
        ledger.open(entry, "a job without keys", "take it away");
        return;
    }
    ledger.enter(entry);
    let node = &entry.node;
    let name = draft.unique(&entry.key);
    let mut scope = workflow.scope.clone();
    let mut builder = Builder {
        name: name.clone(),
        from: format!("{}:{}", workflow.file, entry.line),
        recipe: name.clone(),
        branches: workflow.triggers.branches.clone(),
        post_submit: workflow.triggers.pushed,
        on_review: workflow.triggers.review,
        review_branches: workflow.triggers.review_branches.clone(),
        ..Builder::default()
    };
    if workflow.triggers.only_by_hand {
        builder.comments.push("Built only when somebody asks: bellwether build --builder NAME".into());
    }
    let mut recipe = Recipe::default();
    let mut matrix = Matrix::default();
    if let Some(strategy) = node.get("strategy") {
        match self::strategy(strategy, &mut builder, ledger) {
            Some(found) => matrix = found,
            None => builder.comments.push("The matrix of this job was not carried over.".into()),
        }
        scope.matrix.clone_from(&matrix.paths);
    }
    let systems = runs_on(node.get("runs-on"), &mut matrix, &mut builder, &mut scope, ledger, draft);
    scope.runner_os = systems;
    for key in node.entries() {
        match key.key.as_str() {
            "name" => match constant(key.node.text().unwrap_or_default(), &mut scope) {
                Ok(name) => {
                    ledger.carried(key, "notes of the builder");
                    builder.notes = Some(name);
                }
                Err(_) => ledger.meaningless(key, "builders are named by the values of their matrix"),
            },
            "if" => self::condition_of_job(key, &mut builder, &mut scope, ledger),
            "needs" => ledger.open(
                key,
                format!("builders do not wait for one another ({})", key.node.texts().join(", ")),
                "where one must not run unless another is ok, make their steps one recipe",
            ),
            "timeout-minutes" => timeout(key, &mut recipe.timeout, &mut scope, ledger),
            "continue-on-error" => ledger.meaningless(key, "no builder keeps another from being built"),
            "permissions" => ledger.meaningless(key, "jobs get no token of GitHub at all"),
            "concurrency" => concurrency(key, ledger),
            "outputs" => ledger.open(
                key,
                "builders hand nothing to one another",
                "make the steps of both jobs one recipe, or keep the values as artefacts",
            ),
            "environment" => ledger.open(
                key,
                "there are no environments that ask somebody before a job",
                "set post_submit = false and build it by hand, and give its secrets to this builder only",
            ),
            "container" => ledger.open(
                key,
                "jobs run on the host as it is",
                "install in the host's image what the container has, or call `docker run` in the steps",
            ),
            "services" => ledger.open(
                key,
                "no services are started beside a job",
                "start them in a first step and stop them in one with when = \"always\"",
            ),
            "uses" | "with" | "secrets" => ledger.open(
                key,
                "a workflow of another file is called",
                "import that file too, and give its jobs these values as env",
            ),
            _ => {}
        }
    }
    let defaults = steps::defaults(node, Some(&workflow.defaults), &mut scope, ledger);
    let mut env = workflow.env.clone();
    let own = steps::env(node.get("env"), &mut scope, ledger);
    env.fixed.extend(own.fixed);
    env.exports.extend(own.exports);
    recipe.env.clone_from(&env.fixed);
    let mut job = steps::Job { file: workflow.file, defaults, env, scope, recipe };
    if let Some(list) = node.get("steps") {
        ledger.enter(list);
        for step in list.node.many() {
            steps::translate(&step, &mut job, ledger);
        }
    }
    finish(entry, builder, matrix, job, ledger, draft);
}

fn finish(
    entry: &Entry,
    mut builder: Builder,
    mut matrix: Matrix,
    job: steps::Job<'_>,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    let rows = std::mem::take(&mut matrix.rows);
    let only_rows = matrix.axes.is_empty() && !rows.is_empty();
    let first = builder.clone();
    matrix.apply(&mut builder);
    let mut recipes_builder = builder;
    let mut further = rows.into_iter();
    if only_rows && let Some((name, env)) = further.next() {
        // The recipe is called as the first of them.
        let name = draft.unique(&format!("{}-{name}", first.name));
        recipes_builder = Builder { name: name.clone(), recipe: name, ..first.clone() };
        row(env, &mut recipes_builder, draft);
    }
    let mut names = recipes_builder.names();
    let recipe = recipes_builder.recipe.clone();
    if !draft.add(recipes_builder, job.recipe) {
        let message =
            format!("the job {} has no step that could be carried over, so it has no builder", entry.key);
        ledger.open(entry, message, "write its builder and recipe by hand");
        ledger.enter(entry);
        return;
    }
    for (name, env) in further {
        let name = draft.unique(&format!("{}-{name}", first.name));
        let mut one = Builder { name: name.clone(), recipe: recipe.clone(), ..first.clone() };
        row(env, &mut one, draft);
        names.push(name);
        draft.add_sharing(one);
    }
    for secret in &job.scope.secrets {
        for name in &names {
            draft.secret(secret, name);
        }
    }
}

/// Gives a builder the variables of a row of `include`, and its machine by what it says of the axis that `runs-on` names.
fn row(env: Vec<(String, String)>, builder: &mut Builder, draft: &mut Draft) {
    let label = builder.runs_on.as_ref().and_then(|[before, variable, after]| {
        let (_, value) = env.iter().find(|(name, _)| name == variable)?;
        Some(format!("{before}{value}{after}"))
    });
    if let Some(label) = label {
        let (labels, system) = machine(&[label]);
        draft.machine(&labels);
        builder.needs = labels;
        builder.env.extend(system.map(|system| ("RUNNER_OS".to_owned(), system.to_owned())));
    }
    builder.env.extend(env);
}

fn strategy(entry: &Entry, builder: &mut Builder, ledger: &mut Ledger) -> Option<Matrix> {
    ledger.enter(entry);
    let mut found = Some(Matrix::default());
    for key in entry.node.entries() {
        match key.key.as_str() {
            "matrix" => found = matrix::read(key, ledger),
            "fail-fast" => ledger.meaningless(key, "no builder ends another"),
            "max-parallel" => ledger.open(
                key,
                "a limit that builders share is one of the server's file",
                format!(
                    "[limit.{0}] max = {1} there, and limit = \"{0}\" here",
                    builder.name,
                    key.node.text().unwrap_or("N")
                ),
            ),
            _ => {}
        }
    }
    found
}

pub fn concurrency(entry: &Entry, ledger: &mut Ledger) {
    ledger.open(
        entry,
        "each commit is built; a newer one does not end the build of an older one",
        "max_at_once = 1 in the builder where two must not run at once",
    );
}

fn timeout(entry: &Entry, to: &mut Option<String>, scope: &mut Scope, ledger: &mut Ledger) {
    let minutes =
        constant(entry.node.text().unwrap_or_default(), scope).ok().and_then(|text| text.parse::<f64>().ok());
    match minutes.filter(|minutes| *minutes > 0.0 && *minutes < 100_000.0) {
        Some(minutes) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 6e6")]
            let text = seconds((minutes * 60.0) as u64);
            ledger.carried(entry, format!("timeout = \"{text}\" of the recipe, which counts for each step"));
            *to = Some(text);
        }
        None => {
            ledger.open(entry, "no number of minutes", "timeout = \"…\" in the recipe; without it 20 minutes")
        }
    }
}

fn condition_of_job(entry: &Entry, builder: &mut Builder, scope: &mut Scope, ledger: &mut Ledger) {
    let text = entry.node.text().unwrap_or_default();
    let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let compact = compact.trim_start_matches("${{").trim_end_matches("}}");
    if let Some(branch) = compact
        .strip_prefix("github.ref=='refs/heads/")
        .and_then(|rest| rest.strip_suffix('\''))
        .filter(|b| !b.contains('\'') && is_pattern(b))
    {
        builder.branches = vec![branch.to_owned()];
        builder.on_review = false;
        return ledger.carried(entry, format!("branches = [{branch:?}], and no try runs"));
    }
    match compact {
        "github.event_name=='push'" | "github.event_name!='pull_request'" => {
            builder.on_review = false;
            return ledger.carried(entry, "no try runs");
        }
        "github.event_name=='pull_request'" => {
            builder.post_submit = false;
            return ledger.carried(entry, "post_submit = false: try runs only");
        }
        "always()" | "success()" | "!cancelled()" => {
            return ledger.meaningless(entry, "builders do not wait for one another");
        }
        _ => {}
    }
    match condition(text, scope).map(|found| found.test) {
        Some(Test::Known(true)) => ledger.carried(entry, "it always holds"),
        _ => ledger.open(
            entry,
            format!("the condition {text:?}: the builder builds whatever it says"),
            "say it with branches, policy or post_submit of the builder, or end the first step early",
        ),
    }
}

/// The labels of a machine for what `runs-on` names, and what GitHub calls its system.
fn machine(names: &[String]) -> (Labels, Option<&'static str>) {
    let mut labels = Labels::new();
    let mut system = None;
    for name in names {
        let lower = name.to_ascii_lowercase();
        let arm = lower.contains("arm") || lower.contains("aarch64");
        let mut os = |os: &str, of: &'static str| {
            labels.push(("os".into(), os.into()));
            system = Some(of);
        };
        match lower.as_str() {
            "self-hosted" => {}
            "x64" | "x86_64" => labels.push(("arch".into(), "amd64".into())),
            "arm64" => labels.push(("arch".into(), "arm64".into())),
            "arm" => labels.push(("arch".into(), "arm".into())),
            l if l == "linux" || l.starts_with("ubuntu") => {
                os("linux", "Linux");
                if arm {
                    labels.push(("arch".into(), "arm64".into()));
                }
            }
            l if l.starts_with("windows") => {
                os("windows", "Windows");
                labels.push(("arch".into(), if arm { "arm64" } else { "amd64" }.into()));
            }
            l if l.starts_with("macos") => {
                os("darwin", "macOS");
                let old =
                    ["macos-10", "macos-11", "macos-12", "macos-13"].iter().any(|old| l.starts_with(old));
                let intel = old || l.ends_with("-intel") || l.ends_with("-large");
                labels.push(("arch".into(), if intel { "amd64" } else { "arm64" }.into()));
            }
            _ => labels.push((slug(name), "yes".into())),
        }
    }
    (labels, system)
}

/// What stands before and after the one value of the matrix in a text: `${{ matrix.os }}-latest`.
fn around(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${{")?;
    let (path, after) = rest.split_once("}}")?;
    let path = path.trim().strip_prefix("matrix.")?;
    (!after.contains("${{")).then_some((before, path, after))
}

fn runs_on(
    entry: Option<&Entry>,
    matrix: &mut Matrix,
    builder: &mut Builder,
    scope: &mut Scope,
    ledger: &mut Ledger,
    draft: &mut Draft,
) -> Option<&'static str> {
    let entry = entry?;
    let group = entry.node.get("labels").or_else(|| entry.node.get("group"));
    let names = group.map_or_else(|| entry.node.texts(), |group| group.node.texts());
    let text = names.join(" ");
    let (before, path, after) = around(&text).unwrap_or(("", "", ""));
    if names.len() == 1 && matrix.paths.iter().any(|known| known == path) {
        let mut systems = Vec::new();
        for (pair, value) in matrix.values(path) {
            let (needs, system) = machine(&[format!("{before}{value}{after}")]);
            draft.machine(&needs);
            systems.push(system);
            if let Some(pair) = pair {
                let env = system.map(|system| ("RUNNER_OS".to_owned(), system.to_owned()));
                matrix.set.push(Set { when: vec![pair], needs, env: env.into_iter().collect() });
            }
        }
        builder.runs_on = Some([before, &matrix_variable(path), after].map(str::to_owned));
        ledger.carried(
            entry,
            "needs of each combination; what the machine has to have installed is yours to see to",
        );
        let first = systems.first().copied().flatten();
        let one = first.filter(|_| systems.iter().all(|one| *one == first) && matrix.rows.is_empty());
        scope.several_systems = one.is_none() && !systems.is_empty();
        return one;
    }
    if text.contains("${{") && constant(&text, scope).is_err() {
        ledger.open(
            entry,
            format!("{text:?}: the builder runs on any host"),
            "needs = { os = \"…\" } in the builder",
        );
        return None;
    }
    let (needs, system) = machine(&names);
    draft.machine(&needs);
    let said: Vec<_> = needs.iter().map(|(key, value)| format!("{key} = {value:?}")).collect();
    ledger.carried(
        entry,
        format!("needs = {{ {} }}; what {text} has installed is yours to see to", said.join(", ")),
    );
    builder.needs = needs;
    system
}
