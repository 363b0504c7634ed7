//! An attempt's rows as the driver knows them, and the transactions that move them on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use buildlet_client::Status;
use dashboard::api::{Cause, SpreadPart, StepReport};
use futures::StreamExt as _;
use serde_json::{Value, json};
use store::attempts::{self, AttemptRow, Decision};
use store::builds::{self, BuildRow};
use store::leases::{self, NewLease};
use store::snapshots;
use store::spans::{self, SpanRow};
use store::{AttemptId, LeaseId, ObjectError, StoreError, Tx};

use super::kept;
use super::retry::{another, flake};
use super::times::{between, parts_before, steps_before, timestamp};
use super::{Buildlet, Grant, Shared, Start, Trouble, Verdict};
use crate::clock::{SharedClock, new_id};
use crate::job::{Job, Step};
use crate::ledger::transition;
use crate::recipe::{End, Ended};
use crate::redact::Secrets;
use crate::standing;
use crate::vault::Values;

/// How a snapshot's name ends.
const SUFFIX: &str = ".tar.gz";

/// The longest a lease may last beyond the time limits of its steps.
const SLACK: Duration = Duration::from_secs(3600);

/// How the error of a step's span begins that ran over its time, or over a limit.
const RAN_OVER: &str = "ran over ";
const OVER_LIMIT: &str = "went over its limit: ";

pub(crate) struct Record {
    pub build: BuildRow,
    pub attempt: AttemptRow,
    pub job: Job,
    pub fence: i64,
    pub resumed: bool,
    /// The job's variables that hold secrets.
    pub values: Values,
    /// What is taken out of every word of the worker's before it is written down.
    pub secrets: Arc<Secrets>,
    clock: SharedClock,
    /// What a listing step listed and the builder wants.
    pub tests: Vec<String>,
    /// Whether that is known: a coordinator that died takes it along.
    pub chosen: bool,
    /// Whether the builder wants nothing of what was listed.
    pub none_left: bool,
    /// Lines of ours that the log begins with.
    pub notices: Vec<String>,
    spans: Vec<SpanRow>,
    /// Spans from here on are not written, or not as they are now.
    written: usize,
    pub(crate) inputs: BTreeMap<String, Value>,
    /// What files of several machines have told of tests, where they were spread.
    pub(crate) junit: Option<super::junit::Junit>,
    warnings: Vec<String>,
    /// How many warnings were written with the verdict.
    warned: usize,
    steps: Vec<StepReport>,
}

