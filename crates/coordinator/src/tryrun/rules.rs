//! By which rules a run's builds are made: an approval is for those that were there when it was heeded.

use std::collections::BTreeMap;
use std::sync::Arc;

use buildenv::{Config, Project, RepoName};
use sha2::{Digest as _, Sha256};
use store::BuildId;
use store::builds::BuildRow;

use crate::own_rules::{NotBy, OwnRules};
use crate::resolve;

/// What says all of a builder and its recipe that changes what a build does; none of a builder that is not there.
pub(super) fn of(config: &Config, repo: &str, builder: &str) -> Option<String> {
    let builder = resolve::builder(config, repo, builder).ok()?;
    let recipe = config.recipe(&repo.parse().ok()?, &builder.recipe)?;
    Some(config.digest_for(builder, recipe))
}

/// The same of a build by the change's own rules. They are what comes of the change and of what is in effect, so where that changes
/// for any builder of the repo, they are others, too.
pub(super) fn of_own(config: &Config, own: &Config, repo: &str, builder: &str) -> Option<String> {
    let made = of(own, repo, builder)?;
    let repo = repo.parse::<RepoName>().ok()?;
    let mut hash = Sha256::new();
    for builder in config.builders_for(&repo) {
        let rules = config.recipe(&repo, &builder.recipe).map(|recipe| config.digest_for(builder, recipe));
        hash.update(format!("{} {}\n", builder.full_name(), rules.unwrap_or_default()));
    }
    Some(format!("{made} beside {}", hex::encode(hash.finalize())))
}

/// A builder whose build waits and would be made by other rules than those noted. Of a repo whose own file was not read yet nothing
/// is said.
pub(super) fn changed(
    config: &Arc<Config>,
    own_rules: &OwnRules,
    builds: &[BuildRow],
    noted: &BTreeMap<BuildId, String>,
) -> Option<String> {
    let other = |build: &&BuildRow| {
        let unread = config.project(&build.repo).is_some_and(|own| *own == Project::default());
        let rules = noted.get(&build.id).filter(|_| build.state == "queued" && !unread);
        let Some(noted) = rules else { return false };
        let now = match own_rules.of(build, config) {
            Ok(_) if build.rules.is_empty() => of(config, &build.repo, &build.builder),
            Ok(own) => of_own(config, &own, &build.repo, &build.builder),
            Err(NotBy::Unread) => return false,
            Err(_) => None,
        };
        now.as_ref() != Some(noted)
    };
    builds.iter().find(other).map(|build| build.builder.clone())
}
