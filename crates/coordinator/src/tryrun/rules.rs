//! By which rules a run's builds are made: an approval is for those that were there when it was heeded.

use std::collections::BTreeMap;

use buildenv::{Config, Project};
use store::BuildId;
use store::builds::BuildRow;

use crate::resolve;

/// What says all of a builder and its recipe that changes what a build does; none of a builder that is not there.
pub(super) fn of(config: &Config, repo: &str, builder: &str) -> Option<String> {
    let builder = resolve::builder(config, repo, builder).ok()?;
    let recipe = config.recipe(&repo.parse().ok()?, &builder.recipe)?;
    Some(config.digest_for(builder, recipe))
}

/// A builder whose build waits and would be made by other rules than those noted. Of a repo whose own file was not read yet nothing
/// is said.
pub(super) fn changed(
    config: &Config,
    builds: &[BuildRow],
    noted: &BTreeMap<BuildId, String>,
) -> Option<String> {
    let other = |build: &&BuildRow| {
        let unread = config.project(&build.repo).is_some_and(|own| *own == Project::default());
        let rules = noted.get(&build.id).filter(|_| build.state == "queued" && !unread);
        rules.is_some_and(|noted| of(config, &build.repo, &build.builder).as_ref() != Some(noted))
    };
    builds.iter().find(other).map(|build| build.builder.clone())
}