impl Record {
    /// Begins a new attempt, or takes one over.
    pub async fn begin(shared: &Shared, grant: Grant) -> Result<Record, StoreError> {
        let Grant { build, worker, machine, host, start, .. } = grant;
        let ledger = &shared.ledger;
        match start {
            Start::New(mut job) => {
                let values = shared.secrets.of(&job);
                job.secrets_proof = shared.secrets.prove(&values).await;
                let (now, fence) = (ledger.clock().now(), ledger.next_fence());
                let inputs = BTreeMap::from([
                    ("revision".to_owned(), json!(job.revision)),
                    ("digest".to_owned(), json!(job.digest)),
                    ("host".to_owned(), json!(host)),
                    ("worker".to_owned(), json!(worker)),
                    ("machine".to_owned(), json!(machine)),
                ]);
                let mut attempt = AttemptRow {
                    id: new_id!(AttemptId, **ledger.clock()),
                    build: build.id,
                    number: build.attempts + 1,
                    lease: new_id!(LeaseId, **ledger.clock()),
                    worker,
                    host,
                    fence,
                    state: "leased".into(),
                    step: 0,
                    outcome: None,
                    cause: None,
                    job: serde_json::to_string(&job).unwrap_or_default(),
                    inputs: serde_json::to_string(&inputs).unwrap_or_default(),
                    warnings: "[]".into(),
                    started: now,
                    ended: None,
                    seal: None,
                };
                attempt.seal = Some(shared.orders.key.seal(&attempt));
                let steps: u64 = job.steps.iter().map(|step| step.timeout_ms).sum();
                let until = now + Duration::from_millis(steps) + SLACK;
                let lease = NewLease {
                    id: attempt.lease,
                    worker,
                    build: build.id,
                    attempt: attempt.id,
                    fence,
                    until,
                };
                let queued = SpanRow {
                    n: 0,
                    name: "queued".into(),
                    detail: String::new(),
                    start: build.queued,
                    end: Some(now.max(build.queued)),
                    error: None,
                };
                let begun = transition!(ledger, "lease", build.id, |tx| {
                    builds::lease(&mut tx, build.id, fence, now).await?;
                    attempts::insert(&mut tx, &attempt).await?;
                    leases::insert(&mut tx, &lease, now).await?;
                    spans::put(&mut tx, attempt.id, std::slice::from_ref(&queued)).await?;
                });
                if let Err(error) = begun {
                    // A commit whose answer was lost looks stale when tried again: the row tells.
                    let row = builds::get(&mut ledger.db().read().await?, build.id).await?;
                    if row.is_none_or(|row| row.fence != fence) {
                        return Err(error);
                    }
                }
                let mut record = Record {
                    build: BuildRow { fence, attempts: build.attempts + 1, state: "leased".into(), ..build },
                    attempt,
                    job: *job,
                    fence,
                    resumed: false,
                    secrets: shared.secrets.compiled(&values),
                    values,
                    clock: Arc::clone(ledger.clock()),
                    tests: Vec::new(),
                    chosen: false,
                    none_left: false,
                    notices: Vec::new(),
                    spans: vec![queued],
                    written: 1,
                    inputs,
                    junit: None,
                    warnings: Vec::new(),
                    warned: 0,
                    steps: Vec::new(),
                };
                record.span("lease", &worker.to_string());
                Ok(record)
            }
            Start::Resume(attempt) => Record::take_over(shared, build, *attempt).await,
        }
    }

    async fn take_over(shared: &Shared, build: BuildRow, attempt: AttemptRow) -> Result<Record, StoreError> {
        let ledger = &shared.ledger;
        let (old, fence) = (attempt.fence, ledger.next_fence());
        let corrupt =
            |error: serde_json::Error| StoreError::Corrupt(format!("attempt {}: {error}", attempt.id));
        let job: Job = serde_json::from_str(&attempt.job).map_err(corrupt)?;
        let inputs = serde_json::from_str(&attempt.inputs).map_err(corrupt)?;
        let warnings: Vec<String> = serde_json::from_str(&attempt.warnings).map_err(corrupt)?;
        let mut spans = spans::of_attempt(&mut ledger.db().read().await?, attempt.id).await?;
        let steps: u64 = job.steps.iter().map(|step| step.timeout_ms).sum();
        let now = ledger.clock().now();
        let until = now + Duration::from_millis(steps) + SLACK;
        // Tried again after a commit whose answer was lost, the rows have the new fence already.
        transition!(ledger, "take_over", build.id, |tx| {
            let row = builds::get(&mut tx, build.id).await?;
            if row.is_none_or(|row| row.fence != fence) {
                leases::refence(&mut tx, attempt.lease, old, fence, until).await?;
                attempts::refence(&mut tx, attempt.id, old, fence).await?;
                builds::refence(&mut tx, build.id, old, fence).await?;
            }
        })?;
        for span in spans.iter_mut().filter(|span| span.end.is_none()) {
            span.end = Some(now);
        }
        let values = shared.secrets.of(&job);
        let secrets = shared.secrets.compiled(&values);
        let steps = steps_before(&job, &spans, attempt.step, &secrets);
        Ok(Record {
            build: BuildRow { fence, ..build },
            attempt: AttemptRow { fence, ..attempt },
            job,
            fence,
            resumed: true,
            secrets,
            values,
            clock: Arc::clone(ledger.clock()),
            tests: Vec::new(),
            chosen: false,
            none_left: false,
            notices: Vec::new(),
            written: 0,
            spans,
            inputs,
            warned: warnings.len(),
            junit: None,
            warnings,
            steps,
        })
    }

