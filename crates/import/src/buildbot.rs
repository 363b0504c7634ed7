//! Buildbot: each `BuilderConfig` of a `master.cfg` becomes a builder, its factory a recipe.

mod evaluate;
mod steps;
mod value;

use std::rc::Rc;

use serde_json::Value as Json;

use crate::draft::{Builder, Draft, Recipe, is_pattern};
use crate::ledger::{Finding, Verdict};
use crate::shell;
use crate::{MAX_FILE, Refused, SourceFile};

use evaluate::Walk;
use steps::Properties;
use value::{Object, Val};

/// A Python program that prints the syntax tree of the program on its standard input, without running that.
pub const DUMP: &str = include_str!("buildbot/dump.py");

/// A tree is so much larger than its text.
const TREE: usize = 64;

/// What became of each line.
pub struct Told {
    file: String,
    findings: Vec<Finding>,
    /// Which keys of tables were set in which lines.
    set: Vec<(String, u64)>,
}

impl Told {
    fn say(&mut self, line: u64, key: &str, verdict: Verdict, message: &str, remedy: Option<&str>) {
        let finding = Finding {
            file: self.file.clone(),
            line: usize::try_from(line).unwrap_or(1),
            column: 1,
            key: key.to_owned(),
            verdict,
            message: message.to_owned(),
            remedy: remedy.map(str::to_owned),
        };
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }
}

pub fn translate(file: &SourceFile, draft: &mut Draft) -> Result<Vec<Finding>, Refused> {
    if file.text.len() > MAX_FILE * TREE {
        return Err(Refused::Large(file.name.clone()));
    }
    let shape = |why: String| Refused::Shape { file: file.name.clone(), why };
    let tree: Json = serde_json::from_str(&file.text)
        .map_err(|why| shape(format!("the syntax tree can't be read, it may be nested too deep: {why}")))?;
    if tree["t"] == "Error" {
        let number = |key: &str| tree[key].as_u64().and_then(|n| usize::try_from(n).ok()).unwrap_or(1);
        let why = format!("this is no Python: {}", tree["v"].as_str().unwrap_or_default());
        return Err(Refused::Syntax { file: file.name.clone(), line: number("l"), column: number("c"), why });
    }
    let mut told = Told { file: file.name.clone(), findings: Vec::new(), set: Vec::new() };
    let mut walk = Walk::new(&mut told);
    walk.block(&tree["body"]);
    let found = ["c", "BuildmasterConfig"].iter().find_map(|name| walk.global(name).cloned());
    if walk.ended() {
        return Err(shape("over 20000 statements, loops and functions spelled out: split it".into()));
    }
    let Some(Val::Dict(config)) = found else {
        return Err(shape(
            "no `c = BuildmasterConfig = {}`: this is no configuration of a Buildbot master".into(),
        ));
    };
    let config = config.borrow().clone();
    let get = |key: &str| config.iter().find(|(known, _)| known == key).map(|(_, value)| value.many());
    let builders = get("builders").unwrap_or_default();
    let schedules = schedules(&get("schedulers").unwrap_or_default(), &mut told);
    for value in &builders {
        match value {
            Val::Object(object) if object.kind == "BuilderConfig" => {
                builder(object, &file.name, &schedules, draft, &mut told);
            }
            _ => told.say(
                1,
                "builders",
                Verdict::Open,
                "a builder that is not known",
                Some("write it by hand"),
            ),
        }
    }
    if builders.is_empty() {
        return Err(shape("no builder could be found in c['builders']".into()));
    }
    draft
        .notes
        .push("In Buildbot the steps after a failed one run, unless haltOnFailure; here they do not.".into());
    for (key, value) in &config {
        rest(key, value, &mut told);
    }
    told.findings.sort_by_key(|one| one.line);
    Ok(told.findings)
}

/// Keys of the configuration that are no builders.
fn rest(key: &str, value: &Val, told: &mut Told) {
    let (verdict, message, remedy) = match key {
        "builders" | "schedulers" => return,
        "workers" | "slaves" => (
            Verdict::Open,
            "workers are hosts of the server's file",
            Some("[host.NAME] there, with labels; needs = { … } in the builders"),
        ),
        "change_source" => (Verdict::Meaningless, "the server watches the repositories by itself", None),
        "www"
        | "title"
        | "titleURL"
        | "buildbotURL"
        | "status"
        | "logCompressionLimit"
        | "logCompressionMethod"
        | "logMaxSize"
        | "logMaxTailSize"
        | "logEncoding" => {
            (Verdict::Meaningless, "the server has pages, an address and logs of its own", None)
        }
        "db"
        | "db_url"
        | "mq"
        | "multiMaster"
        | "caches"
        | "buildbotNetUsageData"
        | "protocols"
        | "changeHorizon"
        | "buildCacheSize"
        | "changeCacheSize" => (Verdict::Meaningless, "a matter of Buildbot's master", None),
        "services" | "reporters" => (
            Verdict::Open,
            "nobody is told by the project's file",
            Some("watch the grid, its feed or the API"),
        ),
        "secretsProviders" => (
            Verdict::Open,
            "secrets come from the server's file",
            Some("[secret.NAME] there, with the builders that get it"),
        ),
        "prioritizeBuilders" | "collapseRequests" | "configurators" => {
            (Verdict::Open, "a function in Python", Some("priority = N in the builders"))
        }
        _ => (Verdict::Open, "this import knows no such key", Some("see what it does there")),
    };
    let lines: Vec<u64> = value
        .many()
        .iter()
        .filter_map(|one| match one {
            Val::Object(object) => Some(object.line),
            _ => None,
        })
        .collect();
    for line in if lines.is_empty() { vec![told.line_of(key)] } else { lines } {
        told.say(line, key, verdict, message, remedy);
    }
}

