//! What the coordinator counts, for Prometheus. No label names a repo, a builder or a person: a scraper may be anybody.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use store::alarms::AlarmRow;
use store::outbox::CountRow;

use crate::core::Status;
use crate::outbox::Kind;

/// Seconds: from a build that needs no work to one of hours.
const BUCKETS: [f64; 12] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 120.0, 300.0, 900.0, 1800.0, 3600.0, 10800.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    outcome: String,
    cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkerLabels {
    host: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabel {
    channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MessageLabels {
    channel: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SnapshotLabel {
    what: &'static str,
}

/// The counters and gauges. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Measures {
    builds: Family<OutcomeLabel, Counter>,
    attempts: Family<EndLabels, Counter>,
    attempt_seconds: Histogram,
    queue_seconds: Histogram,
    log_bytes: Counter,
    snapshots: Family<SnapshotLabel, Counter>,
    machines_lost: Counter,
    machines_set_aside: Counter,
    stuck: Counter,
    queued: Family<ReasonLabel, Gauge>,
    running: Gauge,
    workers: Family<WorkerLabels, Gauge>,
    messages_sent: Family<ChannelLabel, Counter>,
    messages_given_up: Family<ChannelLabel, Counter>,
    messages: Family<MessageLabels, Gauge>,
    alarms: Family<AlarmLabel, Gauge>,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            builds: Family::default(),
            attempts: Family::default(),
            attempt_seconds: Histogram::new(BUCKETS),
            queue_seconds: Histogram::new(BUCKETS),
            log_bytes: Counter::default(),
            snapshots: Family::default(),
            machines_lost: Counter::default(),
            machines_set_aside: Counter::default(),
            stuck: Counter::default(),
            queued: Family::default(),
            running: Gauge::default(),
            workers: Family::default(),
            messages_sent: Family::default(),
            messages_given_up: Family::default(),
            messages: Family::default(),
            alarms: Family::default(),
        }
    }
}

