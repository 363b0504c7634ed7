//! The tree status of each branch: what somebody set by hand, as long as it counts, else what the rules say of the
//! newest builds. Each change is written down when it is seen: with the report that makes it, or by whoever looks next.

mod known;
mod order;
mod rules;

use axum::Json;
use axum::extract::State;
use store::results::ResultRow;
use store::tree_changes::ChangeRow;
use store::tree_orders::OrderRow;
use store::{Micros, StoreError, branches, tree_changes, tree_orders};
use transport::Viewer;

use super::refusal::{Answer, Path, Refusal};
use super::visible::Eyes;
use super::{Dashboard, time, visible};
use crate::api::{RedBuilder, TreeChange, TreeDetail, TreeInfo, TreeList, TreeStatus};
pub(super) use known::TreeCache;
pub(super) use order::{TreeForm, release, set};
use rules::Verdict;

/// So many trees are listed.
const LISTED: usize = 500;
/// So many changes are shown.
pub(super) const CHANGES: u32 = 50;

/// Whether a tree exists for somebody: with everything that its branch is built against.
fn exists(dashboard: &Dashboard, eyes: &Eyes, repo: &str) -> bool {
    let config = dashboard.config();
    let needs = config.repo(repo).map_or(&[][..], |repo| &repo.needs);
    eyes.repo(repo) && needs.iter().all(|need| eyes.repo(need.as_str()))
}

/// `GET /api/v1/tree`
pub(super) async fn list(State(dashboard): State<Dashboard>, viewer: Viewer) -> Answer<Json<TreeList>> {
    Ok(Json(TreeList { trees: all(&dashboard, &viewer).await? }))
}

/// Lists the trees that exist for somebody, by repo, the default branch first.
pub(super) async fn all(dashboard: &Dashboard, viewer: &Viewer) -> Answer<Vec<TreeInfo>> {
    let eyes = visible::eyes(dashboard, viewer).await?;
    let mut rows = branches::list(&mut dashboard.db().read().await?).await?;
    rows.retain(|row| !row.deleted && exists(dashboard, &eyes, &row.repo));
    rows.sort_by(|a, b| (&a.repo, !a.is_default, &a.branch).cmp(&(&b.repo, !b.is_default, &b.branch)));
    let mut trees = Vec::new();
    for row in rows {
        trees.extend(status(dashboard, &row.repo, &row.branch, Micros::now()).await?);
        if trees.len() == LISTED {
            break;
        }
    }
    Ok(trees)
}

/// `GET /api/v1/tree/{repo}/{branch}`
pub(super) async fn get(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path((repo, branch)): Path<(String, String)>,
) -> Answer<Json<TreeDetail>> {
    Ok(Json(detail(&dashboard, &viewer, &repo, &branch).await?))
}

/// Returns a tree with its last changes, if it exists for somebody.
pub(super) async fn detail(
    dashboard: &Dashboard,
    viewer: &Viewer,
    repo: &str,
    branch: &str,
) -> Answer<TreeDetail> {
    let info = one(dashboard, viewer, repo, branch).await?;
    let info = info.ok_or_else(|| Refusal::not_found(format!("tree {branch:?} of {repo:?}")))?;
    let mut reader = dashboard.db().read().await?;
    let rows = tree_changes::newest(&mut reader, repo, branch, i64::MAX, CHANGES).await?;
    Ok(TreeDetail { info, changes: rows.into_iter().map(change).collect::<Answer<_>>()? })
}

/// Returns a tree, if it exists for somebody.
pub(super) async fn one(
    dashboard: &Dashboard,
    viewer: &Viewer,
    repo: &str,
    branch: &str,
) -> Answer<Option<TreeInfo>> {
    // No database holds a zero byte in a name.
    if repo.contains('\0') || branch.contains('\0') {
        return Ok(None);
    }
    let eyes = visible::eyes(dashboard, viewer).await?;
    match exists(dashboard, &eyes, repo) {
        true => status(dashboard, repo, branch, Micros::now()).await,
        false => Ok(None),
    }
}

fn change(row: ChangeRow) -> Answer<TreeChange> {
    Ok(TreeChange {
        n: u64::try_from(row.n).unwrap_or_default(),
        time: time(row.time),
        status: word(&row.status)?,
        owner: row.owner,
        reason: row.reason,
        until: row.until.map(time),
    })
}

fn word(status: &str) -> Answer<TreeStatus> {
    status.parse().map_err(|error| Refusal::internal(format!("the status of a tree: {error}")))
}

