//! How far commits are trusted, by what the mirrors of their repos have: what the database says of a build is no word on that.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use transport::{CallError, Service};

use super::{Shared, Trouble, Verdict};
use crate::job::{Job, Trust};

/// How long it is waited before the mirror is asked again, in milliseconds.
const PAUSES: [u64; 3] = [0, 200, 1000];
/// For all of it, where it is said in orders and no more.
const SAID: Duration = Duration::from_secs(10);
/// For all of it, where it decides what a machine does: the mirrors may look at their sources.
const DECIDED: Duration = Duration::from_secs(180);

/// The kind of an end for a build that was not begun, since secrets are for what has landed.
pub(super) const NOT_LANDED: &str = "not_landed";

/// Why it is not known that commits have landed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotLanded {
    /// One of them has not.
    #[error(
        "no branch and no tag has {commit}, and {builder} is given secrets, which are for what has landed"
    )]
    Not {
        /// As `REPO@COMMIT`.
        commit: String,
        /// The builder.
        builder: String,
    },
    /// A mirror can't say.
    #[error("it is not known whether {repo} has it on a branch: {source}")]
    Unknown {
        /// The repo.
        repo: String,
        /// Why.
        source: CallError,
    },
    /// A mirror does not come to its source.
    #[error("it is not known whether {repo} has it on a branch: {reason}")]
    Away {
        /// The repo.
        repo: String,
        /// Why.
        reason: String,
    },
    /// It takes too long.
    #[error("whether its commits are on branches was not said in {} s", .0.as_secs())]
    Late(Duration),
}

impl From<NotLanded> for Trouble {
    fn from(error: NotLanded) -> Self {
        match error {
            NotLanded::Not { .. } => {
                Trouble::Infra { verdict: Verdict::infra(NOT_LANDED, error.to_string()), fate: None }
            }
            _ => Trouble::source(error.to_string()),
        }
    }
}

#[derive(Deserialize)]
struct Landed {
    landed: bool,
}

/// What a mirror has found at its source.
#[derive(Deserialize)]
struct Looked {
    state: String,
    #[serde(default)]
    reason: Option<String>,
}

/// Finds out how far a job's commits are trusted. One that is given secrets is refused unless all have landed.
pub(super) async fn trust(shared: &Shared, job: &Job) -> Result<Trust, Trouble> {
    let commits: Vec<_> =
        job.sources.iter().map(|source| (source.repo.clone(), source.commit.clone())).collect();
    if !job.secrets.is_empty() {
        return Ok(have_landed(&shared.mirror, &commits, &job.builder, DECIDED)
            .await
            .map(|()| Trust::Landed)?);
    }
    // Nothing hangs on it: a mirror that can't say keeps nobody waiting.
    let all = async {
        for (repo, commit) in &commits {
            if !has_landed(&shared.mirror, repo, commit).await.unwrap_or(false) {
                return Trust::Unlanded;
            }
        }
        Trust::Landed
    };
    Ok(tokio::time::timeout(SAID, all).await.unwrap_or(Trust::Unlanded))
}

/// Sees that all commits have landed, for a builder that is given secrets. The mirrors look at their sources before one is refused,
/// for as long as `limit` allows.
///
/// # Errors
/// See [`NotLanded`].
pub(crate) async fn have_landed(
    mirror: &Service,
    commits: &[(String, String)],
    builder: &str,
    limit: Duration,
) -> Result<(), NotLanded> {
    let all = async {
        for (repo, commit) in commits {
            let unknown = |source| NotLanded::Unknown { repo: repo.clone(), source };
            if has_landed(mirror, repo, commit).await.map_err(unknown)? {
                continue;
            }
            // It may have been had from the source by its name, before the branch that it is on was looked at.
            let looked: Looked = mirror
                .call_json::<(), _>(Method::POST, &format!("/mirror/{repo}/hint?wait=1"), None)
                .await
                .map_err(unknown)?;
            if looked.state != "ok" {
                let reason = looked.reason.unwrap_or(looked.state);
                return Err(NotLanded::Away { repo: repo.clone(), reason });
            }
            if !has_landed(mirror, repo, commit).await.map_err(unknown)? {
                return Err(NotLanded::Not {
                    commit: format!("{repo}@{commit}"),
                    builder: builder.to_owned(),
                });
            }
        }
        Ok(())
    };
    tokio::time::timeout(limit, all).await.unwrap_or(Err(NotLanded::Late(limit)))
}

/// Whether a branch or a tag has a commit, as far as its mirror knows.
async fn has_landed(mirror: &Service, repo: &str, commit: &str) -> Result<bool, CallError> {
    let path = format!("/mirror/{repo}/landed?commit={commit}");
    let mut pauses = PAUSES.iter();
    loop {
        if let Some(pause) = pauses.next() {
            tokio::time::sleep(Duration::from_millis(*pause)).await;
        }
        match mirror.get_json::<Landed>(&path).await {
            Ok(answer) => return Ok(answer.landed),
            Err(error) if error.is_transient() && pauses.len() > 0 => {}
            Err(error) => return Err(error),
        }
    }
}
