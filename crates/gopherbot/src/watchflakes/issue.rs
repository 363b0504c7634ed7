//! Issues, as the plan needs them (`spec/services.md` §5.6).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::write::{OWN, SIGNATURE};

/// A comment on an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Its text.
    pub body: String,
    /// When it was written.
    pub created: Timestamp,
}

impl Comment {
    /// Whether we wrote it, by its signature.
    #[must_use]
    pub fn is_own(&self) -> bool {
        let body = self.body.replace("\r\n", "\n");
        body.contains(&format!("\n{SIGNATURE}")) || body.contains(&format!("\n{OWN}"))
    }
}

/// An issue that collects failures, open or closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// When it was made.
    pub created: Timestamp,
    /// When its text was edited last, if it was.
    pub edited: Option<Timestamp>,
    /// When it was closed, if it is.
    pub closed: Option<Timestamp>,
    /// All of its comments.
    pub comments: Vec<Comment>,
}

impl Issue {
    /// Whether its text is newer than all we said on it. So what is wrong with it is said once for each edit.
    #[must_use]
    pub fn new_body(&self) -> bool {
        let edited = self.edited.unwrap_or(self.created);
        !self.comments.iter().any(|comment| comment.created > edited && comment.is_own())
    }

    /// The builds that were posted on it: addresses with one of these beginnings, in quotes or parentheses, in comments of ours.
    #[must_use]
    pub fn mentions<'a>(&self, prefixes: impl IntoIterator<Item = &'a String> + Clone) -> BTreeSet<String> {
        let own = self.comments.iter().filter(|comment| comment.is_own());
        own.flat_map(|comment| builds_in(&comment.body, prefixes.clone())).collect()
    }
}

/// Whether a text can be a build's id.
pub(super) fn is_build_id(text: &str) -> bool {
    !text.is_empty() && text.chars().all(in_build_id)
}

fn in_build_id(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// The ids of builds whose addresses stand in quotes or parentheses.
pub(super) fn builds_in<'a>(text: &str, prefixes: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut builds = Vec::new();
    for prefix in prefixes.into_iter().filter(|prefix| !prefix.is_empty()) {
        for (at, _) in text.match_indices(prefix.as_str()) {
            let before = text[..at].chars().next_back();
            let rest = &text[at + prefix.len()..];
            let closing = match before {
                Some('"') => '"',
                Some('(') => ')',
                _ => continue,
            };
            let id: &str =
                rest.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next().unwrap_or("");
            if !id.is_empty() && rest[id.len()..].starts_with(closing) {
                builds.push(id.to_owned());
            }
        }
    }
    builds
}
