//! Tokens of machines that dial in: made, listed, revoked.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::machine_tokens::{self, MachineTokenRow};
use store::{Micros, StoreError, audit};
use transport::extract::{Input, Path};
use transport::operation::{MachineText, operation};
use transport::routes::{delete, get};
use transport::{Role, Routes, Viewer};

use super::{Answer, Api, Failure, deed};
use crate::identity::{Identity, hashed, is_machine_name};
use crate::ledger::transition;

/// For so long a token works if nobody says otherwise, in seconds.
const USUAL_LIFE: u64 = 3600;
/// The longest that a token may wait for its machine, in seconds.
const LONGEST_LIFE: u64 = 366 * 86_400;

/// Body of `POST /api/v1/machine-tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MachineTokenRequest {
    /// What the machine calls itself.
    #[schemars(with = "MachineText")]
    pub name: String,
    /// The host that it is of.
    #[schemars(with = "MachineText")]
    pub host: String,
    /// Seconds in which the token has to be used; an hour if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LONGEST_LIFE))]
    pub expires_in: Option<u64>,
}

/// A token that was made: the only time that it is shown.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MachineTokenAnswer {
    /// The token.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub info: MachineTokenInfo,
}

/// What is kept of a machine's token, without the token. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineTokenInfo {
    /// The machine's name.
    pub name: String,
    /// The host that it is of.
    pub host: String,
    /// Who made it.
    pub maker: String,
    /// When it was made.
    #[schemars(with = "i64")]
    pub created: Micros,
    /// Until when it has to be used.
    #[schemars(with = "i64")]
    pub expires: Micros,
    /// When it became the machine's identity.
    #[schemars(with = "Option<i64>")]
    pub joined: Option<Micros>,
    /// When the machine registered last.
    #[schemars(with = "Option<i64>")]
    pub seen: Option<Micros>,
    /// From where.
    pub seen_from: Option<String>,
    /// As which version of the original's protocol.
    pub version: Option<String>,
    /// When it was revoked.
    #[schemars(with = "Option<i64>")]
    pub revoked: Option<Micros>,
}

/// Answer of `GET /api/v1/machine-tokens`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MachineTokenList {
    /// All of them, the oldest first.
    pub machine_tokens: Vec<MachineTokenInfo>,
}

impl From<MachineTokenRow> for MachineTokenInfo {
    fn from(row: MachineTokenRow) -> Self {
        MachineTokenInfo {
            name: row.name,
            host: row.host,
            maker: row.maker,
            created: row.created,
            expires: row.expires,
            joined: row.joined,
            seen: row.seen,
            seen_from: row.seen_from,
            version: row.version,
            revoked: row.revoked,
        }
    }
}

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new()
        .route(
            "/api/v1/machine-tokens",
            get(Role::Admin, list)
                .about(
                    operation("list_machine_tokens", "Lists the tokens of machines, the oldest first.")
                        .answers::<MachineTokenList>(),
                )
                .post(Role::Admin, create)
                .about(
                    operation(
                        "create_machine_token",
                        "Makes a token by which one machine joins, once; this answer is the only one that shows it.",
                    )
                    .takes::<MachineTokenRequest>()
                    .answers_with::<MachineTokenAnswer>(201, "Made.")
                    .may_refuse(&[404, 409]),
                ),
        )
        .route(
            "/api/v1/machine-tokens/{name}",
            delete(Role::Admin, revoke).about(
                operation("revoke_machine_token", "Revokes a machine's token, and cuts the machine off.")
                    .part::<MachineText>("name", "The machine's name.")
                    .answers_nothing(204, "Revoked."),
            ),
        )
}

fn bad(message: String) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "bad_request", message)
}

async fn list(State(api): State<Arc<Api>>) -> Answer<MachineTokenList> {
    let rows = machine_tokens::list(&mut api.shared.ledger.db().read().await?).await?;
    Ok(Json(MachineTokenList { machine_tokens: rows.into_iter().map(Into::into).collect() }))
}

async fn create(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Input(body): Input<MachineTokenRequest>,
) -> Result<(StatusCode, Json<MachineTokenAnswer>), Failure> {
    if !is_machine_name(&body.name) {
        let named = &body.name;
        return Err(bad(format!("{named:?} is no name of a machine: [A-Za-z0-9][A-Za-z0-9._-]{{0,252}}")));
    }
    let config = Arc::clone(&api.finder.config.borrow());
    let host = config.hosts().iter().find(|host| host.name.as_str() == body.host);
    match host.map(|host| host.pool) {
        Some(buildenv::Pool::Reverse) => {}
        Some(other) => {
            let of = other.as_str();
            let message = format!("host {:?} is of pool {of}: only pool reverse is dialled in to", body.host);
            return Err(Failure::new(StatusCode::CONFLICT, "wrong_pool", message));
        }
        None => {
            let message = format!("host {:?} is not configured here", body.host);
            return Err(Failure::new(StatusCode::NOT_FOUND, "not_found", message));
        }
    }
    let seconds = body.expires_in.unwrap_or(USUAL_LIFE);
    if !(1..=LONGEST_LIFE).contains(&seconds) {
        return Err(bad(format!("`expires_in` is from 1 to {LONGEST_LIFE}")));
    }
    let clock = api.shared.ledger.clock();
    let mut random = [0; 32];
    clock.random(&mut random);
    let token = format!("bwm_{}", hex::encode(random));
    let now = clock.now();
    let row = MachineTokenRow {
        bootstrap: hashed(&token),
        name: body.name,
        host: body.host,
        maker: viewer.who.to_string(),
        created: now,
        expires: Micros(now.0.saturating_add_unsigned(seconds * 1_000_000)),
        secret: None,
        joined: None,
        seen: None,
        seen_from: None,
        version: None,
        revoked: None,
    };
    let written = transition!(&api.shared.ledger, "machine_token", row.name, |tx| {
        // One whose answer was lost is there already.
        if machine_tokens::by_bootstrap(&mut tx, &row.bootstrap).await?.is_none() {
            machine_tokens::insert(&mut tx, &row).await?;
            audit::append(&mut tx, deed(&viewer, now, "machine_token_create", &row.name, &row.host)).await?;
        }
    });
    match written {
        Err(StoreError::Conflict(_)) => {
            let message = format!("machine {:?} has a token already; revoke it first", row.name);
            return Err(Failure::new(StatusCode::CONFLICT, "exists", message));
        }
        written => written?,
    }
    if let Some(reception) = &api.reception {
        reception.give_token(&row.host, &row.name).await;
    }
    Ok((StatusCode::CREATED, Json(MachineTokenAnswer { token, info: row.into() })))
}

async fn revoke(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    let now = api.shared.ledger.clock().now();
    let found = machine_tokens::by_name(&mut api.shared.ledger.db().read().await?, &name).await?;
    let row = found
        .ok_or_else(|| Failure::not_found(format!("no machine {name:?} has a token that is not revoked")))?;
    transition!(&api.shared.ledger, "machine_revoke", name, |tx| {
        if machine_tokens::revoke(&mut tx, &row.bootstrap, now).await? {
            audit::append(&mut tx, deed(&viewer, now, "machine_token_revoke", &name, &row.host)).await?;
        }
    })?;
    if let Some(reception) = &api.reception {
        reception.cut_off(&Identity::new(&row.bootstrap), &row.host, &row.name).await;
    }
    Ok(StatusCode::NO_CONTENT)
}
