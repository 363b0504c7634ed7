//! Says that something changed, to pages that are open: they ask for themselves again.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, header};
use tokio::sync::watch;
use transport::Viewer;

use super::Dashboard;

/// Changes that follow one another within this time are one.
const TOGETHER: Duration = Duration::from_millis(200);
/// Another dashboard on the same database may have written: a page is never older than this.
const LONGEST: Duration = Duration::from_secs(30);

struct Watched {
    changes: watch::Receiver<u64>,
    /// What the page has seen.
    seen: Option<u64>,
}

/// `GET /grid/events`: an event `changed` for what changed since the last one, whose id is a count. Who comes back with
/// an id that is no longer true is told at once. Of what is private only those are told who see all of it; others who see
/// some look again by themselves.
pub(super) async fn events(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    headers: HeaderMap,
) -> Response {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let mut changes = dashboard.changes(&viewer);
    let now = *changes.borrow_and_update();
    let watched = Watched { changes, seen: Some(last.unwrap_or(now)) };
    let events = futures::stream::unfold(watched, |mut watched| async move {
        let now = *watched.changes.borrow_and_update();
        let mut count = now;
        if watched.seen == Some(now) {
            // The sender lives as long as the dashboard, and this as long as the request.
            if let Ok(Err(_)) = tokio::time::timeout(LONGEST, watched.changes.changed()).await {
                return None;
            }
            tokio::time::sleep(TOGETHER).await;
            count = *watched.changes.borrow_and_update();
        }
        watched.seen = Some(count);
        // A browser passes on no event without data.
        let count = count.to_string();
        let event = Event::default().event("changed").id(&count).data(&count);
        Some((Ok::<_, Infallible>(event), watched))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
