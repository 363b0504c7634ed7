//! Writes a draft as TOML, with the places of the source in comments.

use std::fmt::Write;

use buildenv::{quote, show_key};

use crate::System;
use crate::draft::{Builder, Draft, Labels, Recipe, Step};

/// Writes the project file.
pub fn project(draft: &Draft, from: System, files: &[&str]) -> String {
    let mut out = format!(
        "# Written by `bellwether import --from {from}` from {}.\n# Change it freely: every key is described in docs/CONFIG.md.\n",
        comment(&files.join(", "))
    );
    for note in &draft.notes {
        let _ = writeln!(out, "# {}", comment(note));
    }
    if !draft.branches.is_empty() {
        let _ = writeln!(out, "\nbranches = {}", list(&draft.branches));
    }
    for builder in &draft.builders {
        self::builder(&mut out, builder);
        if let Some(recipe) = draft.recipes.iter().find(|recipe| recipe.name == builder.recipe)
            && builder.name == recipe.name
        {
            self::recipe(&mut out, recipe);
        }
    }
    out
}

fn builder(out: &mut String, builder: &Builder) {
    let _ = writeln!(out, "\n# {}", comment(&builder.from));
    for line in &builder.comments {
        let _ = writeln!(out, "# {}", comment(line));
    }
    match builder.axes.is_empty() {
        true => {
            let _ = writeln!(out, "[builder.{}]", show_key(&builder.name));
        }
        false => {
            let _ =
                writeln!(out, "[matrix.{}]\nname = {}", show_key(&builder.name), quote(&builder.pattern()));
            let axes =
                builder.axes.iter().map(|axis| format!("{} = {}", show_key(&axis.name), list(&axis.values)));
            let _ = writeln!(out, "axes = {{ {} }}", axes.collect::<Vec<_>>().join(", "));
        }
    }
    if !builder.exclude.is_empty() {
        let rows: Vec<_> = builder.exclude.iter().map(table).collect();
        let _ = writeln!(out, "exclude = [{}]", rows.join(", "));
    }
    let _ = writeln!(out, "recipe = {}", quote(&builder.recipe));
    if let Some(notes) = &builder.notes {
        let _ = writeln!(out, "notes = {}", quote(&braces(notes, builder)));
    }
    if !builder.needs.is_empty() {
        let _ = writeln!(out, "needs = {}", table(&builder.needs));
    }
    if !builder.branches.is_empty() && builder.post_submit {
        let _ = writeln!(out, "branches = {}", list(&builder.branches));
    }
    if !builder.post_submit {
        out.push_str("post_submit = false\n");
    }
    match builder.review_branches.is_empty() {
        _ if !builder.on_review => {}
        true => out.push_str("try = true\n"),
        false => {
            let _ = writeln!(out, "try = [{{ branch = {} }}]", list(&builder.review_branches));
        }
    }
    if let Some(most) = builder.max_at_once {
        let _ = writeln!(out, "max_at_once = {most}");
    }
    if !builder.env.is_empty() {
        let _ = writeln!(out, "env = {}", table(&builder.env));
    }
    for set in &builder.set {
        let _ = writeln!(out, "\n[[matrix.{}.set]]\nwhen = {}", show_key(&builder.name), table(&set.when));
        if !set.needs.is_empty() {
            let _ = writeln!(out, "needs = {}", table(&set.needs));
        }
        if !set.env.is_empty() {
            let _ = writeln!(out, "env = {}", table(&set.env));
        }
    }
}

/// In a matrix `{x}` stands for an axis: text that has such braces by chance loses them.
fn braces(text: &str, builder: &Builder) -> String {
    if builder.axes.is_empty() { text.to_owned() } else { text.replace(['{', '}'], "") }
}

fn recipe(out: &mut String, recipe: &Recipe) {
    let name = show_key(&recipe.name);
    let _ = writeln!(out, "\n[recipe.{name}]");
    if let Some(dir) = &recipe.dir {
        let _ = writeln!(out, "dir = {}", quote(dir));
    }
    if let Some(timeout) = &recipe.timeout {
        let _ = writeln!(out, "timeout = {}", quote(timeout));
    }
    if recipe.retries > 0 {
        let _ = writeln!(out, "retries = {}", recipe.retries);
    }
    if let Some(junit) = &recipe.junit {
        let _ = writeln!(out, "results = \"junit\"\njunit = {}", quote(junit));
    }
    if !recipe.artifacts.is_empty() {
        let _ = writeln!(out, "artifacts = {}", list(&recipe.artifacts));
    }
    if !recipe.env.is_empty() {
        let _ = writeln!(out, "env = {}", table(&recipe.env));
    }
    let mut names: Vec<String> = Vec::new();
    for step in &recipe.steps {
        self::step(out, &name, step, &mut names);
    }
}