impl Told {
    /// Where a key was set last.
    fn line_of(&self, key: &str) -> u64 {
        self.set.iter().rev().find(|(known, _)| known == key).map_or(1, |(_, line)| *line)
    }
}

/// Which builders a scheduler starts, and for which branches.
struct Schedule {
    builders: Vec<String>,
    branches: Vec<String>,
}

fn schedules(values: &[Val], told: &mut Told) -> Vec<Schedule> {
    let mut all = Vec::new();
    for value in values {
        let Val::Object(object) = value else {
            told.say(
                1,
                "schedulers",
                Verdict::Open,
                "a scheduler that is not known",
                Some("say branches of the builders by hand"),
            );
            continue;
        };
        let kind = object.kind.as_str();
        let builders: Vec<String> = object
            .arg("builderNames", 99)
            .map(Val::many)
            .unwrap_or_default()
            .iter()
            .filter_map(Val::text)
            .collect();
        let (verdict, message, remedy) = match kind {
            "SingleBranchScheduler" | "AnyBranchScheduler" | "Scheduler" => {
                let branches = branches(object, kind);
                let message = format!("branches = {branches:?} of {}", builders.join(", "));
                told.say(object.line, kind, Verdict::Carried, &message, None);
                for (name, _, line) in &object.kwargs {
                    scheduler_argument(name, *line, told);
                }
                all.push(Schedule { builders, branches });
                continue;
            }
            "ForceScheduler" | "Try_Jobdir" | "Try_Userpass" => (
                Verdict::Meaningless,
                "anybody with the role may ask for a build: `bellwether build --builder NAME`",
                None,
            ),
            "Nightly" | "Periodic" | "NightlyTriggerable" => (
                Verdict::Open,
                "nothing is built by the clock: commits are built as they come",
                Some("let cron call `bellwether build --builder NAME` where the clock matters"),
            ),
            _ => (
                Verdict::Open,
                "builders do not start one another",
                Some("where one must not run unless another is ok, make their steps one recipe"),
            ),
        };
        told.say(object.line, kind, verdict, message, remedy);
    }
    all
}

fn scheduler_argument(name: &str, line: u64, told: &mut Told) {
    match name {
        "name" | "builderNames" | "branch" | "branches" | "change_filter" => {}
        "treeStableTimer" => {
            told.say(line, name, Verdict::Meaningless, "each commit has its own build", None)
        }
        "fileIsImportant" | "onlyImportant" => told.say(
            line,
            name,
            Verdict::Open,
            "every commit is built, whatever files it changed",
            Some("let a first step end the build where nothing of interest changed"),
        ),
        _ => told.say(
            line,
            name,
            Verdict::Open,
            "an argument of the scheduler",
            Some("see what it does there"),
        ),
    }
}

fn branches(object: &Object, kind: &str) -> Vec<String> {
    let direct = object.arg("branches", 99).or_else(|| object.arg("branch", 99));
    let filter = object.arg("change_filter", 99).and_then(|value| match value {
        Val::Object(filter) => filter.arg("branch", 99).cloned(),
        _ => None,
    });
    let all: Vec<String> =
        filter.as_ref().or(direct).map(Val::many).unwrap_or_default().iter().filter_map(Val::text).collect();
    let all: Vec<String> = all.into_iter().filter(|text| is_pattern(text)).collect();
    match (all.is_empty(), kind) {
        (true, "AnyBranchScheduler") => vec!["*".into()],
        _ => all,
    }
}

