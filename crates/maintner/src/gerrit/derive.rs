//! What is read of a change when its meta ref has moved: status, branch, flags. All else is read when it is asked for.
//! Source: spec/maintner.md §4.4.

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Gerrit, meta};
use crate::column::NONE;
use crate::flag::Flag;
use crate::github::Number;
use crate::log::Log;
use crate::names::Name;

/// What a commit says of the change whose meta ref it is in, kept when it looks like such a commit as it comes: its bytes are
/// at hand then, and far away when the chain is walked.
#[derive(Debug, Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Said {
    /// As [`meta::branch`].
    branch: Name,
    /// [`Said::KNOWN`] and the others, and above them one more than the place in [`meta::Status::ALL`].
    bits: u32,
}

impl Said {
    /// Without it nothing is known, and the commit has to be read.
    const KNOWN: u32 = 1;
    const LABELS: u32 = 1 << 1;
    const PRIVATE: u32 = 1 << 2;
    const WIP: u32 = 1 << 3;
    const READY: u32 = 1 << 4;
    const STATUS: u32 = 5;

    const fn has(self, bit: u32) -> bool {
        self.bits & bit != 0
    }

    fn status(self) -> Option<meta::Status> {
        meta::Status::ALL.get(((self.bits >> Self::STATUS) as usize).checked_sub(1)?).copied()
    }

    const fn wip(self) -> Option<bool> {
        if self.has(Self::WIP) {
            Some(true)
        } else if self.has(Self::READY) {
            Some(false)
        } else {
            None
        }
    }
}

/// What a walk over a change's meta commits finds, the newest first.
#[derive(Default)]
struct Found<'a> {
    status: Option<meta::Status>,
    branch: Branch<'a>,
    wip: Option<bool>,
    private: bool,
    labels: u64,
    first: i64,
    /// Whether a commit of the chain is not there yet.
    places: bool,
}

/// A branch that was kept, or one that is read now.
enum Branch<'a> {
    Kept(Name),
    Read(&'a [u8]),
}

impl Default for Branch<'_> {
    fn default() -> Self {
        Self::Kept(Name::EMPTY)
    }
}

impl Branch<'_> {
    const fn is_empty(&self) -> bool {
        match self {
            Self::Kept(name) => name.number() == Name::EMPTY.number(),
            Self::Read(text) => text.is_empty(),
        }
    }
}

impl Gerrit {
    /// What a commit of that message says, where it looks like one of a meta ref.
    pub(super) fn said(&mut self, message: &[u8]) -> Said {
        if !meta::looks_like_one(message) {
            return Said::default();
        }
        let mut bits = Said::KNOWN;
        for (said, bit) in [
            (meta::has_labels(message), Said::LABELS),
            (meta::is_private(message, self.rules), Said::PRIVATE),
        ] {
            bits |= if said { bit } else { 0 };
        }
        bits |= match meta::wip(message, self.rules) {
            Some(true) => Said::WIP,
            Some(false) => Said::READY,
            None => 0,
        };
        let status = meta::status(message).map_or(0, meta::Status::code);
        bits |= u32::from(status) << Said::STATUS;
        Said { branch: self.names.add(meta::branch(message, self.rules)), bits }
    }

    /// Reads the changes whose meta refs, or commits of them, are others than the last time. What is read follows from the
    /// chain as it is now, so that it is the same however many records came between.
    pub fn finish(&mut self, log: &Log) {
        if std::mem::take(&mut self.rewritten) {
            self.waiting.clear();
            (0..self.changes.next()).for_each(|number| self.soil(number));
        } else if std::mem::take(&mut self.filled) {
            std::mem::take(&mut self.waiting).into_iter().for_each(|number| self.soil(number));
        }
        for number in std::mem::take(&mut self.dirty) {
            self.changes.get_mut(number).dirty = Flag::NO;
            self.read(log, number);
        }
    }

    /// A change is to be read.
    pub(super) fn soil(&mut self, number: Number) {
        let change = self.changes.get_mut(number);
        if !change.dirty.is() && change.meta != NONE {
            change.dirty = Flag::YES;
            self.dirty.push(number);
        }
    }

    fn read(&mut self, log: &Log, number: Number) {
        let change = *self.changes.get(number);
        let mut found = Found::default();
        let walked = self.walk(change.meta, |meta| self.look(log, meta, &mut found));
        let branch = match found.branch {
            Branch::Kept(name) => name,
            Branch::Read(text) => self.names.add(text),
        };
        if found.places {
            self.waiting.insert(number);
        }
        self.projects.get_mut(change.project).label_changes += found.labels;
        let change = self.changes.get_mut(number);
        change.private = found.private.into();
        change.read = change.meta;
        change.set_status(found.status.or(Some(meta::Status::New)));
        change.created = found.first;
        change.wip = found.wip.unwrap_or_default().into();
        change.branch = branch;
        // Of a chain that can't be walked, nothing else is believed.
        if walked.is_err() {
            change.unread();
        }
    }

    fn look<'a>(&self, log: &'a Log, number: Number, found: &mut Found<'a>) {
        let commit = self.commits.get(number);
        let said = commit.said;
        if said.has(Said::KNOWN) {
            found.labels += u64::from(said.has(Said::LABELS));
            found.private |= said.has(Said::PRIVATE);
            found.status = found.status.or_else(|| said.status());
            if found.branch.is_empty() {
                found.branch = Branch::Kept(said.branch);
            }
            found.wip = found.wip.or_else(|| said.wip());
        } else {
            let message = self.message(log, number);
            found.labels += u64::from(meta::has_labels(message));
            found.private |= meta::is_private(message, self.rules);
            found.status = found.status.or_else(|| meta::status(message));
            if found.branch.is_empty() {
                found.branch = Branch::Read(meta::branch(message, self.rules));
            }
            found.wip = found.wip.or_else(|| meta::wip(message, self.rules));
        }
        found.first = commit.time;
        found.places |= commit.is_place();
    }
}
