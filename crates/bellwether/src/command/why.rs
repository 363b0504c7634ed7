//! `why`: what a build or a builder waits for, by name.

use std::process::ExitCode;

use anyhow::{Result, bail};
use coordinator::{Status, WhyAnswer};

use super::client::{Remote, print_json, short_revision};
use crate::args::Why;

pub async fn run(args: &Why) -> Result<ExitCode> {
    let remote = Remote::new(&args.server)?;
    match remote.service.get_json::<WhyAnswer>(&format!("/api/v1/builds/{}/why", escaped(&args.what))).await {
        Ok(answer) => {
            if args.server.json {
                print_json(&answer)?;
            } else {
                println!("{} is {}: {}", answer.id, answer.state, answer.reason);
                if let Some(wait) = &answer.wait {
                    let since = jiff::Timestamp::from_microsecond(wait.since.0).unwrap_or_default();
                    println!("  since {since:.0}, {} ahead of it", wait.ahead);
                }
            }
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) if error.is_status(http::StatusCode::NOT_FOUND) => {}
        other => {
            remote.hint(other)?;
        }
    }
    let status: Status = remote.hint(remote.service.get_json("/api/v1/status").await)?;
    let waiting: Vec<_> = status.queued.iter().filter(|one| one.builder == args.what).collect();
    let running: Vec<_> = status.running.iter().filter(|one| one.builder == args.what).collect();
    if args.server.json {
        print_json(&serde_json::json!({"waiting": waiting, "running": running}))?;
        return Ok(ExitCode::SUCCESS);
    }
    if waiting.is_empty() && running.is_empty() {
        let query = dashboard::api::BuildQuery {
            builder: Some(args.what.clone()),
            limit: Some(1),
            ..Default::default()
        };
        let list = remote.hint(remote.dashboard.builds(&query).await)?;
        match list.builds.first() {
            Some(last) => println!(
                "{}: nothing waits and nothing runs; its last build is {} ({})",
                args.what, last.id, last.state
            ),
            None => bail!("there is neither a build nor a builder {}", args.what),
        }
    }
    for one in running {
        println!("{} {} runs on {}", one.build, short_revision(&one.revision), one.worker);
    }
    for one in waiting {
        println!("{} {} {}", one.build, short_revision(&one.revision), one.reason);
    }
    Ok(ExitCode::SUCCESS)
}

fn escaped(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect()
}
