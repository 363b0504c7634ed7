//! What a mutation does to GitHub's part of the corpus. Source: spec/maintner.md §1.4.

pub mod past;

use super::{
    Comment, Event, Github, Issue, Label, Link, List, Listed, MILESTONE_UNKNOWN, Milestone, NO_MILESTONE,
    Number, Repo, Review, Team, User,
};
use crate::check;
use crate::column::{Column, NONE};
use crate::flag::Flag;
use crate::github::Chain;
use crate::index::{Index, Seed};
use crate::mutation::{self, Message, MutationError, bytes, elements, numbers};
use crate::names::Name;
use crate::rules::Rules;
use crate::text::{Source, Text};
use crate::time::Time;
use crate::wire::{Fields, Value, WireError};

fn time(stamp: Option<&mutation::Timestamp<'_>>) -> Time {
    stamp.map_or(Time::NONE, mutation::Timestamp::time)
}

/// Takes an instant if there is one.
fn set(into: &mut Time, stamp: Option<&mutation::Timestamp<'_>>) {
    if let Some(stamp) = stamp {
        *into = stamp.time();
    }
}

/// Puts an element in the place of the one with its issue and id, or into its issue's list.
fn replace<T: Listed>(
    seed: Seed,
    column: &mut Column<T>,
    table: &mut Index,
    list: &mut List,
    mut element: T,
) {
    if let Some(found) = list.find(seed, column, table, element.key()) {
        let known = column.get_mut(found);
        element.set_next(known.next());
        *known = element;
    } else {
        list.add(seed, column, table, element);
    }
}

