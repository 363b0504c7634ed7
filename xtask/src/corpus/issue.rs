//! An issue or a pull request, from when it is opened to the last that is said of it.

use anyhow::Result;
use maintpb::{
    BoolChange, GithubIssueCommentMutation, GithubIssueMutation, GithubIssueSyncStatus, GithubReview,
    StringChange,
};

use super::day::{DAY, END, stamp};
use super::event;
use super::world::World;

/// From this day on texts are changed by `body_change`; before, leaders did not know of it.
const BODY_CHANGE: u64 = 1_546_300_800;

pub struct Issue {
    pub repo: usize,
    pub number: i32,
    pub pull: bool,
    pub title: String,
    /// Of its repository's, by index.
    pub labels: Vec<usize>,
    pub milestone: Option<usize>,
    pub closed: bool,
    pub locked: bool,
    pub assignees: Vec<usize>,
    pub reviews: Vec<i64>,
    /// A few of its comments, one of which is edited at times.
    comments: Vec<i64>,
    author: usize,
    times: u32,
    /// It will be deleted some day.
    gone: bool,
    /// Nothing is known of it but its number.
    unread: bool,
}

impl Issue {
    /// Opens one; none where only its number was used.
    pub fn begin(world: &mut World) -> Result<Option<Self>> {
        let repo = match world.random.below(100) {
            0..88 => 0,
            88..94 => 1,
            94..97 => 2,
            97..99 => 3,
            _ => 4,
        };
        world.repos[repo].number += 1;
        world.log.counts.issues += 1;
        let number = world.repos[repo].number;
        if repo == 0 {
            world.words.issues = number.unsigned_abs();
        }
        let mut title = String::new();
        let length = 20 + world.random.below(50) as usize;
        title.push_str(world.words.name(&mut world.random));
        title.push_str(": ");
        world.words.line(&mut world.random, &mut title, length);
        let famous = if world.random.one_in(500) { 60 + world.random.below(80) } else { 0 };
        let mut issue = Self {
            repo,
            number,
            pull: world.random.percent(15),
            title,
            labels: Vec::new(),
            milestone: None,
            closed: false,
            locked: false,
            assignees: Vec::new(),
            reviews: Vec::new(),
            comments: Vec::new(),
            author: world.people.anybody(&mut world.random),
            times: world.random.several(410) + famous,
            gone: false,
            unread: false,
        };
        if world.random.one_in(700) {
            // Moved away before anybody read it. Some are found again.
            let gone = GithubIssueMutation { not_exist: true, ..issue.names(world) };
            world.log.issue(world.now, gone)?;
            issue.unread = true;
            issue.times = issue.times.max(1);
            return Ok(world.random.one_in(3).then_some(issue));
        }
        let mutation = issue.opened(world);
        world.log.issue(world.now, mutation)?;
        issue.gone = world.random.one_in(1500);
        Ok(Some(issue))
    }

    pub fn left(&self) -> u32 {
        self.times
    }

    fn names(&self, world: &World) -> GithubIssueMutation {
        let repo = &world.repos[self.repo];
        GithubIssueMutation {
            owner: repo.owner.into(),
            repo: repo.name.into(),
            number: self.number,
            pull_request: self.pull,
            ..GithubIssueMutation::default()
        }
    }

    fn opened(&mut self, world: &mut World) -> GithubIssueMutation {
        let length = world.random.length() + 700;
        let mut body = String::with_capacity(length + 200);
        world.words.prose(&mut world.random, &mut body, length, "\r\n");
        let old = world.now < BODY_CHANGE;
        let mut mutation = GithubIssueMutation {
            user: Some(world.people.get(self.author).user()),
            created: stamp(world.now),
            updated: stamp(world.now),
            title: self.title.clone(),
            no_milestone: true,
            closed: Some(BoolChange { val: false }),
            ..self.names(world)
        };
        if old {
            mutation.body = body;
        } else {
            mutation.body_change = Some(StringChange { val: body });
        }
        if world.random.percent(10) {
            let label = world.random.skewed(world.repos[self.repo].labels.len());
            self.labels.push(label);
            mutation.add_label.push(world.repos[self.repo].labels[label].clone());
        }
        mutation
    }

