//! Issues as they were at a moment: `corpus/past.rs` says by which rules.

use std::collections::{HashMap, HashSet};

use super::{set, time};
use crate::check;
use crate::github::{Event, Github, Issue, Label, Milestone, NO_MILESTONE, Number};
use crate::log::Log;
use crate::mutation::{self, Message as _, MutationError, bytes, elements};
use crate::text::{Source, Text};
use crate::time::Time;
use crate::wire::WireError;

/// What is known of a moment while a log is read.
#[derive(Debug)]
pub struct Past {
    at: Time,
    /// The latest time that GitHub gave by now.
    clock: Time,
    /// Issues that were created later, by repo and number: what is said of them has no `created` again.
    unborn: HashSet<(Number, i32)>,
    /// Issues of which some state was taken: whether what is said now is of later.
    taken: HashMap<Number, Later>,
    /// What happened afterwards.
    later: Vec<(Number, Text)>,
}

/// Whether records without `updated` are of later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Later {
    No,
    Yes,
}

impl Past {
    /// Before the first record.
    pub fn new(at: Time) -> Self {
        Self { at, clock: Time::NONE, unborn: HashSet::new(), taken: HashMap::new(), later: Vec::new() }
    }

    fn is_later(&self, time: Time) -> bool {
        time > self.at
    }
}

/// Which fields are of the issue's own state: `updated`, body, title, owners, milestone, closed, locked, labels.
const OWN: u32 = 1 << 6
    | 1 << 7
    | 1 << 9
    | 1 << 10
    | 1 << 11
    | 1 << 15
    | 1 << 16
    | 1 << 17
    | 1 << 18
    | 1 << 19
    | 1 << 21
    | 1 << 22
    | 1 << 23
    | 1 << 24
    | 1 << 25
    | 1 << 31;

impl Github {
    /// Applies of a `GithubIssueMutation` what was by the moment.
    ///
    /// # Errors
    /// As [`apply_issue`](Self::apply_issue).
    pub fn apply_issue_at(
        &mut self,
        source: Source<'_>,
        message: &[u8],
        past: &mut Past,
    ) -> Result<(), MutationError> {
        let change = mutation::Issue::of(message)?;
        // What is passed over has to be a message, too.
        check::issue(message)?;
        if change.not_exist {
            return if past.is_later(past.clock) { Ok(()) } else { self.apply_issue(source, message) };
        }
        let updated = time(change.updated.as_ref());
        let statuses = [&change.comment_status, &change.event_status, &change.review_status];
        let dates =
            statuses.map(|status| time(status.as_ref().and_then(|status| status.server_date.as_ref())));
        past.clock = dates.into_iter().fold(past.clock.max(updated), Time::max);
        let Some(repo) = self.make_repo(change.owner, change.repo) else { return Ok(()) };
        if change.number == 0 {
            self.rejected += 1;
            return Ok(());
        }
        let created = time(change.created.as_ref());
        let known = self.issue(repo, change.number);
        let of = (repo, change.number);
        if past.unborn.contains(&of) || (known.is_none() && past.is_later(created)) {
            past.unborn.insert(of);
            return Ok(());
        }
        let (number, _) = self.make_issue(repo, &change);
        let mut issue = *self.issues.get(number);
        issue.not_exist = false.into();
        if issue.created.is_none() || issue.created == Time::from_seconds(0) {
            set(&mut issue.created, change.created.as_ref());
        }
        let done = self.apply_at(number, &mut issue, source, &change, past);
        *self.issues.get_mut(number) = issue;
        Ok(done?)
    }

