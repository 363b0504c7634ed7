//! What happens to builds and branches, as events with numbers that last: who comes back with the number of the last one
//! that was seen is told all that happened since, whether the connection or the server was away.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, header};
use schemars::JsonSchema;
use serde::Deserialize;
use store::feed::{self, FeedRow};
use store::results::ResultRow;
use store::{Micros, Tx};
use tokio::sync::watch;
use transport::Viewer;

use super::refusal::{Answer, Query, Refusal};
use super::window::wanted;
use super::{Dashboard, time, visible};
use crate::api::{Event, EventKind, UnknownWord};

/// So many events are kept.
const KEPT: i64 = 100_000;
/// So many are read together.
const BATCH: u32 = 500;
/// Changes that follow one another within this time are looked for together.
const TOGETHER: Duration = Duration::from_millis(100);
/// Another dashboard on the same database may have written: it is looked for so often.
const LONGEST: Duration = Duration::from_secs(5);

/// Query of the events.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(super) struct FeedQuery {
    /// Only of this repo.
    repo: Option<String>,
    /// Only of builds on this builder.
    builder: Option<String>,
    /// The number of the last event that was seen, for who has no `Last-Event-ID`; 0 for all that is kept.
    after: Option<u64>,
    /// Whether to wait for more; if not, the answer ends with what there is. Yes, if not given.
    follow: Option<bool>,
}

/// How far a build is, as far as events tell it.
fn phase(state: &str) -> EventKind {
    match state {
        "queued" => EventKind::Queued,
        "done" => EventKind::Finished,
        _ => EventKind::Started,
    }
}

/// Adds what a report says that is new: the last thing that its transaction does.
pub(super) async fn reported(tx: &mut Tx, before: Option<&ResultRow>, now: &ResultRow) -> Answer<()> {
    let kind = phase(&now.state);
    // A build that was done, tried again and done once more may be reported only at its ends.
    let again = |before: &ResultRow| kind == EventKind::Finished && before.attempts != now.attempts;
    if before.is_some_and(|before| phase(&before.state) == kind && !again(before)) {
        return Ok(());
    }
    let event = FeedRow {
        seq: 0,
        time: Micros::now(),
        kind: kind.to_string(),
        repo: now.repo.clone(),
        branch: now.branch.clone(),
        builder: now.builder.clone(),
        build: now.build.to_string(),
        revision: now.revision.clone(),
        outcome: now.outcome.clone(),
    };
    feed::add(tx, &event, KEPT).await?;
    Ok(())
}

/// Adds that a branch has come to a commit: the last thing that the transaction does.
pub(super) async fn moved(tx: &mut Tx, repo: &str, branch: &str, head: &str) -> Answer<()> {
    let event = FeedRow {
        seq: 0,
        time: Micros::now(),
        kind: EventKind::Commit.to_string(),
        repo: repo.to_owned(),
        branch: branch.to_owned(),
        builder: String::new(),
        build: String::new(),
        revision: format!("{repo}@{head}"),
        outcome: None,
    };
    feed::add(tx, &event, KEPT).await?;
    Ok(())
}

/// What was read last: most of those who follow are at the same place.
#[derive(Debug, Default)]
pub(super) struct FeedCache(Mutex<Option<Read>>);

#[derive(Debug, Clone)]
struct Read {
    /// The count of changes before it was read.
    changes: u64,
    after: i64,
    rows: Arc<Vec<FeedRow>>,
}

struct Follower {
    dashboard: Dashboard,
    viewer: Viewer,
    repo: String,
    builder: String,
    follow: bool,
    changes: watch::Receiver<u64>,
    /// All up to this number is told, or not for them.
    seen: i64,
    /// The number that they know.
    told: i64,
    /// What is to be told first.
    first: Option<Event>,
}

