//! A line for each build that ends while `up` runs.

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

/// Tells of builds until the task is dropped.
pub async fn tell(dashboard: DashboardClient, address: String) {
    let mut news = News::new(dashboard, Some(address));
    loop {
        for line in news.look().await {
            eprintln!("{line}");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The builds that ended since the last look.
pub struct News {
    dashboard: DashboardClient,
    /// Where the pages are, if they stay.
    address: Option<String>,
    told: Option<BTreeSet<(String, Option<jiff::Timestamp>)>>,
}

impl News {
    /// What has ended before the first look is not told of.
    pub fn new(dashboard: DashboardClient, address: Option<String>) -> News {
        News { dashboard, address, told: None }
    }

    /// A line for each build that has ended since.
    pub async fn look(&mut self) -> Vec<String> {
        let query =
            BuildQuery { state: Some(BuildState::Done), limit: Some(WINDOW), ..BuildQuery::default() };
        let Ok(list) = self.dashboard.builds(&query).await else { return Vec::new() };
        let ended = list.builds.iter().map(|build| (build.id.clone(), build.ended)).collect();
        let Some(told) = self.told.replace(ended) else { return Vec::new() };
        let new = |build: &&BuildSummary| !told.contains(&(build.id.clone(), build.ended));
        list.builds.iter().rev().filter(new).map(|build| line(build, self.address.as_deref())).collect()
    }
}

fn line(build: &BuildSummary, address: Option<&str>) -> String {
    let outcome = build.outcome.map_or("?".to_owned(), |outcome| outcome.to_string());
    let cause = build.cause.as_ref().map_or(String::new(), |cause| format!(" {}", plain(&cause.kind, 30)));
    let took =
        build.ended.zip(build.started).and_then(|(end, start)| (end - start).total(jiff::Unit::Second).ok());
    format!(
        "{outcome}{cause} · {} on {} in {} · {}{}",
        short_revision(&build.revision),
        build.builder,
        duration(took.unwrap_or(0.0)),
        address.map_or(String::new(), |address| format!("http://{address}/builds/")),
        build.id
    )
}
