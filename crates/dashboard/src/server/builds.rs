//! Reports of builds, and lists of them.

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use store::BuildId;
use store::results::{Filter, Put, ResultRow};
use transport::Viewer;

use super::refusal::{Answer, Input, Path, Query, Refusal};
use super::window::wanted;
use super::{Dashboard, check_branch, check_hash, check_name, id, micros, time, visible};
use crate::api::{BuildList, BuildQuery, BuildReport, BuildSummary, Expected, Outcome, UnknownWord};

/// How many builds an expected time comes from.
const SAMPLES: u32 = 20;
/// How many rows are looked at together where many are hidden.
const LOOK: u32 = 1000;

/// `PUT /api/v1/builds/{id}`
pub(super) async fn put(
    State(dashboard): State<Dashboard>,
    Path(path_id): Path<String>,
    Input(mut report): Input<BuildReport>,
) -> Answer<Json<()>> {
    let build: BuildId = id("build", &path_id)?;
    if report.id != path_id {
        return Err(Refusal::bad("the body has another id than the path"));
    }
    report.failure = None;
    let row = checked_row(build, &report)?;
    let doc = serde_json::to_string(&report).map_err(|error| Refusal::internal(error.to_string()))?;
    let mut tx = dashboard.db().begin().await?;
    let before = store::results::get(&mut tx, build).await?;
    let put = store::results::put(&mut tx, &row, &doc).await?;
    if put == Put::Newer {
        super::steps::keep(&mut tx, build, &report).await?;
        if report.sample {
            // Whoever has it made asks for it by its name; it is no news of the cell.
            tx.commit().await?;
            return Ok(Json(()));
        }
        super::attempts::keep(&mut tx, build, &report).await?;
        super::feed::reported(&mut tx, before.as_ref(), &row).await?;
        tx.commit().await?;
        dashboard.cells().build_changed(&row);
        super::tree::reported(&dashboard, &row).await;
        super::failures::reported(&dashboard, build, &report).await;
        super::legacy::digest::reported(&dashboard, build, &report).await;
        dashboard.changed(&row.revision).await;
    }
    Ok(Json(()))
}

fn checked_row(build: BuildId, report: &BuildReport) -> Answer<ResultRow> {
    check_name("builder", &report.builder)?;
    check_name("repo", &report.repo)?;
    check_branch(&report.branch)?;
    let subject = subject(&report.revision, &report.repo)?;
    let number = |value: u64| i64::try_from(value).map_err(|_| Refusal::bad("a number is too large"));
    if report.outcome == Some(Outcome::Ok) && report.ended.is_none() {
        return Err(Refusal::bad("a build with an outcome has an end"));
    }
    let cause = report.cause.as_ref().map(serde_json::to_string).transpose();
    Ok(ResultRow {
        build,
        builder: report.builder.clone(),
        repo: report.repo.clone(),
        branch: report.branch.clone(),
        subject,
        revision: report.revision.clone(),
        class: report.class.clone(),
        state: report.state.to_string(),
        outcome: report.outcome.map(|outcome| outcome.to_string()),
        cause: cause.map_err(|error| Refusal::internal(error.to_string()))?,
        recipe: report.recipe.clone(),
        attempts: report.attempts.len() as i64,
        fence: number(report.fence)?,
        version: number(report.version)?,
        created: micros(report.created),
        started: report.started.map(micros),
        ended: report.ended.map(micros),
        expected: report.expected_ms.map(|ms| number(ms.saturating_mul(1000))).transpose()?,
        sample: report.sample,
    })
}

/// Returns the commit of a revision's first repo, which must be `repo`.
fn subject(revision: &str, repo: &str) -> Answer<String> {
    let mut parts = revision.split('+').map(|part| part.split_once('@'));
    let Some(Some((first, commit))) = parts.next() else {
        return Err(Refusal::bad(format!("{revision:?} is not a revision (repo@commit+repo@commit)")));
    };
    check_hash(commit)?;
    if first != repo {
        return Err(Refusal::bad(format!("the revision is of {first:?}, the build of {repo:?}")));
    }
    for part in parts {
        let (name, commit) = part.ok_or_else(|| Refusal::bad("a part of the revision has no commit"))?;
        check_name("repo", name)?;
        check_hash(commit)?;
    }
    Ok(commit.to_owned())
}

/// `GET /api/v1/builds/{id}`
pub(super) async fn get(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(path_id): Path<String>,
) -> Answer<Json<BuildReport>> {
    Ok(Json(with_failure(&dashboard, &viewer, &path_id).await?))
}

/// Reads a build's document.
pub(super) async fn load(dashboard: &Dashboard, build: BuildId) -> Answer<BuildReport> {
    let doc = store::results::doc(&mut dashboard.db().read().await?, build).await?;
    let doc = doc.ok_or_else(|| Refusal::not_found(format!("build {build}")))?;
    serde_json::from_str(&doc).map_err(|error| Refusal::internal(format!("the document of {build}: {error}")))
}

/// Reads a build's document and adds where it failed.
pub(super) async fn with_failure(
    dashboard: &Dashboard,
    viewer: &Viewer,
    path_id: &str,
) -> Answer<BuildReport> {
    let build = visible::build(dashboard, viewer, path_id).await?;
    let mut report = load(dashboard, build).await?;
    report.failure = match super::failures::of(dashboard, build, &report).await {
        // Of the build all else is known.
        Err(refusal) if refusal.is_about_content() => None,
        found => found?,
    };
    Ok(report)
}

