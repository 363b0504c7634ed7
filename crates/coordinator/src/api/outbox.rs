//! Messages to the world, for those who run the server: what waits, what failed and why, and an order to try it now.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::outbox::{self as rows, MessageRow};
use store::{Micros, audit};
use transport::operation::operation;
use transport::routes::{get, post};
use transport::{Role, Routes, Viewer};

use super::order::Order;
use super::pages::shown;
use super::{Answer, Api, Failure, deed};
use crate::ledger::transition;

/// So many of each sort are listed.
const LISTED: u32 = 200;
/// So many of those that were sent.
const SENT: u32 = 50;

/// Answer of `GET /api/v1/outbox`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxList {
    /// How many there are by channel and state, those that were sent aside.
    pub counts: Vec<OutboxCount>,
    /// Those that were given up, or had an attempt that came to nothing; the newest first.
    pub troubled: Vec<OutboxMessage>,
    /// Those that wait or are on their way, in their order.
    pub open: Vec<OutboxMessage>,
    /// Those that were sent, the last first.
    pub sent: Vec<OutboxMessage>,
}

/// How many messages are in a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxCount {
    /// `gerrit`, `github`, `mail` or `webhook`.
    pub channel: String,
    /// `waiting`, `taken` or `given_up`.
    pub state: String,
    /// So many.
    pub count: i64,
    /// Of these, with an attempt that came to nothing.
    pub failed: i64,
}

/// A message, without what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutboxMessage {
    /// What it is.
    pub key: String,
    /// How it goes out.
    pub channel: String,
    /// Whom or what it goes to.
    pub target: String,
    /// `waiting`, `taken`, `sent` or `given_up`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// Why the last attempt came to nothing; of one that was sent, what is missing in it.
    pub last_error: Option<String>,
    /// When it was put, in microseconds since 1970.
    #[schemars(with = "i64")]
    pub created: Micros,
    /// Not tried before then.
    #[schemars(with = "i64")]
    pub not_before: Micros,
    /// When it was sent or given up.
    #[schemars(with = "Option<i64>")]
    pub ended: Option<Micros>,
}

impl From<MessageRow> for OutboxMessage {
    fn from(row: MessageRow) -> Self {
        let MessageRow {
            key, channel, target, state, attempts, last_error, created, not_before, ended, ..
        } = row;
        OutboxMessage { key, channel, target, state, attempts, last_error, created, not_before, ended }
    }
}

/// Body of `POST /api/v1/outbox/retry`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RetryMessage {
    /// Which message.
    #[schemars(length(min = 1, max = 300), regex(pattern = r"^[^\x00]*$"))]
    pub key: String,
}

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new()
        .route("/outbox", get(Role::Admin, page))
        .route(
            "/outbox.json",
            get(Role::Admin, list)
                .about(operation("get_outbox_page", "The same as `/api/v1/outbox`.").answers::<OutboxList>()),
        )
        .route(
            "/api/v1/outbox",
            get(Role::Admin, list).about(
                operation("list_outbox", "Lists messages to the world: what waits, and what failed and why.")
                    .answers::<OutboxList>(),
            ),
        )
        .route(
            "/api/v1/outbox/retry",
            post(Role::Admin, retry).about(
                operation("retry_message", "Has a message tried now that waits or was given up.")
                    .takes::<RetryMessage>()
                    .or_form::<RetryMessage>()
                    .answers::<OutboxMessage>()
                    .may_refuse(&[404, 409]),
            ),
        )
}

/// Messages are of any repository: whoever runs a part of the server is told of none.
fn may(viewer: &Viewer) -> Result<(), Failure> {
    if viewer.may_order_all() {
        return Ok(());
    }
    let message = format!("{} is for some repositories, and messages are of all", viewer.who);
    Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message))
}

async fn read(api: &Api, viewer: &Viewer) -> Result<OutboxList, Failure> {
    may(viewer)?;
    let mut reader = api.shared.ledger.db().read().await?;
    let counts = rows::counts(&mut reader).await?.into_iter().map(|row| OutboxCount {
        channel: row.channel,
        state: row.state,
        count: row.count,
        failed: row.failed,
    });
    let told = |rows: Vec<MessageRow>| rows.into_iter().map(OutboxMessage::from).collect();
    Ok(OutboxList {
        counts: counts.collect(),
        troubled: told(rows::troubled(&mut reader, LISTED).await?),
        open: told(rows::open(&mut reader, LISTED).await?),
        sent: told(rows::sent_last(&mut reader, SENT).await?),
    })
}

async fn list(State(api): State<Arc<Api>>, viewer: Viewer) -> Answer<OutboxList> {
    Ok(Json(read(&api, &viewer).await?))
}

#[derive(askama::Template)]
#[template(path = "outbox.html")]
struct OutboxPage {
    list: OutboxList,
    csrf: String,
}

async fn page(State(api): State<Arc<Api>>, viewer: Viewer) -> Result<Response, Failure> {
    let list = read(&api, &viewer).await?;
    shown(&OutboxPage { list, csrf: viewer.csrf.as_deref().unwrap_or_default().to_owned() })
}

// What the template calls.

/// A state as the word of a style.
fn word(one: &OutboxMessage) -> &'static str {
    match (one.state.as_str(), &one.last_error) {
        ("sent", _) => "ok",
        ("given_up", _) => "failed",
        (_, Some(_)) => "infra_failed",
        _ => "queued",
    }
}

fn moment(time: &Micros) -> String {
    webui::time::moment_us(&time.0)
}

async fn retry(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    order: Order<RetryMessage>,
) -> Result<Response, Failure> {
    may(&viewer)?;
    let bad = || Failure::new(StatusCode::BAD_REQUEST, "bad_request", "`key` says which message");
    let key =
        order.body.as_ref().map(|body| body.key.clone()).filter(|key| !key.contains('\0')).ok_or_else(bad)?;
    let unknown = || Failure::not_found(format!("there is no message {key:?}"));
    let now = api.shared.ledger.clock().now();
    let found = rows::get(&mut api.shared.ledger.db().read().await?, &key).await?.ok_or_else(unknown)?;
    if found.state == "sent" {
        let message = format!("message {key:?} was sent: it is not said twice");
        return Err(Failure::new(StatusCode::CONFLICT, "sent", message));
    }
    let row = transition!(&api.shared.ledger, "outbox_retry", key, |tx| {
        if rows::revive(&mut tx, &key, now).await? || rows::hurry(&mut tx, &key, now).await? {
            audit::append(&mut tx, deed(&viewer, now, "outbox_retry", &key, "")).await?;
        }
        rows::get(&mut tx, &key).await?
    })?;
    let row = row.ok_or_else(unknown)?;
    Ok(order.led("/outbox", Json(OutboxMessage::from(row))))
}
