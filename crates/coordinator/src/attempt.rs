//! Drives one attempt through its life: leased, preparing, running, reporting, done. Each arrow is one transaction.
//!
//! A driver that is started for an attempt which another coordinator had begun goes on at the row's state: preparing is done
//! again from a clean work directory, a step that runs is found by its id and read on, a report is sent again.

mod artifacts;
mod buildlet;
pub(crate) mod junit;
mod kept;
pub(crate) mod landed;
mod original;
mod prepare;
mod record;
mod results;
mod retry;
mod times;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use buildlet_client::{About, BuildletClient};
use dashboard::api::{BuildReport, Cause};
use dashboard::client::DashboardClient;
use futures::StreamExt as _;
use store::{BuildId, Objects, StoreError, WorkerId, attempts::AttemptRow, builds::BuildRow};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use transport::Service;

use crate::gomote::{Coming, Gomotes, take_wanted};
use crate::job::{Job, Step, Trust, When};
use crate::ledger::Ledger;
use crate::log::{self, LogWriter};
use crate::measure::Measures;
use crate::mutes::Mutes;
use crate::orders::{Signs, UNSEALED};
use crate::own_rules::OwnRules;
use crate::recipe::{End, Run, Surroundings};
use crate::report::ReportQueue;
use crate::spread::Ask;
use crate::spread::lead::{self, Lead};
use crate::usual::Usual;
use crate::vault::Vault;
pub(crate) use buildlet::{Buildlet, Left};
pub(crate) use record::Record;
pub(crate) use retry::avoided;
pub(crate) use trouble::{Trouble, disk_full};

/// What drivers share.
pub struct Shared {
    /// The durable side.
    pub ledger: Ledger,
    /// Where logs, results and reports go.
    pub dashboard: DashboardClient,
    /// Where sources come from.
    pub mirror: Service,
    /// Where snapshots lie.
    pub objects: Objects,
    /// The values of secrets.
    pub secrets: Vault,
    /// Told of each build whose report has changed.
    pub reports: ReportQueue,
    /// How long builds take as a rule.
    pub usual: Usual,
    /// What is counted.
    pub measures: Measures,
    /// Told of each build whose snapshot is kept now; what waits for it goes on at the build's end otherwise.
    pub snapshots: mpsc::Sender<BuildId>,
    /// Takes asks for machines to spread tests over.
    pub(crate) helpers: mpsc::Sender<Ask>,
    /// Told of each build that is done, as it was reported.
    pub ended: broadcast::Sender<Arc<BuildReport>>,
    /// How long a worker may be out of reach.
    pub patience: Duration,
    /// What orders are signed with.
    pub(crate) orders: Arc<Signs>,
    /// Machines that people hold.
    pub(crate) gomotes: Gomotes,
    /// Which tests people have muted.
    pub(crate) mutes: Mutes,
    /// Rules that have not landed, of builds that are made by such.
    pub(crate) own_rules: Arc<OwnRules>,
    /// The configuration, as it changes.
    pub(crate) config: watch::Receiver<Arc<buildenv::Config>>,
}

/// A build and the machine that it has.
pub struct Grant {
    /// The build's row, as it was queued.
    pub build: BuildRow,
    /// The machine.
    pub worker: WorkerId,
    /// What it calls itself; its id, if the server has made it.
    pub machine: String,
    /// Its host.
    pub host: String,
    /// Its buildlet.
    pub buildlet: Buildlet,
    /// How long it may be out of reach, if not as long as any.
    pub patience: Option<Duration>,
    /// Whether this is a new attempt or one to go on with.
    pub start: Start,
}

/// How a driver starts.
pub enum Start {
    /// With a new attempt at this job.
    New(Box<Job>),
    /// With an attempt that was under way.
    Resume(Box<AttemptRow>),
}

/// What becomes of the machine.
#[derive(Debug)]
pub enum Fate {
    /// It is clean and free.
    Idle,
    /// It takes no more work.
    SetAside(String),
    /// It has done the one attempt that it is good for, and is to end.
    Used(String),
    /// It is dead, or can't be reached.
    Lost(String),
    /// It is as the build left it, and is held for somebody.
    Held(Box<Coming>),
}

