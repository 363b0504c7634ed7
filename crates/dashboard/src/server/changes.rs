//! Says that something changed, to pages that are open: they ask for themselves again.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, header};
use store::Micros;
use tokio::sync::watch;
use transport::Viewer;

use super::Dashboard;

/// A page is told at most once in this time, and what changes within a part of it is one change.
const PERIOD: Duration = Duration::from_millis(200);
/// Telling a page costs some 20 µs, a page of ten thousand as one of ten: with more of them each is told less often, so that
/// all together take a quarter of a processor at most.
const EACH: Duration = Duration::from_micros(90);
/// Another dashboard on the same database may have written: a page is never older than this.
const LONGEST: Duration = Duration::from_secs(30);

struct Watched {
    dashboard: Dashboard,
    /// Where in each period its moment is.
    phase: u32,
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
    let phase = phase(dashboard.next_watcher());
    let watched = Watched { dashboard, phase, changes, seen: Some(last.unwrap_or(now)) };
    let events = futures::stream::unfold(watched, |mut watched| async move {
        let now = *watched.changes.borrow_and_update();
        let mut count = now;
        if watched.seen == Some(now) {
            // The sender lives as long as the dashboard, and this as long as the request.
            if let Ok(Err(_)) = tokio::time::timeout(LONGEST, watched.changes.changed()).await {
                return None;
            }
            let wait = turn(Micros::now(), period(watched.dashboard.watchers()), watched.phase);
            tokio::time::sleep(wait).await;
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

/// How often a page is told, where so many are open.
fn period(watchers: usize) -> Duration {
    PERIOD.max(EACH * u32::try_from(watchers).unwrap_or(u32::MAX)).min(LONGEST)
}

/// Phases far from one another, for one page after another: multiples of the golden section.
fn phase(nth: u32) -> u32 {
    nth.wrapping_mul(0x9e37_79b9)
}

/// How long a page waits for its next moment. Each has moments of its own: were all told at once, nothing else would go on
/// while ten thousand answers are written.
fn turn(now: Micros, period: Duration, phase: u32) -> Duration {
    let length = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).max(1);
    let moment = length.saturating_mul(u64::from(phase)) >> 32;
    let at = u64::try_from(now.0).unwrap_or_default() % length;
    let wait = Duration::from_micros((moment + length - at) % length);
    // What changes next is, as a rule, of the same build.
    if wait < PERIOD / 4 { wait + period } else { wait }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_pages_are_told_at_once_and_many_within_a_second() {
        assert_eq!((period(1), period(1000)), (PERIOD, PERIOD));
        assert_eq!(period(10_000), Duration::from_millis(900));
        assert_eq!(period(usize::MAX), LONGEST);
        for n in [1, 2, 10_000] {
            for phase in (0..100).map(phase) {
                let wait = turn(Micros(1_764_000_000_123_456), period(n), phase);
                assert!((PERIOD / 4..period(n) + PERIOD / 4).contains(&wait), "{n}: {wait:?}");
            }
        }
    }

    #[test]
    fn ten_thousand_pages_are_told_one_after_another() {
        let now = Micros(1_764_000_000_123_456);
        let mut told = vec![0; 110];
        for phase in (0..10_000).map(phase) {
            told[(turn(now, period(10_000), phase).as_millis() / 10) as usize] += 1;
        }
        // In each hundredth of a second a hundredth of them, and not all in the first.
        assert!(told.iter().all(|&count| count < 150), "{told:?}");
        // The next moment is a period after the one before.
        let wait = turn(now, period(10_000), 7);
        let after = Micros(now.0 + wait.as_micros() as i64);
        assert_eq!(turn(after, period(10_000), 7), period(10_000));
    }
}
