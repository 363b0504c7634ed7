//! What may be done to a change, and what Gerrit must say of it then.

use std::collections::{BTreeMap, BTreeSet};

/// How a change stands, in Gerrit's words (`NEW`, `MERGED`, `ABANDONED`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Open.
    New,
    /// Submitted.
    Merged,
    /// Given up, for now.
    Abandoned,
}

impl Status {
    /// Gerrit's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Merged => "MERGED",
            Self::Abandoned => "ABANDONED",
        }
    }
}

/// A change as the script meant it to be.
#[derive(Debug, Clone)]
pub struct Meant {
    /// Its number.
    pub number: u64,
    /// Its Change-Id.
    pub change_id: String,
    /// The project's name.
    pub project: String,
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// Whose it is, by the account's name.
    pub owner: String,
    /// The first line of the newest patch set's message.
    pub subject: String,
    /// How it stands.
    pub status: Status,
    /// Whether only its owner and reviewers see it.
    pub private: bool,
    /// Whether it is not to be reviewed yet.
    pub wip: bool,
    /// Its hashtags.
    pub hashtags: BTreeSet<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// The uploader of each patch set, the first first.
    pub uploaders: Vec<String>,
    /// Votes other than 0 by label and name of an account.
    pub votes: BTreeMap<(String, String), i64>,
    /// Who was asked to review it; who voted or wrote may be there, too.
    pub reviewers: BTreeSet<String>,
    /// Who was put on CC.
    pub cc: BTreeSet<String>,
    /// Texts, each of which is a part of a message; in the order of the messages.
    pub messages: Vec<String>,
}

/// What a new patch set changes, in Gerrit's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Files.
    Rework,
    /// The parent alone.
    TrivialRebase,
    /// The message alone.
    NoCodeChange,
}

impl Meant {
    /// Keeps the votes that the labels' copy conditions keep: Code-Review's is `changekind:NO_CHANGE OR changekind:TRIVIAL_REBASE OR
    /// is:MIN`, Verified's `changekind:NO_CODE_CHANGE`.
    pub(super) fn new_patch_set(&mut self, kind: Kind, uploader: &str) {
        self.uploaders.push(uploader.to_owned());
        self.votes.retain(|(label, _), value| match label.as_str() {
            "Code-Review" => *value == -2 || kind == Kind::TrivialRebase,
            _ => kind == Kind::NoCodeChange,
        });
    }

    pub(super) fn vote(&mut self, label: &str, voter: &str, value: i64) {
        let key = (label.to_owned(), voter.to_owned());
        if value == 0 {
            self.votes.remove(&key);
        } else {
            self.votes.insert(key, value);
        }
        self.cc.remove(voter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_set_keeps_the_votes_that_its_kind_leaves() {
        let votes = |kind| {
            let mut meant = Meant {
                number: 1,
                change_id: String::new(),
                project: String::new(),
                branch: String::new(),
                owner: String::new(),
                subject: String::new(),
                status: Status::New,
                private: false,
                wip: false,
                hashtags: BTreeSet::new(),
                topic: None,
                uploaders: vec![],
                votes: BTreeMap::new(),
                reviewers: BTreeSet::new(),
                cc: BTreeSet::new(),
                messages: vec![],
            };
            for (label, voter, value) in
                [("Code-Review", "a", 2), ("Code-Review", "b", -2), ("Verified", "c", 1)]
            {
                meant.vote(label, voter, value);
            }
            meant.vote("Verified", "d", 1);
            meant.vote("Verified", "d", 0);
            meant.new_patch_set(kind, "a");
            meant.votes.keys().map(|(_, voter)| voter.clone()).collect::<String>()
        };
        assert_eq!(votes(Kind::Rework), "b");
        assert_eq!(votes(Kind::TrivialRebase), "ab");
        assert_eq!(votes(Kind::NoCodeChange), "bc");
    }
}