    fn apply_at(
        &mut self,
        number: Number,
        issue: &mut Issue,
        source: Source<'_>,
        change: &mutation::Issue<'_>,
        past: &mut Past,
    ) -> Result<(), WireError> {
        if change.seen & OWN != 0 {
            let later = match &change.updated {
                Some(updated) if past.is_later(updated.time()) => Later::Yes,
                Some(_) => Later::No,
                None => past.taken.get(&number).copied().unwrap_or(Later::No),
            };
            let first = past.taken.insert(number, later).is_none();
            if first || later == Later::No {
                self.apply_fields(issue, source, change);
                self.apply_assignees(issue, change)?;
                self.apply_labels(issue, change)?;
            }
        }
        if issue.user == crate::column::NONE
            && let Some(user) = &change.user
        {
            issue.user = self.apply_user(user);
        }
        issue.pull_request = (issue.pull_request.is() || change.pull_request).into();
        for comment in elements::<mutation::Comment<'_>>(change.bytes, mutation::Issue::COMMENTS) {
            let comment = comment?;
            // In the issue as it is here, which is not put back before the mutation's end.
            let (comments, table) = (&self.comments, &self.comments_by_id);
            let known = issue.comments.find(self.seed, comments, table, (number, comment.id)).is_some();
            // A change of one that is left out has no `created`, and is not before it.
            let created = comment.created.as_ref().filter(|_| !known);
            let written = created.or(comment.updated.as_ref());
            if !past.is_later(time(written)) {
                let before = issue.comments_updated;
                self.apply_comment(number, issue, source, &comment);
                issue.comments_updated = issue.comments_updated.min(past.at).max(before);
            }
        }
        for event in bytes(change.bytes, mutation::Issue::EVENTS) {
            let event = event?;
            if past.is_later(time(mutation::Event::of(event)?.created.as_ref())) {
                past.later.push((number, source.text(event)));
            } else {
                self.apply_event(number, issue, source, event)?;
            }
        }
        for review in bytes(change.bytes, mutation::Issue::REVIEWS) {
            let review = review?;
            if !past.is_later(time(mutation::Review::of(review)?.created.as_ref())) {
                self.apply_review(number, issue, source, review)?;
            }
        }
        Ok(())
    }

    /// Plays what happened between what was said of each issue and the moment, forward or back.
    pub fn play(&mut self, log: &Log, past: Past) {
        let mut later: HashMap<Number, Vec<Text>> = HashMap::new();
        for (number, message) in past.later {
            later.entry(number).or_default().push(message);
        }
        for number in 0..self.issues.next() {
            let mut issue = *self.issues.get(number);
            if issue.not_exist.is() {
                continue;
            }
            if past.at < issue.updated {
                let mut back = later.remove(&number).unwrap_or_default();
                // An event that came twice is played once.
                back.sort_by_key(|text| key(log, *text));
                back.dedup_by_key(|text| key(log, *text));
                for text in back.into_iter().rev() {
                    let (created, _) = key(log, text);
                    if created <= issue.updated {
                        self.event(log, &mut issue, text, Way::Back);
                    }
                }
                let closed = self.events_of(&issue).into_iter().rev();
                let mut closed = closed.filter(|event| self.names.text(event.kind) == b"closed");
                issue.closed_at = if issue.closed.is() {
                    closed.next().map_or(issue.closed_at, |e| e.created)
                } else {
                    Time::NONE
                };
                issue.updated = issue.created;
            } else {
                let known = issue.updated;
                let events = self.events_of(&issue).into_iter().filter(|event| event.created > known);
                for event in events.copied().collect::<Vec<Event>>() {
                    self.event(log, &mut issue, event.message, Way::Forward);
                }
            }
            issue.updated = issue.updated.max(issue.event_max).max(issue.comments_updated);
            // All that was ever said of it is of later.
            issue.not_exist = (issue.created.is_none() && issue.updated.is_none()).into();
            *self.issues.get_mut(number) = issue;
        }
    }

    /// Does to an issue what an event tells, or takes it back.
    fn event(&mut self, log: &Log, issue: &mut Issue, message: Text, way: Way) {
        let source = log.source(message);
        // It was read when it was taken.
        let Ok(event) = mutation::Event::of(source.bytes) else { return };
        let forward = way == Way::Forward;
        match event.event_type {
            b"closed" | b"reopened" => {
                let closed = (event.event_type == b"closed") == forward;
                issue.closed = closed.into();
                if closed && forward {
                    issue.closed_at = time(event.created.as_ref());
                }
            }
            b"locked" | b"unlocked" => issue.locked = ((event.event_type == b"locked") == forward).into(),
            b"labeled" | b"unlabeled" => {
                let Some(label) = &event.label else { return };
                let id = self.label_named(issue.repo, label.name);
                let taken = issue.labels.take(&mut self.links, |link| link.value == id);
                if let Some(link) = taken {
                    self.free(link);
                }
                if (event.event_type == b"labeled") == forward {
                    let link = self.link(id);
                    issue.labels.append(&mut self.links, link);
                }
            }
            b"milestoned" | b"demilestoned" => {
                let Some(milestone) = &event.milestone else { return };
                let milestone = self.milestone_named(issue.repo, milestone.title);
                if (event.event_type == b"milestoned") == forward {
                    issue.milestone = milestone;
                } else if issue.milestone == milestone {
                    issue.milestone = NO_MILESTONE;
                }
            }
            b"assigned" | b"unassigned" if event.assignee_id != 0 => {
                self.make_user(event.assignee_id);
                let Some(user) = self.user(event.assignee_id).map(i64::from) else { return };
                let taken = issue.assignees.take(&mut self.links, |link| link.value == user);
                if let Some(link) = taken {
                    self.free(link);
                }
                if (event.event_type == b"assigned") == forward {
                    let link = self.link(user);
                    issue.assignees.append(&mut self.links, link);
                }
            }
            b"renamed" => {
                let title = if forward { event.rename_to } else { event.rename_from };
                if !title.is_empty() {
                    issue.title = source.text(title);
                }
            }
            _ => {}
        }
    }

    /// The id of a label by what it says; one that is no more gets an id that GitHub does not give.
    fn label_named(&mut self, repo: Number, name: &[u8]) -> i64 {
        let name = self.names.add(name);
        let found = self.labels.iter().find(|label| label.repo == repo && label.name == name);
        if let Some(label) = found {
            return label.id;
        }
        let id = -1 - i64::from(self.labels.next());
        let number = self.labels.push(Label { id, repo, name });
        self.labels_by_id.insert(self.seed.within(repo, id), number);
        id
    }

    /// The same of milestones.
    fn milestone_named(&mut self, repo: Number, title: &[u8]) -> Number {
        let title = self.names.add(title);
        let found = self.milestones.numbered().find(|(_, one)| one.repo == repo && one.title == title);
        if let Some((number, _)) = found {
            return number;
        }
        let id = -1 - i64::from(self.milestones.next());
        let new = Milestone { id, repo, title, number: 0, closed: false.into(), pad: [0; 3] };
        let number = self.milestones.push(new);
        self.milestones_by_id.insert(self.seed.within(repo, id), number);
        number
    }
}

/// Which way an event is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    Back,
}

/// In which order events happened.
fn key(log: &Log, message: Text) -> (Time, i64) {
    let event = mutation::Event::of(log.text(message)).unwrap_or_default();
    (time(event.created.as_ref()), event.id)
}
