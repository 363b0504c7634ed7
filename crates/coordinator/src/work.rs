//! Finds work: asks the dashboard which cells are empty, and queues a build for each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dashboard::api::{Cause, EmptyCell};
use serde::Deserialize;
use store::audit::{self, Deed};
use store::builds::{self, BuildRow, NewBuild};
use store::{BuildId, Micros, StoreError};
use tokio::sync::{mpsc, watch};

use crate::attempt::Shared;
use crate::clock::new_id;
use crate::core::Message;
use crate::ledger::transition;
use crate::resolve;
use crate::schedule::Class;

/// The most cells taken into the window in one go.
const WINDOW: u32 = 2000;
/// How often the dashboard is asked. It answers from memory while nothing has changed.
pub(crate) const PERIOD: Duration = Duration::from_secs(1);

/// Finds work and queues it.
#[derive(Clone)]
pub(crate) struct Finder {
    pub shared: Arc<Shared>,
    pub config: watch::Receiver<Arc<buildenv::Config>>,
    pub core: mpsc::Sender<Message>,
}

/// A build that somebody asks for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub builder: String,
    pub repo: String,
    pub branch: String,
    pub toolchain_branch: Option<String>,
    pub revision: String,
    pub class: Class,
    pub priority: i64,
    pub commit_time: Micros,
}

#[derive(Deserialize)]
struct Ancestor {
    ancestor: bool,
}

impl Finder {
    /// Asks once; returns how many builds were queued.
    ///
    /// # Errors
    /// The dashboard's or the database's.
    pub async fn find(&self) -> Result<usize, FindError> {
        let empty = self.shared.dashboard.empty_cells(WINDOW).await?;
        if empty.cells.is_empty() {
            return Ok(0);
        }
        let wanted: Vec<_> = empty.cells.into_iter().map(of_cell).collect();
        let mut known = HashMap::new();
        let mut skipped = Vec::new();
        for want in &wanted {
            if let Some(reason) = self.missing_ancestor(want, &mut known).await {
                skipped.push((want.revision.clone(), want.builder.clone(), reason));
            }
        }
        let queued = self.queue(wanted, &skipped, None).await?;
        Ok(queued.len())
    }

    /// Queues cells that have no build yet, and returns the new rows; the deed of the person who asked is written
    /// down with the first of them.
    ///
    /// # Errors
    /// The database's.
    pub async fn queue(
        &self,
        wanted: Vec<Wanted>,
        skipped: &[(String, String, String)],
        deed: Option<Deed>,
    ) -> Result<Vec<BuildRow>, StoreError> {
        let ledger = &self.shared.ledger;
        let now = ledger.clock().now();
        let new: Vec<NewBuild> = wanted
            .into_iter()
            .map(|want| NewBuild {
                id: new_id!(BuildId, **ledger.clock()),
                builder: want.builder,
                repo: want.repo,
                branch: want.branch,
                toolchain_branch: want.toolchain_branch,
                revision: want.revision,
                class: want.class.as_str(),
                priority: want.priority,
                commit_time: want.commit_time,
                untrusted: false,
                sample: String::new(),
                avoid: String::new(),
                rules: String::new(),
            })
            .collect();
        let Some(first) = new.first().map(|first| first.id) else { return Ok(Vec::new()) };
        let rows = transition!(ledger, "queued", first, |tx| {
            let mut rows = Vec::new();
            for one in &new {
                if !builds::insert(&mut tx, one, now).await? {
                    // Ours, where it was committed before and the answer was lost.
                    rows.extend(builds::get(&mut tx, one.id).await?);
                    continue;
                }
                let skip = skipped
                    .iter()
                    .find(|(revision, builder, _)| *revision == one.revision && *builder == one.builder);
                if let Some((_, _, reason)) = skip {
                    let cause = Cause { kind: "required_ancestor".into(), detail: reason.clone() };
                    let cause = serde_json::to_string(&cause).unwrap_or_default();
                    builds::finish(&mut tx, one.id, 0, "skipped", Some(&cause), now).await?;
                }
                rows.extend(builds::get(&mut tx, one.id).await?);
            }
            if let Some(deed) = deed.clone().filter(|_| !rows.is_empty()) {
                audit::append(&mut tx, deed).await?;
            }
            rows
        })?;
        for row in &rows {
            match row.state.as_str() {
                "done" => self.shared.reports.note_done(row.id),
                _ => self.shared.reports.note(row.id),
            }
        }
        let queued = rows.iter().filter(|row| row.state == "queued").cloned().collect::<Vec<_>>();
        if !queued.is_empty() {
            // A core that is gone reads the rows at its next start.
            let _ = self.core.send(Message::Queued(queued)).await;
        }
        Ok(rows)
    }

    /// Why the cell is left out: a commit that its builder needs is not in its history.
    async fn missing_ancestor(&self, want: &Wanted, known: &mut HashMap<String, bool>) -> Option<String> {
        let config = Arc::clone(&self.config.borrow());
        let builder = resolve::builder(&config, &want.repo, &want.builder).ok()?;
        let revision = resolve::parse_revision(&want.revision).ok()?;
        for needed in &builder.required_ancestors {
            let repo = needed.repo.as_ref().map_or(want.repo.clone(), ToString::to_string);
            let Some((_, commit)) = revision.iter().find(|(name, _)| *name == repo) else { continue };
            let path = format!("/mirror/{repo}/ancestor?commit={commit}&ancestor={}", needed.commit);
            let has = match known.get(&path) {
                Some(has) => *has,
                None => {
                    let answer = self.shared.mirror.get_json::<Ancestor>(&path).await;
                    let has = match answer {
                        Ok(answer) => answer.ancestor,
                        // A commit that the repository does not have at all is in nobody's history. Who can't be asked
                        // has not said that it is missing: the build runs, and tells.
                        Err(error) => !error.is_status(http::StatusCode::NOT_FOUND),
                    };
                    known.insert(path, has);
                    has
                }
            };
            if !has {
                return Some(format!("{repo}@{} is not in the history of {commit}", needed.commit));
            }
        }
        None
    }

    /// Asks again and again.
    pub async fn run(self) {
        let mut quiet = 0;
        loop {
            match self.find().await {
                Ok(_) => quiet = 0,
                Err(error) => {
                    if quiet % 30 == 0 {
                        tracing::warn!(%error, "work can't be found; trying again");
                    }
                    quiet += 1;
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }
}

/// Why work could not be found.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The dashboard's.
    #[error(transparent)]
    Dashboard(#[from] transport::CallError),
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn of_cell(cell: EmptyCell) -> Wanted {
    Wanted {
        builder: cell.builder,
        repo: cell.repo,
        branch: cell.branch,
        toolchain_branch: cell.toolchain_branch,
        revision: cell.revision,
        // Heads before history, whatever the dates of their commits say.
        class: if cell.position == 0 { Class::PostSubmit } else { Class::Backfill },
        priority: 0,
        commit_time: Micros(cell.commit_time_us),
    }
}
