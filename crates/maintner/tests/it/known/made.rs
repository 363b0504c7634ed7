//! A log of few issues, changes and branches to which much happens, each record when it does.

use std::collections::BTreeMap;

use fastrand::Rng;
use maintpb::{
    BoolChange, GerritMutation, GitCommit, GitRef, GithubIssueCommentMutation, GithubIssueEvent,
    GithubIssueMutation, GithubIssueSyncStatus, GithubLabel, GithubMilestone, GithubMutation, GithubReview,
    GithubUser, Mutation, StringChange,
};

use crate::logs::{at, issue, of_github, of_issue};

/// A project of a Gerrit, and one that is only git.
const PROJECTS: [&str; 2] = ["go.googlesource.com/go", "git.example.org/plain"];

pub struct Made {
    /// Each with when it was written, as far as the log itself tells.
    pub records: Vec<(i64, Mutation)>,
    pub begun: i64,
    pub now: i64,
    rng: Rng,
    id: i64,
    issues: BTreeMap<i32, Known>,
    changes: BTreeMap<i32, Change>,
    /// By project and name, the commits at which it was, the newest last.
    branches: BTreeMap<(usize, String), Vec<String>>,
    /// What GitHub, notes, and commits of the plain project say the time is.
    github: i64,
    notes: i64,
    plain: i64,
}

#[derive(Default)]
struct Known {
    comments: Vec<i64>,
    events: Vec<GithubIssueEvent>,
    /// It was opened, whether or not it is gone.
    opened: bool,
}

#[derive(Default)]
struct Change {
    patch_set: i32,
    meta: Option<String>,
}

impl Made {
    pub fn of(seed: u64, steps: usize) -> Self {
        let mut made = Self {
            records: Vec::new(),
            begun: 1_000_000,
            now: 1_000_000,
            rng: Rng::with_seed(seed),
            id: 1000,
            issues: BTreeMap::new(),
            changes: BTreeMap::new(),
            branches: BTreeMap::new(),
            github: i64::MIN,
            notes: i64::MIN,
            plain: i64::MIN,
        };
        for _ in 0..steps {
            made.now += made.rng.i64(1..500);
            match made.rng.u8(0..20) {
                0..12 => made.issue(),
                12..16 => made.change(),
                _ => made.branch(),
            }
        }
        made
    }

    fn id(&mut self) -> i64 {
        self.id += self.rng.i64(1..9);
        self.id
    }

    fn user(&mut self) -> GithubUser {
        let id = self.rng.i64(1..6);
        let login = if self.rng.u8(0..6) == 0 { format!("renamed{}", self.id) } else { format!("user{id}") };
        GithubUser { id, login }
    }

    fn label(&mut self) -> GithubLabel {
        let id = self.rng.i64(1..5);
        GithubLabel { id, name: format!("label{id}") }
    }

    fn word(&mut self) -> String {
        format!("word {}", self.id())
    }

    /// Something is heard of an issue, now or with what was heard last.
    fn heard(&mut self, timed: bool, issue: GithubIssueMutation) {
        if timed {
            self.github = self.now;
        }
        self.records.push((self.github, of_issue(issue)));
    }

    fn issue(&mut self) {
        let number = self.rng.i32(1..6);
        if !self.issues.get(&number).is_some_and(|known| known.opened) {
            return self.opened(number);
        }
        match self.rng.u8(0..16) {
            0..5 => {
                let state = self.state(number, true);
                self.heard(true, state);
            }
            5 => {
                let state = self.state(number, false);
                self.heard(false, state);
            }
            6..9 => self.comments(number),
            9..12 => self.events(number),
            12 => {
                let review = GithubReview {
                    id: self.id(),
                    actor_id: self.rng.i64(1..9),
                    created: at(self.now),
                    state: "APPROVED".into(),
                    body: self.word(),
                    ..GithubReview::default()
                };
                let read = Some(GithubIssueSyncStatus { server_date: at(self.now) });
                let all = GithubIssueMutation { review: vec![review], review_status: read, ..issue(number) };
                self.heard(true, all);
            }
            13 => {
                let user = Some(self.user());
                self.heard(false, GithubIssueMutation { user, ..issue(number) });
            }
            14 => self.heard(false, GithubIssueMutation { not_exist: true, ..issue(number) }),
            _ => {
                let (label, title) = (self.label(), self.word());
                let milestones = vec![GithubMilestone { id: 3, title, ..GithubMilestone::default() }];
                let labels = vec![label];
                let all = GithubMutation { owner: "golang".into(), repo: "go".into(), labels, milestones };
                self.records.push((self.github, of_github(all)));
            }
        }
    }

