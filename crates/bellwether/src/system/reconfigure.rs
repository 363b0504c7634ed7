//! The one task that changes the configuration: after the files of repositories, and when it is told to read the server's
//! files again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use buildenv::{
    Asked, Class, Config, Environment, Hints, Maintnerd, Outbox, Secret, Visibility, diff_cells, diff_keys,
};
use dashboard::Dashboard;
use gitmirror::{Mirror, RepoState};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use transport::Service;

use super::composed::{self, Composer, Composition};
use super::data;
use super::reload::{Bad, Order, Reloaded};

/// How often the mirrors are asked whether a project file may have changed.
const RECONFIGURE: Duration = Duration::from_millis(200);

/// A repository's head, and why there is none.
type Heads = BTreeMap<String, (Option<String>, Option<String>)>;

/// What was taken from the configuration at the start, and stays.
pub(super) struct AtStart {
    pub environment: Environment,
    pub data: PathBuf,
    pub secrets: Vec<Secret>,
    pub hints: Hints,
    pub maintnerd: Maintnerd,
    pub outbox: Outbox,
}

/// Whoever follows the configuration's sources.
pub(super) struct Reconfigure {
    pub composer: Arc<Composer>,
    pub mirrors: Mirror,
    pub mirror: Service,
    pub dashboard: Dashboard,
    pub compositions: watch::Sender<Arc<Composition>>,
    pub configs: watch::Sender<Arc<Config>>,
    pub at_start: AtStart,
    pub orders: mpsc::Receiver<Order>,
    pub stop: CancellationToken,
}

impl Reconfigure {
    pub async fn run(mut self) {
        let mut seen = Heads::new();
        while !self.stop.is_cancelled() {
            let heads = heads(self.mirrors.states(), &seen);
            if heads != seen {
                match self.composer.files().with_projects(&self.mirror, &heads).await {
                    Ok(composition) => {
                        if let Err(error) = self.watch(&composition) {
                            tracing::error!(%error, "the mirrors can't take the configuration");
                        }
                        for (repo, problems) in &composition.problems {
                            // Whoever follows the compositions says what is wrong.
                            tracing::info!(%repo, problems = problems.0.len(), "its configuration is bad");
                        }
                        self.show(composition);
                        seen = heads;
                    }
                    Err(error) => tracing::error!(
                        "the configuration can't be composed: {}",
                        crate::terminal::causes(&error)
                    ),
                }
            }
            let order = tokio::select! {
                () = tokio::time::sleep(if seen.is_empty() { RECONFIGURE / 4 } else { RECONFIGURE }) => None,
                order = self.orders.recv() => order,
                () = self.stop.cancelled() => None,
            };
            if let Some(order) = order {
                let reloaded = self.reload(&seen).await;
                // Whoever asked may have gone.
                let _ = order.answer.send(reloaded);
            }
        }
    }

    fn watch(&self, composition: &Composition) -> Result<(), gitmirror::OpenError> {
        self.mirrors.set_repos(composed::mirrored(&composition.config, &self.composer.base))
    }

    fn show(&self, composition: Composition) {
        let composition = Arc::new(composition);
        self.configs.send_replace(Arc::clone(&composition.config));
        self.compositions.send_replace(composition);
    }

    /// Reads the server's files again. Where anything is wrong with them, nothing changes.
    ///
    /// The files of repositories are those that were read last, at the heads that were `seen`, so that nothing is said to
    /// differ but what these files say otherwise. What is new in a repository is its next reading's.
    async fn reload(&self, seen: &Heads) -> Result<Reloaded, Bad> {
        let files = self.composer.read_again()?;
        let server = files.without_projects()?;
        let environment = server.config.environment();
        if environment.name != self.at_start.environment.name {
            return Err(Bad(format!(
                "this server is environment {}, and the files are of {}: another environment is another server",
                self.at_start.environment.name, environment.name
            )));
        }
        let (was, is) = (&self.at_start.maintnerd, server.config.maintnerd());
        if was.names_something()
            && was.visibility == Visibility::Public
            && is.visibility == Visibility::Private
        {
            return Err(Bad(
                "maintnerd.visibility: the log is served to readers until the server is started anew, so nothing is taken up \
                 that counts on its being private: restart the server"
                    .into(),
            ));
        }
        let key = data::builder_key(&server.config, &self.at_start.data)?;
        let composition = files.with_projects(&self.mirror, seen).await?;
        let old = self.configs.borrow().clone();
        let reloaded = Reloaded {
            restart: self.needs_restart(&old, &composition.config),
            ..difference(&old, &composition.config)
        };
        // From here on it is in effect. The mirrors refuse only what the check of the files has refused before.
        if let Some(key) = key {
            self.dashboard.set_builder_key(&key).map_err(|error| Bad(error.to_string()))?;
        }
        self.watch(&composition).map_err(|error| Bad(error.to_string()))?;
        self.composer.adopt(files);
        self.show(composition);
        Ok(reloaded)
    }

