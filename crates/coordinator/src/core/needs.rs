//! What waits for the snapshot of a toolchain that is being built.

use std::sync::Arc;

use store::BuildId;
use store::builds::BuildRow;

use super::Core;
use crate::resolve;
use crate::schedule::{Class, Event};

/// The name of what a build that makes a snapshot makes.
fn snapshot_name(row: &BuildRow) -> String {
    format!("the snapshot of {} on {}", row.revision, row.builder)
}

impl Core {
    /// The name of the snapshot that the build is to wait for: its toolchain's, where the build that makes it is queued or
    /// under way and comes no later by its class. What has no snapshot to come builds the toolchain itself.
    pub(super) fn need(&self, row: &BuildRow) -> Option<String> {
        let config = Arc::clone(&self.config.borrow());
        let rules = self.shared.own_rules.of(row, &config).ok()?;
        let cell = resolve::toolchain_cell(&rules, &row.repo, &row.builder, &row.revision)?;
        let open = self.rows.of_cell(&row.builder, &cell)?;
        let class = |row: &BuildRow| Class::parse(&row.class);
        (class(open) <= class(row)).then(|| snapshot_name(open))
    }

    pub(super) fn snapshot_kept(&mut self, build: BuildId) {
        if let Some(row) = self.rows.get(build).cloned() {
            self.meet(&row);
        }
    }

    /// Lets go on what waits for the build's snapshot: it is kept, or the build is over and it will not come.
    pub(super) fn meet(&mut self, row: &BuildRow) {
        let need = snapshot_name(row);
        if self.scheduler.is_needed(&need) {
            self.apply(Event::NeedMet { need, by: Some(row.id) });
        }
    }
}
