//! The rows of what is queued or running, and which cells are open.

use std::collections::HashMap;

use store::BuildId;
use store::builds::BuildRow;

/// Builds that are queued or running.
#[derive(Default)]
pub(super) struct Rows {
    rows: HashMap<BuildId, BuildRow>,
    /// By builder and revision.
    cells: HashMap<(String, String), BuildId>,
}

impl Rows {
    pub(super) fn insert(&mut self, row: BuildRow) {
        if row.sample.is_empty() {
            self.cells.insert((row.builder.clone(), row.revision.clone()), row.id);
        }
        self.rows.insert(row.id, row);
    }

    pub(super) fn remove(&mut self, build: BuildId) -> Option<BuildRow> {
        let row = self.rows.remove(&build)?;
        if row.sample.is_empty() {
            self.cells.remove(&(row.builder.clone(), row.revision.clone()));
        }
        Some(row)
    }

    pub(super) fn get(&self, build: BuildId) -> Option<&BuildRow> {
        self.rows.get(&build)
    }

    /// The build of that cell, while it is queued or running.
    pub(super) fn of_cell(&self, builder: &str, revision: &str) -> Option<&BuildRow> {
        let id = self.cells.get(&(builder.to_owned(), revision.to_owned()))?;
        self.rows.get(id)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &BuildRow> + '_ {
        self.rows.values()
    }
}
