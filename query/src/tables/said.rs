//! What people said and did at issues and pull requests.

use std::cell::OnceCell;

use maintner::github;
use maintner::mutation::{Event, Message as _, Review};

use super::columns;
use crate::cell::Cell;
use crate::table::{Column, Table};
use crate::view::View;

/// A comment.
pub struct CommentRow<'a> {
    view: &'a View,
    issue: &'a github::Issue,
    comment: &'a github::Comment,
}

/// Comments.
#[derive(Debug)]
pub struct Comments;

impl Table for Comments {
    type Row<'a> = CommentRow<'a>;
    const NAME: &'static str = "comments";
    const ABOUT: &'static str = "a comment below an issue or pull request";
    const COLUMNS: &'static [Column<Self>] = columns![
        "repo" Text "where the issue is" |row| row.view.repo(row.issue.repo);
        "issue" Number "its number" |row| Cell::number(row.issue.number);
        "id" Number "GitHub's id of the comment" |row| Cell::number(row.comment.id);
        "author" Text "login of who wrote it" |row| row.view.login(row.comment.user);
        "created" Time "when it was written" |row| Cell::time(row.comment.created);
        "updated" Time "when it was changed last" |row| Cell::time(row.comment.updated);
        "body" Text "its text" |row| Cell::text(row.view.text(row.comment.body));
    ];

    fn elements(view: &View) -> u32 {
        view.github().comments().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let comment = view.github().comments().get(number);
        if let Some(issue) = view.issue(comment.issue) {
            visit(&CommentRow { view, issue, comment });
        }
    }
}

/// An event. What is rare of it is read in the log when it is asked for.
pub struct EventRow<'a> {
    view: &'a View,
    issue: &'a github::Issue,
    event: &'a github::Event,
    message: OnceCell<Event<'a>>,
}

impl<'a> EventRow<'a> {
    fn message(&self) -> &Event<'a> {
        // It was read when it was taken, so it is read again.
        self.message.get_or_init(|| Event::of(self.view.text(self.event.message)).unwrap_or_default())
    }
}

/// Events.
#[derive(Debug)]
pub struct Events;

impl Table for Events {
    type Row<'a> = EventRow<'a>;
    const NAME: &'static str = "events";
    const ABOUT: &'static str =
        "something that happened to an issue or pull request: closed, reopened, labeled, …";
    const COLUMNS: &'static [Column<Self>] = columns![
        "repo" Text "where the issue is" |row| row.view.repo(row.issue.repo);
        "issue" Number "its number" |row| Cell::number(row.issue.number);
        "id" Number "GitHub's id of the event" |row| Cell::number(row.event.id);
        "type" Text "what happened, in GitHub's words" |row| {
            Cell::text(row.view.github().name(row.event.kind))
        };
        "created" Time "when" |row| Cell::time(row.event.created);
        "actor" Text "login of who did it" |row| row.view.login_of(row.message().actor_id);
        "label" Text "the label of labeled, unlabeled" |row| {
            row.message().label.as_ref().map_or(Cell::Null, |label| Cell::some(label.name))
        };
        "milestone" Text "title, of milestoned, demilestoned" |row| {
            row.message().milestone.as_ref().map_or(Cell::Null, |milestone| Cell::some(milestone.title))
        };
        "assignee" Text "login, of assigned, unassigned" |row| row.view.login_of(row.message().assignee_id);
        "assigner" Text "login of who assigned" |row| row.view.login_of(row.message().assigner_id);
        "commit" Text "hash, of closed, referenced" |row| {
            row.message().commit.as_ref().map_or(Cell::Null, |commit| Cell::some(commit.commit_id))
        };
        "renamed_from" Text "the title before, of renamed" |row| Cell::some(row.message().rename_from);
        "renamed_to" Text "the title after" |row| Cell::some(row.message().rename_to);
        "reviewer" Text "login of who is asked for a review" |row| row.view.login_of(row.message().reviewer_id);
        "team" Text "the team that is" |row| {
            row.message().team_reviewer.as_ref().map_or(Cell::Null, |team| Cell::some(team.slug))
        };
    ];

    fn elements(view: &View) -> u32 {
        view.github().events().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let event = view.github().events().get(number);
        if let Some(issue) = view.issue(event.issue) {
            visit(&EventRow { view, issue, event, message: OnceCell::new() });
        }
    }
}

/// A review.
pub struct ReviewRow<'a> {
    view: &'a View,
    issue: &'a github::Issue,
    review: &'a github::Review,
    message: OnceCell<Review<'a>>,
}

impl<'a> ReviewRow<'a> {
    fn message(&self) -> &Review<'a> {
        // As of events.
        self.message.get_or_init(|| Review::of(self.view.text(self.review.message)).unwrap_or_default())
    }
}

/// Reviews of pull requests.
#[derive(Debug)]
pub struct Reviews;

impl Table for Reviews {
    type Row<'a> = ReviewRow<'a>;
    const NAME: &'static str = "reviews";
    const ABOUT: &'static str =
        "a review of a pull request on GitHub; those of CLs are in votes and messages";
    const COLUMNS: &'static [Column<Self>] = columns![
        "repo" Text "where the pull request is" |row| row.view.repo(row.issue.repo);
        "issue" Number "its number" |row| Cell::number(row.issue.number);
        "id" Number "GitHub's id of the review" |row| Cell::number(row.review.id);
        "author" Text "login of who wrote it" |row| row.view.login_of(row.message().actor_id);
        "state" Text "COMMENTED, APPROVED, CHANGES_REQUESTED, …" |row| Cell::some(row.message().state);
        "created" Time "when" |row| Cell::time(row.review.created);
        "commit" Text "hash of what was looked at" |row| Cell::some(row.message().commit_id);
        "body" Text "its text" |row| Cell::text(row.message().body);
    ];

    fn elements(view: &View) -> u32 {
        view.github().reviews().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let review = view.github().reviews().get(number);
        if let Some(issue) = view.issue(review.issue) {
            visit(&ReviewRow { view, issue, review, message: OnceCell::new() });
        }
    }
}
