//! Steps of a build factory.

use super::Told;
use super::value::{Object, Val};
use crate::draft::{Recipe, Step, seconds};
use crate::github::artifact;
use crate::ledger::Verdict;
use crate::shell;

/// Steps that fetch the source.
const SOURCE: [&str; 10] =
    ["Git", "GitHub", "GitLab", "Gerrit", "Mercurial", "SVN", "Bzr", "Repo", "Darcs", "CVS"];
/// Arguments of any step that say how it looks on Buildbot's pages.
const LOOKS: [&str; 11] = [
    "description",
    "descriptionDone",
    "descriptionSuffix",
    "hideStepIf",
    "warningPattern",
    "usePTY",
    "lazylogfiles",
    "logEnviron",
    "want_stdout",
    "want_stderr",
    "interruptSignal",
];

/// What is known of the builder whose factory it is.
pub struct Properties<'a>(pub &'a [(String, String)]);

pub fn step(object: &Object, file: &str, properties: &Properties<'_>, recipe: &mut Recipe, told: &mut Told) {
    let mut step = Step { from: format!("{file}:{}", object.line), ..Step::default() };
    let kind = object.kind.as_str();
    let mut used: Vec<&str> = Vec::new();
    let run: Result<String, String> = match kind {
        _ if SOURCE.contains(&kind) => {
            told.say(
                object.line,
                kind,
                Verdict::Carried,
                "the tree of the commit is there before the first step",
                None,
            );
            for (name, _, line) in &object.kwargs {
                source(kind, name, *line, told);
            }
            return;
        }
        "ShellCommand"
        | "Compile"
        | "Test"
        | "Configure"
        | "WarningCountingShellCommand"
        | "PerlModuleTest"
        | "Trial"
        | "PyFlakes"
        | "Sphinx"
        | "SetPropertyFromCommand"
        | "ShellCommandNewStyle" => {
            used.push("command");
            match object.arg("command", if kind == "ShellCommand" { 99 } else { 0 }) {
                Some(value) => command(value, properties),
                None if kind == "Compile" => Ok("make all".into()),
                None if kind == "Test" => Ok("make test".into()),
                None if kind == "Configure" => Ok("./configure".into()),
                None => Err(format!("{kind} without a command")),
            }
        }
        "ShellSequence" => {
            used.push("commands");
            let list = object.arg("commands", 0).map(Val::many).unwrap_or_default();
            let all: Result<Vec<String>, String> = list
                .iter()
                .map(|one| match one {
                    Val::Object(arg) => arg
                        .arg("command", 0)
                        .map_or_else(|| Err("no command".into()), |value| command(value, properties)),
                    _ => Err("a command that is not known".into()),
                })
                .collect();
            all.map(|all| shell::script(&[], &all.join("\n"), shell::Shell::Sh))
        }
        "RemoveDirectory" | "MakeDirectory" => {
            used.push("dir");
            let dir = object.arg("dir", 0).and_then(Val::text).and_then(|dir| below(&dir));
            let with = if kind == "RemoveDirectory" { "rm -rf" } else { "mkdir -p" };
            dir.map(|dir| format!("{with} {}", shell::quote(&dir)))
                .ok_or_else(|| "a folder outside of the tree".into())
        }
        "FileUpload" | "DirectoryUpload" | "MultipleFileUpload" => {
            let texts = ["workersrc", "workersrcs", "slavesrc"].iter().find_map(|name| object.arg(name, 0));
            for value in texts.map(Val::many).unwrap_or_default() {
                let path = value.text().unwrap_or_default();
                let path = if kind == "DirectoryUpload" { format!("{path}/") } else { path };
                if artifact(&path, &mut recipe.artifacts) {
                    told.say(
                        object.line,
                        kind,
                        Verdict::Carried,
                        &format!("{path:?} in artifacts of the recipe"),
                        None,
                    );
                } else {
                    told.say(
                        object.line,
                        kind,
                        Verdict::Open,
                        "no path below the tree",
                        Some("artifacts = [\"…\"] in the recipe"),
                    );
                }
            }
            for (name, _, line) in object
                .kwargs
                .iter()
                .filter(|(name, ..)| !name.starts_with("workersrc") && !name.starts_with("slavesrc"))
            {
                told.say(
                    *line,
                    name,
                    Verdict::Meaningless,
                    "artefacts are named by their path, and kept by the server",
                    None,
                );
            }
            return;
        }
        _ => {
            let message = format!("the step {kind} is not known to this import");
            told.say(
                object.line,
                kind,
                Verdict::Open,
                &message,
                Some("write as `run` of a step what it does"),
            );
            for (name, _, line) in &object.kwargs {
                told.say(*line, name, Verdict::Open, "goes with the step", Some("see the step"));
            }
            step.comments.push(format!("not carried over: {kind}"));
            recipe.steps.push(step);
            return;
        }
    };
    kwargs(object, &used, &mut step, told);
    if step.name.is_empty() {
        step.name = kind.to_owned();
    }
    match run {
        Ok(run) => {
            told.say(object.line, kind, Verdict::Carried, "run of a step", None);
            if kind == "SetPropertyFromCommand" {
                let remedy = "make the steps that use it one step, with a variable of the shell";
                told.say(
                    object.line,
                    kind,
                    Verdict::Open,
                    "what it prints is kept as no property",
                    Some(remedy),
                );
            }
            let (prelude, _) = shell::their_variables(&run, &[]);
            step.run = if prelude.is_empty() { run } else { shell::script(&prelude, &run, shell::Shell::Sh) };
        }
        Err(why) => {
            told.say(
                object.line,
                kind,
                Verdict::Open,
                &format!("{why}: the step is written as a comment"),
                Some("write the command as `run` of a step"),
            );
            step.comments.push(format!("not carried over: {kind}, {why}"));
        }
    }
    recipe.steps.push(step);
}

