//! Commits of git, and what is known of Gerrit: projects with refs and changes.
//!
//! A change's votes, messages and flags are in no message of the log: they are read from the commits of its meta ref
//! ([`meta`]), the most of them when they are asked for. Source: spec/maintner.md §3.1.

mod apply;
pub mod change_view;
mod derive;
pub mod hashtags;
mod kept;
mod lookup;
pub mod meta;
pub mod votes;

use std::collections::BTreeSet;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::column::{Column, NONE};
use crate::commit::{CommitError, CommitText, Hash};
use crate::flag::Flag;
use crate::github::Number;
use crate::index::{Index, Seed};
use crate::log::Log;
use crate::mutation::{GitCommit, Message};
use crate::names::{Name, Names};
use crate::rules::Rules;
use crate::text::Text;

pub(crate) use apply::past;
use derive::Said;
pub use hashtags::Hashtags;
pub use lookup::{Inconsistent, NoCommit};
pub use meta::Status;

/// A commit, or the place of one that others name as their parent and that did not come yet.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Commit {
    /// The `GitCommit` of the log; [`Text::NONE`] of a place.
    pub message: Text,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
    /// Its hash.
    pub hash: Hash,
    /// The project whose it is; of several, the first. [`NONE`] of a place, or of a commit without a project.
    pub project: Number,
    /// `Name <email>`.
    pub author: Name,
    /// `Name <email>`.
    pub committer: Name,
    parents: u32,
    parent_count: u32,
    said: Said,
}

impl Commit {
    /// Whether only its hash is known.
    #[must_use]
    pub fn is_place(&self) -> bool {
        self.message == Text::NONE
    }
}

/// A project of a Gerrit server.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Project {
    /// How many commits with votes were walked over; tells that votes may have changed, and no more.
    pub label_changes: u64,
    /// `SERVER/PROJECT`.
    pub name: Name,
    pad: [u8; 4],
}

/// A ref that is of no change.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Ref {
    /// Whose it is.
    pub project: Number,
    /// Its whole name.
    pub name: Name,
    /// Where it is; [`NONE`] where it was deleted.
    pub commit: Number,
}

/// A change.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Change {
    /// When it was made: the time of the first meta commit.
    pub created: i64,
    /// Whose it is.
    pub project: Number,
    /// Its number on the server.
    pub number: i32,
    /// The patch set that is current; by the original's rules the one that was seen last.
    pub version: i32,
    /// The current patch set's commit; [`NONE`] where none was seen.
    pub commit: Number,
    /// The head of its meta ref; [`NONE`] where none was seen.
    pub meta: Number,
    /// The head of its meta ref from which the rest was read; [`NONE`] where that did not go well.
    pub read: Number,
    /// Where it is to go, without `refs/heads/`.
    pub branch: Name,
    references: u32,
    reference_count: u32,
    patch_sets: Number,
    /// One more than its place in [`Status::ALL`], 0 for none.
    status: u8,
    /// Whether it is, or ever was, private.
    pub private: Flag,
    /// Whether it is work in progress.
    pub wip: Flag,
    dirty: Flag,
    pad: [u8; 4],
}

impl Change {
    /// Whether both its commit and its meta ref are known; others are not shown.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.commit != NONE && self.meta != NONE && self.read != NONE
    }

    /// Nothing is known of what its meta ref says, but whether it is private.
    fn unread(&mut self) {
        (self.read, self.created) = (NONE, 0);
        (self.wip, self.branch) = (Flag::NO, Name::EMPTY);
        self.set_status(None);
    }

    /// What became of it; none before its meta ref was read.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        Status::ALL.get(usize::from(self.status).checked_sub(1)?).copied()
    }

    fn set_status(&mut self, status: Option<Status>) {
        self.status = status.map_or(0, Status::code);
    }
}

/// A patch set of a change.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct PatchSet {
    change: Number,
    /// From 1.
    pub version: i32,
    /// Its commit.
    pub commit: Number,
    next: Number,
}

/// A GitHub issue that a commit message names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Reference {
    /// The repo's owner, in small letters.
    pub owner: Name,
    /// The repo, in small letters.
    pub repo: Name,
    /// The issue.
    pub number: i32,
}

/// A second project of a commit.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Also {
    project: Number,
    commit: Number,
}

/// A commit's hash in Mercurial.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Mercurial {
    /// As it is written.
    pub hash: Name,
    /// What it became.
    pub commit: Hash,
}

