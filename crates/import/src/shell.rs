//! Scripts for the shell that runs a step: `sh -c`.

/// Quotes a text for the shell.
pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Whether a text may name a variable.
pub fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Who runs a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// Whatever shell there is; bash where the script needs it.
    Any,
    /// `bash -e`, failing pipes included.
    Bash,
    /// The plain shell.
    Sh,
    /// Python.
    Python,
    /// PowerShell.
    Pwsh,
}

/// Makes the command line of a step of a script whose first failing command ends it.
pub fn script(prelude: &[String], body: &str, shell: Shell) -> String {
    let body = body.trim_matches('\n').trim_end();
    let whole = |body: &str| {
        let mut all = prelude.to_vec();
        all.push(body.to_owned());
        all.join("\n")
    };
    match shell {
        Shell::Python | Shell::Pwsh => {
            let with = if shell == Shell::Python { "python3 -c" } else { "pwsh -NoProfile -Command" };
            whole(&format!("{with} {}", quote(body)))
        }
        Shell::Bash => format!("bash -e -o pipefail -c {}", quote(&whole(body))),
        Shell::Any if needs_bash(body) => format!("bash -e -c {}", quote(&whole(body))),
        Shell::Any | Shell::Sh => match prelude.is_empty() && !body.contains('\n') {
            true => body.to_owned(),
            false => format!("set -e\n{}", whole(body)),
        },
    }
}

/// Makes a command line whose failure counts for nothing.
pub fn may_fail(run: &str) -> String {
    format!("sh -c {} || echo \"the step failed, which is allowed\"", quote(run))
}

/// Whether a script has something that only bash knows.
pub fn needs_bash(text: &str) -> bool {
    const SIGNS: [&str; 17] = [
        "[[",
        "<<<",
        "&>",
        "<(",
        ">(",
        "$'",
        "((",
        "pipefail",
        "shopt ",
        "source ",
        "function ",
        "declare ",
        "local ",
        "PIPESTATUS",
        "BASH_",
        "|&",
        "mapfile",
    ];
    let arrays = text.contains("=(") || text.contains("[@]") || text.contains("[*]");
    // `${x//a/b}`, `${x^^}`, `${x:1}`, `${!x}`
    let expansions = text.split("${").skip(1).any(|rest| {
        let name_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let after = &rest[name_end..];
        rest.starts_with('!')
            || after.starts_with(['/', '^', ','])
            || (after.starts_with(':') && !after[1..].starts_with(['-', '=', '+', '?']))
    });
    let braces = text.contains("..")
        && text.split('{').skip(1).any(|rest| {
            rest.split('}').next().is_some_and(|in_| in_.contains("..") && !in_.contains(char::is_whitespace))
        });
    arrays || expansions || braces || SIGNS.iter().any(|sign| text.contains(sign))
}

/// What stands in a script: text as it is, or something that the shell puts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text.
    Text(String),
    /// A variable.
    Variable(String),
}

/// Puts pieces together to a script in which variables stand where another system would have put their values into the
/// text: so the quotes around them are looked at.
pub fn assemble(pieces: &[Piece]) -> String {
    let mut out = String::new();
    let mut single = false;
    let mut double = false;
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                let mut escaped = false;
                for c in text.chars() {
                    match c {
                        _ if escaped => escaped = false,
                        '\\' if !single => escaped = true,
                        '\'' if !double => single = !single,
                        '"' if !single => double = !double,
                        '\n' if !single && !double => {}
                        _ => {}
                    }
                    out.push(c);
                }
            }
            Piece::Variable(name) if single => out.push_str(&format!("'\"${{{name}}}\"'")),
            Piece::Variable(name) => out.push_str(&format!("${{{name}}}")),
        }
    }
    out
}

/// Variables that other systems set and that can be said here, each with the command that sets it.
const KNOWN: &[(&str, &str)] = &[
    ("GITHUB_SHA", COMMIT),
    ("GITHUB_WORKSPACE", TREE),
    ("GITHUB_ACTIONS", "false"),
    ("GITHUB_JOB", "\"$BELLWETHER_BUILDER\""),
    ("RUNNER_TEMP", "\"${TMPDIR:-/tmp}\""),
    ("CI_COMMIT_SHA", COMMIT),
    ("CI_COMMIT_SHORT_SHA", "\"$(r=${BELLWETHER_REVISION%%+*}; printf %.8s \"${r#*@}\")\""),
    ("CI_PROJECT_DIR", TREE),
    ("CI_JOB_NAME", "\"$BELLWETHER_BUILDER\""),
    ("CI_PROJECT_NAME", "\"${BELLWETHER_REVISION%%@*}\""),
    ("PULL_BASE_SHA", COMMIT),
    ("REPO_NAME", "\"${BELLWETHER_REVISION%%@*}\""),
    ("JOB_NAME", "\"$BELLWETHER_BUILDER\""),
    ("ARTIFACTS", "\"$(mkdir -p _artifacts && cd _artifacts && pwd)\""),
];
const COMMIT: &str = "\"$(r=${BELLWETHER_REVISION%%+*}; printf %s \"${r#*@}\")\"";
const TREE: &str = "\"$WORKDIR/${BELLWETHER_REVISION%%@*}\"";

