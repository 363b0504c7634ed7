//! The audit log, for admins: who did what, and whether a row was changed or left out since.

use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Deserialize;
use store::audit::{self, AuditRow, Filter};
use store::{Micros, StoreError};

use super::refusal::{Answer, Query, Refusal};
use super::window::{given, wanted};
use super::{Dashboard, time};
use crate::api::{AuditChain, AuditInfo, AuditList};

/// Rows of a page, if not said otherwise, and at most.
const ROWS: u32 = 100;
const MOST: u32 = 1000;
/// A chain of at most so many rows is checked whenever it is looked at; a longer one when that is asked for.
const CHECKED: i64 = 10_000;

/// Query of the audit log. What is empty is as if it were not given.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(super) struct AuditQuery {
    /// Who.
    pub(super) who: Option<String>,
    /// The word of what was done.
    pub(super) what: Option<String>,
    /// A repo, or another word of what it was done to.
    pub(super) target: Option<String>,
    /// Rows with lower numbers.
    #[schemars(with = "Option<i64>")]
    pub(super) before: Option<String>,
    /// At most so many rows, 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Whether the chain is checked though it is long.
    verify: Option<String>,
}

/// The last check of the chain.
#[derive(Debug, Default)]
pub(super) struct LastCheck(Mutex<Option<AuditChain>>);

impl LastCheck {
    fn get(&self) -> Option<AuditChain> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, chain: &AuditChain) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain.clone());
    }
}

/// `GET /api/v1/audit`
pub(super) async fn list(
    State(dashboard): State<Dashboard>,
    Query(query): Query<AuditQuery>,
) -> Answer<Json<AuditList>> {
    Ok(Json(read(&dashboard, &query).await?))
}

/// Reads a page of the log, the newest first.
pub(super) async fn read(dashboard: &Dashboard, query: &AuditQuery) -> Answer<AuditList> {
    let filter =
        Filter { actor: wanted(&query.who), action: wanted(&query.what), target: wanted(&query.target) };
    let before = match given(&query.before) {
        Some(text) => text.parse().map_err(|_| Refusal::bad("before is the number of a row"))?,
        None => i64::MAX,
    };
    let limit = Refusal::limit(query.limit, ROWS, MOST)?;
    let mut reader = dashboard.db().read().await?;
    let newest = audit::before(&mut reader, &Filter::default(), i64::MAX, 1).await?;
    let rows = newest.first().map_or(0, |row| row.seq);
    let mut found = audit::before(&mut reader, &filter, before, limit + 1).await?;
    let actions = audit::actions(&mut reader, MOST).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(|row| row.seq);
    let chain = match rows <= CHECKED || given(&query.verify).is_some() {
        true => {
            let chain = match audit::verify(&mut reader, None).await {
                Ok(chain) => AuditChain { rows: chain.rows, problem: None, at: time(Micros::now()) },
                Err(StoreError::Corrupt(problem)) => {
                    AuditChain { rows, problem: Some(problem), at: time(Micros::now()) }
                }
                Err(error) => return Err(error.into()),
            };
            dashboard.last_check().put(&chain);
            Some(chain)
        }
        false => dashboard.last_check().get(),
    };
    Ok(AuditList { entries: found.into_iter().map(shown).collect(), next, rows, actions, chain })
}

fn shown(row: AuditRow) -> AuditInfo {
    AuditInfo {
        seq: row.seq,
        time: time(row.deed.time),
        actor: row.deed.actor,
        action: row.deed.action,
        target: row.deed.target,
        detail: row.deed.detail,
        hash: row.hash,
    }
}
