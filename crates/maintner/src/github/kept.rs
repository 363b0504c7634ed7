//! GitHub's part of the corpus in a checkpoint.

use super::Github;
use crate::index::Seed;
use crate::section::{Sections, Unfit, numbers};

impl Github {
    /// Gives out all that it has, or takes it back.
    pub(crate) fn section(&mut self, sections: &mut dyn Sections) -> Result<(), Unfit> {
        let mut kept = [self.seed.number(), self.rejected, u64::from(self.free)];
        numbers(&mut kept, sections)?;
        self.seed = Seed::of(kept[0]);
        self.rejected = kept[1];
        self.free = u32::try_from(kept[2]).map_err(|_| Unfit::Spoilt("a number"))?;
        self.names.section(self.seed, sections)?;
        self.users.section(sections)?;
        self.users_by_id.section(sections)?;
        self.teams.section(sections)?;
        self.teams_by_id.section(sections)?;
        self.repos.section(sections)?;
        self.repos_by_name.section(sections)?;
        self.labels.section(sections)?;
        self.labels_by_id.section(sections)?;
        self.milestones.section(sections)?;
        self.milestones_by_id.section(sections)?;
        self.issues.section(sections)?;
        self.issues_by_number.section(sections)?;
        self.comments.section(sections)?;
        self.comments_by_id.section(sections)?;
        self.events.section(sections)?;
        self.events_by_id.section(sections)?;
        self.reviews.section(sections)?;
        self.reviews_by_id.section(sections)?;
        self.links.section(sections)
    }
}
