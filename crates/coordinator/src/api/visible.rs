//! What exists for whom, by the configuration. A build belongs to every repo of its revision.

use buildenv::Config;
use transport::Viewer;

use crate::core::Status;

/// Whether a repo does. One that is not configured is nobody's business.
pub(super) fn repo(config: &Config, viewer: &Viewer, name: &str) -> bool {
    viewer.sees_all() || config.is_private(name) == Some(false) || viewer.sees_private(name)
}

/// Whether a repo does with all that it is built against.
pub(crate) fn with_needs(config: &Config, viewer: &Viewer, name: &str) -> bool {
    let needs = config.repo(name).map_or(&[][..], |repo| &repo.needs);
    repo(config, viewer, name) && needs.iter().all(|need| repo(config, viewer, need.as_str()))
}

/// Whether all repos of a revision do.
pub(super) fn revision(config: &Config, viewer: &Viewer, revision: &str) -> bool {
    let mut parts = revision.split('+').map(|part| part.split('@').next().unwrap_or_default());
    parts.all(|name| repo(config, viewer, name))
}

/// Leaves out what does not.
pub(super) fn status(config: &Config, viewer: &Viewer, mut status: Status) -> Status {
    if !viewer.sees_all() {
        status.queued.retain(|one| revision(config, viewer, &one.revision));
        status.running.retain(|one| revision(config, viewer, &one.revision));
        status.blocked.retain(|one| repo(config, viewer, &one.repo));
        for worker in &mut status.workers {
            // Who holds it as what names a builder, and what could not be removed is of a tree: of a private repository, perhaps.
            if let Some(reason) = &mut worker.reason {
                let held = worker.state == "busy";
                *reason = if held { "held" } else { "not fit for work; developers see why" }.to_owned();
            }
        }
    }
    status
}
