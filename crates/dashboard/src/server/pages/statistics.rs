//! Statistics: how long builds wait and take, and how often they fail or are tried again.

pub(super) mod days;
pub(super) mod machines;

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use store::{BuildId, Micros, results, step_times};
use transport::Viewer;
use webui::Markup;
use webui::chart::{self, Range, Row};

use super::super::refusal::{Answer, Query, Refusal};
use super::super::window::{fits, given, wanted};
use super::super::{Dashboard, visible};
use super::{address, micros, page, shown};
use crate::api::{BuilderStatistics, StepStatistics};

/// So many builders are listed.
const LISTED: u32 = 500;
/// How far back can be asked for, days.
const DAYS: [i64; 4] = [1, 7, 30, 90];
/// So many have a bar.
const ROWS: usize = 60;
/// So many steps of builders are listed, and of those that take the longest so many have a bar.
const STEPS: u32 = 5000;
const STEP_ROWS: usize = 24;

/// Query of the statistics.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(super) struct StatisticsQuery {
    /// Of this repo.
    repo: Option<String>,
    /// Only builders that a pattern with `*`, or a part of their name, fits.
    builder: Option<String>,
    /// How many days back, 7 if not given.
    #[schemars(with = "Option<u32>", range(min = 1, max = 90))]
    days: Option<String>,
}

impl StatisticsQuery {
    /// How many days back; 7 where that is not given, or can't be read.
    fn days(&self) -> i64 {
        self.asked().unwrap_or(7)
    }

    fn asked(&self) -> Answer<i64> {
        asked_days(&self.days)
    }

    fn repo(&self) -> &str {
        given(&self.repo).unwrap_or_default()
    }

    fn builder(&self) -> &str {
        given(&self.builder).unwrap_or_default()
    }

    fn wants(&self, builder: &str) -> bool {
        given(&self.builder).is_none_or(|pattern| fits(pattern, builder))
    }
}

/// How many days back; 7 where that is not given.
fn asked_days(days: &Option<String>) -> Answer<i64> {
    let Some(days) = given(days) else { return Ok(7) };
    let known = days.parse().ok().filter(|days| (1..=90).contains(days));
    known.ok_or_else(|| Refusal::bad(format!("`days` is {days:?}, and is from 1 to 90")))
}

/// Before the builds of so many days.
fn since(days: i64) -> BuildId {
    BuildId::new(Micros(Micros::now().0 - days * DAY), &mut |to| to.fill(0))
}

/// A day in microseconds.
const DAY: i64 = 86_400_000_000;

/// A day that is counted from 1970-01-01, such as `2026-11-28`.
fn day(day: i64) -> String {
    let begin = jiff::Timestamp::from_microsecond(day.saturating_mul(DAY)).unwrap_or_default();
    begin.to_string().chars().take(10).collect()
}

/// A part of some as people read it.
fn percent(part: i64, of: i64) -> String {
    let tenths = part * 1000 / of.max(1);
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// A part of a builder's builds.
fn rate(one: &BuilderStatistics, of: &i64) -> String {
    percent(*of, one.builds)
}

#[derive(Template)]
#[template(path = "statistics.html")]
struct StatisticsPage {
    query: StatisticsQuery,
    builders: Vec<BuilderStatistics>,
    took: Markup,
    queued: Markup,
    failed: Markup,
    retried: Markup,
    steps: Option<Markup>,
}

async fn read(
    dashboard: &Dashboard,
    viewer: &Viewer,
    query: &StatisticsQuery,
) -> Answer<Vec<BuilderStatistics>> {
    let hidden = visible::eyes(dashboard, viewer).await?.hidden();
    let since = since(query.asked()?);
    let mut reader = dashboard.db().read().await?;
    let rows = results::statistics(&mut reader, &wanted(&query.repo), since, LISTED, &hidden).await?;
    let timed = step_times::quantiles(&mut reader, &wanted(&query.repo), since, STEPS, &hidden).await?;
    drop(reader);
    let steps = |builder: &str| {
        let own = timed.iter().filter(|row| row.builder == builder);
        own.map(|row| StepStatistics {
            step: row.step.clone(),
            times: row.times,
            median_us: row.median,
            p90_us: row.p90,
        })
        .collect()
    };
    let shown = rows.into_iter().filter(|row| query.wants(&row.builder)).map(|row| BuilderStatistics {
        steps: steps(&row.builder),
        builder: row.builder,
        builds: row.builds,
        ok: row.ok,
        failed: row.failed,
        infra_failed: row.infra_failed,
        retried: row.retried,
        queued_us: row.queued.unwrap_or(0),
        took_us: row.took.unwrap_or(0),
    });
    Ok(shown.collect())
}

/// `GET /statistics`
pub(super) async fn statistics(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<StatisticsQuery>,
) -> Response {
    let answer = async {
        let builders = read(&dashboard, &viewer, &query).await?;
        let share = |one: &BuilderStatistics, of: i64| of as f64 / one.builds.max(1) as f64;
        let took = rows("Mean time from begin to end, by builder", "running", &builders, |one| {
            (one.took_us as f64, webui::time::duration(one.took_us))
        });
        let queued = rows("Mean time in the queue, by builder", "queued", &builders, |one| {
            (one.queued_us as f64, webui::time::duration(one.queued_us))
        });
        let failed = rows("Share of builds that failed, by builder", "failed", &builders, |one| {
            (share(one, one.failed), rate(one, &one.failed))
        });
        let retried =
            rows("Share of builds that were tried again, by builder", "infra_failed", &builders, |one| {
                (share(one, one.retried), rate(one, &one.retried))
            });
        let steps = steps_chart(&builders);
        page(&StatisticsPage { query, took, queued, failed, retried, steps, builders })
    };
    shown(answer.await)
}

fn rows(
    label: &str,
    class: &str,
    builders: &[BuilderStatistics],
    value: impl Fn(&BuilderStatistics) -> (f64, String),
) -> Markup {
    let row = |one: &BuilderStatistics| {
        let (value, text) = value(one);
        Row { name: one.builder.clone(), value, text }
    };
    let rows: Vec<Row> = builders.iter().take(ROWS).map(row).collect();
    chart::rows(label, class, &rows)
}

/// The steps that take the longest, by builder.
fn steps_chart(builders: &[BuilderStatistics]) -> Option<Markup> {
    let all = builders.iter().flat_map(|one| one.steps.iter().map(move |step| (one, step)));
    let mut all: Vec<_> = all.collect();
    let mut longest: Vec<i64> = all.iter().map(|(_, step)| step.p90_us).collect();
    longest.sort_unstable_by_key(|us| std::cmp::Reverse(*us));
    let least = longest.get(STEP_ROWS - 1).copied().unwrap_or(0);
    // In the order of the table.
    all.retain(|(_, step)| step.p90_us >= least);
    all.truncate(STEP_ROWS);
    let range = |(one, step): &(&BuilderStatistics, &StepStatistics)| Range {
        name: format!("{} {}", one.builder, step.step),
        usual: step.median_us as f64,
        most: step.p90_us as f64,
        text: format!("{} – {}", webui::time::duration(step.median_us), webui::time::duration(step.p90_us)),
    };
    let rows: Vec<Range> = all.iter().map(range).collect();
    let label = "Time per step: the median is the strong part, the ninth decile the whole bar";
    (!rows.is_empty()).then(|| chart::ranges(label, &rows))
}

/// `GET /statistics.json`
pub(super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<StatisticsQuery>,
) -> Answer<Json<Vec<BuilderStatistics>>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}
