//! What is read of a change when its meta ref has moved: status, branch, flags. All else is read when it is asked for.
//! Source: spec/maintner.md §4.4.

use super::{Gerrit, meta};
use crate::column::NONE;
use crate::github::Number;
use crate::log::Log;
use crate::names::Name;

/// What a walk over a change's meta commits finds, the newest first.
#[derive(Default)]
struct Found<'a> {
    status: Option<meta::Status>,
    branch: &'a [u8],
    wip: Option<bool>,
    private: bool,
    labels: u64,
    first: i64,
}

impl Gerrit {
    /// Reads the changes whose meta refs moved since the last time.
    pub fn finish(&mut self, log: &Log) {
        for number in std::mem::take(&mut self.dirty) {
            self.changes.get_mut(number).dirty = false;
            self.read(log, number);
        }
    }

    fn read(&mut self, log: &Log, number: Number) {
        let change = *self.changes.get(number);
        let mut found = Found::default();
        let walked = self.walk(change.meta, |meta| self.look(log, meta, &mut found));
        let branch = self.names.add(found.branch);
        self.projects.get_mut(change.project).label_changes += found.labels;
        let change = self.changes.get_mut(number);
        // Never taken back: what was private once may have been shown to nobody since.
        change.private |= found.private;
        // Of a chain that can't be walked, nothing else is believed.
        if walked.is_err() || change.meta == NONE {
            return;
        }
        change.read = change.meta;
        change.status = found.status.or(change.status).or(Some(meta::Status::New));
        change.created = found.first;
        change.wip = found.wip.unwrap_or_default();
        if branch != Name::EMPTY {
            change.branch = branch;
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
        found.first = self.commits.get(meta).time;
    }
}
