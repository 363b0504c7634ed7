//! Whose fault the failures of a run are: what failed is run again, with the change and at its base, until [`triage`] can tell.
//!
//! All of it lies in the database: the cases (table `verdicts`) with every run that was counted, and which builds were made for
//! them (`samples`). [`Verdicts::look`] is asked again and again; each time it does what there is to do in one transaction, and says how far it is.
//! All such builds are untrusted, as the run's own are: those of the base, too, as they stand for what the change would do without it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use dashboard::api::{Cause, TestRun};
use dashboard::client::known;
use serde::{Deserialize, Serialize};
use store::builds::{self, BuildRow, NewBuild};
use store::samples::{self, SampleRow};
use store::try_runs::TryRunRow;
use store::verdicts::{self, VerdictRow};
use store::{AttemptId, BuildId, Micros, WorkerId, attempts};
use triage::verdict::{Decision, History, Limits, Place, Run, Signature, Tally, Workers, judge};
use triage::{Case, Verdict};

use super::chosen::takes_untrusted;
use super::text::named;
use crate::clock::new_id;
use crate::core::Message;
use crate::ledger::transition;
use crate::mutes::Rules;
use crate::resolve;
use crate::samples::{Failing, Told, Trouble, send_stopped, stop};
use crate::schedule::Class;
use crate::work::Finder;

/// Seconds of machines that one failed build may cost.
const SECONDS: u32 = 8 * 3600;
/// So many attempts that nothing is muted of are remembered.
const REMEMBERED: usize = 10_000;
/// So many failures of a test in a row at landed commits are a break that was mended, and say nothing of how often it fails by chance.
const STREAK: usize = 4;

/// What is known of the failures of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Some verdict is still sought.
    pub open: bool,
    /// Builds that failed by no fault of the change.
    pub excused: HashSet<BuildId>,
    /// Those whose failure counts.
    pub blamed: HashSet<BuildId>,
    /// What is said of each failure, for people.
    pub lines: Vec<String>,
}

impl Findings {
    /// The builds of the run as they count: what is excused went well.
    pub fn counted(&self, rows: &[BuildRow]) -> Vec<BuildRow> {
        let mut rows = rows.to_vec();
        for row in rows.iter_mut().filter(|row| self.excused.contains(&row.id)) {
            row.outcome = Some("ok".to_owned());
        }
        rows
    }
}

/// What is kept of a case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Doc {
    /// All that is known.
    pub case: Case,
    /// Why the build ended that failed first.
    cause: Cause,
    /// Whether a build of the change went well since, but for what is muted: then nothing fails but what is known.
    went_well: bool,
    /// Whether one of the base ended for the same reason.
    base_alike: bool,
    /// Whether nothing failed but what is muted.
    #[serde(default)]
    all_muted: bool,
}

/// A case on its way.
struct Open {
    row: VerdictRow,
    doc: Doc,
}

/// What is to be done in one transaction.
#[derive(Default)]
struct Work {
    cases: Vec<VerdictRow>,
    counted: Vec<BuildId>,
    new: Vec<(NewBuild, SampleRow)>,
    over: Vec<BuildId>,
}

/// Seeks verdicts.
pub(crate) struct Verdicts {
    finder: Finder,
    /// Attempts that nothing is muted of, where nothing is built again: they are not asked for each time.
    plain: Mutex<HashSet<AttemptId>>,
}

impl Verdicts {
    pub fn new(finder: Finder) -> Verdicts {
        Verdicts { finder, plain: Mutex::default() }
    }

    /// Does what there is to do for the failed builds of a run, and says how far it is.
    pub async fn look(
        &self,
        config: &buildenv::Config,
        run: &TryRunRow,
        rows: &[BuildRow],
    ) -> Result<Findings, Trouble> {
        let mut all = Findings::default();
        let failed = |row: &&BuildRow| row.state == "done" && row.outcome.as_deref() == Some("failed");
        for row in rows.iter().filter(failed) {
            let url = config.environment().url.clone();
            match self.of_build(config, run, row).await? {
                // Nothing is built again, and what failed is not muted.
                Some(cases) if cases.is_empty() => drop(all.blamed.insert(row.id)),
                Some(cases) => conclude(&cases, run, row, &url, &mut all),
                None => all.open = true,
            }
        }
        Ok(all)
    }

