//! What gitmirror posts: repos, branches, commits.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use store::branches::BranchRow;
use store::commits::CommitRow;
use store::repos::RepoRow;
use store::{Conn, Micros, Tx};
use transport::Viewer;

use super::line::{Kept, Posted, merge};
use super::refusal::{Answer, Input, Path, Refusal};
use super::{Dashboard, check_branch, check_hash, check_name, time, visible};
use crate::api::{
    BranchAnswer, BranchInfo, BranchUpdate, CommitInfo, RepoInfo, RepoState, RepoUpdate, Visibility,
};

/// How far back a branch's line is compared with what is posted.
const LINE: u32 = 100_000;
/// Longest list that is taken.
const LONGEST_LIST: usize = 20_000;
/// Longest message that is kept, in bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;

fn word(state: RepoState) -> &'static str {
    match state {
        RepoState::Ok => "ok",
        RepoState::Blocked => "blocked",
    }
}

/// `PUT /api/v1/repos/{repo}`
pub(super) async fn put_repo(
    State(dashboard): State<Dashboard>,
    Path(name): Path<String>,
    Input(update): Input<RepoUpdate>,
) -> Answer<Json<()>> {
    check_name("repo", &name)?;
    let mut tx = dashboard.db().begin().await?;
    let before = store::repos::get(&mut tx, &name).await?;
    let visibility = match (update.visibility, &before) {
        (Some(Visibility::Private), _) => "private".to_owned(),
        (Some(Visibility::Public), _) | (None, None) => "public".to_owned(),
        (None, Some(before)) => before.visibility.clone(),
    };
    let row = RepoRow {
        name: name.clone(),
        state: word(update.state).to_owned(),
        reason: update.reason,
        default_branch: update.default_branch.or(before.as_ref().and_then(|row| row.default_branch.clone())),
        head: update.head.or(before.as_ref().and_then(|row| row.head.clone())),
        visibility,
        updated: Micros::now(),
    };
    let same = before.is_some_and(|before| RepoRow { updated: row.updated, ..before } == row);
    if same {
        return Ok(Json(()));
    }
    store::repos::put(&mut tx, &row).await?;
    tx.commit().await?;
    dashboard.cells().repos_changed();
    dashboard.trees().forget();
    dashboard.changed(&name).await;
    Ok(Json(()))
}

/// `GET /api/v1/repos`
pub(super) async fn list(State(dashboard): State<Dashboard>, viewer: Viewer) -> Answer<Json<Vec<RepoInfo>>> {
    Ok(Json(all(&dashboard, &viewer).await?))
}

/// Lists the repos that exist for the viewer, with their branches.
pub(super) async fn all(dashboard: &Dashboard, viewer: &Viewer) -> Answer<Vec<RepoInfo>> {
    let config = dashboard.config();
    let eyes = visible::eyes(dashboard, viewer).await?;
    let bad = |repo: &RepoRow| config.project(&repo.name).and_then(|project| project.blocked.clone());
    let mut reader = dashboard.db().read().await?;
    let repos = store::repos::list(&mut reader).await?;
    let branches = store::branches::list(&mut reader).await?;
    let of = |repo: &str| {
        let own = branches.iter().filter(|branch| branch.repo == repo);
        own.map(|branch| BranchInfo {
            name: branch.branch.clone(),
            head: branch.head.clone(),
            default: branch.is_default,
            updated: time(branch.updated),
        })
        .collect()
    };
    let info = |repo: &RepoRow| RepoInfo {
        name: repo.name.clone(),
        state: if repo.state == "ok" && bad(repo).is_none() { RepoState::Ok } else { RepoState::Blocked },
        reason: repo.reason.clone().or_else(|| bad(repo)),
        default_branch: repo.default_branch.clone(),
        visibility: if repo.visibility == "public" { Visibility::Public } else { Visibility::Private },
        updated: time(repo.updated),
        branches: of(&repo.name),
    };
    Ok(repos.iter().filter(|repo| eyes.repo(&repo.name)).map(info).collect())
}

