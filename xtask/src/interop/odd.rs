//! Records of which the original and we say different things, and those of which its public names say nothing: what follows
//! the made-up log, so that each rule of ours and each thing that is left out of a comparison is shown to be there for a reason.
//!
//! Of the rows of spec maintner §11 these can't be shown by two dumps of one log:
//! - labels and milestones of id 0, commits without an empty line and hashes of other digits end the original's program, so that
//!   there is nothing to compare; what it passes over as we do is here (`NOTHING`).
//! - `commentsUpdatedTil`, a label's votes when the last one is taken away, the index of issues to changes and `Meta.LabelVotes`
//!   are not in the dump.
//! - The rest is of those who write logs, of the daemon, of its hints, or both do the same: that `body` can't clear, `Private`
//!   that is never taken back, tags under a commit's hash, odd refs of changes, where a message is cut, any `#N`, repos that are
//!   only named. The made-up log has all but the first of these.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use maintpb::{
    GerritMutation, GitCommit, GitDiffTree, GitDiffTreeFile, GitRef, GithubIssueCommentMutation,
    GithubIssueEvent, GithubIssueMutation, GithubReview, GithubTeam, GithubUser, Mutation, Timestamp,
};
use prost::Message as _;

/// The repo and the project of these records, of which the made-up log has nothing.
pub(super) const REPO: &str = "golang/odd";
pub(super) const PROJECT: &str = "go.googlesource.com/odd";

/// The day of the file of these records, behind all others.
const FILE: &str = "maintner-2099-01-01.mutlog";
/// Who does all of it.
const WHO: &str = "Ann <7@u>";
/// Of a commit that is none, to be in no dump.
pub(super) const NOTHING: &str = "0bad00000000000000000000000000000000000b";

/// Of these records, how much is passed over: an id of each of three kinds, and that commit.
pub(super) const PASSED_OVER: u64 = 4;

/// A row of spec maintner §11: what makes the difference, and each field in which the dumps differ by it.
pub(super) struct Difference {
    pub(super) what: &'static str,
    records: Vec<Mutation>,
    pub(super) seen: Vec<Field>,
}

/// A field of a line, and what is in it by either's rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Field {
    /// What the line is of, with blanks.
    pub(super) line: String,
    pub(super) at: usize,
    pub(super) theirs: String,
    pub(super) ours: String,
}

impl Field {
    fn new(line: String, at: usize, theirs: &str, ours: &str) -> Self {
        Self { line, at, theirs: theirs.to_owned(), ours: ours.to_owned() }
    }
}

/// Writes the records of all of it behind a log.
pub(super) fn append(dir: &Path) -> Result<()> {
    let mut records: Vec<Mutation> = all().into_iter().flat_map(|one| one.records).collect();
    records.extend(unshown());
    day_file(&dir.join(FILE), &records)
}

