//! What is kept no more goes: by the rules of `[retention]`, in small steps, beside everything else.
//!
//! Rows come first: they say that a log or an artefact expired, and from then on nobody is shown it. A day later, so that a
//! backup that was begun before finds all that its rows name, the objects are deleted, and then the rows say so. A process
//! that dies between two steps leaves what the next round finishes. Rows of builds stay, and so does the audit log.

mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use buildenv::Retention;
use futures::TryStreamExt as _;
use serde::Serialize;
use store::retention::{self as rows, Held};
use store::{AttemptId, BuildId, Micros, ObjectError, StoreError, log_chunks};

use super::Dashboard;
use rules::{Keep, Kind};

/// From the row that says so to the object that goes. A backup that takes longer may miss what expired meanwhile.
const GRACE: Duration = Duration::from_secs(24 * 3600);
/// An object that no row names is looked at when it is so old: until then its row may be on its way.
const ORPHAN: Duration = Duration::from_secs(24 * 3600);
/// Builds, logs or artefacts in one step.
const STEP: u32 = 50;
/// Chunks of a log in one step.
const CHUNKS: u32 = 200;
/// Between two steps, so that others have their turn.
const PAUSE: Duration = Duration::from_millis(20);
/// So many names are listed.
const NAMED: usize = 100;

/// What a round does.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// The moment by which it goes.
    pub now: Micros,
    /// Whether it only says what would go.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// Logs, artefacts and test results that expired, and objects that were deleted, by kind.
    pub kinds: BTreeMap<&'static str, Amount>,
    /// The first of them by name.
    pub first: Vec<Item>,
    /// Builds of which something is kept beyond the shortest age, by the rule that keeps it.
    pub kept: BTreeMap<&'static str, u64>,
}

/// How much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Their bytes; 0 for rows.
    pub bytes: u64,
}

/// One thing that goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its kind.
    pub kind: &'static str,
    /// A build, or an object.
    pub name: String,
    /// The rule that ends it.
    pub rule: &'static str,
}

impl Gone {
    /// Whether nothing goes.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.kinds.is_empty()
    }

    fn add(&mut self, kind: &'static str, count: u64, bytes: u64, name: &str, rule: &'static str) {
        if count == 0 {
            return;
        }
        let amount = self.kinds.entry(kind).or_default();
        amount.count += count;
        amount.bytes += bytes;
        if self.first.len() < NAMED {
            self.first.push(Item { kind, name: name.to_owned(), rule });
        }
    }
}

/// Says why a round ended early. What was done is done; the next round goes on.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The object store.
    #[error(transparent)]
    Object(#[from] ObjectError),
}

fn ago(now: Micros, age: Duration) -> Micros {
    Micros(now.0.saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX)))
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

impl Dashboard {
    /// Lets go what is kept no more, or with `dry_run` says what would go.
    ///
    /// # Errors
    /// See [`GcError`].
    pub async fn gc(&self, round: Round) -> Result<Gone, GcError> {
        let config = self.config();
        let rules = config.retention();
        let mut gone = Gone::default();
        self.clear_logs(round, &mut gone).await?;
        self.clear_artifacts(round, &mut gone).await?;
        self.expire(rules, round, &mut gone).await?;
        self.sweep_snapshots(rules, round, &mut gone).await?;
        self.sweep_orphans(round, &mut gone).await?;
        Ok(gone)
    }