    /// The verdict that was reached before the coordinator died.
    pub fn decided(&self) -> Option<Verdict> {
        if self.attempt.state != "reporting" {
            return None;
        }
        let outcome = match self.attempt.outcome.as_deref()? {
            "ok" => "ok",
            "failed" => "failed",
            "cancelled" => "cancelled",
            _ => "infra_failed",
        };
        let cause = self.attempt.cause.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Some(Verdict { outcome, cause })
    }

    /// Notes what answers at the other end.
    pub fn note_buildlet(&mut self, status: &Status) {
        let ours = status.bellwether.as_ref();
        let version = match ours {
            Some(ours) => ours.version.clone(),
            None => format!("original {}", status.version),
        };
        self.inputs.insert("buildlet_version".into(), json!(version));
        self.inputs.insert("buildlet_digest".into(), json!(ours.map(|ours| ours.digest.clone())));
    }

    /// Notes an input.
    pub fn input(&mut self, name: &str, value: Value) {
        self.inputs.insert(name.to_owned(), value);
    }

    /// Whether the toolchain came as a snapshot.
    pub fn has_snapshot(&self) -> bool {
        self.inputs.contains_key("snapshot")
    }

    /// Notes something that changes no outcome.
    pub fn warn(&mut self, warning: String) {
        self.warnings.push(self.secrets.clean(&warning));
    }

    /// Keeps those of the listed tests that the builder wants.
    pub fn choose(&mut self, mut listed: Vec<String>) {
        let of = |patterns: &[String]| {
            buildenv::Patterns::of(patterns.iter().map(String::as_str)).unwrap_or_default()
        };
        let (wanted, tried) = (of(&self.job.tests), of(&self.job.try_tests));
        let some = !listed.is_empty();
        listed.retain(|test| wanted.matches(test) && tried.matches(test));
        self.none_left = some && listed.is_empty();
        self.chosen = true;
        self.tests = listed;
    }

    /// The timed parts that have ended since the lease.
    pub fn parts_before(&self) -> Vec<SpreadPart> {
        parts_before(&self.spans)
    }

    /// Begins a span, ending the one before it.
    pub fn span(&mut self, name: &str, detail: &str) {
        self.end_span(None);
        let span = SpanRow {
            n: self.spans.len() as i64,
            name: name.to_owned(),
            detail: self.secrets.clean(detail),
            start: self.spans.last().and_then(|span| span.end).unwrap_or_default(),
            end: None,
            error: None,
        };
        self.spans.push(span);
    }

    /// Ends the span that is open.
    pub fn end_span(&mut self, error: Option<String>) {
        self.end_span_at(self.clock.now(), error);
    }

    fn end_span_at(&mut self, now: store::Micros, error: Option<String>) {
        if let Some(span) = self.spans.last_mut().filter(|span| span.end.is_none()) {
            span.end = Some(now.max(span.start));
            span.error = error.map(|error| self.secrets.clean(&error));
            self.written = self.written.min(self.spans.len() - 1);
        }
    }

    async fn write_spans(
        spans: &[SpanRow],
        written: usize,
        attempt: AttemptId,
        tx: &mut Tx,
    ) -> Result<(), StoreError> {
        spans::put(tx, attempt, &spans[written.min(spans.len())..]).await
    }

