//! The results of an attempt's tests: the dashboard reads its log; what lies in JUnit files is read in `junit`.

use dashboard::api::{LogPart, StepReport, TestKind, TestResult, TestSource};
use testresults::{Format, Limits, Test};
use transport::CallError;

use super::record::Record;
use super::{Shared, Trouble};
use crate::job::Job;

/// How often results are offered again to a dashboard that is away.
const TRIES: u32 = 50;

/// How the job's tests are read, if they are.
pub(super) fn format(record: &Record) -> Option<Format> {
    record.job.results.parse().ok()
}

/// Sends results of tests to the dashboard.
pub(super) async fn put(shared: &Shared, record: &mut Record, tests: Vec<Test>) -> Result<(), Trouble> {
    let clean = |text: String| record.secrets.clean(&text);
    let result = |test: Test| TestResult {
        id: clean(test.id),
        variant: clean(test.variant),
        kind: if test.measure.is_some() { TestKind::Benchmark } else { TestKind::Test },
        outcome: test.outcome.as_str().to_owned(),
        duration_us: test.micros.and_then(|micros| i64::try_from(micros).ok()),
        message: test.message.map(clean),
        ..TestResult::default()
    };
    let tests: Vec<_> = tests.into_iter().map(result).collect();
    let (attempt, fence) = (record.attempt.id.to_string(), record.fence as u64);
    let put = patiently(|| shared.dashboard.put_tests(&attempt, fence, tests.clone())).await;
    told(record, put).map(drop)
}

/// Has the dashboard read the log, where the job's results are in it.
pub(super) async fn of_log(shared: &Shared, record: &mut Record) -> Result<(), Trouble> {
    let Some(format) = format(record).filter(|format| *format != Format::Junit) else { return Ok(()) };
    // As they are reported, whoever saw them run.
    let steps = record.inputs.get("steps").cloned().unwrap_or_default();
    let steps: Vec<StepReport> = serde_json::from_value(steps).unwrap_or_default();
    let parts = parts(&steps, &record.job);
    if parts.is_empty() {
        return Ok(());
    }
    let source = TestSource { format: format.as_str().to_owned(), parts };
    let (attempt, fence) = (record.attempt.id.to_string(), record.fence as u64);
    let read = patiently(|| shared.dashboard.read_tests(&attempt, fence, &source)).await;
    if let Some(read) = told(record, read)? {
        left_out(record, read.left_out);
        if read.cut > 0 {
            record.warn(format!("{} lines are too long to be read for results of tests", read.cut));
        }
        if read.tests == 0 {
            record.warn(format!(
                "no result of a test is in the output: is it {}, as `results` says?",
                format.as_str()
            ));
        }
    }
    Ok(())
}

pub(super) fn left_out(record: &mut Record, count: u64) {
    if count > 0 {
        let most = Limits::default().tests;
        record.warn(format!("{count} results of tests were left out: {most} of an attempt are kept"));
    }
}

/// What the dashboard's answer means: that it can't take results is no reason to judge the attempt otherwise.
fn told<T>(record: &mut Record, answer: Result<T, CallError>) -> Result<Option<T>, Trouble> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_code("stale") => Err(Trouble::Stale),
        // No step ran, so there is no log.
        Err(error) if error.is_status(http::StatusCode::NOT_FOUND) => Ok(None),
        Err(error) => {
            record.warn(format!("results of tests could not be kept: {error}"));
            Ok(None)
        }
    }
}

async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut tries = 0;
    loop {
        match call().await {
            Err(error) if error.is_transient() && tries < TRIES => {
                tracing::warn!(%error, "the dashboard can't take results of tests; trying again");
                tokio::time::sleep(crate::ledger::pause(tries)).await;
                tries += 1;
            }
            answer => return answer,
        }
    }
}

/// Where the output of the steps lies that run tests. Where that is not known any more, anywhere.
fn parts(steps: &[StepReport], job: &Job) -> Vec<LogPart> {
    let ran = steps.iter().filter(|step| {
        let index = step.index.and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| job.steps.get(index)).is_some_and(|step| step.tests)
    });
    let mut parts = Vec::new();
    for step in ran {
        let Some(first_byte) = step.first_byte else {
            return vec![LogPart { first_byte: 0, end_byte: None }];
        };
        parts.push(LogPart { first_byte, end_byte: step.end_byte });
    }
    parts
}
