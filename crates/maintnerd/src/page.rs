//! How it stands, for people and for programs.

use std::sync::Arc;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use transport::operation::operation;
use transport::routes::get;
use transport::{Role, Routes, Viewer};

use crate::daemon::Daemon;
use crate::readers::Readers;
use crate::recent::Seen;
use crate::sources::SourceState;

/// How it stands with a daemon.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "MaintnerStanding")]
pub struct Standing {
    /// `leader`, or `follower` of another's log.
    pub role: &'static str,
    /// Why the corpus may be old.
    pub trouble: Option<String>,
    /// Why the last checkpoint that was due was not written, as on a disk that is full: the next start takes longer.
    pub checkpoint_trouble: Option<String>,
    /// Bytes of the log.
    pub bytes: u64,
    /// Segments of it.
    pub segments: usize,
    /// Mutations in it.
    pub records: u64,
    /// Issues and pull requests, those that are gone too.
    pub issues: usize,
    /// Changes.
    pub changes: usize,
    /// Commits.
    pub commits: usize,
    /// Clients that wait for more of the log.
    pub waiting: usize,
    /// What the log is made of.
    pub sources: Vec<SourceState>,
    /// The last mutations, the newest first.
    pub recent: Vec<Seen>,
}

impl Standing {
    /// The same as this viewer is told it: strangers that there is trouble, and of which kind; whoever has a role, in the
    /// words of what failed, which may have paths and addresses of this machine.
    fn for_viewer(self, viewer: &Viewer) -> Self {
        if viewer.known {
            return self;
        }
        Self {
            trouble: self.trouble.map(|_| "the leader could not be followed".to_owned()),
            checkpoint_trouble: self.checkpoint_trouble.map(|_| "the file could not be written".to_owned()),
            sources: self.sources.into_iter().map(SourceState::for_strangers).collect(),
            ..self
        }
    }
}

#[derive(Template)]
#[template(path = "maintner.html")]
struct Page {
    standing: Standing,
    now: Timestamp,
    alone: bool,
}

/// Whether the page is a service's of its own, or one among others.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) daemon: Arc<Daemon>,
    pub(crate) alone: bool,
}

pub(crate) fn routes(shown: Shown, readers: Readers) -> Routes {
    let role = readers.role();
    let about =
        operation("get_maintner", "Says how it stands with the state of the projects that are watched.");
    let about = about.answers::<Standing>();
    let own = Routes::new()
        .route("/", get(Role::Reader, page))
        .route("/healthz", get(Role::Anonymous, healthz))
        .route("/metrics", get(Role::Reader, metrics))
        .route(webui::assets::PATH, get(Role::Anonymous, webui::assets::asset));
    let both = Routes::new()
        .route("/maintner", readers.of(get(role, page)))
        .route("/maintner.json", readers.of(get(role, twin).about(about)));
    let all = if shown.alone { both.merge(own) } else { both };
    all.with_state(shown)
}

async fn page(State(shown): State<Shown>, viewer: Viewer) -> Response {
    let standing = shown.daemon.standing().for_viewer(&viewer);
    let page = Page { standing, now: Timestamp::now(), alone: shown.alone };
    webui::page::page(StatusCode::OK, &page)
        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

async fn twin(State(shown): State<Shown>, viewer: Viewer) -> Response {
    Json(shown.daemon.standing().for_viewer(&viewer)).into_response()
}

async fn healthz(State(shown): State<Shown>) -> Response {
    match shown.daemon.trouble() {
        None => "ok\n".into_response(),
        // Everybody may read this, and the reason names the address of the leader.
        Some(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the leader is not followed; the server's log says why\n")
                .into_response()
        }
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    crate::measure::answer(&shown.daemon)
}
