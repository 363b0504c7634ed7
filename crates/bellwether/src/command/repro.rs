//! `repro`: a script that re-runs exactly the failing step of a build, here.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use coordinator::job::FROM_BUNDLE;
use dashboard::api::{BuildReport, JobReport, JobSource, JobStep, StepReport};

use super::client::{Remote, print_json};
use crate::args::Repro;

pub async fn run(args: &Repro) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let build = remote.hint(remote.api.get_build(&args.build).await)?;
    let script = script(&build, &remote.url)?;
    if args.server.json {
        print_json(&serde_json::json!({"build": build.id, "script": script}))?;
    } else {
        print!("{script}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What every script begins with, after its head comment.
const BEGIN: &str = r#"set -eu
here=$(mktemp -d)
WORKDIR=$here/work
mkdir -p "$WORKDIR/.home" "$WORKDIR/.tmp"
echo "working in $WORKDIR" >&2
fetch() { curl -fsS ${BELLWETHER_TOKEN:+-H "Authorization: Bearer $BELLWETHER_TOKEN"} -o "$here/fetched" "$@"; }
"#;

/// The exit code of a script that does not come to its step.
const NOT_THERE: i32 = 125;

/// The failing step of the latest attempt that came to one, or the last step, with all that must be done before it.
fn script(build: &BuildReport, url: &str) -> Result<String> {
    let begun = build.attempts.iter().rev().find(|attempt| !attempt.steps.is_empty());
    let Some(attempt) = begun else {
        bail!("no step of build {} ever began: there is nothing to re-run", build.id);
    };
    let Some(step) = attempt.failed_step().or(attempt.steps.last()) else {
        bail!("no step of build {} ever began: there is nothing to re-run", build.id);
    };
    let job = attempt.job.as_ref();
    let place = |job: &JobReport| match step.index {
        Some(index) => usize::try_from(index).ok().filter(|index| *index < job.steps.len()),
        None => job.steps.iter().position(|one| one.name == step.name),
    };
    let Some((job, place)) = job.and_then(|job| Some((job, place(job)?))) else {
        bail!("the server does not know any more where and how the steps of build {} ran", build.id);
    };
    let command = |index: usize, planned: &JobStep| {
        let ran = |step: &&StepReport| step.index == u32::try_from(index).ok();
        attempt
            .steps
            .iter()
            .find(ran)
            .map(|ran| ran.command.clone().unwrap_or_else(|| planned.command.clone()))
    };
    let mut out = String::new();
    head(&mut out, build, url, step);
    out.push_str(BEGIN);
    for source in &job.sources {
        unpack(&mut out, url, source);
    }
    environment(&mut out, job);
    for (index, planned) in job.steps.iter().enumerate().take(place) {
        // What a listing step listed is in the commands after it.
        let run = match command(index, planned) {
            _ if planned.lists => None,
            None if planned.for_toolchain => Some(planned.command.clone()),
            ran => ran,
        };
        let Some(run) = run else { continue };
        let _ = writeln!(
            out,
            "\necho {} >&2",
            quoted(&format!("--- {}, which comes before", one_line(&planned.name)))
        );
        call(&mut out, planned, &run);
        let why = format!(
            "{} went well in the build, or was kept from another one, and fails here",
            one_line(&planned.name)
        );
        let _ = writeln!(out, " || {{ echo {} >&2; exit {NOT_THERE}; }}", quoted(&why));
    }
    let planned = &job.steps[place];
    let _ = writeln!(out, "\necho {} >&2", quoted(&format!("--- {}", one_line(&planned.name))));
    let run = command(place, planned).or_else(|| step.command.clone()).unwrap_or_default();
    call(&mut out, planned, &run);
    out.push('\n');
    Ok(out)
}

fn head(out: &mut String, build: &BuildReport, url: &str, step: &StepReport) {
    let outcome = build.outcome.map_or("not done".to_owned(), |outcome| outcome.to_string());
    let _ = writeln!(
        out,
        "#!/bin/sh\n# Build {} of {}\n# on {}: {outcome}. {url}/builds/{}\n#",
        build.id, build.revision, build.builder, build.id
    );
    let _ = writeln!(
        out,
        "# Runs the step {:?} again and exits as it does: on the same sources, in the same folder, with the same\n\
         # variables and nothing else, but without a worker's limits of time, memory and disk. The steps before it run first,\n\
         # those that build a toolchain among them, since the step needs what they leave; if one of them fails here, the\n\
         # script exits {NOT_THERE}.\n\
         # Needs curl and tar; works in a new directory, which it leaves for you to look at.",
        one_line(&step.name)
    );
}

/// Brings a source to where the job had it.
fn unpack(out: &mut String, url: &str, source: &JobSource) {
    let JobSource { repo, commit, dir, git } = source;
    let dir_word = quoted(dir);
    if *git {
        let _ = writeln!(
            out,
            "fetch -D \"$here/head\" {}\nmv \"$here/fetched\" \"$WORKDIR\"/{}\n\
             cut=$(tr -d '\\r' <\"$here/head\" | sed -n 's/^[Bb][Ww]-[Ss]hallow: *//p' | tr ',' '\\n')\n\
             (cd \"$WORKDIR\" && sh -c {} sh {dir_word} {} \"$cut\")",
            quoted(&format!("{url}/mirror/{repo}/bundle?rev={commit}")),
            quoted(&format!("{dir}.bundle")),
            quoted(FROM_BUNDLE),
            quoted(commit),
        );
    } else {
        let _ = writeln!(
            out,
            "fetch {}\nmkdir -p \"$WORKDIR\"/{dir_word}\ntar xzf \"$here/fetched\" -C \"$WORKDIR\"/{dir_word}",
            quoted(&format!("{url}/{repo}.tar.gz?rev={commit}"))
        );
    }
}

/// Gathers what every step sees in `$@`: what a worker passes on of its own environment, and the secrets.
fn environment(out: &mut String, job: &JobReport) {
    for name in job.secrets.iter().filter(|name| is_name(name)) {
        let _ = writeln!(
            out,
            "[ -n \"${{{name}+x}}\" ] || {{ echo '{name} holds a secret that only the server knows: export it first' >&2; exit {NOT_THERE}; }}"
        );
    }
    let passed = |name: &str| job.env_pass.iter().any(|one| one == name);
    for (name, dir) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup"), ("GOMODCACHE", "go/pkg/mod")] {
        if passed(name) {
            // As for a worker: a step has a HOME of its own.
            let _ = writeln!(
                out,
                "[ -n \"${{{name}+x}}\" ] || ! [ -d \"${{HOME:-/}}/{dir}\" ] || export {name}=\"$HOME/{dir}\""
            );
        }
    }
    let patterns = job.env_pass.iter().filter_map(|pattern| match pattern.strip_suffix('*') {
        Some(start) if start.is_empty() || is_name(start) => Some(format!("{start}[A-Za-z0-9_]*")),
        None if is_name(pattern) => Some(pattern.clone()),
        _ => None,
    });
    let secrets = job.secrets.iter().filter(|name| is_name(name)).cloned();
    let names = ["PATH".to_owned()].into_iter().chain(patterns).chain(secrets).collect::<Vec<_>>().join("|");
    let _ = writeln!(
        out,
        "set --\nfor name in $(env | sed -nE 's/^({names})=.*/\\1/p'); do\n  \
         eval \"[ -z \\\"\\${{$name+x}}\\\" ] || set -- \\\"\\$@\\\" \\\"$name=\\$$name\\\"\"\ndone\n\
         set -- \"$@\" WORKDIR=\"$WORKDIR\" HOME=\"$WORKDIR/.home\" TMPDIR=\"$WORKDIR/.tmp\""
    );
}

/// Runs a step as a worker does, in a shell of its own.
fn call(out: &mut String, step: &JobStep, run: &str) {
    let _ = write!(out, "(cd \"$WORKDIR\"/{} && exec env -i \"$@\"", quoted(&step.dir));
    for (name, value) in &step.env {
        if !name.is_empty() && !name.contains(['=', '\0']) {
            let value = quoted(value).replace("$WORKDIR", "'\"$WORKDIR\"'");
            let _ = write!(out, " \\\n  {}={value}", quoted(name));
        }
    }
    let _ = write!(out, " \\\n  sh -c {} </dev/null)", quoted(run));
}

/// A word for the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A name in a comment or a message.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn is_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
