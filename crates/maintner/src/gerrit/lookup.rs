//! The questions of the original's clients to git and Gerrit. Source: spec/maintner.md §3.1.

use thiserror::Error;

use super::{Change, Gerrit, PatchSet, Project, Status};
use crate::column::NONE;
use crate::commit::{Hash, email, files, hash};
use crate::github::Number;
use crate::lines::{trim, value};
use crate::log::Log;

/// Why a project has no such commit.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoCommit {
    /// Not 40 digits.
    #[error("a hash of {0} characters; it takes 40 hexadecimal digits")]
    Length(usize),
    /// A character that is no digit.
    #[error("{0:?} is not of hexadecimal digits alone")]
    Digits(String),
    /// It is not among the project's.
    #[error("the project {project} has no commit {hash}")]
    Unknown {
        /// `SERVER/PROJECT`.
        project: String,
        /// The hash in hexadecimal digits.
        hash: String,
    },
}

/// What does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Inconsistent {
    /// A commit's parent is not in its project.
    #[error("the project {project} has a commit {commit} and not its parent {parent}")]
    Needed {
        /// `SERVER/PROJECT`.
        project: String,
        /// Of the first one that was found.
        commit: String,
        /// What is missing.
        parent: String,
    },
    /// Others name a commit as their parent, and it did not come.
    #[error("the commit {0} is named as a parent and is not there")]
    Place(String),
    /// It is not found by its hash.
    #[error("the commit {0} is not found by its hash")]
    Lost(String),
}

impl Project {
    /// The server of a project's name: all before the first `/`.
    #[must_use]
    pub fn server(name: &[u8]) -> &[u8] {
        memchr::memchr(b'/', name).map_or(name, |slash| &name[..slash])
    }

    /// The project on its server: all behind the first `/`.
    #[must_use]
    pub fn on_server(name: &[u8]) -> &[u8] {
        memchr::memchr(b'/', name).map_or(&[], |slash| &name[slash + 1..])
    }
}

/// The server that an address or a name means: an address's host, and of `*-review.googlesource.com` the host of its git.
fn server(text: &str) -> String {
    let host = match text.split_once("//") {
        Some((scheme, rest)) if scheme.is_empty() || is_scheme(scheme) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            authority.rsplit_once('@').map_or(authority, |(_, host)| host)
        }
        _ => "",
    };
    let host = if host.is_empty() { text } else { host };
    match host.strip_suffix("-review.googlesource.com") {
        Some(name) => format!("{name}.googlesource.com"),
        None => host.to_owned(),
    }
}

fn is_scheme(text: &str) -> bool {
    let Some(name) = text.strip_suffix(':') else { return false };
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one))
}

impl Gerrit {
    /// A project of a server, which may be given by its address, that of its pages too: `https://go-review.googlesource.com/`.
    #[must_use]
    pub fn project_at(&self, of_server: &str, project: &str) -> Option<Number> {
        self.project(format!("{}/{project}", server(of_server)).as_bytes())
    }

    /// The change of that number, if it is complete.
    #[must_use]
    pub fn shown_change(&self, project: Number, number: i32) -> Option<&Change> {
        self.change(project, number)
            .map(|found| self.changes.get(found))
            .filter(|change| change.is_complete())
    }

