//! Which projects' state is kept.

use std::time::Duration;

use super::{SecretSource, Visibility};
use crate::fields::Fields;

/// Which projects' state is kept. Where nothing is named there is no maintnerd.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Maintnerd {
    /// Repositories of GitHub, `OWNER/REPO`.
    pub github: Vec<String>,
    /// What is watched by git.
    pub git: Vec<WatchedGit>,
    /// The index of another's log; nothing is watched then.
    pub follow: Option<String>,
    /// What is shown to GitHub, or to the server that is followed.
    pub token: Option<SecretSource>,
    /// GitHub's API.
    pub github_api: String,
    /// The webhook of the repositories of GitHub.
    pub github_hook: Option<GithubHook>,
    /// Who may read the log.
    pub visibility: Visibility,
    /// The project that releases are made of: its server, and its name there.
    pub home: (String, String),
    /// The Gerrit that is asked what waits to be tried.
    pub reviews: Option<String>,
    /// Where copies of the sealed segments are.
    pub sealed_at: Option<String>,
}

/// A webhook whose failed deliveries are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubHook {
    /// Where it goes.
    pub url: String,
    /// How often GitHub is asked.
    pub every: Duration,
}

/// A repository that is watched by git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedGit {
    /// `HOST/PATH`, as the log names it.
    pub project: String,
    /// Where it is fetched from.
    pub url: String,
    /// Its changes are watched too: it is on a Gerrit.
    pub changes: bool,
    /// How often it is looked at where nothing hints at a change.
    pub every: Duration,
}

impl Maintnerd {
    /// That each entry is one of its kind was checked.
    pub(crate) fn read(f: Fields<'_>) -> Self {
        let at_https = |project: String| WatchedGit {
            url: format!("https://{project}"),
            project,
            changes: true,
            every: WatchedGit::EVERY,
        };
        let mut git: Vec<_> = f.texts("gerrit").into_iter().map(at_https).collect();
        git.extend(f.tables("git").into_iter().map(|(_, f)| WatchedGit::read(f)));
        let file = f.owned("token_file").map(SecretSource::File);
        let home = f.text("home").and_then(|home| home.split_once('/'));
        let (server, project) = home.unwrap_or(("go.googlesource.com", "go"));
        let follow = f.owned("follow");
        let token = file.or_else(|| f.owned("token_env").map(SecretSource::Env));
        let visibility = match f.text("visibility") {
            Some("private") => Visibility::Private,
            Some(_) => Visibility::Public,
            // What is shown only to who has a token is not shown to all by whoever copies it.
            None if follow.is_some() && token.is_some() => Visibility::Private,
            None => Visibility::Public,
        };
        Self {
            github: f.texts("github"),
            git,
            follow,
            token,
            github_api: f.owned("github_api").unwrap_or_else(|| "https://api.github.com".into()),
            github_hook: f.table("github_hook").map(GithubHook::read),
            visibility,
            home: (server.to_owned(), project.to_owned()),
            reviews: f.owned("reviews"),
            sealed_at: f.owned("sealed_at"),
        }
    }

    /// Whether there is something to watch or to follow.
    #[must_use]
    pub fn names_something(&self) -> bool {
        self.follow.is_some() || !self.github.is_empty() || !self.git.is_empty()
    }
}

impl GithubHook {
    fn read(f: Fields<'_>) -> Self {
        Self {
            url: f.owned("url").unwrap_or_default(),
            every: f.duration("every").unwrap_or(Duration::from_secs(60)),
        }
    }
}

impl WatchedGit {
    /// How often a repository is looked at of which nothing else is said.
    pub const EVERY: Duration = Duration::from_secs(5 * 60);

    fn read(f: Fields<'_>) -> Self {
        let project = f.owned("project").unwrap_or_default();
        Self {
            url: f.owned("url").unwrap_or_else(|| format!("https://{project}")),
            project,
            changes: f.flag("changes"),
            every: f.duration("every").unwrap_or(Self::EVERY).max(Duration::from_secs(1)),
        }
    }
}