impl Measures {
    /// Puts them into a registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("builds", "Builds that came to their end, by outcome", self.builds.clone());
        registry.register(
            "attempts",
            "Attempts that ended, by outcome and kind of cause",
            self.attempts.clone(),
        );
        registry.register_with_unit(
            "attempt",
            "From the lease of a worker to the attempt's end",
            Unit::Seconds,
            self.attempt_seconds.clone(),
        );
        registry.register_with_unit(
            "queue",
            "From being queued to the lease of a worker",
            Unit::Seconds,
            self.queue_seconds.clone(),
        );
        registry.register_with_unit(
            "log",
            "Bytes of logs that were stored",
            Unit::Bytes,
            self.log_bytes.clone(),
        );
        registry.register("snapshots", "Built trees that were kept, or used", self.snapshots.clone());
        registry.register(
            "workers_lost",
            "Workers that died or went out of reach",
            self.machines_lost.clone(),
        );
        registry.register(
            "workers_set_aside",
            "Workers that were set aside",
            self.machines_set_aside.clone(),
        );
        registry.register(
            "scheduler_stuck",
            "Findings of the watchdog: what waits beside free capacity, machines that never came",
            self.stuck.clone(),
        );
        registry.register(
            "queued_builds",
            "Builds that wait now, by the kind of reason",
            self.queued.clone(),
        );
        registry.register("running_builds", "Builds that hold a worker now", self.running.clone());
        registry.register(
            "outbox_sent",
            "Messages to the world that arrived, by channel",
            self.messages_sent.clone(),
        );
        registry.register(
            "outbox_given_up",
            "Messages to the world that were given up, by channel",
            self.messages_given_up.clone(),
        );
        registry.register(
            "outbox_messages",
            "Messages to the world that wait, wait after an attempt that came to nothing, or are given up",
            self.messages.clone(),
        );
        // Each is there from the beginning, so that its first move is seen.
        for kind in Kind::ALL {
            let channel = kind.as_str();
            drop(self.messages_sent.get_or_create(&ChannelLabel { channel }));
            drop(self.messages_given_up.get_or_create(&ChannelLabel { channel }));
        }
        self.observe_outbox(&[]);
        registry.register("alarms", "Alarms that go on, by kind", self.alarms.clone());
        self.observe_alarms(&[]);
        registry.register("workers", "Workers that there are now, by host and state", self.workers.clone());
    }

    /// Takes over how things stand now.
    pub fn observe(&self, status: &Status) {
        let mut queued: BTreeMap<&'static str, i64> = BTreeMap::new();
        for waiting in &status.queued {
            *queued.entry(waiting.wait.reason.kind()).or_default() += 1;
        }
        self.queued.clear();
        for (reason, count) in queued {
            self.queued.get_or_create(&ReasonLabel { reason: reason.to_owned() }).set(count);
        }
        self.running.set(i64::try_from(status.running.len()).unwrap_or(i64::MAX));
        let mut workers: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for worker in &status.workers {
            *workers.entry((&worker.host, &worker.state)).or_default() += 1;
        }
        self.workers.clear();
        for ((host, state), count) in workers {
            let labels = WorkerLabels { host: host.to_owned(), state: state.to_owned() };
            self.workers.get_or_create(&labels).set(count);
        }
    }

    /// Takes over how messages to the world stand now.
    pub(crate) fn observe_outbox(&self, rows: &[CountRow]) {
        self.messages.clear();
        for channel in Kind::ALL.map(Kind::as_str) {
            for state in ["waiting", "failing", "given_up"] {
                drop(self.messages.get_or_create(&MessageLabels { channel: channel.to_owned(), state }));
            }
        }
        for row in rows {
            let counts = match &*row.state {
                "given_up" => [("given_up", row.count), ("", 0)],
                _ => [("waiting", row.count - row.failed), ("failing", row.failed)],
            };
            for (state, count) in counts.into_iter().filter(|(state, _)| !state.is_empty()) {
                let labels = MessageLabels { channel: row.channel.clone(), state };
                self.messages.get_or_create(&labels).inc_by(count);
            }
        }
    }

    /// Takes over which alarms go on.
    pub(crate) fn observe_alarms(&self, live: &[AlarmRow]) {
        for kind in buildenv::Alarms::KINDS {
            let count = live.iter().filter(|alarm| alarm.kind == kind).count();
            self.alarms.get_or_create(&AlarmLabel { kind }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    pub(crate) fn message_sent(&self, channel: &'static str) {
        self.messages_sent.get_or_create(&ChannelLabel { channel }).inc();
    }

    pub(crate) fn message_given_up(&self, channel: &'static str) {
        self.messages_given_up.get_or_create(&ChannelLabel { channel }).inc();
    }

    pub(crate) fn leased(&self, waited: Duration) {
        self.queue_seconds.observe(waited.as_secs_f64());
    }

    pub(crate) fn attempt_ended(&self, outcome: &str, cause: &str, took: Duration) {
        let labels = EndLabels { outcome: outcome.to_owned(), cause: cause.to_owned() };
        self.attempts.get_or_create(&labels).inc();
        self.attempt_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn build_ended(&self, outcome: &str) {
        self.builds.get_or_create(&OutcomeLabel { outcome: outcome.to_owned() }).inc();
    }

    pub(crate) fn logged(&self, bytes: u64) {
        self.log_bytes.inc_by(bytes);
    }

    pub(crate) fn snapshot_kept(&self) {
        self.snapshots.get_or_create(&SnapshotLabel { what: "kept" }).inc();
    }

    pub(crate) fn snapshot_used(&self) {
        self.snapshots.get_or_create(&SnapshotLabel { what: "used" }).inc();
    }

    pub(crate) fn machine_lost(&self) {
        self.machines_lost.inc();
    }

    pub(crate) fn stuck(&self) {
        self.stuck.inc();
    }

    pub(crate) fn machine_set_aside(&self) {
        self.machines_set_aside.inc();
    }
}
