//! What is known of GitHub: people, teams, repos with labels and milestones, issues with comments, events and reviews.
//!
//! Everything is an element of a column and goes by its number there; what belongs to an issue is a chain that begins at the
//! issue. Texts that occur once stay in the log. Source: spec/maintner.md §3.1.

mod apply;
mod chain;
mod kept;
mod list;
mod lookup;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::column::{Column, NONE};
use crate::flag::Flag;
use crate::index::{Index, Seed};
use crate::names::{Name, Names};
use crate::rules::Rules;
use crate::text::Text;
use crate::time::Time;

pub(crate) use apply::past;
pub use chain::Chain;
use chain::{Chained, chained};
pub use list::List;
use list::{Listed, listed};

/// The number of an element in its column, [`NONE`] for none.
pub type Number = u32;

/// A person.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct User {
    /// GitHub's id.
    pub id: i64,
    /// Empty where only events named them.
    pub login: Name,
    pad: [u8; 4],
}

/// A team.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Team {
    /// GitHub's id.
    pub id: i64,
    /// Its name in addresses.
    pub slug: Name,
    pad: [u8; 4],
}

/// A repo; one that was only mentioned has no issues.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Repo {
    /// Whose it is.
    pub owner: Name,
    /// Its name there.
    pub name: Name,
}

/// A label of a repo.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Label {
    /// GitHub's id.
    pub id: i64,
    /// Whose it is.
    pub repo: Number,
    /// What it says.
    pub name: Name,
}

/// A milestone of a repo.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Milestone {
    /// GitHub's id.
    pub id: i64,
    /// Whose it is.
    pub repo: Number,
    /// What it says.
    pub title: Name,
    /// Its number in the repo, 0 where it is not known.
    pub number: i32,
    /// Whether it is closed.
    pub closed: Flag,
    pad: [u8; 3],
}

/// [`Issue::milestone`] of an issue of which none was ever said.
pub const MILESTONE_UNKNOWN: Number = NONE;
/// [`Issue::milestone`] of an issue that has none.
pub const NO_MILESTONE: Number = NONE - 1;

/// An issue or a pull request.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Issue {
    /// GitHub's id, 0 in logs of the original.
    pub id: i64,
    /// Its title.
    pub title: Text,
    /// Its body.
    pub body: Text,
    /// Where it is.
    pub repo: Number,
    /// Its number there.
    pub number: i32,
    /// Its author.
    pub user: Number,
    /// Who closed it; in fact never known.
    pub closed_by: Number,
    /// A milestone, [`NO_MILESTONE`] or [`MILESTONE_UNKNOWN`].
    pub milestone: Number,
    /// When it was made.
    pub created: Time,
    /// When it changed last, by GitHub.
    pub updated: Time,
    /// When it was closed.
    pub closed_at: Time,
    /// Comments are whole as of then.
    pub comments_synced: Time,
    /// When a comment changed last; by our rules only.
    pub comments_updated: Time,
    /// Events are whole as of then.
    pub events_synced: Time,
    /// Reviews are whole as of then.
    pub reviews_synced: Time,
    /// The latest event or review.
    pub event_max: Time,
    comments: List,
    events: List,
    reviews: List,
    labels: Chain,
    assignees: Chain,
    /// It is gone, and nothing else of it is to be shown.
    pub not_exist: Flag,
    /// Whether it is closed.
    pub closed: Flag,
    /// Whether it is locked.
    pub locked: Flag,
    /// Whether it is a pull request.
    pub pull_request: Flag,
    pad: [u8; 4],
}

/// A comment.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Comment {
    /// GitHub's id.
    pub id: i64,
    /// What it says.
    pub body: Text,
    /// Its issue.
    pub issue: Number,
    /// Its author.
    pub user: Number,
    /// When it was made.
    pub created: Time,
    /// When it changed last.
    pub updated: Time,
    next: Number,
    pad: [u8; 4],
}

/// Something that happened to an issue. What is rarely asked for stays in the log, a
/// [`mutation::Event`](crate::mutation::Event).
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Event {
    /// GitHub's id.
    pub id: i64,
    /// The message.
    pub message: Text,
    /// Its issue.
    pub issue: Number,
    /// What happened: `labeled`, `closed`, …
    pub kind: Name,
    /// When.
    pub created: Time,
    next: Number,
}

/// A review of a pull request; all else of it is a [`mutation::Review`](crate::mutation::Review) in the log.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Review {
    /// GitHub's id.
    pub id: i64,
    /// The message.
    pub message: Text,
    /// Its pull request.
    pub issue: Number,
    /// When.
    pub created: Time,
    next: Number,
    pad: [u8; 4],
}

/// A label's id or a user's number in a chain of an issue.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Link {
    value: i64,
    next: Number,
    pad: [u8; 4],
}

chained!(Comment, Event, Review, Link);
listed!(Comment, Event, Review);

/// Everything known of GitHub, at one instant. A copy is cheap and stays as it is.
#[derive(Debug, Clone)]
pub struct Github {
    rules: Rules,
    seed: Seed,
    names: Names,
    users: Column<User>,
    users_by_id: Index,
    teams: Column<Team>,
    teams_by_id: Index,
    repos: Column<Repo>,
    repos_by_name: Index,
    labels: Column<Label>,
    labels_by_id: Index,
    milestones: Column<Milestone>,
    milestones_by_id: Index,
    issues: Column<Issue>,
    issues_by_number: Index,
    comments: Column<Comment>,
    /// Those of long lists; so are the tables of events and reviews.
    comments_by_id: Index,
    events: Column<Event>,
    events_by_id: Index,
    reviews: Column<Review>,
    reviews_by_id: Index,
    links: Column<Link>,
    /// Links that were taken out of their chains.
    free: Number,
    /// Elements that could not be taken, such as labels of id 0.
    rejected: u64,
    /// The repo that was asked for last: most records are of the one before.
    last: Option<(Repo, Number)>,
}

