//! Which changes are tried together with one: those that it is built upon, those that it says it depends on, those of its topic,
//! and what these are, in turn. Nothing is asked of anybody here: what there is to know comes by [`World`].
//!
//! Changes that need each other are one subject. What has landed counts as landed, and what can't land ends it all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use store::try_changes::TryChangeRow;

use super::asked::{Asked, Review};

/// The most changes of a subject, the one that it is about with them.
pub const MOST: usize = 20;
/// How often one may depend on the next that depends on the next. What is built upon another one does not count.
pub const DEEPEST: usize = 10;

/// Why a change is tried with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// The other is built upon it.
    Chain,
    /// The other says that it depends on it.
    Depends,
    /// They have one topic.
    Topic,
}

impl How {
    /// As it is written down.
    pub fn as_str(self) -> &'static str {
        match self {
            How::Chain => "chain",
            How::Depends => "depends",
            How::Topic => "topic",
        }
    }
}

/// A change that another one is tried with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub review: Review,
    /// Its repo here.
    pub repo: String,
    /// Where it is to go.
    pub branch: String,
    /// The patch set, from 1.
    pub patch_set: i32,
    /// That patch set's commit.
    pub commit: String,
    /// Why it is tried too.
    pub how: How,
    /// Whether somebody asks to have this very patch set tried.
    pub approved: bool,
    /// Whether another one that goes to the same branch has its commit in its history.
    pub covered: bool,
}

impl Member {
    /// As it is written down.
    pub fn row(&self) -> TryChangeRow {
        TryChangeRow {
            review: self.review.to_string(),
            repo: self.repo.clone(),
            branch: self.branch.clone(),
            patch_set: i64::from(self.patch_set),
            commit: self.commit.clone(),
            how: self.how.as_str().to_owned(),
            approved: self.approved,
        }
    }
}

/// What is in the way of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// The change that is, or of which it is said.
    pub review: Review,
    /// Why, in words that go behind its name.
    pub why: String,
    /// Whether it may only be that it was not read yet: then nothing follows from it.
    pub unseen: bool,
}

impl Hindrance {
    /// For good, or until something is done about it.
    pub fn new(review: &Review, why: impl Into<String>) -> Hindrance {
        Hindrance { review: review.clone(), why: why.into(), unseen: false }
    }

    /// In words.
    pub fn text(&self) -> String {
        format!("{} {}", self.review, self.why)
    }

    /// As it is written down.
    pub fn row(&self) -> TryChangeRow {
        TryChangeRow {
            review: self.review.to_string(),
            repo: String::new(),
            branch: String::new(),
            patch_set: 0,
            commit: String::new(),
            how: store::try_changes::REFUSED.to_owned(),
            approved: false,
        }
    }
}

/// What a change is tried with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The others, what is needed before what needs it.
    pub with: Vec<Member>,
    /// Whether one of them that goes to the same branch has the change's own commit in its history.
    pub covered: bool,
    /// Why they can't be tried.
    pub hindrance: Option<Hindrance>,
    /// What its branch would be after all had landed, where that is another commit than the change's own.
    pub tree: Option<String>,
}

impl Subject {
    /// The commits that a branch gets, none of which is in the history of another.
    pub fn lands(&self, asked: &Asked, repo: &str, branch: &str) -> Vec<(Review, String)> {
        let others = self.with.iter().filter(|one| one.repo == repo && one.branch == branch && !one.covered);
        let mut all: Vec<_> = others.map(|one| (one.review.clone(), one.commit.clone())).collect();
        if asked.repo == repo && asked.branch == branch && !self.covered {
            all.push((asked.review.clone(), asked.commit.clone()));
        }
        all
    }

    /// The branches of a repo that get something.
    pub fn branches_of(&self, repo: &str) -> BTreeSet<String> {
        self.with.iter().filter(|one| one.repo == repo).map(|one| one.branch.clone()).collect()
    }

    /// Why a run of these changes is not one of this subject any more, if it is not. `landed` says of changes by which commit they
    /// have landed.
    pub fn differs(&self, had: &[TryChangeRow], landed: &BTreeMap<String, String>) -> Option<String> {
        if let Some(hindrance) = &self.hindrance {
            return Some(hindrance.text());
        }
        for one in &self.with {
            let name = one.review.to_string();
            match had.iter().find(|row| row.review == name && !row.commit.is_empty()) {
                None => return Some(format!("{name} is to be tried with it now")),
                Some(row) if row.commit != one.commit => {
                    return Some(format!("patch set {} of {name} is newer", one.patch_set));
                }
                Some(_) => {}
            }
        }
        let gone = had.iter().find(|row| {
            let still = self.with.iter().any(|one| one.review.to_string() == row.review);
            !still && landed.get(&row.review) != Some(&row.commit)
        })?;
        Some(match landed.contains_key(&gone.review) {
            true => format!("{} has landed as another patch set", gone.review),
            false => format!("{} is not tried with it any more", gone.review),
        })
    }
}

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is under review.
    Open,
    /// It was submitted.
    Landed,
    /// It was given up.
    Abandoned,
    /// It is not for everybody, or can't be read.
    Hidden,
}

/// What leads from a change to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edge {
    /// Its commit has this patch set's as a parent.
    Upon {
        /// The other.
        review: Review,
        /// The patch set, from 1.
        patch_set: i32,
    },
    /// It says that it depends on it.
    Needs(Review),
    /// They have one topic.
    Topic(Review),
    /// What it says means nothing, or nothing that could be done: why.
    Broken(String),
    /// What it says may mean something that was not read yet: what.
    Unseen(String),
}

