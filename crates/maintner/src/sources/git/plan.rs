//! What is other at a remote than in the corpus: no I/O. Source: spec/maintner.md §4.3.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use git::{ObjectId, Row};

use crate::column::NONE;
use crate::corpus::Corpus;
use crate::github::Number;
use crate::sources::gerrit::names::{self, Kind};

/// Which refs of a remote are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// `HEAD`, branches and tags: any repository.
    Plain,
    /// Those, what else there is but Gerrit's own books, and changes with their meta refs.
    Gerrit,
}

impl Follow {
    /// What a ref is by its name; `None` where it is not followed.
    fn kind(self, name: &str) -> Option<Kind> {
        match self {
            Self::Plain => {
                let wanted =
                    name == "HEAD" || name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
                wanted.then_some(Kind::Other)
            }
            Self::Gerrit => names::kind(name),
        }
    }
}

/// A ref that is new, or elsewhere than in the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its name, as the log has it.
    pub name: String,
    /// Where it is.
    pub to: ObjectId,
    /// Where the corpus has it, if it does.
    pub from: Option<ObjectId>,
    /// What it is.
    pub kind: Kind,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Refs, in the order in which the log shall have them: what changes are based on first, patch sets by number, since the
    /// original's programs take the last one that they see for the current one, and a change's meta ref behind them.
    pub moved: Vec<Moved>,
    /// Refs of no change that are gone.
    pub deleted: Vec<String>,
    /// Changes that are gone. The log can't say it.
    pub gone: Vec<i32>,
    /// How many refs are followed.
    pub followed: usize,
}

fn order(a: &Moved, b: &Moved) -> Ordering {
    let place = |moved: &Moved| match moved.kind {
        Kind::Other => (0, 0),
        Kind::PatchSet(number, version) => (number, version),
        Kind::Meta(number) => (number, i32::MAX),
    };
    let other = |moved: &Moved| moved.kind != Kind::Other;
    (other(a), place(a)).cmp(&(other(b), place(b))).then_with(|| a.name.cmp(&b.name))
}

/// Compares what a remote shows with what the corpus has of the project.
#[must_use]
pub fn plan(corpus: &Corpus, project: &str, follow: Follow, rows: &[Row]) -> Plan {
    let known = corpus.gerrit.project(project.as_bytes());
    let mut plan = Plan::default();
    let mut changes = HashSet::new();
    for row in rows {
        let Some(kind) = follow.kind(&row.name) else { continue };
        plan.followed += 1;
        if let Kind::PatchSet(number, _) | Kind::Meta(number) = kind {
            changes.insert(number);
        }
        let at = known.and_then(|project| at(corpus, project, &row.name, kind));
        let from = at.map(|number| ObjectId::from_bytes(corpus.gerrit.commits().get(number).hash));
        // A place is what nobody has the commit of.
        if from == Some(row.id) && at.is_some_and(|number| !corpus.gerrit.commits().get(number).is_place()) {
            continue;
        }
        plan.moved.push(Moved { name: row.name.clone(), to: row.id, from, kind });
    }
    plan.moved.sort_by(order);
    let Some(project) = known else { return plan };
    let names: HashSet<&[u8]> = rows.iter().map(|row| row.name.as_bytes()).collect();
    for found in corpus.gerrit.refs().iter().filter(|found| found.project == project && found.commit != NONE)
    {
        let name = corpus.gerrit.name(found.name);
        if !names.contains(name) {
            // One that is no text was written by nobody of today, and can't be named in a message.
            plan.deleted.extend(std::str::from_utf8(name).ok().map(str::to_owned));
        }
    }
    plan.deleted.sort_unstable();
    if follow == Follow::Gerrit {
        let own = corpus.gerrit.changes().iter().filter(|change| change.project == project);
        plan.gone = own.map(|change| change.number).filter(|number| !changes.contains(number)).collect();
        plan.gone.sort_unstable();
    }
    plan
}

/// The commit at which the corpus has a ref.
fn at(corpus: &Corpus, project: Number, name: &str, kind: Kind) -> Option<Number> {
    let gerrit = &corpus.gerrit;
    let number = match kind {
        Kind::Other => return gerrit.at_ref(project, name.as_bytes()),
        Kind::PatchSet(number, _) | Kind::Meta(number) => gerrit.change(project, number)?,
    };
    match kind {
        Kind::PatchSet(_, version) => gerrit.patch_set_commit(number, version),
        _ => Some(gerrit.changes().get(number).meta).filter(|meta| *meta != NONE),
    }
}

/// The commits of a project whose whole history the corpus has: those at its refs.
pub fn heads(corpus: &Corpus, project: &str) -> Vec<ObjectId> {
    let gerrit = &corpus.gerrit;
    let Some(project) = gerrit.project(project.as_bytes()) else { return Vec::new() };
    let refs = gerrit.refs().iter().filter(|found| found.project == project && found.commit != NONE);
    let whole = refs.map(|found| gerrit.commits().get(found.commit)).filter(|commit| !commit.is_place());
    whole.map(|commit| ObjectId::from_bytes(commit.hash)).collect::<HashSet<_>>().into_iter().collect()
}

/// Whether the corpus has a commit, as one of the project.
pub fn has(corpus: &Corpus, project: &str, id: ObjectId) -> bool {
    let gerrit = &corpus.gerrit;
    let Some(number) = gerrit.commit(id.as_bytes()) else { return false };
    let whole = !gerrit.commits().get(number).is_place();
    whole && gerrit.project(project.as_bytes()).is_some_and(|project| gerrit.has_commit(project, number))
}

/// Commits that others of the project name as their parents and that it does not have: what was left by a leader that was
/// interrupted. It looks at every commit.
#[must_use]
pub fn needed(corpus: &Corpus, project: &str) -> Vec<ObjectId> {
    let gerrit = &corpus.gerrit;
    let Some(project) = gerrit.project(project.as_bytes()) else { return Vec::new() };
    let mut needed: HashMap<Number, ObjectId> = HashMap::new();
    for commit in gerrit.commits_of(project) {
        for parent in gerrit.parents(gerrit.commits().get(commit)) {
            let found = gerrit.commits().get(parent);
            if found.is_place() || !gerrit.has_commit(project, parent) {
                needed.insert(parent, ObjectId::from_bytes(found.hash));
            }
        }
    }
    let mut needed: Vec<ObjectId> = needed.into_values().collect();
    needed.sort_unstable();
    needed
}