    /// The verdicts on a failed build, once all are told.
    async fn of_build(
        &self,
        config: &buildenv::Config,
        run: &TryRunRow,
        row: &BuildRow,
    ) -> Result<Option<Vec<VerdictRow>>, Trouble> {
        let shared = &self.finder.shared;
        let mut reader = shared.ledger.db().read().await?;
        let Some(attempt) = attempts::of_build(&mut reader, row.id).await?.pop() else {
            return Ok(Some(Vec::new()));
        };
        let cases = verdicts::of_attempt(&mut reader, attempt.id).await?;
        if !cases.is_empty() && cases.iter().all(|case| case.verdict.is_some()) {
            return Ok(Some(cases));
        }
        let again = config.tries().reruns > 0;
        let rules = shared.mutes.rules(config, shared.ledger.clock().now());
        let plain = || self.plain.lock().unwrap_or_else(PoisonError::into_inner);
        if !again && (!cases.is_empty() || rules.is_empty() || plain().contains(&attempt.id)) {
            return Ok(Some(Vec::new()));
        }
        let made = samples::of_owner(&mut reader, &attempt.id.to_string()).await?;
        let mut under_way = Vec::new();
        for sample in made.iter().filter(|sample| !sample.counted) {
            under_way.extend(builds::get(&mut reader, sample.build).await?.map(|row| (sample, row)));
        }
        drop(reader);
        let now = shared.ledger.clock().now();
        let mut open = match cases.is_empty() {
            true => match self.begin(config, run, row, &rules, now).await? {
                Some(open) if open.is_empty() => {
                    let mut plain = plain();
                    if plain.len() >= REMEMBERED {
                        plain.clear();
                    }
                    plain.insert(attempt.id);
                    return Ok(Some(Vec::new()));
                }
                Some(open) => open,
                None => return Ok(None),
            },
            false => cases.into_iter().filter_map(opened).collect(),
        };
        let began = open.iter().map(|one| one.row.began).min().unwrap_or(now);
        let mut work = Work::default();
        for (sample, build) in &under_way {
            let told = match build.state.as_str() {
                "done" => Told::of(shared, build).await?,
                _ => None,
            };
            match told {
                Some(told) => {
                    let well = told.outcome == "ok" || rules.of_build(&row.repo, &row.builder, &told).whole;
                    open.iter_mut().for_each(|one| one.count(&sample.place, &told, well));
                    work.counted.push(build.id);
                }
                None => work.over.push(build.id),
            }
        }
        if now.0.saturating_sub(began.0)
            > i64::try_from(config.tries().rerun_time.as_micros()).unwrap_or(i64::MAX)
        {
            let said = "it can't be told why it fails: the runs that would tell were not had in time";
            open.iter_mut().for_each(|one| one.tell(Verdict::Unknown.as_str(), said, now));
        } else if work.over.is_empty() {
            let more = judged(&mut open, now);
            let first = made.len() as i64;
            work.new = self.samples(row, &attempt.id, attempt.worker, &open, more, first, now);
        } else if work.counted.is_empty() {
            return Ok(None);
        } else {
            // Others are under way still.
            work.over.clear();
        }
        work.cases = open.into_iter().map(Open::written).collect();
        let done = work.cases.iter().all(|case| case.verdict.is_some());
        if !done {
            work.over.clear();
        }
        self.carry_out(attempt.id, work, now).await?;
        // What is told is read at the next look.
        Ok(None)
    }

