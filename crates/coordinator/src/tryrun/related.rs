//! What the corpus knows of how changes hang together, as [`World`].

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

use buildenv::Config;
use maintner::column::NONE;
use maintner::commit::{Hash, hash};
use maintner::corpus::Corpus;
use maintner::gerrit::{Change, Project, Status};
use maintner::github::Number;
use store::try_changes::{self, TryChangeRow};

use super::asked::{Read, Review};
use super::footers::{self, Footer};
use super::subject::{Edge, Node, State, World};

/// The most `Change-Id`s that are remembered; they are looked for again then.
const REMEMBERED: usize = 1000;

/// Which changes have a `Change-Id`, as far as it was looked. No change gets another.
#[derive(Debug, Default)]
pub struct Ids(HashMap<String, OfId>);

#[derive(Debug, Default)]
struct OfId {
    /// The first number that was not looked at.
    next: Number,
    /// Those whose commit had not come yet.
    waiting: Vec<Number>,
    found: Vec<Number>,
}

impl Ids {
    fn find(&mut self, corpus: &Corpus, projects: &HashMap<Number, String>, id: &str) -> Vec<Review> {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(id) {
            self.0.clear();
        }
        let gerrit = &corpus.gerrit;
        let of = self.0.entry(id.to_owned()).or_default();
        if of.next > gerrit.changes().next() {
            *of = OfId::default();
        }
        let waiting = std::mem::take(&mut of.waiting);
        for number in waiting.into_iter().chain(of.next..gerrit.changes().next()) {
            let change = gerrit.changes().get(number);
            match change.is_complete() {
                false => of.waiting.push(number),
                true if gerrit.change_id(&corpus.log, change) == id.as_bytes() => of.found.push(number),
                true => {}
            }
        }
        of.next = gerrit.changes().next();
        let named = |number: &Number| {
            let change = gerrit.changes().get(*number);
            let project = projects.get(&change.project)?.clone();
            Some(Review { project, number: change.number })
        };
        of.found.iter().filter_map(named).collect()
    }
}

/// The corpus at one instant, for whoever looks from change to change.
pub struct Related<'a> {
    corpus: &'a Corpus,
    /// Open changes, as they were read.
    open: &'a HashMap<Review, (Hash, Read)>,
    /// Projects with the repos that have them.
    repos: HashMap<&'a str, &'a str>,
    projects: HashMap<Number, String>,
    /// Projects that are configured and of which nothing is known.
    blind: HashSet<&'a str>,
    /// Which patch set of which change a commit is, of all that have not landed.
    commits: HashMap<Number, (Review, i32)>,
    /// By server and topic.
    topics: BTreeMap<(&'a str, &'a str), Vec<&'a Review>>,
    ids: RefCell<&'a mut Ids>,
}

