//! What somebody sets by hand, by a form of a page or as JSON: it counts until it ends or is released.

use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::{Form, Json};
use http::header;
use schemars::JsonSchema;
use serde::Deserialize;
use store::audit::{self, Deed};
use store::tree_orders::OrderRow;
use store::{Micros, StoreError, tree_changes, tree_orders};
use transport::Viewer;

use super::super::refusal::{Answer, Input, Path, Refusal};
use super::super::{Dashboard, time};
use super::{change_of, detail, one};
use crate::api::{TreeRequest, TreeStatus};

/// The longest reason, in characters.
const LONGEST: usize = 500;
/// The longest time that something is set for: a year.
const LONGEST_TIME: u64 = 366 * 86_400;
/// So often it is tried again where somebody else writes at the same moment.
const TRIES: u32 = 5;

/// What a form sends: times are text, empty for none.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in super::super) struct TreeForm {
    /// What it is to be.
    #[schemars(with = "TreeStatus")]
    status: String,
    /// Why, for people.
    #[schemars(length(min = 1, max = 500), regex(pattern = r"\S"))]
    reason: String,
    /// Seconds until it ends by itself; never if not given.
    #[serde(default)]
    #[schemars(with = "u64", range(min = 1, max = 31_622_400))]
    expires_in: String,
}

/// An order as JSON, or as a form, which is answered with the way back to its page.
pub(in super::super) enum Said<T> {
    Json(T),
    Form(T),
}

impl<S: Send + Sync> FromRequest<S> for Said<TreeRequest> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if is_form(&request) {
            return of_form(request, state).await.map(Said::Form).map_err(|refusal| refusal.into_response());
        }
        Input::from_request(request, state).await.map(|Input(body)| Said::Json(body))
    }
}

async fn of_form<S: Send + Sync>(request: Request, state: &S) -> Answer<TreeRequest> {
    let Form(form) = Form::<TreeForm>::from_request(request, state)
        .await
        .map_err(|error| Refusal::new(error.status(), "bad_request", error.body_text()))?;
    let seconds = match form.expires_in.trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| Refusal::bad("expires_in is not a number of seconds"))?),
    };
    let status = form.status.parse().map_err(|error| Refusal::bad(format!("status: {error}")))?;
    Ok(TreeRequest { status, reason: form.reason, expires_in: seconds })
}

impl<S: Send + Sync> FromRequest<S> for Said<()> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Answer<Self> {
        Ok(if is_form(&request) { Said::Form(()) } else { Said::Json(()) })
    }
}

fn is_form(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Checks that somebody may give orders to a tree that exists for them.
async fn may(dashboard: &Dashboard, viewer: &Viewer, repo: &str, branch: &str) -> Answer<()> {
    if one(dashboard, viewer, repo, branch).await?.is_none() {
        return Err(Refusal::not_found(format!("tree {branch:?} of {repo:?}")));
    }
    if !viewer.may_order(repo) {
        let message = format!("{} gives no orders to {repo}", viewer.who);
        return Err(Refusal::new(http::StatusCode::FORBIDDEN, "forbidden", message));
    }
    Ok(())
}

fn deed(viewer: &Viewer, at: Micros, action: &str, repo: &str, branch: &str, detail: String) -> Deed {
    let (actor, action) = (viewer.who.to_string(), action.to_owned());
    Deed { time: at, actor, action, target: format!("{repo} {branch}"), detail }
}

/// `POST /api/v1/tree/{repo}/{branch}/set`
pub(in super::super) async fn set(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path((repo, branch)): Path<(String, String)>,
    said: Said<TreeRequest>,
) -> Answer<Response> {
    may(&dashboard, &viewer, &repo, &branch).await?;
    let (request, form) = match said {
        Said::Json(request) => (request, false),
        Said::Form(request) => (request, true),
    };
    let reason = request.reason.trim().replace('\0', "\u{fffd}");
    if reason.is_empty() || reason.chars().count() > LONGEST {
        return Err(Refusal::bad(format!("a reason is needed, of at most {LONGEST} characters")));
    }
    if request.expires_in.is_some_and(|seconds| !(1..=LONGEST_TIME).contains(&seconds)) {
        return Err(Refusal::bad(format!("expires_in is a number of seconds from 1 to {LONGEST_TIME}")));
    }
    let now = Micros::now();
    let order = OrderRow {
        repo: repo.clone(),
        branch: branch.clone(),
        status: request.status.to_string(),
        owner: viewer.who.to_string(),
        reason,
        since: now,
        until: request.expires_in.map(|seconds| now + std::time::Duration::from_secs(seconds)),
    };
    let until = order.until.map(|until| format!(" until {:.0}", time(until))).unwrap_or_default();
    let detail = format!("{}{until}: {}", order.status, order.reason);
    let mut left = TRIES;
    loop {
        let written = async {
            let mut tx = dashboard.db().begin().await?;
            tree_orders::put(&mut tx, &order).await?;
            let last = tree_changes::newest(&mut tx, &repo, &branch, i64::MAX, 1).await?.pop();
            tree_changes::insert(&mut tx, &change_of(&order, last.map_or(1, |last| last.n + 1))).await?;
            audit::append(&mut tx, deed(&viewer, now, "tree_set", &repo, &branch, detail.clone())).await?;
            tx.commit().await
        };
        match written.await {
            Err(StoreError::Conflict(_)) if left > 0 => left -= 1,
            written => break written?,
        }
    }
    dashboard.changed(&repo).await;
    answered(&dashboard, &viewer, &repo, &branch, form).await
}

/// `POST /api/v1/tree/{repo}/{branch}/release`
pub(in super::super) async fn release(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path((repo, branch)): Path<(String, String)>,
    said: Said<()>,
) -> Answer<Response> {
    may(&dashboard, &viewer, &repo, &branch).await?;
    let now = Micros::now();
    let mut tx = dashboard.db().begin().await?;
    if !tree_orders::delete(&mut tx, &repo, &branch).await? {
        let message = format!("nobody has set the tree {branch:?} of {repo:?}");
        return Err(Refusal::conflict("not_set", message));
    }
    audit::append(&mut tx, deed(&viewer, now, "tree_release", &repo, &branch, String::new())).await?;
    tx.commit().await?;
    dashboard.changed(&repo).await;
    answered(&dashboard, &viewer, &repo, &branch, matches!(said, Said::Form(()))).await
}

/// A program gets what the tree is now, a person its page.
async fn answered(
    dashboard: &Dashboard,
    viewer: &Viewer,
    repo: &str,
    branch: &str,
    form: bool,
) -> Answer<Response> {
    let tree = detail(dashboard, viewer, repo, branch).await?;
    if form {
        let path = format!("/tree/{}/{}", transport::segment(repo), transport::segment(branch));
        return Ok(Redirect::to(&path).into_response());
    }
    Ok(Json(tree).into_response())
}
