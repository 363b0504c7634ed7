//! Changes and refs as they were at a moment: `corpus/past.rs` says by which rules.

use std::collections::{HashMap, HashSet};
use std::mem;

use super::{Kind, kind};
use crate::column::NONE;
use crate::commit::hash;
use crate::gerrit::{Change, Commit, Gerrit, PatchSet, Ref, meta};
use crate::github::Number;
use crate::index::Index;
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
    /// The same of commits of branches, in a project that has no notes; none in one that has.
    plain: HashMap<Number, Option<i64>>,
    /// Where refs of no change were set to, in the order of the log.
    moves: Vec<Move>,
}

/// A ref of no change is elsewhere.
#[derive(Debug, Clone, Copy)]
struct Move {
    project: Number,
    name: Name,
    /// [`NONE`] where it was deleted.
    to: Number,
    /// What the clock was.
    clock: i64,
}

/// What is known of a ref.
#[derive(Debug, Clone, Copy)]
enum Place {
    At(Number),
    /// Deleted when the clock was that.
    Gone(i64),
}

/// The newest commit of the moment over first parents, of commits that are later: each is walked over once.
#[derive(Debug, Default)]
struct Walked(HashMap<Number, Number>);

impl Moves {
    /// Before the first record.
    pub fn new(at: Time) -> Self {
        let at = at.seconds().unwrap_or(i64::MIN);
        Self { at, clock: i64::MIN, plain: HashMap::new(), moves: Vec::new() }
    }

    /// A ref of a project is at a commit of that time.
    fn heard(&mut self, project: Number, kind: &Kind, time: i64) {
        match kind {
            Kind::Change(_, 0) => {
                self.clock = self.clock.max(time);
                self.plain.insert(project, None);
            }
            Kind::Other => {
                if let Some(clock) = self.plain.entry(project).or_insert(Some(i64::MIN)) {
                    *clock = time.max(*clock);
                }
            }
            _ => {}
        }
    }