/// Everything known of git and Gerrit, at one instant. A copy is cheap and stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Gerrit {
    rules: Rules,
    seed: Seed,
    names: Names,
    commits: Column<Commit>,
    commits_by_hash: Index,
    parents: Column<Number>,
    mercurial: Column<Mercurial>,
    mercurial_by_hash: Index,
    projects: Column<Project>,
    projects_by_name: Index,
    also: Column<Also>,
    also_by_pair: Index,
    refs: Column<Ref>,
    refs_by_name: Index,
    changes: Column<Change>,
    changes_by_number: Index,
    patch_sets: Column<PatchSet>,
    patch_sets_by_version: Index,
    references: Column<Reference>,
    /// Repos that commit messages named, `OWNER` and `REPO`, in the order in which they were first.
    mentioned: Column<[Name; 2]>,
    mentioned_by_name: Index,
    /// Changes whose meta ref moved since they were read.
    dirty: Vec<Number>,
    /// Changes of whose meta ref a commit was not there when they were read.
    waiting: BTreeSet<Number>,
    /// Whether a commit came since that had a place before.
    filled: bool,
    /// Whether a commit came since with other bytes than before, which no hash of git's allows.
    rewritten: bool,
    rejected: u64,
}

impl Gerrit {
    /// Nothing, to be filled by these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// By whose rules it is filled.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    /// The text of a name of this part of the corpus.
    #[must_use]
    pub fn name(&self, name: Name) -> &[u8] {
        self.names.text(name)
    }

    /// All commits, places too.
    #[must_use]
    pub const fn commits(&self) -> &Column<Commit> {
        &self.commits
    }

    /// All commits that were in Mercurial once.
    #[must_use]
    pub const fn mercurial(&self) -> &Column<Mercurial> {
        &self.mercurial
    }

    /// All projects.
    #[must_use]
    pub const fn projects(&self) -> &Column<Project> {
        &self.projects
    }

    /// All refs that are of no change, deleted ones too.
    #[must_use]
    pub const fn refs(&self) -> &Column<Ref> {
        &self.refs
    }

    /// All changes, incomplete ones too.
    #[must_use]
    pub const fn changes(&self) -> &Column<Change> {
        &self.changes
    }

    /// How many repos commit messages named.
    #[must_use]
    pub fn mentions(&self) -> u32 {
        self.mentioned.next()
    }

    /// Repos that commit messages named, in the order in which they first did, from the one of that number.
    pub fn mentioned_from(&self, first: u32) -> impl Iterator<Item = (&[u8], &[u8])> {
        (first..self.mentions()).map(|number| {
            let [owner, repo] = *self.mentioned.get(number);
            (self.names.text(owner), self.names.text(repo))
        })
    }

    /// How many elements of the log could not be taken: commits that are none, refs to commits that are not known.
    #[must_use]
    pub const fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The commit of that hash, which may be a place.
    #[must_use]
    pub fn commit(&self, hash: &Hash) -> Option<Number> {
        self.commits_by_hash.find(self.seed.bytes(hash), |number| self.commits.get(number).hash == *hash)
    }

    /// The parents of a commit, in order.
    pub fn parents(&self, commit: &Commit) -> impl Iterator<Item = Number> {
        (commit.parents..commit.parents + commit.parent_count).map(|at| *self.parents.get(at))
    }

