//! What is read of a change when its meta ref has moved: status, branch, flags. All else is read when it is asked for.
//! Source: spec/maintner.md §4.4.

use super::{Gerrit, meta};
use crate::column::NONE;
use crate::flag::Flag;
use crate::github::Number;
use crate::log::Log;

/// What a walk over a change's meta commits finds, the newest first.
#[derive(Default)]
struct Found<'a> {
    status: Option<meta::Status>,
    branch: &'a [u8],
    wip: Option<bool>,
    private: bool,
    labels: u64,
    first: i64,
    /// Whether a commit of the chain is not there yet.
    places: bool,
}

impl Gerrit {
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
        let branch = self.names.add(found.branch);
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

    fn look<'a>(&self, log: &'a Log, meta: Number, found: &mut Found<'a>) {
        let message = self.message(log, meta);
        found.labels += u64::from(meta::has_labels(message));
        found.private |= meta::is_private(message, self.rules);
        if found.status.is_none() {
            found.status = meta::status(message);
        }
        if found.branch.is_empty() {
            found.branch = meta::branch(message, self.rules);
        }
        if found.wip.is_none() {
            found.wip = meta::wip(message, self.rules);
        }
        let commit = self.commits.get(meta);
        found.first = commit.time;
        found.places |= commit.is_place();
    }
}