    /// The cases of a build that has just failed; nothing while what failed in it is not known. Where nothing is built again, there are
    /// none unless something is muted.
    async fn begin(
        &self,
        config: &buildenv::Config,
        run: &TryRunRow,
        row: &BuildRow,
        rules: &Rules,
        now: Micros,
    ) -> Result<Option<Vec<Open>>, Trouble> {
        let shared = &self.finder.shared;
        let Some(told) = Told::of(shared, row).await? else { return Ok(None) };
        let Some((attempt, worker)) = told.attempt else { return Ok(None) };
        let muted = rules.of_build(&row.repo, &row.builder, &told);
        let again = config.tries().reruns > 0;
        if !again && muted.tests.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let base = match again && has_base(config, row) {
            true => self.base(row).await?,
            false => String::new(),
        };
        let mut open = Vec::new();
        for Failing { test, variant, signature } in told.failing() {
            if muted.follows(&test, &variant) {
                continue;
            }
            let silenced = muted.says(&test, &variant);
            let name = if test.is_empty() { format!("the build on {}", row.builder) } else { test.clone() };
            let mut case = Case::new(&name, &row.builder, Signature(signature.clone()), &worker.to_string());
            // Each job has a worker of its own where it can.
            case.workers = Workers::OnlyOthers;
            case.limits = Limits { runs: config.tries().reruns, seconds: SECONDS, ..Limits::default() };
            if !test.is_empty() && again && silenced.is_none() {
                let past = known(shared.dashboard.test_history(&row.repo, &test).await)?.unwrap_or_default();
                case.history = history(&past, &row.builder, &row.branch, &variant, &signature);
            }
            let cause = told.cause.clone();
            let doc = Doc { case, cause, went_well: false, base_alike: false, all_muted: muted.whole };
            let silenced = silenced.map(str::to_owned);
            let row = VerdictRow {
                attempt,
                test,
                variant,
                run: run.id,
                build: row.id,
                builder: row.builder.clone(),
                signature,
                base: base.clone(),
                verdict: None,
                sentence: String::new(),
                doc: String::new(),
                began: now,
                ended: None,
            };
            let mut one = Open { row, doc };
            if let Some(said) = &silenced {
                one.tell("muted", said, now);
            }
            if !again {
                let said = format!(
                    "it is not known why {name} fails: nothing is built again (`reruns` of `[tries]`)"
                );
                one.tell(Verdict::Unknown.as_str(), &said, now);
            } else if base.is_empty() {
                let said = format!("it can't be told why {name} fails: there is no base to compare with");
                one.tell(Verdict::Unknown.as_str(), &said, now);
            }
            open.push(one);
        }
        Ok(Some(open))
    }

    /// The revision without the change: its parent in the change's stead. Empty if it has none.
    async fn base(&self, row: &BuildRow) -> Result<String, Trouble> {
        #[derive(Deserialize)]
        struct Parents {
            parents: Vec<String>,
        }
        let Some((repo, commit)) =
            resolve::parse_revision(&row.revision).ok().and_then(|all| all.into_iter().next())
        else {
            return Ok(String::new());
        };
        let path = format!("/mirror/{repo}/parents?rev={commit}");
        let found = known(self.finder.shared.mirror.get_json::<Parents>(&path).await)?;
        let Some(parent) = found.and_then(|found| found.parents.into_iter().next()) else {
            return Ok(String::new());
        };
        Ok(row.revision.replacen(&format!("{repo}@{commit}"), &format!("{repo}@{parent}"), 1))
    }

    /// Builds that would tell more.
    #[expect(clippy::too_many_arguments, reason = "all of one failed build, and each is plain")]
    fn samples(
        &self,
        of: &BuildRow,
        attempt: &AttemptId,
        worker: WorkerId,
        open: &[Open],
        more: More,
        first: i64,
        now: Micros,
    ) -> Vec<(NewBuild, SampleRow)> {
        let clock = self.finder.shared.ledger.clock();
        let base = open.first().map(|one| one.row.base.clone()).unwrap_or_default();
        // The base is made by the rules in effect.
        let changed = std::iter::repeat_n(("changed", of.revision.clone()), more.changed);
        let wanted = changed.chain(std::iter::repeat_n(("base", base), more.base));
        let one = |(n, (place, revision)): (i64, (&str, String))| {
            let id = new_id!(BuildId, **clock);
            let new = NewBuild {
                id,
                builder: of.builder.clone(),
                repo: of.repo.clone(),
                branch: of.branch.clone(),
                toolchain_branch: of.toolchain_branch.clone(),
                revision,
                class: Class::Try.as_str(),
                priority: 0,
                commit_time: now,
                untrusted: true,
                sample: format!("{attempt}/{n}"),
                avoid: worker.to_string(),
                rules: if place == "changed" { of.rules.clone() } else { String::new() },
            };
            let owner = attempt.to_string();
            (new, SampleRow { build: id, owner, place: place.to_owned(), n, counted: false })
        };
        (first..).zip(wanted).map(one).collect()
    }

