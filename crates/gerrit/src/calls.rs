//! What can be asked for, and posted.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::client::{Ask, Client};
use crate::error::Error;
use crate::model::{Account, ChangeInfo, Comment, ReviewInput, ReviewResult};
use crate::name::{Change, Revision};

/// The longest review that is posted, bytes of JSON. Gerrit refuses comments of more than 16 KiB each by default.
const LONGEST_REVIEW: usize = 512 << 10;

impl Client {
    async fn read<T: DeserializeOwned>(&self, path: &str, remedy: &str) -> Result<T, Error> {
        let body = self.ask(&Ask::Get, path, remedy).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Error::Malformed { path: path.to_owned(), message: error.to_string() })
    }

    /// Returns the account by which this client is known.
    ///
    /// # Errors
    /// As all calls: see [`Error`].
    pub async fn account(&self) -> Result<Account, Error> {
        self.read("/accounts/self", "the account must be active").await
    }

    /// Returns a change with its newest patch set, its labels and what was said of it.
    ///
    /// # Errors
    /// As all calls.
    pub async fn change(&self, change: &Change) -> Result<ChangeInfo, Error> {
        let path = format!("/changes/{}/detail?o=CURRENT_REVISION", change.piece());
        self.read(&path, &may_read(change)).await
    }

    /// Returns all published comments of a change, of all patch sets, the oldest first.
    ///
    /// # Errors
    /// As all calls.
    pub async fn comments(&self, change: &Change) -> Result<Vec<Comment>, Error> {
        let path = format!("/changes/{}/comments", change.piece());
        let files: BTreeMap<String, Vec<Comment>> = self.read(&path, &may_read(change)).await?;
        let with_path = |(path, comments): (String, Vec<Comment>)| {
            comments.into_iter().map(move |comment| Comment { path: path.clone(), ..comment })
        };
        let mut all: Vec<Comment> = files.into_iter().flat_map(with_path).collect();
        all.sort_by(|a, b| (a.updated, &a.id).cmp(&(b.updated, &b.id)));
        Ok(all)
    }

    /// Posts a review of one patch set: message, comments and votes are one, all of it or none.
    ///
    /// It is tried again only where it has certainly not happened.
    ///
    /// # Errors
    /// As all calls; [`Error::may_have_happened`] tells where to look first.
    pub async fn set_review(
        &self,
        change: &Change,
        revision: &Revision,
        review: &ReviewInput,
    ) -> Result<ReviewResult, Error> {
        let path = format!("/changes/{}/revisions/{}/review", change.piece(), revision.piece());
        let body = serde_json::to_vec(review)
            .map_err(|error| Error::Malformed { path: path.clone(), message: error.to_string() })?;
        if body.len() > LONGEST_REVIEW {
            return Err(Error::TooLong { bytes: body.len(), most: LONGEST_REVIEW });
        }
        let answer = self.ask(&Ask::Post(body.into()), &path, &may_vote(change, review)).await?;
        serde_json::from_slice(&answer).map_err(|error| Error::Malformed { path, message: error.to_string() })
    }
}

fn may_read(change: &Change) -> String {
    format!("give the account the right `Read` on the branch in the access rules of {}", change.project())
}

fn may_vote(change: &Change, review: &ReviewInput) -> String {
    if review.labels.is_empty() {
        return may_read(change);
    }
    let rights: Vec<String> =
        review.labels.iter().map(|(label, value)| format!("`Label {label}` for {value:+}")).collect();
    let rights = rights.join(" and ");
    format!("give the account the right {rights} on the branch in the access rules of {}", change.project())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_right_is_named() {
        let change = Change::numbered("core", 7).unwrap();
        let labels = [("TryBot-Result".to_owned(), -1), ("Verified".to_owned(), 1)].into();
        let review = ReviewInput { labels, ..Default::default() };
        let remedy = may_vote(&change, &review);
        assert!(remedy.contains("`Label TryBot-Result` for -1 and `Label Verified` for +1"), "{remedy}");
        assert!(may_vote(&change, &ReviewInput::default()).contains("`Read`"));
    }
}
