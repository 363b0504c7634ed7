//! maintnerd, as the configuration has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use buildenv::{SecretSource, Visibility};
use maintner::journal::Options;
use maintner::sources::git::Follow;
use maintnerd::api::Home;
use maintnerd::logs::LogsConfig;
use maintnerd::watch::Wakers;
use maintnerd::{Config, Daemon, DaemonError, Of, Poller, Readers, hints};
use pubsubhelper::Hub;
use transport::{Routes, Service};

use super::composed;
use super::running::Running;
use super::watched::{ByGit, OfGithub, token_of};

/// One that has read its log, and serves what it knows. Nobody polls yet.
pub struct Opened {
    /// What serves.
    pub daemon: Arc<Daemon>,
    /// Who may read what it knows.
    pub readers: Readers,
    pollers: Vec<Poller>,
}

/// Opens it below the data directory, if something is to be watched or followed. It hears what a hub takes.
pub async fn open(
    config: &buildenv::Config,
    hub: Option<&Hub>,
    data: &Path,
    base: &Path,
) -> Result<Option<Opened>> {
    let told = config.maintnerd();
    if !told.names_something() {
        return Ok(None);
    }
    let token = told.token.as_ref().map(|source| secret(source, data)).transpose()?;
    let folder = data.join("maintnerd");
    let (of, pollers) = match &told.follow {
        // Apart from a log of its own, which may have been there before.
        Some(index) => {
            let config = followed(index, true, token.as_deref(), folder.join("followed"))?;
            (Of::Others(Box::new(config)), Vec::new())
        }
        None => {
            let pollers = pollers(told, token, hub, &folder, base)?;
            (Of::Own { folder, options: Options::default() }, pollers)
        }
    };
    let (server, project) = told.home.clone();
    let config = Config {
        logs: LogsConfig { sealed_at: told.sealed_at.clone(), ..LogsConfig::default() },
        home: Home { server, project },
    };
    let reviews = told.reviews.as_deref().map(Service::url);
    let daemon = Daemon::start(of, config, reviews).await.context("starting maintnerd")?;
    let readers = match told.visibility {
        Visibility::Public => Readers::All,
        Visibility::Private => Readers::Developers,
    };
    Ok(Some(Opened { daemon, readers, pollers }))
}

impl Opened {
    /// What it serves beside the rest of the system.
    pub fn routes(&self) -> Routes {
        self.daemon.routes_within(self.readers)
    }

    /// Says where bytes of the log lie that are in an answer, so that they are sent from there. Who may not read the log is
    /// given no such answer.
    pub fn files(&self) -> edge::Files {
        let daemon = self.daemon.clone();
        Arc::new(move |bytes: &[u8]| daemon.lies(bytes))
    }

    /// How it stands, in a line for the start.
    pub fn told(&self) -> String {
        let standing = self.daemon.standing();
        let (role, records, bytes) = (standing.role, standing.records, standing.bytes);
        format!("{role}, {records} mutations in {bytes} bytes, at /maintner")
    }

    /// Begins to poll.
    pub fn run(self) -> Running<DaemonError> {
        let Opened { daemon, pollers, .. } = self;
        Running::start("maintnerd", move |stop| async move { daemon.run(pollers, stop).await })
    }
}

fn pollers(
    told: &buildenv::Maintnerd,
    token: Option<String>,
    hub: Option<&Hub>,
    folder: &Path,
    base: &Path,
) -> Result<Vec<Poller>> {
    let wakers = Wakers::default();
    let token = token.map(Into::into);
    let hook = told.github_hook.clone();
    let github = OfGithub { repos: &told.github, api: &told.github_api, token, hook };
    let mut pollers = github.pollers("maintnerd.github", &wakers)?;
    if !told.git.is_empty() {
        let git = ByGit::below(folder)?;
        for one in &told.git {
            let follow = if one.changes { Follow::Gerrit } else { Follow::Plain };
            let url = composed::address(&one.url, base);
            pollers.push(git.poller(&one.project, &url, follow, "maintnerd.git", &wakers)?);
        }
    }
    if let Some(hub) = hub {
        let router = pubsubhelper::routes_within(hub).into_router();
        pollers.push(hints::subscribe(Service::in_process(router), "this server", &wakers));
    }
    Ok(pollers)
}

/// How another's log is followed. The token is shown to the server that has it, and to no other.
pub fn followed(index: &str, or_kept: bool, token: Option<&str>, cache: PathBuf) -> Result<godata::Config> {
    let mut config = godata::Config::at(index, cache);
    if or_kept {
        config.mode = godata::Mode::OnlineIfPossible;
    }
    if let Some(token) = token {
        let rest = index.split_once("://").map_or("", |(_, rest)| rest);
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        let origin = &index[..index.len() - rest.len() + host.len()];
        config.service = Some(Service::url(origin).with_bearer(token));
    }
    Ok(config)
}

fn secret(source: &SecretSource, data: &Path) -> Result<String> {
    use secrecy::ExposeSecret as _;
    let (name, read) = match source {
        SecretSource::Env(variable) => {
            (format!("maintnerd.token_env {variable}"), std::env::var(variable).map_err(anyhow::Error::from))
        }
        SecretSource::File(file) => {
            let path = data.join(file);
            let name = format!("maintnerd.token_file {}", path.display());
            (name, std::fs::read_to_string(path).map_err(anyhow::Error::from))
        }
    };
    let token = token_of(&read.with_context(|| name.clone())?).expose_secret().to_owned();
    ensure!(!token.is_empty(), "{name} is empty: take the key away to ask without a token");
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_the_server_that_is_followed() {
        let config =
            followed("https://example.org:8443/a/logs?x", false, Some("secret"), "c".into()).unwrap();
        assert_eq!(format!("{:?}", config.service.unwrap()), "Service(\"https://example.org:8443\")");
        assert!(followed("https://example.org/logs", true, None, "c".into()).unwrap().service.is_none());
    }

    #[test]
    fn a_token_is_never_empty_and_never_missing_in_silence() {
        let dir = tempfile::tempdir().unwrap();
        let file = SecretSource::File("token".into());
        let error = format!("{:#}", secret(&file, dir.path()).unwrap_err());
        assert!(error.contains("maintnerd.token_file") && error.contains("token"), "{error}");
        std::fs::write(dir.path().join("token"), "gopherbot:\n").unwrap();
        assert!(secret(&file, dir.path()).unwrap_err().to_string().contains("is empty"));
        std::fs::write(dir.path().join("token"), "gopherbot:abc\n").unwrap();
        assert_eq!(secret(&file, dir.path()).unwrap(), "abc");
    }
}