/// Begins of names of variables that only the other system sets.
const THEIRS: [&str; 8] = ["GITHUB_", "RUNNER_", "CI_", "GITLAB_", "ZUUL_", "PULL_", "PROW_", "ACTIONS_"];
const THEIRS_ALONE: [&str; 5] = ["JOB_SPEC", "BUILD_ID", "ARTIFACTS", "REPO_OWNER", "JOB_NAME"];

/// Finds the other system's variables in a script: gives the commands that set those that can be said here, and the
/// names of those that can't. `own` are variables that the job sets itself.
pub fn their_variables(text: &str, own: &[&str]) -> (Vec<String>, Vec<String>) {
    let mut prelude = Vec::new();
    let mut unknown: Vec<String> = Vec::new();
    for name in variables(text) {
        let theirs = THEIRS.iter().any(|begin| name.starts_with(begin)) || THEIRS_ALONE.contains(&name);
        if !theirs || own.contains(&name) || text.contains(&format!("{name}=")) {
            continue;
        }
        match KNOWN.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => {
                let line = format!("export {name}={value}");
                if !prelude.contains(&line) {
                    prelude.push(line);
                }
            }
            None if !unknown.iter().any(|known| known == name) => unknown.push(name.to_owned()),
            None => {}
        }
    }
    (prelude, unknown)
}

fn variables(text: &str) -> Vec<&str> {
    let after = text.split('$').skip(1);
    let name = |rest: &'_ str| {
        let begin = usize::from(rest.starts_with('{'));
        let end = rest[begin..]
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .map_or(rest.len(), |end| begin + end);
        (begin, end)
    };
    after
        .map(|rest| {
            let (begin, end) = name(rest);
            &rest[begin..end]
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str, env: &[(&str, &str)]) -> (i32, String) {
        let output = std::process::Command::new("sh")
            .args(["-c", command])
            .envs(env.iter().copied())
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[test]
    fn scripts_end_at_the_first_failure_whatever_quotes_are_in_them() {
        let body = "echo 'it'\"'\"'s'\nfalse\necho no";
        for shell in [Shell::Any, Shell::Bash, Shell::Sh] {
            let (code, out) = run(&script(&["X=1".into()], body, shell), &[]);
            assert_eq!((code, out.as_str()), (1, "it's\n"), "{shell:?}");
        }
        assert_eq!(run(&script(&[], "false | true", Shell::Bash), &[]).0, 1);
        assert_eq!(run(&script(&[], "x=(a b); echo ${x[1]}", Shell::Any), &[]), (0, "b\n".into()));
        assert_eq!(run(&script(&[], "print('a', \"b'\")", Shell::Python), &[]), (0, "a b'\n".into()));
        assert_eq!(run(&may_fail("set -e\nfalse\necho no"), &[]).0, 0);
        assert!(run(&may_fail("echo yes"), &[]).1.starts_with("yes"));
    }

    #[test]
    fn what_only_bash_knows_is_seen() {
        for text in [
            "[[ -n $x ]]",
            "a=(1 2)",
            "echo ${x//a/b}",
            "cat <<< x",
            "for i in {1..3}; do :; done",
            "set -o pipefail",
        ] {
            assert!(needs_bash(text), "{text}");
        }
        for text in ["[ -n \"$x\" ]", "echo ${x:-y} ${z%%+*}", "cd .. && { make; }", "a=$(b)"] {
            assert!(!needs_bash(text), "{text}");
        }
    }

    #[test]
    fn a_variable_is_put_in_between_any_quotes() {
        let text = |t: &str| Piece::Text(t.to_owned());
        let variable = || Piece::Variable("V".into());
        let pieces = [text("echo '"), variable(), text("' \"it's "), variable(), text("\" "), variable()];
        assert_eq!(run(&assemble(&pieces), &[("V", "a b")]).1, "a b it's a b a b\n");
    }

    #[test]
    fn their_variables_are_set_or_named() {
        let text = "echo $GITHUB_SHA ${GITHUB_REF} $GITHUB_REF $HOME $CI_OWN";
        let (prelude, unknown) = their_variables(text, &["CI_OWN"]);
        assert_eq!(unknown, ["GITHUB_REF"]);
        let env = [("BELLWETHER_REVISION", "sync@12ab+go@34cd"), ("WORKDIR", "/w")];
        let (_, out) = run(&format!("{}\necho $GITHUB_SHA", prelude.join("\n")), &env);
        assert_eq!(out, "12ab\n");
        let (prelude, _) = their_variables("$CI_PROJECT_DIR", &[]);
        assert_eq!(run(&format!("{}\necho $CI_PROJECT_DIR", prelude.join("\n")), &env).1, "/w/sync\n");
    }
}
