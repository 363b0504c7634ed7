//! maintnerd, as the configuration has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use buildenv::{RepoAddress, SecretSource, Visibility};
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
    not_open(config, base)?;
    let follows = told.follow.is_some();
    let token = told.token.as_ref().map(|source| secret(source, data, follows)).transpose()?;
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
            pollers.push(git.poller(&one.project, &url, (follow, one.every), "maintnerd.git", &wakers)?);
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

/// A repository that developers alone may see is in no log that everybody reads: of those that are paths, where they lead.
fn not_open(config: &buildenv::Config, base: &Path) -> Result<()> {
    let told = config.maintnerd();
    if told.visibility == Visibility::Private {
        return Ok(());
    }
    let hidden = || config.repos().iter().filter(|repo| repo.visibility == Visibility::Private);
    for one in &told.git {
        let at = place(&one.url, base);
        if let Some(repo) = hidden().find(|repo| place(&repo.url, base) == at) {
            let (project, name) = (&one.project, &repo.name);
            bail!(
                "maintnerd.git {project} is repo.{name}, which is private, and this log is for all readers: say \
                 visibility = \"private\" in [maintnerd] too"
            );
        }
    }
    Ok(())
}

/// Where a repository is; a path as the system knows it, if something is there.
fn place(url: &str, base: &Path) -> RepoAddress {
    match RepoAddress::of(url).below(base) {
        RepoAddress::Local(path) => {
            let bare = path.with_added_extension("git");
            let found = [&path, &bare].into_iter().find_map(|path| std::fs::canonicalize(path).ok());
            RepoAddress::Local(found.unwrap_or(path)).below(base)
        }
        remote @ RepoAddress::Remote { .. } => remote,
    }
}

/// What is shown to GitHub, before which its file may name whose it is; or to the server that is followed, which takes all of it.
fn secret(source: &SecretSource, data: &Path, follows: bool) -> Result<String> {
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
    let text = read.with_context(|| name.clone())?;
    let token = if follows { text.trim().to_owned() } else { token_of(&text).expose_secret().to_owned() };
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
        let error = format!("{:#}", secret(&file, dir.path(), false).unwrap_err());
        assert!(error.contains("maintnerd.token_file") && error.contains("token"), "{error}");
        std::fs::write(dir.path().join("token"), "gopherbot:\n").unwrap();
        assert!(secret(&file, dir.path(), false).unwrap_err().to_string().contains("is empty"));
        std::fs::write(dir.path().join("token"), "gopherbot:abc\n").unwrap();
        assert_eq!(secret(&file, dir.path(), false).unwrap(), "abc");
        assert_eq!(
            secret(&file, dir.path(), true).unwrap(),
            "gopherbot:abc",
            "a server's token may hold colons"
        );
        std::fs::write(dir.path().join("token"), " \n").unwrap();
        assert!(secret(&file, dir.path(), true).unwrap_err().to_string().contains("is empty"));
    }

    #[cfg(unix)]
    #[test]
    fn a_private_repository_is_found_behind_any_path() {
        let dir = tempfile::tempdir().unwrap();
        let base = std::fs::canonicalize(dir.path()).unwrap();
        std::fs::create_dir(base.join("veiled.git")).unwrap();
        std::os::unix::fs::symlink(base.join("veiled.git"), base.join("link")).unwrap();
        let of = |url: &str, visibility: &str| {
            let text = format!(
                "[repo.veiled]\nurl = \"veiled\"\nvisibility = \"private\"\n\
                 [maintnerd]\nvisibility = {visibility:?}\ngit = {{ project = \"here/x\", url = {url:?} }}\n"
            );
            let (os, arch) = buildenv::this_machine();
            let sources = [buildenv::embedded(os, arch), buildenv::Source::server("server.toml", text)];
            let config =
                buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None).unwrap();
            not_open(&config, &base)
        };
        let whole = base.join("veiled.git").display().to_string();
        for url in ["link", "x/../link", whole.as_str(), &format!("file://{whole}/")] {
            assert!(of(url, "public").unwrap_err().to_string().contains("repo.veiled"), "{url}");
            assert!(of(url, "private").is_ok(), "{url}");
        }
        assert!(of("open", "public").is_ok());
    }
}
