//! The rows of a dashboard. Source: spec/maintner.md §5.3.

mod commits;

use maintner::corpus::Corpus;
use maintpb::api::{DashCommit, DashRepoHead, DashboardRequest, DashboardResponse, GoRelease};

use self::commits::Page;
use super::deadline::{Deadline, Late};
use super::refs::{at, below, hex};
use super::releases::{TooFew, supported};
use super::{Home, refs};

/// Commits of a page where nobody says how many, and where all branches are asked for.
const USUAL: i32 = 30;
const USUAL_MIXED: i32 = 500;
/// The most commits of a page.
const MOST: i32 = 1000;
/// Commits before a page are less than this.
const FARTHEST: i64 = 10_000;

/// Why there are no rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DashboardError {
    /// There is no project to begin with.
    #[error("there is no project {0} in the corpus")]
    NoHome(String),
    /// The repo has no project.
    #[error("repo {0:?} not found")]
    NoRepo(String),
    /// The branch is none of the main project's.
    #[error("branch {0:?} not found")]
    NoBranch(String),
    /// A number is not as it may be.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// What it says of releases can't be told.
    #[error(transparent)]
    Releases(#[from] TooFew),
    /// It took too long.
    #[error(transparent)]
    Late(#[from] Late),
}

/// The project of an import path; none of what is no such path.
fn project_of(repo: &str) -> Option<&str> {
    repo.strip_prefix("golang.org/x/").filter(|name| !name.is_empty() && !name.contains('/'))
}

/// Makes the rows that are asked for.
///
/// # Errors
/// Questions that can't be meant, and a corpus in which there is no answer.
pub fn dashboard(
    corpus: &Corpus,
    home: &Home,
    asked: &DashboardRequest,
    deadline: &Deadline,
) -> Result<DashboardResponse, DashboardError> {
    let main = home.main(corpus).ok_or_else(|| DashboardError::NoHome(home.name()))?;
    let is_main = asked.repo.is_empty() || asked.repo == home.project;
    let project = if is_main {
        main
    } else {
        let found = project_of(&asked.repo).and_then(|name| refs::project(corpus, &home.server, name));
        found.ok_or_else(|| DashboardError::NoRepo(asked.repo.clone()))?
    };
    let branches: Vec<String> =
        below(corpus, main, "refs/heads/").into_iter().map(|(name, _)| name.to_owned()).collect();
    let branch = if asked.branch.is_empty() { "master" } else { &asked.branch };
    let mixed = branch == "mixed";
    if !mixed && !branches.iter().any(|known| known == branch) {
        return Err(DashboardError::NoBranch(branch.to_owned()));
    }
    let (page, size) = page_of(asked, mixed, branches.len())?;
    let mut rows = Page::default();
    if mixed {
        rows.mixed(corpus, project, &branches, size, deadline)?;
    } else if let Some(head) = corpus.gerrit.at_ref(project, format!("refs/heads/{branch}").as_bytes()) {
        rows.of_branch(corpus, head, branch, page * size, size, deadline)?;
    }
    let mut commits = rows.rows(corpus);
    if !is_main {
        rows.beside(corpus, main, &mut commits, deadline)?;
    }
    let [newest, before] = supported(corpus, main)?;
    let master = GoRelease {
        branch_name: "master".into(),
        branch_commit: at(corpus, main, "refs/heads/master").unwrap_or_default(),
        ..GoRelease::default()
    };
    Ok(DashboardResponse {
        commits,
        repo_heads: heads(corpus, home),
        branches,
        releases: vec![master, newest, before],
        commits_truncated: rows.truncated,
    })
}

/// The number of the page and its size, in the order in which the original looks at them.
fn page_of(asked: &DashboardRequest, mixed: bool, branches: usize) -> Result<(usize, usize), DashboardError> {
    let size = match asked.max_commits {
        ..0 => return Err(DashboardError::Invalid("max_commits")),
        0 if mixed => USUAL_MIXED,
        0 => USUAL,
        more => more.min(MOST),
    };
    let size = usize::try_from(size).unwrap_or_default();
    if mixed && size < branches {
        return Err(DashboardError::Invalid("max_commits: fewer than there are branches"));
    }
    let page = usize::try_from(asked.page).map_err(|_| DashboardError::Invalid("page"))?;
    if mixed && page > 0 {
        return Err(DashboardError::Invalid("page: all branches are on one"));
    }
    let before = page.checked_mul(size).and_then(|before| i64::try_from(before).ok());
    if before.is_none_or(|before| before >= FARTHEST) {
        return Err(DashboardError::Invalid("page: too far back"));
    }
    Ok((page, size))
}

/// The head of each project of the server that has a branch master, sorted by project.
fn heads(corpus: &Corpus, home: &Home) -> Vec<DashRepoHead> {
    let server = format!("{}/", home.server);
    let mut heads: Vec<DashRepoHead> = corpus
        .gerrit
        .projects()
        .numbered()
        .filter_map(|(number, project)| {
            let name = std::str::from_utf8(corpus.gerrit.name(project.name)).ok()?;
            let name = name.strip_prefix(&server)?;
            let head = corpus.gerrit.at_ref(number, b"refs/heads/master")?;
            Some(DashRepoHead { gerrit_project: name.to_owned(), commit: Some(row(corpus, head, "")) })
        })
        .collect();
    heads.sort_by(|one, other| one.gerrit_project.cmp(&other.gerrit_project));
    heads
}

/// What is shown of a commit.
fn row(corpus: &Corpus, commit: u32, branch: &str) -> DashCommit {
    let gerrit = &corpus.gerrit;
    let known = gerrit.commits().get(commit);
    let person = gerrit.name(known.author);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let name = person.iter().position(|byte| *byte == b'<').map_or(person, |at| &person[..at]);
    let message = gerrit.message(&corpus.log, commit);
    let title = message.split(|byte| *byte == b'\n').next().unwrap_or_default();
    DashCommit {
        commit: hex(corpus, commit),
        author_name: text(name),
        author_email: String::from_utf8_lossy(maintner::commit::email(person)).into_owned(),
        commit_time_sec: known.time,
        title: text(title),
        branch: branch.to_owned(),
        ..DashCommit::default()
    }
}
