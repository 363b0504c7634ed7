//! What waits, asked of Gerrit's REST API.

use std::collections::BTreeMap;

use async_trait::async_trait;
use http::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use transport::{CallError, Service};

use super::{Comment, Posted, Reviews, Waiting};

/// The largest answer that is read, bytes.
const LARGEST: usize = 32 << 20;
/// What is before each answer, so that no page takes it for a script.
const GUARD: &[u8] = b")]}'";
/// Open changes that are to be tried and were not.
const QUERY: &str = "/changes/?q=label:Run-TryBot%3D1+label:TryBot-Result%3D0+status:open\
    &o=CURRENT_REVISION&o=CURRENT_COMMIT&o=MESSAGES&o=DETAILED_ACCOUNTS";

/// A server of Gerrit, asked without a name.
pub struct GerritReviews(Service);

impl GerritReviews {
    /// The one that a handle leads to.
    #[must_use]
    pub fn new(service: Service) -> Self {
        Self(service)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CallError> {
        let request = Request::get(path).body(axum::body::Body::empty());
        let request = request.map_err(|why| CallError::BadRequest(format!("{path}: {why}")))?;
        let response = self.0.send_ok(request).await?;
        let malformed = |message: String| CallError::Malformed { target: path.to_owned(), message };
        let text = axum::body::to_bytes(response.into_body(), LARGEST).await;
        read(&text.map_err(|why| malformed(why.to_string()))?).map_err(|why| malformed(why.to_string()))
    }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    let text = text.trim_ascii_start();
    serde_json::from_slice(text.strip_prefix(GUARD).unwrap_or(text))
}

#[derive(Deserialize)]
struct ChangeInfo {
    project: String,
    #[serde(rename = "_number")]
    number: i32,
    current_revision: Option<String>,
    #[serde(default)]
    revisions: BTreeMap<String, RevisionInfo>,
    #[serde(default)]
    messages: Vec<MessageInfo>,
}

#[derive(Deserialize)]
struct RevisionInfo {
    #[serde(rename = "_number")]
    number: i32,
}

#[derive(Deserialize, Default)]
struct AccountInfo {
    #[serde(rename = "_account_id", default)]
    id: i64,
}

#[derive(Deserialize)]
struct MessageInfo {
    #[serde(default)]
    author: AccountInfo,
    #[serde(default)]
    date: String,
    #[serde(default)]
    message: String,
    #[serde(rename = "_revision_number", default)]
    revision: i32,
}

#[derive(Deserialize)]
struct CommentInfo {
    #[serde(default)]
    author: AccountInfo,
    #[serde(default)]
    updated: String,
    #[serde(default)]
    message: String,
}

impl From<ChangeInfo> for Waiting {
    fn from(info: ChangeInfo) -> Self {
        let number = |commit: &str| info.revisions.get(commit).map(|revision| revision.number);
        let current = info.current_revision.map(|commit| (number(&commit), commit));
        let posted = |info: MessageInfo| Posted {
            author: info.author.id,
            date: info.date,
            version: info.revision,
            text: info.message,
        };
        Waiting {
            project: info.project,
            number: info.number,
            current: current.map(|(number, commit)| (commit, number.unwrap_or_default())),
            messages: info.messages.into_iter().map(posted).collect(),
        }
    }
}

#[async_trait]
impl Reviews for GerritReviews {
    async fn waiting(&self) -> Result<Vec<Waiting>, CallError> {
        let found: Vec<ChangeInfo> = self.get(QUERY).await?;
        Ok(found.into_iter().map(Waiting::from).collect())
    }

    async fn comments(&self, project: &str, number: i32) -> Result<Vec<Comment>, CallError> {
        let path = format!("/changes/{}~{number}/comments", transport::segment(project));
        let mut by_file: BTreeMap<String, Vec<CommentInfo>> = self.get(&path).await?;
        let whole = by_file.remove("/PATCHSET_LEVEL").unwrap_or_default();
        let comment =
            |info: CommentInfo| Comment { author: info.author.id, date: info.updated, text: info.message };
        Ok(whole.into_iter().map(comment).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_with_what_is_before_it() {
        let text = br#"  )]}'
            [{"project": "net", "_number": 7, "current_revision": "abc", "revisions": {"abc": {"_number": 3}},
              "messages": [{"author": {"_account_id": 5}, "date": "d", "message": "m", "_revision_number": 2}, {}]},
             {"project": "go", "_number": 8, "more": {}}]"#;
        let read: Vec<ChangeInfo> = read(text).unwrap();
        let waiting: Vec<Waiting> = read.into_iter().map(Waiting::from).collect();
        assert_eq!(waiting[0].current, Some(("abc".into(), 3)));
        let said = Posted { author: 5, date: "d".into(), version: 2, text: "m".into() };
        assert_eq!(waiting[0].messages, [said, Posted::default()]);
        assert_eq!(waiting[1], Waiting { project: "go".into(), number: 8, ..Waiting::default() });
    }
}
