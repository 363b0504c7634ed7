//! `why`: what a build or a builder waits for, by name.

use std::process::ExitCode;

use anyhow::{Result, bail};
use coordinator::WhyAnswer;
use coordinator::schedule::Reason;
use dashboard::api::BuildSummary;

use super::client::{Remote, print_json, short_revision};
use crate::api::ListBuildsQuery;
use crate::args::Why;

pub async fn run(args: &Why) -> Result<ExitCode> {
    if args.what.trim().is_empty() {
        bail!("why what? Name a build, or a builder as BUILDER or REPO:BUILDER");
    }
    let remote = Remote::new(&args.server)?;
    if let Ok(id) = args.what.parse::<store::BuildId>() {
        match remote.api.why_build(&id.to_string()).await {
            Ok(answer) => return of_build(args, &answer),
            Err(error) if error.is_status(http::StatusCode::NOT_FOUND) => {}
            other => {
                remote.hint(other)?;
            }
        }
    }
    of_builder(args, &remote).await
}

fn of_build(args: &Why, answer: &WhyAnswer) -> Result<ExitCode> {
    if args.server.json {
        print_json(answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    println!("{} is {}: {}", answer.id, answer.state, answer.reason);
    if let Some(wait) = &answer.wait {
        println!(
            "  since {}, {} ahead of it{}",
            moment(wait.since),
            wait.ahead,
            match (answer.expected_start, &wait.reason) {
                (Some(start), _) => format!(", expected to start at {}", moment(start)),
                (None, Reason::Pool { .. }) =>
                    ", and nothing is known of how long what it waits for takes".to_owned(),
                (None, _) => String::new(),
            }
        );
        if let Some(turn) = wait.turn() {
            println!("  {turn}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// All that waits for a builder and runs on it; of one name in several repositories, each is named with its own.
async fn of_builder(args: &Why, remote: &Remote) -> Result<ExitCode> {
    let (repo, builder) = match args.what.split_once(':') {
        Some((repo, builder)) => (Some(repo), builder),
        None => (None, args.what.as_str()),
    };
    let status = remote.hint(remote.api.get_status().await)?;
    let meant = |of: &str, name: &str| name == builder && repo.is_none_or(|repo| repo == of);
    let waiting: Vec<_> = status.queued.iter().filter(|one| meant(&one.repo, &one.builder)).collect();
    let running: Vec<_> = status.running.iter().filter(|one| meant(&one.repo, &one.builder)).collect();
    let mut last: Vec<BuildSummary> = Vec::new();
    if waiting.is_empty() && running.is_empty() {
        let query = ListBuildsQuery {
            builder: Some(builder.to_owned()),
            repo: repo.map(str::to_owned),
            limit: Some(200),
            ..Default::default()
        };
        // The newest first: of each repository that has such a builder, its last.
        for build in remote.hint(remote.api.list_builds(&query).await)?.builds {
            if last.iter().all(|known| known.repo != build.repo) {
                last.push(build);
            }
        }
        if last.is_empty() {
            bail!("there is neither a build nor a builder {} that has built anything", args.what);
        }
    }
    if args.server.json {
        print_json(&serde_json::json!({"waiting": waiting, "running": running, "last": last}))?;
        return Ok(ExitCode::SUCCESS);
    }
    for last in last {
        let state = last.outcome.map_or_else(|| last.state.to_string(), |outcome| outcome.to_string());
        println!(
            "{}:{}: nothing waits and nothing runs; its last build is {} ({state})",
            last.repo, last.builder, last.id
        );
    }
    for one in running {
        let revision = short_revision(&one.revision);
        println!("{} {}:{} {revision} runs on {}", one.build, one.repo, one.builder, one.worker);
    }
    for one in waiting {
        let start = one
            .expected_start
            .map_or_else(String::new, |start| format!("; expected to start at {}", moment(start)));
        let (revision, ahead) = (short_revision(&one.revision), one.wait.ahead);
        println!(
            "{} {}:{} {revision} {}, {ahead} ahead of it{start}",
            one.build, one.repo, one.builder, one.reason
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn moment(time: store::Micros) -> String {
    format!("{:.0}", jiff::Timestamp::from_microsecond(time.0).unwrap_or_default())
}
