//! What the dashboard is told: the state of the repository, its branches, its commits.

use std::collections::{BTreeMap, BTreeSet};

use git::{Commit, ObjectId};
use http::Method;
use serde::{Deserialize, Serialize};
use transport::{CallError, Service, segment};

use crate::branches;
use crate::repo::{SharedRepo, head_of};
use crate::state::View;

/// The fewest first-parent commits that a branch's list has, if there are so many.
const MIN_LIST: usize = 500;
/// The most commits above the last posted head.
const MAX_ABOVE: usize = 20_000;
/// How many commits' details go into one call.
const DETAILS: usize = 100;

#[derive(Debug, Serialize, PartialEq)]
struct RepoPost<'a> {
    state: &'a str,
    reason: Option<&'a str>,
    default_branch: Option<&'a str>,
    head: Option<String>,
    visibility: &'a str,
}

#[derive(Debug, Serialize)]
struct BranchPost {
    head: Option<String>,
    default: bool,
    first_parent: Vec<String>,
    complete: bool,
    base: Option<String>,
    commits: Vec<CommitPost>,
}

#[derive(Debug, Serialize)]
struct CommitPost {
    hash: String,
    parents: Vec<String>,
    author_name: String,
    author_email: Option<String>,
    time_us: i64,
    message: String,
}

#[derive(Debug, Default, Deserialize)]
struct BranchAnswer {
    #[serde(default)]
    missing: Vec<String>,
}

/// Why the dashboard was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PostError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Git(#[from] git::Error),
    #[error("it keeps asking for commits that it was given")]
    NeverEnough,
    #[error("the list of posted branches: {0}")]
    Record(#[source] std::io::Error),
}

/// Tells the dashboard what changed since it was last told.
pub(crate) struct Poster {
    dashboard: Service,
    repo: SharedRepo,
    /// What was last posted: head, and whether it was the default branch.
    posted: BTreeMap<String, (ObjectId, bool)>,
    /// Names that the dashboard may still have from before this process; read from the disk once.
    earlier: Option<BTreeSet<String>>,
    last_repo: Option<String>,
    /// The horizon of what was posted.
    horizon: u32,
}

impl Poster {
    pub(crate) fn new(dashboard: Service, repo: SharedRepo) -> Self {
        let horizon = repo.settings().horizon;
        Poster { dashboard, repo, posted: BTreeMap::new(), earlier: None, last_repo: None, horizon }
    }

    pub(crate) async fn post(&mut self) -> Result<(), PostError> {
        let view = self.repo.view.borrow().clone();
        self.post_repo(&view).await?;
        if !view.seen {
            return Ok(());
        }
        let settings = self.repo.settings();
        if settings.horizon != self.horizon {
            // What was posted reaches as far back as was wanted then, so all is told anew.
            self.posted.clear();
            self.horizon = settings.horizon;
        }
        let selected = branches::select(&view, &settings.branches);
        let file = self.repo.repository().await?.dir().join("bellwether-posted");
        if self.earlier.is_none() {
            let text = tokio::fs::read_to_string(&file).await.unwrap_or_default();
            self.earlier = Some(text.lines().map(str::to_owned).collect());
        }
        let earlier = self.earlier.take().unwrap_or_default();
        let names: BTreeSet<String> = selected.keys().chain(&earlier).cloned().collect();
        if names != earlier {
            // Written before the dashboard learns a name, so that a deletion is told even after a crash.
            write_names(&file, &names).await.map_err(PostError::Record)?;
        }
        self.earlier = Some(names.clone());
        for (branch, head) in &selected {
            let is_default = view.default_branch.as_deref() == Some(branch);
            if self.posted.get(branch) != Some(&(*head, is_default)) {
                self.post_branch(branch, *head, is_default).await?;
                self.posted.insert(branch.clone(), (*head, is_default));
            }
        }
        let gone: Vec<&String> = names.iter().filter(|name| !selected.contains_key(*name)).collect();
        for branch in &gone {
            let none = BranchPost {
                head: None,
                default: false,
                first_parent: Vec::new(),
                complete: true,
                base: None,
                commits: Vec::new(),
            };
            self.put_branch(branch, &none).await?;
            self.posted.remove(*branch);
        }
        if !gone.is_empty() {
            let left = selected.keys().cloned().collect();
            write_names(&file, &left).await.map_err(PostError::Record)?;
            self.earlier = Some(left);
        }
        Ok(())
    }