/// How a driver ended.
#[derive(Debug)]
pub struct Driven {
    /// The build.
    pub build: BuildId,
    /// The machine.
    pub worker: WorkerId,
    /// The machine's host.
    pub host: String,
    /// What becomes of the machine.
    pub fate: Fate,
    /// Whether the build is queued again.
    pub requeued: bool,
    /// Whether another coordinator has taken over.
    pub stale: bool,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub outcome: &'static str,
    pub cause: Option<Cause>,
}

/// How the kinds of causes begin that are the machine's own; the others are the server's.
const OF_THE_WORKER: &str = "worker_";

impl Verdict {
    fn infra(kind: &str, detail: impl Into<String>) -> Verdict {
        Verdict { outcome: "infra_failed", cause: Some(Cause { kind: kind.into(), detail: detail.into() }) }
    }

    fn failed(kind: &str, detail: impl Into<String>) -> Verdict {
        Verdict { outcome: "failed", cause: Some(Cause { kind: kind.into(), detail: detail.into() }) }
    }
}

/// Drives an attempt to its end.
pub async fn drive(
    shared: Arc<Shared>,
    mut grant: Grant,
    cancel: CancellationToken,
    gone: CancellationToken,
) -> Driven {
    let (build, worker, host) = (grant.build.id, grant.worker, grant.host.clone());
    let driven = |fate, requeued, stale| Driven { build, worker, host: host.clone(), fate, requeued, stale };
    let buildlet = grant.buildlet.clone();
    let patience = grant.patience;
    let around = Surroundings { cancel, gone, patience: patience.unwrap_or(shared.patience) };
    let mut untrusted = None;
    if let Start::New(job) = &mut grant.start {
        let unreviewed = grant.build.untrusted;
        let trust = tokio::select! {
            // Even if it has landed since: it was queued as what nobody has reviewed, and stays that.
            () = async {}, if unreviewed => Ok(Trust::Untrusted),
            trust = landed::trust(&shared, job), if !unreviewed => trust,
            // It ends before a step is begun.
            () = around.cancel.cancelled() => Ok(Trust::Unlanded),
            () = around.gone.cancelled() => Err(Trouble::lost("the machine is gone")),
        };
        job.trust = trust.unwrap_or_else(|trouble| {
            untrusted = Some(trouble);
            Trust::Unlanded
        });
        if job.trust != Trust::Landed {
            job.secrets.clear();
        }
    }
    let mut record = match Record::begin(&shared, grant).await {
        Ok(record) => record,
        // Withdrawn in the meantime, or another coordinator leads: the machine was not touched.
        Err(StoreError::Stale) => return driven(Fate::Idle, false, false),
        Err(error) => {
            tracing::error!(%build, %error, "an attempt could not be begun");
            return driven(Fate::Idle, false, false);
        }
    };
    shared.reports.note(build);
    if !record.resumed {
        shared.measures.leased(record.waited());
    }
    let about = About { commits: record.job.commits(), trust: record.job.trust.as_str() };
    let buildlet = buildlet.fenced(record.fence as u64, &record.attempt.lease.to_string()).about(about);
    let mut fate = None;
    let worked = match untrusted {
        None => work(&shared, &mut record, &buildlet, &around).await,
        Some(trouble) => Err(trouble),
    };
    let worked = match worked {
        Err(Trouble::Newer) => Err(whose_word(&shared).await),
        worked => worked,
    };
    let verdict = match worked {
        Ok(verdict) => verdict,
        Err(Trouble::Stale | Trouble::Newer) => return driven(Fate::Idle, false, true),
        Err(Trouble::Infra { verdict, fate: said }) => {
            fate = said;
            match finish_log(&shared, &mut record).await {
                Err(Trouble::Stale) => return driven(Fate::Idle, false, true),
                _ => verdict,
            }
        }
    };
    let verdict = match verdict.outcome {
        // It was to end anyhow: nobody waits for another machine to do so.
        "infra_failed" if around.cancel.is_cancelled() => record.cancelled(&shared).await.unwrap_or(verdict),
        _ => verdict,
    };
    let requeued = match record.end(&shared, &verdict).await {
        Ok(requeued) => requeued,
        Err(error) => {
            tracing::error!(%build, %error, "an attempt's end could not be written");
            return driven(Fate::Idle, false, true);
        }
    };
    let cause = verdict.cause.as_ref().map_or("", |cause| cause.kind.as_str());
    shared.measures.attempt_ended(verdict.outcome, cause, record.took());
    if !requeued {
        shared.measures.build_ended(verdict.outcome);
    }
    match requeued {
        true => shared.reports.note(build),
        false => shared.reports.note_done(build),
    }
    let clean = |reason: String| record.secrets.clean(&reason);
    let wish = if requeued { None } else { take_wanted(&shared, build).await };
    let fate = match (fate, wish) {
        (None, Some(coming)) if verdict.outcome == "failed" => Fate::Held(Box::new(coming)),
        (fate, wish) => {
            // Nothing comes of it.
            drop(wish);
            buildlet.let_go(fate, patience, &around.gone).await
        }
    };
    let fate = match fate {
        Fate::Idle | Fate::Held(_) => fate,
        Fate::SetAside(reason) => Fate::SetAside(clean(reason)),
        Fate::Used(reason) => Fate::Used(clean(reason)),
        Fate::Lost(reason) => Fate::Lost(clean(reason)),
    };
    driven(fate, requeued, false)
}

