//! `repro`: a script that re-runs exactly the failing step of a build, here.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use dashboard::api::BuildReport;

use super::client::{Remote, print_json, subject_commit};
use crate::args::Repro;

pub async fn run(args: &Repro) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let build = remote.hint(remote.dashboard.build(&args.build).await)?;
    let script = script(&build, &remote.url)?;
    if args.server.json {
        print_json(&serde_json::json!({"build": build.id, "script": script}))?;
    } else {
        print!("{script}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The steps up to and with the one that failed; all of them where none did.
fn script(build: &BuildReport, url: &str) -> Result<String> {
    let Some(attempt) = build.attempts.iter().rev().find(|attempt| !attempt.steps.is_empty()) else {
        bail!("no step of build {} ever ran: there is nothing to re-run", build.id);
    };
    let failed =
        attempt.steps.iter().position(|step| step.exit != Some(0)).unwrap_or(attempt.steps.len() - 1);
    let mut out = String::new();
    let outcome = build.outcome.map_or("not done".to_owned(), |outcome| outcome.to_string());
    let _ = writeln!(
        out,
        "#!/bin/sh\n# Build {} of {}\n# on {}: {outcome}. {url}/builds/{}",
        build.id, build.revision, build.builder, build.id
    );
    out.push_str(
        "# Needs curl and tar; works in a new directory, which it leaves for you to look at.\nset -eu\n",
    );
    out.push_str("WORKDIR=$(mktemp -d)\nexport WORKDIR\necho \"working in $WORKDIR\" >&2\n");
    for part in build.revision.split('+') {
        let (repo, commit) = part.split_once('@').context("the build's revision is not one")?;
        let _ = writeln!(
            out,
            "curl -fsS '{url}/{repo}.tar.gz?rev={commit}' | (mkdir -p \"$WORKDIR/{repo}\" && tar xzf - -C \"$WORKDIR/{repo}\")"
        );
    }
    let _ = writeln!(
        out,
        "cd \"$WORKDIR/{}\"\nexport CI=true BELLWETHER_BUILDER={} BELLWETHER_REVISION={}",
        build.repo,
        quoted(&build.builder),
        quoted(&build.revision)
    );
    let _ = writeln!(out, "# {}", subject_commit(&build.revision));
    for (n, step) in attempt.steps.iter().take(failed + 1).enumerate() {
        let what = if n == failed { "the step in question" } else { "a step before it" };
        let _ = writeln!(
            out,
            "echo '--- {}' >&2  # {what}\nsh -c {}",
            step.name.replace('\'', ""),
            quoted(step.command.as_deref().unwrap_or("true"))
        );
    }
    Ok(out)
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