    /// Moves the attempt and its build on.
    pub async fn advance(
        &mut self,
        shared: &Shared,
        state: &'static str,
        step: usize,
    ) -> Result<(), Trouble> {
        let (build, attempt, fence) = (self.build.id, self.attempt.id, self.fence);
        let (spans, written) = (&self.spans, self.written);
        let done = match state {
            "preparing" => transition!(&shared.ledger, "preparing", build, |tx| {
                attempts::advance(&mut tx, attempt, fence, state, step as i64).await?;
                builds::advance(&mut tx, build, fence, state).await?;
                Self::write_spans(spans, written, attempt, &mut tx).await?;
            }),
            _ => transition!(&shared.ledger, "running", build, |tx| {
                attempts::advance(&mut tx, attempt, fence, state, step as i64).await?;
                builds::advance(&mut tx, build, fence, state).await?;
                Self::write_spans(spans, written, attempt, &mut tx).await?;
            }),
        };
        done?;
        self.attempt.state = state.to_owned();
        self.attempt.step = step as i64;
        self.written = self.spans.len();
        shared.reports.note(build);
        Ok(())
    }

    /// A step is to run now.
    pub async fn begin_step(
        &mut self,
        shared: &Shared,
        index: usize,
        step: &Step,
        log: u64,
    ) -> Result<(), Trouble> {
        self.span(&step.name, &step.run);
        self.steps.push(StepReport {
            name: step.name.clone(),
            index: u32::try_from(index).ok(),
            command: Some(self.secrets.clean(&step.run)),
            started: timestamp(self.spans.last().map(|span| span.start)),
            ended: None,
            exit: None,
            first_byte: Some(log),
            end_byte: None,
        });
        // A worker that dies with it leaves no other word of it.
        self.inputs.insert("steps".into(), json!(self.steps));
        self.advance(shared, "running", index).await
    }

    /// The step that runs has ended.
    pub fn end_step(&mut self, ended: &Ended, log: u64) {
        let error = match &ended.end {
            End::Ok => None,
            End::Exit(state) => Some(state.clone()),
            End::Timeout(limit) => Some(format!("{RAN_OVER}{} s", limit.as_secs_f64())),
            End::Limit(kind) => Some(format!("{OVER_LIMIT}{kind}")),
            End::Cancelled => Some("cancelled".into()),
        };
        // The command had ended when its output did; what came after was the way of the last bytes into the store.
        let now = self.clock.now();
        let over = store::Micros(now.0.saturating_sub(i64::try_from(ended.drained.as_micros()).unwrap_or(0)));
        self.end_span_at(over, error);
        let span_end = timestamp(self.spans.last().and_then(|span| span.end));
        self.span("log drain", "");
        self.end_span(None);
        if let Some(step) = self.steps.last_mut() {
            step.ended = span_end;
            step.exit = ended.state.exit_code;
            step.end_byte = Some(log);
            self.inputs.insert("steps".into(), json!(self.steps));
        }
        for left in &ended.state.leftovers {
            self.warn(format!("left behind and ended: process {} ({})", left.pid, left.cmd));
        }
    }

    /// The verdict as it was when the coordinator before us died: a step may have failed and others go on nevertheless.
    pub fn judged_before(&self) -> Verdict {
        let failed = self.steps.iter().find(|step| step.exit != Some(0));
        let span = failed
            .and_then(|step| self.spans.iter().find(|span| span.name == step.name && span.error.is_some()));
        let Some((span, said)) = span.and_then(|span| Some((span, span.error.as_deref()?))) else {
            return Verdict { outcome: "ok", cause: None };
        };
        match said.strip_prefix(OVER_LIMIT) {
            Some(kind) => Verdict::failed("limit", kind),
            None if said.starts_with(RAN_OVER) => Verdict::failed("timeout", format!("{} {said}", span.name)),
            None => Verdict::failed("exit", format!("{}: {said}", span.name)),
        }
    }

    /// How long the build was queued before this attempt.
    pub fn waited(&self) -> Duration {
        between(self.build.queued, self.attempt.started)
    }

    /// How long the attempt has taken so far.
    pub fn took(&self) -> Duration {
        between(self.attempt.started, self.clock.now())
    }

