//! Builds whose machines are held for somebody, as the builds left them, if they fail.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use store::builds::BuildRow;
use transport::extract::Path;
use transport::operation::operation;
use transport::routes::post;
use transport::{Role, Routes, Viewer};

use super::order::Order;
use super::{Api, BuildAnswer, Failure, again, answer, build, build_to_order, deed, of_build};
use crate::gomote::{NoRoom, NotWanted, may, unwant, want, wanted_by};
use crate::resolve;

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new().route(
        "/api/v1/builds/{id}/hold",
        post(Role::Developer, hold)
            .about(of_build(
                operation(
                    "hold_build",
                    "Has the machine of a build held for whoever asks, as the build left it, if the build fails. One that is done is tried again.",
                )
                .takes_order::<serde_json::Map<String, serde_json::Value>>()
                .answers::<BuildAnswer>()
                .may_refuse(&[409, 503]),
            ))
            .delete(Role::Developer, let_go)
            .about(of_build(
                operation(
                    "unhold_build",
                    "Lets go of a build whose machine was to be held if it fails: of one's own, or as an admin of anybody's.",
                )
                .answers_nothing(204, "Nobody waits for it to fail any more."),
            )),
    )
}

impl From<NotWanted> for Failure {
    fn from(error: NotWanted) -> Failure {
        match error {
            NotWanted::NoRoom(full @ NoRoom::ForOne { .. }) => {
                Failure::new(StatusCode::CONFLICT, "too_many_gomotes", full.to_string())
            }
            NotWanted::NoRoom(full @ NoRoom::ForAll { .. }) => {
                Failure::new(StatusCode::SERVICE_UNAVAILABLE, "busy", full.to_string())
            }
            NotWanted::Store(error) => error.into(),
        }
    }
}

/// Refuses whoever may not have machines of a build's builder.
fn may_hold(api: &Api, viewer: &Viewer, row: &BuildRow) -> Result<(), Failure> {
    let config = api.finder.config.borrow().clone();
    let builder = resolve::builder(&config, &row.repo, &row.builder)
        .map_err(|error| Failure::new(StatusCode::CONFLICT, "no_builder", error.to_string()))?;
    if may(&config, viewer, builder) {
        return Ok(());
    }
    let message = format!("{} may not hold machines of builder {}", viewer.who, builder.full_name());
    Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message))
}

/// Has a build's machine held if the build fails.
async fn hold(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(id): Path<String>,
    order: Order<serde::de::IgnoredAny>,
) -> Result<Response, Failure> {
    let row = build_to_order(&api, &viewer, &id).await?;
    may_hold(&api, &viewer, &row)?;
    let config = api.finder.config.borrow().clone();
    let gave_way = want(&api.shared, (row.id, &row.repo), &config, &viewer).await?;
    if let Some(owner) = gave_way {
        let detail = serde_json::json!({"instead_of": owner}).to_string();
        let now = api.shared.ledger.clock().now();
        api.shared.ledger.note(deed(&viewer, now, "gomote hold", &id, &detail)).await;
    }
    match to_fail(&api, &viewer, &id).await {
        Ok(row) => Ok(order.answered(&id, answer(row, false))),
        Err(failure) => {
            // What is refused is not to come true some day.
            let _nothing_more_to_do = unwant(&api.shared, row.id, &viewer.who).await;
            Err(failure)
        }
    }
}

/// The build that is to fail, tried again if it is done.
async fn to_fail(api: &Api, viewer: &Viewer, id: &str) -> Result<BuildRow, Failure> {
    // It may have ended before it was known that somebody waits, and would never be looked at again.
    let now = build(api, viewer, id).await?;
    if now.state != "done" {
        return Ok(now);
    }
    match again(api, viewer, now.id).await {
        // Somebody else was faster.
        Err(failure) if failure.code == "not_done" => build(api, viewer, id).await,
        done => done,
    }
}

/// Lets go of a build.
async fn let_go(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    let row = build_to_order(&api, &viewer, &id).await?;
    let nobodys = || Failure::not_found(format!("nobody waits for build {id} to fail"));
    let owner = wanted_by(&api.shared, row.id).ok_or_else(nobodys)?;
    // An admin of some repositories lets go of builds of their own builders.
    let rules =
        viewer.role == Role::Admin && (viewer.may_order_all() || may_hold(&api, &viewer, &row).is_ok());
    if owner != *viewer.who && !rules {
        let message = format!("the machine of build {id} is not to be held for {}", viewer.who);
        return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    if !unwant(&api.shared, row.id, &owner).await? {
        return Err(nobodys());
    }
    let detail = serde_json::json!({"owner": owner}).to_string();
    let now = api.shared.ledger.clock().now();
    api.shared.ledger.note(deed(&viewer, now, "gomote unhold", &id, &detail)).await;
    Ok(StatusCode::NO_CONTENT)
}
