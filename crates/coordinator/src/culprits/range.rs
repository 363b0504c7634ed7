//! What is kept of a bisection beside its row.

use dashboard::api::{Cell, CellRow, Outcome};
use serde::{Deserialize, Serialize};
use triage::Bisection;

/// The range, and how far it is searched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Doc {
    /// The commits, oldest first: the first went well, the last failed.
    pub commits: Vec<Commit>,
    /// What is behind the commit in each revision: what all are built with.
    pub rest: String,
    /// The branch that the toolchain's commit is of.
    pub toolchain_branch: Option<String>,
    /// Tells apart the same test run in several ways.
    pub variant: String,
    /// The worker that saw it fail.
    pub worker: String,
    /// The search; nothing while the break is not confirmed.
    pub search: Option<Bisection>,
}

/// A commit of the range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commit {
    /// 40 digits.
    pub hash: String,
    /// The first line of its message.
    pub title: String,
    /// Who wrote it.
    pub author: String,
    /// Their address, if there is one.
    pub email: Option<String>,
    /// When it was made, microseconds since 1970.
    pub time: i64,
}

/// What there is between a commit that failed and the one before it that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// The range, oldest first.
    Range(Vec<Commit>),
    /// It was broken before, or nothing is known from before, or the commit is not on the branch.
    Nothing,
}

/// Looks in the newest commits of a branch, newest first, what was before a commit on a builder.
pub(super) fn before(rows: &[CellRow], commit: &str, builder: &str, against: Option<&str>) -> Before {
    let cell = |row: &CellRow| -> Option<Outcome> {
        let fits = |cell: &&Cell| cell.builder == builder && cell.toolchain_branch.as_deref() == against;
        row.cells.iter().find(fits)?.build.as_ref()?.outcome
    };
    let line: Vec<&CellRow> = rows.iter().filter(|row| row.reachable).collect();
    let Some(at) = line.iter().position(|row| row.commit.hash == commit) else { return Before::Nothing };
    let judged = |row: &&CellRow| matches!(cell(row), Some(Outcome::Ok | Outcome::Failed));
    let Some(good) = line.iter().skip(at + 1).position(judged).map(|n| at + 1 + n) else {
        return Before::Nothing;
    };
    if cell(line[good]) != Some(Outcome::Ok) {
        return Before::Nothing;
    }
    let commit = |row: &&CellRow| Commit {
        hash: row.commit.hash.clone(),
        title: row.commit.message.lines().next().unwrap_or_default().chars().take(200).collect(),
        author: row.commit.author_name.clone(),
        email: row.commit.author_email.clone().filter(|email| !email.is_empty()),
        time: row.commit.time_us,
    };
    Before::Range(line[at..=good].iter().rev().map(commit).collect())
}

impl Doc {
    /// The revision of a commit of the range.
    pub fn revision(&self, repo: &str, commit: &str) -> String {
        format!("{repo}@{commit}{}", self.rest)
    }

    /// A commit of the range.
    pub fn commit(&self, hash: &str) -> Option<&Commit> {
        self.commits.iter().find(|one| one.hash == hash)
    }
}

#[cfg(test)]
mod tests {
    use dashboard::api::{BuildState, BuildSummary, CellState, CommitInfo};

    use super::*;

    fn row(n: u8, outcome: Option<Outcome>) -> CellRow {
        let build = outcome.map(|outcome| BuildSummary {
            id: String::new(),
            builder: "b".into(),
            repo: "r".into(),
            branch: "main".into(),
            revision: String::new(),
            class: String::new(),
            state: BuildState::Done,
            outcome: Some(outcome),
            cause: None,
            attempts: 1,
            created: jiff::Timestamp::UNIX_EPOCH,
            started: None,
            ended: None,
            expected_ms: None,
        });
        let cell = Cell {
            builder: "b".into(),
            revision: String::new(),
            state: CellState::Build,
            reason: None,
            toolchain_branch: None,
            build,
            since: None,
            alike: None,
        };
        CellRow {
            commit: CommitInfo {
                hash: n.to_string(),
                parents: Vec::new(),
                author_name: "A".into(),
                author_email: None,
                time_us: 0,
                message: format!("{n}\n\nmore"),
            },
            reachable: true,
            position: None,
            cells: vec![cell],
        }
    }

    #[test]
    fn a_break_begins_where_it_went_well_before() {
        let (ok, failed, infra) = (Some(Outcome::Ok), Some(Outcome::Failed), Some(Outcome::InfraFailed));
        let range = |outcomes: &[Option<Outcome>], commit: &str| {
            let rows: Vec<_> = (0..).zip(outcomes).map(|(n, outcome)| row(9 - n, *outcome)).collect();
            match before(&rows, commit, "b", None) {
                Before::Range(all) => {
                    Some(all.into_iter().map(|one| one.title).collect::<Vec<_>>().join(" "))
                }
                Before::Nothing => None,
            }
        };
        assert_eq!(range(&[failed, None, infra, ok, failed], "9").as_deref(), Some("6 7 8 9"));
        assert_eq!(range(&[ok, failed, ok], "8").as_deref(), Some("7 8"));
        assert_eq!(range(&[failed, failed, ok], "9"), None, "it was broken before");
        assert_eq!(range(&[failed, None, None], "9"), None, "nothing is known from before");
        assert_eq!(range(&[ok], "4"), None, "it is not on the branch");
    }
}
