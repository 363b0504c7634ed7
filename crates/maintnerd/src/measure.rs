//! What Prometheus is told, read when it asks. No label names a person; sources are those of the configuration.

use std::fmt;
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::daemon::Daemon;
use crate::sources::SourceState;

/// What an answer of Prometheus' text format is called.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Puts a daemon's figures into a registry.
pub fn register(daemon: &Arc<Daemon>, registry: &mut Registry) {
    registry.sub_registry_with_prefix("maintner").register_collector(Box::new(Figures(daemon.clone())));
}

pub(crate) fn answer(daemon: &Arc<Daemon>) -> Response {
    let mut registry = Registry::with_prefix("bellwether");
    register(daemon, &mut registry);
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

struct Figures(Arc<Daemon>);

impl fmt::Debug for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let standing = self.0.standing();
        let number = |size: usize| i64::try_from(size).unwrap_or(i64::MAX);
        let bytes = i64::try_from(standing.bytes).unwrap_or(i64::MAX);
        for (name, help, unit, value) in [
            ("log", "Length of the log", Some(Unit::Bytes), bytes),
            ("segments", "Segments of the log", None, number(standing.segments)),
            ("issues", "Issues and pull requests that are known", None, number(standing.issues)),
            ("changes", "Changes that are known", None, number(standing.changes)),
            ("commits", "Commits that are known", None, number(standing.commits)),
            ("waiting", "Clients that wait for more of the log", None, number(standing.waiting)),
            ("trouble", "Whether the corpus may be old", None, i64::from(standing.trouble.is_some())),
            (
                "checkpoint_trouble",
                "Whether the last checkpoint that was due was not written",
                None,
                i64::from(standing.checkpoint_trouble.is_some()),
            ),
            (
                "sources_in_trouble",
                "Sources that can't be read",
                None,
                number(standing.sources.iter().filter(|source| source.trouble.is_some()).count()),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), gauge.metric_type())?)?;
        }
        let left = |source: &SourceState| source.budget.and_then(|budget| i64::try_from(budget.left).ok());
        let whole = |source: &SourceState| source.whole_until.map(Timestamp::as_second);
        for (name, help, unit, value) in [
            ("source_requests_left", "Requests that may still be made", None, &left as &dyn Fn(&_) -> _),
            (
                "source_whole_until",
                "Until when all that happened there is in the log, since 1970",
                Some(Unit::Seconds),
                &whole,
            ),
        ] {
            let mut told =
                standing.sources.iter().filter_map(|one| Some((one.name.as_str(), value(one)?))).peekable();
            // Without any there is no such metric.
            if told.peek().is_none() {
                continue;
            }
            let mut family = encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
            for (source, value) in told {
                ConstGauge::new(value).encode(family.encode_family(&[("source", source)])?)?;
            }
        }
        let counter = ConstCounter::new(standing.records);
        counter.encode(encoder.encode_descriptor(
            "mutations",
            "Mutations in the log",
            None,
            counter.metric_type(),
        )?)
    }
}
