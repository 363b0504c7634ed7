//! A job of GitLab.

use super::Pipeline;
use super::extends::{Whole, lines, whole};
use super::rules::{self, When};
use crate::draft::{Axis, Builder, Draft, Recipe, Set, Step, seconds, slug};
use crate::github::artifact;
use crate::ledger::Ledger;
use crate::shell::{self, Shell};
use crate::yaml::{Entry, Value};

/// Variables: fixed ones, and those that are made of others.
#[derive(Debug, Default, Clone)]
pub struct Variables {
    fixed: Vec<(String, String)>,
    exports: Vec<String>,
}

pub fn variables(entry: Option<&Entry>, ledger: &mut Ledger) -> Variables {
    let mut found = Variables::default();
    let Some(entry) = entry else { return found };
    ledger.enter(entry);
    for variable in entry.node.entries() {
        let value = variable.node.get("value").map_or(&variable.node, |value| &value.node);
        let text = value.text().unwrap_or_default();
        let expands = variable.node.get("expand").is_none_or(|expand| expand.node.flag() != Some(false));
        let name_fits = shell::is_variable(&variable.key);
        if matches!(value.value, Value::List(_) | Value::Map(_)) || !name_fits {
            ledger.open(variable, "no variable with one value", "set it in the recipe's env");
        } else if let Some(setting) = gitlab_setting(&variable.key) {
            ledger.open(
                variable,
                setting,
                "source = \"git\" of [repo.NAME] in the server file gives builds a git repository",
            );
        } else if text.contains('$') && expands {
            let escaped =
                text.replace('\\', "\\\\").replace('"', "\\\"").replace('`', "\\`").replace("$$", "\\$");
            found.exports.push(format!("export {}=\"{escaped}\"", variable.key));
            ledger.carried(variable, "set at the beginning of each step, for it is made of others");
        } else {
            found.fixed.push((variable.key.clone(), text.to_owned()));
            ledger.carried(variable, "env");
        }
    }
    found
}

fn gitlab_setting(name: &str) -> Option<&'static str> {
    match name {
        "GIT_DEPTH" | "GIT_STRATEGY" | "GIT_FETCH_EXTRA_FLAGS" | "GIT_CLONE_PATH" | "GIT_CHECKOUT" => {
            Some("the tree comes without its history, by the server")
        }
        "GIT_SUBMODULE_STRATEGY" | "GIT_SUBMODULE_DEPTH" | "GIT_SUBMODULE_PATHS" => {
            Some("submodules are not fetched")
        }
        _ => None,
    }
}

pub fn translate(entry: &Entry, pipeline: &Pipeline<'_>, ledger: &mut Ledger, draft: &mut Draft) {
    let job = whole(entry, pipeline.root, ledger);
    let name = draft.unique(&entry.key);
    let from = format!("{}:{}", pipeline.file, entry.line);
    let mut builder =
        Builder { name: name.clone(), from: from.clone(), recipe: name.clone(), ..Builder::default() };
    if slug(&entry.key) != entry.key {
        builder.notes = Some(entry.key.clone());
    }
    let mut recipe = Recipe::default();
    let when = match job.get("rules") {
        Some(found) => rules::rules(found, ledger),
        None => rules::only(job.get("only"), job.get("except"), ledger).and(&pipeline.workflow),
    };
    let When { branches, pushed, review, comments } = when;
    (builder.branches, builder.post_submit, builder.on_review) = (branches, pushed, review);
    builder.comments = comments;
    let mut env = pipeline.variables.clone();
    let own = variables(job.get("variables"), ledger);
    env.fixed.extend(own.fixed);
    env.exports.extend(own.exports);
    for key in &job.keys {
        key_of_job(key, &job, &mut builder, &mut recipe, ledger, draft);
    }
    steps(&job, pipeline, &env, &mut recipe, ledger);
    recipe.env = env.fixed;
    if !draft.add(builder, recipe) {
        let message =
            format!("the job {} has no script that could be carried over, so it has no builder", entry.key);
        ledger.open(entry, message, "write its builder and recipe by hand");
    }
}

