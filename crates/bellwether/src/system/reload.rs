//! Reading the configuration again: the order, its answer, and its row in the audit log.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::audit::{self, Deed};
use store::{Db, Micros};
use tokio::sync::{mpsc, oneshot};
use transport::operation::operation;
use transport::routes::{post, refusal};
use transport::{Role, Routes, Viewer};

/// Project files may have to be read anew; what is not done by then has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// What is different since the files were read again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reloaded {
    /// For people: what came, went or changed, a line each.
    pub lines: Vec<String>,
    /// What the branches get otherwise, as `config plan --diff` says it.
    pub changes: Vec<serde_json::Value>,
    /// What the files say otherwise and only the next start takes up.
    pub restart: Vec<String>,
}

/// Why nothing has changed: every problem, with file and line.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Bad(pub String);

impl From<anyhow::Error> for Bad {
    fn from(error: anyhow::Error) -> Bad {
        Bad(crate::terminal::causes(&error))
    }
}

/// An order to whoever changes the configuration.
pub(super) struct Order {
    pub answer: oneshot::Sender<Result<Reloaded, Bad>>,
}

/// Orders that the files be read again. Cheap to clone.
#[derive(Clone)]
pub struct Reload {
    orders: mpsc::Sender<Order>,
    db: Db,
    environment: String,
}

impl Reload {
    pub(super) fn new(db: Db, environment: String) -> (Reload, mpsc::Receiver<Order>) {
        let (orders, taken) = mpsc::channel(1);
        (Reload { orders, db, environment }, taken)
    }

    /// Reads the files again for somebody, and says what is different; or what is wrong, and then nothing has changed.
    pub async fn order(&self, who: &str) -> Result<Reloaded, Bad> {
        let reloaded = match tokio::time::timeout(LIMIT, self.asked()).await {
            Ok(reloaded) => reloaded,
            Err(_) => Err(Bad(format!("the files were not read again within {} s", LIMIT.as_secs()))),
        };
        let (action, detail) = match &reloaded {
            Ok(reloaded) => {
                ("reload", serde_json::json!({"changes": reloaded.lines, "restart": reloaded.restart}))
            }
            Err(bad) => ("reload_refused", serde_json::json!({"problems": bad.0})),
        };
        let (time, actor) = (Micros(jiff::Timestamp::now().as_microsecond()), who.to_owned());
        let target = self.environment.clone();
        let deed = Deed { time, actor, action: action.into(), target, detail: detail.to_string() };
        let noted = async {
            let mut tx = self.db.begin().await?;
            audit::append(&mut tx, deed).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::error!(%error, who, action, "not in the audit log");
        }
        reloaded
    }

    async fn asked(&self) -> Result<Reloaded, Bad> {
        let gone = || Bad("the server is ending".into());
        let (answer, told) = oneshot::channel();
        self.orders.send(Order { answer }).await.map_err(|_| gone())?;
        told.await.map_err(|_| gone())?
    }
}

/// The route of the order.
pub fn routes(reload: &Reload) -> Routes {
    let about = operation(
        "reload_config",
        "Reads the configuration again; nothing changes unless all of it is well.",
    )
    .answers::<Reloaded>()
    .may_refuse(&[422]);
    Routes::new().route("/api/v1/reload", post(Role::Admin, ordered).about(about)).with_state(reload.clone())
}

async fn ordered(State(reload): State<Reload>, Extension(viewer): Extension<Viewer>) -> Response {
    match reload.order(&viewer.who).await {
        Ok(reloaded) => Json(reloaded).into_response(),
        Err(bad) => refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_configuration", bad.0),
    }
}
