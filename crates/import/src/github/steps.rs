//! Steps: commands are carried over, actions by what they are known to do.

use std::rc::Rc;

use super::expression::{self, Scope, Test, condition, constant, pieces};
use super::uses;
use crate::draft::{Recipe, Step, seconds};
use crate::ledger::Ledger;
use crate::shell::{self, Piece, Shell, assemble};
use crate::yaml::{Entry, Node};

/// `defaults.run`.
#[derive(Debug, Default, Clone)]
pub struct Defaults {
    pub shell: Option<Shell>,
    pub dir: Option<String>,
}

/// `env`: fixed values, and those that the shell puts together.
#[derive(Debug, Default, Clone)]
pub struct Env {
    pub fixed: Vec<(String, String)>,
    pub exports: Vec<String>,
}

/// A job whose steps are read.
pub struct Job<'a> {
    pub file: &'a str,
    pub defaults: Defaults,
    pub env: Env,
    pub scope: Scope,
    pub recipe: Recipe,
}

/// Reads `defaults` of a workflow or job.
pub fn defaults(node: &Node, above: Option<&Defaults>, scope: &mut Scope, ledger: &mut Ledger) -> Defaults {
    let mut found = above.cloned().unwrap_or_default();
    let Some(entry) = node.get("defaults") else { return found };
    ledger.enter(entry);
    let Some(run) = entry.node.get("run") else { return found };
    ledger.enter(run);
    for key in run.node.entries() {
        match key.key.as_str() {
            "shell" => found.shell = self::shell(key, ledger).or(found.shell),
            "working-directory" => found.dir = dir(key, scope, ledger).or(found.dir.take()),
            _ => {}
        }
    }
    found
}

/// Reads `env` of a workflow, job or step.
pub fn env(entry: Option<&Entry>, scope: &mut Scope, ledger: &mut Ledger) -> Env {
    let mut found = Env::default();
    let Some(entry) = entry else { return found };
    if !entry.node.is_map() {
        ledger.open(
            entry,
            "variables that are made while the workflow runs",
            "env = { NAME = \"value\" } in the recipe",
        );
        return found;
    }
    ledger.enter(entry);
    for variable in entry.node.entries() {
        let text = variable.node.text().unwrap_or_default();
        match pieces(text, scope) {
            _ if !shell::is_variable(&variable.key) => {
                ledger.open(variable, "no name of a variable", "give it a name of A-Z, 0-9 and _");
            }
            Ok(parts) if parts.iter().all(|part| matches!(part, Piece::Text(_))) => {
                found.fixed.push((variable.key.clone(), text_of(&parts)));
                ledger.carried(variable, "env");
            }
            // A secret of the same name is in its variable already.
            Ok(parts) if parts == [Piece::Variable(variable.key.clone())] => {
                ledger.carried(variable, "the variable has this name already");
            }
            Ok(parts) => {
                found.exports.push(format!("export {}={}", variable.key, word(&parts)));
                ledger.carried(variable, "set at the beginning of each step");
            }
            Err(what) => unknown(variable, &what, "the variable is not set", ledger),
        }
    }
    found
}

fn text_of(parts: &[Piece]) -> String {
    let text = |part: &Piece| match part {
        Piece::Text(text) => text.clone(),
        Piece::Variable(_) => String::new(),
    };
    parts.iter().map(text).collect()
}

/// A word of the shell with variables in it.
fn word(parts: &[Piece]) -> String {
    let one = |part: &Piece| match part {
        Piece::Text(text) => shell::quote(text),
        Piece::Variable(name) => format!("\"${{{name}:-}}\""),
    };
    parts.iter().map(one).collect()
}

fn unknown(at: &Entry, what: &str, so: &str, ledger: &mut Ledger) {
    let token = what.contains("github.token") || what.to_ascii_lowercase().contains("github_token");
    let remedy = match (token, what.contains("steps."), what.contains("needs.")) {
        (true, ..) => {
            "jobs get no token of GitHub; make a secret of the server's file, and give it to this builder"
        }
        (_, true, _) => "make the steps one step, with a variable of the shell",
        (.., true) => "make the steps of both jobs one recipe",
        _ => "write what it stands for",
    };
    ledger.open(at, format!("{what} has no value here: {so}"), remedy);
}

