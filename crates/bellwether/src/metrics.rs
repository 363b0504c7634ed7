//! `/metrics` for Prometheus and `/readyz`: what the services count, requests by route, and this process.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use coordinator::{Measures, Status};
use edge::Edge;
use http::{StatusCode, header};
use maintnerd::Readers;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use transport::routes::get;
use transport::{Role, Routes, Service, Viewer};

/// What an answer of Prometheus' text format is called.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Seconds of a request.
const BUCKETS: [f64; 9] = [0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];
/// How long the services may take to say that they are ready.
const READY: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: String,
}

/// Everything that is counted in this process.
pub struct Metrics {
    registry: Registry,
    /// What only those are told who see all that is private.
    private: Registry,
    measures: Measures,
    coordinator: Service,
    dashboard: Service,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabel, Histogram>,
    edge: Arc<OnceLock<Edge>>,
}

impl Metrics {
    /// Registers what the coordinator and maintnerd count beside what is counted here.
    pub fn new(
        measures: Measures,
        coordinator: Service,
        dashboard: Service,
        maintnerd: Option<(&Arc<maintnerd::Daemon>, Readers)>,
    ) -> Arc<Metrics> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let requests = Family::<RequestLabels, Counter>::default();
        let seconds = Family::<RouteLabel, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let ours = registry.sub_registry_with_prefix("bellwether");
        measures.register(ours);
        ours.register("http_requests", "Requests answered, by route, method and status", requests.clone());
        ours.register_with_unit(
            "http_request",
            "Until the head of an answer",
            Unit::Seconds,
            seconds.clone(),
        );
        let mut private = Registry::with_prefix("bellwether");
        match maintnerd {
            Some((daemon, Readers::All)) => maintnerd::measure::register(daemon, ours),
            Some((daemon, Readers::Developers)) => maintnerd::measure::register(daemon, &mut private),
            None => {}
        }
        let edge = Arc::default();
        ours.register_collector(Box::new(Connections(Arc::clone(&edge))));
        Arc::new(Metrics { registry, private, measures, coordinator, dashboard, requests, seconds, edge })
    }

    /// Counts the connections of the server's edge from now on.
    pub fn connections(&self, edge: &Edge) {
        // There is one edge, and it is opened once.
        let _ = self.edge.set(edge.clone());
    }

    async fn text(&self, viewer: &Viewer) -> Result<String, String> {
        let status: Status =
            self.coordinator.get_json("/api/v1/status").await.map_err(|error| error.to_string())?;
        self.measures.observe(&status);
        let mut text = String::new();
        let written = encode_registry(&mut text, &self.registry)
            .and_then(|()| if viewer.sees_all() { encode_registry(&mut text, &self.private) } else { Ok(()) })
            .and_then(|()| encode_eof(&mut text));
        written.map(|()| text).map_err(|error| error.to_string())
    }

    async fn ready(&self) -> Result<(), String> {
        let asked = async {
            let _: serde_json::Value = self.coordinator.get_json("/api/v1/status").await?;
            let _: serde_json::Value = self.dashboard.get_json("/api/v1/repos").await?;
            Ok::<(), transport::CallError>(())
        };
        match tokio::time::timeout(READY, asked).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer in {} s", READY.as_secs())),
        }
    }
}

/// The routes of `/metrics` and `/readyz`.
pub fn routes(metrics: &Arc<Metrics>) -> Routes {
    Routes::new()
        .route("/metrics", get(Role::Reader, text))
        .route("/readyz", get(Role::Anonymous, ready))
        .with_state(Arc::clone(metrics))
}

/// Counts the requests of all routes of a router, those that are refused before them too.
pub fn measured(router: Router, metrics: &Arc<Metrics>) -> Router {
    router.layer(middleware::from_fn_with_state(Arc::clone(metrics), count))
}

async fn text(State(metrics): State<Arc<Metrics>>, viewer: Viewer) -> Response {
    match metrics.text(&viewer).await {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why).into_response(),
    }
}

async fn ready(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.ready().await {
        Ok(()) => "ok\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn count(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    // Words of ours only: what a stranger asks for must not make new rows.
    let method = match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    };
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let seconds = metrics.seconds.get_or_create_owned(&RouteLabel { route: route.clone() });
    seconds.observe(began.elapsed().as_secs_f64());
    let labels = RequestLabels { method, route, status: response.status().as_u16() };
    metrics.requests.get_or_create(&labels).inc();
    response
}

/// The connections of the edge, once it is open.
#[derive(Debug)]
struct Connections(Arc<OnceLock<Edge>>);

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(edge) = self.0.get() else { return Ok(()) };
        let gauge = ConstGauge::new(i64::try_from(edge.open()).unwrap_or(i64::MAX));
        let help = "Connections that are open now";
        gauge.encode(encoder.encode_descriptor("connections", help, None, gauge.metric_type())?)?;
        let counter = ConstCounter::new(edge.cut());
        let help = "Connections that were cut while they waited, or turned away, because there were too many";
        counter.encode(encoder.encode_descriptor("connections_cut", help, None, counter.metric_type())?)?;
        #[cfg(feature = "full")]
        if let Some(until) = edge.certificate_until() {
            let gauge = ConstGauge::new(until);
            let help = "When the certificate's time is over, since 1970";
            let unit = Some(&Unit::Seconds);
            gauge.encode(encoder.encode_descriptor(
                "certificate_until",
                help,
                unit,
                gauge.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

/// What Prometheus wants to know of each process, read when it is asked for.
#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if let Some(bytes) = resident_bytes() {
            let gauge = ConstGauge::new(bytes);
            let help = "Resident memory of this process";
            let unit = Unit::Bytes;
            let place = encoder.encode_descriptor(
                "process_resident_memory",
                help,
                Some(&unit),
                gauge.metric_type(),
            )?;
            gauge.encode(place)?;
        }
        let counter = ConstCounter::new(cpu_seconds());
        let help = "User and system CPU time of this process";
        let place =
            encoder.encode_descriptor("process_cpu", help, Some(&Unit::Seconds), counter.metric_type())?;
        counter.encode(place)?;
        if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
            let gauge = ConstGauge::new(i64::try_from(files.count()).unwrap_or(i64::MAX));
            let help = "Files, sockets and the like that this process has open";
            let place = encoder.encode_descriptor("process_open_fds", help, None, gauge.metric_type())?;
            gauge.encode(place)?;
        }
        Ok(())
    }
}

fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(i64::try_from(rustix::param::page_size()).ok()?)
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