/// What it is that a machine takes no orders of ours: another coordinator leads; or the machine has obeyed one of another
/// database, or lies.
pub(crate) async fn whose_word(shared: &Shared) -> Trouble {
    match shared.ledger.begin().await {
        Err(_) => Trouble::Stale,
        Ok(_) => {
            let reason = "it has obeyed a server that this one does not know, with higher fences: give its agent another \
                --state-dir";
            Trouble::Infra {
                verdict: Verdict::infra("worker_refused", reason),
                fate: Some(Fate::SetAside(reason.to_owned())),
            }
        }
    }
}

/// Wipes a worker, again while it is out of reach: a few times, or as long as its pool waits for it.
pub(crate) async fn wiped(
    client: &BuildletClient,
    patience: Option<Duration>,
    gone: &CancellationToken,
) -> Result<buildlet_client::WipeReport, buildlet_client::Error> {
    let began = tokio::time::Instant::now();
    let mut pauses = [50, 200, 1000].iter();
    loop {
        let error = match client.wipe().await {
            Err(error) if error.is_transient() && !gone.is_cancelled() => error,
            done => return done,
        };
        let pause = match (pauses.next(), patience) {
            (Some(pause), _) => *pause,
            (None, Some(patience)) if began.elapsed() < patience => 1000,
            (None, _) => return Err(error),
        };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            () = gone.cancelled() => return Err(error),
        }
    }
}

/// Says what a wipe left, without the words of what was left: those may hold anything.
pub(crate) fn unclean(report: &buildlet_client::WipeReport) -> String {
    let kept: Vec<_> =
        report.canaries.iter().filter(|(_, gone)| !**gone).map(|(what, _)| what.as_str()).collect();
    let mut said = "not clean after a wipe".to_owned();
    if !kept.is_empty() {
        said.push_str(&format!(": what was left in {} is still there", kept.join(", ")));
    }
    if !report.problems.is_empty() {
        said.push_str(&format!(
            "; {} could not be removed, first {}",
            report.problems.len(),
            report.problems[0]
        ));
    }
    said
}

