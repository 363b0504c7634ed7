//! Pages, rendered here: they work without scripts, and each has its JSON twin, which is the API's own answer.

mod audit;
mod build;
mod builders;
mod failures;
mod grid;
mod lists;
mod log;
mod statistics;
mod tests;
mod tree;

use askama::Template;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::Timestamp;
use transport::operation::{HashText, NameText, SegmentText, UlidText, operation};
use transport::routes::get;
use transport::{Role, Routes};

use super::Dashboard;
use super::refusal::{Answer, LATER, Refusal};
use super::window::WindowQuery;
use crate::api::{
    AlikeBuild, AuditList, BuildList, BuildQuery, BuildReport, BuildState, BuildSummary, BuildTests,
    BuilderStatistics, CellWindow, DayStatistics, FailureGroup, MachineStatistics, Outcome, TestGrid,
    TestNames, TestRun, TreeDetail, TreeList,
};

/// Routes of the pages.
pub(super) fn routes() -> Routes<Dashboard> {
    Routes::new()
        .route("/", get(Role::Reader, grid::grid))
        .route("/grid", get(Role::Reader, grid::grid))
        .route(
            "/grid.json",
            get(Role::Reader, grid::twin).about(
                operation(
                    "get_grid",
                    "Returns what the grid shows: `/api/v1/cells` without columns that are left out.",
                )
                .query::<WindowQuery>()
                .answers::<CellWindow>()
                .may_refuse(&[404]),
            ),
        )
        .route("/grid/events", get(Role::Reader, super::changes::events))
        .route("/builds", get(Role::Reader, lists::builds))
        .route(
            "/builds.json",
            get(Role::Reader, super::builds::list).about(
                operation("get_builds_page", "The same as `/api/v1/builds`.")
                    .query::<BuildQuery>()
                    .answers::<BuildList>(),
            ),
        )
        .route(
            "/builds/{id}",
            get(Role::Reader, build::build).about(
                operation("get_build_page", "The same as `/api/v1/builds/{id}`.")
                    .at("/builds/{id}.json")
                    .part::<UlidText>("id", "The build's id.")
                    .answers::<BuildReport>(),
            ),
        )
        .route("/builds/{id}/log", get(Role::Reader, log::log))
        .route(
            "/builders/{name}",
            get(Role::Reader, builders::builder).about(
                operation("get_builder_page", "Lists the builds of a builder, the newest first.")
                    .at("/builders/{name}.json")
                    .part::<NameText>("name", "The builder's name.")
                    .query::<lists::ListQuery>()
                    .answers::<BuildList>(),
            ),
        )
        .route(
            "/commits/{repo}/{hash}",
            get(Role::Reader, lists::commit).about(
                operation("get_commit_page", "Lists the builds of a commit.")
                    .at("/commits/{repo}/{hash}.json")
                    .part::<NameText>("repo", "The repo.")
                    .part::<HashText>("hash", "The commit.")
                    .answers::<BuildList>()
                    .may_refuse(&[400]),
            ),
        )
        .route("/failures", get(Role::Reader, failures::groups))
        .route(
            "/failures.json",
            get(Role::Reader, failures::groups_twin).about(
                operation("list_failures", "Lists failures of 30 days, those that look alike together.")
                    .query::<failures::GroupsQuery>()
                    .answers::<Vec<FailureGroup>>(),
            ),
        )
        .route(
            "/failures/{signature}",
            get(Role::Reader, failures::alike).about(
                operation("list_alike", "Lists the builds that failed alike.")
                    .at("/failures/{signature}.json")
                    .part::<SegmentText>("signature", "What they have in common.")
                    .answers::<Vec<AlikeBuild>>(),
            ),
        )
        .route("/statistics", get(Role::Reader, statistics::statistics))
        .route(
            "/statistics.json",
            get(Role::Reader, statistics::twin).about(
                operation(
                    "get_statistics",
                    "Says how long builds wait and take by builder, and how often they fail.",
                )
                .query::<statistics::StatisticsQuery>()
                .answers::<Vec<BuilderStatistics>>(),
            ),
        )
        .route("/statistics/days", get(Role::Reader, statistics::days::page))
        .route(
            "/statistics/days.json",
            get(Role::Reader, statistics::days::twin).about(
                operation(
                    "list_statistics_by_day",
                    "Says how long the builds of each day waited and took, and how often they failed or flaked.",
                )
                .query::<statistics::StatisticsQuery>()
                .answers::<Vec<DayStatistics>>(),
            ),
        )
        .route("/statistics/machines", get(Role::Reader, statistics::machines::page))
        .route(
            "/statistics/machines.json",
            get(Role::Reader, statistics::machines::twin).about(
                operation(
                    "list_statistics_of_machines",
                    "Says what machines did, and how much of it was for nothing; the worst first.",
                )
                .query::<statistics::machines::MachinesQuery>()
                .answers::<Vec<MachineStatistics>>(),
            ),
        )
        .route("/audit", get(Role::Admin, audit::audit))
        .route(
            "/audit.json",
            get(Role::Admin, super::audit::list).about(
                operation("get_audit_page", "The same as `/api/v1/audit`.")
                    .query::<super::audit::AuditQuery>()
                    .answers::<AuditList>(),
            ),
        )
        .route("/tree", get(Role::Reader, tree::trees))
        .route(
            "/tree.json",
            get(Role::Reader, super::tree::list)
                .about(operation("get_trees_page", "The same as `/api/v1/tree`.").answers::<TreeList>()),
        )
        .route(
            "/tree/{repo}/{branch}",
            get(Role::Reader, tree::tree).about(
                operation("get_tree_page", "The same as `/api/v1/tree/{repo}/{branch}`.")
                    .at("/tree/{repo}/{branch}.json")
                    .part::<NameText>("repo", "The repo.")
                    .part::<SegmentText>("branch", "The branch.")
                    .answers::<TreeDetail>(),
            ),
        )
        .route("/tree/{repo}/{branch}/badge.svg", get(Role::Reader, tree::badge))
        .route("/tree/{repo}/{branch}/feed.atom", get(Role::Reader, tree::feed))
        .route("/builds/{id}/tests", get(Role::Reader, tests::build::tests))
        .route(
            "/builds/{id}/tests.json",
            get(Role::Reader, tests::build::twin).about(
                operation("list_build_tests", "Lists the test results of a build, those that failed first.")
                    .part::<UlidText>("id", "The build's id.")
                    .query::<tests::build::TestsQuery>()
                    .answers::<BuildTests>(),
            ),
        )
        .route("/tests/find", get(Role::Reader, tests::find::find))
        .route(
            "/tests/find.json",
            get(Role::Reader, tests::find::twin).about(
                operation(
                    "find_tests",
                    "Lists tests of a repo by their names, or failures by their signature.",
                )
                .query::<tests::find::FindQuery>()
                .answers::<TestNames>(),
            ),
        )
        .route("/tests/grid", get(Role::Reader, tests::grid::grid))
        .route(
            "/tests/grid.json",
            get(Role::Reader, tests::grid::twin).about(
                operation("get_test_grid", "Says what tests did in the newest builds of a builder.")
                    .query::<tests::grid::GridQuery>()
                    .answers::<TestGrid>(),
            ),
        )
        .route("/tests", get(Role::Reader, tests::history))
        .route(
            "/tests.json",
            get(Role::Reader, tests::twin).about(
                operation("list_test_runs", "Lists a test's results, the newest first.")
                    .query::<tests::HistoryQuery>()
                    .answers::<Vec<TestRun>>(),
            ),
        )
}