    /// The commit object; of a place, an empty one.
    ///
    /// # Errors
    /// None in fact: the object was read when it was taken.
    pub fn object<'a>(&self, log: &'a Log, commit: &Commit) -> Result<CommitText<'a>, CommitError> {
        if commit.is_place() {
            return Ok(CommitText::default());
        }
        let message = GitCommit::of(log.text(commit.message)).map_err(|_| CommitError::Header)?;
        CommitText::read(message.raw, |_| ())
    }

    /// The message of a commit: all of it after the empty line.
    #[must_use]
    pub fn message<'a>(&self, log: &'a Log, commit: Number) -> &'a [u8] {
        let commit = self.commits.get(commit);
        if commit.is_place() {
            return &[];
        }
        // It was read when it was taken, so it is read again.
        GitCommit::of(log.text(commit.message)).map_or(&[], |given| crate::commit::message(given.raw))
    }

    /// Whether a project has a commit.
    #[must_use]
    pub fn has_commit(&self, project: Number, commit: Number) -> bool {
        self.commits.get(commit).project == project || self.has_also(project, commit)
    }

    fn has_also(&self, project: Number, commit: Number) -> bool {
        let found = self.also_by_pair.find(self.seed.pair(project, commit), |number| {
            let also = self.also.get(number);
            also.project == project && also.commit == commit
        });
        found.is_some()
    }

    /// All commits of a project.
    pub fn commits_of(&self, project: Number) -> impl Iterator<Item = Number> {
        let first = self
            .commits
            .numbered()
            .filter(move |(_, commit)| commit.project == project)
            .map(|(number, _)| number);
        first.chain(self.also.iter().filter(move |also| also.project == project).map(|also| also.commit))
    }

    /// The commits of each project, by its number: for whoever wants those of all, since [`commits_of`](Self::commits_of) looks at
    /// every commit for each.
    #[must_use]
    pub fn commits_by_project(&self) -> Vec<Vec<Number>> {
        let mut all = vec![Vec::new(); self.projects.len()];
        let first = self.commits.numbered().map(|(number, commit)| (commit.project, number));
        for (project, commit) in first.chain(self.also.iter().map(|also| (also.project, also.commit))) {
            // A place is of none.
            if let Some(own) = all.get_mut(project as usize) {
                own.push(commit);
            }
        }
        all
    }

    /// The project `SERVER/PROJECT`.
    #[must_use]
    pub fn project(&self, name: &[u8]) -> Option<Number> {
        let name = self.names.known(name)?;
        self.projects_by_name
            .find(self.seed.pair(0, name.number()), |number| self.projects.get(number).name == name)
    }

    /// The change of that number.
    #[must_use]
    pub fn change(&self, project: Number, number: i32) -> Option<Number> {
        self.changes_by_number.find(self.seed.pair(project, number.cast_unsigned()), |found| {
            let change = self.changes.get(found);
            change.project == project && change.number == number
        })
    }

    /// Where a ref of a project is that is of no change.
    #[must_use]
    pub fn at_ref(&self, project: Number, name: &[u8]) -> Option<Number> {
        let found = self.ref_of(project, self.names.known(name)?)?;
        Some(self.refs.get(found).commit).filter(|commit| *commit != NONE)
    }

    fn ref_of(&self, project: Number, name: Name) -> Option<Number> {
        self.refs_by_name.find(self.seed.pair(project, name.number()), |number| {
            let found = self.refs.get(number);
            found.project == project && found.name == name
        })
    }

    /// The patch set of a change.
    #[must_use]
    pub fn patch_set(&self, change: Number, version: i32) -> Option<Number> {
        self.patch_sets_by_version.find(self.seed.pair(change, version.cast_unsigned()), |number| {
            let patch_set = self.patch_sets.get(number);
            patch_set.change == change && patch_set.version == version
        })
    }

    /// The patch sets of a change, those that came last first.
    pub fn patch_sets(&self, change: &Change) -> impl Iterator<Item = &PatchSet> {
        let mut at = change.patch_sets;
        std::iter::from_fn(move || {
            if at == NONE {
                return None;
            }
            let patch_set = self.patch_sets.get(at);
            at = patch_set.next;
            Some(patch_set)
        })
    }

    /// The issues that a change's current message names, in their order.
    pub fn references(&self, change: &Change) -> impl Iterator<Item = &Reference> {
        (change.references..change.references + change.reference_count).map(|at| self.references.get(at))
    }

    /// The commits of a change's meta ref from which it was read, the first one first.
    ///
    /// # Errors
    /// A commit with more than one parent, at which the walk from the newest one ends.
    pub fn metas(&self, change: &Change) -> Result<Vec<Number>, Number> {
        let mut metas = Vec::new();
        self.walk(change.read, |number| metas.push(number))?;
        metas.reverse();
        Ok(metas)
    }

    /// Visits a commit and its first parents. A chain that comes back to itself, which no git makes, ends where all commits
    /// could have been visited.
    fn walk(&self, from: Number, mut visit: impl FnMut(Number)) -> Result<(), Number> {
        let mut at = from;
        for _ in 0..self.commits.len() {
            if at == NONE {
                break;
            }
            let commit = self.commits.get(at);
            visit(at);
            // What it says is heard, and what is before it is not known.
            if commit.parent_count > 1 {
                return Err(at);
            }
            at = self.parents(commit).next().unwrap_or(NONE);
        }
        Ok(())
    }
}
