//! The style sheet and the scripts. Their address holds a digest of their content, so a browser keeps them for ever and
//! never has an old one beside a new page.

use std::fmt;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const ALL: [Asset; 4] = [
    Asset { name: "style.css", kind: CSS, text: include_str!("../assets/style.css") },
    Asset { name: "live.js", kind: JS, text: include_str!("../assets/live.js") },
    Asset { name: "log.js", kind: JS, text: include_str!("../assets/log.js") },
    Asset { name: "bell.svg", kind: SVG, text: include_str!("../assets/bell.svg") },
];

/// Names the content of all assets together.
pub const VERSION: Version = Version(digest());

/// Shown as sixteen hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// FNV-1a: it tells versions apart, and protects nothing.
const fn digest() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut n = 0;
    while n < ALL.len() {
        let bytes = ALL[n].text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
            at += 1;
        }
        n += 1;
    }
    hash
}

/// The path of the files, `/assets/VERSION/NAME`.
pub const PATH: &str = "/assets/{version}/{name}";

/// Answers with one of the files.
pub async fn asset(Path((version, name)): Path<(String, String)>) -> Response {
    let Some(asset) = ALL.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // Another version is a page's that was made by a program before or after this one: it gets what there is.
    let keep =
        if version == VERSION.to_string() { "public, max-age=31536000, immutable" } else { "no-cache" };
    let head = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, keep),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (head, asset.text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(path: &str) -> Response {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        axum::Router::new().route(PATH, axum::routing::get(asset)).oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_present_version_is_kept_for_ever() {
        let now = get(&format!("/assets/{VERSION}/style.css")).await;
        assert!(now.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert_eq!(now.headers()[header::CONTENT_TYPE], CSS);
        let old = get("/assets/0123/live.js").await;
        assert_eq!(old.headers()[header::CACHE_CONTROL], "no-cache");
        assert_eq!(get(&format!("/assets/{VERSION}/other")).await.status(), StatusCode::NOT_FOUND);
    }
}
