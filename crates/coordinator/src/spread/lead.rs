//! The attempt's own side: asks for machines, gives them trees and chunks, runs chunks itself, and writes what all of them
//! printed into the log, in the order of the list.

use std::sync::Arc;

use buildlet_client::{About, RunState, Status};
use dashboard::api::{SpreadChunk, SpreadMachine, SpreadPart, SpreadReport};
use store::durations::{self, Kind};
use store::{AttemptId, BuildId, Micros, StoreError, WorkerId};

use super::crew::{Closing, Crew, Kit, Member, named};
use super::files::{Look, Seen, Wanted};
use super::helper::{Ask, trouble};
use super::member::{self, since};
use super::plan::{Chunk, chunks, makespan};
use super::trees;
use crate::attempt::junit::Junit;
use crate::attempt::{Buildlet, Record, Shared, Trouble};
use crate::clock::new_id;
use crate::job::{Job, Step, Trust};
use crate::log::LogWriter;
use crate::recipe::{End, Ended, Sink as _, Surroundings};

/// In the log's account of what is stored, a chunk counts as a step of its own beyond those of the recipe.
const CHUNK_STEP: usize = 256;
/// The most chunks that a report names.
const SHOWN: usize = 2000;

/// The machines of an attempt whose tests are spread.
pub(crate) struct Lead {
    crew: Arc<Crew>,
    /// Everybody goes when this is dropped, however the attempt ends.
    _closing: Closing,
    began: Micros,
    asked: bool,
    prepared: Option<Prepared>,
}

/// What is known once the tests can run.
struct Prepared {
    kit: Arc<Kit>,
    chunks: Vec<Chunk>,
}

/// How a chunk went, without what it printed.
struct Went {
    n: usize,
    ended: Ended,
    worker: WorkerId,
    started: Micros,
    took: u64,
    tries: u32,
}

impl Lead {
    /// Begins, if the attempt's tests are to be spread: machines are asked for that should be there when the tests can run,
    /// as far as that was ever timed.
    pub(crate) async fn begin(shared: &Shared, record: &mut Record) -> Option<Lead> {
        let job = &record.job;
        if job.helpers == 0 || record.resumed {
            return None;
        }
        if spread_step(&job.steps).is_none() {
            // What depends on a toolchain has steps of its own, and its builder's helpers are meant for that one.
            if job.toolchain.is_none() {
                record.warn(
                    "its tests are not spread over helpers: its recipe has no `list` before a `run` with `{tests}`"
                        .to_owned(),
                );
            }
            return None;
        }
        let crew = Crew::new();
        let closing = Closing(Arc::clone(&crew));
        let began = shared.ledger.clock().now();
        let mut lead = Lead { crew, _closing: closing, began, asked: false, prepared: None };
        let of = (job.builder.clone(), job.repo.clone());
        let until = known(shared, &of, Kind::Tests, "").await;
        if let Some(until) = until {
            let start = known(shared, &of, Kind::Helper, &record.attempt.host).await.unwrap_or(0);
            let from = began.0.saturating_add(i64::try_from(until.saturating_sub(start)).unwrap_or(0));
            lead.ask(shared, record, record.job.helpers, Micros(from)).await;
        }
        Some(lead)
    }

    /// Asks for machines.
    async fn ask(&mut self, shared: &Shared, record: &Record, count: u32, from: Micros) {
        self.asked = true;
        for _ in 0..count {
            let ask = Ask {
                id: new_id!(BuildId, **shared.ledger.clock()),
                build: record.build.id,
                repo: record.build.repo.clone(),
                builder: record.build.builder.clone(),
                host: record.attempt.host.clone(),
                class: record.build.class.clone(),
                priority: record.build.priority,
                commit_time: record.build.commit_time,
                from,
                crew: Arc::clone(&self.crew),
            };
            if shared.helpers.send(ask).await.is_err() {
                return;
            }
        }
    }

    /// Whether this is the step whose tests are spread.
    pub(crate) fn is_of(&self, record: &Record, index: usize) -> bool {
        spread_step(&record.job.steps) == Some(index) && !record.tests.is_empty()
    }

