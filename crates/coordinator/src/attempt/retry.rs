//! Whether a build is tried again, where, and what is said of one that failed first.

use std::time::Duration;

use dashboard::api::Cause;
use store::attempts::AttemptRow;
use store::builds::BuildRow;

use super::Verdict;
use super::landed::NOT_LANDED;

/// How many attempts a build may lose to the machines before it ends `infra_failed`.
const MAX_ATTEMPTS: i64 = 3;

/// After which pause a build is tried again, given what became of the attempts before this one; `None` if this was the
/// last. What the machines lost and what failed by itself is counted apart.
pub(super) fn another(verdict: &Verdict, before: &[AttemptRow], retries: u32) -> Option<Duration> {
    // Another machine, or some seconds, make no branch of it.
    if verdict.cause.as_ref().is_some_and(|cause| cause.kind == NOT_LANDED) {
        return None;
    }
    let same = before.iter().filter(|row| row.outcome.as_deref() == Some(verdict.outcome)).count() as i64;
    match verdict.outcome {
        // At once on another worker, then after a pause: what struck twice may strike everybody for a while.
        "infra_failed" if same + 1 < MAX_ATTEMPTS => Some(Duration::from_secs(if same < 1 { 0 } else { 10 })),
        "failed" if same < i64::from(retries) => Some(Duration::ZERO),
        _ => None,
    }
}

/// The mark of what failed and then went well.
pub(super) fn flake(verdict: &Verdict, before: &[AttemptRow]) -> Option<String> {
    let failed = before.iter().find(|row| row.outcome.as_deref() == Some("failed"))?;
    let cause = failed.cause.as_deref().and_then(|text| serde_json::from_str::<Cause>(text).ok());
    let cause = cause.map_or_else(String::new, |cause| format!(" ({} {})", cause.kind, cause.detail));
    (verdict.outcome == "ok")
        .then(|| format!("flake: attempt {} failed{cause}, this one did not", failed.number))
}

/// The workers that lost an attempt of the build since a person asked for it: another one is to try. What the server
/// itself was in want of, a source or its database, is no machine's fault.
pub(crate) fn avoided(build: &BuildRow, tried: &[AttemptRow]) -> Vec<store::WorkerId> {
    let lost = |row: &&AttemptRow| {
        let cause = row.cause.as_deref().and_then(|text| serde_json::from_str::<Cause>(text).ok());
        row.number > build.retried_from
            && row.outcome.as_deref() == Some("infra_failed")
            && cause.is_some_and(|cause| cause.kind.starts_with(super::OF_THE_WORKER))
    };
    tried.iter().filter(lost).map(|row| row.worker).collect()
}
