//! Alarms that go on, and those that are over.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Micros;
use store::alarms::{self as rows, AlarmRow};
use transport::operation::operation;
use transport::routes::get;
use transport::{Role, Routes, Viewer};

use super::{Answer, Api, Failure};
use crate::alarms::is_of_machine;

/// So many that are over are listed.
const OVER: u32 = 200;

/// Answer of `GET /api/v1/alarms`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmList {
    /// Those that go on, the oldest first.
    pub live: Vec<AlarmInfo>,
    /// Those that are over, the newest first.
    pub over: Vec<AlarmInfo>,
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AlarmInfo {
    /// `machine_retries`, `builder_retries`, `budget`, `silent` or `short`.
    pub kind: String,
    /// `HOST/MACHINE`, or the builder.
    pub subject: String,
    /// In words, as it was when it began; empty for readers.
    pub detail: String,
    /// When it began, in microseconds since 1970.
    #[schemars(with = "i64")]
    pub began: Micros,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub ended: Option<Micros>,
}

impl From<AlarmRow> for AlarmInfo {
    fn from(row: AlarmRow) -> Self {
        let AlarmRow { kind, subject, began, ended, detail } = row;
        AlarmInfo { kind, subject, detail, began, ended }
    }
}

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new().route(
        "/api/v1/alarms",
        get(Role::Reader, list).about(
            operation("list_alarms", "Lists what is wrong with machines and builders, and what was.")
                .answers::<AlarmList>(),
        ),
    )
}

/// As far as somebody may know: a builder may be of what is private, and what is counted on a machine too.
fn seen(viewer: &Viewer, rows: Vec<AlarmRow>) -> Vec<AlarmInfo> {
    let all = viewer.sees_all();
    let mut shown: Vec<AlarmInfo> =
        rows.into_iter().filter(|row| all || is_of_machine(&row.kind)).map(AlarmInfo::from).collect();
    if !all {
        shown.iter_mut().for_each(|alarm| alarm.detail.clear());
    }
    shown
}

/// Those that go on.
pub(super) async fn live(api: &Api, viewer: &Viewer) -> Result<Vec<AlarmInfo>, Failure> {
    Ok(seen(viewer, rows::live(&mut api.shared.ledger.db().read().await?).await?))
}

async fn list(State(api): State<Arc<Api>>, viewer: Viewer) -> Answer<AlarmList> {
    let live = live(&api, &viewer).await?;
    let over = rows::ended(&mut api.shared.ledger.db().read().await?, OVER).await?;
    Ok(Json(AlarmList { live, over: seen(&viewer, over) }))
}
