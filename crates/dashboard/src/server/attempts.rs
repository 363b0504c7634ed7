//! On which machine each attempt at a build ran and whether it was for nothing, kept for the statistics once a build is done.

use store::attempt_stats::{self, AttemptStat, Of};
use store::{BuildId, Tx};

use super::micros;
use super::refusal::Answer;
use crate::api::{AttemptReport, BuildReport, BuildState, Outcome};

/// So many attempts at a build are kept, the last.
const ATTEMPTS: usize = 100;
/// The longest name of a machine or a host, in characters.
const NAME: usize = 128;
/// How the kinds of causes begin that are the machine's own.
const OF_THE_WORKER: &str = "worker_";

/// Keeps the attempts at a build that is done, with its report.
pub(super) async fn keep(tx: &mut Tx, build: BuildId, report: &BuildReport) -> Answer<()> {
    if report.state != BuildState::Done {
        return Ok(());
    }
    let of = Of {
        build,
        builder: &report.builder,
        repo: &report.repo,
        revision: &report.revision,
        created: micros(report.created),
    };
    attempt_stats::put(tx, of, &stats(report)).await?;
    Ok(())
}

/// The attempts that a machine had, and somebody or something judged: what was cancelled says nothing.
fn stats(report: &BuildReport) -> Vec<AttemptStat> {
    let mut attempts: Vec<&AttemptReport> = report.attempts.iter().collect();
    attempts.sort_by_key(|attempt| attempt.number);
    attempts.dedup_by_key(|attempt| attempt.number);
    let attempts = &attempts[attempts.len().saturating_sub(ATTEMPTS)..];
    let mended = attempts.iter().rposition(|attempt| attempt.outcome == Some(Outcome::Ok));
    let stat = |(n, attempt): (usize, &&AttemptReport)| {
        let (host, worker) = (attempt.host.as_deref()?, attempt.worker.as_deref()?);
        // What the server makes has no name that outlives it: all of a host count as one.
        let named = attempt.inputs.get("machine").and_then(|name| name.as_str());
        let machine = named.filter(|name| *name != worker).unwrap_or(host);
        let outcome = attempt.outcome?;
        if !matches!(outcome, Outcome::Ok | Outcome::Failed | Outcome::InfraFailed) {
            return None;
        }
        let cause = attempt.cause.as_ref().map_or("", |cause| cause.kind.as_str());
        let queued = attempt.spans.iter().find(|span| span.name == "queued");
        let waited = queued.and_then(|span| Some(micros(span.end?).0 - micros(span.start).0));
        let took = attempt.started.zip(attempt.ended).map(|(from, to)| micros(to).0 - micros(from).0);
        Some(AttemptStat {
            number: i64::from(attempt.number),
            host: name(host),
            machine: name(machine),
            lost: outcome == Outcome::InfraFailed && cause.starts_with(OF_THE_WORKER),
            flaked: outcome == Outcome::Failed && mended.is_some_and(|at| at > n),
            waited: waited.unwrap_or(0).max(0),
            took: took.unwrap_or(0).max(0),
        })
    };
    attempts.iter().enumerate().filter_map(stat).collect()
}

fn name(text: &str) -> String {
    text.chars().take(NAME).collect::<String>().replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_for_nothing_is_told_from_what_was_judged() {
        let attempt = |number: u32, machine: &str, outcome: &str, cause: &str| {
            serde_json::json!({"id": "x", "number": number, "host": "h", "worker": "w", "outcome": outcome,
                "cause": {"kind": cause, "detail": ""}, "inputs": {"machine": machine},
                "started": "2024-01-01T00:00:01Z", "ended": "2024-01-01T00:00:03Z",
                "spans": [{"name": "queued", "detail": "", "start": "2024-01-01T00:00:00Z", "end": "2024-01-01T00:00:01Z"}]})
        };
        let report: BuildReport = serde_json::from_value(serde_json::json!({
            "id": "x", "builder": "b", "repo": "r", "branch": "main", "revision": "r@1", "class": "post_submit",
            "state": "done", "fence": 1, "version": 1, "created": "2024-01-01T00:00:00Z", "attempts": [
                attempt(5, "e", "failed", "exit"), attempt(1, "a", "failed", "exit"),
                attempt(2, "b", "infra_failed", "worker_lost"), attempt(3, "c", "infra_failed", "source"),
                attempt(4, "d", "ok", ""), attempt(6, "f", "cancelled", "person"),
            ]
        }))
        .unwrap();
        let told: Vec<_> =
            stats(&report).into_iter().map(|one| (one.machine, one.lost, one.flaked)).collect();
        let wanted = [
            ("a", false, true),
            ("b", true, false),
            ("c", false, false),
            ("d", false, false),
            ("e", false, false),
        ];
        assert_eq!(told, wanted.map(|(machine, lost, flaked)| (machine.to_owned(), lost, flaked)));
        let made = serde_json::from_value(attempt(1, "w", "ok", "")).unwrap();
        assert_eq!(stats(&BuildReport { attempts: vec![made], ..report.clone() })[0].machine, "h");
        assert_eq!(stats(&report)[0].waited, 1_000_000);
        assert_eq!(stats(&report)[0].took, 2_000_000);
    }
}
