//! Traces of builds, as a collector gets them, read by the standard's own description.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode as Code};
use prost::Message as _;
use testkit::wait_for;

use crate::faults::world::{LIMIT, SECRET, World};

/// What came, and how many requests are refused first.
#[derive(Clone, Default)]
struct Collector {
    got: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
    refuse: Arc<Mutex<u32>>,
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let mut refuse = collector.refuse.lock().unwrap();
    if *refuse > 0 {
        *refuse -= 1;
        return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]);
    }
    let request = ExportTraceServiceRequest::decode(body).expect("what the standard describes");
    collector.got.lock().unwrap().push((headers, request));
    (StatusCode::OK, [("content-type", "application/x-protobuf")])
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(|pair| (pair.key.as_str(), text(pair))).collect()
}

#[test]
fn a_build_is_a_trace_of_its_attempts_and_steps() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let collector = Collector { refuse: Arc::new(Mutex::new(2)), ..Collector::default() };
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let at = listener.local_addr().unwrap();
    let routes =
        Router::new().route("/otel/v1/traces", axum::routing::post(take)).with_state(collector.clone());
    let serving = runtime.spawn(async move { axum::serve(listener, routes).await.unwrap() });

    let mut world = World::new(&["true", &format!("echo {SECRET}; exit 3")]);
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{at}/otel")),
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k%201".into()),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=dev".into()),
    ] {
        world.environment.push((name.into(), value));
    }
    world.start();
    let build = world.await_done();
    let (headers, request) =
        wait_for("the trace", LIMIT, || Ok(collector.got.lock().unwrap().first().cloned()))
            .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    assert_eq!(headers["api-key"], "k 1");
    assert_eq!(headers["content-type"], "application/x-protobuf");

    let resource = &request.resource_spans[0];
    let of = texts(&resource.resource.as_ref().unwrap().attributes);
    assert_eq!(
        (of["service.name"].as_str(), of["deployment.environment.name"].as_str()),
        ("bellwether", "dev")
    );
    let spans = &resource.scope_spans[0].spans;
    let named = |name: &str| -> &Span {
        let mut fits = spans.iter().filter(|span| span.name == name);
        let found = fits.next().unwrap_or_else(|| {
            panic!("no {name}: {:?}", spans.iter().map(|span| &span.name).collect::<Vec<_>>())
        });
        assert!(fits.next().is_none(), "{name} is there twice");
        found
    };
    let root = named("RUN test");
    let id: store::BuildId = build["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(root.trace_id, id.to_bytes());
    assert!(root.parent_span_id.is_empty());
    let said = texts(&root.attributes);
    assert_eq!(said["cicd.pipeline.run.id"], id.to_string());
    assert_eq!(said["cicd.pipeline.result"], "failure");
    assert_eq!(said["vcs.repository.name"], "tiny");
    assert_eq!(format!("tiny@{}", said["vcs.ref.head.revision"]), build["revision"]);
    assert!(said["cicd.pipeline.run.url.full"].ends_with(&format!("/builds/{id}")), "{said:?}");
    assert_eq!(root.status.as_ref().unwrap().code, Code::Error as i32);

    let attempt = named("attempt 1");
    assert_eq!(attempt.parent_span_id, root.span_id);
    let (fine, failed) = (named("step-0"), named("step-1"));
    assert_eq!(texts(&fine.attributes)["cicd.pipeline.task.run.result"], "success");
    let said = texts(&failed.attributes);
    assert_eq!((&*said["cicd.pipeline.task.run.result"], &*said["process.exit.code"]), ("failure", "3"));
    let parts = build["attempts"][0]["spans"].as_array().unwrap().len();
    assert_eq!(spans.len(), parts + 2, "each part that the page shows");
    for span in spans {
        assert_eq!((span.trace_id.as_slice(), span.span_id.len()), (&id.to_bytes()[..], 8));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        assert!(span.start_time_unix_nano >= root.start_time_unix_nano, "{span:?} {root:?}");
    }
    // What the recipe has in plain of a secret is taken out of what is timed, too.
    assert!(!format!("{request:?}").contains(SECRET));
    let page = world.bytes(&format!("/builds/{id}")).unwrap();
    let seen = page.lines().find(|line| line.contains(SECRET));
    assert_eq!(seen, None);
    serving.abort();
}

#[test]
fn a_variable_that_cannot_be_followed_keeps_the_server_from_starting() {
    let mut world = World::new(&["true"]);
    world.environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT".into(), "127.0.0.1:4318".into()));
    world.launch(&[]);
    let status = world.server().await_end(LIMIT).unwrap();
    assert_eq!(status.code(), Some(2), "{}", world.printed());
    assert!(world.printed().contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{}", world.printed());
}