/// A day file of these records.
pub(super) fn day_file(path: &Path, records: &[Mutation]) -> Result<()> {
    let mut bytes = Vec::new();
    for record in records {
        write!(bytes, "REC@{:x}+{:x}=", bytes.len(), record.encoded_len())?;
        record.encode(&mut bytes)?;
    }
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// Each difference that a dump shows.
pub(super) fn all() -> Vec<Difference> {
    let mut all = of_issues();
    all.extend(of_changes());
    all.extend(of_votes());
    all
}

fn of_issues() -> Vec<Difference> {
    let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let line = |number: i32| format!("I {REPO} {number}");
    let ann = || GithubUser { id: 7, login: "ann".into() };
    vec![
        Difference {
            what: "an issue that is there again has no `created`",
            records: vec![
                issue(1, |issue| issue.not_exist = true),
                issue(1, |issue| issue.created = at(1000)),
            ],
            seen: vec![Field::new(line(1), 5, "-", "1000")],
        },
        Difference {
            what: "nor has one that was first seen without it",
            records: vec![
                issue(2, |issue| issue.title = "late".into()),
                issue(2, |issue| issue.created = at(1000)),
            ],
            seen: vec![Field::new(line(2), 5, "-", "1000")],
        },
        Difference {
            what: "an assignee twice in one mutation",
            records: vec![issue(3, |issue| {
                issue.created = at(1000);
                issue.assignees = vec![ann(), ann()];
            })],
            seen: vec![Field::new(line(3), 14, "7,7", "7")],
        },
        Difference {
            what: "ids that are 0 and a commit that is none are passed over by both",
            records: vec![
                issue(4, |issue| {
                    issue.created = at(1000);
                    issue.comment =
                        vec![GithubIssueCommentMutation { body: "x".into(), ..Default::default() }];
                    issue.event =
                        vec![GithubIssueEvent { event_type: "closed".into(), ..Default::default() }];
                    issue.review = vec![GithubReview { state: "APPROVED".into(), ..Default::default() }];
                }),
                project(
                    vec![GitCommit {
                        sha1: NOTHING.into(),
                        raw: b"author Ann <ann@example.org> soon +0000\n\nsubject\n".to_vec(),
                        ..Default::default()
                    }],
                    Vec::new(),
                ),
            ],
            seen: Vec::new(),
        },
    ]
}

fn of_changes() -> Vec<Difference> {
    let line = |number: u32| format!("G {PROJECT} {number}");
    let begin = "Create change\n\nUploaded patch set 1.\n\n";
    let flag = |number, what, note: &str, at, theirs, ours| Difference {
        what,
        records: vec![change(number, &[1], &[note])],
        seen: vec![Field::new(line(number), at, theirs, ours)],
    };
    vec![
        Difference {
            what: "the current patch set is the one seen last",
            records: vec![change(1, &[10, 9], &[&format!("{begin}Patch-set: 9\nStatus: new\n")])],
            seen: vec![
                Field::new(line(1), 4, "9", "10"),
                Field::new(line(1), 5, &pushed(1, 9).sha1, &pushed(1, 10).sha1),
            ],
        },
        flag(
            2,
            "`Private: true` as the last line",
            &format!("{begin}Patch-set: 1\nStatus: new\nPrivate: true"),
            9,
            "0",
            "1",
        ),
        flag(
            3,
            "`Private: true` in a text",
            "Update patch set 1\n\nPrivate: true\n\nPatch-set: 1\nStatus: new\n",
            9,
            "1",
            "0",
        ),
        flag(
            4,
            "a key in the middle of a line, behind the same key",
            &format!("{begin}Patch-set: 1\nStatus: new\nxBranch:Branch: refs/heads/dev\n"),
            10,
            "dev",
            "-",
        ),
    ]
}

fn of_votes() -> Vec<Difference> {
    let line = |number: u32, index: u32| format!("Q {PROJECT} {number} {index}");
    let tag = "Tag: autogenerated:gerrit:newPatchSet";
    let commit = |number, version| pushed(number, version).sha1;
    let tagged = |number, what, footer: String| Difference {
        what,
        records: vec![change(
            number,
            &[1, 2],
            &[
                &format!(
                    "Create change\n\nPatch-set: 1\n{tag}\nCommit: {}\nLabel: Run-TryBot=+1\n",
                    commit(number, 1)
                ),
                &format!("Create patch set 2\n\n{footer}"),
            ],
        )],
        seen: vec![Field::new(line(number, 1), 9, "Run-TryBot=7@u=1", "-")],
    };
    let vote = |number, what, said: &str, ours| Difference {
        what,
        records: vec![change(
            number,
            &[1],
            &[&format!("Update patch set 1\n\nPatch-set: 1\nLabel: Code-Review={said}\n")],
        )],
        seen: vec![Field::new(line(number, 0), 9, "Code-Review=7@u=0", ours)],
    };
    vec![
        tagged(
            5,
            "`Tag: …newPatchSet` as a footer's first line",
            format!("{tag}\nPatch-set: 2\nCommit: {}\n", commit(5, 2)),
        ),
        tagged(6, "and as its last", format!("Patch-set: 2\nCommit: {}\n{tag}", commit(6, 2))),
        vote(7, "a vote of newer servers", "+2, 0123abcd", "Code-Review=7@u=2"),
        vote(8, "a vote that is no number", "good", "-"),
    ]
}

/// What the original knows and its public names don't show: somebody and a team whose event became another, and a change
/// without notes.
fn unshown() -> Vec<Mutation> {
    let event = |actor_id, team: Option<GithubTeam>| {
        issue(5, |issue| {
            issue.created = Some(Timestamp { seconds: 1000, nanos: 0 });
            let kind = "review_requested".into();
            issue.event = vec![GithubIssueEvent {
                id: 5,
                event_type: kind,
                actor_id,
                team_reviewer: team,
                ..Default::default()
            }];
        })
    };
    let team = GithubTeam { id: 99, slug: "gone".into() };
    vec![event(8, Some(team)), event(7, None), change(9, &[1], &[])]
}

fn issue(number: i32, with: impl FnOnce(&mut GithubIssueMutation)) -> Mutation {
    let (owner, repo) = REPO.split_once('/').unwrap_or_default();
    let mut issue =
        GithubIssueMutation { owner: owner.into(), repo: repo.into(), number, ..Default::default() };
    with(&mut issue);
    Mutation { github_issue: Some(issue), ..Default::default() }
}

fn project(commits: Vec<GitCommit>, refs: Vec<GitRef>) -> Mutation {
    let gerrit = GerritMutation { project: PROJECT.into(), commits, refs, ..Default::default() };
    Mutation { gerrit: Some(gerrit), ..Default::default() }
}

/// A change with these patch sets, told in this order, and notes of these messages.
fn change(number: u32, versions: &[u32], notes: &[&str]) -> Mutation {
    let at = |last: String, sha1: &str| GitRef {
        r#ref: format!("refs/changes/{:02}/{number}/{last}", number % 100),
        sha1: sha1.into(),
    };
    let mut commits = Vec::new();
    let mut refs = Vec::new();
    for version in versions {
        let commit = pushed(number, *version);
        refs.push(at(version.to_string(), &commit.sha1));
        commits.push(commit);
    }
    let mut before = String::new();
    for (nth, note) in (1..).zip(notes) {
        let sha1 = hash(number, 100 + nth);
        let commit = commit(&sha1, &before, note, Vec::new());
        before = format!("parent {sha1}\n");
        commits.push(commit);
    }
    if !before.is_empty() {
        refs.push(at("meta".into(), &commits[commits.len() - 1].sha1));
    }
    project(commits, refs)
}

/// A patch set; each has another file.
fn pushed(number: u32, version: u32) -> GitCommit {
    let file = GitDiffTreeFile { file: format!("{version}.go"), added: 1, ..Default::default() };
    commit(&hash(number, version), "", "odd: change\n", vec![file])
}

fn hash(number: u32, nth: u32) -> String {
    format!("0dd{number:05}{nth:032}")
}

fn commit(sha1: &str, parent: &str, message: &str, file: Vec<GitDiffTreeFile>) -> GitCommit {
    let who = format!("{WHO} 1500000000 +0000");
    let tree = "0".repeat(40);
    let raw = format!("tree {tree}\n{parent}author {who}\ncommitter {who}\n\n{message}");
    let diff_tree = Some(GitDiffTree { file });
    GitCommit { sha1: sha1.into(), raw: raw.into_bytes(), diff_tree, ..Default::default() }
}
