//! What runs inside of one crate is measured by an example of that crate, which prints its figures as JSON.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::table::{Budget, Table};
use crate::{metadata, process};

/// Building and running one.
const LIMIT: Duration = Duration::from_secs(40 * 60);

fn run(package: &str, example: &str) -> Result<Value> {
    let mut command = process::cargo();
    command
        .args(["run", "--quiet", "--release", "--package", package, "--example", example, "--", "--json"])
        .current_dir(metadata::root());
    let said = process::output(&mut command, LIMIT)?;
    serde_json::from_str(&said).with_context(|| format!("example {example} said {said:?}"))
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| format!("{value} is no number"))
}

/// The scheduler with ever more builds queued.
pub(super) fn dispatch() -> Result<String> {
    let said = run("coordinator", "dispatch")?;
    let figures = said["figures"].as_array().context("no figures")?;
    let first = figures.first().context("no figures")?;
    let mut text = format!(
        "Example `dispatch` of the coordinator: {} machines on {} hosts, all busy. In a dispatch a build ends, its machine is clean, \
         the next build gets it, and another is queued, anywhere in the order. CPU time, the least of some batches.\n\n",
        said["workers"], said["hosts"]
    );
    for more in figures.iter().skip(1) {
        let mut table =
            Table::new(&format!("{} queued", first["queued"]), &format!("{} queued", more["queued"]));
        let (few, many) = (number(&first["dispatch_us"])?, number(&more["dispatch_us"])?);
        table.row("a dispatch", "µs", few, many, Budget::Times(2.0));
        let (few, many) = (number(&first["status_us_per_build"])?, number(&more["status_us_per_build"])?);
        table.row("a status of all, per build", "µs", few, many, Budget::None);
        text.push_str(&table.finish());
        text.push('\n');
    }
    Ok(text)
}

/// A window of a small and of a large grid.
pub(super) fn grid() -> Result<String> {
    let said = run("dashboard", "grid_window")?;
    let mut table = Table::new("100 builders × 1,000 commits", "10,000 × 100,000");
    for (n, what) in ["page", "JSON"].iter().enumerate() {
        let (small, large) = (&said["small"][n], &said["large"][n]);
        let (few, many) = (number(&small["ms"])?, number(&large["ms"])?);
        table.row(&format!("{what}: time"), "ms", few, many, Budget::Times(2.0));
        let (few, many) = (number(&small["bytes"])? / 1e3, number(&large["bytes"])? / 1e3);
        table.row(&format!("{what}: size"), "kB", few, many, Budget::Times(2.0));
    }
    Ok(format!(
        "Example `grid_window` of the dashboard: 30 commits × 100 columns on SQLite, the least of 15 times.\n\n{}",
        table.finish()
    ))
}

/// Pages of test results, of few and of many.
pub(super) fn results() -> Result<String> {
    let said = run("dashboard", "test_results")?;
    let (few, all) = (&said["results"][0], &said["results"][1]);
    let mut table = Table::new(&format!("{few} results"), &format!("{all}"));
    for page in said["pages"].as_array().context("no pages")? {
        let what = page["what"].as_str().context("a page has a name")?;
        for (key, called, budget) in [("p50_ms", "p50", Budget::None), ("p95_ms", "p95", Budget::Times(2.0))]
        {
            let (few, all) = (number(&page[key][0])?, number(&page[key][1])?);
            table.row(&format!("{what}, {called}"), "ms", few, all, budget);
        }
    }
    let (one, many) = (number(&said["one_by_one"])?, number(&said["many"])?);
    Ok(format!(
        "Example `test_results` of the dashboard: builds of 40 builders with 1,000 results each, of 4,000 tests, on SQLite; 200 pages \
         of each kind. Of results {one:.0} are written each second one by one, and {many:.0} many at once: {:.1} ×. The budget is the \
         grid's: twice for a hundred times as much.\n\n{}",
        many / one.max(1e-9),
        table.finish()
    ))
}