    /// The changes of a project that are complete, in no order.
    pub fn changes_of(&self, project: Number) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.project == project && change.is_complete())
    }

    /// The changes of a project that are complete, new and were never private, by their numbers, ascending.
    #[must_use]
    pub fn open_changes(&self, project: Number) -> Vec<&Change> {
        let open = |change: &&Change| change.status() == Some(Status::New) && !change.private.is();
        let mut all: Vec<&Change> = self.changes_of(project).filter(open).collect();
        all.sort_unstable_by_key(|change| change.number);
        all
    }

    /// The refs of a project that are of no change and not deleted, by their names, and where they are.
    #[must_use]
    pub fn refs_of(&self, project: Number) -> Vec<(&[u8], Number)> {
        let own = self.refs.iter().filter(|found| found.project == project && found.commit != NONE);
        let mut all: Vec<_> = own.map(|found| (self.name(found.name), found.commit)).collect();
        all.sort_unstable();
        all
    }

    /// The commit of a project by its hash in hexadecimal digits.
    ///
    /// # Errors
    /// What is no hash, and that the project does not have it.
    pub fn commit_in(&self, project: Number, digits: &str) -> Result<Number, NoCommit> {
        if digits.len() != 40 {
            return Err(NoCommit::Length(digits.chars().count()));
        }
        let found = hash(digits.as_bytes()).ok_or_else(|| NoCommit::Digits(digits.to_owned()))?;
        self.commit(&found).filter(|commit| self.has_commit(project, *commit)).ok_or_else(|| {
            NoCommit::Unknown { project: self.project_name(project), hash: hex::encode(found) }
        })
    }

    /// The commit of a change's patch set, from 1 to the current one, if its project has it.
    #[must_use]
    pub fn commit_at_version(&self, change: Number, version: i32) -> Option<Number> {
        let of = self.changes.get(change);
        let commit = self.patch_set_commit(change, version).filter(|_| (1..=of.version).contains(&version));
        commit.filter(|commit| self.has_commit(of.project, *commit))
    }

    /// The first line of a commit's message, without the white space around it.
    #[must_use]
    pub fn summary<'a>(&self, log: &'a Log, commit: Number) -> &'a [u8] {
        let message = self.message(log, commit);
        trim(message.split(|byte| *byte == b'\n').next().unwrap_or_default())
    }

    /// The value of the first line `KEY: value` of a commit's message, all of which is looked through; empty where there is
    /// none. The key has its colon, as by the original, or has it not.
    #[must_use]
    pub fn footer<'a>(&self, log: &'a Log, commit: Number, key: &[u8]) -> &'a [u8] {
        let key = [key.strip_suffix(b":").unwrap_or(key), b":"].concat();
        value(self.message(log, commit), &key[..], self.rules)
    }

    /// The `Change-Id` of a change's current commit; empty where it has none, or one that Gerrit does not make.
    #[must_use]
    pub fn change_id<'a>(&self, log: &'a Log, change: &Change) -> &'a [u8] {
        if change.commit == NONE {
            return &[];
        }
        let id = self.footer(log, change.commit, b"Change-Id:");
        if id.len() == 41 && id[0] == b'I' { id } else { &[] }
    }

    /// The account of whoever began a change, by the author of the first commit of its meta ref.
    #[must_use]
    pub fn owner_id(&self, change: &Change) -> Option<i64> {
        let first = *self.metas(change).ok()?.first()?;
        let address = email(self.name(self.commits.get(first).author));
        let at = memchr::memchr(b'@', address)?;
        std::str::from_utf8(&address[..at]).ok()?.parse().ok()
    }

    /// Who wrote the first patch set of a change, `Name <email>`; none where it is not known.
    #[must_use]
    pub fn owner(&self, change: &Change) -> Option<&[u8]> {
        let is_first = |patch_set: &&PatchSet| patch_set.version == 1 && patch_set.commit != NONE;
        let first = self.patch_sets(change).find(is_first)?;
        Some(self.name(self.commits.get(first.commit).author))
    }

    /// Whether two commits changed as many lines of the same files.
    #[must_use]
    pub fn same_diff_stat(&self, log: &Log, one: Number, other: Number) -> bool {
        let files = |number| files(log.text(self.commits.get(number).message)).unwrap_or_default();
        files(one) == files(other)
    }

    /// Whether a change's current message names an issue; the case of the repo's letters is none of it.
    #[must_use]
    pub fn refers_to(&self, change: &Change, owner: &[u8], repo: &[u8], number: i32) -> bool {
        self.references(change).any(|reference| {
            reference.number == number
                && self.name(reference.owner).eq_ignore_ascii_case(owner)
                && self.name(reference.repo).eq_ignore_ascii_case(repo)
        })
    }

    /// The complete changes whose current messages name an issue, by project and number. The original keeps those too whose
    /// earlier messages did.
    #[must_use]
    pub fn changes_referring(&self, owner: &[u8], repo: &[u8], number: i32) -> Vec<&Change> {
        let names = |change: &&Change| change.is_complete() && self.refers_to(change, owner, repo, number);
        let mut all: Vec<&Change> = self.changes.iter().filter(names).collect();
        all.sort_unstable_by_key(|change| (change.project, change.number));
        all
    }

    /// Whether all that was begun is whole: each project has the parents of its commits, each commit came and is found.
    ///
    /// # Errors
    /// The first that is not, of a log that is not at its end or of what a source did not write.
    pub fn check(&self) -> Result<(), Inconsistent> {
        for (project, commits) in (0..).zip(self.commits_by_project()) {
            for commit in commits {
                let commit = self.commits.get(commit);
                if let Some(parent) = self.parents(commit).find(|parent| !self.has_commit(project, *parent)) {
                    return Err(Inconsistent::Needed {
                        project: self.project_name(project),
                        commit: hex::encode(commit.hash),
                        parent: hex::encode(self.commits.get(parent).hash),
                    });
                }
            }
        }
        for (number, commit) in self.commits.numbered() {
            let named = |hash: &Hash| hex::encode(hash);
            if commit.is_place() {
                return Err(Inconsistent::Place(named(&commit.hash)));
            }
            if self.commit(&commit.hash) != Some(number) {
                return Err(Inconsistent::Lost(named(&commit.hash)));
            }
        }
        Ok(())
    }

    fn project_name(&self, project: Number) -> String {
        String::from_utf8_lossy(self.name(self.projects.get(project).name)).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_meant_by_its_address_too() {
        for (given, want) in [
            ("go.googlesource.com", "go.googlesource.com"),
            ("go-review.googlesource.com", "go.googlesource.com"),
            ("https://go-review.googlesource.com/x?y", "go.googlesource.com"),
            ("//u:p@go-review.googlesource.com", "go.googlesource.com"),
            // As they are: neither ports nor paths are cut off.
            ("go-review.googlesource.com/x", "go-review.googlesource.com/x"),
            ("https://go-review.googlesource.com:443/", "go-review.googlesource.com:443"),
            ("review.example.org:8080", "review.example.org:8080"),
            ("a//b", "a//b"),
            ("https://", "https://"),
            ("", ""),
        ] {
            assert_eq!(server(given), want, "{given}");
        }
        let name = b"go.googlesource.com/scratch/x";
        assert_eq!((Project::server(name), Project::on_server(name)), (&name[..19], &b"scratch/x"[..]));
        assert_eq!((Project::server(b"x"), Project::on_server(b"x")), (&b"x"[..], &b""[..]));
    }
}
