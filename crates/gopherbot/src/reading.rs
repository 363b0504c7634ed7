//! Failures, read from a dashboard's API (`spec/services.md` §5.7 to 5.10).
//!
//! Looked at is the grid of each branch: its newest commits by the builders that build them. Left out are commits on which much failed and
//! builders that fail in a row, as their failures say nothing of a test.

use std::collections::{BTreeMap, BTreeSet};

use dashboard::api::{BuildSummary, CellWindow, LogRange, Outcome, TestKind, TestResult};
use dashboard::client::{DashboardClient, LogOf, known};
use jiff::Timestamp;
use transport::CallError;

use crate::watchflakes::{
    Build, Failure, Kept, Parts, TestFailure, broken_builder, broken_commit, coalesce, split_test_id,
};

/// So much of a log's end is read, bytes.
const LOG: u64 = 1 << 20;
/// A commit that fewer builders build is never taken for broken: of three, one that fails would be more than a quarter.
const FEW: usize = 4;

/// What to look at.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Repositories; all if there is none.
    pub repos: Vec<String>,
    /// So many of the newest commits of each branch.
    pub commits: u32,
    /// The address that people reach the dashboard by, without a slash at its end.
    pub site: String,
}

/// What was read.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// Builds with failures, of the oldest commits first.
    pub builds: Vec<Build>,
    /// How many builds that failed were left out, as their commit or builder is broken.
    pub left_out: usize,
}

/// A build that failed.
#[derive(Debug, Clone)]
struct Failed {
    build: BuildSummary,
    commit: String,
    committed: Timestamp,
    top: bool,
}

/// What came of a builder's commits, of the newest first: whether each was good, where it ended, and the failure.
type Line = Vec<(Option<bool>, Option<Failed>)>;

/// Reads what failed.
///
/// # Errors
/// If the dashboard does not answer. A log or test results that are gone are no error.
pub async fn failures(dashboard: &DashboardClient, asked: &Asked) -> Result<Read, CallError> {
    let mut read = Read::default();
    let (mut failed, mut seen) = (Vec::new(), BTreeSet::new());
    for repo in dashboard.repos().await? {
        if !asked.repos.is_empty() && !asked.repos.contains(&repo.name) {
            continue;
        }
        for branch in repo.branches {
            let window = dashboard.cells(&repo.name, &branch.name, asked.commits).await?;
            let (kept, left) = kept(&window);
            read.left_out += left;
            // A commit may be on several branches.
            failed.extend(kept.into_iter().filter(|one| seen.insert(one.build.id.clone())));
        }
    }
    failed.sort_by(|a, b| (a.committed, &a.build.id).cmp(&(b.committed, &b.build.id)));
    for one in failed {
        let failures = of_build(dashboard, asked, &one).await?;
        read.builds.push(Build { id: one.build.id, failures });
    }
    Ok(read)
}

/// What of a branch's failures is looked into, and how much is not.
fn kept(window: &CellWindow) -> (Vec<Failed>, usize) {
    let mut lines: BTreeMap<(String, Option<String>), Line> = BTreeMap::new();
    let mut whole = 0;
    for row in window.rows.iter().filter(|row| row.reachable) {
        let ended = |cell: &dashboard::api::Cell| cell.build.as_ref().and_then(|build| build.outcome);
        let count = |of: Outcome| row.cells.iter().filter(|cell| ended(cell) == Some(of)).count();
        let (bad, good) = (count(Outcome::Failed), count(Outcome::Ok));
        let broken = row.cells.len() >= FEW && broken_commit(row.cells.len(), bad, good);
        for cell in &row.cells {
            let result = match ended(cell) {
                Some(Outcome::Ok) => Some(true),
                Some(Outcome::Failed) => Some(false),
                _ => None,
            };
            whole += usize::from(result == Some(false));
            let failed =
                cell.build.clone().filter(|_| result == Some(false) && !broken).map(|build| Failed {
                    build,
                    commit: row.commit.hash.clone(),
                    committed: Timestamp::from_microsecond(row.commit.time_us).unwrap_or_default(),
                    top: false,
                });
            // What is broken by its commit is no result of the builder's.
            let result = if broken { None } else { result };
            let line = lines.entry((cell.builder.clone(), cell.toolchain_branch.clone())).or_default();
            line.push((result, failed));
        }
    }
    let mut all = Vec::new();
    for line in lines.into_values() {
        let results: Vec<Option<bool>> = line.iter().map(|(result, _)| *result).collect();
        for (of, (_, failed)) in broken_builder(&results).into_iter().zip(line) {
            match (of, failed) {
                (Kept::Dropped, _) | (_, None) => {}
                (of, Some(failed)) => all.push(Failed { top: of == Kept::Top, ..failed }),
            }
        }
    }
    let left = whole - all.len();
    (all, left)
}

async fn of_build(
    dashboard: &DashboardClient,
    asked: &Asked,
    of: &Failed,
) -> Result<Vec<Failure>, CallError> {
    let id = of.build.id.as_str();
    let tests = known(dashboard.tests(id).await)?.unwrap_or_default().tests;
    let log = tail(dashboard, id).await?;
    let mut commits = of.build.revision.split('+').skip(1);
    let go_commit = commits.next().and_then(|part| part.split_once('@')).map(|(_, commit)| commit.to_owned());
    let mut names = of.build.builder.split('-');
    let mut name = || names.next().unwrap_or_default().to_owned();
    let whole = Parts {
        pkg: String::new(),
        test: String::new(),
        build: true,
        output: String::new(),
        log: log.clone(),
        status: String::new(),
        builder: of.build.builder.clone(),
        repo: of.build.repo.clone(),
        goos: name(),
        goarch: name(),
        commit: of.commit.clone(),
        committed: of.committed,
        go_commit,
        top: of.top,
        log_url: format!("{}/builds/{id}", asked.site),
    };
    let bad = failing(tests);
    if bad.is_empty() {
        let failure = known(dashboard.failure(id).await)?.flatten();
        let output = failure.map_or(log, |failure| {
            failure.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
        });
        return Ok(vec![Failure::from(Parts { output, ..whole })]);
    }
    let one = |test: TestFailure| {
        let (pkg, name) = split_test_id(&test.id);
        let (pkg, name) = (pkg.to_owned(), name.to_owned());
        let parts = Parts {
            pkg,
            test: name,
            build: false,
            output: test.output,
            status: test.status,
            ..whole.clone()
        };
        Failure::from(parts)
    };
    Ok(coalesce(bad).into_iter().map(one).collect())
}

/// The tests that failed in the last attempt.
fn failing(tests: Vec<TestResult>) -> Vec<TestFailure> {
    let last = tests.iter().filter_map(|test| test.attempt.clone()).max();
    let is = |test: &TestResult| {
        test.kind == TestKind::Test
            && test.outcome == "failed"
            && (test.attempt.is_none() || test.attempt == last)
    };
    let one = |test: TestResult| TestFailure {
        id: test.id,
        output: test.message.unwrap_or_default(),
        status: "FAIL".to_owned(),
    };
    tests.into_iter().filter(is).map(one).collect()
}

/// The end of a build's log.
async fn tail(dashboard: &DashboardClient, build: &str) -> Result<String, CallError> {
    let of = LogOf::Build(build);
    let Some(info) = known(dashboard.log_info(of).await)? else { return Ok(String::new()) };
    let range = LogRange::Bytes(info.bytes.saturating_sub(LOG), info.bytes);
    let bytes = known(dashboard.log_bytes(of, range, (LOG + 1) as usize).await)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