fn shell(entry: &Entry, ledger: &mut Ledger) -> Option<Shell> {
    let text = entry.node.text().unwrap_or_default();
    let found = match text.split_whitespace().next().unwrap_or_default() {
        "bash" => Shell::Bash,
        "sh" => Shell::Sh,
        "python" | "python3" => Shell::Python,
        "pwsh" => Shell::Pwsh,
        _ => {
            ledger.open(
                entry,
                format!("the shell {text:?}"),
                "steps are run by `sh -c`: call that shell in `run`",
            );
            return None;
        }
    };
    ledger
        .carried(entry, format!("the step is run by {}", text.split_whitespace().next().unwrap_or_default()));
    Some(found)
}

fn dir(entry: &Entry, scope: &mut Scope, ledger: &mut Ledger) -> Option<String> {
    let text = constant(entry.node.text().unwrap_or_default(), scope);
    let text = text.map(|text| text.trim_start_matches("./").trim_end_matches('/').to_owned());
    match text {
        Ok(text) if text.is_empty() || text == "." => {
            ledger.carried(entry, "the tree of the repository");
            None
        }
        Ok(text) if !text.starts_with(['/', '~', '$']) && !text.split('/').any(|part| part == "..") => {
            ledger.carried(entry, format!("dir = {text:?}"));
            Some(text)
        }
        Ok(text) => {
            ledger.open(entry, format!("{text:?} is outside of the tree"), "begin the step with `cd`");
            None
        }
        Err(what) => {
            ledger.open(
                entry,
                format!("a folder that is known only while the job runs: {what}"),
                "begin the step with `cd`",
            );
            None
        }
    }
}

/// Reads a step, and adds it to the recipe.
pub fn translate(node: &Rc<Node>, job: &mut Job<'_>, ledger: &mut Ledger) {
    let from = format!("{}:{}", job.file, node.line);
    let mut step = Step { from, ..Step::default() };
    let mut env = env(node.get("env"), &mut job.scope, ledger);
    let mut commented = false;
    let mut shell = job.defaults.shell;
    let mut allowed = false;
    let mut test = Test::Known(true);
    step.dir.clone_from(&job.defaults.dir);
    for key in node.entries() {
        match key.key.as_str() {
            "name" => match constant(key.node.text().unwrap_or_default(), &mut job.scope) {
                Ok(name) => {
                    ledger.carried(key, "name of the step");
                    step.name = name;
                }
                Err(_) => ledger.meaningless(key, "the step is named by its number"),
            },
            "id" => {
                ledger.meaningless(key, "steps are not spoken of by id");
                if step.name.is_empty() {
                    step.name = key.node.text().unwrap_or_default().to_owned();
                }
            }
            "shell" => shell = self::shell(key, ledger),
            "working-directory" => step.dir = dir(key, &mut job.scope, ledger),
            "timeout-minutes" => match key.node.text().and_then(|text| text.parse::<u64>().ok()) {
                Some(minutes) => {
                    ledger.carried(key, "timeout of the step");
                    step.timeout = Some(seconds(minutes.saturating_mul(60)));
                }
                None => ledger.open(key, "no number of minutes", "timeout = \"…\" in the step"),
            },
            "continue-on-error" => match key.node.flag() {
                Some(flag) => {
                    ledger.carried(key, "the failure of the step is allowed");
                    allowed = flag;
                }
                None => ledger.open(key, "known only while the job runs", "end the command with `|| true`"),
            },
            "if" => match condition(key.node.text().unwrap_or_default(), &mut job.scope) {
                Some(read) if uses::no_command(node) && matches!(read.test, Test::Shell(_)) => {
                    let message = "what the action stands for is done whatever the condition says";
                    ledger.meaningless(key, message);
                    step.when = read.when;
                    test = read.test;
                }
                Some(read) => {
                    ledger.carried(
                        key,
                        match &read.test {
                            Test::Known(false) => "never holds here, so the step is left out",
                            Test::Known(true) => "when of the step",
                            Test::Shell(_) => "asked by the shell at the beginning of the step",
                        },
                    );
                    step.when = read.when;
                    test = read.test;
                }
                None => {
                    let text = key.node.text().unwrap_or_default();
                    ledger.open(
                        key,
                        format!("the condition {text:?}: the step is written as a comment"),
                        "begin the step with the condition in the shell's words, and take the # away",
                    );
                    step.comments.push(format!("if: {text}"));
                    commented = true;
                }
            },
            _ => {}
        }
    }
    if let Some(entry) = node.get("uses") {
        if let Some(body) = uses::translate(entry, node, job, &mut step, ledger) {
            run(entry, &body, job, &mut step, &mut env, Shell::Sh, &test, ledger);
        }
    } else if let Some(entry) = node.get("run")
        && let Some(body) = body(entry, job, &mut step, shell, ledger)
    {
        run(entry, &body, job, &mut step, &mut env, shell.unwrap_or(Shell::Any), &test, ledger);
    }
    if allowed && !step.run.is_empty() {
        step.run = shell::may_fail(&step.run);
    }
    if step.name.is_empty() {
        step.name = format!("step-{}", job.recipe.steps.len() + 1);
    }
    if commented || test == Test::Known(false) {
        step.run.clear();
        let text = node.get("run").and_then(|entry| entry.node.text()).unwrap_or_default();
        step.comments.extend(text.lines().map(str::to_owned));
    }
    if !step.run.is_empty() || !step.comments.is_empty() {
        job.recipe.steps.push(step);
    }
}