/// Looks at the tree of a branch that is built. What changed is written down as of `at`.
async fn status(dashboard: &Dashboard, repo: &str, branch: &str, at: Micros) -> Answer<Option<TreeInfo>> {
    let Some(known) = known::known(dashboard, repo, branch).await? else { return Ok(None) };
    let Some(rules) = known.config().repo(repo).map(|repo| &repo.tree) else { return Ok(None) };
    let verdicts = known.verdicts();
    let now = Micros::now();
    let mut reader = dashboard.db().read().await?;
    let queued = match rules.throttle_queued {
        Some(_) => u64::try_from(store::results::queued(&mut reader, repo, branch).await?).ok(),
        None => None,
    };
    let order = tree_orders::get(&mut reader, repo, branch).await?;
    let last = tree_changes::newest(&mut reader, repo, branch, i64::MAX, 1).await?.pop();
    drop(reader);
    let order = order.filter(|order| order.until.is_none_or(|until| until > now));
    let (computed, computed_reason) = rules::judge(rules, &verdicts, queued);
    let red = verdicts.iter().filter_map(|(builder, verdict)| match verdict {
        Verdict::Red(build, commit) => Some(RedBuilder {
            builder: builder.clone(),
            build: build.to_string(),
            commit: commit.clone(),
            closes: rules.closers.matches(builder),
        }),
        Verdict::Green => None,
    });
    let red = red.collect();
    let mut info = TreeInfo {
        repo: repo.to_owned(),
        branch: branch.to_owned(),
        status: computed,
        reason: computed_reason.clone(),
        since: None,
        owner: None,
        until: None,
        computed,
        computed_reason,
        judged: u32::try_from(verdicts.len()).unwrap_or(u32::MAX),
        red,
    };
    if let Some(order) = order {
        info.status = word(&order.status)?;
        (info.reason, info.owner, info.until) = (order.reason, Some(order.owner), order.until.map(time));
    }
    info.since = Some(time(since(dashboard, &info, last, at.min(now)).await));
    Ok(Some(info))
}

/// Since when a tree is as it is. If that is not written down yet, it is now.
async fn since(dashboard: &Dashboard, info: &TreeInfo, last: Option<ChangeRow>, at: Micros) -> Micros {
    let until = info.until.map(super::micros);
    let same = |last: &ChangeRow| {
        let by_hand = info.owner.is_none() || (last.reason == info.reason && last.until == until);
        last.status == info.status.as_str() && last.owner == info.owner && by_hand
    };
    let (n, at) = match last {
        Some(last) if same(&last) => return last.time,
        // What was set ended by itself, and nobody looked.
        Some(last) => (last.n + 1, last.until.filter(|until| *until <= at).unwrap_or(at).max(last.time)),
        None => (1, at),
    };
    let row = ChangeRow {
        repo: info.repo.clone(),
        branch: info.branch.clone(),
        n,
        time: at,
        status: info.status.to_string(),
        owner: info.owner.clone(),
        reason: info.reason.clone(),
        until,
    };
    let written = async {
        let mut tx = dashboard.db().begin().await?;
        tree_changes::insert(&mut tx, &row).await?;
        tx.commit().await
    };
    match written.await {
        Ok(()) => dashboard.changed(&info.repo).await,
        // Somebody else saw it at the same moment.
        Err(StoreError::Conflict(_)) => {}
        Err(error) => {
            tracing::warn!(%error, repo = info.repo, branch = info.branch, "a tree's change is not written down");
        }
    }
    at
}

/// Looks at the tree of a build that was reported, if it may be another now. What goes wrong here is no reason to
/// refuse the report.
pub(super) async fn reported(dashboard: &Dashboard, row: &ResultRow) {
    dashboard.trees().reported(row);
    let config = dashboard.config();
    let counted = config.repo(&row.repo).is_some_and(|repo| repo.tree.throttle_queued.is_some());
    if !counted && !matches!(row.outcome.as_deref(), Some("ok" | "failed")) {
        return;
    }
    let at = row.ended.unwrap_or_else(Micros::now);
    if let Err(refusal) = status(dashboard, &row.repo, &row.branch, at).await {
        tracing::warn!(build = %row.build, cause = refusal.message, "the tree's status is not looked at");
    }
}

/// The row of what somebody sets.
fn change_of(order: &OrderRow, n: i64) -> ChangeRow {
    ChangeRow {
        repo: order.repo.clone(),
        branch: order.branch.clone(),
        n,
        time: order.since,
        status: order.status.clone(),
        owner: Some(order.owner.clone()),
        reason: order.reason.clone(),
        until: order.until,
    }
}