    async fn post_repo(&mut self, view: &View) -> Result<(), PostError> {
        let head = view.default_branch.as_ref().and_then(|name| head_of(view, name));
        let body = RepoPost {
            state: if view.blocked.is_some() { "blocked" } else { "ok" },
            reason: view.blocked.as_deref(),
            default_branch: view.default_branch.as_deref(),
            head: head.map(|id| id.to_string()),
            visibility: if self.repo.settings().private { "private" } else { "public" },
        };
        let text = serde_json::to_string(&body).unwrap_or_default();
        if self.last_repo.as_ref() != Some(&text) {
            let path = format!("/api/v1/repos/{}", segment(&self.repo.name));
            let _: serde_json::Value = self.dashboard.call_json(Method::PUT, &path, Some(&body)).await?;
            self.last_repo = Some(text);
        }
        Ok(())
    }

    async fn post_branch(&self, branch: &str, head: ObjectId, is_default: bool) -> Result<(), PostError> {
        let known = self.posted.get(branch).map(|(head, _)| *head);
        match self.try_branch(branch, head, is_default, known).await {
            // The dashboard knows another head than we think: tell it all.
            Err(PostError::Call(error)) if known.is_some() && error.is_status(http::StatusCode::CONFLICT) => {
                self.try_branch(branch, head, is_default, None).await
            }
            other => other,
        }
    }

    async fn try_branch(
        &self,
        branch: &str,
        head: ObjectId,
        is_default: bool,
        known: Option<ObjectId>,
    ) -> Result<(), PostError> {
        let (ids, base, complete) = self.list(head, known).await?;
        let repository = self.repo.repository().await?;
        let details = ids.len().min(if base.is_some() { DETAILS } else { self.horizon as usize + 1 });
        let commits = repository.commits(&ids[..details.min(DETAILS)]).await?;
        let mut body = BranchPost {
            head: Some(head.to_string()),
            default: is_default,
            first_parent: ids.iter().map(ObjectId::to_string).collect(),
            complete,
            base: base.map(|id| id.to_string()),
            commits: commits.iter().map(commit_post).collect(),
        };
        let mut missing = self.put_branch(branch, &body).await?.missing;
        // Each answer asks for at least one commit less than the one before.
        while !missing.is_empty() {
            let wanted: Vec<ObjectId> =
                missing.iter().take(DETAILS).filter_map(|hex| hex.parse().ok()).collect();
            body.commits = repository.commits(&wanted).await?.iter().map(commit_post).collect();
            let next = self.put_branch(branch, &body).await?.missing;
            if next.len() >= missing.len() {
                return Err(PostError::NeverEnough);
            }
            missing = next;
        }
        Ok(())
    }

    /// Lists first parents: those above the last posted head if it is one of them, else a list of its own.
    async fn list(
        &self,
        head: ObjectId,
        known: Option<ObjectId>,
    ) -> Result<(Vec<ObjectId>, Option<ObjectId>, bool), PostError> {
        let repository = self.repo.repository().await?;
        if let Some(base) = known
            && repository.is_ancestor(base, head).await.unwrap_or(false)
        {
            let above = repository.first_parent_ids(head, Some(base), MAX_ABOVE).await?;
            let meets = match above.last() {
                None => true,
                Some(oldest) => {
                    let oldest = repository.commits(std::slice::from_ref(oldest)).await?;
                    oldest.first().and_then(|commit| commit.parents.first()) == Some(&base)
                }
            };
            if meets {
                return Ok((above, Some(base), true));
            }
        }
        let max = MIN_LIST.max(self.horizon as usize + 1);
        let mut ids = repository.first_parent_ids(head, None, max + 1).await?;
        let complete = ids.len() <= max;
        ids.truncate(max);
        Ok((ids, None, complete))
    }

    async fn put_branch(&self, branch: &str, body: &BranchPost) -> Result<BranchAnswer, CallError> {
        let path = format!("/api/v1/repos/{}/branches/{}", segment(&self.repo.name), segment(branch));
        let answer: Option<BranchAnswer> = self.dashboard.call_json(Method::PUT, &path, Some(body)).await?;
        Ok(answer.unwrap_or_default())
    }
}

fn commit_post(commit: &Commit) -> CommitPost {
    CommitPost {
        hash: commit.id.to_string(),
        parents: commit.parents.iter().map(ObjectId::to_string).collect(),
        author_name: commit.author.name.clone(),
        author_email: commit.author.email.clone(),
        time_us: commit.committer_time.saturating_mul(1_000_000),
        message: commit.message.clone(),
    }
}

async fn write_names(file: &std::path::Path, names: &BTreeSet<String>) -> std::io::Result<()> {
    let text: String = names.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
    let new = file.with_extension("new");
    tokio::fs::write(&new, text).await?;
    tokio::fs::rename(&new, file).await
}
