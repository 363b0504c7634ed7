//! The original buildlet's endpoints, with its status codes and texts (spec 1.8 to 1.18).

mod archive;
mod debug;
mod exec;
mod files;
mod form;
mod halt;
mod ls;
pub(crate) mod ssh;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Method, StatusCode, header};

use crate::agent::Agent;
use crate::http::GoError;

pub(crate) use archive::{tgz, writetgz};
pub(crate) use debug::{goroutines, letters};
pub(crate) use exec::exec;
pub(crate) use files::{removeall, write};
pub(crate) use halt::{Power, halt};
pub(crate) use ls::ls;
#[cfg(feature = "ssh")]
pub(crate) use ls::rfc3339;
pub(crate) use ssh::{Ssh, connect_ssh};

/// What machine this is, in Go's words.
pub(crate) fn target() -> (&'static str, &'static str) {
    let os = if std::env::consts::OS == "macos" { "darwin" } else { std::env::consts::OS };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        other => other,
    };
    (os, arch)
}

pub(crate) async fn root() -> String {
    let (os, arch) = target();
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

fn require(method: &Method, want: &Method) -> Result<(), GoError> {
    if method == want { Ok(()) } else { Err(GoError::bad(format!("requires {want} method"))) }
}

fn internal(error: impl std::fmt::Display) -> GoError {
    GoError(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}