    fn opened(&mut self, number: i32) {
        if self.rng.u8(0..5) == 0 {
            // Only its number was used.
            return self.heard(false, GithubIssueMutation { not_exist: true, ..issue(number) });
        }
        self.issues.entry(number).or_default().opened = true;
        let user = Some(self.user());
        match self.rng.u8(0..5) {
            // Nothing says when it was made.
            0 => {
                let state = self.state(number, true);
                self.heard(true, GithubIssueMutation { user, ..state });
            }
            1 if self.github > i64::MIN => {
                let state = self.state(number, false);
                self.heard(false, GithubIssueMutation { user, ..state });
            }
            _ => {
                let state = self.state(number, true);
                self.heard(true, GithubIssueMutation { user, created: at(self.now), ..state });
            }
        }
    }

    fn state(&mut self, number: i32, timed: bool) -> GithubIssueMutation {
        let mut state = GithubIssueMutation { title: self.word(), ..issue(number) };
        if timed {
            state.updated = at(self.now);
        }
        let set = |rng: &mut Rng| Some(BoolChange { val: rng.bool() });
        match self.rng.u8(0..8) {
            0 => state.closed = set(&mut self.rng),
            1 => state.locked = set(&mut self.rng),
            2 => state.add_label = vec![self.label(), self.label()],
            3 => state.remove_label = vec![self.rng.i64(1..5)],
            4 => state.assignees = vec![self.user()],
            5 => state.deleted_assignees = vec![self.rng.i64(1..6)],
            6 => state.body_change = Some(StringChange { val: self.word() }),
            _ => (state.milestone_id, state.milestone_title) = (self.rng.i64(1..4), "M".into()),
        }
        state
    }

    fn comments(&mut self, number: i32) {
        let mut comment = GithubIssueCommentMutation {
            id: self.id(),
            user: Some(self.user()),
            body: self.word(),
            updated: at(self.now),
            ..GithubIssueCommentMutation::default()
        };
        let known = &mut self.issues.entry(number).or_default().comments;
        if !known.is_empty() && self.rng.bool() {
            // An old one is changed.
            (comment.id, comment.user) = (known[self.rng.usize(0..known.len())], None);
        } else {
            known.push(comment.id);
            comment.created = at(self.now);
        }
        let read = self.rng.bool().then(|| GithubIssueSyncStatus { server_date: at(self.now) });
        let all = GithubIssueMutation { comment: vec![comment], comment_status: read, ..issue(number) };
        self.heard(true, all);
    }

    fn events(&mut self, number: i32) {
        let kinds =
            ["closed", "reopened", "locked", "unlocked", "labeled", "unlabeled", "renamed", "assigned"];
        let event = GithubIssueEvent {
            id: self.id(),
            event_type: self.rng.choice(kinds).unwrap_or_default().into(),
            actor_id: self.rng.i64(1..9),
            assignee_id: self.rng.i64(0..6),
            created: at(self.now),
            label: Some(self.label()),
            rename_to: self.word(),
            ..GithubIssueEvent::default()
        };
        let known = &mut self.issues.entry(number).or_default().events;
        // Some of the page that is read were read before.
        let mut page: Vec<GithubIssueEvent> = known.iter().rev().take(2).cloned().collect();
        known.push(event.clone());
        page.push(event);
        let read = Some(GithubIssueSyncStatus { server_date: at(self.now) });
        self.heard(true, GithubIssueMutation { event: page, event_status: read, ..issue(number) });
    }

