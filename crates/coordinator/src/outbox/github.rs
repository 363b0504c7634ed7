//! Comments and check runs on GitHub.

use std::fmt;

use futures::future::BoxFuture;
use github::post::{ANNOTATIONS, Check, CheckRun, Status};
use github::{Client, Error, Repo};
use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Again, Channel, Delivered, Delivery, Failure, Kind, Message, fit};

/// The longest text of a comment, bytes: GitHub takes 65,536 characters.
const LONGEST: usize = 60_000;
/// The longest description of a status.
const DESCRIBED: usize = 140;
/// The most annotations of a check run.
const MOST: usize = 1000;
/// The most pages of comments that are looked through for one.
const PAGES: usize = 30;

/// What is to be said on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Post {
    /// A comment on an issue or a pull request.
    Comment {
        /// `OWNER/REPO`.
        repo: String,
        /// Of the issue or the pull request.
        number: i32,
        /// Markdown. What is longer than 60,000 bytes is cut.
        text: String,
        /// When the first attempt can have been: older comments are not looked through. Seconds since 1970.
        since: i64,
    },
    /// A comment on a commit.
    CommitComment {
        /// `OWNER/REPO`.
        repo: String,
        /// The commit.
        commit: String,
        /// Markdown. What is longer than 60,000 bytes is cut.
        text: String,
    },
    /// A check run as it is from now on; it is made if the commit has none with its name and `external_id`. Annotations are added and
    /// never taken away, so one message of a check run has all of them: the one that ends it.
    Check {
        /// `OWNER/REPO`.
        repo: String,
        /// What it says. What is beyond 1,000 annotations is left out.
        check: Box<Check>,
    },
    /// A commit status, where no app posts: the newest of its context is what counts.
    Status {
        /// `OWNER/REPO`.
        repo: String,
        /// The commit.
        commit: String,
        /// What it says. Of the description, what is beyond 140 bytes is cut.
        status: Status,
    },
}

impl Post {
    /// Makes the message of it.
    #[must_use]
    pub fn message(&self, key: &str) -> Message {
        let target = match self {
            Self::Comment { repo, number, .. } => format!("{repo}#{number}"),
            Self::CommitComment { repo, commit, .. } => format!("{repo}@{commit}"),
            Self::Check { repo, check } => {
                format!("{repo}@{} {}", check.head_sha, fit(&check.name, 200))
            }
            Self::Status { repo, commit, status } => {
                format!("{repo}@{commit} {}", fit(&status.context, 200))
            }
        };
        Message::of(key, Kind::Github, target, self)
    }
}

/// Posts to GitHub.
pub struct Github {
    client: Client,
}

impl fmt::Debug for Github {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Github").field(&self.client).finish()
    }
}

impl Github {
    /// Posts by this client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn post(&self, delivery: Delivery<'_>) -> Result<Delivered, Failure> {
        match delivery.read()? {
            Post::Comment { repo, number, text, since } => {
                let repo = name(&repo)?;
                self.comment(&repo, number, &text, since, delivery).await.map_err(failure)
            }
            Post::CommitComment { repo, commit, text } => {
                let repo = name(&repo)?;
                self.commit_comment(&repo, &commit, &text, delivery).await.map_err(failure)
            }
            Post::Check { repo, check } => {
                let repo = name(&repo)?;
                self.check(&repo, *check).await.map_err(failure)
            }
            Post::Status { repo, commit, status } => {
                let repo = name(&repo)?;
                self.status(&repo, &commit, status, delivery.again).await.map_err(failure)
            }
        }
    }

    async fn comment(
        &self,
        repo: &Repo,
        number: i32,
        text: &str,
        since: i64,
        delivery: Delivery<'_>,
    ) -> Result<Delivered, Error> {
        // Pages don't show it.
        let mark = format!("<!-- bw:{} -->", delivery.marker);
        if delivery.again {
            let (since, mut cursor) = (Timestamp::from_second(since).ok(), None);
            for _ in 0..PAGES {
                let page = self.client.comments(repo, number, since, cursor.as_ref()).await?;
                if page.items.iter().any(|comment| comment.body.contains(&mark)) {
                    return Ok(Delivered::Before);
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        self.client.create_comment(repo, number, &format!("{}\n\n{mark}", fit(text, LONGEST))).await?;
        Ok(Delivered::Now)
    }

    async fn commit_comment(
        &self,
        repo: &Repo,
        commit: &str,
        text: &str,
        delivery: Delivery<'_>,
    ) -> Result<Delivered, Error> {
        let mark = format!("<!-- bw:{} -->", delivery.marker);
        if delivery.again {
            let known = self.client.commit_comments(repo, commit).await?;
            if known.iter().any(|comment| comment.body.contains(&mark)) {
                return Ok(Delivered::Before);
            }
        }
        let text = format!("{}\n\n{mark}", fit(text, LONGEST));
        self.client.create_commit_comment(repo, commit, &text).await?;
        Ok(Delivered::Now)
    }

    async fn status(
        &self,
        repo: &Repo,
        commit: &str,
        mut status: Status,
        again: bool,
    ) -> Result<Delivered, Error> {
        status.description = status.description.map(|text| fit(&text, DESCRIBED));
        if again {
            let known = self.client.statuses(repo, commit).await?;
            if known.iter().find(|known| known.context == status.context) == Some(&status) {
                return Ok(Delivered::Before);
            }
        }
        self.client.create_status(repo, commit, &status).await?;
        Ok(Delivered::Now)
    }

    async fn check(&self, repo: &Repo, mut check: Check) -> Result<Delivered, Error> {
        check.output.summary = fit(&check.output.summary, LONGEST);
        check.output.text = fit(&check.output.text, LONGEST);
        let mut annotations = std::mem::take(&mut check.output.annotations);
        annotations.truncate(MOST);
        let known = self.client.checks(repo, &check.head_sha, &check.name).await?;
        let ours = |run: &&CheckRun| run.external_id.as_deref() == Some(&*check.external_id);
        let known = known.iter().filter(ours).max_by_key(|run| run.id).cloned();
        let part = |from: usize| {
            let end = annotations.len().min(from + ANNOTATIONS);
            let mut part = check.clone();
            part.output.annotations = annotations.get(from..end).unwrap_or_default().to_vec();
            (part, end)
        };
        // What an attempt before brought is counted by GitHub, so that nothing is added twice.
        let (id, mut done, mut said) = match known {
            Some(run) => (run.id, run.output.annotations_count.min(annotations.len()), false),
            None => {
                let (first, end) = part(0);
                (self.client.create_check(repo, &first).await?.id, end, true)
            }
        };
        while !said || done < annotations.len() {
            let (next, end) = part(done);
            self.client.update_check(repo, id, &next).await?;
            (done, said) = (end, true);
        }
        Ok(Delivered::Now)
    }
}

fn name(repo: &str) -> Result<Repo, Failure> {
    repo.parse().map_err(|error: Error| Failure::never(error.to_string()))
}

fn failure(error: Error) -> Failure {
    let again = match &error {
        Error::Limited { .. } | Error::Call { .. } | Error::Malformed { .. } => Again::Later,
        // A person may give a right or a token, or name the repository as it is called now.
        Error::Moved { .. } => Again::Later,
        Error::Status { status, .. } => match *status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Again::Later,
            status if status.is_server_error() => Again::Later,
            _ => Again::Never,
        },
        Error::Name(_) => Again::Never,
    };
    Failure { message: error.to_string(), again }
}

impl Channel for Github {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Result<Delivered, Failure>> {
        Box::pin(self.post(delivery))
    }
}
