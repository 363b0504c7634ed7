//! What exists for whom. Whatever is asked for by a repo's name, a build's or an attempt's id is looked up through here:
//! to those who may not see it, it does not exist, in the same words as what never was.
//!
//! A build belongs to every repo of its revision: one that was made with a private toolchain is as private as that.

use std::collections::HashMap;
use std::sync::Arc;

use buildenv::Config;
use store::logs::LogRow;
use store::{AttemptId, BuildId, Hidden};
use transport::Viewer;

use super::refusal::{Answer, Refusal};
use super::{Dashboard, id, logstore};

/// What exists for somebody.
pub(super) struct Eyes {
    viewer: Viewer,
    config: Arc<Config>,
    /// Whether a repo that was posted is private. Empty for those who see everything.
    posted: HashMap<String, bool>,
}

impl Eyes {
    /// Whether everything does.
    pub(super) fn all(&self) -> bool {
        self.viewer.sees_all()
    }

    /// Whether a repo does. One that is neither configured nor posted is nobody's business.
    pub(super) fn repo(&self, name: &str) -> bool {
        if self.all() {
            return true;
        }
        let said = [self.config.is_private(name), self.posted.get(name).copied()];
        let public = said.contains(&Some(false)) && !said.contains(&Some(true));
        public || self.viewer.sees_private(name)
    }

    /// What statements leave out: those that do not, of all repos that are known.
    pub(super) fn hidden(&self) -> Hidden {
        let configured = self.config.repos().iter().map(|repo| repo.name.as_str());
        let mut names: Vec<&str> = configured.chain(self.posted.keys().map(String::as_str)).collect();
        names.retain(|name| !self.repo(name));
        names.sort_unstable();
        names.dedup();
        Hidden::of(names)
    }

    /// Whether all repos of a revision do.
    pub(super) fn revision(&self, revision: &str) -> bool {
        self.all() || revision.split('+').all(|part| self.repo(part.split('@').next().unwrap_or_default()))
    }
}

/// Looks at what exists for somebody.
pub(super) async fn eyes(dashboard: &Dashboard, viewer: &Viewer) -> Answer<Eyes> {
    let mut posted = HashMap::new();
    if !viewer.sees_all() {
        let rows = store::repos::list(&mut dashboard.db().read().await?).await?;
        posted.extend(rows.into_iter().map(|row| (row.name, row.visibility != "public")));
    }
    Ok(Eyes { viewer: viewer.clone(), config: dashboard.config(), posted })
}

/// Finds the build that an id in a path names, if it exists for the viewer.
pub(super) async fn build(dashboard: &Dashboard, viewer: &Viewer, path_id: &str) -> Answer<BuildId> {
    let build: BuildId = id("build", path_id)?;
    if seen(dashboard, viewer, build).await? {
        return Ok(build);
    }
    Err(Refusal::not_found(format!("build {build}")))
}

/// Finds the attempt that an id in a path names, with its log, if it exists for the viewer.
pub(super) async fn attempt(dashboard: &Dashboard, viewer: &Viewer, path_id: &str) -> Answer<LogRow> {
    let attempt: AttemptId = id("attempt", path_id)?;
    let log = logstore::existing(dashboard, attempt).await?;
    if seen(dashboard, viewer, log.build).await? {
        return Ok(log);
    }
    Err(logstore::unknown(attempt))
}

async fn seen(dashboard: &Dashboard, viewer: &Viewer, build: BuildId) -> Answer<bool> {
    if viewer.sees_all() {
        return Ok(true);
    }
    let revision = store::results::revision(&mut dashboard.db().read().await?, build).await?;
    let Some(revision) = revision else { return Ok(false) };
    Ok(eyes(dashboard, viewer).await?.revision(&revision))
}
