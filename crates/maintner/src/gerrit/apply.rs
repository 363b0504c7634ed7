//! What a mutation does to git's and Gerrit's part of the corpus. Source: spec/maintner.md §1.4.

pub mod past;

use std::collections::HashSet;

use super::derive::Said;
use super::{Also, Change, Commit, Gerrit, Mercurial, PatchSet, Project, Ref, Reference};
use crate::check;
use crate::column::NONE;
use crate::commit::{CommitError, CommitText, Hash, Link, hash};
use crate::flag::Flag;
use crate::github::Number;
use crate::log::Log;
use crate::mutation::{GitCommit, GitRef, Message, MutationError, bytes, elements};
use crate::names::Name;
use crate::references;
use crate::rules::Rules;
use crate::text::{Source, Text};

/// Whose plain `#N` are issues of golang/go.
const GO: &[u8] = b"go.googlesource.com/go";

/// Issues of a message that are looked through one by one.
const FEW: usize = 32;

/// What a ref is by its name.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Of a change: number, and patch set or 0 for its meta ref.
    Change(i32, i32),
    /// Of a change, with a number that none has.
    Odd,
    /// Gerrit's own.
    Meta,
    /// Any other.
    Other,
}

impl Gerrit {
    /// Applies a `GitMutation`.
    ///
    /// # Errors
    /// What is no message.
    pub fn apply_git(&mut self, log: &Log, source: Source<'_>, message: &[u8]) -> Result<(), MutationError> {
        for repo in bytes(message, 1) {
            check::fields(repo?)?;
        }
        let mut commits = bytes(message, 2);
        if let Some(commit) = commits.next() {
            self.apply_commit(log, NONE, source, commit?)?;
        }
        match commits.next() {
            Some(_) => Err(MutationError::Twice("commit")),
            None => Ok(()),
        }
    }

