//! The addresses of the original's coordinator, for programs that know it: what is built, on which machines, and how far.
//!
//! They say what is so here, to everybody, hence of public repositories only.

mod builders;
mod temporary;
mod tries;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use buildenv::{Config, Visibility};
use http::{StatusCode, header};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use store::builds::{self, BuildRow};
use transport::routes::get;
use transport::{Role, Routes};

use super::{Api, Failure};
use crate::schedule::Class;

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new()
        .route("/builders", get(Role::Reader, builders::builders))
        .route("/status/reverse.json", get(Role::Reader, builders::reverse))
        .route("/status/post-submit-active.json", get(Role::Reader, active))
        .route("/temporarylogs", get(Role::Reader, temporary::log))
        .route("/try", get(Role::Reader, tries::page))
        // A browser asks with OPTIONS before it asks from another site's page.
        .route("/try.json", get(Role::Reader, tries::set).options(Role::Anonymous, tries::asked_before))
}

/// JSON as Go indents it.
fn indented(value: &impl Serialize) -> Result<Response, Failure> {
    let mut text = Vec::new();
    let mut to = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"\t"));
    value
        .serialize(&mut to)
        .map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

fn text(status: StatusCode, text: impl Into<axum::body::Body>) -> Response {
    let head =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (status, head, text.into()).into_response()
}

/// Whether everybody may see a repo.
fn is_public(config: &Config, repo: &str) -> bool {
    config.repo(repo).is_none_or(|repo| repo.visibility == Visibility::Public)
}

/// Whether everybody may see all repos of a revision.
fn is_public_revision(config: &Config, revision: &str) -> bool {
    revision.split('+').all(|part| is_public(config, part.split('@').next().unwrap_or_default()))
}

/// A build that runs.
#[derive(Serialize)]
struct Active {
    builder: String,
    commit: String,
    #[serde(rename = "goCommit", skip_serializing_if = "Option::is_none")]
    go_commit: Option<String>,
    #[serde(rename = "statusURL")]
    status_url: String,
}

/// `/status/post-submit-active.json`
async fn active(State(api): State<Arc<Api>>) -> Result<Response, Failure> {
    let config = Arc::clone(&api.finder.config.borrow());
    let rows = builds::open(&mut api.shared.ledger.db().read().await?).await?;
    let active: Vec<Active> = rows
        .iter()
        .filter(|row| {
            Class::parse(&row.class).is_some_and(Class::is_landed)
                && has_machine(row)
                && is_public_revision(&config, &row.revision)
        })
        .map(|row| shown(&config, row))
        .collect();
    indented(&(!active.is_empty()).then_some(active))
}

fn has_machine(row: &BuildRow) -> bool {
    matches!(row.state.as_str(), "leased" | "preparing" | "running" | "reporting")
}

fn shown(config: &Config, row: &BuildRow) -> Active {
    let mut commits = row.revision.split('+').filter_map(|part| part.split_once('@'));
    let commit = commits.next().map_or_else(String::new, |(_, commit)| commit.to_owned());
    let main = config.dashboard_main().map(ToString::to_string);
    let go_commit = commits.find(|(repo, _)| main.as_deref().is_none_or(|main| main == *repo));
    Active {
        builder: row.builder.clone(),
        commit,
        go_commit: go_commit.map(|(_, commit)| commit.to_owned()),
        status_url: format!("{}/builds/{}", config.environment().url.trim_end_matches('/'), row.id),
    }
}
