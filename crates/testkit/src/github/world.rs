//! The state.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Whose the repos are.
pub const OWNER: &str = "golang";
/// The repo that is followed.
pub const REPO: &str = "go";
/// Where issues are transferred to.
pub(super) const OTHER: &str = "other";

/// All of it.
#[derive(Debug, Clone)]
pub struct World {
    /// People by id.
    pub(super) users: BTreeMap<i64, String>,
    /// Issues by number.
    pub(super) issues: BTreeMap<i32, Issue>,
    /// Labels by id.
    pub(super) labels: BTreeMap<i64, String>,
    /// Milestones by number.
    pub(super) milestones: BTreeMap<i64, Milestone>,
    /// Heads of pull requests, and what is posted of commits.
    pub(super) pulls: super::pulls::Pulls,
    /// Who is in the organization's teams, by their names in addresses.
    pub(super) teams: BTreeMap<String, Vec<i64>>,
    /// What webhooks are to tell.
    pub(super) told: Vec<Value>,
    next_id: i64,
}

/// Why an issue is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// 404, for now: it comes back.
    Hidden,
    /// 410.
    Deleted,
    /// 301.
    Transferred,
}

#[derive(Debug, Clone)]
pub(super) struct Issue {
    pub id: i64,
    pub number: i32,
    pub pull: bool,
    pub user: i64,
    pub title: String,
    pub body: String,
    pub closed_at: Option<i64>,
    pub closed_by: i64,
    pub locked: bool,
    pub labels: Vec<i64>,
    pub milestone: Option<i64>,
    pub assignees: Vec<i64>,
    pub created: i64,
    pub updated: i64,
    pub comments: Vec<Comment>,
    pub events: Vec<Event>,
    pub reviews: Vec<Review>,
    pub gone: Option<Gone>,
}

#[derive(Debug, Clone)]
pub(super) struct Comment {
    pub id: i64,
    pub user: i64,
    pub body: String,
    pub created: i64,
    pub updated: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Event {
    pub id: i64,
    pub kind: &'static str,
    pub actor: i64,
    pub created: i64,
    /// What this kind has beside what all have.
    pub more: Map<String, Value>,
}

#[derive(Debug, Clone)]
pub(super) struct Review {
    pub id: i64,
    pub user: i64,
    pub body: String,
    pub state: &'static str,
    pub submitted: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Milestone {
    pub id: i64,
    pub number: i64,
    pub title: String,
    pub closed_at: Option<i64>,
    pub created: i64,
}

impl World {
    pub(super) fn new() -> Self {
        let users = (1..=5).map(|id| (id, format!("user-{id}"))).collect();
        Self {
            users,
            issues: BTreeMap::new(),
            labels: BTreeMap::new(),
            milestones: BTreeMap::new(),
            pulls: super::pulls::Pulls::default(),
            teams: BTreeMap::new(),
            told: Vec::new(),
            next_id: 1000,
        }
    }

    pub(super) fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// The numbers of issues that are there.
    pub fn numbers(&self) -> Vec<i32> {
        self.issues.values().filter(|issue| issue.gone.is_none()).map(|issue| issue.number).collect()
    }

    /// The numbers of issues that are hidden.
    pub fn hidden(&self) -> Vec<i32> {
        self.issues
            .values()
            .filter(|issue| issue.gone == Some(Gone::Hidden))
            .map(|issue| issue.number)
            .collect()
    }

    /// How many comments and events all issues have that are there.
    pub fn sizes(&self) -> (usize, usize) {
        let there = || self.issues.values().filter(|issue| issue.gone.is_none());
        (there().map(|issue| issue.comments.len()).sum(), there().map(|issue| issue.events.len()).sum())
    }
}