fn page(template: &impl Template) -> Answer<Response> {
    webui::page::page(StatusCode::OK, template).map_err(|error| Refusal::internal(error.to_string()))
}

/// Shows a person what a program gets as JSON.
fn shown(answer: Answer<Response>) -> Response {
    match answer {
        Ok(page) => page,
        Err(refusal) if refusal.status == StatusCode::NOT_FOUND => {
            webui::page::notice(refusal.status, "That is not here", &refusal.message)
        }
        Err(refusal) if refusal.status.is_client_error() => {
            webui::page::notice(refusal.status, "That can't be shown", &refusal.message)
        }
        Err(refusal) if refusal.status == StatusCode::SERVICE_UNAVAILABLE => {
            let mut page =
                webui::page::notice(refusal.status, "That can't be shown just now", &refusal.message);
            page.headers_mut().insert(http::header::RETRY_AFTER, http::HeaderValue::from_static(LATER));
            page
        }
        Err(refusal) => refusal.into_response(),
    }
}

// What the templates call.

fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}

/// A state or outcome as a word that is also the name of its style.
fn word(state: &BuildState, outcome: &Option<Outcome>) -> &'static str {
    outcome.map_or_else(|| state.as_str(), Outcome::as_str)
}

fn took(start: &Option<Timestamp>, end: &Option<Timestamp>) -> String {
    let (Some(start), Some(end)) = (start, end) else { return String::new() };
    webui::time::duration(end.as_microsecond() - start.as_microsecond())
}

fn until(start: &Timestamp, end: &Option<Timestamp>) -> String {
    took(&Some(*start), end)
}

fn micros(us: &i64) -> String {
    webui::time::duration(*us)
}

fn size(bytes: &u64) -> String {
    webui::time::bytes(*bytes)
}

/// A revision with its commits cut short.
fn revision(revision: &str) -> String {
    let parts = revision.split('+').map(|part| match part.split_once('@') {
        Some((repo, commit)) => format!("{repo}@{}", short(commit)),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(" + ")
}

/// The commit of a revision's first repo.
fn subject(revision: &str) -> &str {
    let first = revision.split('+').next().and_then(|part| part.split_once('@'));
    first.map(|(_, commit)| commit).unwrap_or_default()
}

/// A bar that goes on by itself: the time of a build's start (ms since 1970) and how long it should take (ms).
fn progress(build: &BuildSummary) -> Option<(i64, u64)> {
    match (build.outcome, build.started, build.expected_ms) {
        (None, Some(started), Some(expected)) if expected > 0 => Some((started.as_millisecond(), expected)),
        _ => None,
    }
}

/// How far a bar is now.
fn so_far(start: &i64, expected: &u64) -> u64 {
    let since = Timestamp::now().as_millisecond().saturating_sub(*start);
    u64::try_from(since).unwrap_or(0).min(expected * 99 / 100)
}

/// An address with a query in which names and values are escaped.
fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    for (n, (name, value)) in query.iter().filter(|(_, value)| !value.is_empty()).enumerate() {
        address.push(if n == 0 { '?' } else { '&' });
        address.push_str(name);
        address.push('=');
        address.push_str(&transport::segment(value));
    }
    address
}