impl Github {
    /// Nothing, to be filled by these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            seed: Seed::default(),
            names: Names::default(),
            users: Column::default(),
            users_by_id: Index::default(),
            teams: Column::default(),
            teams_by_id: Index::default(),
            repos: Column::default(),
            repos_by_name: Index::default(),
            labels: Column::default(),
            labels_by_id: Index::default(),
            milestones: Column::default(),
            milestones_by_id: Index::default(),
            issues: Column::default(),
            issues_by_number: Index::default(),
            comments: Column::default(),
            comments_by_id: Index::default(),
            events: Column::default(),
            events_by_id: Index::default(),
            reviews: Column::default(),
            reviews_by_id: Index::default(),
            links: Column::default(),
            free: NONE,
            rejected: 0,
            last: None,
        }
    }

    /// The text of a name of this part of the corpus.
    #[must_use]
    pub fn name(&self, name: Name) -> &[u8] {
        self.names.text(name)
    }

    /// All people, nameless ones too.
    #[must_use]
    pub const fn users(&self) -> &Column<User> {
        &self.users
    }

    /// All teams.
    #[must_use]
    pub const fn teams(&self) -> &Column<Team> {
        &self.teams
    }

    /// All repos, those without issues too.
    #[must_use]
    pub const fn repos(&self) -> &Column<Repo> {
        &self.repos
    }

    /// All labels of all repos.
    #[must_use]
    pub const fn labels(&self) -> &Column<Label> {
        &self.labels
    }

    /// All milestones of all repos.
    #[must_use]
    pub const fn milestones(&self) -> &Column<Milestone> {
        &self.milestones
    }

    /// All issues, those that are gone too.
    #[must_use]
    pub const fn issues(&self) -> &Column<Issue> {
        &self.issues
    }

    /// All comments.
    #[must_use]
    pub const fn comments(&self) -> &Column<Comment> {
        &self.comments
    }

    /// All events.
    #[must_use]
    pub const fn events(&self) -> &Column<Event> {
        &self.events
    }

    /// All reviews.
    #[must_use]
    pub const fn reviews(&self) -> &Column<Review> {
        &self.reviews
    }

    /// How many elements of the log could not be taken: comments, events, labels and milestones of id 0, and mutations of a
    /// repo or an issue that has no name or number.
    #[must_use]
    pub const fn rejected(&self) -> u64 {
        self.rejected
    }

    /// The repo of that name.
    #[must_use]
    pub fn repo(&self, owner: &[u8], name: &[u8]) -> Option<Number> {
        let (owner, name) = (self.names.known(owner)?, self.names.known(name)?);
        self.repo_of(owner, name)
    }

    fn repo_of(&self, owner: Name, name: Name) -> Option<Number> {
        let hash = self.seed.within(owner.number(), i64::from(name.number()));
        self.repos_by_name.find(hash, |number| {
            let repo = self.repos.get(number);
            repo.owner == owner && repo.name == name
        })
    }

    /// The issue of that number in a repo.
    #[must_use]
    pub fn issue(&self, repo: Number, number: i32) -> Option<Number> {
        self.issues_by_number.find(self.seed.within(repo, i64::from(number)), |found| {
            let issue = self.issues.get(found);
            issue.repo == repo && issue.number == number
        })
    }

    /// The person of that id.
    #[must_use]
    pub fn user(&self, id: i64) -> Option<Number> {
        self.users_by_id.find(self.seed.id(id), |number| self.users.get(number).id == id)
    }

    /// The comments of an issue, in the order of their creation, those of an instant by id.
    #[must_use]
    pub fn comments_of(&self, issue: &Issue) -> Vec<&Comment> {
        let mut all: Vec<&Comment> = issue.comments.walk(&self.comments).collect();
        all.sort_by_key(|comment| (comment.created, comment.id));
        all
    }

    /// The events of an issue, ordered as comments.
    #[must_use]
    pub fn events_of(&self, issue: &Issue) -> Vec<&Event> {
        let mut all: Vec<&Event> = issue.events.walk(&self.events).collect();
        all.sort_by_key(|event| (event.created, event.id));
        all
    }

    /// The reviews of a pull request, ordered as comments.
    #[must_use]
    pub fn reviews_of(&self, issue: &Issue) -> Vec<&Review> {
        let mut all: Vec<&Review> = issue.reviews.walk(&self.reviews).collect();
        all.sort_by_key(|review| (review.created, review.id));
        all
    }

    /// The ids of an issue's labels, ascending.
    #[must_use]
    pub fn labels_of(&self, issue: &Issue) -> Vec<i64> {
        let mut all: Vec<i64> = issue.labels.walk(&self.links).map(|link| link.value).collect();
        all.sort_unstable();
        all
    }

    /// Who is assigned to an issue, in the order in which they were.
    pub fn assignees_of(&self, issue: &Issue) -> impl Iterator<Item = &User> {
        issue
            .assignees
            .walk(&self.links)
            .filter_map(|link| Some(self.users.get(u32::try_from(link.value).ok()?)))
    }
}