    /// The latest time that the log had by now, for a project.
    fn clock(&self, project: Number) -> i64 {
        let plain = self.plain.get(&project).copied().flatten();
        plain.map_or(self.clock, |plain| plain.max(self.clock))
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
        let mut refs = Vec::new();
        for given in elements::<GitRef<'_>>(message, 3) {
            let given = given?;
            let Some(commit) = hash(given.sha1).and_then(|hash| self.commit(&hash)) else { continue };
            let kind = kind(given.name);
            moves.heard(project, &kind, self.commits.get(commit).time);
            if kind == Kind::Other {
                refs.push((self.names.add(given.name), commit));
            }
        }
        // What one record says was seen at one time.
        let clock = moves.clock(project);
        for name in bytes(message, 4) {
            moves.moves.push(Move { project, name: self.names.add(name?), to: NONE, clock });
        }
        moves.moves.extend(refs.into_iter().map(|(name, to)| Move { project, name, to, clock }));
        Ok(())
    }

    /// Goes back to the moment, after the last record.
    pub fn rewind(&mut self, log: &Log, moves: &Moves) {
        let mut walked = Walked::default();
        let mut kept = self.rewind_refs(moves, &mut walked);
        let changed: Vec<(Number, bool)> = (0..self.changes.next())
            .filter_map(|number| self.rewind_change(number, moves, &mut walked))
            .collect();
        self.finish(log);
        for (number, noted) in changed {
            self.rewind_patch_sets(log, number, moves, noted);
        }
        for change in self.changes.iter().filter(|change| change.is_complete()) {
            kept.extend(self.patch_sets(change).map(|patch_set| patch_set.commit));
            // A note that is later than the one behind it.
            let notes = self.metas(change).unwrap_or_default().into_iter();
            kept.extend(notes.filter(|note| self.commits.get(*note).time > moves.at));
        }
        self.rewind_commits(moves, &kept);
    }

    /// The commit itself or the first of its first parents that is not later.
    fn by(&self, at: i64, from: Number, walked: &mut Walked) -> Number {
        let (mut way, mut found) = (Vec::new(), from);
        while found != NONE {
            let commit = self.commits.get(found);
            if !commit.is_place() && commit.time <= at {
                break;
            }
            if let Some(known) = walked.0.get(&found) {
                found = *known;
                break;
            }
            // A chain that comes back to itself, which no git makes, leads nowhere.
            walked.0.insert(found, NONE);
            way.push(found);
            found = self.parents(commit).next().unwrap_or(NONE);
        }
        walked.0.extend(way.into_iter().map(|passed| (passed, found)));
        found
    }

    /// Puts refs of no change to where they were, and says which commits these are.
    fn rewind_refs(&mut self, moves: &Moves, walked: &mut Walked) -> HashSet<Number> {
        let mut places: HashMap<(Number, Name), Place> = HashMap::new();
        for Move { project, name, to, clock } in moves.moves.iter().copied() {
            let (seen, key) = (clock <= moves.at, (project, name));
            if to == NONE {
                if seen {
                    places.insert(key, Place::Gone(clock));
                }
                continue;
            }
            let commit = *self.commits.get(to);
            if seen && (commit.is_place() || commit.time <= moves.at) {
                places.insert(key, Place::At(to));
                continue;
            }
            // What was seen later leads to what is before it, or to before where the ref was then: that it went back, or came
            // back, was later.
            let led = self.by(moves.at, to, walked);
            if led == NONE {
                continue;
            }
            let time = self.commits.get(led).time;
            let newer = match places.get(&key) {
                None => true,
                Some(Place::At(known)) => time > self.commits.get(*known).time,
                Some(Place::Gone(clock)) => time > *clock,
            };
            if newer {
                places.insert(key, Place::At(led));
            }
        }
        let mut kept = HashSet::new();
        for number in 0..self.refs.next() {
            let Ref { project, name, .. } = *self.refs.get(number);
            let at = match places.get(&(project, name)) {
                Some(Place::At(commit)) => *commit,
                Some(Place::Gone(_)) | None => NONE,
            };
            self.refs.get_mut(number).commit = at;
            kept.insert(at);
        }
        kept
    }

    /// Puts a change's meta ref to where it was. Of one that is elsewhere, or has none, it says whether it has one in the log:
    /// its patch sets are to be looked at.
    fn rewind_change(
        &mut self,
        number: Number,
        moves: &Moves,
        walked: &mut Walked,
    ) -> Option<(Number, bool)> {
        let newest = self.changes.get(number).meta;
        if newest == NONE {
            return Some((number, false));
        }
        // A note that never came has no time.
        let stays = self.commits.get(newest).is_place() && moves.clock <= moves.at;
        let meta = if stays { newest } else { self.by(moves.at, newest, walked) };
        if meta == newest {
            return None;
        }
        let change = self.changes.get_mut(number);
        change.meta = meta;
        if meta == NONE {
            change.unread();
        } else {
            self.soil(number);
        }
        Some((number, true))
    }

    /// The greatest patch set that a change's notes tell of.
    fn told(&self, log: &Log, change: &Change) -> i32 {
        let version = |note| {
            let footer = meta::footer(self.message(log, note));
            let version = crate::lines::value(footer, b"Patch-set: ", self.rules);
            let digits = version.iter().take_while(|byte| byte.is_ascii_digit()).count();
            std::str::from_utf8(&version[..digits]).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        self.metas(change).unwrap_or_default().into_iter().map(version).max().unwrap_or(0)
    }

    /// Leaves a change the patch sets that its notes tell of; of one that has no notes in the log, those that are not later.
    fn rewind_patch_sets(&mut self, log: &Log, number: Number, moves: &Moves, noted: bool) {
        let change = *self.changes.get(number);
        let told = self.told(log, &change);
        let is_there = |patch_set: &PatchSet| {
            let commit = self.commits.get(patch_set.commit);
            match noted {
                true => patch_set.version <= told,
                false if commit.is_place() => moves.clock <= moves.at,
                false => commit.time <= moves.at,
            }
        };
        let all: Vec<(Number, PatchSet)> = {
            let mut at = change.patch_sets;
            std::iter::from_fn(|| {
                let found = (at != NONE).then(|| (at, *self.patch_sets.get(at)))?;
                at = found.1.next;
                Some(found)
            })
            .collect()
        };
        let there: Vec<bool> = all.iter().map(|(_, patch_set)| is_there(patch_set)).collect();
        let mut first = NONE;
        for ((place, patch_set), there) in all.into_iter().zip(there).rev() {
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

    /// Leaves a place of each commit that is later and of nothing that is there.
    fn rewind_commits(&mut self, moves: &Moves, kept: &HashSet<Number>) {
        let mut later = HashSet::new();
        for number in 0..self.commits.next() {
            let commit = *self.commits.get(number);
            if commit.time <= moves.at || kept.contains(&number) {
                continue;
            }
            later.insert(number);
            let (message, time) = (Text::NONE, 0);
            let (project, author, committer) = (NONE, Name::EMPTY, Name::EMPTY);
            *self.commits.get_mut(number) =
                Commit { message, time, project, author, committer, parent_count: 0, ..commit };
        }
        if later.is_empty() {
            return;
        }
        self.also_by_pair = Index::default();
        for also in mem::take(&mut self.also).iter().filter(|also| !later.contains(&also.commit)) {
            let number = self.also.push(*also);
            self.also_by_pair.insert(self.seed.pair(also.project, also.commit), number);
        }
        self.mercurial_by_hash = Index::default();
        for mercurial in mem::take(&mut self.mercurial).iter() {
            if self.commit(&mercurial.commit).is_none_or(|commit| !later.contains(&commit)) {
                let number = self.mercurial.push(*mercurial);
                self.mercurial_by_hash.insert(self.seed.pair(0, mercurial.hash.number()), number);
            }
        }
    }
}