/// `GET /api/v1/builds`
pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<BuildQuery>,
) -> Answer<Json<BuildList>> {
    Ok(Json(page(&dashboard, &viewer, query).await?))
}

/// Lists builds that exist for the viewer.
pub(super) async fn page(dashboard: &Dashboard, viewer: &Viewer, query: BuildQuery) -> Answer<BuildList> {
    let limit = Refusal::limit(query.limit, 50, 1000)?;
    if let Some(commit) = &query.commit {
        check_hash(commit)?;
    }
    let mut before = match &query.cursor {
        Some(cursor) => Some(cursor.parse().map_err(|_| Refusal::bad("not a cursor"))?),
        None => None,
    };
    let eyes = visible::eyes(dashboard, viewer).await?;
    let mut repo = wanted(&query.repo);
    if let (true, Some(commit)) = (repo.is_empty(), &query.commit) {
        match repo_of(dashboard, &eyes, commit).await? {
            Some(found) => repo = found,
            None => return Ok(BuildList::default()),
        }
    }
    let filter = Filter {
        repo,
        builder: wanted(&query.builder),
        branch: wanted(&query.branch),
        subject: query.commit.unwrap_or_default(),
        state: query.state.map(|state| state.to_string()).unwrap_or_default(),
        outcome: query.outcome.map(|outcome| outcome.to_string()).unwrap_or_default(),
    };
    if !filter.repo.is_empty() && !eyes.repo(&filter.repo) {
        return Ok(BuildList { builds: Vec::new(), next_cursor: None });
    }
    let mut reader = dashboard.db().read().await?;
    let mut rows = Vec::new();
    // What the viewer does not see is passed over, so that a page is full and its cursor tells nothing. The first look is
    // as long as the page; the next ones, where much is hidden, are longer.
    let mut look = limit + 1;
    loop {
        let found = store::results::list(&mut reader, &filter, before, look).await?;
        let last = found.len() < look as usize;
        before = found.last().map(|row| row.build);
        rows.extend(found.into_iter().filter(|row| eyes.revision(&row.revision)));
        if last || rows.len() > limit as usize {
            break;
        }
        look = LOOK;
    }
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows.last().filter(|_| more).map(|row| row.build.to_string());
    Ok(BuildList { builds: rows.into_iter().map(summary).collect::<Answer<_>>()?, next_cursor })
}

/// Finds the repo of a commit, among those that exist for the viewer.
async fn repo_of(dashboard: &Dashboard, eyes: &visible::Eyes, commit: &str) -> Answer<Option<String>> {
    let mut reader = dashboard.db().read().await?;
    for repo in store::repos::list(&mut reader).await? {
        if eyes.repo(&repo.name)
            && !store::commits::known(&mut reader, &repo.name, &[commit]).await?.is_empty()
        {
            return Ok(Some(repo.name));
        }
    }
    Ok(None)
}

/// Shows a row.
pub(super) fn summary(row: ResultRow) -> Answer<BuildSummary> {
    let unreadable =
        |error: &dyn std::fmt::Display| Refusal::internal(format!("result {}: {error}", row.build));
    let cause = row.cause.as_deref().map(serde_json::from_str).transpose();
    let outcome = row.outcome.as_deref().map(str::parse).transpose();
    Ok(BuildSummary {
        id: row.build.to_string(),
        state: row.state.parse().map_err(|error: UnknownWord| unreadable(&error))?,
        outcome: outcome.map_err(|error: UnknownWord| unreadable(&error))?,
        cause: cause.map_err(|error| unreadable(&error))?,
        attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
        created: time(row.created),
        started: row.started.map(time),
        ended: row.ended.map(time),
        expected_ms: row.expected.and_then(|us| u64::try_from(us / 1000).ok()),
        builder: row.builder,
        repo: row.repo,
        branch: row.branch,
        revision: row.revision,
        class: row.class,
    })
}

/// Query of `GET /api/v1/expected`.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ExpectedQuery {
    /// The builder's name.
    builder: String,
    /// The repo.
    repo: String,
    /// The recipe's digest; of every recipe if not given.
    #[serde(default)]
    recipe: String,
}

/// `GET /api/v1/expected`
pub(super) async fn expected(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<ExpectedQuery>,
) -> Answer<Json<Expected>> {
    let mut reader = dashboard.db().read().await?;
    let (builder, repo, recipe) = (&query.builder, &query.repo, &query.recipe);
    let mut taken = store::results::durations(&mut reader, builder, repo, recipe, SAMPLES).await?;
    drop(reader);
    if !visible::eyes(&dashboard, &viewer).await?.repo(repo) {
        taken.clear();
    }
    taken.sort_unstable();
    let median = match taken.len() {
        0 => None,
        n if n % 2 == 1 => Some(taken[n / 2]),
        n => Some(i64::midpoint(taken[n / 2 - 1], taken[n / 2])),
    };
    let median_ms = median.and_then(|us| u64::try_from(us / 1000).ok());
    Ok(Json(Expected { median_ms, samples: taken.len() as u32 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_begins_with_its_repo() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        assert_eq!(subject(&format!("sync@{a}+go@{b}"), "sync").unwrap(), a);
        for bad in
            ["", "sync", "sync@x", &format!("go@{a}"), &format!("sync@{a}+go"), &format!("sync@{a}+Go@{b}")]
        {
            assert!(subject(bad, "sync").is_err(), "{bad}");
        }
    }
}
