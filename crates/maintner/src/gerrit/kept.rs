//! Git's and Gerrit's part of the corpus in a checkpoint.

use super::Gerrit;
use crate::column::Column;
use crate::index::Seed;
use crate::section::{Sections, Unfit, numbers};

impl Gerrit {
    /// Gives out all that it has, or takes it back. The changes that are to be read must have been.
    pub(crate) fn section(&mut self, sections: &mut dyn Sections) -> Result<(), Unfit> {
        let mut kept = [self.seed.number(), self.rejected];
        numbers(&mut kept, sections)?;
        self.seed = Seed::of(kept[0]);
        self.rejected = kept[1];
        self.names.section(self.seed, sections)?;
        self.commits.section(sections)?;
        self.commits_by_hash.section(sections)?;
        self.parents.section(sections)?;
        self.mercurial.section(sections)?;
        self.mercurial_by_hash.section(sections)?;
        self.projects.section(sections)?;
        self.projects_by_name.section(sections)?;
        self.also.section(sections)?;
        self.also_by_pair.section(sections)?;
        self.refs.section(sections)?;
        self.refs_by_name.section(sections)?;
        self.changes.section(sections)?;
        self.changes_by_number.section(sections)?;
        self.patch_sets.section(sections)?;
        self.patch_sets_by_version.section(sections)?;
        self.references.section(sections)?;
        self.mentioned.section(sections)?;
        self.mentioned_by_name.section(sections)?;
        let mut waiting = Column::default();
        for number in &self.waiting {
            waiting.push(*number);
        }
        waiting.section(sections)?;
        self.waiting = waiting.iter().copied().collect();
        Ok(())
    }
}