    /// A commit of now in a project.
    fn commit(&mut self, project: usize, parent: Option<&String>, message: &str) -> String {
        let sha1 = format!("{:040x}", self.id());
        let parent = parent.map(|parent| format!("parent {parent}\n")).unwrap_or_default();
        let who = format!("Ann <{}@s> {} +0000", self.rng.u8(1..5), self.now);
        let tree = "0".repeat(40);
        let raw = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}").into_bytes();
        let commits = vec![GitCommit { sha1: sha1.clone(), raw, ..GitCommit::default() }];
        self.gerrit(self.now, GerritMutation { commits, ..of(project) });
        sha1
    }

    fn gerrit(&mut self, time: i64, gerrit: GerritMutation) {
        self.records.push((time, Mutation { gerrit: Some(gerrit), ..Mutation::default() }));
    }

    fn change(&mut self) {
        let number = self.rng.i32(101..104);
        let mut change = self.changes.remove(&number).unwrap_or_default();
        let mut refs = Vec::new();
        let prefix = format!("refs/changes/{:02}/{number}", number % 100);
        let message = if change.patch_set == 0 || self.rng.u8(0..3) == 0 {
            change.patch_set += 1;
            let message = format!("net: {}\n\nFixes #{}\n", self.word(), self.rng.u8(1..9));
            let commit = self.commit(0, None, &message);
            refs.push((format!("{prefix}/{}", change.patch_set), commit));
            let nth = change.patch_set;
            format!(
                "Create patch set {nth}\n\nUploaded patch set {nth}.\n\nPatch-set: {nth}\nBranch: refs/heads/master\n"
            )
        } else {
            let said = ["Label: Code-Review=+2", "Status: merged", "Private: true", "Hashtags: a, b"];
            let (nth, said) = (change.patch_set, self.rng.choice(said).unwrap_or_default());
            format!("Update patch set {nth}\n\nPatch Set {nth}: hi\n\nPatch-set: {nth}\n{said}\n")
        };
        let meta = self.commit(0, change.meta.as_ref(), &message);
        change.meta = Some(meta.clone());
        self.changes.insert(number, change);
        refs.push((format!("{prefix}/meta"), meta));
        self.notes = self.now;
        self.refs(0, refs);
    }

    /// When a project's refs say it is.
    fn clock(&self, project: usize) -> i64 {
        if project == 0 { self.notes } else { self.notes.max(self.plain) }
    }

    fn refs(&mut self, project: usize, refs: Vec<(String, String)>) {
        let refs = refs.into_iter().map(|(r#ref, sha1)| GitRef { r#ref, sha1 }).collect();
        self.gerrit(self.clock(project), GerritMutation { refs, ..of(project) });
    }

    fn branch(&mut self) {
        // Before the first note nothing but commits tells the time of its project's refs.
        let project = if self.notes == i64::MIN { 1 } else { self.rng.usize(0..2) };
        let key = (project, format!("refs/heads/{}", self.rng.u8(1..4)));
        let mut was = self.branches.remove(&key).unwrap_or_default();
        match self.rng.u8(0..6) {
            0 if !was.is_empty() => {
                let deleted_refs = vec![key.1.clone()];
                self.gerrit(self.clock(project), GerritMutation { deleted_refs, ..of(project) });
                was.clear();
            }
            1 if was.len() > 1 => {
                // It is reset.
                was.pop();
                self.refs(project, vec![(key.1.clone(), was[was.len() - 1].clone())]);
            }
            _ => {
                let commit = self.commit(project, was.last(), "more\n");
                was.push(commit.clone());
                if project == 1 {
                    self.plain = self.now;
                }
                // Where notes tell the time, they do not know of it: its own time does.
                let refs = vec![GitRef { r#ref: key.1.clone(), sha1: commit }];
                self.gerrit(self.now, GerritMutation { refs, ..of(project) });
            }
        }
        self.branches.insert(key, was);
    }
}

fn of(project: usize) -> GerritMutation {
    GerritMutation { project: PROJECTS[project].into(), ..GerritMutation::default() }
}
