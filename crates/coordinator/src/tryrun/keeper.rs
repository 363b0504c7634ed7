//! The task that looks what is asked, begins runs and ends them. What it knows lies in the database: it may be ended at any point.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use dashboard::api::Cause;
use store::builds::{self, BuildRow, NewBuild};
use store::try_changes;
use store::try_runs::{self, TryRunRow};
use store::verdicts;
use store::{BuildId, Micros, StoreError, TryRunId, Tx};

use super::asked::{Asked, Looker, SUBMITTED, why_not};
use super::chosen::{self, Chosen};
use super::decide::{self, Action, Standing};
use super::pulls::Pulls;
use super::subject::{Hindrance, Member};
use super::verdicts::{Findings, Verdicts};
use super::{Changes, Recompose};
use super::{annotate, cross, landing, own_file, related, rules, say};
use crate::clock::new_id;
use crate::core;
use crate::ledger::{Ledger, transition};
use crate::outbox::Message;
use crate::own_rules;
use crate::samples;
use crate::schedule::Class;
use crate::work::Finder;

/// How often it is looked. Nothing is read anew while nothing has changed.
const PERIOD: Duration = Duration::from_secs(1);
/// The most buttons that are looked at in one look.
const PRESSED: usize = 64;
/// The most runs begun at one look, so that what ended is told soon; the others are begun at the next.
const BEGUN: usize = 50;

/// Looks what is asked, and does it.
pub(crate) struct Keeper {
    finder: Finder,
    changes: Changes,
    /// What is known of pull requests, where GitHub is asked.
    pulls: Option<tokio::sync::Mutex<Pulls>>,
    /// By what a change to a repository's own file is looked at.
    recompose: Option<Recompose>,
    verdicts: Verdicts,
    /// Runs of which it was said already that something failed; the database knows better.
    told: tokio::sync::Mutex<HashSet<TryRunId>>,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Landing(#[from] landing::Unknown),
    #[error("what a change does to its repository's own file can't be looked at: {0}")]
    OwnFile(transport::CallError),
    #[error("it can't be told what came of a build: {0}")]
    Told(transport::CallError),
}

impl From<samples::Trouble> for Trouble {
    fn from(error: samples::Trouble) -> Self {
        match error {
            samples::Trouble::Store(error) => Trouble::Store(error),
            samples::Trouble::Call(error) => Trouble::Told(error),
        }
    }
}

impl Keeper {
    pub fn new(
        finder: Finder,
        changes: Changes,
        pulls: Option<Pulls>,
        recompose: Option<Recompose>,
    ) -> Keeper {
        let pulls = pulls.map(tokio::sync::Mutex::new);
        let verdicts = Verdicts::new(finder.clone());
        Keeper { finder, changes, pulls, recompose, verdicts, told: tokio::sync::Mutex::default() }
    }

