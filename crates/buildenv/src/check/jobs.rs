//! Checks of recipes.

use super::refer;
use crate::fields::Fields;
use crate::load::Gathered;
use crate::model::Job;
use crate::name::RepoName;
use crate::pattern::Pattern;
use crate::source::Place;
use crate::tree::Table;
use crate::values::{Checker, path_stays_inside};

pub(super) fn recipes(checker: &mut Checker, all: &Gathered) {
    for ((scope, name), item) in all.section("recipe") {
        let path = format!("recipe.{name}");
        refer(checker, all, scope.as_ref(), "repo", &path, &item.table, "toolchain");
        job(checker, &path, &item.table, item.place);
        if let Some(entry) = item.table.get("dependents")
            && let Some(table) = entry.node.table()
        {
            job(checker, &format!("{path}.dependents"), table, entry.place);
            if item.table.get("toolchain").is_none() {
                let message = "dependents without toolchain: nothing could depend on it";
                let problem = checker.problem(entry.place, &format!("{path}.dependents"), message);
                checker.report(problem.expected("toolchain = \"REPO\" in the same recipe"));
            }
        }
    }
}

/// Checks that a builder's recipe can be compiled without being tested.
pub(super) fn compile_only(
    checker: &mut Checker,
    all: &Gathered,
    scope: Option<&RepoName>,
    path: &str,
    table: &Table,
) {
    let fields = Fields(table);
    let Some(entry) = table.get("compile_only").filter(|_| fields.flag("compile_only")) else { return };
    let Some(item) = fields.text("recipe").and_then(|name| all.find("recipe", scope, name)) else { return };
    let name = fields.text("recipe").unwrap_or_default();
    let halves = [("", Some(Fields(&item.table))), (".dependents", Fields(&item.table).table("dependents"))];
    for (half, job) in halves {
        if job.is_none_or(|job| Job::read(job).compiled().is_some()) {
            continue;
        }
        let message = format!("compile_only leaves nothing of recipe.{name}{half}");
        let problem = checker.problem(entry.place, &format!("{path}.compile_only"), message);
        let expected = "a recipe with `build`, or with results = \"dist\" or \"go-json\", and without `step`";
        let at = checker.files.locate(item.place);
        checker.report(problem.expected(expected).note(format!("the recipe is at {at}")));
        return;
    }
}

fn job(checker: &mut Checker, path: &str, table: &Table, place: Place) {
    let short = ["build", "list", "run"].iter().find_map(|key| table.get(key));
    let steps = table.get("step").filter(|e| !e.node.many().is_empty());
    match (short, steps) {
        (None, None) if checker.reported(path) => {}
        (None, None) => {
            let problem = checker.problem(place, path, format!("{path} runs nothing"));
            checker.report(problem.expected("one of run, build, step"));
        }
        (Some(short), Some(steps)) => {
            let message = format!("{:?} beside \"step\"", short.key);
            let problem = checker.problem(short.place, &format!("{path}.{}", short.key), message);
            let other = checker.files.locate(steps.place);
            checker.report(
                problem.expected("either build, list and run, or step").note(format!("step is at {other}")),
            );
        }
        _ => {}
    }
    if let (Some(list), None) = (table.get("list"), table.get("run")) {
        let problem = checker.problem(list.place, &format!("{path}.list"), "list without run");
        checker.report(problem.expected("run, the command that takes the listed tests in place of {tests}"));
    }
    names(checker, path, table);
    results(checker, path, table);
    for node in table.get("artifacts").map_or(&[][..], |e| e.node.many()) {
        let Some(text) = node.text() else { continue };
        let why = match text.parse::<Pattern>() {
            Err(why) => Some(format!("bad pattern {text:?}: {why}")),
            Ok(_) if text.starts_with('/') => Some(format!("{text:?} is not below the tree")),
            Ok(_) => path_stays_inside(text).err().map(|_| format!("{text:?} leads out of the tree")),
        };
        if let Some(why) = why {
            let problem = checker.problem(node.place, &format!("{path}.artifacts"), why);
            checker.report(problem.expected("a path pattern like \"*.log\" or \"out/**\""));
        }
    }
    let tables = steps.map_or(&[][..], |e| e.node.many()).iter().filter_map(|n| n.table());
    for table in std::iter::once(table).chain(tables) {
        let Some(entry) = table.get("dir") else { continue };
        let text = entry.node.text().unwrap_or_default();
        if text.starts_with('/') || path_stays_inside(text).is_err() {
            let problem = checker.problem(
                entry.node.place,
                &format!("{path}.dir"),
                format!("{text:?} leads out of the tree"),
            );
            checker.report(problem.expected("a directory below the tree of the repository"));
        }
    }
}

fn names(checker: &mut Checker, path: &str, table: &Table) {
    let mut seen: Vec<(&str, Place)> = Vec::new();
    let steps = table.get("step").map_or(&[][..], |e| e.node.many());
    for entry in steps.iter().filter_map(|n| n.table()?.get("name")) {
        let name = entry.node.text().unwrap_or_default();
        if let Some((_, other)) = seen.iter().find(|(n, _)| *n == name) {
            let other = checker.files.locate(*other);
            let message = format!("two steps are called {name:?}");
            let problem = checker.problem(entry.node.place, &format!("{path}.step.name"), message);
            checker.report(problem.note(format!("the other one is at {other}")));
        }
        seen.push((name, entry.node.place));
    }
}

fn results(checker: &mut Checker, path: &str, table: &Table) {
    let junit = table.get("junit");
    match (table.get("results").filter(|e| e.node.text() == Some("junit")), junit) {
        (Some(results), None) => {
            let problem =
                checker.problem(results.node.place, &format!("{path}.junit"), "where are the JUnit files?");
            checker.report(problem.expected("junit = \"path/pattern.xml\" in the same table"));
        }
        (None, Some(junit)) => {
            let message = "junit without results = \"junit\": nothing would read the files";
            let problem = checker.problem(junit.place, &format!("{path}.junit"), message);
            checker.report(problem.expected("results = \"junit\" in the same table"));
        }
        _ => {}
    }
}