/// `PUT /api/v1/repos/{repo}/branches/{branch}`
pub(super) async fn put_branch(
    State(dashboard): State<Dashboard>,
    Path((repo, branch)): Path<(String, String)>,
    Input(mut update): Input<BranchUpdate>,
) -> Answer<Json<BranchAnswer>> {
    check_name("repo", &repo)?;
    check_branch(&branch)?;
    if let (Some(head), true) = (&update.head, update.first_parent.is_empty()) {
        // Where the branch is, but not how it came there.
        update.first_parent.push(head.clone());
        update.complete = false;
    }
    check_update(&update)?;
    let now = Micros::now();
    let mut tx = dashboard.db().begin().await?;
    let before = store::branches::lock(&mut tx, &repo, &branch, now).await?;
    for commit in &update.commits {
        store::commits::insert(&mut tx, &repo, &commit_row(commit)).await?;
    }
    let missing = missing(&mut tx, &repo, &update.first_parent).await?;
    if !missing.is_empty() {
        // What was sent is kept, so that a long list can come in parts.
        tx.commit().await?;
        return Ok(Json(BranchAnswer { missing }));
    }
    let mut changed = false;
    if update.head.is_some() {
        changed = move_line(&mut tx, &repo, &branch, &update).await?;
    }
    let row = BranchRow {
        repo: repo.clone(),
        branch: branch.clone(),
        head: update.head.clone(),
        is_default: update.default,
        deleted: update.head.is_none(),
        updated: now,
    };
    let moved = update.head.as_ref().filter(|head| before.head.as_ref() != Some(head));
    changed |= BranchRow { updated: now, ..before.clone() } != row;
    if changed {
        store::branches::put(&mut tx, &row).await?;
    }
    if let Some(head) = moved {
        super::feed::moved(&mut tx, &repo, &branch, head).await?;
    }
    if changed || !update.commits.is_empty() {
        tx.commit().await?;
    }
    if changed {
        dashboard.cells().branch_changed(&repo, &branch);
        dashboard.trees().forget();
        dashboard.changed(&repo).await;
    }
    Ok(Json(BranchAnswer::default()))
}

fn check_update(update: &BranchUpdate) -> Answer<()> {
    if update.first_parent.len() > LONGEST_LIST || update.commits.len() > LONGEST_LIST {
        return Err(Refusal::bad(format!("a list holds more than {LONGEST_LIST} commits")));
    }
    for hash in update.first_parent.iter().chain(&update.head) {
        check_hash(hash)?;
    }
    for commit in &update.commits {
        check_hash(&commit.hash)?;
        for parent in &commit.parents {
            check_hash(parent)?;
        }
    }
    match (&update.head, update.first_parent.first()) {
        (Some(head), Some(first)) if head != first => {
            Err(Refusal::bad("the list does not begin with the head"))
        }
        (None, Some(_)) => Err(Refusal::bad("a deleted branch has no commits")),
        _ => Ok(()),
    }
}

async fn missing(on: &mut impl Conn, repo: &str, hashes: &[String]) -> Answer<Vec<String>> {
    let wanted: Vec<&str> = hashes.iter().map(String::as_str).collect();
    let known: HashSet<String> = store::commits::known(on, repo, &wanted).await?.into_iter().collect();
    Ok(hashes.iter().filter(|hash| !known.contains(*hash)).cloned().collect())
}

async fn move_line(tx: &mut Tx, repo: &str, branch: &str, update: &BranchUpdate) -> Answer<bool> {
    let line = store::branch_commits::line(tx, repo, branch, LINE).await?;
    let kept = Kept {
        line: line.into_iter().map(|place| (place.position, place.hash)).collect(),
        ends: store::branch_commits::ends(tx, repo, branch).await?,
    };
    let tail_parent = match update.first_parent.last() {
        Some(tail) => store::commits::first_parent(tx, repo, tail).await?,
        None => None,
    };
    let posted = Posted {
        hashes: &update.first_parent,
        tail_parent: tail_parent.as_deref(),
        complete: update.complete,
    };
    let change = merge(&kept, posted);
    if let Some(above) = change.cut_above {
        store::branch_commits::cut(tx, repo, branch, above).await?;
    }
    for (position, hash) in &change.insert {
        store::branch_commits::insert(tx, repo, branch, *position, hash).await?;
    }
    Ok(change.cut_above.is_some() || !change.insert.is_empty())
}

fn commit_row(commit: &CommitInfo) -> CommitRow {
    let mut message = commit.message.replace('\0', "\u{fffd}");
    if message.len() > LONGEST_MESSAGE {
        let end = (0..=LONGEST_MESSAGE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
    }
    CommitRow {
        hash: commit.hash.clone(),
        parents: commit.parents.clone(),
        author_name: commit.author_name.replace('\0', "\u{fffd}"),
        author_email: commit.author_email.as_ref().map(|email| email.replace('\0', "\u{fffd}")),
        time: Micros(commit.time_us),
        message,
    }
}

/// Turns a row into what is shown.
pub(super) fn commit_info(row: CommitRow) -> CommitInfo {
    CommitInfo {
        hash: row.hash,
        parents: row.parents,
        author_name: row.author_name,
        author_email: row.author_email,
        time_us: row.time.0,
        message: row.message,
    }
}
