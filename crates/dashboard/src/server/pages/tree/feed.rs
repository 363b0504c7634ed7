//! What others show of a tree: a badge as SVG and its changes as an Atom feed.

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};
use transport::Viewer;

use super::super::super::refusal::{Answer, Path, Refusal};
use super::super::super::{Dashboard, tree};
use super::path;
use crate::api::{TreeChange, TreeDetail, TreeInfo, TreeStatus};

/// So long others may show what they have, seconds.
const FRESH: u32 = 60;

#[derive(Template)]
#[template(path = "badge.svg")]
struct Badge {
    tree: TreeInfo,
}

impl Badge {
    /// Width of the right part.
    fn width(&self) -> u32 {
        match self.tree.status {
            TreeStatus::Open => 46,
            TreeStatus::Closed => 54,
            TreeStatus::Throttled => 70,
        }
    }

    fn colour(&self) -> &'static str {
        match self.tree.status {
            TreeStatus::Open => "#12703a",
            TreeStatus::Closed => "#b3152a",
            TreeStatus::Throttled => "#7d5300",
        }
    }
}

/// `GET /tree/{repo}/{branch}/badge.svg`
pub(in super::super) async fn badge(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path((repo, branch)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<Response> {
    let tree = tree::one(&dashboard, &viewer, &repo, &branch).await?;
    let tree = tree.ok_or_else(|| Refusal::not_found(format!("tree {branch:?} of {repo:?}")))?;
    kept(&dashboard, &headers, "image/svg+xml", &repo, &Badge { tree })
}

#[derive(Template)]
#[template(path = "feed.xml")]
struct Feed {
    tree: TreeDetail,
    base: String,
}

impl Feed {
    /// The tree's page, from everywhere.
    fn page(&self) -> String {
        format!("{}{}", self.base, path(&self.tree.info.repo, &self.tree.info.branch))
    }

    /// The last change's time; a feed has one even if there is none.
    fn updated(&self) -> String {
        self.tree.changes.first().map_or_else(|| "1970-01-01T00:00:00Z".to_owned(), |last| moment(&last.time))
    }

    fn title(&self, change: &TreeChange) -> String {
        let TreeInfo { repo, branch, .. } = &self.tree.info;
        xml(&format!("{repo} {branch} is {}: {}", change.status, change.reason))
    }
}

fn moment(at: &jiff::Timestamp) -> String {
    format!("{at:.0}")
}

/// Takes out the two characters that the templates' escaper leaves and XML forbids.
fn xml(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// `GET /tree/{repo}/{branch}/feed.atom`
pub(in super::super) async fn feed(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path((repo, branch)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer<Response> {
    let tree = tree::detail(&dashboard, &viewer, &repo, &branch).await?;
    let base = dashboard.config().environment().url.trim_end_matches('/').to_owned();
    kept(&dashboard, &headers, "application/atom+xml; charset=utf-8", &repo, &Feed { tree, base })
}

/// Answers with what may be kept for a while, or that it is the same as what is kept. What is private is kept by nobody
/// between.
fn kept(
    dashboard: &Dashboard,
    asked: &HeaderMap,
    kind: &'static str,
    repo: &str,
    template: &impl Template,
) -> Answer<Response> {
    let text = template.render().map_err(|error| Refusal::internal(error.to_string()))?;
    let digest = Sha256::digest(text.as_bytes());
    let tag = format!("\"{}\"", digest[..8].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let same = known.flat_map(|value| value.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.trim_start_matches("W/") == tag
    });
    let mut response = match same {
        true => (StatusCode::NOT_MODIFIED, Body::empty()).into_response(),
        false => text.into_response(),
    };
    let whose = if dashboard.config().is_private(repo) == Some(false) { "public" } else { "private" };
    let headers = response.headers_mut();
    let value =
        |text: &str| HeaderValue::from_str(text).map_err(|error| Refusal::internal(error.to_string()));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, value(&format!("{whose}, max-age={FRESH}"))?);
    headers.insert(header::ETAG, value(&tag)?);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    Ok(response)
}
