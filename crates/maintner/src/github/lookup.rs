//! Single elements by their ids, for who compares GitHub's answers with what is known, and the questions of the original's
//! clients. Source: spec/maintner.md §3.1.

use super::{Comment, Github, Issue, Label, MILESTONE_UNKNOWN, Milestone, NO_MILESTONE, Number, Review};
use crate::time::Time;

impl Issue {
    /// When it, an event, a review or a comment of it changed last. A log of the original's rules does not tell of comments.
    #[must_use]
    pub fn last_modified(&self) -> Time {
        self.updated.max(self.event_max).max(self.comments_updated)
    }
}

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

    /// The issues of a repo by their numbers, ascending: those that are gone and pull requests too.
    #[must_use]
    pub fn issues_of(&self, repo: Number) -> Vec<&Issue> {
        let mut all: Vec<&Issue> = self.issues_in(repo).collect();
        all.sort_unstable_by_key(|issue| issue.number);
        all
    }

    /// The labels of a repo, in no order.
    pub fn labels_in(&self, repo: Number) -> impl Iterator<Item = &Label> {
        self.labels.iter().filter(move |label| label.repo == repo)
    }

    /// The milestones of a repo, in no order.
    pub fn milestones_in(&self, repo: Number) -> impl Iterator<Item = &Milestone> {
        self.milestones.iter().filter(move |milestone| milestone.repo == repo)
    }

    /// The milestone of an issue: none where it has none, and where none was ever said.
    #[must_use]
    pub fn milestone_of(&self, issue: &Issue) -> Option<&Milestone> {
        let known = !matches!(issue.milestone, NO_MILESTONE | MILESTONE_UNKNOWN);
        known.then(|| self.milestones.get(issue.milestone))
    }

    /// Repos for people, by owner and then by name: those that have issues, or had. A repo is made of every `owner/repo#N` in a
    /// commit message too, and most of those are nobody's.
    #[must_use]
    pub fn listed_repos(&self) -> Vec<Number> {
        let mut has_issues = vec![false; self.repos.len()];
        for issue in self.issues.iter() {
            // Its repo was there before it.
            has_issues[issue.repo as usize] = true;
        }
        let mut all: Vec<Number> = (0..self.repos.next()).filter(|repo| has_issues[*repo as usize]).collect();
        all.sort_by_key(|repo| {
            let repo = self.repos.get(*repo);
            (self.name(repo.owner), self.name(repo.name))
        });
        all
    }

    /// Whether something of that kind, in the very letters, ever happened to an issue.
    #[must_use]
    pub fn has_event_of(&self, issue: &Issue, kind: &[u8]) -> bool {
        // A kind that no repo knows needs no look at the list.
        self.names
            .known(kind)
            .is_some_and(|kind| issue.events.walk(&self.events).any(|event| event.kind == kind))
    }

    /// Whether an issue has a label of that name, in the very letters.
    #[must_use]
    pub fn has_label(&self, issue: &Issue, name: &[u8]) -> bool {
        let Some(name) = self.names.known(name) else { return false };
        issue
            .labels
            .walk(&self.links)
            .any(|link| self.label(issue.repo, link.value).is_some_and(|label| label.name == name))
    }

    /// Whether an issue has the label of that id.
    #[must_use]
    pub fn has_label_id(&self, issue: &Issue, id: i64) -> bool {
        issue.labels.walk(&self.links).any(|link| link.value == id)
    }
}
