//! The original buildlet's endpoints, with its status codes and texts (spec 1.8 to 1.17).

mod archive;
mod exec;
mod files;
mod form;
mod ls;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};

use crate::agent::Agent;
use crate::http::GoError;

pub(crate) use archive::{tgz, writetgz};
pub(crate) use exec::exec;
pub(crate) use files::{removeall, write};
pub(crate) use ls::ls;

/// What an answer waits before the agent ends, so that it is read.
const HALT_DELAY: Duration = Duration::from_secs(1);

pub(crate) async fn root() -> String {
    let os = if std::env::consts::OS == "macos" { "darwin" } else { std::env::consts::OS };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("buildlet running on {os}-{arch}\n")
}

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

pub(crate) async fn status(State(agent): State<Arc<Agent>>, method: Method) -> Result<Response, GoError> {
    require(&method, &Method::GET)?;
    let mut response = Json(agent.status().await).into_response();
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

pub(crate) async fn workdir(State(agent): State<Arc<Agent>>, method: Method) -> Result<String, GoError> {
    require(&method, &Method::GET)?;
    Ok(agent.workdir().display().to_string())
}

pub(crate) async fn halt(State(agent): State<Arc<Agent>>, method: Method) -> Result<(), GoError> {
    require(&method, &Method::POST)?;
    let stop = agent.stop.clone();
    let machine = agent.halt_machine;
    // Owned by the runtime, which ends a second later.
    tokio::spawn(async move {
        tokio::time::sleep(HALT_DELAY).await;
        if machine {
            let halted = std::process::Command::new("/bin/halt").args(["-n", "-f", "-p"]).status();
            tracing::error!(?halted, "the machine goes on");
        }
        stop.cancel();
    });
    Ok(())
}

fn require(method: &Method, want: &Method) -> Result<(), GoError> {
    if method == want { Ok(()) } else { Err(GoError::bad(format!("requires {want} method"))) }
}

fn internal(error: impl std::fmt::Display) -> GoError {
    GoError(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
