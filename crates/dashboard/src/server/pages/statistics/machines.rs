//! Statistics of machines: how much of what each did was for nothing. A bad one stands at the top.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use store::{Micros, attempt_stats};
use transport::Viewer;
use webui::Markup;
use webui::chart::{self, Bar, Row};

use super::super::super::refusal::{Answer, Query};
use super::super::super::window::{fits, given, wanted};
use super::super::super::{Dashboard, visible};
use super::super::{address, micros, shown};
use super::{DAY, DAYS, asked_days, day, percent, since};
use crate::api::{MachineDay, MachineStatistics};

/// So many rows of the database are added up.
const READ: u32 = 100_000;
/// So many machines are listed.
const LISTED: usize = 2000;
/// So many have a bar.
const ROWS: usize = 40;

/// Query of the statistics of machines.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(in super::super) struct MachinesQuery {
    /// At builds of this repo.
    repo: Option<String>,
    /// Only machines whose name, or `HOST/NAME`, a pattern with `*`, or a part of it, fits.
    machine: Option<String>,
    /// How many days back, 7 if not given.
    #[schemars(with = "Option<u32>", range(min = 1, max = 90))]
    days: Option<String>,
}

impl MachinesQuery {
    fn days(&self) -> i64 {
        asked_days(&self.days).unwrap_or(7)
    }

    fn repo(&self) -> &str {
        given(&self.repo).unwrap_or_default()
    }

    fn machine(&self) -> &str {
        given(&self.machine).unwrap_or_default()
    }

    fn wants(&self, host: &str, machine: &str) -> bool {
        given(&self.machine)
            .is_none_or(|pattern| fits(pattern, machine) || fits(pattern, &format!("{host}/{machine}")))
    }
}

#[derive(Template)]
#[template(path = "statistics-machines.html")]
struct MachinesPage {
    query: MachinesQuery,
    machines: Vec<MachineStatistics>,
    retried: Markup,
    by_day: Markup,
}

async fn read(
    dashboard: &Dashboard,
    viewer: &Viewer,
    query: &MachinesQuery,
) -> Answer<Vec<MachineStatistics>> {
    let since = since(asked_days(&query.days)?);
    let hidden = visible::eyes(dashboard, viewer).await?.hidden();
    let mut reader = dashboard.db().read().await?;
    let rows = attempt_stats::machines(&mut reader, &wanted(&query.repo), since, READ, &hidden).await?;
    drop(reader);
    let mut machines: Vec<MachineStatistics> = Vec::new();
    // They come by host and machine.
    for row in rows.into_iter().filter(|row| query.wants(&row.host, &row.machine)) {
        let is_new = machines.last().is_none_or(|one| (&one.host, &one.machine) != (&row.host, &row.machine));
        if is_new {
            let (host, machine) = (row.host, row.machine);
            let (attempts, lost, flaked, took_us) = (0, 0, 0, 0);
            machines.push(MachineStatistics { host, machine, attempts, lost, flaked, took_us, days: vec![] });
        }
        let Some(one) = machines.last_mut() else { continue };
        one.attempts += row.attempts;
        one.lost += row.lost;
        one.flaked += row.flaked;
        one.took_us += row.took;
        let (attempts, lost, flaked) = (row.attempts, row.lost, row.flaked);
        one.days.push(MachineDay { day: day(row.day), attempts, lost, flaked });
    }
    for one in &mut machines {
        one.took_us /= one.attempts.max(1);
    }
    machines.sort_by(|a, b| share(b).total_cmp(&share(a)).then(b.attempts.cmp(&a.attempts)));
    machines.truncate(LISTED);
    Ok(machines)
}

/// The part of a machine's attempts that was for nothing.
fn share(one: &MachineStatistics) -> f64 {
    (one.lost + one.flaked) as f64 / one.attempts.max(1) as f64
}

fn wasted(one: &MachineStatistics) -> String {
    percent(one.lost + one.flaked, one.attempts)
}

/// `GET /statistics/machines`
pub(in super::super) async fn page(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<MachinesQuery>,
) -> Response {
    let answer = async {
        let machines = read(&dashboard, &viewer, &query).await?;
        let row = |one: &MachineStatistics| Row {
            name: one.machine.clone(),
            value: share(one),
            text: format!("{} of {}", wasted(one), one.attempts),
        };
        let rows: Vec<Row> = machines.iter().take(ROWS).map(row).collect();
        let retried =
            chart::rows("Share of attempts that were for nothing, by machine", "infra_failed", &rows);
        let by_day = by_day(&machines, query.days());
        super::super::page(&MachinesPage { query, machines, retried, by_day })
    };
    shown(answer.await)
}

/// A bar for each day of the share of all these machines.
fn by_day(machines: &[MachineStatistics], back: i64) -> Markup {
    let today = Micros::now().0 / DAY;
    let bar = |n: i64| {
        let name = day(n);
        let of_day = machines.iter().flat_map(|one| &one.days).filter(|one| one.day == name);
        let (attempts, wasted) =
            of_day.fold((0, 0), |(all, bad), one| (all + one.attempts, bad + one.lost + one.flaked));
        let value = wasted as f64 / attempts.max(1) as f64;
        Bar {
            value,
            class: "infra_failed",
            title: format!("{name}: {} of {attempts}", percent(wasted, attempts)),
        }
    };
    let bars: Vec<Bar> = (today - back..=today).map(bar).collect();
    let most = bars.iter().max_by(|a, b| a.value.total_cmp(&b.value)).map_or("", |bar| &bar.title);
    chart::bars(&format!("Share of attempts that were for nothing, by day; the most: {most}"), most, &bars)
}

/// `GET /statistics/machines.json`
pub(in super::super) async fn twin(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Query(query): Query<MachinesQuery>,
) -> Answer<Json<Vec<MachineStatistics>>> {
    Ok(Json(read(&dashboard, &viewer, &query).await?))
}
