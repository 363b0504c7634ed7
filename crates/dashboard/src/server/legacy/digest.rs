//! The SHA-1 of a log's text, by which the original's clients know it.

use futures::TryStreamExt as _;
use sha1::{Digest as _, Sha1};
use store::log_digests::{self, DigestRow};
use store::logs::LogRow;

use super::super::Dashboard;
use super::super::logstore;
use super::super::refusal::Answer;
use super::logs::hex;

/// Reads a log once, piece by piece, as it is shown. `None` if its digest is known already, or it can't be read: then it has
/// none, and is known by its build only.
pub(in crate::server) async fn of(dashboard: &Dashboard, log: &LogRow) -> Option<DigestRow> {
    let known = async {
        let mut reader = dashboard.db().read().await?;
        log_digests::get(&mut reader, log.attempt).await
    };
    if log.finished && !matches!(known.await, Ok(None)) {
        return None;
    }
    match sha1(dashboard, log).await {
        Ok(sha1) => Some(DigestRow { attempt: log.attempt, build: log.build, sha1 }),
        Err(refusal) => {
            tracing::warn!(attempt = %log.attempt, cause = refusal.message, "a log has no digest");
            None
        }
    }
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
