//! Issues and pull requests, and their labels.

use std::borrow::Cow;

use maintner::github::{Issue, MILESTONE_UNKNOWN, NO_MILESTONE};
use maintner::names::Name;

use super::columns;
use crate::cell::Cell;
use crate::table::{Column, Table};
use crate::view::View;

/// An issue that is not gone.
pub struct IssueRow<'a> {
    view: &'a View,
    issue: &'a Issue,
}

/// Issues and pull requests.
#[derive(Debug)]
pub struct Issues;

impl Table for Issues {
    type Row<'a> = IssueRow<'a>;
    const NAME: &'static str = "issues";
    const ABOUT: &'static str =
        "an issue or pull request of GitHub; one that was deleted or transferred is not there";
    const COLUMNS: &'static [Column<Self>] = columns![
        "repo" Text "where it is, owner/name" |row| row.view.repo(row.issue.repo);
        "number" Number "its number there" |row| Cell::number(row.issue.number);
        "title" Text "its title" |row| Cell::text(row.view.text(row.issue.title));
        "state" Text "open or closed" |row| {
            Cell::text(if row.issue.closed.is() { b"closed" } else { b"open" })
        };
        "author" Text "login of who opened it" |row| row.view.login(row.issue.user);
        "created" Time "when it was opened" |row| Cell::time(row.issue.created);
        "updated" Time "when it changed last, by GitHub" |row| Cell::time(row.issue.updated);
        "closed_at" Time "when it was closed; none of an open one" |row| {
            if row.issue.closed.is() { Cell::time(row.issue.closed_at) } else { Cell::Null }
        };
        "pull_request" Flag "whether it is a pull request" |row| Cell::Flag(row.issue.pull_request.is());
        "locked" Flag "whether it is locked" |row| Cell::Flag(row.issue.locked.is());
        "milestone" Text "title of its milestone" |row| row.milestone();
        "labels" Texts "names of its labels, in order" |row| row.labels();
        "assignees" Texts "logins of its owners, the first one first" |row| row.assignees();
        "comments" Number "how many comments it has" |row| {
            Cell::count(row.view.github().comments_of(row.issue).len())
        };
        "body" Text "its text" |row| Cell::text(row.view.text(row.issue.body));
        "id" Number "GitHub's id, where it is known" |row| Cell::id(row.issue.id);
    ];

    fn elements(view: &View) -> u32 {
        view.github().issues().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        if let Some(issue) = view.issue(number) {
            visit(&IssueRow { view, issue });
        }
    }
}

impl IssueRow<'_> {
    fn milestone(&self) -> Cell<'_> {
        let github = self.view.github();
        match self.issue.milestone {
            NO_MILESTONE | MILESTONE_UNKNOWN => Cell::Null,
            milestone => Cell::some(github.name(github.milestones().get(milestone).title)),
        }
    }

    fn labels(&self) -> Cell<'_> {
        let github = self.view.github();
        let labels = labels(self.view, self.issue);
        let mut names: Vec<&[u8]> = labels.iter().map(|(_, name)| github.name(*name)).collect();
        names.sort_unstable();
        Cell::Texts(names.into_iter().map(Cow::Borrowed).collect())
    }

    fn assignees(&self) -> Cell<'_> {
        let github = self.view.github();
        let logins = github.assignees_of(self.issue).map(|user| match github.name(user.login) {
            // Somebody of whom only the id is known.
            b"" => Cow::Owned(user.id.to_string().into_bytes()),
            login => Cow::Borrowed(login),
        });
        Cell::Texts(logins.collect())
    }
}

/// The ids of an issue's labels and what they say.
fn labels(view: &View, issue: &Issue) -> Vec<(i64, Name)> {
    let github = view.github();
    let named = |id| Some((id, github.label(issue.repo, id)?.name));
    github.labels_of(issue).into_iter().filter_map(named).collect()
}

/// A label of an issue.
pub struct LabelRow<'a> {
    of: IssueRow<'a>,
    id: i64,
    name: Name,
}

/// Labels of issues.
#[derive(Debug)]
pub struct Labels;

impl Table for Labels {
    type Row<'a> = LabelRow<'a>;
    const NAME: &'static str = "labels";
    const ABOUT: &'static str = "a label that an issue or pull request has now; events tell since when";
    const COLUMNS: &'static [Column<Self>] = columns![
        "repo" Text "where the issue is" |row| row.of.view.repo(row.of.issue.repo);
        "issue" Number "its number" |row| Cell::number(row.of.issue.number);
        "label" Text "what the label says" |row| Cell::text(row.of.view.github().name(row.name));
        "id" Number "GitHub's id of the label" |row| Cell::number(row.id);
    ];

    fn elements(view: &View) -> u32 {
        view.github().issues().next()
    }

    fn rows<'a>(view: &'a View, number: u32, visit: &mut dyn FnMut(&Self::Row<'a>)) {
        let Some(issue) = view.issue(number) else { return };
        for (id, name) in labels(view, issue) {
            visit(&LabelRow { of: IssueRow { view, issue }, id, name });
        }
    }
}