/// The script of a step, with the values of the job as variables.
fn body(
    entry: &Entry,
    job: &mut Job<'_>,
    step: &mut Step,
    shell: Option<Shell>,
    ledger: &mut Ledger,
) -> Option<String> {
    let text = entry.node.text().unwrap_or_default();
    let parts = match pieces(text, &mut job.scope) {
        Ok(parts) => parts,
        Err(what) => {
            unknown(entry, &what, "the step is written as a comment", ledger);
            step.comments.push(format!("not carried over, because of {what}:"));
            step.comments.extend(text.lines().map(str::to_owned));
            return None;
        }
    };
    let body = match shell {
        Some(Shell::Python | Shell::Pwsh) if parts.iter().any(|part| matches!(part, Piece::Variable(_))) => {
            let message = "values of the job in a script that the shell does not read: written as a comment";
            ledger.open(entry, message, "read them from variables: os.environ, $env:NAME");
            step.comments.extend(text.lines().map(str::to_owned));
            return None;
        }
        Some(Shell::Python | Shell::Pwsh) => text_of(&parts),
        _ => assemble(&parts),
    };
    ledger.carried(entry, "run of a step");
    if job.scope.runner_os == Some("Windows") && shell.is_none() {
        let message = "on Windows GitHub runs this by PowerShell; here the machine's shell does";
        ledger.open(entry, message, "see that the command fits, or call `pwsh -Command`");
    }
    Some(body)
}

#[expect(clippy::too_many_arguments, reason = "all that a step is made of")]
fn run(
    entry: &Entry,
    body: &str,
    job: &mut Job<'_>,
    step: &mut Step,
    env: &mut Env,
    shell: Shell,
    test: &Test,
    ledger: &mut Ledger,
) {
    let mut exports = job.env.exports.clone();
    exports.append(&mut env.exports);
    let all = format!("{}\n{body}", exports.join("\n"));
    let mut own: Vec<&str> = job.env.fixed.iter().chain(&env.fixed).map(|(name, _)| name.as_str()).collect();
    if job.scope.several_systems {
        own.push("RUNNER_OS");
    }
    let (mut prelude, theirs) = shell::their_variables(&all, &own);
    for name in theirs {
        let remedy = match name.as_str() {
            "GITHUB_ENV" | "GITHUB_OUTPUT" | "GITHUB_PATH" | "GITHUB_STATE" => {
                "each step is a process of its own: make the steps that share it one step"
            }
            "GITHUB_STEP_SUMMARY" => "print it: the log is what is kept",
            "GITHUB_TOKEN" => "make a secret of the server's file, and give it to this builder",
            _ => "set it in env, or write what it stands for",
        };
        ledger.open(entry, format!("${name} is not set here"), remedy);
    }
    prelude.append(&mut exports);
    if let Test::Shell(test) = test {
        prelude.push(format!("{test} || exit 0"));
    }
    step.env.append(&mut env.fixed);
    step.run = shell::script(&prelude, body, shell);
}

/// The text of a key of `with`.
pub fn with<'a>(node: &'a Node, key: &str) -> Option<&'a Entry> {
    node.get("with")?.node.get(key)
}

/// A text with what is known put in.
pub fn known(entry: &Entry, scope: &mut Scope) -> Result<String, String> {
    expression::constant(entry.node.text().unwrap_or_default(), scope)
}
