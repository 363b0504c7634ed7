//! Takes away what nobody needs any more: old events, and uploads that a crash left half done.

use std::sync::Arc;
use std::time::Duration;

use store::{AttemptId, Micros, StoreError, events};

use crate::attempt::Shared;
use crate::gomote::Files;

/// How long events are kept, for replay.
const EVENTS: Duration = Duration::from_secs(90 * 24 * 3600);
/// No upload takes so long: what is older was left by a coordinator that is no more.
const STAGED: Duration = Duration::from_secs(2 * 24 * 3600);
/// Nobody needs a file so long that is on its way to a held machine, or from it.
const ON_THE_WAY: Duration = Duration::from_secs(3600);
/// How long recordings of shells are kept.
const RECORDED: Duration = Duration::from_secs(90 * 24 * 3600);
/// How often it is looked for.
const PERIOD: Duration = Duration::from_secs(6 * 3600);

/// Sweeps now, and then again and again.
pub(crate) async fn run(shared: Arc<Shared>) {
    loop {
        match once(&shared).await {
            Ok((0, 0)) => {}
            Ok((events, objects)) => {
                tracing::info!(events, objects, "old events and unfinished uploads are gone")
            }
            // Another coordinator leads, or the database is away: it can wait.
            Err(error) => tracing::debug!(%error, "nothing was swept"),
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Returns how many events and objects were removed.
async fn once(shared: &Shared) -> Result<(u64, u64), StoreError> {
    let ledger = &shared.ledger;
    let now = ledger.clock().now();
    let before = |age: Duration| Micros(now.0.saturating_sub(age.as_micros() as i64));
    let mut tx = ledger.begin().await?;
    let expired = events::expire(&mut tx, before(EVENTS)).await?;
    let messages = crate::outbox::expire(&mut tx, now).await?;
    // What no test was called by for so long is none any more.
    store::durations::expire(&mut tx, before(EVENTS)).await?;
    tx.commit().await?;
    if messages > 0 {
        tracing::info!(messages, "old messages to the world are gone");
    }
    let mut removed = 0;
    for object in shared.objects.list("staged").await.unwrap_or_default() {
        if is_left(&object.path, before(STAGED)) && shared.objects.delete(&object.path).await.is_ok() {
            removed += 1;
        }
    }
    // A tree that was uploaded, and no row came to say that it is a snapshot.
    for object in shared.objects.list("snapshots").await.unwrap_or_default() {
        if is_old_upload(&object.path, before(STAGED))
            && !store::snapshots::is_named(&mut ledger.db().read().await?, &object.path).await?
            && shared.objects.delete(&object.path).await.is_ok()
        {
            removed += 1;
        }
    }
    for object in shared.objects.list(crate::spread::trees::TREES).await.unwrap_or_default() {
        if crate::spread::trees::attempt_of(&object.path)
            .is_some_and(|attempt| attempt.time() < before(STAGED))
            && shared.objects.delete(&object.path).await.is_ok()
        {
            removed += 1;
        }
    }
    for object in shared.objects.list(crate::ssh::RECORDINGS).await.unwrap_or_default() {
        if object.made < before(RECORDED) && shared.objects.delete(&object.path).await.is_ok() {
            removed += 1;
        }
    }
    removed += Files::new(shared.objects.clone(), Arc::clone(ledger.clock())).sweep(before(ON_THE_WAY)).await;
    Ok((expired, removed))
}

/// Whether the path is that of an upload (`…/DIGEST-ATTEMPT-FENCE.tar.gz`) by an attempt that began before that moment.
fn is_old_upload(path: &str, before: Micros) -> bool {
    let attempt = path.rsplit('/').next().and_then(|name| name.split('-').nth(1));
    attempt.and_then(|text| text.parse::<AttemptId>().ok()).is_some_and(|attempt| attempt.time() < before)
}

/// Whether the upload belongs to an attempt that began before that moment.
fn is_left(path: &str, before: Micros) -> bool {
    let attempt = path.strip_prefix("staged/").and_then(|name| name.split('-').next());
    attempt.and_then(|text| text.parse::<AttemptId>().ok()).is_some_and(|attempt| attempt.time() < before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uploads_of_old_attempts_are_left_ones() {
        let attempt = AttemptId::new(Micros(5_000_000), &mut |to: &mut [u8]| to.fill(7));
        let path = format!("staged/{attempt}-12.tar.gz");
        assert!(is_left(&path, Micros(6_000_000)));
        assert!(!is_left(&path, Micros(5_000_000)));
        assert!(!is_left("staged/else", Micros(i64::MAX)));
        assert!(!is_left("logs/x", Micros(i64::MAX)));
        let path = format!("snapshots/trusted/b/go@1/0a-{attempt}-12.tar.gz");
        assert!(is_old_upload(&path, Micros(6_000_000)));
        assert!(!is_old_upload(&path, Micros(5_000_000)));
        assert!(!is_old_upload("snapshots/trusted/b/go@1/0a.tar.gz", Micros(i64::MAX)));
    }
}