async fn work(
    shared: &Shared,
    record: &mut Record,
    buildlet: &Buildlet,
    around: &Surroundings,
) -> Result<Verdict, Trouble> {
    if let Some(verdict) = record.decided() {
        return report(shared, record, verdict).await;
    }
    if record.resumed && !shared.orders.key.holds(&record.attempt, record.attempt.seal.as_deref()) {
        tracing::error!(attempt = %record.attempt.id, build = %record.build.id, "not gone on with: {UNSEALED}");
        return Err(Trouble::Infra { verdict: Verdict::infra("unsealed", UNSEALED), fate: None });
    }
    if record.resumed && !shared.secrets.holds(record.job.secrets_proof.as_deref(), &record.values).await {
        // What it prints of the old values could not be told from anything else.
        let detail = "the value of a secret that the build was given has changed while no server ran";
        return Err(Trouble::Infra { verdict: Verdict::infra("secret_changed", detail), fate: None });
    }
    if record.resumed && around.gone.is_cancelled() {
        return Err(Trouble::lost(
            "the machine was gone when the server started again, and what ran there with it",
        ));
    }
    let status = buildlet.status().await?;
    record.note_buildlet(&status);
    if record.resumed && record.job.helpers > 0 {
        lead::end_left(buildlet, &status, record.attempt.id).await?;
    }
    if matches!(record.attempt.state.as_str(), "leased" | "preparing") {
        let begun = record.attempt.state == "preparing" || record.resumed;
        record.advance(shared, "preparing", 0).await?;
        buildlet.clear(if begun { Left::Begun } else { Left::Nothing }).await?;
        prepare::sources(shared, record, buildlet).await?;
    }
    let mut lead = Lead::begin(shared, record).await;
    let (values, secrets) = (record.values.clone(), Arc::clone(&record.secrets));
    let attempt = record.attempt.id.to_string();
    let fence = record.fence as u64;
    let dashboard = shared.dashboard.clone();
    let mut log =
        LogWriter::open(dashboard, attempt.clone(), &record.build.id.to_string(), fence, &secrets).await?;
    log.preface(&record.notices.concat()).await?;
    let mut verdict = record.judged_before();
    let first = record.attempt.step as usize;
    for index in first..record.job.steps.len() {
        let mut step = record.job.steps[index].clone();
        let wanted = match step.when {
            When::Success => verdict.outcome == "ok",
            When::Failure => verdict.outcome == "failed",
            When::Always => true,
        };
        if !wanted || (step.for_toolchain && record.has_snapshot()) {
            continue;
        }
        let id = format!("{attempt}-{index}");
        // A step that runs already is ended below, and what it printed is kept.
        let resumed = record.resumed && index == first;
        if around.cancel.is_cancelled() && !(resumed && buildlet.knows(&id).await) {
            verdict = record.cancelled(shared).await?;
            break;
        }
        if step.run.contains("{tests}") && !put_tests(record, buildlet, index, &mut step).await? {
            continue;
        }
        let mut spread = lead.as_mut().filter(|lead| lead.is_of(record, index));
        if let Some(lead) = &mut spread {
            lead.prepare(shared, record, buildlet, index).await?;
            // What each machine is given is less than all.
            step.run.clone_from(&record.job.steps[index].run);
        }
        record.begin_step(shared, index, &step, log.len()).await?;
        let (env_pass, limits) = (&record.job.env_pass, &record.job.limits);
        let run = Run { id: &id, index, step: &step, secrets: &values, env_pass, limits };
        let before = log.len();
        let ended = match spread {
            Some(lead) => lead.run(shared, record, buildlet, &mut log, around).await?,
            None => buildlet.run_step(run, &mut log, around).await?,
        };
        shared.measures.logged(log.len() - before);
        record.end_step(&ended, log.len());
        let judged = judge(shared, record, &step.name, &ended.end).await?;
        if step.lists && judged.is_none() {
            let listed = listed(shared, &attempt, record.step_bytes()).await;
            record.choose(listed);
        }
        if step.snapshot && judged.is_none() {
            record.snapshot(shared, buildlet, &step).await?;
        }
        if let Some(judged) = judged.filter(|_| verdict.outcome == "ok") {
            verdict = judged;
        }
        if verdict.outcome == "cancelled" {
            break;
        }
    }
    artifacts::keep(shared, record, buildlet).await?;
    junit::files(shared, record, buildlet).await?;
    record.decide(shared, &verdict).await?;
    report(shared, record, verdict).await
}

