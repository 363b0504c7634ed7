//! `build`: any commit, or the uncommitted tree, with its log in this terminal.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use coordinator::BuildRequest;
use dashboard::api::Outcome;

use super::client::{Remote, print_json};
use super::follow::{self, Logs};
use crate::api::PutBundleQuery;
use crate::args::Build;
use crate::terminal::duration;

pub async fn run(args: &Build) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let (repo, rev) = match (&args.what, args.dirty) {
        (Some(what), _) => {
            let (repo, rev) = what.split_once('@').unwrap_or((what, "HEAD"));
            (repo.to_owned(), rev.to_owned())
        }
        (None, _) => dirty(args, &remote).await?,
    };
    let body = BuildRequest { repo, rev, builder: args.builder.clone(), toolchain: None, again: args.again };
    let answer = remote.hint(remote.api.request_build(&body).await)?;
    let what = if answer.new { "queued" } else { "there already" };
    eprintln!("build {} of {} {what}: {}/builds/{}", answer.id, answer.revision, remote.url, answer.id);
    if args.no_wait {
        if args.server.json {
            print_json(&answer)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    // Of a build that was there already, the attempt that there is is shown.
    let before = if answer.new { answer.attempts } else { 0 };
    follow(&remote, &answer.id, before, args.server.json).await
}

/// Shows the logs of the attempts after `before` as they come, then the outcome.
async fn follow(remote: &Remote, id: &str, before: u32, json: bool) -> Result<ExitCode> {
    let logs = if json { Logs::Hidden } else { Logs::Shown };
    let mut word = follow::attempts(remote, id, before, logs).await?;
    while word.state != "done" {
        // Nobody reads the log any more; the outcome still counts.
        word = follow::attempts(remote, id, word.attempts, Logs::Hidden).await?;
    }
    let build = follow::report(remote, id, &word).await?;
    if json {
        print_json(&build)?;
    }
    let seconds =
        build.ended.zip(build.started).and_then(|(end, start)| (end - start).total(jiff::Unit::Second).ok());
    let outcome = build.outcome.map_or("?".to_owned(), |outcome| outcome.to_string());
    let cause = build.cause.map_or(String::new(), |cause| format!(", {} {}", cause.kind, cause.detail));
    eprintln!("{outcome}{cause} after {}", duration(seconds.unwrap_or(0.0)));
    Ok(if build.outcome == Some(Outcome::Ok) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Makes a commit of the uncommitted tree, beside the index and the branch, and brings it to the server.
async fn dirty(args: &Build, remote: &Remote) -> Result<(String, String)> {
    let top = git(Path::new("."), &["rev-parse", "--show-toplevel"], &[])?;
    let top = Path::new(&top);
    let name = top.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let repo = args.repo.clone().unwrap_or(name);
    let index = std::env::temp_dir().join(format!("bellwether-index-{}", std::process::id()));
    let index_text = index.display().to_string();
    let with = [("GIT_INDEX_FILE", index_text.as_str())];
    let made = (|| {
        git(top, &["read-tree", "HEAD"], &with)?;
        git(top, &["add", "--all"], &with)?;
        let tree = git(top, &["write-tree"], &with)?;
        git(top, &["commit-tree", &tree, "-p", "HEAD", "-m", "uncommitted tree"], &with)
    })();
    let _ = std::fs::remove_file(&index);
    let commit = made?;
    let named = format!("refs/bellwether/upload/{commit}");
    git(top, &["update-ref", &named, &commit], &[])?;
    let output = Command::new("git")
        .current_dir(top)
        .args(["bundle", "create", "-q", "-", &named])
        .stdin(Stdio::null())
        .output()
        .context("running git");
    git(top, &["update-ref", "-d", &named], &[])?;
    let output = output?;
    if !output.status.success() {
        bail!("git bundle: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let query = PutBundleQuery { commit: commit.clone() };
    remote.hint(remote.api.put_bundle(&repo, &query, output.stdout.into()).await)?;
    Ok((repo, commit))
}

fn git(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<String> {
    let output = Command::new("git")
        .current_dir(dir)
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .context("running git")?;
    if !output.status.success() {
        bail!("git {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
