//! The SHA-1 of a log's text, by which the original's clients know it.

use futures::TryStreamExt as _;
use sha1::{Digest as _, Sha1};
use store::BuildId;
use store::log_digests::{self, DigestRow};
use store::logs::LogRow;

use super::super::Dashboard;
use super::super::logstore;
use super::super::refusal::Answer;
use super::logs::hex;
use crate::api::BuildReport;

/// Notes the digests of a build's logs once its end was reported: no worker waits for that. A log that can't be read has
/// none, and is known by its build only.
pub(in crate::server) async fn reported(dashboard: &Dashboard, build: BuildId, report: &BuildReport) {
    if report.outcome.is_none() {
        return;
    }
    if let Err(refusal) = note(dashboard, build).await {
        tracing::warn!(%build, cause = refusal.message, "a log has no digest");
    }
}

async fn note(dashboard: &Dashboard, build: BuildId) -> Answer<()> {
    let mut reader = dashboard.db().read().await?;
    let mut logs = store::logs::of_build(&mut reader, build).await?;
    let known = log_digests::of_builds(&mut reader, &[build.to_string()]).await?;
    drop(reader);
    logs.retain(|log| log.finished && !known.iter().any(|digest| digest.attempt == log.attempt));
    let mut digests = Vec::new();
    for log in logs {
        digests.push(DigestRow { attempt: log.attempt, build, sha1: sha1(dashboard, &log).await? });
    }
    if digests.is_empty() {
        return Ok(());
    }
    let mut tx = dashboard.db().begin().await?;
    for digest in &digests {
        log_digests::insert(&mut tx, digest).await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn sha1(dashboard: &Dashboard, log: &LogRow) -> Answer<String> {
    let mut hash = Sha1::new();
    let end = u64::try_from(log.bytes).unwrap_or(0);
    let mut pieces = std::pin::pin!(logstore::read(dashboard, log.attempt, 0, end));
    while let Some(piece) = pieces.try_next().await? {
        hash.update(&piece.bytes);
    }
    Ok(hex(&hash.finalize()))
}
