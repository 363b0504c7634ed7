//! Where the original has a try run: its page, and what a plug-in of Gerrit's pages asks for. Source: spec/coordinator.md §3, §7.6.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::builds::{self, BuildRow};
use store::try_runs::{self, TryRunRow};
use transport::extract::Query;

use super::{Api, Failure, is_public, is_public_revision, text};

/// What there is to say of a try run that is not known.
const NO_TRY: &str = "TryBot result not found (already done, invalid, or not yet discovered from Gerrit). \
     Check Gerrit for results.";

/// What is asked.
#[derive(Debug, Default, Deserialize)]
pub(super) struct OfCommit {
    /// The first digits of the commit.
    #[serde(default)]
    commit: String,
}

#[derive(Serialize)]
struct Answer<'a> {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Set>,
}

#[derive(Serialize)]
struct Set {
    #[serde(rename = "changeId")]
    change_id: String,
    commit: String,
    builds: Option<Vec<Build>>,
}

#[derive(Serialize)]
struct Build {
    name: String,
    #[serde(rename = "startTime")]
    start_time: Timestamp,
    done: bool,
    succeeded: bool,
}

/// The newest run of a commit that begins so, of what everybody may see.
async fn found(api: &Api, digits: &str) -> Result<Option<TryRunRow>, Failure> {
    let good = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if digits.is_empty() || digits.len() > 40 || !digits.bytes().all(good) {
        return Ok(None);
    }
    let row = try_runs::by_commit(&mut api.shared.ledger.db().read().await?, digits).await?;
    let config = api.finder.config.borrow().clone();
    Ok(row.filter(|row| is_public(&config, &row.repo)))
}

/// `/try`
pub(super) async fn page(
    State(api): State<Arc<Api>>,
    Query(query): Query<OfCommit>,
) -> Result<Response, Failure> {
    Ok(match found(&api, &query.commit).await? {
        Some(row) => Redirect::to(&format!("/tries/{}", row.id)).into_response(),
        None => text(StatusCode::NOT_FOUND, format!("{NO_TRY}\n")),
    })
}

/// `/try.json`
pub(super) async fn set(
    State(api): State<Arc<Api>>,
    Query(query): Query<OfCommit>,
) -> Result<Response, Failure> {
    let Some(row) = found(&api, &query.commit).await? else {
        let answer = Answer { success: false, error: Some(NO_TRY), payload: None };
        return Ok(answered(StatusCode::NOT_FOUND, &answer));
    };
    let config = api.finder.config.borrow().clone();
    let mut reader = api.shared.ledger.db().read().await?;
    let mut all = Vec::new();
    for id in try_runs::builds(&mut reader, row.id).await? {
        all.extend(builds::get(&mut reader, id).await?);
    }
    let public = all.into_iter().filter(|build| is_public_revision(&config, &build.revision));
    let of: Vec<Build> = public.map(of_row).collect();
    let builds = (!of.is_empty()).then_some(of);
    let set = Set { change_id: row.change_id, commit: row.commit, builds };
    Ok(answered(StatusCode::OK, &Answer { success: true, error: None, payload: Some(set) }))
}

fn of_row(row: BuildRow) -> Build {
    Build {
        name: match &row.toolchain_branch {
            Some(branch) => format!("{} ({branch})", row.builder),
            None => row.builder,
        },
        start_time: Timestamp::from_microsecond(row.created.0).unwrap_or_default(),
        done: row.state == "done",
        succeeded: row.outcome.as_deref() == Some("ok"),
    }
}

fn answered(status: StatusCode, answer: &Answer<'_>) -> Response {
    // A struct of texts, numbers and flags is always JSON.
    let body = serde_json::to_string(answer).unwrap_or_default() + "\n";
    for_all((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn for_all(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// `OPTIONS /try.json`
pub(super) async fn asked_before() -> Response {
    for_all(StatusCode::OK.into_response())
}
