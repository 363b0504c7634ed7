//! How long the timed parts of builds take, kept for the statistics once a build was judged.

use store::step_times::{self, StepTime};
use store::{BuildId, Tx};

use super::micros;
use super::refusal::Answer;
use crate::api::{BuildReport, BuildState, Outcome};

/// So many parts of a build are kept.
const PARTS: usize = 64;
/// The longest name of one, in characters.
const NAME: usize = 64;

/// Keeps how long the parts of a build took that was judged, with its report.
pub(super) async fn keep(tx: &mut Tx, build: BuildId, report: &BuildReport) -> Answer<()> {
    let judged = matches!(report.outcome, Some(Outcome::Ok | Outcome::Failed));
    if report.state == BuildState::Done && judged {
        step_times::put(tx, build, &report.builder, &report.repo, &times(report)).await?;
    }
    Ok(())
}

/// The parts of the last attempt that went well, each name once, in the order in which they began: a source that is
/// fetched in two pieces is one part.
fn times(report: &BuildReport) -> Vec<StepTime> {
    let mut times: Vec<StepTime> = Vec::new();
    let last = report.attempts.iter().max_by_key(|attempt| attempt.number);
    for span in last.map(|attempt| &attempt.spans[..]).unwrap_or_default() {
        let Some(end) = span.end.filter(|_| span.error.is_none()) else { continue };
        let took = (micros(end).0 - micros(span.start).0).max(0);
        let step: String = span.name.chars().take(NAME).collect::<String>().replace('\0', "\u{fffd}");
        if let Some(time) = times.iter_mut().find(|time| time.step == step) {
            time.took = time.took.saturating_add(took);
        } else if times.len() < PARTS {
            times.push(StepTime { step, took });
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{AttemptReport, Span};

    fn span(name: &str, from: i64, to: i64, error: Option<&str>) -> Span {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let (name, error) = (name.to_owned(), error.map(str::to_owned));
        Span { name, detail: String::new(), start: at(from), end: (to > 0).then(|| at(to)), error }
    }

    #[test]
    fn of_the_last_attempt_what_went_well_counts_once_a_name() {
        let attempt = |number: u32, spans: Vec<Span>| -> AttemptReport {
            let json = serde_json::json!({"id": "x", "number": number});
            AttemptReport { spans, ..serde_json::from_value(json).unwrap() }
        };
        let mut report: BuildReport = serde_json::from_value(serde_json::json!({
            "id": "x", "builder": "b", "repo": "r", "branch": "main", "revision": "r@1", "class": "post_submit",
            "state": "done", "fence": 1, "version": 1, "created": "2024-01-01T00:00:00Z"
        }))
        .unwrap();
        assert!(times(&report).is_empty());
        report.attempts = vec![
            attempt(
                2,
                vec![
                    span("source", 1, 3, None),
                    span("source", 3, 4, None),
                    span("test", 4, 9, Some("exited 1")),
                    span("more", 9, 0, None),
                    span("back", 9, 8, None),
                ],
            ),
            attempt(1, vec![span("lost", 1, 2, None)]),
        ];
        let told: Vec<_> = times(&report).into_iter().map(|time| (time.step, time.took)).collect();
        assert_eq!(told, [("source".to_owned(), 3_000_000), ("back".to_owned(), 0)]);
    }
}
