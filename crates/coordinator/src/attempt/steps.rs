//! What is known of the steps of an attempt that is taken over.

use dashboard::api::StepReport;
use store::spans::SpanRow;

use super::record::timestamp;
use crate::job::Job;
use crate::redact::Secrets;

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