    /// Cuts the list, and keeps the trees for the others.
    pub(crate) async fn prepare(
        &mut self,
        shared: &Shared,
        record: &mut Record,
        buildlet: &Buildlet,
        index: usize,
    ) -> Result<(), Trouble> {
        let of = (record.job.builder.clone(), record.job.repo.clone());
        let known = medians(shared, &of, Kind::Test).await;
        let machines = usize::try_from(record.job.helpers).unwrap_or(0) + 1;
        let chunks = chunks(&record.tests, |test| known.get(test).copied(), machines);
        let prefix = trees::prefix(record.attempt.id, record.fence, index);
        let mut kept = Vec::new();
        if chunks.len() > 1 {
            record.span("helpers' trees", &prefix);
            let dirs = record.job.sources.iter().map(|source| source.dir.clone());
            let error = match trees::keep(&shared.objects, buildlet, &prefix, dirs).await? {
                Ok(trees) => {
                    kept = trees;
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(error) = &error {
                record.warn(format!("no helper could have the built trees: {error}"));
            }
            record.end_span(error);
        }
        let now = shared.ledger.clock().now();
        let took = [(String::new(), since(self.began, now))];
        if record.job.trust != Trust::Untrusted {
            note(shared, (&of.0, &of.1), Kind::Tests, &took).await;
        }
        if kept.is_empty() {
            self.crew.alone();
        } else if !self.asked {
            let useful = u32::try_from(chunks.len() - 1).unwrap_or(u32::MAX).min(record.job.helpers);
            self.ask(shared, record, useful, now).await;
        }
        let kit = Kit {
            attempt: record.attempt.id,
            step: record.job.steps[index].clone(),
            index,
            values: record.values.clone(),
            secrets: Arc::clone(&record.secrets),
            env_pass: record.job.env_pass.clone(),
            limits: record.job.limits.clone(),
            about: About { commits: record.job.commits(), trust: record.job.trust.as_str() },
            junit: junit_files(&record.job),
            trees: kept,
            fail_fast: record.job.fail_fast,
            prefix,
        };
        self.prepared = Some(Prepared { kit: Arc::new(kit), chunks });
        Ok(())
    }

    /// Runs the step: all chunks, on all machines that come.
    pub(crate) async fn run(
        &mut self,
        shared: &Shared,
        record: &mut Record,
        buildlet: &Buildlet,
        log: &mut LogWriter<'_>,
        around: &Surroundings,
    ) -> Result<Ended, Trouble> {
        let Some(Prepared { kit, chunks }) = self.prepared.take() else {
            return Err(Trouble::server("spread", "the tests were not cut into chunks"));
        };
        let crew = Arc::clone(&self.crew);
        let own = record.attempt.worker;
        let opened = shared.ledger.clock().now();
        let machine =
            record.inputs.get("machine").and_then(|name| name.as_str()).unwrap_or_default().to_owned();
        crew.join(Member { worker: own, machine, ready: opened, lost: None });
        let all: Vec<Chunk> = chunks.clone();
        crew.open(Arc::clone(&kit), chunks);
        let mine = Surroundings { cancel: crew.kill.clone(), ..around.clone() };
        let mut junit = kit.junit.as_ref().map(|_| Junit::new());
        let working = async {
            let mut seen = Seen::default();
            while let Some(taken) = crew.take_patiently().await {
                let ran = member::run(shared, &crew, &kit, (buildlet, own), &mine, taken, &mut seen).await;
                ran.map_err(trouble)?;
            }
            Ok::<_, Trouble>(())
        };
        let printing = async {
            let mut went = Vec::new();
            for n in 0..all.len() {
                let Some(done) = crew.wait(n).await else { continue };
                print(shared, &crew, log, kit.index, n, &done.output).await?;
                if let Some(junit) = &mut junit {
                    told(shared, record, &crew, junit, &done.look).await?;
                }
                let super::crew::Done { ended, worker, started, took, tries, .. } = *done;
                went.push(Went { n, ended, worker, started, took, tries });
            }
            Ok::<_, Trouble>(went)
        };
        let ending = async {
            around.cancel.cancelled().await;
            crew.stop();
            std::future::pending::<()>().await;
        };
        let ran = tokio::select! {
            ran = futures::future::try_join(working, printing) => ran,
            () = ending => return Err(Trouble::server("spread", "nothing comes of waiting")),
        };
        crew.close();
        trees::forget(&shared.objects, &kit.trees).await;
        let ((), went) = ran?;
        record.junit = junit;
        if let Some(lost) = crew.lost() {
            return Err(Trouble::server("helpers_lost", lost));
        }
        if record.job.trust != Trust::Untrusted {
            let fine = went.iter().filter(|went| went.ended.end == End::Ok);
            let times: Vec<(String, u64)> =
                fine.filter_map(|went| Some(all.get(went.n)?.shares(went.took))).flatten().collect();
            let of = (record.job.builder.clone(), record.job.repo.clone());
            note(shared, (&of.0, &of.1), Kind::Test, &times).await;
        }
        let told = report(record, &all, &went, &crew.members(), opened);
        record.input("spread", serde_json::to_value(told).unwrap_or_default());
        judged(went, &all, around.cancel.is_cancelled())
    }
}

/// Ends the chunks that a machine still runs since before the coordinator died. What they printed is nowhere: the step is
/// run anew, by this machine alone.
pub(crate) async fn end_left(
    buildlet: &Buildlet,
    status: &Status,
    attempt: AttemptId,
) -> Result<(), buildlet_client::Error> {
    let attempt = attempt.to_string();
    let is_chunk = |id: &str| {
        let mut parts = id.split('-');
        parts.next() == Some(attempt.as_str())
            && parts.clone().count() == 3
            && parts.all(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let Buildlet::Ours(client) = buildlet else { return Ok(()) };
    let execs = status.bellwether.iter().flat_map(|ours| &ours.execs);
    for exec in execs.filter(|exec| exec.state == RunState::Running && is_chunk(&exec.id)) {
        client.kill(&exec.id, "the server was started anew").await?;
    }
    Ok(())
}

/// The first step that runs listed tests, if there is a list before it.
fn spread_step(steps: &[Step]) -> Option<usize> {
    let lists = steps.iter().position(|step| step.lists)?;
    let runs = steps.iter().skip(lists).position(|step| step.run.contains("{tests}"))? + lists;
    (steps.len() < CHUNK_STEP && !steps[runs].snapshot).then_some(runs)
}

/// What the chunks make of the step: the first of the list that failed.
fn judged(went: Vec<Went>, all: &[Chunk], cancelled: bool) -> Result<Ended, Trouble> {
    let bad = went.iter().position(|went| !matches!(went.ended.end, End::Ok | End::Cancelled));
    let ended_early = went.iter().position(|went| went.ended.end == End::Cancelled);
    let count = went.len();
    let chosen = match (bad, ended_early) {
        // Who asked for the end has it, whatever came out before.
        (_, Some(n)) if cancelled => Some(n),
        (Some(n), _) | (None, Some(n)) => Some(n),
        (None, None) => count.checked_sub(1),
    };
    let Some(chosen) = chosen.and_then(|n| went.into_iter().nth(n)) else {
        return Err(match cancelled {
            true => Trouble::server("cancelled", "ended before a test ran"),
            false => Trouble::server("spread", "no test ran"),
        });
    };
    let names = all.get(chosen.n).map_or_else(String::new, |chunk| named(&chunk.tests));
    let end = match chosen.ended.end {
        _ if cancelled => End::Cancelled,
        End::Exit(state) => End::Exit(format!("{names}: {state}")),
        end => end,
    };
    Ok(Ended { end, ..chosen.ended })
}

async fn print(
    shared: &Shared,
    crew: &Crew,
    log: &mut LogWriter<'_>,
    index: usize,
    n: usize,
    output: &super::output::Output,
) -> Result<(), Trouble> {
    log.begin((n + 1) * CHUNK_STEP + index).await?;
    for piece in &output.pieces {
        let bytes = shared.objects.get(piece).await;
        let bytes = bytes.map_err(|error| Trouble::server("objects", format!("output of tests: {error}")))?;
        log.write(&bytes).await?;
        let _ = shared.objects.delete(piece).await;
    }
    log.write(&output.rest).await?;
    crew.printed(output.rest.len());
    Ok(log.finish().await?)
}

/// The files in which the job's results are.
fn junit_files(job: &Job) -> Option<Wanted> {
    let pattern = job.junit.clone().filter(|_| job.results == "junit")?;
    Some(Wanted { dir: job.repo.clone(), pattern })
}

/// Takes in what a chunk wrote of its results.
async fn told(
    shared: &Shared,
    record: &mut Record,
    crew: &Crew,
    junit: &mut Junit,
    look: &Look,
) -> Result<(), Trouble> {
    for warning in &look.warnings {
        junit.warn(record, warning.clone());
    }
    for file in &look.files {
        junit.take(shared, record, file).await?;
        file.output.forget(&shared.objects).await;
        crew.printed(file.output.rest.len());
    }
    Ok(())
}

/// Who ran what, and what another machine would have been worth.
fn report(record: &Record, all: &[Chunk], went: &[Went], members: &[Member], opened: Micros) -> SpreadReport {
    let ms = |micros: u64| micros / 1000;
    let machines = members.iter().map(|member| {
        let theirs = went.iter().filter(|went| went.worker == member.worker);
        SpreadMachine {
            worker: member.worker.to_string(),
            machine: member.machine.clone(),
            ready_ms: ms(since(opened, member.ready)),
            chunks: u32::try_from(theirs.clone().count()).unwrap_or(u32::MAX),
            busy_ms: ms(theirs.map(|went| went.took).sum()),
            lost: member.lost.clone(),
        }
    });
    let machines: Vec<_> = machines.collect();
    let end = |went: &Went| since(opened, went.started).saturating_add(went.took);
    let chunks = went.iter().take(SHOWN).map(|went| {
        let tests = all.get(went.n).map(|chunk| chunk.tests.as_slice()).unwrap_or_default();
        SpreadChunk {
            first_test: record.secrets.clean(tests.first().map_or("", String::as_str)),
            tests: u32::try_from(tests.len()).unwrap_or(u32::MAX),
            worker: went.worker.to_string(),
            start_ms: ms(since(opened, went.started)),
            took_ms: ms(went.took),
            ok: went.ended.end == End::Ok,
            tries: went.tries,
        }
    });
    let mut critical: Vec<SpreadPart> = record.parts_before();
    if let Some(last) = went.iter().max_by_key(|went| end(went)) {
        let theirs: Vec<&Went> = went.iter().filter(|went| went.worker == last.worker).collect();
        let ready = members.iter().find(|member| member.worker == last.worker);
        let ready = ready.map_or(0, |member| since(opened, member.ready));
        let name = ready
            .gt(&0)
            .then(|| SpreadPart { name: format!("until {} was ready", last.worker), took_ms: ms(ready) });
        critical.extend(name);
        let longest = theirs.iter().max_by_key(|went| went.took);
        let longest = longest.and_then(|went| Some((went, all.get(went.n)?)));
        let longest = longest.map_or_else(String::new, |(went, chunk)| {
            format!(", the longest {} ms: {}", ms(went.took), record.secrets.clean(&named(&chunk.tests)))
        });
        critical.push(SpreadPart {
            name: format!("{} chunks of tests on {}{longest}", theirs.len(), last.worker),
            took_ms: ms(end(last).saturating_sub(ready)),
        });
    }
    let times: Vec<u64> = went.iter().map(|went| went.took).collect();
    let count = machines.len();
    let saved = makespan(&times, count).saturating_sub(makespan(&times, count + 1));
    SpreadReport {
        took_ms: ms(went.iter().map(end).max().unwrap_or(0)),
        aggregate_ms: ms(times.iter().sum()),
        one_more_saves_ms: ms(saved),
        critical_path: critical,
        chunks: chunks.collect(),
        machines,
    }
}

/// Adds times to what is known. That they could not be written changes no outcome.
pub(super) async fn note(shared: &Shared, of: (&str, &str), kind: Kind, times: &[(String, u64)]) {
    let write = async {
        for some in times.chunks(500) {
            let mut tx = shared.ledger.begin().await?;
            durations::add(&mut tx, of, kind, some, shared.ledger.clock().now()).await?;
            tx.commit().await?;
        }
        Ok::<_, StoreError>(())
    };
    if let Err(error) = write.await {
        tracing::warn!(builder = of.0, %error, "how long tests took is not kept");
    }
}

async fn medians(
    shared: &Shared,
    of: &(String, String),
    kind: Kind,
) -> std::collections::HashMap<String, u64> {
    let read = async { durations::medians(&mut shared.ledger.db().read().await?, &of.0, &of.1, kind).await };
    read.await.unwrap_or_else(|error: StoreError| {
        tracing::warn!(builder = of.0, %error, "it is not known how long tests take");
        std::collections::HashMap::new()
    })
}

async fn known(shared: &Shared, of: &(String, String), kind: Kind, name: &str) -> Option<u64> {
    medians(shared, of, kind).await.remove(name)
}