    /// Looks again and again.
    pub async fn run(self) {
        let mut looker = Looker::default();
        let mut quiet = 0_u32;
        loop {
            match self.look(&mut looker).await {
                Ok(()) => quiet = 0,
                // Another coordinator leads.
                Err(Trouble::Store(StoreError::Stale)) => return,
                Err(error) => {
                    if quiet.is_multiple_of(30) {
                        tracing::warn!(%error, "try runs can't be looked after; trying again");
                    }
                    quiet = quiet.wrapping_add(1);
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn look(&self, looker: &mut Looker) -> Result<(), Trouble> {
        let config = self.finder.config.borrow().clone();
        let corpus = (self.changes)();
        let mut seen = looker.look(&corpus, &config);
        self.look_at_pulls(&corpus, &config, &mut seen).await?;
        let open = self.standing(&config).await?;
        seen.landed = related::landed(&corpus, open.iter().flat_map(|one| &one.with));
        let mut begun = 0;
        let mut first = None;
        for action in decide::decide(&seen, &open) {
            let done = match action {
                Action::Begin(_) if begun == BEGUN => continue,
                Action::Begin(asked) => {
                    begun += 1;
                    self.begin(&config, asked).await
                }
                Action::Cancel { run, review, commit } => {
                    let why = match super::asked::Review::parse(&review) {
                        Some(review) if super::pulls::repo_of(&review).is_some() => {
                            let of = open.iter().find(|one| one.run.id == run);
                            let ask = of.map_or("", |one| one.run.change_id.as_str());
                            match &self.pulls {
                                Some(pulls) => pulls.lock().await.why_not(&review, &commit, ask),
                                None => "GitHub is not asked any more".to_owned(),
                            }
                        }
                        Some(review) => why_not(&corpus, config.tries(), &review, &commit),
                        None => "the change is not there any more".to_owned(),
                    };
                    self.cancel(&config, run, &why, None).await
                }
                Action::Anew { run, why, hindrance } => {
                    self.cancel(&config, run, &why, hindrance.as_ref()).await
                }
                Action::Tell { run, .. } => self.tell(&config, run).await,
                Action::End { run, .. } => self.end(&config, run).await,
                Action::Settle(run) => self.settle(run).await,
            };
            match done {
                Err(Trouble::Store(StoreError::Stale)) => return done,
                // One that can't be helped keeps no other waiting.
                Err(error) => drop(first.get_or_insert(error)),
                Ok(()) => {}
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Adds the pull requests that are asked for, once it is written down of which commits words were.
    async fn look_at_pulls(
        &self,
        corpus: &maintner::corpus::Corpus,
        config: &buildenv::Config,
        seen: &mut super::asked::Seen,
    ) -> Result<(), Trouble> {
        let Some(pulls) = &self.pulls else { return Ok(()) };
        // Nobody else waits for it: a look is done by one task.
        let mut pulls = pulls.lock().await;
        let ledger = &self.finder.shared.ledger;
        pulls.recall(&mut ledger.db().read().await?).await?;
        for _ in 0..PRESSED {
            let Some(press) = pulls.press() else { break };
            let mut reader = ledger.db().read().await?;
            let run = match press.run.as_ref().map(|id| id.parse::<TryRunId>()) {
                Some(Ok(id)) => try_runs::get(&mut reader, id).await?,
                Some(Err(_)) => None,
                None => try_runs::by_commit(&mut reader, &press.commit).await?,
            };
            drop(reader);
            let now = ledger.clock().now().0 / 1_000_000;
            let news = run.map(|run| pulls.pressed(&press, &run, now)).unwrap_or_default();
            if !news.is_empty() {
                transition!(ledger, "try_again", press.id, |tx| news.write(&mut tx).await?)?;
                pulls.written(news);
            }
            // Who told it may have gone.
            let _ = press.done.send(());
        }
        let news = pulls.look(corpus, config, seen);
        if !news.is_empty() {
            transition!(ledger, "try_heads", "pulls", |tx| news.write(&mut tx).await?)?;
            pulls.written(news);
        }
        Ok(())
    }

    /// The runs that go on, with their builds, and those whose answer was not seen yet.
    async fn standing(&self, config: &Arc<buildenv::Config>) -> Result<Vec<Standing>, Trouble> {
        let mut reader = self.finder.shared.ledger.db().read().await?;
        let mut all = Vec::new();
        for run in try_runs::open(&mut reader).await? {
            let (mut rows, mut with, mut other_rules) = (Vec::new(), Vec::new(), None);
            if matches!(run.state.as_str(), "running" | "cancelled") {
                with = try_changes::of_run(&mut reader, run.id).await?;
            }
            if run.state == "running" {
                for id in try_runs::builds(&mut reader, run.id).await? {
                    rows.extend(builds::get(&mut reader, id).await?);
                }
                if run.rules != config.digest() {
                    let own = &self.finder.shared.own_rules;
                    for row in rows.iter().filter(|row| row.state == "queued") {
                        own.read(&mut reader, &row.rules, config).await?;
                    }
                    let noted = try_changes::rules(&mut reader, run.id).await?;
                    other_rules = rules::changed(config, own, &rows, &noted);
                }
            }
            all.push(Standing { run, builds: rows, with, other_rules });
        }
        Ok(all)
    }

    async fn begin(&self, config: &buildenv::Config, mut asked: Asked) -> Result<(), Trouble> {
        if let Some(hindrance) = asked.subject.hindrance.clone() {
            return self.refuse(config, &asked, &hindrance).await;
        }
        let further = cross::further(config, &asked);
        let trees = match landing::land(&self.finder.shared.mirror, config, &asked, &further).await? {
            Ok(trees) => trees,
            Err(hindrance) => return self.refuse(config, &asked, &hindrance).await,
        };
        asked.subject.tree.clone_from(&trees.tree);
        let looked = self.own_file(config, &asked, &trees).await?;
        let remark = looked.as_ref().map(|looked| &looked.remark);
        let own = looked.as_ref().and_then(|looked| looked.own.as_ref());
        let (mut chosen, by) = match own {
            Some(own) => {
                let by = own_rules::row(&asked.repo, &own.text);
                self.finder.shared.own_rules.keep(&by.digest, config, Ok(Arc::clone(&own.config)));
                (chosen::choose_by_own(config, &own.config, &asked, &trees.toolchain), Some(by))
            }
            None => (chosen::choose(config, &asked, &trees.toolchain), None),
        };
        // What is built against the change has rules of its own.
        let rules_of = |repo: &str| by.as_ref().filter(|by| by.repo == repo).map(|by| by.digest.clone());
        cross::add(config, &asked, &trees, &mut chosen);
        let ledger = &self.finder.shared.ledger;
        let now = ledger.clock().now();
        let run = row(new_id!(TryRunId, **ledger.clock()), config, &asked, &chosen, now);
        let new: Vec<NewBuild> = chosen
            .cells
            .into_iter()
            .map(|cell| NewBuild {
                id: new_id!(BuildId, **ledger.clock()),
                rules: rules_of(&cell.repo).unwrap_or_default(),
                sample: rules_of(&cell.repo).map(|by| builds::sample_by_rules(&by)).unwrap_or_default(),
                builder: cell.builder,
                repo: cell.repo,
                branch: cell.branch,
                toolchain_branch: cell.toolchain_branch,
                revision: cell.revision,
                class: Class::Try.as_str(),
                priority: 0,
                commit_time: now,
                untrusted: true,
                avoid: String::new(),
            })
            .collect();
        let message = say::beginning(config, &run, &chosen.said, new.len(), &asked.subject);
        let message = message.filter(|_| !new.is_empty());
        let remark = remark.and_then(|remark| say::own_file(config, &run, remark, now));
        let queued = transition!(ledger, "try_begin", run.id, |tx| {
            try_runs::put(&mut tx, &run).await?;
            put(&mut tx, ledger, message.as_ref()).await?;
            put(&mut tx, ledger, remark.as_ref()).await?;
            for member in &asked.subject.with {
                try_changes::put(&mut tx, run.id, &Member::row(member)).await?;
            }
            if let Some(by) = &by {
                store::own_rules::put(&mut tx, by, now).await?;
            }
            let mut queued = Vec::new();
            for one in &new {
                builds::insert(&mut tx, one, now).await?;
                let cell = builds::by_sample(&mut tx, &one.builder, &one.revision, &one.sample).await?;
                let cell = cell.ok_or(StoreError::Stale)?;
                try_runs::add_build(&mut tx, run.id, cell.id).await?;
                let rules = match own.filter(|_| !one.rules.is_empty()) {
                    Some(own) => rules::of_own(config, &own.config, &one.repo, &one.builder),
                    None => rules::of(config, &one.repo, &one.builder),
                };
                let rules = rules.unwrap_or_default();
                try_changes::set_rules(&mut tx, run.id, cell.id, &rules).await?;
                // What went well before is as good now; the rest is asked for once more.
                if cell.state == "done" && cell.outcome.as_deref() != Some("ok") {
                    builds::retry(&mut tx, cell.id, one.class, one.priority, now).await?;
                }
                queued.extend(builds::get(&mut tx, cell.id).await?.filter(|row| row.state == "queued"));
            }
            queued
        })?;
        tracing::info!(run = %run.id, review = run.review, commit = run.commit, builds = new.len(), "a change is tried");
        self.queued(queued).await;
        Ok(())
    }

    /// What is to be said of a change to its repository's own file. What a merge queue makes has been said of its parts.
    async fn own_file(
        &self,
        config: &buildenv::Config,
        asked: &Asked,
        trees: &landing::Trees,
    ) -> Result<Option<own_file::Looked>, Trouble> {
        let Some(recompose) = self.recompose.as_ref().filter(|_| !super::pulls::is_queue(asked)) else {
            return Ok(None);
        };
        let branches: Vec<String> = trees.toolchain.keys().cloned().collect();
        let mirror = &self.finder.shared.mirror;
        own_file::look(mirror, config, recompose, asked, &branches).await.map_err(Trouble::OwnFile)
    }

    /// Writes down a run that can't be made, and says why: once, until there is something else to be said.
    async fn refuse(
        &self,
        config: &buildenv::Config,
        asked: &Asked,
        hindrance: &Hindrance,
    ) -> Result<(), Trouble> {
        let ledger = &self.finder.shared.ledger;
        let now = ledger.clock().now();
        let run = row(new_id!(TryRunId, **ledger.clock()), config, asked, &Chosen::default(), now);
        let why = say::told(config, &run, &hindrance.text());
        let message = say::cancelled(config, &run, &why);
        transition!(ledger, "try_begin", run.id, |tx| {
            try_runs::put(&mut tx, &run).await?;
            try_runs::end(&mut tx, run.id, "cancelled", Some(&why), false, now).await?;
            for member in &asked.subject.with {
                try_changes::put(&mut tx, run.id, &Member::row(member)).await?;
            }
            // What conflicts is begun anew when another of its patch sets comes, and not before.
            if asked.subject.hindrance.is_some() {
                try_changes::put(&mut tx, run.id, &hindrance.row()).await?;
            }
            put(&mut tx, ledger, message.as_ref()).await?
        })?;
        tracing::info!(run = %run.id, review = run.review, why, "a change can't be tried");
        Ok(())
    }

    async fn queued(&self, rows: Vec<BuildRow>) {
        for row in &rows {
            self.finder.shared.reports.note(row.id);
        }
        if !rows.is_empty() {
            // A core that is gone reads the rows at its next start.
            let _ = self.finder.core.send(core::Message::Queued(rows)).await;
        }
    }

    async fn cancel(
        &self,
        config: &buildenv::Config,
        id: TryRunId,
        why: &str,
        hindrance: Option<&Hindrance>,
    ) -> Result<(), Trouble> {
        let ledger = &self.finder.shared.ledger;
        let now = ledger.clock().now();
        let run = self.row(id).await?;
        let told = run.as_ref().map(|run| say::told(config, run, why));
        let why = told.as_deref().unwrap_or(why);
        let message = run.as_ref().and_then(|run| say::cancelled(config, run, why));
        let cause = Cause { kind: "try_run".into(), detail: why.to_owned() };
        let cause = serde_json::to_string(&cause).unwrap_or_default();
        let after = transition!(ledger, "try_cancel", id, |tx| {
            let mut after = Vec::new();
            try_runs::end(&mut tx, id, "cancelled", Some(why), hindrance.is_none(), now).await?;
            if let Some(hindrance) = hindrance {
                try_changes::put(&mut tx, id, &hindrance.row()).await?;
            }
            put(&mut tx, ledger, message.as_ref()).await?;
            for build in try_runs::builds(&mut tx, id).await? {
                let Some(row) = builds::get(&mut tx, build).await? else { continue };
                // A person's, another run's, or by now one of a commit that landed: somebody waits for it still.
                // Of what was made by rules of the change alone nobody does.
                let others = (why == SUBMITTED && row.rules.is_empty())
                    || row.class != Class::Try.as_str()
                    || try_runs::needed_elsewhere(&mut tx, build, id).await?;
                if row.state == "done" || others {
                    continue;
                }
                builds::cancel(&mut tx, build, &cause).await?;
                if row.state == "queued" {
                    builds::finish(&mut tx, build, row.fence, "cancelled", Some(&cause), now).await?;
                }
                after.extend(builds::get(&mut tx, build).await?);
            }
            // Nobody waits for what these would tell.
            verdicts::give_up(&mut tx, id, "the run was over before it could be told", now).await?;
            let made: Vec<_> =
                store::samples::of_run(&mut tx, id).await?.into_iter().map(|made| made.build).collect();
            after.extend(samples::stop(&mut tx, made, &cause, now).await?);
            after
        })?;
        tracing::info!(run = %id, why, "a try run is over before its end");
        samples::send_stopped(&self.finder.core, after).await;
        Ok(())
    }

    async fn row(&self, id: TryRunId) -> Result<Option<TryRunRow>, StoreError> {
        try_runs::get(&mut self.finder.shared.ledger.db().read().await?, id).await
    }

    /// A run with its builds, and whose fault their failures are as far as that is known by now.
    async fn judged(
        &self,
        config: &buildenv::Config,
        id: TryRunId,
    ) -> Result<Option<(TryRunRow, Vec<BuildRow>, Findings)>, Trouble> {
        let mut reader = self.finder.shared.ledger.db().read().await?;
        let Some(run) = try_runs::get(&mut reader, id).await? else { return Ok(None) };
        let mut rows = Vec::new();
        for build in try_runs::builds(&mut reader, id).await? {
            rows.extend(builds::get(&mut reader, build).await?);
        }
        drop(reader);
        let findings = self.verdicts.look(config, &run, &rows).await?;
        Ok(Some((run, rows, findings)))
    }

    /// Says that a build failed while others go on, once the change is known to be at fault.
    async fn tell(&self, config: &buildenv::Config, id: TryRunId) -> Result<(), Trouble> {
        let Some((run, rows, findings)) = self.judged(config, id).await? else { return Ok(()) };
        let blamed = rows.iter().filter(|row| findings.blamed.contains(&row.id));
        let Some(build) = blamed.min_by_key(|row| (row.ended, row.id)) else { return Ok(()) };
        if !self.told.lock().await.insert(id) {
            return Ok(());
        }
        let ledger = &self.finder.shared.ledger;
        let message = say::progress(config, &run, build);
        Ok(transition!(ledger, "try_tell", id, |tx| put(&mut tx, ledger, message.as_ref()).await?)?)
    }

    /// Ends a run whose builds are done, once it is known whose fault their failures are.
    async fn end(&self, config: &buildenv::Config, id: TryRunId) -> Result<(), Trouble> {
        let Some((run, rows, findings)) = self.judged(config, id).await? else { return Ok(()) };
        if findings.open {
            return Ok(());
        }
        let rows = findings.counted(&rows);
        let verdict = decide::verdict(&rows);
        let ledger = &self.finder.shared.ledger;
        let now = ledger.clock().now();
        let failed: Vec<_> = rows.iter().filter(|row| row.outcome.as_deref() == Some("failed")).collect();
        let notes = match say::takes_notes(config, &run) {
            true => {
                annotate::notes(&self.finder.shared.mirror, &self.finder.shared.dashboard, &run, &failed)
                    .await
            }
            false => Vec::new(),
        };
        let message = say::ending(config, &run, verdict, &rows, &findings.lines, notes);
        transition!(ledger, "try_end", id, |tx| {
            try_runs::end(&mut tx, id, verdict.as_str(), None, false, now).await?;
            put(&mut tx, ledger, message.as_ref()).await?
        })?;
        tracing::info!(run = %id, verdict = verdict.as_str(), "a try run is over");
        Ok(())
    }

    async fn settle(&self, id: TryRunId) -> Result<(), Trouble> {
        let ledger = &self.finder.shared.ledger;
        Ok(transition!(ledger, "try_settle", id, |tx| try_runs::settle(&mut tx, id).await?)?)
    }
}

/// Puts what is to be said, if anybody may say it.
async fn put(tx: &mut Tx, ledger: &Ledger, message: Option<&Message>) -> Result<(), StoreError> {
    if let Some(message) = message {
        message.put(tx, &**ledger.clock()).await?;
    }
    Ok(())
}

fn row(id: TryRunId, config: &buildenv::Config, asked: &Asked, chosen: &Chosen, now: Micros) -> TryRunRow {
    let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
    TryRunRow {
        id,
        review: asked.review.to_string(),
        repo: asked.repo.clone(),
        branch: asked.branch.clone(),
        patch_set: i64::from(asked.patch_set),
        commit: asked.commit.clone(),
        change_id: asked.change_id.clone(),
        title: asked.title.chars().take(500).collect(),
        asked_by: asked.asked_by.clone(),
        terms: json(serde_json::to_string(&chosen.said)),
        left_out: json(serde_json::to_string(&chosen.left_out)),
        rules: config.digest().to_owned(),
        state: "running".to_owned(),
        reason: None,
        settled: false,
        began: now,
        ended: None,
    }
}