    async fn carry_out(&self, attempt: AttemptId, work: Work, now: Micros) -> Result<(), Trouble> {
        let ledger = &self.finder.shared.ledger;
        let cause = Cause { kind: "try_run".into(), detail: "what it was to tell is known".into() };
        let cause = serde_json::to_string(&cause).unwrap_or_default();
        let (queued, stopped) = transition!(ledger, "try_verdict", attempt, |tx| {
            for case in &work.cases {
                verdicts::put(&mut tx, case).await?;
            }
            for build in &work.counted {
                samples::counted(&mut tx, *build).await?;
            }
            let mut queued = Vec::new();
            for (new, sample) in &work.new {
                if builds::insert(&mut tx, new, now).await? {
                    samples::put(&mut tx, sample).await?;
                }
                queued.extend(builds::get(&mut tx, new.id).await?);
            }
            let stopped = stop(&mut tx, work.over.iter().copied(), &cause, now).await?;
            (queued, stopped)
        })?;
        for row in &queued {
            self.finder.shared.reports.note(row.id);
        }
        if !queued.is_empty() {
            // A core that is gone reads the rows at its next start.
            let _ = self.finder.core.send(Message::Queued(queued)).await;
        }
        send_stopped(&self.finder.core, stopped).await;
        Ok(())
    }
}

/// Whether a build can be made without the change: of one that is made by the change's own rules the builder may not be there, or not be
/// for what nobody has reviewed.
fn has_base(config: &buildenv::Config, row: &BuildRow) -> bool {
    let may = |builder: &buildenv::Builder| {
        builder.secrets.is_empty() && !takes_untrusted(config, &builder.hosts).is_empty()
    };
    row.rules.is_empty() || resolve::builder(config, &row.repo, &row.builder).is_ok_and(may)
}

/// How many more runs are wanted.
#[derive(Debug, Clone, Copy, Default)]
struct More {
    changed: usize,
    base: usize,
}

/// Judges each case that is open; a build serves all cases, so as many are wanted as the one that wants most wants.
fn judged(open: &mut [Open], now: Micros) -> More {
    let mut more = More::default();
    for one in open.iter_mut().filter(|one| one.row.verdict.is_none()) {
        match judge(&one.doc.case) {
            Decision::Run(wanted) => {
                let of = |place: Place| wanted.iter().filter(|one| one.place == place).count();
                more.changed = more.changed.max(of(Place::Changed));
                more.base = more.base.max(of(Place::Base));
            }
            Decision::Done(judged) => one.tell(judged.verdict.as_str(), &judged.sentence, now),
        }
    }
    more
}

fn opened(row: VerdictRow) -> Option<Open> {
    let doc = serde_json::from_str(&row.doc).ok()?;
    Some(Open { row, doc })
}

impl Open {
    fn tell(&mut self, verdict: &str, sentence: &str, now: Micros) {
        if self.row.verdict.is_none() {
            self.row.verdict = Some(verdict.to_owned());
            self.row.sentence = sentence.to_owned();
            self.row.ended = Some(now);
        }
    }

    fn count(&mut self, place: &str, told: &Told, well: bool) {
        let changed = place == "changed";
        self.doc.went_well |= changed && well;
        self.doc.base_alike |= !changed && told.outcome == "failed" && told.cause == self.doc.cause;
        self.doc.case.runs.push(Run {
            place: if changed { Place::Changed } else { Place::Base },
            worker: told.attempt.map(|(_, worker)| worker.to_string()).unwrap_or_default(),
            outcome: told.says_of(&self.row.test, &self.row.variant),
            seconds: told.seconds,
        });
    }

    fn written(mut self) -> VerdictRow {
        self.row.doc = serde_json::to_string(&self.doc).unwrap_or_default();
        self.row
    }
}