    /// Notes on rows what expired.
    async fn expire(&self, rules: &Retention, round: Round, gone: &mut Gone) -> Result<(), GcError> {
        let Some(before) = rules::horizon(rules, round.now) else { return Ok(()) };
        let mut green: HashMap<(String, String, String), HashSet<BuildId>> = HashMap::new();
        let mut after = String::new();
        loop {
            let builds = rows::held(&mut self.db().read().await?, &after, before, STEP).await?;
            let Some(last) = builds.last() else { return Ok(()) };
            after = last.build.to_string();
            let mut over = Vec::new();
            for build in &builds {
                let newest = self.is_newest_green(rules, build, &mut green).await?;
                let verdict = |kind| rules::keep(rules, kind, build, newest);
                let kinds = [
                    (Kind::Logs, build.logs, "logs"),
                    (Kind::Artifacts, build.artifacts, "artifacts"),
                    (Kind::Tests, (build.tests, 0), "tests"),
                ];
                for (kind, (count, bytes), name) in kinds {
                    match verdict(kind) {
                        _ if count == 0 => {}
                        keep if keep.is_over(round.now) => {
                            gone.add(
                                name,
                                number(count),
                                number(bytes),
                                &build.build.to_string(),
                                keep.rule(),
                            );
                            over.push((kind, build));
                        }
                        Keep::Forever("no age is set") => {}
                        keep => *gone.kept.entry(keep.rule()).or_default() += 1,
                    }
                }
            }
            if !round.dry_run && !over.is_empty() {
                let mut tx = self.db().begin().await?;
                for (kind, build) in over {
                    let (id, ended) = (build.build, build.ended);
                    match kind {
                        Kind::Logs => rows::expire_logs(&mut tx, id, ended, round.now).await?,
                        Kind::Artifacts => rows::expire_artifacts(&mut tx, id, ended, round.now).await?,
                        Kind::Tests => rows::expire_tests(&mut tx, id, ended).await?,
                    };
                }
                tx.commit().await?;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn is_newest_green(
        &self,
        rules: &Retention,
        build: &Held,
        known: &mut HashMap<(String, String, String), HashSet<BuildId>>,
    ) -> Result<bool, GcError> {
        if rules.last_green == 0 || build.outcome != "ok" {
            return Ok(false);
        }
        let key = (build.builder.clone(), build.repo.clone(), build.branch.clone());
        if let Some(newest) = known.get(&key) {
            return Ok(newest.contains(&build.build));
        }
        let mut reader = self.db().read().await?;
        let newest =
            rows::green(&mut reader, &build.builder, &build.repo, &build.branch, rules.last_green).await?;
        let newest: HashSet<BuildId> = newest.into_iter().collect();
        let found = newest.contains(&build.build);
        known.insert(key, newest);
        Ok(found)
    }

    /// Deletes the chunks of logs that expired a day ago: objects first, then their rows, then the log is cleared.
    async fn clear_logs(&self, round: Round, gone: &mut Gone) -> Result<(), GcError> {
        let before = ago(round.now, GRACE);
        let mut done = HashSet::new();
        loop {
            let limit = if round.dry_run { u32::MAX } else { STEP };
            let logs = rows::logs_to_clear(&mut self.db().read().await?, before, limit).await?;
            let logs: Vec<_> = logs.into_iter().filter(|(attempt, _)| done.insert(*attempt)).collect();
            if logs.is_empty() {
                return Ok(());
            }
            for (attempt, bytes) in logs {
                gone.add("logs deleted", 1, number(bytes), &attempt.to_string(), "expired a day ago");
                if !round.dry_run {
                    self.clear_log(attempt).await?;
                }
            }
        }
    }

    async fn clear_log(&self, attempt: AttemptId) -> Result<(), GcError> {
        loop {
            let chunks = rows::chunks(&mut self.db().read().await?, attempt, -1, CHUNKS).await?;
            let last = chunks.last().map(|(n, _)| *n);
            for object in chunks.iter().filter_map(|(_, object)| object.as_deref()) {
                self.objects().delete(object).await?;
            }
            let mut tx = self.db().begin().await?;
            match last {
                Some(n) => drop(rows::drop_chunks(&mut tx, attempt, n).await?),
                None => {
                    store::log_index::remove(&mut tx, attempt).await?;
                    rows::log_cleared(&mut tx, attempt).await?;
                }
            }
            tx.commit().await?;
            if last.is_none() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Deletes what artefacts held that expired a day ago, unless another one holds the same.
    async fn clear_artifacts(&self, round: Round, gone: &mut Gone) -> Result<(), GcError> {
        let before = ago(round.now, GRACE);
        let (mut done, mut objects) = (HashSet::new(), HashSet::new());
        loop {
            let limit = if round.dry_run { u32::MAX } else { STEP };
            let found = rows::artifacts_to_clear(&mut self.db().read().await?, before, limit).await?;
            let new = |one: &rows::Expired| done.insert((one.attempt, one.name.clone()));
            let found: Vec<_> = found.into_iter().filter(new).collect();
            if found.is_empty() {
                return Ok(());
            }
            for one in found {
                let named = rows::is_named(&mut self.db().read().await?, &one.object, before).await?;
                if !named && objects.insert(one.object.clone()) {
                    gone.add("artifacts deleted", 1, number(one.size), &one.object, "expired a day ago");
                    if !round.dry_run && !self.delete_old(&one.object, before).await? {
                        // It has just come again, and its row is on its way.
                        continue;
                    }
                }
                if !round.dry_run {
                    let mut tx = self.db().begin().await?;
                    rows::artifact_cleared(&mut tx, &one).await?;
                    tx.commit().await?;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Deletes an object if it was made before a moment; false if it is younger.
    async fn delete_old(&self, object: &str, before: Micros) -> Result<bool, GcError> {
        match self.objects().meta(object).await {
            Ok(meta) if meta.made >= before => Ok(false),
            Ok(_) => {
                self.objects().delete(object).await?;
                Ok(true)
            }
            Err(ObjectError::NotFound(_)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes snapshots of revisions that are no branch's head. They are made again where one is needed after all.
    async fn sweep_snapshots(&self, rules: &Retention, round: Round, gone: &mut Gone) -> Result<(), GcError> {
        let Some(age) = rules.snapshots else { return Ok(()) };
        let branches = store::branches::list(&mut self.db().read().await?).await?;
        let heads: HashSet<(String, String)> = branches
            .into_iter()
            .filter(|branch| !branch.deleted)
            .filter_map(|branch| Some((branch.repo, branch.head?)))
            .collect();
        let before = ago(round.now, age);
        let mut found = self.objects().walk("snapshots")?;
        let mut over = Vec::new();
        while let Some(object) = found.try_next().await? {
            let Some((repo, commit)) = rules::snapshot_of(&object.path) else { continue };
            if heads.contains(&(repo.to_owned(), commit.to_owned())) {
                *gone.kept.entry("a head's snapshot").or_default() += 1;
            } else if object.made < before {
                over.push(object);
            }
        }
        for object in over {
            gone.add("snapshots", 1, object.size, &object.path, "snapshots");
            if !round.dry_run {
                self.objects().delete(&object.path).await?;
            }
        }
        Ok(())
    }

    /// Deletes objects that a crash left: written, and then no row came to name them.
    async fn sweep_orphans(&self, round: Round, gone: &mut Gone) -> Result<(), GcError> {
        let before = ago(round.now, ORPHAN);
        let mut over = Vec::new();
        for prefix in ["logs", "artifacts"] {
            // Objects of one log follow one another.
            let mut of: Option<(AttemptId, HashSet<String>)> = None;
            let mut found = self.objects().walk(prefix)?;
            while let Some(object) = found.try_next().await? {
                if object.made >= before {
                    continue;
                }
                let named = match prefix {
                    "artifacts" => {
                        rows::is_named(&mut self.db().read().await?, &object.path, Micros(i64::MIN)).await?
                    }
                    _ => {
                        let attempt = object.path.split('/').nth(1).and_then(|text| text.parse().ok());
                        let Some(attempt) = attempt else { continue };
                        if of.as_ref().is_none_or(|(known, _)| *known != attempt) {
                            of = Some((attempt, self.objects_of_log(attempt).await?));
                        }
                        of.as_ref().is_some_and(|(_, objects)| objects.contains(&object.path))
                    }
                };
                if !named {
                    over.push(object);
                }
            }
        }
        for object in over {
            gone.add("orphans", 1, object.size, &object.path, "no row names it");
            if !round.dry_run {
                self.delete_old(&object.path, before).await?;
            }
        }
        Ok(())
    }

    async fn objects_of_log(&self, attempt: AttemptId) -> Result<HashSet<String>, GcError> {
        let (mut objects, mut n) = (HashSet::new(), 0);
        loop {
            let chunks = log_chunks::from(&mut self.db().read().await?, attempt, n, CHUNKS).await?;
            let Some(last) = chunks.last() else { return Ok(objects) };
            n = last.n + 1;
            objects.extend(chunks.into_iter().filter_map(|chunk| chunk.object));
        }
    }
}