    /// Where the latest step's output lies in the log.
    pub fn step_bytes(&self) -> (u64, u64) {
        let step = self.steps.last();
        let first = step.and_then(|step| step.first_byte).unwrap_or(0);
        (first, step.and_then(|step| step.end_byte).unwrap_or(first))
    }

    /// The verdict of a build that was ended on request.
    pub async fn cancelled(&mut self, shared: &Shared) -> Result<Verdict, Trouble> {
        let row = builds::get(&mut shared.ledger.db().read().await?, self.build.id).await?;
        let said = row.and_then(|row| row.cancel);
        let cause = said
            .and_then(|text| serde_json::from_str::<Cause>(&text).ok())
            .unwrap_or_else(|| Cause { kind: "person".into(), detail: "cancelled".into() });
        Ok(Verdict { outcome: "cancelled", cause: Some(cause) })
    }

    /// Keeps the tree that the step has built, unless the same is kept: the subject's, or its toolchain's that had no snapshot.
    pub async fn snapshot(
        &mut self,
        shared: &Shared,
        buildlet: &Buildlet,
        step: &Step,
    ) -> Result<(), Trouble> {
        let Some((key, dir)) = self.job.snapshot_of(step) else { return Ok(()) };
        self.span("snapshot", &key);
        let error = match self.keep_snapshot(shared, buildlet, &key, &dir).await? {
            Ok(()) => None,
            Err(error) => Some(error.to_string()),
        };
        if error.is_none() {
            shared.measures.snapshot_kept();
        }
        let _ = shared.snapshots.try_send(self.build.id);
        if let Some(error) = &error {
            // The build is judged by its steps; the next one just has to build the tree again.
            self.warn(format!("the snapshot could not be kept: {error}"));
        }
        self.end_span(error);
        Ok(())
    }

