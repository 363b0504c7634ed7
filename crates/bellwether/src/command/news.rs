//! A line on the terminal for each build that ends while `up` runs.

use std::collections::BTreeSet;
use std::time::Duration;

use dashboard::api::{BuildQuery, BuildState, BuildSummary};
use dashboard::client::DashboardClient;

use super::client::short_revision;
use crate::terminal::{duration, plain};

/// How often the dashboard is asked.
const LOOK: Duration = Duration::from_secs(1);
/// How many of the newest builds are looked at; more than end in a second.
const WINDOW: u32 = 200;

/// Tells of builds until the task is dropped; those that had ended before are not told of.
pub async fn tell(dashboard: DashboardClient, address: String) {
    let mut told: Option<BTreeSet<(String, Option<jiff::Timestamp>)>> = None;
    loop {
        let query =
            BuildQuery { state: Some(BuildState::Done), limit: Some(WINDOW), ..BuildQuery::default() };
        if let Ok(list) = dashboard.builds(&query).await {
            let ended = list.builds.iter().map(|build| (build.id.clone(), build.ended)).collect();
            if let Some(told) = &told {
                let new = |build: &&BuildSummary| !told.contains(&(build.id.clone(), build.ended));
                for build in list.builds.iter().rev().filter(new) {
                    eprintln!("{}", line(build, &address));
                }
            }
            told = Some(ended);
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn line(build: &BuildSummary, address: &str) -> String {
    let outcome = build.outcome.map_or("?".to_owned(), |outcome| outcome.to_string());
    let cause = build.cause.as_ref().map_or(String::new(), |cause| format!(" {}", plain(&cause.kind, 30)));
    let took =
        build.ended.zip(build.started).and_then(|(end, start)| (end - start).total(jiff::Unit::Second).ok());
    format!(
        "{outcome}{cause} · {} on {} in {} · http://{address}/builds/{}",
        short_revision(&build.revision),
        build.builder,
        duration(took.unwrap_or(0.0)),
        build.id
    )
}
