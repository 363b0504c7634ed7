//! The way to the door through the pages' port, for who can reach no other: an upgrade of HTTP/1.1.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use transport::routes::{Routes, get};
use transport::{Role, Viewer};

use super::door::{LEAVE, Shells};

pub(crate) fn routes(shells: Shells) -> Routes {
    Routes::new().route("/gomote/ssh", get(Role::Developer, tunnel)).with_state(shells)
}

async fn tunnel(State(shells): State<Shells>, viewer: Viewer, mut request: Request) -> Response {
    let wants = request
        .headers()
        .get(header::UPGRADE)
        .is_some_and(|what| what.as_bytes().eq_ignore_ascii_case(b"ssh"));
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let (true, Some(upgrade)) = (wants, upgrade) else {
        let text =
            "this is the way to a shell: `bellwether gomote ssh NAME` goes it (HTTP/1.1, Upgrade: ssh)\n";
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "ssh")], text).into_response();
    };
    let door = shells.clone();
    shells.0.tasks.spawn(async move {
        match upgrade.await {
            Ok(stream) => {
                let from = format!("{} by the pages' port", viewer.who);
                let over = async {
                    viewer.standing.ended().await;
                    // Whoever is logged in by the same hears of it first.
                    tokio::time::sleep(LEAVE * 2).await;
                };
                tokio::select! {
                    () = door.serve_known(TokioIo::new(stream), from) => {}
                    () = over => tracing::info!(who = %viewer.who, "a tunnel is ended: what was shown for it counts no longer"),
                }
            }
            Err(error) => tracing::debug!(%error, "a connection was gone before it was one of SSH"),
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("ssh"));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response
}
