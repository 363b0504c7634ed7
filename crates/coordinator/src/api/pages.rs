//! The status page: every machine, every build, and the reason of every wait. Its JSON twin is `/status.json`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use store::Micros;
use transport::Viewer;

use super::{Api, Failure, shown_status};
use crate::core::Status;

/// The most waiting builds that the page lists.
const SHOWN: usize = 200;

#[derive(askama::Template)]
#[template(path = "status.html")]
struct StatusPage {
    status: Status,
    forges: Forges,
}

/// Which pages there are about what happens at forges.
#[derive(Default)]
struct Forges {
    /// Of what is known of them, at `/maintner`.
    known: bool,
    /// Of hints from them, at `/hooks`.
    heard: bool,
}

impl Forges {
    /// Those that somebody may open.
    fn of(config: &buildenv::Config, viewer: &Viewer) -> Self {
        let log = config.maintnerd();
        let open = log.visibility == buildenv::Visibility::Public || viewer.sees_all();
        Self { known: log.names_something() && open, heard: config.hints().names_a_forge() }
    }
}

/// `GET /status`
pub(super) async fn status(State(api): State<Arc<Api>>, viewer: Viewer) -> Result<Response, Failure> {
    let forges = Forges::of(&api.finder.config.borrow(), &viewer);
    shown(&StatusPage { status: shown_status(&api, &viewer).await?, forges })
}

/// Answers with a page.
pub(super) fn shown(page: &impl askama::Template) -> Result<Response, Failure> {
    webui::page::page(StatusCode::OK, page)
        .map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string()))
}

/// `GET /pools`, and where `/#pools` leads: the part of the status page that lists machines.
pub(super) async fn pools() -> axum::response::Redirect {
    axum::response::Redirect::permanent("/status#pools")
}

// What the template calls.

/// A time as it is read.
fn moment(time: &Micros) -> String {
    webui::time::moment_us(&time.0)
}

/// A time as a machine reads it.
fn machine(time: &Micros) -> String {
    webui::time::machine(&jiff::Timestamp::from_microsecond(time.0).unwrap_or_default())
}

/// A kind of alarm as people read it.
fn words(kind: &str) -> String {
    kind.replace('_', " ")
}

/// A revision with its commits cut to ten digits.
fn short(revision: &str) -> String {
    let parts = revision.split('+').map(|part| match part.split_once('@') {
        Some((repo, commit)) => format!("{repo}@{}", commit.get(..10).unwrap_or(commit)),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(" + ")
}

#[cfg(test)]
mod tests {
    use askama::Template as _;

    use super::*;

    #[test]
    fn names_are_escaped_and_revisions_short() {
        assert_eq!(
            short(&format!("a@{}+b@{}", "1".repeat(40), "2".repeat(40))),
            "a@1111111111 + b@2222222222"
        );
        let reason = "a <bad> \u{202e}file\nline 2".to_owned();
        let blocked = vec![crate::core::BlockedRepo { repo: "r".into(), reason }];
        let page = StatusPage { status: Status { blocked, ..Status::default() }, forges: Forges::default() }
            .render()
            .unwrap();
        assert!(page.contains("is blocked\">a &#60;bad&#62; ⟦U+202E⟧file\nline 2</pre>"), "{page}");
        assert!(!page.contains("/maintner") && !page.contains("/hooks"), "{page}");
        let forges = Forges { known: true, heard: true };
        let page = StatusPage { status: Status::default(), forges }.render().unwrap();
        assert!(page.contains("href=\"/maintner\"") && page.contains("href=\"/hooks\""), "{page}");
        assert!(page.contains("Waiting <small>0</small>") && page.contains("/style.css"), "{page}");
        assert!(!page.contains(" style=") && !page.contains("<style"), "{page}");
    }
}