    /// What the files say otherwise than at the start, and is taken up at the next start only.
    fn needs_restart(&self, old: &Config, new: &Config) -> Vec<String> {
        let (was, is) = (&self.at_start.environment, new.environment());
        let name = &was.name;
        let mut found = Vec::new();
        for (key, differs) in [
            ("database", was.database != is.database),
            ("objects", was.objects != is.objects),
            ("listen", was.listen != is.listen),
            ("connections", was.connections != is.connections),
            ("tls", was.tls != is.tls),
        ] {
            if differs {
                found.push(format!("environment.{name}.{key}"));
            }
        }
        let known = |secret: &&Secret| {
            self.at_start
                .secrets
                .iter()
                .any(|known| (&known.name, &known.source) == (&secret.name, &secret.source))
        };
        found.extend(
            new.secrets()
                .iter()
                .filter(|secret| !known(secret))
                .map(|secret| format!("secret.{}", secret.name)),
        );
        if self.at_start.hints != *new.hints() {
            found.push("pubsubhelper".into());
        }
        if self.at_start.maintnerd != *new.maintnerd() {
            found.push("maintnerd".into());
        }
        if self.at_start.outbox != *new.outbox() {
            found.push("gerrit, github_posts, mail or webhook".into());
        }
        if data::worker_environment(old) != data::worker_environment(new) {
            found.push("env_pass, for workers".into());
        }
        if old.dashboard().builder_key_file.is_some() && new.dashboard().builder_key_file.is_none() {
            found.push("dashboard.builder_key_file, to take the key away".into());
        }
        found
    }
}

/// The heads at which project files are to be read. A repository whose first round is pending, because the mirror began
/// anew with it, keeps the file that was read last: it is not known to have none.
fn heads(states: Vec<RepoState>, seen: &Heads) -> Heads {
    let one = |state: RepoState| {
        let head = match state.rounds {
            0 => seen.get(&state.name)?.clone(),
            _ => (state.head, state.reason),
        };
        Some((state.name, head))
    };
    states.into_iter().filter_map(one).collect()
}

/// What differs between two configurations.
fn difference(old: &Config, new: &Config) -> Reloaded {
    let asked = Asked { repos: vec![], branch: None, toolchain_branches: vec![], class: Class::PostSubmit };
    let changes = diff_cells(old, new, &asked);
    let mut lines = diff_keys(old, new);
    lines.extend(changes.iter().map(ToString::to_string));
    if old.mutes() != new.mutes() {
        lines.push("~ mute rules".to_owned());
    }
    let changes = changes.iter().filter_map(|change| serde_json::to_value(change).ok()).collect();
    Reloaded { lines, changes, restart: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(name: &str, rounds: u64, head: Option<&str>) -> RepoState {
        RepoState {
            name: name.to_owned(),
            state: gitmirror::Health::Ok,
            reason: None,
            default_branch: None,
            head: head.map(str::to_owned),
            branches: BTreeMap::new(),
            rounds,
            fetches: rounds,
            status: String::new(),
            destinations: Vec::new(),
        }
    }

    fn shown(heads: &Heads) -> Vec<(&str, Option<&str>)> {
        heads.iter().map(|(name, (head, _))| (name.as_str(), head.as_deref())).collect()
    }

    #[test]
    fn a_repository_whose_first_round_is_pending_keeps_the_file_that_was_read() {
        let first = heads(vec![state("a", 1, Some("1")), state("b", 0, None)], &Heads::new());
        assert_eq!(shown(&first), [("a", Some("1"))], "nothing was read of b");
        let anew = heads(vec![state("a", 0, None), state("b", 1, Some("2"))], &first);
        assert_eq!(shown(&anew), [("a", Some("1")), ("b", Some("2"))]);
        let done = heads(vec![state("a", 1, Some("3")), state("b", 2, None)], &anew);
        assert_eq!(shown(&done), [("a", Some("3")), ("b", None)], "what a round found holds");
        assert_eq!(shown(&heads(vec![state("b", 0, None)], &done)), [("b", None)], "a is gone");
    }
}
