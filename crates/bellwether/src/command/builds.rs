//! `builds`, `retry`, `cancel`.

use std::process::ExitCode;

use anyhow::Result;
use coordinator::CancelRequest;

use super::client::{Remote, print_json, short_revision};
use crate::api::ListBuildsQuery;
use crate::args::{Builds, Cancel, OneBuild};
use crate::terminal::duration;

pub async fn run(args: &Builds) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let outcome = args
        .outcome
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error| anyhow::anyhow!("--outcome: {error}"))?;
    let query = ListBuildsQuery {
        repo: args.repo.clone(),
        builder: args.builder.clone(),
        commit: args.commit.clone(),
        outcome,
        limit: Some(args.limit),
        ..ListBuildsQuery::default()
    };
    let list = remote.hint(remote.api.list_builds(&query).await)?;
    if args.server.json {
        print_json(&list)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["BUILD", "STATE", "REVISION", "BUILDER", "TIME", "CREATED"]);
    for build in &list.builds {
        let state = match (build.outcome, &build.cause) {
            (Some(outcome), Some(cause)) => format!("{outcome} {}", cause.kind),
            (Some(outcome), None) => outcome.to_string(),
            (None, _) => build.state.to_string(),
        };
        let time = build
            .ended
            .zip(build.started)
            .and_then(|(end, start)| (end - start).total(jiff::Unit::Second).ok());
        table.add_row([
            build.id.clone(),
            state,
            short_revision(&build.revision),
            build.builder.clone(),
            time.map(duration).unwrap_or_default(),
            format!("{:.0}", build.created),
        ]);
    }
    println!("{}", table.trim_fmt());
    Ok(ExitCode::SUCCESS)
}

pub async fn retry(args: &OneBuild) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let answer = remote.hint(remote.api.retry_build(&args.build, None).await)?;
    if args.server.json {
        print_json(&answer)?;
    } else {
        println!("{} is {} again", answer.id, answer.state);
    }
    Ok(ExitCode::SUCCESS)
}

pub async fn cancel(args: &Cancel) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    let body = CancelRequest { reason: args.reason.clone() };
    let answer = remote.hint(remote.api.cancel_build(&args.build, Some(&body)).await)?;
    let mut over = None;
    if answer.state == "done" {
        // It was taken out of the queue, or it had ended before.
        over = Some(remote.hint(remote.api.why_build(&answer.id).await)?.reason);
    }
    let late = over.as_deref().is_some_and(|reason| !reason.starts_with("done: cancelled"));
    if args.server.json {
        print_json(&answer)?;
    } else {
        match &over {
            Some(reason) if late => {
                println!("{} had ended before, nothing is cancelled ({reason})", answer.id)
            }
            Some(_) => {
                println!("{} is cancelled; `bellwether retry {}` queues it again", answer.id, answer.id)
            }
            None => println!("{} is being ended", answer.id),
        }
    }
    Ok(if late { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
