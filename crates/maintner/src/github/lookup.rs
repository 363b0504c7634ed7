//! Single elements by their ids, for who compares GitHub's answers with what is known.

use super::{Comment, Github, Issue, Label, Milestone, Number, Review};

impl Github {
    /// A comment of an issue.
    #[must_use]
    pub fn comment(&self, issue: Number, id: i64) -> Option<&Comment> {
        let list = self.issues.get(issue).comments;
        let found = list.find(self.seed, &self.comments, &self.comments_by_id, (issue, id));
        found.map(|number| self.comments.get(number))
    }

    /// Whether an event of an issue is known.
    #[must_use]
    pub fn has_event(&self, issue: Number, id: i64) -> bool {
        let list = self.issues.get(issue).events;
        list.find(self.seed, &self.events, &self.events_by_id, (issue, id)).is_some()
    }

    /// A review of a pull request.
    #[must_use]
    pub fn review(&self, issue: Number, id: i64) -> Option<&Review> {
        let list = self.issues.get(issue).reviews;
        let found = list.find(self.seed, &self.reviews, &self.reviews_by_id, (issue, id));
        found.map(|number| self.reviews.get(number))
    }

    /// A label of a repo.
    #[must_use]
    pub fn label(&self, repo: Number, id: i64) -> Option<&Label> {
        let found = self.labels_by_id.find(self.seed.within(repo, id), |number| {
            let label = self.labels.get(number);
            label.repo == repo && label.id == id
        });
        found.map(|number| self.labels.get(number))
    }

    /// A milestone of a repo.
    #[must_use]
    pub fn milestone(&self, repo: Number, id: i64) -> Option<&Milestone> {
        let found = self.milestones_by_id.find(self.seed.within(repo, id), |number| {
            let milestone = self.milestones.get(number);
            milestone.repo == repo && milestone.id == id
        });
        found.map(|number| self.milestones.get(number))
    }

    /// All issues of a repo, those that are gone too, in no order.
    pub fn issues_in(&self, repo: Number) -> impl Iterator<Item = &Issue> {
        self.issues.iter().filter(move |issue| issue.repo == repo)
    }
}