    /// Applies a `GerritMutation` of a log, in which all commits are that came before. [`finish`](Self::finish) has to follow
    /// before changes are looked at.
    ///
    /// # Errors
    /// What is no message; what came before it stays applied.
    pub fn apply(&mut self, log: &Log, source: Source<'_>, message: &[u8]) -> Result<(), MutationError> {
        let mut name = &b""[..];
        for given in bytes(message, 1) {
            name = given?;
        }
        let project = self.make_project(name);
        for commit in bytes(message, 2) {
            self.apply_commit(log, project, source, commit?)?;
        }
        for name in bytes(message, 4) {
            if let Some(found) = self.names.known(name?).and_then(|name| self.ref_of(project, name)) {
                self.refs.get_mut(found).commit = NONE;
            }
        }
        for given in elements::<GitRef<'_>>(message, 3) {
            let given = given?;
            self.apply_ref(log, project, given.name, given.sha1);
        }
        Ok(())
    }

    fn apply_commit(
        &mut self,
        log: &Log,
        project: Number,
        source: Source<'_>,
        message: &[u8],
    ) -> Result<(), MutationError> {
        let given = GitCommit::of(message)?;
        // They are read when somebody asks; that they can be is known now.
        check::files(message)?;
        if self.take_commit(log, project, source.text(message), &given).is_err() {
            self.rejected += 1;
        }
        Ok(())
    }

    fn take_commit(
        &mut self,
        log: &Log,
        project: Number,
        message: Text,
        given: &GitCommit<'_>,
    ) -> Result<(), CommitError> {
        let hash = hash(given.sha1).ok_or(CommitError::Hash)?;
        self.commits_by_hash.soon(self.seed.bytes(&hash));
        let parents = self.parents.next();
        let mut parent_count = 0;
        let read = CommitText::read(given.raw, |link| match link {
            Link::Parent(parent) => {
                let parent = self.place(&parent);
                self.parents.push(parent);
                parent_count += 1;
            }
            Link::Mercurial(mercurial) => self.take_mercurial(mercurial, hash),
        })?;
        let author = self.names.add(read.author.person);
        let committer = if read.committer.person == read.author.person {
            author
        } else {
            self.names.add(read.committer.person)
        };
        let said = self.said(read.message);
        let number = self.place(&hash);
        let before = self.commits.get(number).message;
        if before == Text::NONE {
            self.filled = true;
        } else if GitCommit::of(log.text(before)).map_or(true, |known| known.raw != given.raw) {
            self.rewritten = true;
        }
        let commit = self.commits.get_mut(number);
        *commit = Commit {
            hash,
            project: commit.project,
            message,
            author,
            committer,
            time: read.committer.seconds,
            parents,
            parent_count,
            said,
        };
        if project != NONE {
            self.take_into(project, number);
        }
        Ok(())
    }

    fn take_into(&mut self, project: Number, number: Number) {
        let commit = self.commits.get_mut(number);
        if commit.project == NONE {
            commit.project = project;
        } else if commit.project != project && !self.has_also(project, number) {
            let also = self.also.push(Also { project, commit: number });
            self.also_by_pair.insert(self.seed.pair(project, number), also);
        }
    }

    /// The commit of that hash, or a place for it.
    fn place(&mut self, hash: &Hash) -> Number {
        if let Some(number) = self.commit(hash) {
            return number;
        }
        let number = self.commits.push(Commit {
            hash: *hash,
            project: NONE,
            message: Text::NONE,
            author: Name::EMPTY,
            committer: Name::EMPTY,
            time: 0,
            parents: 0,
            parent_count: 0,
            said: Said::default(),
        });
        self.commits_by_hash.insert(self.seed.bytes(hash), number);
        number
    }

    fn take_mercurial(&mut self, text: &[u8], commit: Hash) {
        let hash = self.names.add(text);
        let key = self.seed.pair(0, hash.number());
        match self.mercurial_by_hash.find(key, |number| self.mercurial.get(number).hash == hash) {
            Some(number) => self.mercurial.get_mut(number).commit = commit,
            None => {
                let number = self.mercurial.push(Mercurial { hash, commit });
                self.mercurial_by_hash.insert(key, number);
            }
        }
    }

    fn make_project(&mut self, name: &[u8]) -> Number {
        if let Some(number) = self.project(name) {
            return number;
        }
        let name = self.names.add(name);
        let number = self.projects.push(Project { name, label_changes: 0, pad: [0; 4] });
        self.projects_by_name.insert(self.seed.pair(0, name.number()), number);
        number
    }

    fn apply_ref(&mut self, log: &Log, project: Number, name: &[u8], sha1: &[u8]) {
        let kind = kind(name);
        if matches!(kind, Kind::Meta | Kind::Odd) {
            return;
        }
        let Some(commit) = hash(sha1).and_then(|hash| self.commit(&hash)) else {
            self.rejected += 1;
            return;
        };
        match kind {
            Kind::Change(number, 0) => self.apply_meta(project, number, commit),
            Kind::Change(number, version) => self.apply_patch_set(log, project, number, version, commit),
            Kind::Meta | Kind::Odd | Kind::Other => {
                let name = self.names.add(name);
                match self.ref_of(project, name) {
                    Some(found) => self.refs.get_mut(found).commit = commit,
                    None => {
                        let found = self.refs.push(Ref { project, name, commit });
                        self.refs_by_name.insert(self.seed.pair(project, name.number()), found);
                    }
                }
            }
        }
    }

    fn apply_meta(&mut self, project: Number, number: i32, commit: Number) {
        let number = self.make_change(project, number);
        let change = self.changes.get_mut(number);
        change.meta = commit;
        self.soil(number);
    }

    fn apply_patch_set(&mut self, log: &Log, project: Number, number: i32, version: i32, commit: Number) {
        let number = self.make_change(project, number);
        match self.patch_set(number, version) {
            Some(found) => self.patch_sets.get_mut(found).commit = commit,
            None => {
                let next = self.changes.get(number).patch_sets;
                let patch_set = self.patch_sets.push(PatchSet { change: number, version, commit, next });
                self.changes.get_mut(number).patch_sets = patch_set;
                self.patch_sets_by_version.insert(self.seed.pair(number, version.cast_unsigned()), patch_set);
            }
        }
        let change = self.changes.get_mut(number);
        if self.rules == Rules::Original || version >= change.version {
            // What is said again names nothing new; only a place may have become a commit meanwhile.
            let again = change.commit == commit && change.reference_count > 0;
            change.version = version;
            change.commit = commit;
            if !again {
                self.refer(number, self.message(log, commit));
            }
        }
    }

    fn make_change(&mut self, project: Number, number: i32) -> Number {
        if let Some(found) = self.change(project, number) {
            return found;
        }
        let found = self.changes.push(Change {
            project,
            number,
            version: 0,
            commit: NONE,
            meta: NONE,
            read: NONE,
            created: 0,
            status: 0,
            private: Flag::NO,
            wip: Flag::NO,
            branch: Name::EMPTY,
            references: 0,
            reference_count: 0,
            patch_sets: NONE,
            dirty: Flag::NO,
            pad: [0; 4],
        });
        self.changes_by_number.insert(self.seed.pair(project, number.cast_unsigned()), found);
        found
    }

    /// Reads the issues that the message of a change's current patch set names.
    fn refer(&mut self, number: Number, message: &[u8]) {
        let project = self.changes.get(number).project;
        let go = self.names.text(self.projects.get(project).name) == GO;
        let start = self.references.next();
        let mut many = HashSet::new();
        for found in references::find(message) {
            let (owner, repo) = match found.repo {
                Some((owner, repo)) => (self.small(owner), self.small(repo)),
                None if go => (self.names.add(b"golang"), self.names.add(b"go")),
                None => continue,
            };
            self.mention(owner, repo);
            let reference = Reference { owner, repo, number: found.number };
            let known = start..self.references.next();
            // Nearly all messages name a few, which are looked through; for thousands that would take too long.
            let new = if known.len() < FEW {
                !known.into_iter().any(|at| *self.references.get(at) == reference)
            } else {
                if many.is_empty() {
                    many.extend(known.map(|at| *self.references.get(at)));
                }
                many.insert(reference)
            };
            if new {
                self.references.push(reference);
            }
        }
        let end = self.references.next();
        let change = self.changes.get_mut(number);
        (change.references, change.reference_count) = (start, end - start);
    }

    /// The name of a text in small letters, as most are written.
    fn small(&mut self, text: &[u8]) -> Name {
        if text.iter().any(u8::is_ascii_uppercase) {
            return self.names.add(&text.to_ascii_lowercase());
        }
        self.names.add(text)
    }

    fn mention(&mut self, owner: Name, repo: Name) {
        let hash = self.seed.pair(owner.number(), repo.number());
        if self.mentioned_by_name.find(hash, |number| *self.mentioned.get(number) == [owner, repo]).is_none()
        {
            let number = self.mentioned.push([owner, repo]);
            self.mentioned_by_name.insert(hash, number);
        }
    }
}