fn source(kind: &str, name: &str, line: u64, told: &mut Told) {
    match name {
        "submodules" => told.say(
            line,
            name,
            Verdict::Open,
            "submodules are not fetched",
            Some("fetch them in a first step"),
        ),
        "shallow" | "mode" | "method" | "retry" | "clobberOnFailure" | "progress" | "timeout"
        | "retryFetch" | "name" | "haltOnFailure" | "alwaysUseLatest" => {
            told.say(
                line,
                name,
                Verdict::Meaningless,
                "the server fetches, and each build starts from a clean tree",
                None,
            );
        }
        "repourl" | "baseURL" => told.say(
            line,
            name,
            Verdict::Open,
            "repositories are named in the server's file",
            Some("[repo.NAME] url = \"…\" there, or `bellwether up URL`"),
        ),
        "workdir" | "branch" | "codebase" => told.say(
            line,
            name,
            Verdict::Open,
            "one tree, that of the commit, lies where the steps begin",
            Some(
                "`needs` of the repository, where it is built against another; else fetch it in a first step",
            ),
        ),
        _ => told.say(
            line,
            name,
            Verdict::Open,
            &format!("an argument of {kind}"),
            Some("see what it does there"),
        ),
    }
}

fn kwargs(object: &Object, used: &[&str], step: &mut Step, told: &mut Told) {
    for (name, value, line) in &object.kwargs {
        let name = name.as_str();
        let number = value.text().and_then(|text| text.parse::<u64>().ok());
        match name {
            _ if used.contains(&name) => {}
            "name" => {
                told.say(*line, name, Verdict::Carried, "name of the step", None);
                step.name = value.text().unwrap_or_default();
            }
            "workdir" => match value.text().and_then(|dir| below(&dir)) {
                Some(dir) => {
                    told.say(*line, name, Verdict::Carried, "dir of the step", None);
                    step.dir = Some(dir).filter(|dir| dir != ".");
                }
                None => told.say(*line, name, Verdict::Open, "a folder outside of the tree", Some("begin the step with `cd`")),
            },
            "env" => match value {
                Val::Dict(items) => {
                    for (key, value) in items.borrow().iter() {
                        match value.text() {
                            Some(text) if shell::is_variable(key) => step.env.push((key.clone(), text)),
                            _ => told.say(*line, key, Verdict::Open, "a value that is known only when it runs", Some("set it in env")),
                        }
                    }
                    told.say(*line, name, Verdict::Carried, "env of the step", None);
                }
                _ => told.say(*line, name, Verdict::Open, "variables that are known only when it runs", Some("set them in env")),
            },
            "maxTime" if number.is_some() => {
                told.say(*line, name, Verdict::Carried, "timeout of the step", None);
                step.timeout = number.map(seconds);
            }
            "timeout" => told.say(
                *line,
                name,
                Verdict::Meaningless,
                "how long it may print nothing; here a step has a limit for its whole time, 20 minutes if not said",
                None,
            ),
            "alwaysRun" if matches!(value, Val::Flag(true)) => {
                told.say(*line, name, Verdict::Carried, "when = \"always\"", None);
                step.when = Some("always");
            }
            "haltOnFailure" if matches!(value, Val::Flag(true)) => {
                told.say(*line, name, Verdict::Carried, "a step that fails ends the recipe", None);
            }
            "alwaysRun" | "flunkOnFailure" if matches!(value, Val::Flag(flag) if *flag == (name == "flunkOnFailure")) => {
                told.say(*line, name, Verdict::Carried, "as it is here anyway", None);
            }
            "haltOnFailure" => told.say(
                *line,
                name,
                Verdict::Open,
                "a step that fails ends the recipe",
                Some("end the command with `|| status=1` in one step with those that are to follow"),
            ),
            "flunkOnFailure" | "warnOnFailure" | "flunkOnWarnings" | "warnOnWarnings" | "decodeRC" => told.say(
                *line,
                name,
                Verdict::Open,
                "a step is ok or failed, there are no warnings",
                Some("end the command with `|| true` where its failure counts for nothing"),
            ),
            "doStepIf" => told.say(*line, name, Verdict::Open, "a condition in Python", Some("ask it in the shell at the beginning of the step")),
            "logfiles" => told.say(*line, name, Verdict::Open, "other files are no logs", Some("name them in artifacts of the recipe")),
            "locks" => told.say(*line, name, Verdict::Open, "steps have no locks", Some("limit = \"NAME\" of the builder, with [limit.NAME] of the server's file")),
            "property" | "extract_fn" => told.say(*line, name, Verdict::Open, "nothing is kept as a property", Some("make the steps that use it one step")),
            _ if LOOKS.contains(&name) => told.say(*line, name, Verdict::Meaningless, "how it looks on Buildbot's pages, or how it is started", None),
            _ => told.say(*line, name, Verdict::Open, "an argument that this import does not know", Some("see what it does there")),
        }
    }
}

