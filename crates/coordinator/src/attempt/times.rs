//! Times of an attempt's parts.

use std::time::Duration;

use dashboard::api::{SpreadPart, StepReport};
use store::spans::SpanRow;

use crate::job::Job;
use crate::redact::Secrets;

/// The timed parts that have ended, but the wait in the queue.
pub(super) fn parts_before(spans: &[SpanRow]) -> Vec<SpreadPart> {
    let part = |span: &SpanRow| {
        let took_ms = u64::try_from(between(span.start, span.end?).as_millis()).unwrap_or(u64::MAX);
        (took_ms > 0).then(|| SpreadPart { name: span.name.clone(), took_ms })
    };
    spans.iter().filter(|span| span.name != "queued").filter_map(part).collect()
}

/// No time at all where the clock went back.
pub(super) fn between(from: store::Micros, to: store::Micros) -> Duration {
    Duration::from_micros(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

/// The steps that went well before the coordinator died, by their spans; where in the log each lies is not known any more.
pub(super) fn steps_before(job: &Job, spans: &[SpanRow], current: i64, secrets: &Secrets) -> Vec<StepReport> {
    let done = job.steps.iter().enumerate().take(usize::try_from(current).unwrap_or(0));
    done.filter_map(|(index, step)| {
        let same = |span: &&SpanRow| {
            span.name == step.name
                && (span.detail == secrets.clean(&step.run) || step.run.contains("{tests}"))
        };
        let span = spans.iter().find(same)?;
        Some(StepReport {
            name: step.name.clone(),
            index: u32::try_from(index).ok(),
            command: Some(span.detail.clone()),
            started: timestamp(Some(span.start)),
            ended: timestamp(span.end),
            exit: span.error.is_none().then_some(0),
            first_byte: None,
            end_byte: None,
        })
    })
    .collect()
}

pub(super) fn timestamp(time: Option<store::Micros>) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(time?.0).ok()
}
