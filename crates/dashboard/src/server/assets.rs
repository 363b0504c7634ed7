//! The style sheet and the one script, served as files so that the pages need nothing inline.

use axum::response::IntoResponse;
use http::header;
use transport::routes::get;
use transport::{Role, Routes};

use super::Dashboard;

const STYLE: &str = include_str!("../../assets/style.css");
const SCRIPT: &str = include_str!("../../assets/live.js");

/// Routes of the files.
pub(super) fn routes() -> Routes<Dashboard> {
    Routes::new()
        .route("/assets/style.css", get(Role::Anonymous, || async { file("text/css; charset=utf-8", STYLE) }))
        .route(
            "/assets/live.js",
            get(Role::Anonymous, || async { file("text/javascript; charset=utf-8", SCRIPT) }),
        )
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let head = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (head, text)
}