/// A folder below Buildbot's `build`, where the tree lies.
fn below(dir: &str) -> Option<String> {
    let inside = match dir.trim_end_matches('/') {
        "build" | "" | "." => ".".to_owned(),
        dir => dir.strip_prefix("build/").unwrap_or(dir).to_owned(),
    };
    let out = inside.starts_with(['/', '~']) || inside.split('/').any(|part| part == "..");
    (!out).then_some(inside)
}

/// A command: a text for the shell, or a list of arguments.
fn command(value: &Val, properties: &Properties<'_>) -> Result<String, String> {
    match value {
        Val::Text(text) => Ok(text.clone()),
        Val::List(items) => {
            let mut words = Vec::new();
            for one in items.borrow().iter() {
                words.push(match one {
                    Val::Text(text) | Val::Number(text) => shell::quote(text),
                    Val::List(_) => command(one, properties)?,
                    other => rendered(other, properties)?,
                });
            }
            Ok(words.join(" "))
        }
        Val::Unknown(why) => Err(why.clone()),
        other => rendered(other, properties),
    }
}

/// What Buildbot puts in when the step runs.
fn rendered(value: &Val, properties: &Properties<'_>) -> Result<String, String> {
    let Val::Object(object) = value else { return Err("a command that is known only when it runs".into()) };
    let first = object.args.first().and_then(Val::text);
    match (object.kind.as_str(), first) {
        ("Property", Some(name)) => property(&name, properties),
        ("Interpolate" | "WithProperties", Some(text)) => interpolate(&text, properties),
        (kind, _) => Err(format!("{kind}, which is known only when it runs")),
    }
}

fn property(name: &str, properties: &Properties<'_>) -> Result<String, String> {
    match name {
        "revision" | "got_revision" => Ok("\"${CI_COMMIT_SHA}\"".into()),
        "buildername" => Ok("\"${BELLWETHER_BUILDER}\"".into()),
        "builddir" => Ok("\"${WORKDIR}\"".into()),
        _ => match properties.0.iter().find(|(known, _)| known == name) {
            Some((_, value)) => Ok(shell::quote(value)),
            None => Err(format!("the property {name:?}")),
        },
    }
}

fn interpolate(text: &str, properties: &Properties<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("%(") {
        out.push_str(&before.replace("%%", "%"));
        let (name, after) = after.split_once(")s").ok_or("an interpolation without an end")?;
        let (kind, key) = name.split_once(':').unwrap_or(("prop", name));
        let key = key.trim_start_matches(':').split(":-").next().unwrap_or(key);
        out.push_str(&match kind {
            "prop" | "kw" => property(key, properties)?,
            "src" if key == "revision" => property("revision", properties)?,
            _ => return Err(format!("%({name})s")),
        });
        rest = after;
    }
    out.push_str(&rest.replace("%%", "%"));
    Ok(out)
}