fn steps(job: &Whole, pipeline: &Pipeline<'_>, env: &Variables, recipe: &mut Recipe, ledger: &mut Ledger) {
    let own: Vec<&str> = env.fixed.iter().map(|(name, _)| name.as_str()).collect();
    let parts: [(&str, &[&str], Option<&'static str>); 2] =
        [("script", &["before_script", "script"], None), ("after-script", &["after_script"], Some("always"))];
    for (name, keys, when) in parts {
        let found: Vec<&Entry> = keys.iter().filter_map(|key| job.get(key)).collect();
        let mut all = Vec::new();
        for entry in &found {
            match lines(&entry.node, pipeline.root, 0) {
                Some(lines) => {
                    ledger.carried(entry, format!("run of the step {name}"));
                    all.extend(lines);
                }
                None => ledger.open(
                    entry,
                    "a reference that leads nowhere, or a key in the script",
                    "write the commands out",
                ),
            }
        }
        let Some(first) = found.last().filter(|_| !all.is_empty()) else { continue };
        let body = all.join("\n");
        let (mut prelude, theirs) =
            shell::their_variables(&format!("{}\n{body}", env.exports.join("\n")), &own);
        for variable in theirs {
            ledger.open(
                first,
                format!("${variable} is not set here"),
                "set it in env, or write what it stands for",
            );
        }
        prelude.extend(env.exports.clone());
        recipe.steps.push(Step {
            name: name.into(),
            from: format!("{}:{}", pipeline.file, first.line),
            run: shell::script(&prelude, &body, Shell::Any),
            when,
            ..Step::default()
        });
    }
}

fn key_of_job(
    key: &Entry,
    job: &Whole,
    builder: &mut Builder,
    recipe: &mut Recipe,
    ledger: &mut Ledger,
    draft: &mut Draft,
) {
    match key.key.as_str() {
        "stage" => ledger.meaningless(key, "builders do not wait for one another"),
        "image" => {
            let name = key.node.text().or_else(|| key.node.get("name")?.node.text()).unwrap_or_default();
            builder.comments.push(format!("The machine has to have what the image {name} has."));
            ledger.open(
                key,
                format!("jobs run on the host as it is, not in {name}"),
                "install on the host what the image has, or call `docker run` in the steps",
            );
        }
        "services" => ledger.open(
            key,
            "no services are started beside a job",
            "start them in a first step and stop them in one with when = \"always\"",
        ),
        "tags" => {
            let needs: Vec<_> = key.node.texts().iter().map(|tag| label(tag)).collect();
            draft.machine(&needs);
            builder.needs.extend(needs);
            ledger.carried(key, "needs of the builder; give a host these labels");
        }
        "needs" | "dependencies" if key.node.texts().is_empty() && key.node.many().is_empty() => {
            ledger.meaningless(key, "builders do not wait for one another");
        }
        "needs" | "dependencies" => ledger.open(
            key,
            "builders do not wait for one another, and hand no files to one another",
            "where one needs what another made, make their steps one recipe",
        ),
        "cache" => ledger.meaningless(
            key,
            "no cache is kept between builds but what the host lets through (env_pass), and `snapshot = true` of a recipe",
        ),
        "artifacts" => artifacts(key, recipe, ledger),
        "timeout" => match duration(key.node.text().unwrap_or_default()) {
            Some(text) => {
                ledger.carried(key, format!("timeout = \"{text}\" of the recipe, which counts for each step"));
                recipe.timeout = Some(text);
            }
            None => ledger.open(key, "no duration", "timeout = \"…\" in the recipe"),
        },
        "retry" => {
            let times = key.node.text().or_else(|| key.node.get("max")?.node.text());
            match times.and_then(|text| text.parse::<u32>().ok()).filter(|times| *times <= 10) {
                Some(times) if key.node.get("when").is_some() || key.node.get("exit_codes").is_some() => {
                    ledger.carried(key, "retries of the recipe, whatever the failure was");
                    recipe.retries = times;
                }
                Some(times) => {
                    ledger.carried(key, "retries of the recipe");
                    recipe.retries = times;
                }
                None => ledger.open(key, "no number", "retries = N in the recipe"),
            }
        }
        "parallel" => parallel(key, builder, recipe, ledger),
        "when" => match key.node.text().unwrap_or_default() {
            "on_success" | "always" => ledger.meaningless(key, "builders do not wait for one another"),
            "never" => {
                builder.post_submit = false;
                builder.on_review = false;
                ledger.carried(key, "post_submit = false");
            }
            "manual" => {
                builder.post_submit = false;
                builder.comments.push("Built only when somebody asks: bellwether build --builder NAME".into());
                ledger.carried(key, "post_submit = false: built when somebody asks");
            }
            other => ledger.open(key, format!("when: {other}"), "make it a step with when = \"failure\" of the recipe it watches"),
        },
        "allow_failure" | "interruptible" => ledger.meaningless(key, "no builder keeps another from being built"),
        "resource_group" => {
            builder.max_at_once = Some(1);
            ledger.carried(key, "max_at_once = 1; with other jobs of the group it wants a [limit.NAME] of the server's file");
        }
        "environment" | "release" | "pages" => ledger.open(
            key,
            "nothing is deployed or released by a key",
            "do it by a command in a step, with a secret of the server's file",
        ),
        "coverage" => ledger.open(key, "no coverage is read from logs", "keep the report as an artefact"),
        "trigger" => ledger.open(key, "no other pipeline is started", "give that repository its own bellwether.toml"),
        "secrets" | "id_tokens" | "identity" => ledger.open(
            key,
            "secrets come from the server's file",
            "[secret.NAME] there, with this builder in its builders",
        ),
        "inherit" => ledger.carried(key, "what is inherited is spelled out"),
        "hooks" | "dast_configuration" | "run" | "start_in" | "manual_confirmation" => {
            ledger.open(key, "has no counterpart", "do it by a command in a step");
        }
        "script" | "before_script" | "after_script" | "variables" | "rules" | "only" | "except" | "extends" => {}
        _ => {
            let _ = job;
        }
    }
}

/// A tag as a label: those that name a system or processor as this server names them.
fn label(tag: &str) -> (String, String) {
    match tag {
        "linux" | "windows" => ("os".into(), tag.into()),
        "macos" | "darwin" => ("os".into(), "darwin".into()),
        "amd64" | "x86_64" => ("arch".into(), "amd64".into()),
        "arm64" | "aarch64" => ("arch".into(), "arm64".into()),
        _ => (slug(tag), "yes".into()),
    }
}

/// `1h 30m`, `3 hours 30 minutes`, `3600`.
fn duration(text: &str) -> Option<String> {
    let mut spaced = String::new();
    for c in text.chars() {
        let last = spaced.chars().last();
        if last.is_some_and(|last| last.is_ascii_digit() != c.is_ascii_digit()) {
            spaced.push(' ');
        }
        spaced.push(c);
    }
    let mut total = 0u64;
    let mut number: Option<u64> = None;
    for word in spaced.split_whitespace() {
        if let Ok(found) = word.parse::<u64>() {
            number = Some(found);
            continue;
        }
        let unit = match word.trim_end_matches('s') {
            "h" | "hr" | "hour" => 3600,
            "m" | "min" | "minute" => 60,
            "" | "sec" | "second" => 1,
            "d" | "day" => 86400,
            "w" | "week" => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    total = total.checked_add(number.unwrap_or(0))?;
    (total > 0 && total < 100_000_000).then(|| seconds(total))
}

fn artifacts(entry: &Entry, recipe: &mut Recipe, ledger: &mut Ledger) {
    ledger.enter(entry);
    for key in entry.node.entries() {
        match key.key.as_str() {
            "paths" => {
                for text in key.node.texts() {
                    if !text.contains('$') && artifact(text.trim_start_matches("./"), &mut recipe.artifacts) {
                        ledger.carried(key, format!("{text:?} in artifacts of the recipe"));
                    } else {
                        ledger.open(
                            key,
                            format!("{text:?} is no pattern of files below the tree"),
                            "artifacts = [\"…\"] in the recipe, with * for what varies",
                        );
                    }
                }
            }
            "reports" => {
                ledger.enter(key);
                for report in key.node.entries() {
                    let first = report.node.texts().first().cloned().unwrap_or_default();
                    if report.key == "junit" && artifact(&first, &mut recipe.artifacts) {
                        recipe.junit = Some(first);
                        match report.node.texts().len() {
                            1 => ledger.carried(report, "results = \"junit\" of the recipe"),
                            _ => ledger.open(
                                report,
                                "one pattern is read, the first",
                                "write one pattern for all: junit = \"**/*.xml\"",
                            ),
                        }
                    } else {
                        ledger.open(report, "no such reports are read", "name the file in artifacts");
                    }
                }
            }
            "exclude" => ledger.open(
                key,
                "no files are taken out of artefacts",
                "write the patterns so that they leave them out",
            ),
            "untracked" => ledger.open(key, "artefacts are named", "artifacts = [\"…\"] in the recipe"),
            "when" => ledger.meaningless(key, "artefacts are kept whatever came of the steps"),
            "name" | "expire_in" | "expose_as" | "public" | "access" => {
                ledger.meaningless(key, "artefacts are named by their path, and kept as long as the build");
            }
            _ => {}
        }
    }
}

fn parallel(entry: &Entry, builder: &mut Builder, recipe: &mut Recipe, ledger: &mut Ledger) {
    let by_hand = "write the builders of this job by hand, as [matrix.NAME] or one by one";
    if let Some(number) =
        entry.node.text().and_then(|text| text.parse::<u32>().ok()).filter(|n| (1..=64).contains(n))
    {
        let values = (1..=number).map(|n| n.to_string()).collect();
        builder.axes.push(Axis::new("part", values, &[]));
        builder.env.push(("CI_NODE_INDEX".into(), "{part}".into()));
        recipe.env.push(("CI_NODE_TOTAL".into(), number.to_string()));
        builder.env.push(("CI_NODE_TOTAL".into(), number.to_string()));
        return ledger.carried(entry, "an axis of a matrix, with CI_NODE_INDEX and CI_NODE_TOTAL");
    }
    let rows = entry.node.get("matrix").map(|matrix| matrix.node.many()).unwrap_or_default();
    let [row] = rows.as_slice() else {
        return ledger.open(entry, "several rows of axes", by_hand);
    };
    let before = builder.env.len();
    let mut combinations = 1usize;
    for axis in row.entries() {
        let texts = axis.node.texts();
        combinations = combinations.saturating_mul(texts.len());
        let fits = shell::is_variable(&axis.key) && !texts.is_empty();
        if !fits || combinations > 256 || texts.iter().any(|text| text.contains('$')) {
            builder.axes.clear();
            builder.set.clear();
            builder.env.truncate(before);
            return ledger.open(
                entry,
                "an axis without values, too many, or values made of variables",
                by_hand,
            );
        }
        let mut values: Vec<String> = Vec::new();
        for (n, text) in texts.iter().enumerate() {
            let value = slug(text);
            values.push(if values.contains(&value) { format!("{value}-{n}") } else { value });
        }
        let made = Axis::new(&axis.key, values.clone(), &builder.axes);
        let name = made.name.clone();
        if values == texts {
            builder.env.push((axis.key.clone(), format!("{{{name}}}")));
        } else {
            for (value, text) in values.iter().zip(&texts) {
                let when = vec![(name.clone(), value.clone())];
                builder.set.push(Set {
                    when,
                    needs: Vec::new(),
                    env: vec![(axis.key.clone(), text.clone())],
                });
            }
        }
        builder.axes.push(made);
    }
    ledger.carried(entry, "a matrix, each value in the variable of its axis");
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_as_gitlab_writes_them() {
        for (text, wanted) in
            [("1h 30m", "90m"), ("3 hours", "3h"), ("90", "90s"), ("2h30m", "150m"), ("1 week", "168h")]
        {
            assert_eq!(duration(text).as_deref(), Some(wanted), "{text}");
        }
        assert_eq!(duration("soon"), None);
        assert_eq!(duration("99999999999999999999 h"), None);
        assert_eq!(duration(""), None);
    }
}