/// What the end of a step makes of the attempt; nothing where all is well.
async fn judge(
    shared: &Shared,
    record: &mut Record,
    step: &str,
    end: &End,
) -> Result<Option<Verdict>, Trouble> {
    Ok(match end {
        End::Ok => None,
        End::Exit(state) => Some(Verdict::failed("exit", format!("{step}: {state}"))),
        End::Timeout(limit) => {
            Some(Verdict::failed("timeout", format!("{step} ran over {} s", limit.as_secs_f64())))
        }
        End::Limit(kind) => Some(Verdict::failed("limit", kind.clone())),
        End::Cancelled => Some(record.cancelled(shared).await?),
    })
}

/// Puts the wanted tests into a step that runs them; false if there is none to run.
async fn put_tests(
    record: &mut Record,
    buildlet: &Buildlet,
    index: usize,
    step: &mut Step,
) -> Result<bool, Trouble> {
    if record.resumed && !record.chosen {
        let lists = record.job.steps[..index].iter().rposition(|step| step.lists);
        if let Some(lists) = lists {
            let listed = listed_before(buildlet, &format!("{}-{lists}", record.attempt.id)).await?;
            record.choose(listed);
        }
    }
    if record.none_left {
        let name = &step.name;
        record.warn(format!("{name} is left out: `tests` of the builder names none of the listed tests"));
        return Ok(false);
    }
    step.run = step.run.replace("{tests}", &record.tests.join(" "));
    Ok(true)
}

/// The words that a listing step printed.
async fn listed(shared: &Shared, attempt: &str, (from, to): (u64, u64)) -> Vec<String> {
    use dashboard::api::LogRange;
    use dashboard::client::LogOf;
    let limit = 4 << 20;
    let read = shared.dashboard.log_bytes(LogOf::Attempt(attempt), LogRange::Bytes(from, to), limit).await;
    let bytes = read.unwrap_or_default();
    String::from_utf8_lossy(&bytes).split_whitespace().map(str::to_owned).collect()
}

/// The words that a listing step had printed before the coordinator died: the worker still has them.
async fn listed_before(buildlet: &Buildlet, id: &str) -> Result<Vec<String>, Trouble> {
    let lost = |error: buildlet_client::Error| match Trouble::from(error) {
        Trouble::Infra { verdict, .. } => Trouble::Infra { verdict, fate: None },
        other => other,
    };
    let mut stream = buildlet.output(id).await.map_err(lost)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        bytes.extend_from_slice(&chunk.map_err(lost)?);
    }
    Ok(String::from_utf8_lossy(&bytes).split_whitespace().map(str::to_owned).collect())
}

async fn report(shared: &Shared, record: &mut Record, verdict: Verdict) -> Result<Verdict, Trouble> {
    record.span("report", "");
    finish_log(shared, record).await?;
    results::of_log(shared, record).await?;
    record.end_span(None);
    Ok(verdict)
}

/// Says that nothing more comes to the attempt's log.
async fn finish_log(shared: &Shared, record: &mut Record) -> Result<(), Trouble> {
    let fence = record.fence as u64;
    let (attempt, build) = (record.attempt.id.to_string(), record.build.id.to_string());
    let mut tries = 0;
    let mut taken = false;
    loop {
        match shared.dashboard.log_finish(&attempt, fence).await {
            Ok(_) => return Ok(()),
            // It may still belong to the coordinator before us, if no step ran since.
            Err(error) if error.is_code("stale") && record.resumed && !taken => {
                log::take(&shared.dashboard, &attempt, &build, fence).await?;
                taken = true;
            }
            Err(error) if error.is_code("stale") => return Err(Trouble::Stale),
            // No step ran, so there is no log.
            Err(error) if error.is_status(http::StatusCode::NOT_FOUND) => return Ok(()),
            Err(error) if error.is_transient() && tries < 200 => {
                tracing::warn!(%error, "a log can't be finished; trying again");
                tokio::time::sleep(crate::ledger::pause(tries)).await;
                tries += 1;
            }
            Err(error) => {
                record.warn(format!("the log could not be finished: {error}"));
                return Ok(());
            }
        }
    }
}
