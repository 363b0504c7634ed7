//! Pages for people, and the check of health.

use std::time::Instant;

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use jiff::Timestamp;
use transport::Viewer;

use super::{Refusal, repo, seen};
use crate::{Health, Mirror};

/// 200 with an empty body, or 500 with the first repository that is in error.
pub(super) async fn healthz(State(mirror): State<Mirror>, viewer: Viewer) -> Response {
    for repo in mirror.all() {
        if let Some(error) = repo.status().error() {
            // That something is wrong may be known to all, of what not.
            let told = match seen(&repo, &viewer) {
                true => format!("{}: {error}\n", repo.name),
                false => "a repository can't be mirrored\n".to_owned(),
            };
            return (StatusCode::INTERNAL_SERVER_ERROR, told).into_response();
        }
    }
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "").into_response()
}

/// The original's list: a link, a dash and the status line.
pub(super) async fn watcher(State(mirror): State<Mirror>, viewer: Viewer) -> Html<String> {
    let mut page = String::from("<html><body><pre>");
    for repo in mirror.all().iter().filter(|repo| seen(repo, &viewer)) {
        let (name, line) = (&repo.name, repo.status().line(Instant::now()));
        page += &format!("<a href='/debug/watcher/{name}'>{name}</a> - {}\n", escape(&line));
    }
    Html(page + "</pre></body></html>")
}

/// The original's page of one repository.
pub(super) async fn watcher_repo(
    State(mirror): State<Mirror>,
    viewer: Viewer,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Response> {
    let repo = repo(&mirror, &viewer, &name).map_err(Refusal::plain)?;
    let lines = repo.status().history(Timestamp::now());
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], lines.join("\n") + "\n"))
}

/// Our list.
pub(super) async fn list(State(mirror): State<Mirror>, viewer: Viewer) -> (HeaderMap, Html<String>) {
    let mut headers = HeaderMap::new();
    headers.insert("content-security-policy", http::HeaderValue::from_static("default-src 'none'"));
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Mirrors</title></head><body>\
         <h1>Mirrors</h1><table><thead><tr><th>Repository<th>State<th>Default branch<th>Head<th>Destinations\
         </tr></thead><tbody>",
    );
    for state in mirror.all().iter().filter(|repo| seen(repo, &viewer)).map(|repo| repo.state()) {
        let health = match state.state {
            Health::Pending => "pending",
            Health::Ok => "ok",
            Health::Blocked => "blocked",
        };
        let reason =
            state.reason.as_deref().map(|reason| format!(": {}", escape(reason))).unwrap_or_default();
        let places: Vec<String> = state
            .destinations
            .iter()
            .map(|place| {
                let line = match place.ok {
                    None => "not pushed yet".to_owned(),
                    Some(true) => "ok".to_owned(),
                    Some(false) => format!("failed: {}", place.problems.join("; ")),
                };
                format!("{}: {}", escape(&place.url), escape(&line))
            })
            .collect();
        page += &format!(
            "<tr><td><a href=\"/debug/watcher/{name}\">{name}</a> (<a href=\"/mirror/{name}/status.json\">json</a>)\
             <td>{health}{reason}<td>{}<td>{}<td>{}</tr>",
            escape(state.default_branch.as_deref().unwrap_or("")),
            state.head.as_deref().unwrap_or(""),
            places.join("<br>"),
            name = state.name,
        );
    }
    (headers, Html(page + "</tbody></table></body></html>"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
