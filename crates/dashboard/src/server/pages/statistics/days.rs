//! Statistics by day: how long builds waited and took, and how often they failed, flaked or were tried again.

use std::collections::{BTreeMap, HashMap};

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use store::{Micros, attempt_stats, results, step_times};
use transport::Viewer;
use webui::Markup;
use webui::chart::{self, Bar};

use super::super::super::refusal::{Answer, Query};
use super::super::super::window::wanted;
use super::super::super::{Dashboard, visible};
use super::super::{address, micros, shown};
use super::{DAY, DAYS, StatisticsQuery, day, percent, since};
use crate::api::{DayStatistics, StepDay};

/// So many rows of the database are added up.
const ROWS: u32 = 100_000;
/// So many steps have a chart, those that take the longest.
const STEPS: usize = 6;
/// So many steps of a day are told.
const TOLD: usize = 200;

#[derive(Template)]
#[template(path = "statistics-days.html")]
struct DaysPage {
    query: StatisticsQuery,
    days: Vec<DayStatistics>,
    charts: Vec<(String, Markup)>,
}

async fn read(dashboard: &Dashboard, viewer: &Viewer, query: &StatisticsQuery) -> Answer<Vec<DayStatistics>> {
    let back = query.asked()?;
    let (hidden, since) = (visible::eyes(dashboard, viewer).await?.hidden(), since(back));
    let repo = wanted(&query.repo);
    let mut reader = dashboard.db().read().await?;
    let builds = results::days(&mut reader, &repo, since, ROWS, &hidden).await?;
    let attempts = attempt_stats::builders(&mut reader, &repo, since, ROWS, &hidden).await?;
    let steps = step_times::days(&mut reader, &repo, since, ROWS, &hidden).await?;
    drop(reader);
    let today = Micros::now().0 / DAY;
    let mut days: BTreeMap<i64, DayStatistics> = BTreeMap::new();
    for n in today - back..=today {
        days.insert(n, DayStatistics { day: day(n), ..DayStatistics::default() });
    }
    let mut begun: HashMap<i64, i64> = HashMap::new();
    for row in builds.into_iter().filter(|row| query.wants(&row.builder)) {
        let Some(one) = days.get_mut(&row.day) else { continue };
        one.builds += row.builds;
        one.ok += row.ok;
        one.failed += row.failed;
        one.infra_failed += row.infra_failed;
        one.retried += row.retried;
        one.queued_us += row.queued;
        one.took_us += row.took;
        *begun.entry(row.day).or_default() += row.begun;
    }
    for row in attempts.into_iter().filter(|row| query.wants(&row.builder)) {
        let Some(one) = days.get_mut(&row.day) else { continue };
        one.attempts += row.attempts;
        one.lost += row.lost;
        one.flaked += row.flaked;
    }
    for row in steps.into_iter().filter(|row| query.wants(&row.builder)) {
        let Some(one) = days.get_mut(&row.day) else { continue };
        if let Some(step) = one.steps.iter_mut().find(|step| step.step == row.step) {
            step.times += row.times;
            step.mean_us += row.took;
        } else if one.steps.len() < TOLD {
            one.steps.push(StepDay { step: row.step, times: row.times, mean_us: row.took });
        }
    }
    // Sums so far.
    for (n, one) in &mut days {
        let begun = begun.get(n).copied().unwrap_or(0).max(1);
        one.queued_us /= begun;
        one.took_us /= begun;
        for step in &mut one.steps {
            step.mean_us /= step.times.max(1);
        }
    }
    Ok(days.into_values().collect())
}

/// `GET /statistics/days`
pub(in super::super) async fn page(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<StatisticsQuery>,
) -> Response {
    let answer = async {
        let days = read(&dashboard, &viewer, &query).await?;
        let charts = charts(&days);
        super::super::page(&DaysPage { query, days, charts })
    };
    shown(answer.await)
}

/// `GET /statistics/days.json`
pub(in super::super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<StatisticsQuery>,
) -> Answer<Json<Vec<DayStatistics>>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}

fn charts(days: &[DayStatistics]) -> Vec<(String, Markup)> {
    let lasted = |us: &i64| webui::time::duration(*us);
    let share = |part: i64, of: i64| part as f64 / of.max(1) as f64;
    let mut charts = vec![
        drawn("Builds", "ok", days, |one| (one.builds as f64, one.builds.to_string())),
        drawn("Time in the queue, on average", "queued", days, |one| {
            (one.queued_us as f64, lasted(&one.queued_us))
        }),
        drawn("Time from begin to end, on average", "running", days, |one| {
            (one.took_us as f64, lasted(&one.took_us))
        }),
        drawn("Share of failures", "failed", days, |one| {
            (share(one.failed, one.builds), percent(one.failed, one.builds))
        }),
        drawn("Share of flakes", "failed", days, |one| {
            (share(one.flaked, one.builds), percent(one.flaked, one.builds))
        }),
        drawn("Share of second attempts", "infra_failed", days, |one| {
            (share(one.retried, one.builds), percent(one.retried, one.builds))
        }),
    ];
    let mut longest: HashMap<&str, i64> = HashMap::new();
    for step in days.iter().flat_map(|one| &one.steps) {
        let known = longest.entry(&step.step).or_default();
        *known = (*known).max(step.mean_us);
    }
    let mut steps: Vec<(&str, i64)> = longest.into_iter().collect();
    steps.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    for (name, _) in steps.into_iter().take(STEPS) {
        let title = format!("Time of step {name}, on average");
        charts.push(drawn(&title, "running", days, |one| {
            let mean = one.steps.iter().find(|step| step.step == name).map_or(0, |step| step.mean_us);
            (mean as f64, lasted(&mean))
        }));
    }
    charts
}

/// A chart with a bar for each day, and its title.
fn drawn(
    title: &str,
    class: &'static str,
    days: &[DayStatistics],
    value: impl Fn(&DayStatistics) -> (f64, String),
) -> (String, Markup) {
    let told: Vec<_> = days.iter().map(|one| (&one.day, value(one))).collect();
    let most = told.iter().max_by(|a, b| a.1.0.total_cmp(&b.1.0));
    let top = most.map_or_else(String::new, |(day, (_, text))| format!("{text} on {day}"));
    let bar = |(day, (value, text)): &(&String, (f64, String))| Bar {
        value: *value,
        class,
        title: format!("{day}: {text}"),
    };
    let bars: Vec<Bar> = told.iter().map(bar).collect();
    let label = format!("{title}, by day; the most: {top}");
    (title.to_owned(), chart::bars(&label, &top, &bars))
}
