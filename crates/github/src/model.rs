//! What is read of GitHub's answers. What is missing, null or of another form than described is as if it were not there: one
//! odd field must not keep the rest from being known.

use jiff::Timestamp;
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What can be read, or the default.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    let value = Value::deserialize(from)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

/// Those elements of a list that can be read.
fn each<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(all) = Value::deserialize(from)? else { return Ok(Vec::new()) };
    Ok(all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
}

/// Whether there is an object.
fn is_object<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Value::deserialize(from)?.is_object())
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Never changes.
    pub id: i64,
    /// May change.
    #[serde(default, deserialize_with = "lenient")]
    pub login: String,
}

/// A label of a repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Never changes.
    pub id: i64,
    /// What it says.
    #[serde(default, deserialize_with = "lenient")]
    pub name: String,
}

/// A milestone of a repo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// Never changes.
    pub id: i64,
    /// Its number in the repo.
    #[serde(default, deserialize_with = "lenient")]
    pub number: i64,
    /// What it says.
    #[serde(default, deserialize_with = "lenient")]
    pub title: String,
    /// `open` or `closed`.
    #[serde(default, deserialize_with = "lenient")]
    pub state: String,
}

/// An issue or a pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Of all of GitHub's.
    #[serde(default, deserialize_with = "lenient")]
    pub id: i64,
    /// In its repo; an element of a list without one can't be read.
    pub number: i32,
    /// Its author; none where GitHub forgot.
    #[serde(default, deserialize_with = "lenient")]
    pub user: Option<User>,
    /// Its title.
    #[serde(default, deserialize_with = "lenient")]
    pub title: String,
    /// Its text; none is an empty one.
    #[serde(default, deserialize_with = "lenient")]
    pub body: String,
    /// `open` or `closed`.
    #[serde(default, deserialize_with = "lenient")]
    pub state: String,
    /// Whether only few may comment.
    #[serde(default, deserialize_with = "lenient")]
    pub locked: bool,
    /// Its labels; those without an id are left out.
    #[serde(default, deserialize_with = "each")]
    pub labels: Vec<Label>,
    /// Its milestone.
    #[serde(default, deserialize_with = "lenient")]
    pub milestone: Option<Milestone>,
    /// Who is to do it.
    #[serde(default, deserialize_with = "each")]
    pub assignees: Vec<User>,
    /// Whether it is a pull request.
    #[serde(default, deserialize_with = "is_object")]
    pub pull_request: bool,
    /// When it was made.
    #[serde(default, deserialize_with = "lenient")]
    pub created_at: Option<Timestamp>,
    /// When it changed last.
    #[serde(default, deserialize_with = "lenient")]
    pub updated_at: Option<Timestamp>,
    /// When it was closed.
    #[serde(default, deserialize_with = "lenient")]
    pub closed_at: Option<Timestamp>,
    /// Who closed it; lists do not say.
    #[serde(default, deserialize_with = "lenient")]
    pub closed_by: Option<User>,
}

/// A comment. One that lacks any of these is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Never changes.
    pub id: i64,
    /// Its author.
    pub user: User,
    /// What it says.
    pub body: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// A webhook of a repo, as it is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Never changes.
    pub id: i64,
    /// Whether anything is sent.
    #[serde(default, deserialize_with = "lenient")]
    pub active: bool,
    /// Where it goes.
    pub config: HookConfig,
}

/// Where a webhook goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookConfig {
    /// The address that is posted to.
    #[serde(default, deserialize_with = "lenient")]
    pub url: String,
}

/// A webhook that GitHub has sent, or tried to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Grows.
    pub id: i64,
    /// The same for all tries of one.
    #[serde(default, deserialize_with = "lenient")]
    pub guid: String,
    /// `issues`, `issue_comment`, …
    #[serde(default, deserialize_with = "lenient")]
    pub event: String,
    /// What the receiver answered, 0 for nothing.
    #[serde(default, deserialize_with = "lenient")]
    pub status_code: i64,
}

impl Delivery {
    /// Whether the receiver has not taken it.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.status_code < 200 || self.status_code > 299
    }
}

/// A pull request, as the list of them has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Pull {
    /// In its repo.
    pub number: i32,
    /// Its title.
    #[serde(default, deserialize_with = "lenient")]
    pub title: String,
    /// What is to be merged.
    pub head: Side,
    /// Where it is to go.
    pub base: Side,
}

/// One of the two sides of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Side {
    /// The branch.
    #[serde(rename = "ref")]
    pub branch: String,
    /// Its commit, hexadecimal digits.
    pub sha: String,
    /// Where the branch is; none where that repo is gone.
    #[serde(default, deserialize_with = "lenient")]
    pub repo: Option<Place>,
}

/// A repository, by what never changes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// Of all of GitHub's.
    pub id: i64,
}

/// A branch or a tag.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ref {
    /// Its whole name, `refs/heads/…`.
    #[serde(rename = "ref")]
    pub name: String,
    /// Where it is.
    pub object: Object,
}

/// Something in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Object {
    /// Hexadecimal digits.
    pub sha: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_odd_field_does_not_keep_the_rest_away() {
        let odd = json!({
            "id": "x", "number": 7, "title": null, "state": "open", "locked": 3, "user": {"login": "ann"},
            "labels": ["plain", {"id": 5, "name": "bug"}, null, {"name": "no id"}], "assignees": {}, "milestone": [],
            "created_at": "yesterday", "updated_at": "2017-01-02T03:04:05Z", "pull_request": null, "more": {},
        });
        let issue: Issue = serde_json::from_value(odd).unwrap();
        assert_eq!((issue.id, issue.number, issue.title.as_str(), issue.state.as_str()), (0, 7, "", "open"));
        assert_eq!(issue.labels, [Label { id: 5, name: "bug".into() }]);
        assert!(issue.user.is_none() && !issue.locked && issue.created_at.is_none() && !issue.pull_request);
        assert_eq!(issue.updated_at.unwrap().as_second(), 1_483_326_245);
        assert!(serde_json::from_value::<Issue>(json!({"id": 1})).is_err());
    }
}
