//! Which trees a build takes: a commit of the subject, and of each repository it is built against.

use std::fmt;
use std::str::FromStr;

use crate::name::{NameError, RepoName};

/// A git commit id: 20 bytes, written as 40 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Commit(pub [u8; 20]);

/// Says why a text is not a commit id or a revision.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// A commit is not 40 hex digits.
    #[error("a commit is 40 lower-case hex digits, not {0:?}")]
    Commit(String),
    /// A part is not `repo@commit`.
    #[error("a part of a revision is written repo@commit, not {0:?}")]
    Part(String),
    /// A part's repository name breaks the grammar of names.
    #[error("bad repository name {name:?}: {why}")]
    Name {
        /// The text that stands where the name should.
        name: String,
        /// The rule it breaks.
        why: NameError,
    },
    /// A repository is named twice.
    #[error("repository {0} is named twice")]
    Twice(RepoName),
    /// The parts after the first are not sorted by name.
    #[error("the parts after the first are sorted by name")]
    Unsorted,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Commit {
    type Err = RevisionError;
    fn from_str(text: &str) -> Result<Self, RevisionError> {
        let bad = || RevisionError::Commit(text.chars().take(80).collect());
        if text.len() != 40 || text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(bad());
        }
        let mut bytes = [0; 20];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| bad())?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Commit {
    type Error = RevisionError;
    fn try_from(text: String) -> Result<Self, RevisionError> {
        text.parse()
    }
}

impl From<Commit> for String {
    fn from(commit: Commit) -> String {
        commit.to_string()
    }
}

/// The trees of one build; canonical text `sync@40hex+go@40hex`, the subject first, the rest sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision {
    /// The repository and commit that the build is about.
    pub subject: (RepoName, Commit),
    /// What it is built against, sorted by name.
    pub rest: Vec<(RepoName, Commit)>,
}

impl Revision {
    /// Makes a revision and sorts its rest.
    ///
    /// # Errors
    /// When a repository is named twice.
    pub fn new(
        subject: (RepoName, Commit),
        mut rest: Vec<(RepoName, Commit)>,
    ) -> Result<Self, RevisionError> {
        rest.sort();
        let revision = Self { subject, rest };
        match revision.named_twice() {
            Some(repo) => Err(RevisionError::Twice(repo)),
            None => Ok(revision),
        }
    }

    /// Gives the commit of a repository in this revision.
    #[must_use]
    pub fn commit_of(&self, repo: &RepoName) -> Option<Commit> {
        std::iter::once(&self.subject).chain(&self.rest).find(|(name, _)| name == repo).map(|(_, c)| *c)
    }

    fn named_twice(&self) -> Option<RepoName> {
        let mut before = vec![&self.subject.0];
        for (name, _) in &self.rest {
            if before.contains(&name) {
                return Some(name.clone());
            }
            before.push(name);
        }
        None
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.subject.0, self.subject.1)?;
        self.rest.iter().try_for_each(|(repo, commit)| write!(f, "+{repo}@{commit}"))
    }
}

impl FromStr for Revision {
    type Err = RevisionError;
    fn from_str(text: &str) -> Result<Self, RevisionError> {
        let mut parts = text.split('+').map(|part| {
            let (name, commit) =
                part.split_once('@').ok_or_else(|| RevisionError::Part(part.chars().take(80).collect()))?;
            let repo = RepoName::new(name)
                .map_err(|why| RevisionError::Name { name: name.chars().take(80).collect(), why })?;
            Ok((repo, commit.parse()?))
        });
        let subject = parts.next().unwrap_or_else(|| Err(RevisionError::Part(String::new())))?;
        let rest: Vec<_> = parts.collect::<Result<_, RevisionError>>()?;
        if !rest.is_sorted_by(|a, b| a.0 <= b.0) {
            return Err(RevisionError::Unsorted);
        }
        Self::new(subject, rest)
    }
}

impl TryFrom<String> for Revision {
    type Error = RevisionError;
    fn try_from(text: String) -> Result<Self, RevisionError> {
        text.parse()
    }
}

impl From<Revision> for String {
    fn from(revision: Revision) -> String {
        revision.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_revision_reads_and_writes_its_canonical_text() {
        let (a, b) = ("1".repeat(40), "b".repeat(40));
        let text = format!("sync@{a}+go@{b}+mod@{a}");
        let revision: Revision = text.parse().unwrap();
        assert_eq!(revision.to_string(), text);
        assert_eq!(revision.subject.0.as_str(), "sync");
        assert_eq!(revision.commit_of(&RepoName::new("go").unwrap()).unwrap().to_string(), b);
        let unsorted = format!("sync@{a}+mod@{b}+go@{a}");
        assert_eq!(unsorted.parse::<Revision>(), Err(RevisionError::Unsorted));
        let twice = format!("go@{a}+go@{b}");
        assert!(matches!(twice.parse::<Revision>(), Err(RevisionError::Twice(_))));
        assert!(matches!("go".parse::<Revision>(), Err(RevisionError::Part(_))));
        assert!(matches!("go@12".parse::<Revision>(), Err(RevisionError::Commit(_))));
    }

    proptest! {
        #[test]
        fn every_revision_survives_the_round_trip(
            names in proptest::collection::btree_set("[a-z0-9][a-z0-9._-]{0,12}", 1..5),
            bytes in proptest::array::uniform20(any::<u8>()),
        ) {
            let mut parts: Vec<_> =
                names.into_iter().map(|n| (RepoName::new(n).unwrap(), Commit(bytes))).collect();
            let subject = parts.pop().unwrap();
            let revision = Revision::new(subject, parts).unwrap();
            prop_assert_eq!(revision.to_string().parse::<Revision>().unwrap(), revision);
        }

        #[test]
        fn no_text_makes_the_revision_parser_panic(text in "\\PC{0,80}") {
            let _ = text.parse::<Revision>();
        }
    }
}
