//! A test's history: what it did in the last builds of a builder, or of all.

use std::collections::{HashMap, HashSet};

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use store::test_results::{self, Before};
use transport::Viewer;

use super::super::refusal::{Answer, Query, Refusal};
use super::super::window::{given, wanted};
use super::super::{Dashboard, visible};
use super::{address, micros, page, short, shown};
use crate::api::TestRun;

pub(super) mod build;
pub(super) mod find;
pub(super) mod grid;

/// So many results are listed.
const LISTED: u32 = 200;

/// Query of a test's history.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(super) struct HistoryQuery {
    /// Of this repo.
    #[schemars(required, length(min = 1), pattern(r"\S"))]
    repo: Option<String>,
    /// On this builder; on all if not given.
    builder: Option<String>,
    /// The test's name.
    #[schemars(required, length(min = 1), pattern(r"\S"))]
    id: Option<String>,
    /// `cursor` of the last run of the list before.
    cursor: Option<String>,
}

#[derive(Template)]
#[template(path = "test.html")]
struct HistoryPage {
    query: HistoryQuery,
    runs: Vec<TestRun>,
    chart: webui::Markup,
}

impl HistoryPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }

    /// How many runs of those that are listed failed, and how many of them are no commit's fault.
    fn failed(&self) -> (usize, usize) {
        let failed = self.runs.iter().filter(|run| bad(&run.outcome)).count();
        (failed, self.runs.iter().filter(|run| run.flaky).count())
    }

    /// A share of the runs that are listed.
    fn share(&self, count: &usize) -> String {
        format!("{:.1} %", *count as f64 * 100.0 / self.runs.len().max(1) as f64)
    }

    /// Where the list goes on.
    fn older(&self) -> Option<&str> {
        let full = self.runs.len() >= LISTED as usize;
        self.runs.last().filter(|_| full).map(|run| run.cursor.as_str())
    }
}

/// Whether somebody has to look at a result.
fn bad(outcome: &str) -> bool {
    outcome != "ok" && outcome != "skipped"
}

/// The style of an outcome of a test.
fn class(outcome: &str) -> &'static str {
    match outcome {
        "ok" => "ok",
        "skipped" => "skipped",
        "unfinished" => "infra_failed",
        _ => "failed",
    }
}

/// Shows a run; whether it is flaky is said by [`mark_flaky`].
fn run(row: test_results::TestRun) -> TestRun {
    TestRun {
        cursor: format!("{}-{}-{}", row.build, row.attempt, row.variant),
        build: row.build.to_string(),
        attempt: row.attempt.to_string(),
        variant: row.variant,
        outcome: row.outcome,
        duration_us: row.duration,
        repo: row.repo,
        branch: row.branch,
        commit: row.subject,
        builder: row.builder,
        test: row.id,
        flaky: false,
        signature: row.signature,
        class: row.class,
    }
}

/// The `#2` behind the variant of a test that ran again in the same attempt is no other way to run it.
fn way(variant: &str) -> &str {
    match variant.rsplit_once('#') {
        Some((way, times)) if !times.is_empty() && times.bytes().all(|byte| byte.is_ascii_digit()) => {
            way.trim_end()
        }
        _ => variant,
    }
}

/// Marks failures that no commit is to blame for, as far as these runs of one test tell, the newest first.
fn mark_flaky(runs: &mut [TestRun]) {
    let mut well = HashSet::new();
    let mut lines: HashMap<_, Vec<usize>> = HashMap::new();
    for (at, run) in runs.iter().enumerate() {
        let (builder, way) = (run.builder.clone(), way(&run.variant).to_owned());
        if run.outcome == "ok" {
            well.insert((builder.clone(), way.clone(), run.commit.clone()));
        }
        lines.entry((builder, way, run.branch.clone())).or_default().push(at);
    }
    let mut flaky = Vec::new();
    for ((builder, way, _), line) in lines {
        for (n, at) in line.iter().enumerate() {
            let run = &runs[*at];
            let ok =
                |n: Option<usize>| n.and_then(|n| line.get(n)).is_some_and(|at| runs[*at].outcome == "ok");
            let between = ok(n.checked_sub(1)) && ok(n.checked_add(1));
            let same = well.contains(&(builder.clone(), way.clone(), run.commit.clone()));
            if bad(&run.outcome) && (between || same) {
                flaky.push(*at);
            }
        }
    }
    for at in flaky {
        runs[at].flaky = true;
    }
}

