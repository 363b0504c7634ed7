//! What a mutation does to GitHub's part of the corpus. Source: spec/maintner.md §1.4.

mod named;
pub mod past;
mod taken;

use super::{
    Comment, Event, Github, Issue, Link, List, Listed, MILESTONE_UNKNOWN, NO_MILESTONE, Number, Repo, Review,
};
use crate::check;
use crate::column::{Column, NONE};
use crate::flag::Flag;
use crate::github::Chain;
use crate::index::{Index, Seed};
use crate::mutation::{self, Message, MutationError, bytes, elements, numbers};
use crate::rules::Rules;
use crate::text::{Source, Text};
use crate::time::Time;
use crate::wire::{Fields, Value, WireError};
use taken::{All, Taken};

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

/// An issue of which only its numbers are known.
fn bare(repo: Number, change: &mutation::Issue<'_>) -> Issue {
    Issue {
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
    }
}

/// Until when something was read.
fn apply_status(synced: &mut Time, status: Option<&mutation::SyncStatus<'_>>, taken: &impl Taken) {
    let date = status.and_then(|status| status.server_date.as_ref());
    if taken.instant(time(date)) {
        set(synced, date);
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
        let Some(repo) = self.repo_of_issue(&change) else { return check::issue(message) };
        let (number, new) = self.make_issue(repo, &change);
        self.apply_to(number, new, source, &change, &mut All)
    }

    /// The repo of an issue, none of what names no issue.
    fn repo_of_issue(&mut self, change: &mutation::Issue<'_>) -> Option<Number> {
        let repo = self.make_repo(change.owner, change.repo)?;
        if change.number == 0 {
            self.rejected += 1;
            return None;
        }
        Some(repo)
    }

    /// Applies what is taken of a mutation to its issue, which is new by it or not.
    fn apply_to(
        &mut self,
        number: Number,
        new: bool,
        source: Source<'_>,
        change: &mutation::Issue<'_>,
        taken: &mut impl Taken,
    ) -> Result<(), MutationError> {
        // Taken out, changed and put back: what it refers to lies in columns beside its own.
        let mut issue = *self.issues.get(number);
        if taken.there() {
            issue.not_exist = change.not_exist.into();
        }
        let done = if change.not_exist {
            check::issue(change.bytes)
        } else {
            let late = self.rules == Rules::Ours
                && (issue.created.is_none() || issue.created == Time::from_seconds(0));
            if (new || late) && taken.instant(time(change.created.as_ref())) {
                set(&mut issue.created, change.created.as_ref());
            }
            self.apply_parts(number, &mut issue, source, change, taken).map_err(MutationError::from)
        };
        // After an error, too: what was taken out of its chains or put into them is there no more, or now.
        *self.issues.get_mut(number) = issue;
        done
    }

    fn apply_parts(
        &mut self,
        number: Number,
        issue: &mut Issue,
        source: Source<'_>,
        change: &mutation::Issue<'_>,
        taken: &mut impl Taken,
    ) -> Result<(), WireError> {
        self.apply_fields(issue, source, change, taken);
        self.apply_assignees(issue, change, taken)?;
        self.apply_labels(issue, change, taken)?;
        self.apply_lists(number, issue, source, change, taken)
    }

    fn apply_fields(
        &mut self,
        issue: &mut Issue,
        source: Source<'_>,
        change: &mutation::Issue<'_>,
        taken: &impl Taken,
    ) {
        let user = change.user.as_ref().map(|user| self.apply_user(user));
        let milestone = if change.no_milestone {
            Some(NO_MILESTONE)
        } else if change.milestone_id != 0 {
            let milestone = mutation::Milestone {
                id: change.milestone_id,
                title: change.milestone_title,
                number: change.milestone_num,
                ..mutation::Milestone::default()
            };
            Some(self.apply_milestone(issue.repo, &milestone))
        } else {
            None
        };
        let closed_by = change.closed_by.as_ref().map(|user| self.apply_user(user));
        // Whose it is, and of what kind, is not of a time.
        if let Some(user) = user
            && (taken.own() || issue.user == NONE)
        {
            issue.user = user;
        }
        issue.pull_request = (issue.pull_request.is() || change.pull_request).into();
        if !taken.own() {
            return;
        }
        set(&mut issue.updated, change.updated.as_ref());
        set(&mut issue.closed_at, change.closed_at.as_ref());
        issue.milestone = milestone.unwrap_or(issue.milestone);
        issue.closed_by = closed_by.unwrap_or(issue.closed_by);
        if let Some(closed) = &change.closed {
            issue.closed = closed.val.into();
        }
        if let Some(locked) = &change.locked {
            issue.locked = locked.val.into();
        }
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

    fn apply_assignees(
        &mut self,
        issue: &mut Issue,
        change: &mutation::Issue<'_>,
        taken: &impl Taken,
    ) -> Result<(), WireError> {
        if change.has(mutation::Issue::ASSIGNEES) {
            // The original looks only at those who were there before the mutation, and so has who comes twice in it twice.
            let looked_at = match self.rules {
                Rules::Ours => usize::MAX,
                Rules::Original => issue.assignees.walk(&self.links).count(),
            };
            for user in elements::<mutation::User<'_>>(change.bytes, mutation::Issue::ASSIGNEES) {
                let user = i64::from(self.apply_user(&user?));
                if taken.own()
                    && !issue.assignees.walk(&self.links).take(looked_at).any(|link| link.value == user)
                {
                    let link = self.link(user);
                    issue.assignees.append(&mut self.links, link);
                }
            }
        }
        if taken.own() && change.has(mutation::Issue::DELETED_ASSIGNEES) {
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

    fn apply_labels(
        &mut self,
        issue: &mut Issue,
        change: &mutation::Issue<'_>,
        taken: &impl Taken,
    ) -> Result<(), WireError> {
        if taken.own() && change.has(mutation::Issue::REMOVE_LABEL) {
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
                    && taken.own()
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
        taken: &mut impl Taken,
    ) -> Result<(), WireError> {
        if change.has(mutation::Issue::COMMENTS) {
            for comment in elements::<mutation::Comment<'_>>(change.bytes, mutation::Issue::COMMENTS) {
                self.apply_comment(number, issue, source, &comment?, taken);
            }
        }
        apply_status(&mut issue.comments_synced, change.comment_status.as_ref(), taken);
        if change.has(mutation::Issue::EVENTS) {
            for event in bytes(change.bytes, mutation::Issue::EVENTS) {
                self.apply_event(number, issue, source, event?, taken)?;
            }
        }
        apply_status(&mut issue.events_synced, change.event_status.as_ref(), taken);
        if change.has(mutation::Issue::REVIEWS) {
            for review in bytes(change.bytes, mutation::Issue::REVIEWS) {
                self.apply_review(number, issue, source, review?, taken)?;
            }
        }
        apply_status(&mut issue.reviews_synced, change.review_status.as_ref(), taken);
        Ok(())
    }

    fn apply_comment(
        &mut self,
        number: Number,
        issue: &mut Issue,
        source: Source<'_>,
        change: &mutation::Comment<'_>,
        taken: &mut impl Taken,
    ) {
        if change.id == 0 {
            self.rejected += 1;
            return;
        }
        let user = change.user.as_ref().map(|user| self.apply_user(user));
        if !taken.comment(self, (number, issue), change) {
            return;
        }
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
        taken: &mut impl Taken,
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
        let text = source.text(message);
        if !taken.event(self, (number, issue), (&change, text)) {
            return Ok(());
        }
        let event = Event {
            id: change.id,
            issue: number,
            kind: self.names.add(change.event_type),
            created: time(change.created.as_ref()),
            message: text,
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
        taken: &mut impl Taken,
    ) -> Result<(), WireError> {
        let change = mutation::Review::of(message)?;
        if change.id == 0 {
            self.rejected += 1;
            return Ok(());
        }
        self.make_user(change.actor_id);
        if !taken.review(self, (number, issue), &change) {
            return Ok(());
        }
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
        let number = self.issues.push(bare(repo, change));
        self.issues_by_number.insert(self.seed.within(repo, i64::from(change.number)), number);
        (number, true)
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
