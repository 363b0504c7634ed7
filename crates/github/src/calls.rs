//! What can be asked for.

use std::fmt;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::{Answer, Client, malformed};
use crate::error::Error;
use crate::model::{Comment, Delivery, Hook, Issue, Label, Milestone, Pull, Ref};

/// A repository on GitHub.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repo {
    owner: String,
    name: String,
}

impl Repo {
    /// Takes the two halves of a name.
    ///
    /// # Errors
    /// What can't be a name.
    pub fn new(owner: &str, name: &str) -> Result<Self, Error> {
        let good = |part: &str| {
            !part.is_empty()
                && part.len() <= 100
                && part != "."
                && part != ".."
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if good(owner) && good(name) {
            Ok(Self { owner: owner.to_owned(), name: name.to_owned() })
        } else {
            Err(Error::Name(format!("{owner}/{name}").chars().take(250).collect()))
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Its name there.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl std::str::FromStr for Repo {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (owner, name) = text.split_once('/').unwrap_or((text, ""));
        Self::new(owner, name)
    }
}

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// Its elements.
    pub items: Vec<T>,
    /// How many more it has that are of no form that can be read.
    pub unread: usize,
    /// Where it goes on; `None` on the last page.
    pub next: Option<Cursor>,
    /// The server's time of the answer.
    pub date: Option<Timestamp>,
    /// It is what this client was answered last time.
    pub unchanged: bool,
}

/// One thing.
#[derive(Debug, Clone)]
pub struct One<T> {
    /// The thing.
    pub item: T,
    /// The server's time of the answer.
    pub date: Option<Timestamp>,
}

fn page<T: DeserializeOwned>(path: &str, answer: Answer) -> Result<Page<T>, Error> {
    let all: Vec<Value> = serde_json::from_slice(&answer.body).map_err(|error| malformed(path, error))?;
    let whole = all.len();
    let items: Vec<T> = all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
    let Answer { next, date, unchanged, .. } = answer;
    Ok(Page { unread: whole - items.len(), items, next: next.map(Cursor), date, unchanged })
}

impl Client {
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        from: Option<&Cursor>,
        first: impl FnOnce() -> String,
    ) -> Result<Page<T>, Error> {
        let path = from.map_or_else(first, |cursor| cursor.0.clone());
        page(&path, self.get(&path).await?)
    }

    /// Lists issues and pull requests of every state, those first that changed last.
    ///
    /// # Errors
    /// As all calls: see [`Error`].
    pub async fn issues(&self, repo: &Repo, from: Option<&Cursor>) -> Result<Page<Issue>, Error> {
        self.list(from, || format!("/repos/{repo}/issues?state=all&sort=updated&direction=desc&per_page=100"))
            .await
    }

    /// Lists issues and pull requests of every state that have a label, those first that were made last.
    ///
    /// # Errors
    /// As all calls.
    pub async fn issues_with(
        &self,
        repo: &Repo,
        label: &str,
        from: Option<&Cursor>,
    ) -> Result<Page<Issue>, Error> {
        let label = crate::post::escaped(label);
        self.list(from, || format!("/repos/{repo}/issues?state=all&labels={label}&per_page=100")).await
    }

    /// Gets one issue or pull request.
    ///
    /// # Errors
    /// As all calls; [`Error::is_gone`] tells that there is none.
    pub async fn issue(&self, repo: &Repo, number: i32) -> Result<One<Issue>, Error> {
        let path = format!("/repos/{repo}/issues/{number}");
        let answer = self.get(&path).await?;
        let item = serde_json::from_slice(&answer.body).map_err(|error| malformed(&path, error))?;
        Ok(One { item, date: answer.date })
    }

    /// Lists the open pull requests of a repo, those first that were opened first.
    ///
    /// # Errors
    /// As all calls.
    pub async fn open_pulls(&self, repo: &Repo, from: Option<&Cursor>) -> Result<Page<Pull>, Error> {
        self.list(from, || format!("/repos/{repo}/pulls?state=open&sort=created&direction=asc&per_page=100"))
            .await
    }

    /// Lists the branches of a repo's merge queue: each is what a branch would be if those in the queue had been merged.
    ///
    /// # Errors
    /// As all calls.
    pub async fn merge_groups(&self, repo: &Repo, from: Option<&Cursor>) -> Result<Page<Ref>, Error> {
        self.list(from, || format!("/repos/{repo}/git/matching-refs/heads/gh-readonly-queue/")).await
    }

    /// Lists the labels of a repo.
    ///
    /// # Errors
    /// As all calls.
    pub async fn labels(&self, repo: &Repo, from: Option<&Cursor>) -> Result<Page<Label>, Error> {
        self.list(from, || format!("/repos/{repo}/labels?per_page=100")).await
    }

    /// Lists the milestones of a repo, closed ones too.
    ///
    /// # Errors
    /// As all calls.
    pub async fn milestones(&self, repo: &Repo, from: Option<&Cursor>) -> Result<Page<Milestone>, Error> {
        self.list(from, || format!("/repos/{repo}/milestones?state=all&per_page=100")).await
    }

    /// Lists the comments of an issue, only those that changed at an instant or later if there is one.
    ///
    /// # Errors
    /// As all calls.
    pub async fn comments(
        &self,
        repo: &Repo,
        number: i32,
        since: Option<Timestamp>,
        from: Option<&Cursor>,
    ) -> Result<Page<Comment>, Error> {
        self.list(from, || {
            let since = since.map(|since| format!("&since={}", since.strftime("%Y-%m-%dT%H:%M:%SZ")));
            let since = since.unwrap_or_default();
            format!("/repos/{repo}/issues/{number}/comments?sort=updated&direction=asc&per_page=100{since}")
        })
        .await
    }

    /// Gets one comment.
    ///
    /// # Errors
    /// As all calls; [`Error::is_gone`] tells that there is none any more.
    pub async fn comment(&self, repo: &Repo, id: i64) -> Result<One<Comment>, Error> {
        let path = format!("/repos/{repo}/issues/comments/{id}");
        let answer = self.get(&path).await?;
        let item = serde_json::from_slice(&answer.body).map_err(|error| malformed(&path, error))?;
        Ok(One { item, date: answer.date })
    }

    /// Lists the events of an issue as they come: their set of kinds and fields is open.
    ///
    /// # Errors
    /// As all calls.
    pub async fn events(
        &self,
        repo: &Repo,
        number: i32,
        from: Option<&Cursor>,
    ) -> Result<Page<Value>, Error> {
        self.list(from, || format!("/repos/{repo}/issues/{number}/events?per_page=100")).await
    }

    /// Lists the reviews of a pull request as they come.
    ///
    /// # Errors
    /// As all calls.
    pub async fn reviews(
        &self,
        repo: &Repo,
        number: i32,
        from: Option<&Cursor>,
    ) -> Result<Page<Value>, Error> {
        self.list(from, || format!("/repos/{repo}/pulls/{number}/reviews?per_page=100")).await
    }

    /// Lists the webhooks of the repo itself; those of its organization are not among them. The token must belong to who may manage
    /// them.
    ///
    /// # Errors
    /// As all calls.
    pub async fn hooks(&self, repo: &Repo, from: Option<&Cursor>) -> Result<Page<Hook>, Error> {
        self.list(from, || format!("/repos/{repo}/hooks?per_page=100")).await
    }

    /// Lists what GitHub has sent to a webhook of the repo, the newest first. The token must belong to who may manage it.
    ///
    /// # Errors
    /// As all calls.
    pub async fn deliveries(
        &self,
        repo: &Repo,
        hook: i64,
        from: Option<&Cursor>,
    ) -> Result<Page<Delivery>, Error> {
        self.list(from, || format!("/repos/{repo}/hooks/{hook}/deliveries?per_page=100")).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_is_a_repo() {
        assert_eq!("golang/go".parse::<Repo>().unwrap().to_string(), "golang/go");
        for bad in
            ["", "golang", "golang/", "/go", "a/b/c", "../go", "golang/..", "a b/c", "golang/go?x=1", "ü/go"]
        {
            assert!(bad.parse::<Repo>().is_err(), "{bad}");
        }
    }
}