    /// Uploads under a name of this attempt's own; that this is the snapshot is said in a transaction under our fence, by
    /// the first that comes. No transaction waits for the object store.
    async fn keep_snapshot(
        &self,
        shared: &Shared,
        buildlet: &Buildlet,
        key: &str,
        dir: &str,
    ) -> Result<Result<(), ObjectError>, Trouble> {
        let objects = &shared.objects;
        let known = kept::object(shared, key).await?;
        match objects.exists(known.as_deref().unwrap_or(key)).await {
            Ok(false) => {}
            Ok(true) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
        let stem = key.strip_suffix(SUFFIX).unwrap_or(key);
        let object = format!("{stem}-{}-{}{SUFFIX}", self.attempt.id, self.fence);
        let stream = buildlet.tgz(dir).await?;
        let stream = stream.map(|chunk| chunk.map_err(std::io::Error::other));
        if let Err(error) = objects.put_stream(&object, stream).await {
            return Ok(Err(error));
        }
        let (attempt, fence, step) = (self.attempt.id, self.fence, self.attempt.step);
        let now = shared.ledger.clock().now();
        let named = transition!(&shared.ledger, "snapshot", self.build.id, |tx| {
            attempts::advance(&mut tx, attempt, fence, "running", step).await?;
            snapshots::put(&mut tx, key, &object, known.as_deref(), now).await?
        });
        if named.as_ref().map_or(true, |named| *named != object) {
            // It is nobody's: what is left behind is only a file, and is swept some day.
            let _ = objects.delete(&object).await;
        }
        named?;
        Ok(Ok(()))
    }

    fn cause_text(&self, verdict: &Verdict) -> Option<String> {
        let cause = verdict.cause.as_ref()?;
        let cause = Cause { kind: cause.kind.clone(), detail: self.secrets.clean(&cause.detail) };
        serde_json::to_string(&cause).ok()
    }

    /// Writes the verdict down, before it is reported.
    pub async fn decide(&mut self, shared: &Shared, verdict: &Verdict) -> Result<(), Trouble> {
        self.end_span(None);
        let (build, attempt, fence) = (self.build.id, self.attempt.id, self.fence);
        let (spans, written) = (&self.spans, self.written);
        let decision = Decision {
            outcome: verdict.outcome.to_owned(),
            cause: self.cause_text(verdict),
            warnings: serde_json::to_string(&self.warnings).unwrap_or_default(),
            inputs: serde_json::to_string(&self.inputs).unwrap_or_default(),
        };
        transition!(&shared.ledger, "reporting", build, |tx| {
            attempts::decide(&mut tx, attempt, fence, &decision).await?;
            builds::advance(&mut tx, build, fence, "reporting").await?;
            Self::write_spans(spans, written, attempt, &mut tx).await?;
        })?;
        self.attempt.state = "reporting".into();
        self.warned = self.warnings.len();
        self.written = self.spans.len();
        Ok(())
    }

    /// Ends the attempt, and the build with it, unless the machines are to blame and it may be tried again. Returns
    /// whether it is queued again.
    pub async fn end(&mut self, shared: &Shared, verdict: &Verdict) -> Result<bool, StoreError> {
        self.end_span(
            verdict
                .cause
                .as_ref()
                .filter(|_| verdict.outcome == "infra_failed")
                .map(|cause| cause.detail.clone()),
        );
        let ledger = &shared.ledger;
        let now = ledger.clock().now();
        // Where the clock went back, nothing ends before it began.
        let ended_at = self.spans.iter().filter_map(|span| span.end).fold(now, store::Micros::max);
        let (build, attempt, lease, fence) = (self.build.id, self.attempt.id, self.attempt.lease, self.fence);
        let cause = self.cause_text(verdict);
        let (number, since) = (self.attempt.number, self.build.retried_from);
        let (spans, written) = (&self.spans, self.written);
        let decision = |warnings: &[String]| Decision {
            outcome: verdict.outcome.to_owned(),
            cause: cause.clone(),
            warnings: serde_json::to_string(warnings).unwrap_or_default(),
            inputs: serde_json::to_string(&self.inputs).unwrap_or_default(),
        };
        let saw = standing::look(shared, &self.build, &self.attempt, verdict.outcome, cause.as_deref()).await;
        let decided = self.attempt.state == "reporting" && self.warnings.len() == self.warned;
        let mut again = false;
        let ended = transition!(ledger, "done", build, |tx| {
            let mut before = match number - since {
                ..2 => Vec::new(),
                _ => attempts::of_build(&mut tx, build).await?,
            };
            before.retain(|row| row.number > since && row.number < number);
            let flake = flake(verdict, &before);
            if !decided || flake.is_some() {
                let warnings: Vec<String> = self.warnings.iter().cloned().chain(flake).collect();
                attempts::decide(&mut tx, attempt, fence, &decision(&warnings)).await?;
            }
            let pause = another(verdict, &before, self.job.retries);
            again = pause.is_some();
            attempts::finish(&mut tx, attempt, fence, verdict.outcome, cause.as_deref(), ended_at).await?;
            leases::end(&mut tx, lease, fence, now).await?;
            if let Some(pause) = pause {
                builds::requeue(&mut tx, build, fence, now + pause, now).await?;
            } else {
                builds::finish(&mut tx, build, fence, verdict.outcome, cause.as_deref(), ended_at).await?;
                let (build, outcome, cause) = (&self.build, verdict.outcome, cause.as_deref());
                let end = standing::End { build, outcome, before: &before, cause, at: ended_at, saw: &saw };
                standing::note(&mut tx, shared, end).await?;
            }
            Self::write_spans(spans, written, attempt, &mut tx).await?;
        });
        if let Err(error) = ended {
            let rows = attempts::of_build(&mut ledger.db().read().await?, build).await?;
            let done = rows.iter().any(|row| row.id == attempt && row.fence == fence && row.ended.is_some());
            if !done {
                return Err(error);
            }
        }
        Ok(again)
    }
}