    /// Once more: what changed, then comments, events and reviews, each with the day to which they are complete.
    pub fn step(&mut self, world: &mut World) -> Result<()> {
        self.times -= 1;
        if self.gone && world.random.one_in(4) {
            let gone = GithubIssueMutation { not_exist: true, ..self.names(world) };
            self.gone = false;
            if !world.random.one_in(3) {
                self.times = 0;
            }
            return world.log.issue(world.now, gone);
        }
        let mut change = if std::mem::take(&mut self.unread) {
            self.opened(world)
        } else {
            GithubIssueMutation { updated: stamp(world.now), ..self.names(world) }
        };
        let mut events = self.names(world);
        let count = world.random.several(300);
        for n in 0..count {
            let at = world.now - u64::from((count - n).min(300));
            let event = event::make(world, self, at, &mut change);
            events.event.push(event);
        }
        if world.random.one_in(40) {
            self.edited(world, &mut change);
        }
        world.log.issue(world.now, change)?;
        let read =
            |later: u64| Some(GithubIssueSyncStatus { server_date: stamp((world.now + later).min(END)) });
        let (comments_read, events_read, reviews_read) = (read(2), read(5), read(9));
        if !world.random.one_in(4) {
            let comments = GithubIssueMutation { comment_status: comments_read, ..self.commented(world) };
            world.log.issue(world.now + 2, comments)?;
        }
        if !events.event.is_empty() || world.random.one_in(5) {
            events.event_status = events_read;
            world.log.issue(world.now + 5, events)?;
        }
        if self.pull && world.random.one_in(2) {
            let reviews = GithubIssueMutation { review_status: reviews_read, ..self.reviewed(world) };
            world.log.issue(world.now + 9, reviews)?;
        }
        Ok(())
    }

    /// Its text is another, or none.
    fn edited(&self, world: &mut World, change: &mut GithubIssueMutation) {
        let length = world.random.length();
        let mut body = String::new();
        world.words.prose(&mut world.random, &mut body, length, "\r\n");
        if world.now < BODY_CHANGE {
            change.body = body;
        } else if world.random.one_in(12) {
            change.body_change = Some(StringChange::default());
        } else {
            change.body_change = Some(StringChange { val: body });
        }
    }

    fn commented(&mut self, world: &mut World) -> GithubIssueMutation {
        let mut mutation = self.names(world);
        let count = 1 + world.random.several(167).min(98);
        for n in 0..count {
            let id = world.id();
            let who = world.people.anybody(&mut world.random);
            let length = world.random.length();
            let newline = if world.random.one_in(2) { "\r\n" } else { "\n" };
            let mut body = String::with_capacity(length + 200);
            world.words.prose(&mut world.random, &mut body, length, newline);
            let at = stamp(world.now - u64::from(count - n));
            let user = Some(world.people.get(who).user());
            mutation.comment.push(GithubIssueCommentMutation { id, user, body, created: at, updated: at });
            if self.comments.len() < 8 {
                self.comments.push(id);
            }
        }
        if world.random.one_in(20) {
            let id = self.comments[world.random.index(self.comments.len())];
            let length = world.random.length();
            let mut body = String::new();
            world.words.prose(&mut world.random, &mut body, length, "\n");
            let updated = stamp(world.now);
            mutation.comment.push(GithubIssueCommentMutation {
                id,
                body,
                updated,
                ..GithubIssueCommentMutation::default()
            });
        }
        mutation
    }

    fn reviewed(&mut self, world: &mut World) -> GithubIssueMutation {
        let mut mutation = self.names(world);
        for _ in 0..1 + world.random.several(60) {
            let id = world.id();
            let who = world.people.anybody(&mut world.random);
            let state = ["COMMENTED", "COMMENTED", "APPROVED", "CHANGES_REQUESTED", "DISMISSED"]
                [world.random.index(5)];
            let mut body = String::new();
            if state != "APPROVED" {
                let length = world.random.length() / 3;
                world.words.prose(&mut world.random, &mut body, length, "\n");
            }
            let other = if world.random.one_in(4000) { "{\"submitted_via\":\"mobile\"}" } else { "" };
            mutation.review.push(GithubReview {
                id,
                actor_id: world.people.get(who).id,
                created: stamp(world.now - u64::from(world.random.below(3000)).min(DAY)),
                body,
                state: state.into(),
                commit_id: world.random.hash(),
                actor_association: world.random.pick(&["MEMBER", "CONTRIBUTOR", "NONE"]).into(),
                other_json: other.into(),
            });
            self.reviews.push(id);
        }
        mutation
    }
}
