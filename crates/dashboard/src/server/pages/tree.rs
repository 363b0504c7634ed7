//! Trees: all of them, and one with its history, its badge and its feed.

mod feed;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use transport::{Role, Viewer};

use super::super::refusal::{Answer, Path};
use super::super::{Dashboard, tree};
use super::{address, page, short, shown};
use crate::api::{TreeDetail, TreeInfo, TreeStatus};
pub(super) use feed::{badge, feed};

/// How long something may be set for: seconds, and in words.
const LASTS: [(&str, &str); 6] = [
    ("", "until it is released"),
    ("3600", "for 1 hour"),
    ("14400", "for 4 hours"),
    ("86400", "for 1 day"),
    ("259200", "for 3 days"),
    ("604800", "for 1 week"),
];

/// The address of a tree's page.
pub(super) fn path(repo: &str, branch: &str) -> String {
    format!("/tree/{}/{}", transport::segment(repo), transport::segment(branch))
}

#[derive(Template)]
#[template(path = "trees.html")]
struct TreesPage {
    trees: Vec<TreeInfo>,
}

/// `GET /tree`
pub(super) async fn trees(State(dashboard): State<Dashboard>, viewer: Viewer) -> Response {
    let answer = async { page(&TreesPage { trees: tree::all(&dashboard, &viewer).await? }) };
    shown(answer.await)
}

#[derive(Template)]
#[template(path = "tree.html")]
struct TreePage {
    tree: TreeDetail,
    /// What the form carries, for those who may set it.
    orders: Option<String>,
    /// What the rules are, in words.
    rules: Vec<String>,
    /// Where this server is reached.
    base: String,
}

impl TreePage {
    fn path(&self) -> String {
        path(&self.tree.info.repo, &self.tree.info.branch)
    }
}

/// `GET /tree/{repo}/{branch}` and its twin with `.json`
pub(super) async fn tree(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path((repo, name)): Path<(String, String)>,
) -> Response {
    let found = tree::detail(&dashboard, &viewer, &repo, &name).await;
    // A branch may be named like a twin.
    if let (Err(_), Some(branch)) = (&found, name.strip_suffix(".json")) {
        return tree::detail(&dashboard, &viewer, &repo, branch).await.map(Json).into_response();
    }
    let made = || -> Answer<Response> {
        let tree = found?;
        let may = viewer.role.may(Role::Developer) && viewer.may_order(&repo);
        let orders = viewer.csrf.as_deref().filter(|_| may).map(str::to_owned);
        let config = dashboard.config();
        let rules = config.repo(&repo).map(|repo| in_words(&repo.tree)).unwrap_or_default();
        let base = config.environment().url.trim_end_matches('/').to_owned();
        page(&TreePage { tree, orders, rules, base })
    };
    shown(made())
}

/// Says when the rules close and throttle a tree.
fn in_words(rules: &buildenv::TreeRules) -> Vec<String> {
    let closers: Vec<String> = rules.closers.texts().collect();
    let mut words = vec![match closers.as_slice() {
        [] => "closed if any builder is red".to_owned(),
        [none] if none == "!*" => "never closed by itself".to_owned(),
        some => format!("closed if a builder of {} is red", some.join(", ")),
    }];
    words.extend(rules.throttle_red.map(|share| format!("throttled if {share} % of the builders are red")));
    words.extend(rules.throttle_queued.map(|most| format!("throttled if more than {most} builds wait")));
    words
}
