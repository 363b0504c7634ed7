//! Changes and refs as they were at a moment: `corpus/past.rs` says by which rules.

use std::collections::{HashMap, HashSet};

use super::{Kind, kind};
use crate::column::NONE;
use crate::commit::hash;
use crate::gerrit::{Commit, Gerrit, PatchSet, Ref, meta};
use crate::github::Number;
use crate::log::Log;
use crate::mutation::{GitRef, MutationError, bytes, elements};
use crate::names::Name;
use crate::text::{Source, Text};
use crate::time::Time;

/// What is known of a moment while a log is read.
#[derive(Debug)]
pub struct Moves {
    /// Whole seconds, as commits have.
    at: i64,
    /// The latest time of a note by now.
    clock: i64,
    /// Where refs of no change were set to, in the order of the log.
    moves: Vec<(Number, Name, Number)>,
}

impl Moves {
    /// Before the first record.
    pub fn new(at: Time) -> Self {
        Self { at: at.seconds().unwrap_or(i64::MIN), clock: i64::MIN, moves: Vec::new() }
    }
}

impl Gerrit {
    /// Applies a `GerritMutation`; where refs of no change go is noted only.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_at(
        &mut self,
        log: &Log,
        source: Source<'_>,
        message: &[u8],
        moves: &mut Moves,
    ) -> Result<(), MutationError> {
        self.apply(log, source, message)?;
        let mut name = &b""[..];
        for given in bytes(message, 1) {
            name = given?;
        }
        let project = self.make_project(name);
        for name in bytes(message, 4) {
            let name = self.names.add(name?);
            if moves.clock <= moves.at {
                moves.moves.push((project, name, NONE));
            }
        }
        for given in elements::<GitRef<'_>>(message, 3) {
            let given = given?;
            let Some(commit) = hash(given.sha1).and_then(|hash| self.commit(&hash)) else { continue };
            match kind(given.name) {
                Kind::Change(_, 0) => moves.clock = moves.clock.max(self.commits.get(commit).time),
                Kind::Other => {
                    let name = self.names.add(given.name);
                    moves.moves.push((project, name, commit));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Goes back to the moment, after the last record.
    pub fn rewind(&mut self, log: &Log, moves: Moves) {
        let mut kept = HashSet::new();
        self.rewind_refs(&moves, &mut kept);
        let changed: Vec<Number> =
            (0..self.changes.next()).filter(|n| self.rewind_change(*n, moves.at)).collect();
        self.finish(log);
        for number in changed {
            self.rewind_patch_sets(log, number);
        }
        for change in self.changes.iter().filter(|change| change.is_complete()) {
            kept.extend(self.patch_sets(change).map(|patch_set| patch_set.commit));
        }
        for number in 0..self.commits.next() {
            let commit = *self.commits.get(number);
            if commit.time > moves.at && !kept.contains(&number) {
                // A place, of which nothing is known.
                let (message, time) = (Text::NONE, 0);
                let (project, author, committer) = (NONE, Name::EMPTY, Name::EMPTY);
                *self.commits.get_mut(number) =
                    Commit { message, time, project, author, committer, parent_count: 0, ..commit };
            }
        }
    }

    /// The commit itself or the first of its first parents that is not later.
    fn by(&self, at: i64, from: Number) -> Number {
        let mut found = from;
        for _ in 0..self.commits.len() {
            if found == NONE {
                break;
            }
            let commit = self.commits.get(found);
            if !commit.is_place() && commit.time <= at {
                return found;
            }
            found = self.parents(commit).next().unwrap_or(NONE);
        }
        NONE
    }

    fn rewind_refs(&mut self, moves: &Moves, kept: &mut HashSet<Number>) {
        let mut places: HashMap<(Number, Name), Number> = HashMap::new();
        for &(project, name, to) in &moves.moves {
            if to == NONE {
                places.remove(&(project, name));
                continue;
            }
            let commit = self.by(moves.at, to);
            if commit == NONE {
                continue;
            }
            let at = places.entry((project, name)).or_insert(commit);
            // What was pushed over later leads to before where it was; that it went back by then is in a record of then.
            if commit == to || self.commits.get(commit).time > self.commits.get(*at).time {
                *at = commit;
            }
        }
        for number in 0..self.refs.next() {
            let Ref { project, name, .. } = *self.refs.get(number);
            let at = places.get(&(project, name)).copied().unwrap_or(NONE);
            self.refs.get_mut(number).commit = at;
            kept.insert(at);
        }
    }

    /// Puts a change's meta ref to where it was, and says whether it is another place.
    fn rewind_change(&mut self, number: Number, at: i64) -> bool {
        let change = *self.changes.get(number);
        if change.meta == NONE {
            return false;
        }
        let meta = self.by(at, change.meta);
        let moved = meta != change.meta;
        let change = self.changes.get_mut(number);
        change.meta = meta;
        if meta == NONE {
            (change.commit, change.version, change.patch_sets) = (NONE, 0, NONE);
            change.reference_count = 0;
            change.unread();
            return false;
        }
        if moved {
            self.soil(number);
        }
        moved
    }

    /// Leaves a change the patch sets that its notes tell of.
    fn rewind_patch_sets(&mut self, log: &Log, number: Number) {
        let change = *self.changes.get(number);
        let mut told = 0;
        for note in self.metas(&change).unwrap_or_default() {
            let footer = meta::footer(self.message(log, note));
            let version = crate::lines::value(footer, b"Patch-set: ", self.rules);
            let digits = version.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let version = std::str::from_utf8(&version[..digits]).ok().and_then(|text| text.parse().ok());
            told = told.max(version.unwrap_or(0));
        }
        let all: Vec<(Number, PatchSet)> = {
            let mut at = change.patch_sets;
            std::iter::from_fn(|| {
                let found = (at != NONE).then(|| (at, *self.patch_sets.get(at)))?;
                at = found.1.next;
                Some(found)
            })
            .collect()
        };
        let mut first = NONE;
        for (place, patch_set) in all.into_iter().rev() {
            let there = patch_set.version <= told;
            // One that is of no change is not found by anybody.
            let change = if there { number } else { NONE };
            *self.patch_sets.get_mut(place) = PatchSet { change, next: first, ..patch_set };
            if there {
                first = place;
            }
        }
        let change = self.changes.get_mut(number);
        change.patch_sets = first;
        let change = *change;
        let newest = self.patch_sets(&change).max_by_key(|patch_set| patch_set.version).copied();
        let (version, commit) = newest.map_or((0, NONE), |newest| (newest.version, newest.commit));
        let change = self.changes.get_mut(number);
        (change.version, change.commit) = (version, commit);
        if commit == NONE {
            change.reference_count = 0;
        } else {
            self.refer(number, self.message(log, commit));
        }
    }
}
