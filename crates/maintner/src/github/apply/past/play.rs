//! Plays what happened between what is said of an issue and the moment, forward or back.

use std::collections::HashMap;

use super::Past;
use crate::github::apply::time;
use crate::github::{Event, Github, Issue, Label, Milestone, NO_MILESTONE, Number};
use crate::log::Log;
use crate::mutation::{self, Message as _};
use crate::text::Text;
use crate::time::Time;

impl Github {
    /// Ends what [`apply_issue_at`](Self::apply_issue_at) began.
    pub fn play(&mut self, log: &Log, past: Past) {
        let (mut later, mut missed) = (by_issue(log, past.later), by_issue(log, past.missed));
        for number in 0..self.issues.next() {
            let mut issue = *self.issues.get(number);
            // A text of later, where none of before is known, is of the moment nevertheless.
            issue.comments_updated = issue.comments_updated.min(past.at);
            if let Some(story) = past.stories.get(&number)
                && !issue.not_exist.is()
            {
                let known = issue.updated;
                // All that was ever said of it is of later.
                issue.not_exist = (!story.there).into();
                if let Some(first) = story.first {
                    let back = later.remove(&number).unwrap_or_default();
                    for text in back.into_iter().rev().filter(|text| key(log, *text).0 <= first) {
                        self.event(log, &mut issue, text, Way::Back);
                    }
                    issue.closed_at = self.closed_at(&issue);
                    issue.updated = issue.created.max(issue.event_max).max(issue.comments_updated);
                } else if story.passed {
                    let forward = missed.remove(&number).unwrap_or_default();
                    for text in forward.into_iter().filter(|text| key(log, *text).0 > known) {
                        self.event(log, &mut issue, text, Way::Forward);
                    }
                    issue.updated = known.max(story.touched);
                }
            }
            *self.issues.get_mut(number) = issue;
        }
    }

    /// When an issue of which later states are known was closed.
    fn closed_at(&self, issue: &Issue) -> Time {
        if !issue.closed.is() {
            return Time::NONE;
        }
        let closed = |event: &&&Event| self.names.text(event.kind) == b"closed";
        let events = self.events_of(issue);
        events.iter().rev().find(closed).map_or(issue.closed_at, |event| event.created)
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

/// Events of issues, each once, in the order in which they happened.
fn by_issue(log: &Log, events: Vec<(Number, Text)>) -> HashMap<Number, Vec<Text>> {
    let mut all: HashMap<Number, Vec<Text>> = HashMap::new();
    for (number, text) in events {
        all.entry(number).or_default().push(text);
    }
    for events in all.values_mut() {
        events.sort_by_key(|text| key(log, *text));
        events.dedup_by_key(|text| key(log, *text));
    }
    all
}
