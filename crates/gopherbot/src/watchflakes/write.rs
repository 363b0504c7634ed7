//! What is written: titles, scripts and texts (`spec/services.md` §5.11, 5.12).

use super::MARKER;
use super::failure::{Failure, Parts};
use super::quote::quote;

/// The last line of all we write, by which it is known as ours.
pub(super) const SIGNATURE: &str = "— watchflakes";
/// The same with a link.
pub(super) const OWN: &str = "— [watchflakes](";
/// Bytes of a text, at most.
const MAX_BODY: usize = 50_000;

/// The rule that a new issue gets, and its title.
pub(super) fn new_rule(failure: &Parts) -> (String, String) {
    let Parts { pkg, test, builder, repo, build, .. } = failure;
    let q = |text: &str| quote(text.as_bytes());
    if !pkg.is_empty() {
        let rule = format!("pkg == {} && test == {}", q(pkg), q(test));
        let name = if test.is_empty() { "unrecognized" } else { test };
        (rule, format!("{}: {name} failures", pkg.strip_prefix("golang.org/").unwrap_or(pkg)))
    } else if !test.is_empty() {
        (
            format!("repo == {} && pkg == \"\" && test == {}", q(repo), q(test)),
            format!("build: {test} failures"),
        )
    } else if *build {
        let rule = format!("builder == {} && repo == {} && mode == \"build\"", q(builder), q(repo));
        (rule, format!("build: build failure on {builder}"))
    } else {
        let rule = format!("builder == {} && repo == {} && pkg == \"\" && test == \"\"", q(builder), q(repo));
        (rule, format!("build: unrecognized failures on {builder}"))
    }
}

/// The text of a new issue.
pub(super) fn issue_body(rule: &str, example: &Failure) -> String {
    let mut out = format!("```\n{MARKER}\ndefault <- {rule}\n```\n\n");
    out.push_str("This issue was made by a program, to collect failures like the one below. The rule above says which; edit it as needed.\n\n");
    out.push_str(&format!("Example ([log]({})):\n\n{}", example.parts().log_url, indent(example.snippet())));
    finish(out)
}

/// The comment that reports failures, each with its build's address, which comes before all that may be long.
pub(super) fn comment_body(script: &str, failures: &[(String, &Failure)]) -> String {
    let mut out = format!("New failures that belong here, by the rules\n\n{}\n", indent(script.trim_end()));
    for (build, failure) in failures {
        let summary = escape(&header(failure.parts()));
        out.push_str(&format!(
            "<details><summary>{summary} (<a href=\"{build}\">build</a>, <a href=\"{}\">log</a>)</summary>\n\n{}\n</details>\n",
            escape(&failure.parts().log_url),
            indent(failure.snippet())
        ));
    }
    finish(out)
}

/// The comment that says what is wrong with an issue's script.
pub(super) fn complaint(mistakes: &[String]) -> String {
    let mut out = String::from("The rules of this issue can't be used, and no failures are collected:\n\n");
    mistakes.iter().for_each(|mistake| out.push_str(&indent(mistake)));
    out.push_str(&format!(
        "\nAn issue begins with a block of code, whose first line is {MARKER} and which has a rule on each line, like\n\n\
         {}",
        indent("default <- pkg == \"net/http\" && test == \"TestServe\"")
    ));
    finish(out)
}

/// `2006-01-02 15:04 builder repo@hash go@hash pkg.test [build] [STATUS]`
pub(super) fn header(failure: &Parts) -> String {
    let short = |commit: &str| commit.chars().take(8).collect::<String>();
    let date = failure.committed.strftime("%Y-%m-%d %H:%M");
    let mut out = format!("{date} {} {}@{}", failure.builder, failure.repo, short(&failure.commit));
    if let Some(go) = &failure.go_commit {
        out.push_str(&format!(" go@{}", short(go)));
    }
    match (failure.pkg.as_str(), failure.test.as_str()) {
        ("", "") => {}
        (pkg, "") => out.push_str(&format!(" {pkg}")),
        ("", test) => out.push_str(&format!(" {test}")),
        (pkg, test) => out.push_str(&format!(" {pkg}.{test}")),
    }
    if failure.build {
        out.push_str(" [build]");
    }
    if !failure.status.is_empty() {
        out.push_str(&format!(" [{}]", failure.status));
    }
    out
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\n', " ")
}

/// Cuts a text that is too long, and signs it.
fn finish(mut out: String) -> String {
    if out.len() > MAX_BODY {
        let mut end = MAX_BODY;
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
        out.push_str("\n</details>\nThe rest was cut: the text is too long.\n");
    }
    out.push_str(&format!("\n{SIGNATURE}\n"));
    out
}