fn builder(object: &Rc<Object>, file: &str, schedules: &[Schedule], draft: &mut Draft, told: &mut Told) {
    let wanted = object.arg("name", 0).and_then(Val::text).unwrap_or_default();
    let name = draft.unique(&wanted);
    let from = format!("{file}:{}", object.line);
    let mut builder =
        Builder { name: name.clone(), from: from.clone(), recipe: name.clone(), ..Builder::default() };
    if name != wanted {
        builder.notes = Some(wanted.clone());
    }
    told.say(object.line, "BuilderConfig", Verdict::Carried, &format!("builder {name}"), None);
    for schedule in schedules.iter().filter(|schedule| schedule.builders.contains(&wanted)) {
        builder.post_submit = true;
        builder.branches.extend(schedule.branches.clone());
    }
    if !builder.post_submit {
        builder.comments.push("Built only when somebody asks: bellwether build --builder NAME".into());
    }
    let mut recipe = Recipe::default();
    let mut properties = Vec::new();
    for (key, value, line) in &object.kwargs {
        argument(key, value, *line, &mut builder, &mut recipe, &mut properties, told);
    }
    match object.arg("factory", 99) {
        Some(Val::Object(factory)) if factory.kind == "BuildFactory" => {
            told.say(factory.line, "BuildFactory", Verdict::Carried, "a recipe", None);
            let first = factory.arg("steps", 0).map(Val::many).unwrap_or_default();
            let mut all: Vec<(Val, u64)> = first.into_iter().map(|one| (one, factory.line)).collect();
            for (method, value, line) in factory.calls.borrow().iter() {
                match method.as_str() {
                    "addStep" | "addSteps" => all.extend(value.many().into_iter().map(|one| (one, *line))),
                    _ => told.say(
                        *line,
                        method,
                        Verdict::Open,
                        "a method of the factory",
                        Some("see what it does there"),
                    ),
                }
            }
            for (value, line) in all {
                match value {
                    Val::Object(step) => {
                        steps::step(&step, file, &Properties(&properties), &mut recipe, told)
                    }
                    _ => told.say(
                        line,
                        "addStep",
                        Verdict::Open,
                        "a step that is known only when it runs",
                        Some("write it by hand"),
                    ),
                }
            }
        }
        Some(Val::Object(factory)) => told.say(
            factory.line,
            &factory.kind,
            Verdict::Open,
            "a factory whose steps are in Buildbot itself",
            Some("write as steps what it runs"),
        ),
        _ => told.say(
            object.line,
            "factory",
            Verdict::Open,
            "no factory that could be followed",
            Some("write the recipe by hand"),
        ),
    }
    if !draft.add(builder, recipe) {
        let message =
            format!("the builder {wanted} has no step that could be carried over, so it is not written");
        told.say(
            object.line,
            "BuilderConfig",
            Verdict::Open,
            &message,
            Some("write its builder and recipe by hand"),
        );
    }
}

fn argument(
    key: &str,
    value: &Val,
    line: u64,
    builder: &mut Builder,
    recipe: &mut Recipe,
    properties: &mut Vec<(String, String)>,
    told: &mut Told,
) {
    match key {
        "name" | "factory" => {}
        "workername" | "workernames" | "slavename" | "slavenames" => {
            let names: Vec<String> = value.many().iter().filter_map(Val::text).collect();
            builder.comments.push(format!("Ran on the workers {}.", names.join(", ")));
            told.say(
                line,
                key,
                Verdict::Open,
                "hosts are chosen by labels; this builder runs on any",
                Some("needs = { … } in the builder, with labels of [host.NAME] of the server's file"),
            );
        }
        "env" | "properties" => match value {
            Val::Dict(items) => {
                for (name, value) in items.borrow().iter() {
                    match value.text() {
                        Some(text) if key == "env" && shell::is_variable(name) => {
                            recipe.env.push((name.clone(), text))
                        }
                        Some(text) if key != "env" => properties.push((name.clone(), text)),
                        _ => told.say(
                            line,
                            name,
                            Verdict::Open,
                            "a value that is known only when it runs",
                            Some("set it in env"),
                        ),
                    }
                }
                let what = if key == "env" { "env of the recipe" } else { "put in where steps name them" };
                told.say(line, key, Verdict::Carried, what, None);
            }
            _ => told.say(line, key, Verdict::Open, "known only when it runs", Some("set it in env")),
        },
        "description" => {
            builder.notes = value.text();
            told.say(line, key, Verdict::Carried, "notes of the builder", None);
        }
        "tags" | "category" | "builddir" | "workerbuilddir" | "slavebuilddir" => {
            told.say(
                line,
                key,
                Verdict::Meaningless,
                "builders are grouped by their names, folders are the worker's",
                None,
            );
        }
        "locks" => told.say(
            line,
            key,
            Verdict::Open,
            "a limit that builders share is one of the server's file",
            Some("[limit.NAME] max = 1 there, and limit = \"NAME\" here"),
        ),
        "collapseRequests" => {
            told.say(line, key, Verdict::Meaningless, "each commit has its own build", None)
        }
        _ => told.say(
            line,
            key,
            Verdict::Open,
            "an argument that this import does not know",
            Some("see what it does there"),
        ),
    }
}