fn before(query: &HistoryQuery) -> Answer<Before> {
    let cursor = wanted(&query.cursor);
    if cursor.is_empty() {
        return Ok(Before::default());
    }
    let mut parts = cursor.splitn(3, '-').map(str::to_owned);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(build), Some(attempt), Some(variant)) => Ok(Before { build, attempt, variant }),
        _ => Err(Refusal::bad("`cursor` is not one of a list of results")),
    }
}

async fn read(dashboard: &Dashboard, viewer: &Viewer, query: &HistoryQuery) -> Answer<Vec<TestRun>> {
    let (repo, id, builder) = (wanted(&query.repo), wanted(&query.id), wanted(&query.builder));
    if repo.is_empty() || id.is_empty() {
        return Err(Refusal::bad("a test's history needs `repo` and `id`"));
    }
    let before = before(query)?;
    let hidden = visible::eyes(dashboard, viewer).await?.hidden();
    let mut reader = dashboard.db().read().await?;
    let rows = test_results::history(&mut reader, &id, &builder, &repo, &before, LISTED, &hidden).await?;
    drop(reader);
    let mut runs: Vec<_> = rows.into_iter().map(run).collect();
    mark_flaky(&mut runs);
    Ok(runs)
}

/// `GET /tests`
pub(super) async fn history(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<HistoryQuery>,
) -> Response {
    let answer = async {
        let runs = read(&dashboard, &viewer, &query).await?;
        let chart = durations(&runs);
        page(&HistoryPage { query, runs, chart })
    };
    shown(answer.await)
}

fn durations(runs: &[TestRun]) -> webui::Markup {
    let most = runs.iter().filter_map(|run| run.duration_us).max().unwrap_or(0);
    let bars: Vec<_> = runs
        .iter()
        .rev()
        .map(|run| webui::chart::Bar {
            value: run.duration_us.unwrap_or(0) as f64,
            class: match run.outcome.as_str() {
                "ok" => "ok",
                outcome if bad(outcome) => "failed",
                _ => "",
            },
            title: format!("{} {}", run.outcome, short(&run.commit)),
        })
        .collect();
    webui::chart::bars("How long the test took, the oldest at the left", &webui::time::duration(most), &bars)
}

/// `GET /tests.json`
pub(super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<HistoryQuery>,
) -> Answer<Json<Vec<TestRun>>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}

#[cfg(test)]
mod made {
    use super::*;

    fn run(builder: &str, commit: &str, outcome: &str) -> TestRun {
        TestRun {
            build: String::new(),
            attempt: String::new(),
            variant: String::new(),
            outcome: outcome.to_owned(),
            duration_us: None,
            repo: String::new(),
            branch: String::new(),
            commit: commit.to_owned(),
            builder: builder.to_owned(),
            test: String::new(),
            flaky: false,
            signature: None,
            class: String::new(),
            cursor: String::new(),
        }
    }

    #[test]
    fn flaky_is_what_no_commit_did() {
        let mut runs = [
            run("a", "9", "failed"),
            run("a", "8", "ok"),
            run("b", "8", "failed"),
            run("a", "7", "unfinished"),
            run("a", "6", "ok"),
            run("a", "5", "failed"),
            run("a", "4", "failed"),
            TestRun { variant: "#2".into(), ..run("a", "4", "ok") },
            run("b", "3", "failed"),
        ];
        mark_flaky(&mut runs);
        let flaky: Vec<_> = runs.iter().map(|run| run.flaky).collect();
        // 9 may be broken; 7 is between two that did well; 5 is not, and 4 did well when it ran again.
        assert_eq!(flaky, [false, false, false, true, false, false, true, false, false]);
        assert_eq!((way("x #2"), way("#12"), way("a#b"), way("C#")), ("x", "", "a#b", "C#"));
    }
}