/// A test's past at landed commits of a branch.
fn history(past: &[TestRun], builder: &str, branch: &str, variant: &str, signature: &str) -> History {
    let landed = |run: &&TestRun| {
        let class = matches!(run.class.as_str(), "post_submit" | "backfill");
        class && run.branch == branch && run.variant == variant
    };
    let mut lines: std::collections::BTreeMap<&str, Vec<&TestRun>> = std::collections::BTreeMap::new();
    for run in past.iter().filter(landed) {
        lines.entry(run.builder.as_str()).or_default().push(run);
    }
    let mut history = History::default();
    for (on, line) in lines {
        let tally = if on == builder { &mut history.here } else { &mut history.elsewhere };
        add(&line, signature, tally);
    }
    history
}

/// Counts a line of runs, the newest first, without the breaks in it: long streaks of failures, and those at its end, which may be a
/// break that nobody has mended yet.
fn add(line: &[&TestRun], signature: &str, tally: &mut Tally) {
    let bad = |run: &TestRun| matches!(run.outcome.as_str(), "failed" | "unfinished");
    for (n, some) in line.chunk_by(|a, b| bad(a) == bad(b)).enumerate() {
        if some.iter().any(|run| bad(run)) {
            if n == 0 || some.len() >= STREAK {
                continue;
            }
            for run in some {
                tally.runs += 1;
                let same = run.signature.as_deref().unwrap_or(&run.outcome) == signature;
                *(if same { &mut tally.same } else { &mut tally.other }) += 1;
            }
        } else {
            tally.runs += some.iter().filter(|run| run.outcome == "ok").count() as u32;
        }
    }
}

/// What the verdicts on a build make of it.
fn conclude(cases: &[VerdictRow], run: &TryRunRow, row: &BuildRow, url: &str, all: &mut Findings) {
    let harmless =
        |case: &VerdictRow| matches!(case.verdict.as_deref(), Some("flaky" | "broken_at_base" | "muted"));
    let explains = |case: &VerdictRow| {
        let doc = serde_json::from_str::<Doc>(&case.doc);
        let seen = doc.is_ok_and(|doc| match case.verdict.as_deref() {
            // Nothing was built again, so nothing else may have failed.
            Some("muted") => doc.all_muted,
            verdict => doc.went_well || (doc.base_alike && verdict == Some("broken_at_base")),
        });
        case.test.is_empty() || seen
    };
    let excused = !cases.is_empty() && cases.iter().all(harmless);
    let explained = cases.iter().any(explains);
    for case in cases {
        let word = case.verdict.as_deref().unwrap_or_default().replace('_', " ");
        let builder = named(run, row);
        let page = format!("{}/builds/{}", url.trim_end_matches('/'), row.id);
        all.lines.push(format!("{word}, on {builder}: {} {page}", case.sentence));
    }
    if excused && !explained {
        all.lines.push(format!(
            "But something else may fail on {}: no build of the change went well.",
            named(run, row)
        ));
    }
    match excused && explained {
        true => all.excused.insert(row.id),
        false => all.blamed.insert(row.id),
    };
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod simulated;

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(outcomes: &str, class: &str) -> Vec<TestRun> {
        let one = |c: char| TestRun {
            build: String::new(),
            attempt: String::new(),
            variant: String::new(),
            outcome: if c == '.' { "ok".into() } else { "failed".into() },
            duration_us: None,
            repo: "r".into(),
            branch: "main".into(),
            commit: String::new(),
            builder: "b".into(),
            test: "t".into(),
            flaky: false,
            signature: (c != '.').then(|| c.to_string()),
            class: class.into(),
            cursor: String::new(),
        };
        outcomes.chars().map(one).collect()
    }

    #[test]
    fn the_past_is_of_landed_commits_and_without_breaks() {
        let tally = |past: &[TestRun], builder: &str| history(past, builder, "main", "", "x");
        let past = runs("..x..y.xxxx..", "post_submit");
        assert_eq!(tally(&past, "b").here, Tally { runs: 9, same: 1, other: 1 });
        assert_eq!(tally(&past, "c").elsewhere, Tally { runs: 9, same: 1, other: 1 });
        assert_eq!(tally(&runs("xx..", "try"), "b"), History::default());
        assert_eq!(tally(&runs("x.x.", "backfill"), "b").here, Tally { runs: 3, same: 1, other: 0 });
        assert_eq!(tally(&runs("xx", "backfill"), "b"), History::default());
        assert_eq!(history(&past, "b", "dev", "", "x"), History::default());
    }
}