/// `GET /api/v1/events`
pub(super) async fn events(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<FeedQuery>,
    headers: HeaderMap,
) -> Answer<Response> {
    // Listening begins before the first look, so that nothing falls between.
    let changes = dashboard.all_changes();
    let asked = match headers.get("last-event-id") {
        Some(id) => {
            let number = id.to_str().ok().and_then(|id| id.trim().parse::<u64>().ok());
            Some(number.ok_or_else(|| Refusal::bad("`Last-Event-ID` is not the number of an event"))?)
        }
        None => query.after,
    };
    let asked = asked.map(|asked| i64::try_from(asked).unwrap_or(i64::MAX));
    let (oldest, last) = feed::ends(&mut dashboard.db().read().await?).await?;
    let note = |kind| Some(Event::note(u64::try_from(last).unwrap_or(0), time(Micros::now()), kind));
    let (seen, first) = match asked {
        Some(asked) if asked <= last && asked.saturating_add(1) >= oldest => (asked, None),
        // What was between is forgotten; or the number is of another life of the database, from before a restore. Who asks
        // for all that is kept knows that.
        Some(0) => (oldest - 1, None),
        Some(_) => (last, note(EventKind::Reset)),
        None => (last, note(EventKind::Ready)),
    };
    let follower = Follower {
        dashboard,
        viewer,
        repo: wanted(&query.repo),
        builder: wanted(&query.builder),
        follow: query.follow.unwrap_or(true),
        changes,
        seen,
        told: seen,
        first,
    };
    let events = futures::stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        match follower.next().await {
            Ok(Some(events)) => Some((events, Some(follower))),
            Ok(None) => None,
            Err(refusal) => {
                // They come back with the last number, and miss nothing.
                tracing::warn!(cause = refusal.message, "a stream of events breaks off");
                None
            }
        }
    });
    use futures::StreamExt as _;
    let events = events.flat_map(|events| futures::stream::iter(events.into_iter().map(Ok::<_, Infallible>)));
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

impl Follower {
    /// The next events; none where there will be no more.
    async fn next(&mut self) -> Answer<Option<Vec<Sent>>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(vec![sent(&first)]));
        }
        loop {
            let changes = *self.changes.borrow_and_update();
            let rows = read(self.dashboard.clone(), changes, self.seen).await?;
            if let Some(last) = rows.last() {
                self.seen = last.seq;
                let events = self.shown(&rows).await?;
                if !events.is_empty() {
                    self.told = self.seen;
                    return Ok(Some(events));
                }
                continue;
            }
            if !self.follow {
                return Ok(None);
            }
            // The sender lives as long as the dashboard, and this as long as the request.
            match tokio::time::timeout(LONGEST, self.changes.changed()).await {
                Ok(Ok(())) => tokio::time::sleep(TOGETHER).await,
                Ok(Err(_)) => return Ok(None),
                Err(_) if self.told < self.seen => {
                    // A number without an event: what was not for them is not gone through again when they come back.
                    self.told = self.seen;
                    return Ok(Some(vec![Sent::default().id(self.seen.to_string())]));
                }
                Err(_) => {}
            }
        }
    }

    /// Those that are asked for and that the viewer may know of.
    async fn shown(&self, rows: &[FeedRow]) -> Answer<Vec<Sent>> {
        let fits = |asked: &str, is: &str| asked.is_empty() || asked == is;
        let asked = |row: &&FeedRow| fits(&self.repo, &row.repo) && fits(&self.builder, &row.builder);
        if !rows.iter().any(|row| asked(&row)) {
            return Ok(Vec::new());
        }
        let eyes = visible::eyes(&self.dashboard, &self.viewer).await?;
        let seen = rows.iter().filter(asked).filter(|row| eyes.revision(&row.revision));
        seen.map(|row| Ok(sent(&event(row)?))).collect()
    }
}

impl FeedCache {
    /// What was read after the same number. That there was nothing is not believed: another process may have written.
    fn get(&self, changes: u64, after: i64) -> Option<Arc<Vec<FeedRow>>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |kept: &&Read| (kept.changes, kept.after) == (changes, after) && !kept.rows.is_empty();
        kept.as_ref().filter(same).map(|kept| Arc::clone(&kept.rows))
    }

    fn put(&self, read: Read) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
    }
}

async fn read(dashboard: Dashboard, changes: u64, after: i64) -> Answer<Arc<Vec<FeedRow>>> {
    if let Some(rows) = dashboard.feed().get(changes, after) {
        return Ok(rows);
    }
    let rows = Arc::new(feed::after(&mut dashboard.db().read().await?, after, BATCH).await?);
    dashboard.feed().put(Read { changes, after, rows: Arc::clone(&rows) });
    Ok(rows)
}

fn event(row: &FeedRow) -> Answer<Event> {
    let unreadable = |error: UnknownWord| Refusal::internal(format!("event {}: {error}", row.seq));
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let outcome = row.outcome.as_deref().map(str::parse).transpose();
    Ok(Event {
        id: u64::try_from(row.seq).unwrap_or(0),
        kind: row.kind.parse().map_err(unreadable)?,
        time: time(row.time),
        repo: some(&row.repo),
        branch: some(&row.branch),
        builder: some(&row.builder),
        build: some(&row.build),
        revision: some(&row.revision),
        outcome: outcome.map_err(unreadable)?,
    })
}

fn sent(event: &Event) -> Sent {
    let name = event.kind.as_str();
    match Sent::default().event(name).id(event.id.to_string()).json_data(event) {
        Ok(sent) => sent,
        // A message of texts and numbers is always JSON.
        Err(_) => Sent::default().event(name).id(event.id.to_string()).data("{}"),
    }
}
