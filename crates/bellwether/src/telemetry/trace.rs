//! A build as a trace: names by the semantic conventions for CI/CD and version control
//! (<https://opentelemetry.io/docs/specs/semconv/cicd/>), and what they have no name for below `bellwether.`.

use std::sync::Arc;

use dashboard::api::{AttemptReport, BuildReport, Cause, Outcome};
use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status};

/// The most characters of a value.
const LONGEST: usize = 1000;
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The traces of builds; `url` is the address of this server's pages.
pub fn resource_spans(
    resource: &[(String, String)],
    url: &str,
    builds: &[Arc<BuildReport>],
) -> ResourceSpans {
    let mut attributes: Vec<_> = resource.iter().map(|(key, value)| text(key, value)).collect();
    attributes.push(text("service.version", VERSION));
    let scope =
        InstrumentationScope { name: "bellwether".into(), version: VERSION.into(), ..Default::default() };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Default::default() }),
        scope_spans: vec![ScopeSpans {
            scope: Some(scope),
            spans: builds.iter().flat_map(|build| spans(url, build)).collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A build's id is a ULID, whose 128 bits are the trace's.
fn trace_id(build: &BuildReport) -> Vec<u8> {
    build.id.parse::<store::BuildId>().map(|id| id.to_bytes().to_vec()).unwrap_or_default()
}

/// The same span has the same id whenever it is sent: eight bytes of a digest of its place.
fn span_id(place: &str) -> Vec<u8> {
    use sha2::Digest as _;
    sha2::Sha256::digest(place.as_bytes())[..8].to_vec()
}

fn spans(url: &str, build: &BuildReport) -> Vec<Span> {
    let end = build.ended.unwrap_or(build.created);
    let mut attributes = vec![
        text("cicd.pipeline.name", &build.builder),
        text("cicd.pipeline.run.id", &build.id),
        text("cicd.pipeline.run.url.full", &format!("{}/builds/{}", url.trim_end_matches('/'), build.id)),
        text("vcs.repository.name", &build.repo),
        text("vcs.ref.head.name", &build.branch),
        text("vcs.ref.head.type", "branch"),
        text("bellwether.revision", &build.revision),
        text("bellwether.class", &build.class),
    ];
    if let Some(commit) = build.revision.split('+').next().and_then(|part| part.split_once('@')) {
        attributes.push(text("vcs.ref.head.revision", commit.1));
    }
    outcome(&mut attributes, "cicd.pipeline.result", build.outcome, build.cause.as_ref());
    let root = Span {
        kind: span::SpanKind::Server as i32,
        attributes,
        status: status(build.outcome, build.cause.as_ref()),
        ..bare(build, &build.id, "", &format!("RUN {}", build.builder), build.created, end)
    };
    std::iter::once(root)
        .chain(build.attempts.iter().flat_map(|attempt| of_attempt(build, attempt)))
        .collect()
}

fn of_attempt(build: &BuildReport, attempt: &AttemptReport) -> Vec<Span> {
    // What is timed begins with the wait in the queue, before the attempt's own beginning.
    let first = attempt.spans.first().map(|span| span.start);
    let start = first.or(attempt.started).unwrap_or(build.created);
    let end = attempt.ended.or(build.ended).unwrap_or(start);
    let mut attributes = vec![
        text("bellwether.attempt.id", &attempt.id),
        number("bellwether.attempt.number", attempt.number.into()),
    ];
    attributes.extend(attempt.worker.iter().map(|worker| text("cicd.worker.id", worker)));
    attributes.extend(attempt.host.iter().map(|host| text("cicd.worker.name", host)));
    outcome(&mut attributes, "bellwether.attempt.result", attempt.outcome, attempt.cause.as_ref());
    let name = format!("attempt {}", attempt.number);
    let own = Span {
        attributes,
        status: status(attempt.outcome, attempt.cause.as_ref()),
        ..bare(build, &attempt.id, &build.id, &name, start, end)
    };
    let mut all = vec![own];
    for (n, part) in attempt.spans.iter().enumerate() {
        let place = format!("{}/{n}", attempt.id);
        let mut attributes = Vec::new();
        if let Some(step) = attempt.steps.iter().find(|step| step.name == part.name) {
            attributes.push(text("cicd.pipeline.task.name", &step.name));
            attributes.push(text("cicd.pipeline.task.run.id", &place));
            let result = if step.exit == Some(0) { "success" } else { "failure" };
            attributes.push(text("cicd.pipeline.task.run.result", result));
            attributes.extend(step.exit.map(|exit| number("process.exit.code", exit.into())));
        }
        if !part.detail.is_empty() {
            attributes.push(text("bellwether.detail", &part.detail));
        }
        let failed = part
            .error
            .as_deref()
            .map(|error| Status { message: clipped(error), code: status::StatusCode::Error as i32 });
        all.push(Span {
            attributes,
            status: failed,
            ..bare(build, &place, &attempt.id, &part.name, part.start, part.end.unwrap_or(end))
        });
    }
    all
}

fn bare(
    build: &BuildReport,
    place: &str,
    parent: &str,
    name: &str,
    start: Timestamp,
    end: Timestamp,
) -> Span {
    let nanos = |time: Timestamp| u64::try_from(time.as_nanosecond()).unwrap_or(0);
    Span {
        trace_id: trace_id(build),
        span_id: span_id(place),
        parent_span_id: if parent.is_empty() { Vec::new() } else { span_id(parent) },
        name: clipped(name),
        kind: span::SpanKind::Internal as i32,
        start_time_unix_nano: nanos(start),
        end_time_unix_nano: nanos(end.max(start)),
        ..Default::default()
    }
}

/// The conventions' words for how something ended.
fn outcome(attributes: &mut Vec<KeyValue>, name: &str, outcome: Option<Outcome>, cause: Option<&Cause>) {
    let Some(outcome) = outcome else { return };
    let timeout = cause.is_some_and(|cause| cause.kind == "timeout");
    let word = match outcome {
        Outcome::Ok => "success",
        Outcome::Failed if timeout => "timeout",
        Outcome::Failed => "failure",
        Outcome::InfraFailed => "error",
        Outcome::Cancelled => "cancellation",
        Outcome::Skipped => "skip",
    };
    attributes.push(text(name, word));
    if !matches!(outcome, Outcome::Ok | Outcome::Skipped) {
        attributes.extend(cause.map(|cause| text("error.type", &cause.kind)));
    }
}

fn status(outcome: Option<Outcome>, cause: Option<&Cause>) -> Option<Status> {
    let failed = matches!(outcome, Some(Outcome::Failed | Outcome::InfraFailed));
    let message =
        cause.map(|cause| clipped(if cause.detail.is_empty() { &cause.kind } else { &cause.detail }));
    failed.then(|| Status { message: message.unwrap_or_default(), code: status::StatusCode::Error as i32 })
}

fn clipped(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(clipped(value))) };
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

fn number(key: &str, value: i64) -> KeyValue {
    let value = AnyValue { value: Some(Value::IntValue(value)) };
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}