fn step(out: &mut String, recipe: &str, step: &Step, names: &mut Vec<String>) {
    let _ = writeln!(out, "\n# {}", comment(&step.from));
    for line in &step.comments {
        let _ = writeln!(out, "# {}", comment(line));
    }
    if step.run.is_empty() {
        return;
    }
    let stem = crate::draft::slug(&step.name);
    let mut name = stem.clone();
    let mut n = 2;
    while names.contains(&name) {
        name = format!("{}-{n}", stem.get(..stem.len().min(56)).unwrap_or("step"));
        n += 1;
    }
    let _ = writeln!(out, "[[recipe.{recipe}.step]]\nname = {}", quote(&name));
    names.push(name);
    let _ = writeln!(out, "run = {}", text(&step.run));
    if let Some(dir) = &step.dir {
        let _ = writeln!(out, "dir = {}", quote(dir));
    }
    if let Some(timeout) = &step.timeout {
        let _ = writeln!(out, "timeout = {}", quote(timeout));
    }
    if let Some(when) = step.when {
        let _ = writeln!(out, "when = {}", quote(when));
    }
    if !step.env.is_empty() {
        let _ = writeln!(out, "env = {}", table(&step.env));
    }
}

/// Writes the draft for the server's file; empty if the builders ask for nothing.
pub fn server(draft: &Draft) -> String {
    let asked = |labels: &Labels| {
        let of = |one: &Builder| one.needs == *labels || one.set.iter().any(|set| set.needs == *labels);
        draft.builders.iter().any(of)
    };
    let hosts: Vec<_> = draft.hosts.iter().filter(|(_, labels)| asked(labels)).collect();
    if hosts.is_empty() && draft.secrets.is_empty() {
        return String::new();
    }
    let repo = show_key(&draft.repo);
    let mut out = format!(
        "# For the server file (--config): what the imported builders ask for. Look at each line before you use it.\n\
         \n[repo.{repo}]\nurl = \".\"                    # where the repository is fetched from\n\
         \n[host.local]                 # jobs as processes on the server's own machine\n"
    );
    for (name, labels) in hosts {
        let _ = writeln!(
            out,
            "\n[host.{}]\npool = \"reverse\"             # machines that dial in\nlabels = {}",
            show_key(name),
            table(labels)
        );
    }
    for (variable, builders) in &draft.secrets {
        let builders: Vec<String> = builders.iter().map(|name| format!("{}:{name}", draft.repo)).collect();
        let _ = writeln!(
            out,
            "\n# While the server has no variable {variable}, these builders are blocked.\n[secret.{}]\nenv = {1}\nas = {1}\nbuilders = {2}",
            show_key(&crate::draft::slug(variable)),
            quote(variable),
            list(&builders)
        );
    }
    out
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quote(text)).collect();
    format!("[{}]", texts.join(", "))
}

fn table(pairs: &Labels) -> String {
    let mut seen: Vec<&str> = Vec::new();
    let mut parts = Vec::new();
    // The last of two with one name counts.
    for (name, value) in pairs.iter().rev() {
        if !seen.contains(&name.as_str()) {
            seen.push(name);
            parts.push(format!("{} = {}", show_key(name), quote(value)));
        }
    }
    parts.reverse();
    format!("{{ {} }}", parts.join(", "))
}

fn comment(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// Commands are easier to read without escapes.
fn text(text: &str) -> String {
    let clean = text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control());
    let lines = text.contains('\n');
    if clean && !lines && !text.contains('\'') {
        format!("'{text}'")
    } else if clean && !text.contains("'''") {
        let begin = if lines || text.starts_with('\'') { "\n" } else { "" };
        let end = if text.ends_with('\'') { "\n" } else { "" };
        format!("'''{begin}{text}{end}'''")
    } else if clean && lines {
        let escaped = text.replace('\\', "\\\\").replace("\"\"\"", "\"\"\\\"");
        format!("\"\"\"\n{escaped}\n\"\"\"")
    } else {
        quote(text)
    }
}