/// What a ref is: `refs/changes/NN/NUMBER/meta` or `…/PATCHSET`, whatever follows.
fn kind(name: &[u8]) -> Kind {
    let Some(rest) = name.strip_prefix(b"refs/changes/") else {
        return if name.starts_with(b"refs/meta/") { Kind::Meta } else { Kind::Other };
    };
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let fan = rest.get(..3).filter(|fan| {
        fan[2] == b'/' && fan[..2].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    });
    let number = rest.get(3..).unwrap_or_default();
    let length = digits(number);
    if fan.is_none() || length == 0 || number.get(length) != Some(&b'/') {
        return Kind::Other;
    }
    let version = &number[length + 1..];
    let version_length = digits(version);
    let version = match version_length {
        0 if version.starts_with(b"meta") => &b"0"[..],
        0 => return Kind::Other,
        _ => &version[..version_length],
    };
    let parsed = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    match (parsed(&number[..length]), parsed(version)) {
        (Some(number), Some(version)) => Kind::Change(number, version),
        _ => Kind::Odd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_are_told_apart_by_their_names() {
        for (name, want) in [
            ("refs/changes/00/14700/1", Kind::Change(14700, 1)),
            ("refs/changes/00/14700/meta", Kind::Change(14700, 0)),
            ("refs/changes/00/14700/0", Kind::Change(14700, 0)),
            ("refs/changes/00/14700/12x", Kind::Change(14700, 12)),
            ("refs/changes/af/7/metadata", Kind::Change(7, 0)),
            ("refs/changes/00/14700/robot-comments", Kind::Other),
            ("refs/changes/AF/7/1", Kind::Other),
            ("refs/changes/00/7", Kind::Other),
            ("refs/changes/00/x/1", Kind::Other),
            ("refs/changes/00/4294967296/1", Kind::Odd),
            ("refs/changes/00/1/4294967296", Kind::Odd),
            ("refs/changes/", Kind::Other),
            ("refs/meta/config", Kind::Meta),
            ("refs/heads/master", Kind::Other),
            ("HEAD", Kind::Other),
        ] {
            assert_eq!(kind(name.as_bytes()), want, "{name}");
        }
    }
}
