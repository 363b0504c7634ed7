//! `/REPO.tar.gz?rev=REV`.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use transport::Viewer;

use super::{Refusal, commit, repo};
use crate::Mirror;

pub(super) async fn archive(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(file): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    match answer(&mirror, &viewer, &file, &query, &method, &headers).await {
        Ok(response) => response,
        Err(refusal) => refusal.plain(),
    }
}

async fn answer(
    mirror: &Mirror,
    viewer: &Viewer,
    file: &str,
    query: &HashMap<String, String>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let Some(name) = file.strip_suffix(".tar.gz") else {
        return Err(Refusal::not_found("404 page not found"));
    };
    let repo = repo(mirror, viewer, name)?;
    if method != Method::GET && method != Method::HEAD {
        return Err(Refusal::bad("only GET and HEAD are allowed"));
    }
    let commit = commit(&repo, query.get("rev")).await?;
    let tag = format!("\"{commit}\"");
    if headers.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let repository = repo.repository().await?;
    let body = mirror.inner.archives.get(name, commit, repository).await.map_err(|error| {
        tracing::warn!(repo = name, %commit, %error, "no archive");
        let full =
            error.kind() == std::io::ErrorKind::StorageFull || error.to_string().contains("No space left");
        let status = if full { StatusCode::INSUFFICIENT_STORAGE } else { StatusCode::INTERNAL_SERVER_ERROR };
        Refusal::new(status, "archive", format!("no archive of {name} at {commit}: {error}"))
    })?;
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/x-compressed")
        .header(header::ETAG, tag)
        .header("Bw-Commit", commit.to_string());
    if body.has_submodules() {
        response = response.header("Bw-Submodules", "1");
    }
    if let Some(size) = body.size() {
        response = response.header(header::CONTENT_LENGTH, size);
    }
    let body = if method == Method::HEAD { Body::empty() } else { Body::from_stream(body.into_stream()) };
    response
        .body(body)
        .map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "http", error.to_string()))
}
