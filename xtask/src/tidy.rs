//! `cargo xtask tidy`: the rules of the tree that no compiler checks.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::metadata;

/// A file over this many lines says why in its first lines.
const LONG_FILE: usize = 600;
/// Folders of one machine; no path in them belongs into the tree.
const MACHINE: [&str; 2] = ["/work/", "/root/"];
/// In how many first lines the reason is looked for.
const REASON_WITHIN: usize = 12;

/// Checks every tracked or new file and prints each breach as `file:line: text`.
pub fn run() -> Result<ExitCode> {
    let root = metadata::root();
    let files = tracked(&root)?;
    let mut problems = Vec::new();
    let mut seen = 0;
    for file in &files {
        let Ok(bytes) = std::fs::read(root.join(file)) else { continue };
        let Ok(text) = String::from_utf8(bytes) else { continue };
        seen += 1;
        problems.extend(check(file, &text));
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    println!("tidy: {seen} files, {} problems", problems.len());
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("git ls-files")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn check(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut say = |line: usize, what: &str| problems.push(format!("{file}:{line}: {what}"));
    let name = file.rsplit('/').next().unwrap_or(file);
    let rust = name.ends_with(".rs");
    if name == "mod.rs" && !file.contains("/tests/") {
        say(1, "no mod.rs: use foo.rs beside foo/");
    }
    if matches!(name, "utils.rs" | "util.rs" | "common.rs" | "helpers.rs") {
        say(1, "a module is named after what it holds");
    }
    let lines = text.lines().count();
    let excepted = file.contains("/tests/") || !rust;
    let reason = |line: &str| line.starts_with("//") && line.to_lowercase().contains("long because");
    if lines > LONG_FILE && !excepted && !text.lines().take(REASON_WITHIN).any(reason) {
        say(
            1,
            &format!("{lines} lines, over {LONG_FILE}: split it, or say `Long because …` in its first lines"),
        );
    }
    // This file and its tests have to write the forbidden words down.
    if file == "xtask/src/tidy.rs" {
        return problems;
    }
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        for path in MACHINE {
            if line.contains(path) && !text_data(file) {
                say(at, &format!("a path of one machine, {path}"));
            }
        }
        if name.ends_with(".html") && (line.contains("|safe") || line.contains("| safe")) {
            say(at, "`|safe` switches escaping off");
        }
        if rust && untracked_todo(line) {
            say(at, "a TODO needs the number of its issue: TODO(#12)");
        }
        if rust && line.contains("#[ignore") {
            say(at, "no ignored tests: what can't run is reported by `cargo xtask test`");
        }
        if line.trim_end() != line && (rust || name.ends_with(".toml")) && !text_data(file) {
            say(at, "trailing space");
        }
    }
    problems
}

/// Inputs and expected outputs of tests are data: anything may stand in them. So are the facts of a profile.
fn text_data(file: &str) -> bool {
    file.contains("/tests/") && !file.ends_with(".rs")
        || file.starts_with("profiles/")
        || file.ends_with(".snap")
        || file.ends_with(".lock")
}

fn untracked_todo(line: &str) -> bool {
    let Some(comment) = line.find("//") else { return false };
    let comment = &line[comment..];
    ["TODO", "FIXME", "XXX"].iter().any(|word| comment.contains(word)) && !comment.contains("(#")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_is_seen() {
        let cases = [
            ("crates/a/src/mod.rs", "//! x\n", "no mod.rs"),
            ("crates/a/src/utils.rs", "//! x\n", "named after"),
            ("crates/a/src/x.rs", &format!("// see {}thing\n", MACHINE[1]), "a path of one machine"),
            ("crates/a/templates/x.html", "{{ log|safe }}\n", "escaping"),
            ("crates/a/src/x.rs", "// TODO later\n", "number of its issue"),
            ("crates/a/src/x.rs", "#[ignore]\n", "ignored"),
            ("crates/a/src/x.rs", "let a = 1; \n", "trailing"),
        ];
        for (file, text, expected) in cases {
            let problems = check(file, text);
            assert_eq!(problems.len(), 1, "{file}: {problems:?}");
            assert!(problems[0].contains(expected), "{problems:?}");
        }
    }

    #[test]
    fn a_long_file_needs_a_reason() {
        let long = "let a = 1;\n".repeat(LONG_FILE + 1);
        assert_eq!(check("crates/a/src/x.rs", &long).len(), 1);
        assert!(
            check("crates/a/src/x.rs", &format!("//! X.\n//! Long because it is one table.\n{long}"))
                .is_empty()
        );
    }

    #[test]
    fn clean_text_passes() {
        assert!(check("crates/a/src/x.rs", "// TODO(#12): later\nlet work = \"work/\";\n").is_empty());
        assert!(check("crates/a/tests/it/bad/x.txt", "/work/ \n").is_empty());
        assert!(check("profiles/a/hosts.toml", &["env = { A = \"/ro", "ot/a\" }\n"].concat()).is_empty());
    }
}
