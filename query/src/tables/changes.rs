//! Changes of Gerrit (CLs), their patch sets, votes and messages.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::rc::Rc;

use maintner::gerrit::change_view::{ChangeView, MessageView, PatchSetView, Who};
use maintner::gerrit::{Change, Status};
use maintner::github::Number;

use super::columns;
use crate::cell::Cell;
use crate::table::{Column, Table};
use crate::view::{View, name};

/// A change of which both the commit and the notes are known; others are not shown by Gerrit's own clients either.
pub struct ClRow<'a> {
    view: &'a View,
    change: &'a Change,
    seen: OnceCell<ChangeView<'a>>,
}

impl<'a> ClRow<'a> {
    fn of(view: &'a View, number: Number) -> Option<Self> {
        let change = Some(view.gerrit().changes().get(number)).filter(|change| change.is_complete())?;
        Some(Self { view, change, seen: OnceCell::new() })
    }

    /// All that its notes say. They are read when this is first asked for.
    fn seen(&self) -> &ChangeView<'a> {
        self.seen
            .get_or_init(|| self.view.gerrit().view(&self.view.corpus().log, self.change).unwrap_or_default())
    }

    fn project(&self) -> Cell<'_> {
        self.view.project(self.change.project)
    }

    fn account(&self, id: Option<i64>) -> Cell<'_> {
        id.map_or(Cell::Null, |id| self.view.account(self.change.project, id))
    }

    fn issues(&self) -> Cell<'_> {
        let gerrit = self.view.gerrit();
        let text = |name| String::from_utf8_lossy(gerrit.name(name));
        let issues = gerrit.references(self.change).map(|issue| {
            Cow::Owned(format!("{}/{}#{}", text(issue.owner), text(issue.repo), issue.number).into_bytes())
        });
        Cell::Texts(issues.collect())
    }
}

fn optional(number: Option<i64>) -> Cell<'static> {
    number.map_or(Cell::Null, Cell::Number)
}

/// Changes.
#[derive(Debug)]
pub struct Cls;

impl Table for Cls {
    type Row<'a> = ClRow<'a>;
    const NAME: &'static str = "cls";
    const ABOUT: &'static str = "a change of Gerrit, as it is now";
    const COLUMNS: &'static [Column<Self>] = columns![
        "project" Text "server/project" |row| row.project();
        "number" Number "its number on the server" |row| Cell::number(row.change.number);
        "status" Text "new, draft, abandoned or merged" |row| {
            row.change.status().map_or(Cell::Null, |status: Status| Cell::text(status.text().as_bytes()))
        };
        "subject" Text "the first paragraph of its message" |row| {
            Cell::made(row.view.gerrit().subject(&row.view.corpus().log, row.change))
        };
        "branch" Text "where it is to go" |row| Cell::some(row.view.gerrit().name(row.change.branch));
        "owner" Text "name of who began it" |row| row.account(row.seen().owner);
        "owner_id" Number "account of who began it" |row| optional(row.seen().owner);
        "created" Time "when it was begun" |row| Cell::seconds(row.change.created);
        "updated" Time "when anything was last done to it" |row| {
            Cell::seconds(row.view.gerrit().commits().get(row.change.read).time)
        };
        "patch_set" Number "the current patch set" |row| Cell::number(row.change.version);
        "commit" Text "hash of the current patch set" |row| row.view.hash(row.change.commit);
        "wip" Flag "whether it is work in progress" |row| Cell::Flag(row.seen().wip);
        "private" Flag "whether it is private now" |row| Cell::Flag(row.seen().private);
        "topic" Text "its topic" |row| Cell::some(row.seen().topic);
        "hashtags" Texts "its hashtags, as they are written" |row| {
            Cell::Texts(row.seen().hashtags.iter().map(|tag| Cow::Borrowed(*tag)).collect())
        };
        "reviewers" Numbers "accounts that review it, or are asked to" |row| {
            Cell::Numbers(row.seen().reviewers.clone())
        };
        "cc" Numbers "accounts that are to know of it" |row| Cell::Numbers(row.seen().cc.clone());
        "issues" Texts "issues that its message names, owner/repo#number" |row| row.issues();
        "messages" Number "how many messages are below it" |row| Cell::count(row.seen().messages.len());
        "change_id" Text "its Change-Id" |row| Cell::some(row.seen().change_id);
        "message" Text "the message of its commit" |row| {
            Cell::text(row.view.gerrit().message(&row.view.corpus().log, row.change.commit))
        };
    ];

    fn elements(view: &View) -> u32 {
        view.gerrit().changes().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        if let Some(row) = ClRow::of(view, number) {
            visit(&row);
        }
    }
}