impl<'a> Related<'a> {
    /// Reads what is needed of all changes that have not landed.
    pub fn new(
        corpus: &'a Corpus,
        config: &'a Config,
        open: &'a HashMap<Review, (Hash, Read)>,
        ids: &'a mut Ids,
    ) -> Related<'a> {
        let gerrit = &corpus.gerrit;
        let (mut repos, mut projects) = (HashMap::new(), HashMap::new());
        let (mut blind, mut commits) = (HashSet::new(), HashMap::new());
        for repo in config.repos() {
            let Some(name) = repo.changes.as_deref() else { continue };
            if repos.insert(name, repo.name.as_str()).is_some() {
                continue;
            }
            let Some(project) = gerrit.project(name.as_bytes()) else {
                blind.insert(name);
                continue;
            };
            projects.insert(project, name.to_owned());
            for change in gerrit.changes_of(project).filter(|change| change.status() != Some(Status::Merged))
            {
                for one in gerrit.patch_sets(change).filter(|one| one.commit != NONE) {
                    let review = Review { project: name.to_owned(), number: change.number };
                    commits.insert(one.commit, (review, one.version));
                }
            }
        }
        let mut topics: BTreeMap<_, Vec<_>> = BTreeMap::new();
        if config.tries().topics_together {
            for (review, (_, read)) in open.iter().filter(|(_, (_, read))| !read.topic.is_empty()) {
                let server = review.project.split('/').next().unwrap_or_default();
                topics.entry((server, read.topic.as_str())).or_default().push(review);
            }
            topics.values_mut().for_each(|all| all.sort());
        }
        Related { corpus, open, repos, projects, blind, commits, topics, ids: RefCell::new(ids) }
    }

    fn change(&self, review: &Review) -> Option<&'a Change> {
        let project = self.corpus.gerrit.project(review.project.as_bytes())?;
        self.corpus.gerrit.shown_change(project, review.number)
    }

    fn edges(&self, review: &Review, read: &Read) -> Vec<Edge> {
        let gerrit = &self.corpus.gerrit;
        let Some(commit) = hash(read.commit.as_bytes()).and_then(|hash| gerrit.commit(&hash)) else {
            return vec![Edge::Unseen("has a commit that was not read yet".to_owned())];
        };
        let mut edges = Vec::new();
        for parent in gerrit.parents(gerrit.commits().get(commit)) {
            if let Some((below, patch_set)) = self.commits.get(&parent).filter(|(below, _)| below != review) {
                edges.push(Edge::Upon { review: below.clone(), patch_set: *patch_set });
            }
        }
        for footer in footers::of_message(gerrit.message(&self.corpus.log, commit)) {
            self.follow(footer, &mut edges);
        }
        let server = review.project.split('/').next().unwrap_or_default();
        let same = self.topics.get(&(server, read.topic.as_str())).into_iter().flatten();
        edges.extend(same.filter(|other| **other != review).map(|other| Edge::Topic((*other).clone())));
        edges
    }

    fn follow(&self, footer: Footer, edges: &mut Vec<Edge>) {
        match footer {
            Footer::Other(text, why) => {
                edges.push(Edge::Broken(format!("says `Depends-On: {text}`: {why}")));
            }
            Footer::Id(id) => {
                let all = self.ids.borrow_mut().find(self.corpus, &self.projects, &id);
                let with = |status| all.iter().filter(move |review| self.status(review) == Some(status));
                let open: Vec<_> = with(Status::New).cloned().map(Edge::Needs).collect();
                if open.is_empty() && with(Status::Merged).next().is_none() {
                    let what = format!("says `Depends-On: {id}`");
                    edges.push(match all.first() {
                        Some(given_up) => Edge::Needs(given_up.clone()),
                        None if self.blind.is_empty() => {
                            Edge::Broken(format!("{what}: no change here has that id"))
                        }
                        None => Edge::Unseen(format!("{what}: not all changes were read yet")),
                    });
                }
                edges.extend(open);
            }
            Footer::Place { host, project, number } => {
                let named = project.map(|project| format!("{host}/{project}"));
                let of_host = |name: &&str| Project::server(name.as_bytes()) == host.as_bytes();
                let blind =
                    |name: &&str| named.as_deref().map_or_else(|| of_host(name), |named| named == *name);
                let has = |name: &&String| {
                    let review = Review { project: (*name).clone(), number };
                    self.change(&review).is_some()
                };
                let found = match &named {
                    Some(name) => self.corpus.gerrit.project(name.as_bytes()).map(|_| name.clone()),
                    None => self.projects.values().filter(|name| of_host(&name.as_str())).find(has).cloned(),
                };
                let what = named.clone().unwrap_or_else(|| host.clone());
                edges.push(match found {
                    Some(project) => Edge::Needs(Review { project, number }),
                    None if self.blind.iter().any(blind) => {
                        Edge::Unseen(format!("depends on {number} of {what}, which was not read yet"))
                    }
                    None => Edge::Broken(format!(
                        "depends on {number} of {what}, of which no change is known here"
                    )),
                });
            }
        }
    }

    fn status(&self, review: &Review) -> Option<Status> {
        self.change(review)?.status()
    }
}

impl World for Related<'_> {
    fn node(&self, review: &Review) -> Option<Node> {
        let change = self.change(review)?;
        let repo = self.repos.get(review.project.as_str()).map(|name| (*name).to_owned());
        let read = self.open.get(review).map(|(_, read)| read);
        let state = match change.status() {
            Some(Status::New) if read.is_some() || repo.is_none() => State::Open,
            Some(Status::Merged) => State::Landed,
            Some(Status::Abandoned) => State::Abandoned,
            _ => State::Hidden,
        };
        let Some(read) = read.filter(|_| state == State::Open) else {
            let (branch, commit) = (String::new(), String::new());
            return Some(Node {
                repo,
                branch,
                patch_set: change.version,
                commit,
                approved: false,
                state,
                edges: Vec::new(),
            });
        };
        Some(Node {
            repo,
            branch: read.branch.clone(),
            patch_set: read.patch_set,
            commit: read.commit.clone(),
            approved: read.approved,
            state,
            edges: self.edges(review, read),
        })
    }
}

/// By which commits these changes have landed, of those that have.
pub fn landed<'r>(corpus: &Corpus, rows: impl Iterator<Item = &'r TryChangeRow>) -> BTreeMap<String, String> {
    let gerrit = &corpus.gerrit;
    let one = |row: &TryChangeRow| {
        let review = Review::parse(&row.review)?;
        let change = gerrit.shown_change(gerrit.project(review.project.as_bytes())?, review.number)?;
        let merged = change.status() == Some(Status::Merged);
        merged.then(|| (row.review.clone(), hex::encode(gerrit.commits().get(change.commit).hash)))
    };
    rows.filter(|row| row.how != try_changes::REFUSED).filter_map(one).collect()
}
