//! What is posted: comments and check runs. A post is tried again only where it has certainly not happened.

use bytes::Bytes;
use http::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::calls::Repo;
use crate::client::{Client, malformed};
use crate::error::Error;
use crate::model::{Comment, Issue};

/// The most annotations of one request.
pub const ANNOTATIONS: usize = 50;

/// A check run to make, or what is to become of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What it is called on the page.
    pub name: String,
    /// The commit; said when it is made.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub head_sha: String,
    /// What its maker knows it by.
    pub external_id: String,
    /// Where there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details_url: Option<String>,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// Of one that is completed: `success`, `failure`, `neutral`, `cancelled`, `skipped`, `timed_out` or `action_required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<String>,
    /// What it shows.
    pub output: Output,
    /// Buttons.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
}

/// What a check run shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its title.
    pub title: String,
    /// Markdown.
    pub summary: String,
    /// Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// On lines; those of one request are added to what there is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
}

/// Something about a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// The file, from the top of the repo.
    pub path: String,
    /// From 1.
    pub start_line: u32,
    /// From 1.
    pub end_line: u32,
    /// `notice`, `warning` or `failure`.
    pub annotation_level: String,
    /// What it says.
    pub message: String,
    /// Its title.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
}

/// A button of a check run: GitHub tells us by a webhook that somebody pressed it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// What it says: up to 20 characters.
    pub label: String,
    /// What it does: up to 40 characters.
    pub description: String,
    /// What we know it by: up to 20 characters.
    pub identifier: String,
}

/// A commit status: what those show who are no app.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `pending`, `success`, `failure` or `error`.
    pub state: String,
    /// Where there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_url: Option<String>,
    /// What it says: up to 140 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// What it is called: the newest of a name counts.
    pub context: String,
}

/// A check run that there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct CheckRun {
    /// Never changes.
    pub id: i64,
    /// What its maker knows it by.
    pub external_id: Option<String>,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// How it ended.
    pub conclusion: Option<String>,
    /// What it shows.
    pub output: Shown,
}

/// What a check run shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Shown {
    /// Its title.
    pub title: Option<String>,
    /// So many annotations there are.
    pub annotations_count: usize,
}

#[derive(Deserialize)]
struct Listed {
    check_runs: Vec<CheckRun>,
}

#[derive(Serialize)]
struct Words<'a> {
    body: &'a str,
}

/// An issue to make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NewIssue {
    /// Its title.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// By their names; one that there is not yet is made.
    pub labels: Vec<String>,
}

/// What becomes of an issue.
#[derive(Serialize)]
struct State<'a> {
    state: &'a str,
}

fn read<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| malformed(path, error))
}

/// Names what is in a query.
pub(crate) fn escaped(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut to, byte| {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            to.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(to, "%{byte:02X}");
        }
        to
    })
}

/// A commit's name, which is digits.
fn digits(commit: &str) -> Result<&str, Error> {
    let good = !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if good { Ok(commit) } else { Err(Error::Name(commit.chars().take(100).collect())) }
}

impl Client {
    async fn send(&self, method: Method, path: &str, body: &impl Serialize) -> Result<Bytes, Error> {
        let body = serde_json::to_vec(body).map_err(|error| malformed(path, error))?;
        self.post(method, path, body.into()).await
    }

    /// Says something of an issue or a pull request.
    ///
    /// # Errors
    /// As all calls; [`Error::may_have_happened`] tells where to look first.
    pub async fn create_comment(&self, repo: &Repo, number: i32, text: &str) -> Result<Comment, Error> {
        let path = format!("/repos/{repo}/issues/{number}/comments");
        read(&path, &self.send(Method::POST, &path, &Words { body: text }).await?)
    }

    /// Makes an issue.
    ///
    /// # Errors
    /// As all calls; [`Error::may_have_happened`] tells where to look first.
    pub async fn create_issue(&self, repo: &Repo, issue: &NewIssue) -> Result<Issue, Error> {
        let path = format!("/repos/{repo}/issues");
        read(&path, &self.send(Method::POST, &path, issue).await?)
    }

    /// Opens an issue again. Once more does no harm.
    ///
    /// # Errors
    /// As all calls.
    pub async fn reopen_issue(&self, repo: &Repo, number: i32) -> Result<Issue, Error> {
        let path = format!("/repos/{repo}/issues/{number}");
        read(&path, &self.send(Method::PATCH, &path, &State { state: "open" }).await?)
    }

    /// Says something of a commit.
    ///
    /// # Errors
    /// As all calls; [`Error::may_have_happened`] tells where to look first.
    pub async fn create_commit_comment(
        &self,
        repo: &Repo,
        commit: &str,
        text: &str,
    ) -> Result<Comment, Error> {
        let path = format!("/repos/{repo}/commits/{}/comments", digits(commit)?);
        read(&path, &self.send(Method::POST, &path, &Words { body: text }).await?)
    }

    /// Lists what was said of a commit, the oldest first, up to 100.
    ///
    /// # Errors
    /// As all calls.
    pub async fn commit_comments(&self, repo: &Repo, commit: &str) -> Result<Vec<Comment>, Error> {
        let path = format!("/repos/{repo}/commits/{}/comments?per_page=100", digits(commit)?);
        let answer = self.get(&path).await?;
        read(&path, &answer.body)
    }

    /// Gives a commit a status.
    ///
    /// # Errors
    /// As all calls; [`Error::may_have_happened`] tells where to look first.
    pub async fn create_status(&self, repo: &Repo, commit: &str, status: &Status) -> Result<Status, Error> {
        let path = format!("/repos/{repo}/statuses/{}", digits(commit)?);
        read(&path, &self.send(Method::POST, &path, status).await?)
    }

    /// Returns the newest statuses of a commit, up to 100, the newest first.
    ///
    /// # Errors
    /// As all calls.
    pub async fn statuses(&self, repo: &Repo, commit: &str) -> Result<Vec<Status>, Error> {
        let path = format!("/repos/{repo}/commits/{}/statuses?per_page=100", digits(commit)?);
        let answer = self.get(&path).await?;
        read(&path, &answer.body)
    }

    /// Makes a check run, with up to [`ANNOTATIONS`] annotations. Only an app may.
    ///
    /// # Errors
    /// As all calls; [`Error::may_have_happened`] tells where to look first.
    pub async fn create_check(&self, repo: &Repo, check: &Check) -> Result<CheckRun, Error> {
        let path = format!("/repos/{repo}/check-runs");
        read(&path, &self.send(Method::POST, &path, check).await?)
    }

    /// Changes a check run: all that is said takes the place of what was, but for annotations, which are added.
    ///
    /// # Errors
    /// As all calls; [`Error::may_have_happened`] tells where to look first.
    pub async fn update_check(&self, repo: &Repo, id: i64, check: &Check) -> Result<CheckRun, Error> {
        let path = format!("/repos/{repo}/check-runs/{id}");
        read(&path, &self.send(Method::PATCH, &path, check).await?)
    }

    /// Returns the check runs of a commit that have a name; of more than 100 the newest of each maker.
    ///
    /// # Errors
    /// As all calls.
    pub async fn checks(&self, repo: &Repo, commit: &str, name: &str) -> Result<Vec<CheckRun>, Error> {
        let commit = digits(commit)?;
        let name = escaped(name);
        let path =
            format!("/repos/{repo}/commits/{commit}/check-runs?check_name={name}&filter=all&per_page=100");
        let answer = self.get(&path).await?;
        read::<Listed>(&path, &answer.body).map(|listed| listed.check_runs)
    }
}
