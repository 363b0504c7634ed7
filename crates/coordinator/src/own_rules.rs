//! Builds that are made by a file of rules which has not landed: that of the change which is tried (table `own_rules`).
//!
//! Such a build has the weaker of two trusts. What it does is said by the change's own file; where that may be done is said by the
//! configuration in effect: its hosts are those that take what nobody has reviewed, and a builder that is given secrets by either of
//! both is made by neither's rules here. A file is checked against the server's files like one that has landed.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buildenv::{Builder, Config, RepoName};
use sha2::{Digest as _, Sha256};
use store::builds::BuildRow;
use store::own_rules::OwnRulesRow;
use store::{BuildId, Conn, StoreError};

use crate::resolve::{self, ResolveError};
use crate::tryrun::Recompose;

/// The longest file that is kept, bytes.
pub(crate) const LONGEST: usize = 256 << 10;
/// So many configurations are kept ready; what is not among them is composed again.
const KEPT: usize = 32;
/// Said of a builder that is given secrets.
pub(crate) const SECRETS: &str = "it is given secrets, and nobody has reviewed the change";
/// Said of one that would do without by the change's own rules.
pub(crate) const SECRETS_LANDED: &str =
    "it is given secrets by the rules in effect, and nobody has reviewed those by which it is not";

/// Why a build can't be made by its own rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotBy {
    /// They are to be read first: see [`OwnRules::read`].
    #[error("the rules of the change are being read")]
    Unread,
    /// The server's files may be others than when it began.
    #[error("the rules of the change can't be used: {0}")]
    Bad(String),
    /// They name no such builder.
    #[error("by the rules of the change: {0}")]
    Resolve(#[from] ResolveError),
    /// It would be given a secret, or is by the rules in effect.
    #[error("the rules of the change are not followed for builder {0}: {1}")]
    HeldBack(String, &'static str),
}

/// Rules by what builds name them by.
pub(crate) struct OwnRules {
    recompose: Option<Recompose>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The oldest first.
    composed: VecDeque<Composed>,
    /// Builds that wait for theirs to be read.
    missed: BTreeSet<BuildId>,
}

struct Composed {
    rules: String,
    /// The digest of the configuration in effect.
    base: String,
    config: Result<Arc<Config>, NotBy>,
}

/// What builds name a repo's file by.
pub(crate) fn row(repo: &str, text: &str) -> OwnRulesRow {
    let digest = hex::encode(Sha256::digest(format!("{repo}\n{text}")));
    OwnRulesRow { digest, repo: repo.to_owned(), text: text.to_owned() }
}

/// Why a builder is not one for rules that nobody has reviewed.
pub(crate) fn held_back(config: &Config, own: &Config, repo: &str, builder: &str) -> Option<&'static str> {
    let has = |config| resolve::builder(config, repo, builder).is_ok_and(|one| !one.secrets.is_empty());
    match (has(own), has(config)) {
        (true, _) => Some(SECRETS),
        (_, true) => Some(SECRETS_LANDED),
        _ => None,
    }
}

/// The priority of a builder by its change's own rules: no change puts itself before others.
pub(crate) fn priority(config: &Config, row: &BuildRow, builder: &Builder) -> i64 {
    let own = i64::from(builder.priority);
    match row.rules.is_empty() {
        true => own,
        false => own.min(
            resolve::builder(config, &row.repo, &row.builder).map_or(0, |landed| i64::from(landed.priority)),
        ),
    }
}

impl OwnRules {
    pub fn new(recompose: Option<Recompose>) -> OwnRules {
        OwnRules { recompose, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self, rules: &str, config: &Config) -> Option<Result<Arc<Config>, NotBy>> {
        let known = self.known();
        let mut all = known.composed.iter();
        all.find(|one| one.rules == rules && one.base == config.digest()).map(|one| one.config.clone())
    }

    /// The configuration that a build is made by: the one in effect, or what that would be with the build's own rules.
    ///
    /// # Errors
    /// See [`NotBy`].
    pub fn of(&self, row: &BuildRow, config: &Arc<Config>) -> Result<Arc<Config>, NotBy> {
        if row.rules.is_empty() {
            return Ok(Arc::clone(config));
        }
        let own = self.found(&row.rules, config).unwrap_or(Err(NotBy::Unread))?;
        resolve::builder(&own, &row.repo, &row.builder)?;
        match held_back(config, &own, &row.repo, &row.builder) {
            Some(why) => Err(NotBy::HeldBack(row.builder.clone(), why)),
            None => Ok(own),
        }
    }

    /// Keeps what rules make of the configuration in effect.
    pub fn keep(&self, rules: &str, config: &Config, composed: Result<Arc<Config>, NotBy>) {
        let mut known = self.known();
        known.composed.retain(|one| one.rules != rules);
        if known.composed.len() >= KEPT {
            known.composed.pop_front();
        }
        let (rules, base) = (rules.to_owned(), config.digest().to_owned());
        known.composed.push_back(Composed { rules, base, config: composed });
    }

    /// Reads rules, if they are not known yet.
    ///
    /// # Errors
    /// The database's. That there is no such file, or that it is bad by now, is what [`OwnRules::of`] says.
    pub async fn read(
        self: &Arc<Self>,
        on: &mut impl Conn,
        rules: &str,
        config: &Arc<Config>,
    ) -> Result<(), StoreError> {
        if rules.is_empty() || self.found(rules, config).is_some() {
            return Ok(());
        }
        let kept = store::own_rules::get(on, rules).await?;
        let (all, config, rules) = (Arc::clone(self), Arc::clone(config), rules.to_owned());
        // A configuration may be long. Whoever does not wait for the end finds it the next time.
        let composed = tokio::task::spawn_blocking(move || {
            let composed = all.composed(kept);
            all.keep(&rules, &config, composed);
        });
        if let Err(error) = composed.await {
            tracing::error!(%error, "the rules of a change can't be composed");
        }
        Ok(())
    }

    fn composed(&self, kept: Option<OwnRulesRow>) -> Result<Arc<Config>, NotBy> {
        let Some(kept) = kept else { return Err(NotBy::Bad("they are not there any more".to_owned())) };
        let Some(recompose) = &self.recompose else {
            return Err(NotBy::Bad("this server follows none".to_owned()));
        };
        let repo = kept.repo.parse::<RepoName>();
        let repo = repo.map_err(|_| NotBy::Bad(format!("{} is no name of a repo", kept.repo)))?;
        // What is wrong may be a matter of the server's files, which is nobody's business here.
        recompose(&repo, Some(kept.text)).map(Arc::new).map_err(|_| {
            NotBy::Bad("they are not in order by the server's files as these are now".to_owned())
        })
    }

    /// Notes that a build waits for its rules to be read.
    pub fn miss(&self, build: BuildId) {
        self.known().missed.insert(build);
    }

    /// Whether builds wait for that.
    pub fn has_missed(&self) -> bool {
        !self.known().missed.is_empty()
    }

    /// Gives the builds that wait for that, each once.
    pub fn take_missed(&self) -> BTreeSet<BuildId> {
        std::mem::take(&mut self.known().missed)
    }
}
