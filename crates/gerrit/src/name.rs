//! How a change and its patch sets are named in a path.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The longest name of a project or a branch, bytes.
const LONGEST: usize = 400;

/// A change, by a name that Gerrit need not search for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Change {
    project: String,
    rest: Rest,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Rest {
    Number(u64),
    Triple { branch: String, id: String },
}

fn good(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST && !name.contains('~') && !name.chars().any(char::is_control)
}

impl Change {
    /// The change of a number.
    ///
    /// # Errors
    /// What can't be the name of a project.
    pub fn numbered(project: &str, number: u64) -> Result<Self, Error> {
        if !good(project) {
            return Err(Error::Name(format!("{project}~{number}")));
        }
        Ok(Self { project: project.to_owned(), rest: Rest::Number(number) })
    }

    /// The change of a `Change-Id` on a branch (`main`, not `refs/heads/main`): `spec/coordinator.md` §1.12's `ChangeTriple`.
    ///
    /// # Errors
    /// What can't be these names.
    pub fn triple(project: &str, branch: &str, id: &str) -> Result<Self, Error> {
        let digits = id.strip_prefix('I').unwrap_or_default();
        let is_id = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !good(project) || !good(branch) || !is_id {
            return Err(Error::Name(format!("{project}~{branch}~{id}")));
        }
        let rest = Rest::Triple { branch: branch.to_owned(), id: id.to_owned() };
        Ok(Self { project: project.to_owned(), rest })
    }

    /// Its project.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// As one piece of a path.
    pub(crate) fn piece(&self) -> String {
        match &self.rest {
            Rest::Number(number) => format!("{}~{number}", piece(&self.project)),
            Rest::Triple { branch, id } => format!("{}~{}~{id}", piece(&self.project), piece(branch)),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rest {
            Rest::Number(number) => write!(f, "{}~{number}", self.project),
            Rest::Triple { branch, id } => write!(f, "{}~{branch}~{id}", self.project),
        }
    }
}

impl From<Change> for String {
    fn from(change: Change) -> String {
        change.to_string()
    }
}

impl TryFrom<String> for Change {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl std::str::FromStr for Change {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Name(text.chars().take(LONGEST).collect());
        let (project, rest) = text.split_once('~').ok_or_else(bad)?;
        match rest.split_once('~') {
            Some((branch, id)) => Self::triple(project, branch, id),
            None => Self::numbered(project, rest.parse().map_err(|_| bad())?),
        }
    }
}

/// A patch set of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Revision(String);

impl Revision {
    /// The patch set of a commit, in hexadecimal digits. A review of a commit says something of that commit, whatever was
    /// uploaded since.
    ///
    /// # Errors
    /// What is no commit.
    pub fn commit(commit: &str) -> Result<Self, Error> {
        let good = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
        if good { Ok(Self(commit.to_owned())) } else { Err(Error::Name(commit.chars().take(100).collect())) }
    }

    /// As one piece of a path.
    pub(crate) fn piece(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Revision> for String {
    fn from(revision: Revision) -> String {
        revision.0
    }
}

impl TryFrom<String> for Revision {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::commit(&text)
    }
}

/// A name as one piece of a path.
fn piece(name: &str) -> String {
    use std::fmt::Write as _;
    let mut piece = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            piece.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(piece, "%{byte:02X}");
        }
    }
    piece
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_piece_of_a_path_and_comes_back_from_its_text() {
        let id = format!("I{}", "0a".repeat(20));
        for (change, path) in [
            (Change::numbered("infra/tools ä", 7).unwrap(), "infra%2Ftools%20%C3%A4~7".to_owned()),
            (Change::triple("core", "release/1", &id).unwrap(), format!("core~release%2F1~{id}")),
        ] {
            assert_eq!(change.piece(), path);
            assert_eq!(change.to_string().parse::<Change>().unwrap(), change);
            let json = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<Change>(&json).unwrap(), change);
        }
        for bad in ["", "core", "core~", "core~x", "~1", "a\n~1", "core~main~I12", "core~main~../../x"] {
            assert!(bad.parse::<Change>().is_err(), "{bad}");
        }
        assert!(Revision::commit("current/../x").is_err() && Revision::commit(&"a".repeat(40)).is_ok());
    }
}