/// A patch set; who uploaded it is read when it is asked for.
pub struct PatchSetRow<'a> {
    of: Rc<ClRow<'a>>,
    version: i32,
    commit: Number,
}

impl PatchSetRow<'_> {
    fn uploaded(&self) -> Option<&PatchSetView<'_>> {
        self.of.seen().patch_sets.iter().find(|patch_set| patch_set.version == self.version)
    }

    fn uploader(&self) -> Option<Who<'_>> {
        Some(self.uploaded()?.uploader)
    }
}

/// Patch sets.
#[derive(Debug)]
pub struct PatchSets;

impl Table for PatchSets {
    type Row<'a> = PatchSetRow<'a>;
    const NAME: &'static str = "patch_sets";
    const ABOUT: &'static str = "a patch set of a CL";
    const COLUMNS: &'static [Column<Self>] = columns![
        "project" Text "server/project" |row| row.of.project();
        "cl" Number "the CL's number" |row| Cell::number(row.of.change.number);
        "number" Number "its number, from 1" |row| Cell::number(row.version);
        "commit" Text "hash of its commit" |row| row.of.view.hash(row.commit);
        "created" Time "when it was uploaded" |row| {
            row.uploaded().map_or(Cell::Null, |uploaded| Cell::seconds(uploaded.time))
        };
        "uploader" Text "name of who uploaded it" |row| {
            row.uploader().map_or(Cell::Null, |who| Cell::some(name(who.0)))
        };
        "uploader_id" Number "their account" |row| optional(row.uploader().and_then(Who::account));
    ];

    fn elements(view: &View) -> u32 {
        view.gerrit().changes().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let Some(row) = ClRow::of(view, number).map(Rc::new) else { return };
        let mut all: Vec<_> = view.gerrit().patch_sets(row.change).copied().collect();
        all.sort_by_key(|patch_set| patch_set.version);
        for patch_set in all {
            visit(&PatchSetRow { of: row.clone(), version: patch_set.version, commit: patch_set.commit });
        }
    }
}

/// A vote.
pub struct VoteRow<'a> {
    view: &'a View,
    change: &'a Change,
    label: &'a [u8],
    account: i64,
    vote: i8,
}

/// Votes.
#[derive(Debug)]
pub struct Votes;

impl Table for Votes {
    type Row<'a> = VoteRow<'a>;
    const NAME: &'static str = "votes";
    const ABOUT: &'static str =
        "a vote that counts: on the current patch set of a CL, copied ones too; 0 is none";
    const COLUMNS: &'static [Column<Self>] = columns![
        "project" Text "server/project" |row| row.view.project(row.change.project);
        "cl" Number "the CL's number" |row| Cell::number(row.change.number);
        "label" Text "Code-Review, …" |row| Cell::text(row.label);
        "value" Number "-2, -1, 1, 2, …" |row| Cell::number(row.vote);
        "voter" Text "name of who votes" |row| row.view.account(row.change.project, row.account);
        "voter_id" Number "their account" |row| Cell::number(row.account);
    ];

    fn elements(view: &View) -> u32 {
        view.gerrit().changes().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let Some(row) = ClRow::of(view, number) else { return };
        for (label, votes) in &row.seen().votes {
            for (account, vote) in votes {
                let change = row.change;
                visit(&VoteRow { view, change, label, account: *account, vote: *vote });
            }
        }
    }
}

/// A message below a change.
pub struct MessageRow<'a> {
    view: &'a View,
    change: &'a Change,
    message: MessageView<'a>,
}

/// Messages.
#[derive(Debug)]
pub struct Messages;

impl Table for Messages {
    type Row<'a> = MessageRow<'a>;
    const NAME: &'static str = "messages";
    const ABOUT: &'static str = "what a person or program wrote below a CL, votes and uploads too";
    const COLUMNS: &'static [Column<Self>] = columns![
        "project" Text "server/project" |row| row.view.project(row.change.project);
        "cl" Number "the CL's number" |row| Cell::number(row.change.number);
        "patch_set" Number "of which patch set it is, where it says so" |row| {
            Cell::id(row.message.version.into())
        };
        "created" Time "when" |row| Cell::seconds(row.message.time);
        "author" Text "name of who wrote it" |row| Cell::some(name(row.message.author.0));
        "author_id" Number "their account; none of Gerrit itself" |row| {
            optional(row.message.author.account())
        };
        "tag" Text "what program wrote it; none of a person's" |row| Cell::some(row.message.tag);
        "text" Text "the text" |row| Cell::text(row.message.text);
    ];

    fn elements(view: &View) -> u32 {
        view.gerrit().changes().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let Some(row) = ClRow::of(view, number) else { return };
        for message in &row.seen().messages {
            visit(&MessageRow { view, change: row.change, message: *message });
        }
    }
}
