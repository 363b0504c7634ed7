//! `build`: any commit, or the uncommitted tree, with its log in this terminal.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use coordinator::{BuildAnswer, BuildRequest, WhyAnswer};
use dashboard::api::{BuildState, LogRange, Outcome};
use dashboard::client::LogOf;
use http::Method;

use super::client::{Remote, print_json};
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
    let answer: BuildAnswer =
        remote.hint(remote.service.call_json(Method::POST, "/api/v1/builds", Some(&body)).await)?;
    let what = if answer.new { "queued" } else { "there already" };
    eprintln!("build {} of {} {what}: {}/builds/{}", answer.id, answer.revision, remote.url, answer.id);
    if args.no_wait {
        if args.server.json {
            print_json(&answer)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    follow(&remote, &answer.id, args.server.json).await
}

/// Shows the log as it comes, then the outcome.
async fn follow(remote: &Remote, id: &str, json: bool) -> Result<ExitCode> {
    let mut said = String::new();
    let mut shown = false;
    loop {
        match remote.dashboard.build(id).await {
            Ok(build) if build.state == BuildState::Done => break,
            Ok(build) if matches!(build.state, BuildState::Running | BuildState::Reporting) && !json => {
                if let Ok(body) = remote.dashboard.log(LogOf::Build(id), LogRange::Follow(0)).await {
                    super::log::copy(body).await?;
                    shown = true;
                    break;
                }
            }
            Ok(_) | Err(_) => {
                let why = remote.service.get_json::<WhyAnswer>(&format!("/api/v1/builds/{id}/why")).await;
                let why = remote.hint(why)?;
                if why.reason != said && why.state == "queued" {
                    eprintln!("{}", why.reason);
                    said = why.reason;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    loop {
        let build = remote.hint(remote.dashboard.build(id).await)?;
        if build.state != BuildState::Done {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        }
        if json {
            print_json(&build)?;
        } else if !shown {
            // It was over before its log could be followed.
            if let Ok(body) = remote.dashboard.log(LogOf::Build(id), LogRange::All).await {
                super::log::copy(body).await?;
            }
        }
        let seconds = build
            .ended
            .zip(build.started)
            .and_then(|(end, start)| (end - start).total(jiff::Unit::Second).ok());
        let outcome = build.outcome.map_or("?".to_owned(), |outcome| outcome.to_string());
        let cause = build.cause.map_or(String::new(), |cause| format!(", {} {}", cause.kind, cause.detail));
        eprintln!("{outcome}{cause} after {}", duration(seconds.unwrap_or(0.0)));
        return Ok(if build.outcome == Some(Outcome::Ok) { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
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
    let request = http::Request::put(format!("/mirror/{repo}/bundle?commit={commit}"))
        .body(axum::body::Body::from(output.stdout))?;
    remote.hint(remote.service.send_ok(request).await)?;
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
