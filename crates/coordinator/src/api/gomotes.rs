//! Who holds which machine, for whoever runs the server: what is left may have to be taken back.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{Micros, WorkerId};
use transport::operation::{UlidText, operation};
use transport::routes::get;
use transport::{Role, Routes, Viewer};

use super::{Answer, Api};
use crate::gomote::reaches;

/// Answer of `GET /api/v1/gomotes`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GomoteList {
    /// All that is held of builders that whoever asks may give orders to, by name.
    pub gomotes: Vec<GomoteInfo>,
}

/// A machine that somebody holds. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GomoteInfo {
    /// What people know it by.
    pub name: String,
    /// Who holds it.
    pub owner: String,
    /// The builder on whose host it is.
    pub builder: String,
    /// Its host.
    pub host: String,
    /// The machine.
    #[schemars(with = "UlidText")]
    pub worker: WorkerId,
    /// Since when it is held.
    #[schemars(with = "i64")]
    pub created: Micros,
    /// When that ends unless its owner uses it before.
    #[schemars(with = "i64")]
    pub expires: Micros,
}

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new().route(
        "/api/v1/gomotes",
        get(Role::Admin, list)
            .about(
                operation(
                    "list_gomotes",
                    "Lists the machines that people hold: whose, since when, until when.",
                )
                .answers::<GomoteList>(),
            )
            .minds_repositories(),
    )
}

async fn list(State(api): State<Arc<Api>>, viewer: Viewer) -> Answer<GomoteList> {
    let mut held = api.shared.gomotes.all();
    let config = api.finder.config.borrow().clone();
    held.retain(|session| reaches(&config, &viewer, &session.repo));
    Ok(Json(GomoteList { gomotes: held.iter().map(|session| session.info()).collect() }))
}
