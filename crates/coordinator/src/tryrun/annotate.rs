//! What is shown beside the lines of a change that its failed builds complain of.

use std::collections::BTreeMap;

use dashboard::api::LogRange;
use dashboard::client::{DashboardClient, LogOf};
use github::post::{ANNOTATIONS, Annotation};
use store::builds::BuildRow;
use store::try_runs::TryRunRow;
use transport::Service;

use super::places::{Files, Place, places};

/// How much of the end of a log is looked at, bytes.
const LOG: u64 = 256 << 10;
/// The most builds whose logs are looked at.
const BUILDS: usize = 10;

/// The notes of a run, one for each line that some of these builds complain of; as many as one request takes. It is an extra: what
/// can't be read now has none.
pub async fn notes(
    mirror: &Service,
    dashboard: &DashboardClient,
    run: &TryRunRow,
    failed: &[&BuildRow],
) -> Vec<Annotation> {
    let of_run: Vec<_> = failed.iter().filter(|row| row.repo == run.repo).take(BUILDS).collect();
    if of_run.is_empty() {
        return Vec::new();
    }
    let address = format!("/mirror/{}/tree?rev={}", run.repo, run.commit);
    let paths: Vec<String> = match mirror.get_json(&address).await {
        Ok(paths) => paths,
        Err(error) => {
            tracing::info!(run = %run.id, %error, "no lines are noted: the tree can't be read");
            return Vec::new();
        }
    };
    let files = Files::new(paths.iter().map(String::as_str));
    let mut found: BTreeMap<(String, u32), (Place, Vec<String>)> = BTreeMap::new();
    for row in of_run {
        let id = row.id.to_string();
        for place in places(&tail(dashboard, &id).await.unwrap_or_default(), &files) {
            let key = (place.path.clone(), place.line);
            let (_, on) = found.entry(key).or_insert_with(|| (place, Vec::new()));
            if !on.contains(&row.builder) {
                on.push(row.builder.clone());
            }
        }
    }
    found.into_values().take(ANNOTATIONS).map(|(place, on)| note(place, &on)).collect()
}

fn note(place: Place, on: &[String]) -> Annotation {
    let title = match on {
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        [] => String::new(),
    };
    Annotation {
        path: place.path,
        start_line: place.line,
        end_line: place.line,
        annotation_level: "failure".to_owned(),
        message: place.message,
        title,
    }
}

/// The end of a build's log.
async fn tail(dashboard: &DashboardClient, id: &str) -> Option<String> {
    let of = LogOf::Build(id);
    let size = dashboard.log_info(of).await.ok()?.bytes;
    let range = LogRange::Bytes(size.saturating_sub(LOG), size);
    let bytes = dashboard.log_bytes(of, range, 2 * LOG as usize).await.ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