/// A change, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its repo here, if there is one.
    pub repo: Option<String>,
    /// Where it is to go.
    pub branch: String,
    /// The newest patch set, from 1.
    pub patch_set: i32,
    /// That patch set's commit.
    pub commit: String,
    /// Whether somebody asks to have this very patch set tried.
    pub approved: bool,
    /// How far it is.
    pub state: State,
    /// What leads on from here; of an open change only.
    pub edges: Vec<Edge>,
}

/// Who knows changes.
pub trait World {
    /// A change; none that is not known.
    fn node(&self, review: &Review) -> Option<Node>;
}

/// Finds what a change is tried with.
pub fn resolve(head: &Review, world: &impl World) -> Subject {
    walk(head, world).unwrap_or_else(|hindrance| Subject { hindrance: Some(hindrance), ..Subject::default() })
}

struct Found {
    node: Node,
    how: How,
}

fn walk(head: &Review, world: &impl World) -> Result<Subject, Hindrance> {
    let mut found: BTreeMap<Review, Found> = BTreeMap::new();
    let mut order = Vec::new();
    let mut queue = VecDeque::from([(head.clone(), How::Chain, 0_usize)]);
    while let Some((review, how, depth)) = queue.pop_front() {
        if found.contains_key(&review) {
            continue;
        }
        let Some(node) = world.node(&review) else {
            return Err(Hindrance::new(&review, "is not known here"));
        };
        if review != *head {
            match node.state {
                State::Landed => continue,
                State::Abandoned => return Err(Hindrance::new(&review, "was abandoned")),
                State::Hidden => return Err(Hindrance::new(&review, "is private, or can't be read")),
                State::Open if node.repo.is_none() => {
                    return Err(Hindrance::new(&review, "is of no repository that is built here"));
                }
                State::Open => {}
            }
        }
        if depth > DEEPEST {
            let why = format!("is more than {DEEPEST} dependencies away");
            return Err(Hindrance::new(&review, why));
        }
        if found.len() >= MOST {
            let why = format!("would be tried with more than {} others; some have to land before", MOST - 1);
            return Err(Hindrance::new(head, why));
        }
        for edge in &node.edges {
            match edge {
                Edge::Broken(why) => return Err(Hindrance::new(&review, why.as_str())),
                Edge::Unseen(what) => {
                    return Err(Hindrance { unseen: true, ..Hindrance::new(&review, what.as_str()) });
                }
                Edge::Upon { review: below, patch_set } => {
                    let newer = world.node(below).filter(|node| node.state == State::Open);
                    if let Some(newer) = newer.filter(|node| node.patch_set != *patch_set) {
                        let newest = newer.patch_set;
                        let why = format!(
                            "is built upon patch set {patch_set} of {below}, and patch set {newest} is newer: it has to be rebased"
                        );
                        return Err(Hindrance::new(&review, why));
                    }
                    queue.push_front((below.clone(), How::Chain, depth));
                }
                Edge::Needs(other) => queue.push_back((other.clone(), How::Depends, depth + 1)),
                Edge::Topic(other) => queue.push_back((other.clone(), How::Topic, depth + 1)),
            }
        }
        order.push(review.clone());
        found.insert(review, Found { node, how });
    }
    judged(head, &found, &order)
}

/// Sees that each is approved, by itself or as a part of what is, and tells which commits have others in their history.
fn judged(head: &Review, found: &BTreeMap<Review, Found>, order: &[Review]) -> Result<Subject, Hindrance> {
    let mut vouched = BTreeSet::new();
    let mut covered = BTreeSet::new();
    for (review, Found { node, .. }) in found {
        let below = below(review, found);
        if review == head || node.approved {
            vouched.insert(review);
            vouched.extend(&below);
        }
        let same = |other: &&Review| {
            let other = &found[*other].node;
            (&other.repo, &other.branch) == (&node.repo, &node.branch)
        };
        covered.extend(below.into_iter().filter(same));
    }
    let mut with = Vec::new();
    for review in order.iter().rev().filter(|review| *review != head) {
        let Found { node, how } = &found[review];
        if !vouched.contains(review) {
            let why = format!(
                "would be tried with it, and nobody has approved its patch set {}: it takes a vote of its own",
                node.patch_set
            );
            return Err(Hindrance::new(review, why));
        }
        with.push(Member {
            review: review.clone(),
            repo: node.repo.clone().unwrap_or_default(),
            branch: node.branch.clone(),
            patch_set: node.patch_set,
            commit: node.commit.clone(),
            how: *how,
            approved: node.approved,
            covered: covered.contains(review),
        });
    }
    Ok(Subject { with, covered: covered.contains(head), ..Subject::default() })
}

/// The changes of the subject that have their commits in the history of one, without it.
fn below<'f>(of: &Review, found: &'f BTreeMap<Review, Found>) -> BTreeSet<&'f Review> {
    let mut all = BTreeSet::new();
    let mut queue: Vec<&Review> = vec![of];
    while let Some(next) = queue.pop() {
        for edge in found.get(next).into_iter().flat_map(|found| &found.node.edges) {
            let Edge::Upon { review, .. } = edge else { continue };
            if let Some((review, _)) = found.get_key_value(review).filter(|(review, _)| *review != of)
                && all.insert(review)
            {
                queue.push(review);
            }
        }
    }
    all
}

#[cfg(test)]
#[path = "subject_tests.rs"]
mod tests;