impl Github {
    /// Applies a `GithubMutation`.
    ///
    /// # Errors
    /// What is no message; what came before it stays applied.
    pub fn apply(&mut self, message: &[u8]) -> Result<(), MutationError> {
        let (mut owner, mut name) = (&b""[..], &b""[..]);
        let mut fields = Fields::new(message);
        while let Some((number, value)) = fields.read()? {
            match (number, value) {
                (1, Value::Bytes(text)) => owner = text,
                (2, Value::Bytes(text)) => name = text,
                _ => {}
            }
        }
        let Some(repo) = self.make_repo(owner, name) else { return check::github(message) };
        for label in elements::<mutation::Label<'_>>(message, 3) {
            self.apply_label(repo, &label?);
        }
        for milestone in elements::<mutation::Milestone<'_>>(message, 4) {
            let milestone = milestone?;
            if milestone.id == 0 {
                self.rejected += 1;
                continue;
            }
            self.apply_milestone(repo, &milestone);
        }
        Ok(())
    }

    /// Applies a `GithubIssueMutation`, which lies in `source`.
    ///
    /// # Errors
    /// What is no message; what came before it stays applied.
    pub fn apply_issue(&mut self, source: Source<'_>, message: &[u8]) -> Result<(), MutationError> {
        let change = mutation::Issue::of(message)?;
        // What is not applied is a message nevertheless, or no reader may take the log.
        let Some(repo) = self.make_repo(change.owner, change.repo) else { return check::issue(message) };
        if change.number == 0 {
            self.rejected += 1;
            return check::issue(message);
        }
        let (number, new) = self.make_issue(repo, &change);
        // Taken out, changed and put back: what it refers to lies in columns beside its own.
        let mut issue = *self.issues.get(number);
        issue.not_exist = change.not_exist.into();
        let mut done = if issue.not_exist.is() { check::issue(message) } else { Ok(()) };
        if !issue.not_exist.is() {
            let late = self.rules == Rules::Ours
                && (issue.created.is_none() || issue.created == Time::from_seconds(0));
            if new || late {
                set(&mut issue.created, change.created.as_ref());
            }
            self.apply_fields(&mut issue, source, &change);
            done = self
                .apply_assignees(&mut issue, &change)
                .and_then(|()| self.apply_labels(&mut issue, &change))
                .and_then(|()| self.apply_lists(number, &mut issue, source, &change))
                .map_err(MutationError::from);
        }
        // After an error, too: what was taken out of its chains or put into them is there no more, or now.
        *self.issues.get_mut(number) = issue;
        done
    }

    fn apply_fields(&mut self, issue: &mut Issue, source: Source<'_>, change: &mutation::Issue<'_>) {
        set(&mut issue.updated, change.updated.as_ref());
        set(&mut issue.closed_at, change.closed_at.as_ref());
        if let Some(user) = &change.user {
            issue.user = self.apply_user(user);
        }
        if change.no_milestone {
            issue.milestone = NO_MILESTONE;
        } else if change.milestone_id != 0 {
            let milestone = mutation::Milestone {
                id: change.milestone_id,
                title: change.milestone_title,
                number: change.milestone_num,
                ..mutation::Milestone::default()
            };
            issue.milestone = self.apply_milestone(issue.repo, &milestone);
        }
        if let Some(user) = &change.closed_by {
            issue.closed_by = self.apply_user(user);
        }
        if let Some(closed) = &change.closed {
            issue.closed = closed.val.into();
        }
        if let Some(locked) = &change.locked {
            issue.locked = locked.val.into();
        }
        issue.pull_request = (issue.pull_request.is() || change.pull_request).into();
        if !change.body.is_empty() {
            issue.body = source.text(change.body);
        }
        if let Some(body) = &change.body_change {
            issue.body = source.text(body.val);
        }
        if !change.title.is_empty() {
            issue.title = source.text(change.title);
        }
    }

    fn apply_assignees(&mut self, issue: &mut Issue, change: &mutation::Issue<'_>) -> Result<(), WireError> {
        if change.has(mutation::Issue::ASSIGNEES) {
            // The original looks only at those who were there before the mutation, and so has who comes twice in it twice.
            let looked_at = match self.rules {
                Rules::Ours => usize::MAX,
                Rules::Original => issue.assignees.walk(&self.links).count(),
            };
            for user in elements::<mutation::User<'_>>(change.bytes, mutation::Issue::ASSIGNEES) {
                let user = i64::from(self.apply_user(&user?));
                if !issue.assignees.walk(&self.links).take(looked_at).any(|link| link.value == user) {
                    let link = self.link(user);
                    issue.assignees.append(&mut self.links, link);
                }
            }
        }
        if change.has(mutation::Issue::DELETED_ASSIGNEES) {
            numbers(change.bytes, mutation::Issue::DELETED_ASSIGNEES, |id| {
                let Some(user) = self.user(id) else { return };
                while let Some(link) =
                    issue.assignees.take(&mut self.links, |link| link.value == i64::from(user))
                {
                    self.free(link);
                }
            })?;
        }
        Ok(())
    }

    fn apply_labels(&mut self, issue: &mut Issue, change: &mutation::Issue<'_>) -> Result<(), WireError> {
        if change.has(mutation::Issue::REMOVE_LABEL) {
            numbers(change.bytes, mutation::Issue::REMOVE_LABEL, |id| {
                if let Some(link) = issue.labels.take(&mut self.links, |link| link.value == id) {
                    self.free(link);
                }
            })?;
        }
        if change.has(mutation::Issue::ADD_LABEL) {
            for label in elements::<mutation::Label<'_>>(change.bytes, mutation::Issue::ADD_LABEL) {
                let label = label?;
                if self.apply_label(issue.repo, &label)
                    && !issue.labels.walk(&self.links).any(|link| link.value == label.id)
                {
                    let link = self.link(label.id);
                    issue.labels.append(&mut self.links, link);
                }
            }
        }
        Ok(())
    }

    fn apply_lists(
        &mut self,
        number: Number,
        issue: &mut Issue,
        source: Source<'_>,
        change: &mutation::Issue<'_>,
    ) -> Result<(), WireError> {
        if change.has(mutation::Issue::COMMENTS) {
            for comment in elements::<mutation::Comment<'_>>(change.bytes, mutation::Issue::COMMENTS) {
                self.apply_comment(number, issue, source, &comment?);
            }
        }
        set(
            &mut issue.comments_synced,
            change.comment_status.as_ref().and_then(|status| status.server_date.as_ref()),
        );
        if change.has(mutation::Issue::EVENTS) {
            for event in bytes(change.bytes, mutation::Issue::EVENTS) {
                self.apply_event(number, issue, source, event?)?;
            }
        }
        set(
            &mut issue.events_synced,
            change.event_status.as_ref().and_then(|status| status.server_date.as_ref()),
        );
        if change.has(mutation::Issue::REVIEWS) {
            for review in bytes(change.bytes, mutation::Issue::REVIEWS) {
                self.apply_review(number, issue, source, review?)?;
            }
        }
        set(
            &mut issue.reviews_synced,
            change.review_status.as_ref().and_then(|status| status.server_date.as_ref()),
        );
        Ok(())
    }

    fn apply_comment(
        &mut self,
        number: Number,
        issue: &mut Issue,
        source: Source<'_>,
        change: &mutation::Comment<'_>,
    ) {
        if change.id == 0 {
            self.rejected += 1;
            return;
        }
        let user = change.user.as_ref().map(|user| self.apply_user(user));
        let (seed, table) = (self.seed, &mut self.comments_by_id);
        let found = issue.comments.find(seed, &self.comments, table, (number, change.id));
        let at = found.unwrap_or_else(|| {
            let new = Comment {
                id: change.id,
                issue: number,
                user: NONE,
                created: Time::NONE,
                updated: Time::NONE,
                body: Text::EMPTY,
                next: NONE,
                pad: [0; 4],
            };
            issue.comments.add(seed, &mut self.comments, table, new)
        });
        let comment = self.comments.get_mut(at);
        if let Some(user) = user {
            comment.user = user;
        }
        set(&mut comment.created, change.created.as_ref());
        set(&mut comment.updated, change.updated.as_ref());
        if !change.body.is_empty() {
            comment.body = source.text(change.body);
        }
        if self.rules == Rules::Ours {
            issue.comments_updated = issue.comments_updated.max(comment.updated);
        }
    }

    fn apply_event(
        &mut self,
        number: Number,
        issue: &mut Issue,
        source: Source<'_>,
        message: &[u8],
    ) -> Result<(), WireError> {
        let change = mutation::Event::of(message)?;
        if change.id == 0 {
            self.rejected += 1;
            return Ok(());
        }
        for id in [
            change.actor_id,
            change.assignee_id,
            change.assigner_id,
            change.reviewer_id,
            change.review_requester_id,
        ] {
            self.make_user(id);
        }
        if let Some(team) = &change.team_reviewer {
            self.apply_team(team);
        }
        let event = Event {
            id: change.id,
            issue: number,
            kind: self.names.add(change.event_type),
            created: time(change.created.as_ref()),
            message: source.text(message),
            next: NONE,
        };
        issue.event_max = issue.event_max.max(event.created);
        replace(self.seed, &mut self.events, &mut self.events_by_id, &mut issue.events, event);
        Ok(())
    }

    fn apply_review(
        &mut self,
        number: Number,
        issue: &mut Issue,
        source: Source<'_>,
        message: &[u8],
    ) -> Result<(), WireError> {
        let change = mutation::Review::of(message)?;
        if change.id == 0 {
            self.rejected += 1;
            return Ok(());
        }
        self.make_user(change.actor_id);
        let created = time(change.created.as_ref());
        let review = Review {
            id: change.id,
            issue: number,
            created,
            message: source.text(message),
            next: NONE,
            pad: [0; 4],
        };
        issue.event_max = issue.event_max.max(review.created);
        replace(self.seed, &mut self.reviews, &mut self.reviews_by_id, &mut issue.reviews, review);
        Ok(())
    }

    /// The repo of that name, which is made if it is new; none without a name.
    pub fn make_repo(&mut self, owner: &[u8], name: &[u8]) -> Option<Number> {
        if owner.is_empty() || name.is_empty() {
            self.rejected += 1;
            return None;
        }
        if let Some((last, number)) = self.last
            && self.names.text(last.name) == name
            && self.names.text(last.owner) == owner
        {
            return Some(number);
        }
        let (owner, name) = (self.names.add(owner), self.names.add(name));
        let number = self.repo_of(owner, name).unwrap_or_else(|| {
            let number = self.repos.push(Repo { owner, name });
            self.repos_by_name.insert(self.seed.within(owner.number(), i64::from(name.number())), number);
            number
        });
        self.last = Some((Repo { owner, name }, number));
        Some(number)
    }

    fn make_issue(&mut self, repo: Number, change: &mutation::Issue<'_>) -> (Number, bool) {
        if let Some(number) = self.issue(repo, change.number) {
            return (number, false);
        }
        let number = self.issues.push(Issue {
            id: change.id,
            repo,
            number: change.number,
            not_exist: Flag::NO,
            closed: Flag::NO,
            locked: Flag::NO,
            pull_request: Flag::NO,
            user: NONE,
            closed_by: NONE,
            milestone: MILESTONE_UNKNOWN,
            created: Time::NONE,
            updated: Time::NONE,
            closed_at: Time::NONE,
            comments_synced: Time::NONE,
            comments_updated: Time::NONE,
            events_synced: Time::NONE,
            reviews_synced: Time::NONE,
            event_max: Time::NONE,
            title: Text::EMPTY,
            body: Text::EMPTY,
            comments: List::default(),
            events: List::default(),
            reviews: List::default(),
            labels: Chain::default(),
            assignees: Chain::default(),
            pad: [0; 4],
        });
        self.issues_by_number.insert(self.seed.within(repo, i64::from(change.number)), number);
        (number, true)
    }

    /// The person of an id, nameless if new; none of id 0.
    fn make_user(&mut self, id: i64) {
        if id != 0 && self.user(id).is_none() {
            self.add_user(id, Name::EMPTY);
        }
    }

    fn add_user(&mut self, id: i64, login: Name) -> Number {
        let number = self.users.push(User { id, login, pad: [0; 4] });
        self.users_by_id.insert(self.seed.id(id), number);
        number
    }

    fn apply_user(&mut self, user: &mutation::User<'_>) -> Number {
        let Some(number) = self.user(user.id) else {
            let login = self.names.add(user.login);
            return self.add_user(user.id, login);
        };
        if !user.login.is_empty() && self.names.text(self.users.get(number).login) != user.login {
            self.users.get_mut(number).login = self.names.add(user.login);
        }
        number
    }

    fn apply_team(&mut self, team: &mutation::Team<'_>) {
        let slug = self.names.add(team.slug);
        let found =
            self.teams_by_id.find(self.seed.id(team.id), |number| self.teams.get(number).id == team.id);
        if let Some(number) = found {
            if slug != Name::EMPTY && self.teams.get(number).slug != slug {
                self.teams.get_mut(number).slug = slug;
            }
        } else {
            let number = self.teams.push(Team { id: team.id, slug, pad: [0; 4] });
            self.teams_by_id.insert(self.seed.id(team.id), number);
        }
    }

    /// Whether it could be taken.
    fn apply_label(&mut self, repo: Number, label: &mutation::Label<'_>) -> bool {
        if label.id == 0 {
            self.rejected += 1;
            return false;
        }
        let hash = self.seed.within(repo, label.id);
        let found = self.labels_by_id.find(hash, |number| {
            let known = self.labels.get(number);
            known.repo == repo && known.id == label.id
        });
        let name = self.names.add(label.name);
        if let Some(number) = found {
            if name != Name::EMPTY && self.labels.get(number).name != name {
                self.labels.get_mut(number).name = name;
            }
        } else {
            let number = self.labels.push(Label { repo, id: label.id, name });
            self.labels_by_id.insert(hash, number);
        }
        true
    }

    fn apply_milestone(&mut self, repo: Number, change: &mutation::Milestone<'_>) -> Number {
        let hash = self.seed.within(repo, change.id);
        let found = self.milestones_by_id.find(hash, |number| {
            let known = self.milestones.get(number);
            known.repo == repo && known.id == change.id
        });
        let number = found.unwrap_or_else(|| {
            let new = Milestone {
                repo,
                id: change.id,
                title: Name::EMPTY,
                number: 0,
                closed: Flag::NO,
                pad: [0; 3],
            };
            let number = self.milestones.push(new);
            self.milestones_by_id.insert(hash, number);
            number
        });
        let title = self.names.add(change.title);
        let milestone = self.milestones.get_mut(number);
        if title != Name::EMPTY {
            milestone.title = title;
        }
        if change.number != 0 {
            milestone.number = crate::wire::int32(change.number.cast_unsigned());
        }
        if let Some(closed) = &change.closed {
            milestone.closed = closed.val.into();
        }
        number
    }

    fn link(&mut self, value: i64) -> Number {
        let link = Link { value, next: NONE, pad: [0; 4] };
        if self.free == NONE {
            return self.links.push(link);
        }
        let number = self.free;
        let free = self.links.get_mut(number);
        self.free = free.next;
        *free = link;
        number
    }

    fn free(&mut self, number: Number) {
        self.links.get_mut(number).next = self.free;
        self.free = number;
    }
}
