//! Issues as they were at a moment: `corpus/past.rs` says by which rules.

mod play;

use std::collections::{HashMap, HashSet};

use super::taken::{Names, Taken};
use super::{bare, time};
use crate::check;
use crate::column::NONE;
use crate::github::{Github, Issue, Number};
use crate::mutation::{self, MutationError, elements};
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
    /// Issues that were there perhaps.
    stories: HashMap<Number, Story>,
    /// Events after the moment, of issues whose state is of after them.
    later: Vec<(Number, Text)>,
    /// Events by the moment, which came when a record was passed over.
    missed: Vec<(Number, Text)>,
}

/// How an issue's records stand to the moment.
#[derive(Debug, Clone, Copy)]
struct Story {
    /// Something says that it was there.
    there: bool,
    /// Whether its last state is of later; none where none was given yet.
    last: Option<Later>,
    /// The moment of a state that was taken although it is of later, since there is no earlier one.
    first: Option<Time>,
    /// A state was passed over.
    passed: bool,
    /// The latest of what was by the moment and came after that.
    touched: Time,
}

/// Whether a record is of after the moment.
#[derive(Debug, Clone, Copy)]
struct Later {
    is: bool,
    /// The log had come to after the moment before the record was read.
    late: bool,
}

impl Past {
    /// Before the first record.
    pub fn new(at: Time) -> Self {
        Self {
            at,
            clock: Time::NONE,
            unborn: HashSet::new(),
            stories: HashMap::new(),
            later: Vec::new(),
            missed: Vec::new(),
        }
    }

    fn is_later(&self, time: Time) -> bool {
        time > self.at
    }
}

impl Story {
    const NEW: Self = Self { there: false, last: None, first: None, passed: false, touched: Time::NONE };
}

/// Which fields are of the issue's own state: author, `updated`, body, title, owners, milestone, closed, locked, labels.
const OWN: u32 = 1 << 4
    | 1 << 6
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

/// What of a mutation was by the moment.
struct Then<'a> {
    past: &'a mut Past,
    story: Story,
    /// The mutation is of later.
    later: bool,
    /// Its fields are taken.
    own: bool,
}

impl Then<'_> {
    /// Takes what has a time of its own, or else is of the mutation's, if it is not of later.
    fn dated(&mut self, stamp: Option<&mutation::Timestamp<'_>>, new: bool) -> bool {
        let time = time(stamp);
        if self.past.is_later(time) || (time.is_none() && self.later) {
            return false;
        }
        self.story.there = true;
        if self.story.passed && new {
            self.story.touched = self.story.touched.max(time);
        }
        true
    }
}

/// Each looks into the issue as it is here, which is not put back before the mutation's end.
impl Taken for Then<'_> {
    fn there(&self) -> bool {
        !self.later
    }

    fn own(&self) -> bool {
        self.own
    }

    fn instant(&self, time: Time) -> bool {
        !self.past.is_later(time)
    }

    fn comment(
        &mut self,
        github: &Github,
        (number, issue): (Number, &Issue),
        comment: &mutation::Comment<'_>,
    ) -> bool {
        let (comments, table) = (&github.comments, &github.comments_by_id);
        let known = issue.comments.find(github.seed, comments, table, (number, comment.id)).is_some();
        // A change of one that is left out has no `created`, and is not before it.
        let created = comment.created.as_ref().filter(|_| !known);
        self.dated(created.or(comment.updated.as_ref()), true)
    }

    fn event(
        &mut self,
        github: &Github,
        (number, issue): (Number, &Issue),
        (event, text): (&mutation::Event<'_>, Text),
    ) -> bool {
        let (events, table) = (&github.events, &github.events_by_id);
        let new = issue.events.find(github.seed, events, table, (number, event.id)).is_none();
        let taken = self.dated(event.created.as_ref(), new);
        if taken && new && self.story.passed {
            self.past.missed.push((number, text));
        }
        if !taken && (self.story.last.is_none() || self.story.first.is_some()) {
            self.past.later.push((number, text));
        }
        taken
    }

    fn review(
        &mut self,
        github: &Github,
        (number, issue): (Number, &Issue),
        review: &mutation::Review<'_>,
    ) -> bool {
        let (reviews, table) = (&github.reviews, &github.reviews_by_id);
        let new = issue.reviews.find(github.seed, reviews, table, (number, review.id)).is_none();
        self.dated(review.created.as_ref(), new)
    }
}

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
        let latest = latest(&change)?;
        let late = past.is_later(past.clock);
        past.clock = past.clock.max(latest);
        if change.not_exist {
            return if past.is_later(past.clock) { Ok(()) } else { self.apply_issue(source, message) };
        }
        let Some(repo) = self.repo_of_issue(&change) else { return Ok(()) };
        let of = (repo, change.number);
        let created = time(change.created.as_ref());
        let unborn = is_given(created) && past.is_later(created) && self.issue(repo, change.number).is_none();
        if unborn || past.unborn.contains(&of) {
            past.unborn.insert(of);
            let mut nowhere = bare(repo, &change);
            return Ok(self.apply_parts(NONE, &mut nowhere, source, &change, &mut Names)?);
        }
        let (number, new) = self.make_issue(repo, &change);
        let mut story = past.stories.get(&number).copied().unwrap_or(Story::NEW);
        let moment = if change.updated.is_some() { time(change.updated.as_ref()) } else { latest };
        let later = match story.last {
            // It goes with the one before, where that was as much out of the log's order.
            Some(last) if moment.is_none() && last.late => last.is,
            _ if moment.is_none() => past.is_later(past.clock),
            _ => past.is_later(moment),
        };
        let mut own = !later;
        if change.seen & OWN != 0 {
            if later && story.last.is_none() {
                own = true;
                story.first = Some(if moment.is_none() { past.clock } else { moment });
            } else if later {
                story.passed = true;
            } else {
                story.first = None;
            }
            story.last = Some(Later { is: later, late });
        }
        story.there |= !later;
        let mut then = Then { past, story, later, own };
        let done = self.apply_to(number, new, source, &change, &mut then);
        let mut story = then.story;
        story.there |= is_given(self.issues.get(number).created);
        past.stories.insert(number, story);
        done
    }
}

/// Whether it says when an issue was made: 1970 is what the original writes for an instant that is not known.
fn is_given(created: Time) -> bool {
    !created.is_none() && created != Time::from_seconds(0)
}

/// The latest instant that a mutation has.
fn latest(change: &mutation::Issue<'_>) -> Result<Time, WireError> {
    let statuses = [&change.comment_status, &change.event_status, &change.review_status];
    let dates = statuses.map(|status| status.as_ref().and_then(|status| status.server_date.as_ref()));
    let own = [&change.created, &change.updated, &change.closed_at].map(Option::as_ref);
    let mut latest = own.into_iter().chain(dates).map(time).fold(Time::NONE, Time::max);
    for comment in elements::<mutation::Comment<'_>>(change.bytes, mutation::Issue::COMMENTS) {
        let comment = comment?;
        latest = latest.max(time(comment.created.as_ref())).max(time(comment.updated.as_ref()));
    }
    for event in elements::<mutation::Event<'_>>(change.bytes, mutation::Issue::EVENTS) {
        latest = latest.max(time(event?.created.as_ref()));
    }
    for review in elements::<mutation::Review<'_>>(change.bytes, mutation::Issue::REVIEWS) {
        latest = latest.max(time(review?.created.as_ref()));
    }
    Ok(latest)
}
