//! What a maintnerd watches, as its pollers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use buildenv::GithubHook;
use github::{Client, Limits, Repo, SystemClock};
use maintner::sources::git::{Follow, Remote};
use maintner::sources::{git as by_git, github as by_github};
use maintner::time::Time;
use maintnerd::Poller;
use maintnerd::watch::{self, Wakers};
use secrecy::SecretString;
use transport::Service;

use super::data;

/// Between two polls of one.
const GAP: Duration = Duration::from_secs(1);

/// Repositories of GitHub, which share one rate budget.
pub struct OfGithub<'a> {
    /// Such as `golang/go`.
    pub repos: &'a [String],
    /// Where its API is.
    pub api: &'a str,
    /// What is shown to it.
    pub token: Option<SecretString>,
    /// The webhook whose failed deliveries are asked for.
    pub hook: Option<GithubHook>,
}

impl OfGithub<'_> {
    /// What polls them. `place` is where they are named, for errors.
    pub fn pollers(self, place: &str, wakers: &Wakers) -> Result<Vec<Poller>> {
        if self.repos.is_empty() {
            return Ok(Vec::new());
        }
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).context("the operating system gives no randomness")?;
        let client = Client::new(github::Options {
            service: Service::url(self.api),
            token: self.token,
            user_agent: format!("bellwether/{}", env!("CARGO_PKG_VERSION")),
            clock: Arc::new(SystemClock),
            seed: u64::from_le_bytes(seed),
            limits: Limits::default(),
        })?;
        let poller = |repo: &String| {
            let parts =
                repo.split_once('/').with_context(|| format!("{place} {repo:?} is not OWNER/REPO"))?;
            let repo = Repo::new(parts.0, parts.1).with_context(|| place.to_owned())?;
            let mut options = by_github::Options::new(repo);
            if let Some(hook) = &self.hook {
                (options.hook, options.deliveries) = (Some(hook.url.clone()), hook.every);
            }
            Ok(watch::github(client.clone(), options, wakers))
        };
        self.repos.iter().map(poller).collect()
    }
}

/// What git fetches, below a folder.
pub struct ByGit {
    git: git::Git,
    folder: PathBuf,
}

impl ByGit {
    /// Below the folder of a log.
    pub fn below(folder: &Path) -> Result<ByGit> {
        let repos = folder.join("git");
        std::fs::create_dir_all(&repos).with_context(|| format!("making {}", repos.display()))?;
        let config =
            git::GitConfig { env: data::git_environment(), ..git::GitConfig::new(folder.join("git-home")) };
        Ok(ByGit { git: git::Git::new(config)?, folder: repos })
    }

    /// What polls a project. `place` is where it is named, for errors.
    pub fn poller(
        &self,
        project: &str,
        url: &str,
        (follow, every): (Follow, Duration),
        place: &str,
        wakers: &Wakers,
    ) -> Result<Poller> {
        let url = url.parse().with_context(|| format!("{place} {project}"))?;
        let remote = Remote::new(project, url, follow).with_context(|| place.to_owned())?;
        let options = by_git::Options { folder: self.folder.clone(), every, gap: GAP.min(every), now };
        Ok(watch::git(self.git.clone(), project, remote, options, wakers))
    }
}

/// The token of a file, before which the original has the name of whose it is.
pub fn token_of(text: &str) -> SecretString {
    let text = text.trim();
    text.split_once(':').map_or(text, |(_, token)| token).into()
}

fn now() -> Time {
    let now = jiff::Timestamp::now();
    Time::new(now.as_second(), now.subsec_nanosecond())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_is_found_behind_a_name() {
        for text in ["abc", " abc\n", "gopherbot:abc\n"] {
            assert_eq!(token_of(text).expose_secret(), "abc", "{text:?}");
        }
    }
}
