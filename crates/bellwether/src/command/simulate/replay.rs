//! `simulate --config`: what a server has recorded, as it would have been with another configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use coordinator::replay::{
    self, Caught, Cell, Compared, Configured, Doubts, FLOOR, Figures, HostFigures, PART, Told, Trace,
};
use jiff::Timestamp;
use serde::Serialize;
use store::{Db, Micros};

use crate::args::{Replay, State};
use crate::command::client::print_json;
use crate::command::greplogs::since;
use crate::command::state::Place;
use crate::terminal::{duration, plain};

/// Lines of a list that people read.
const TOLD: usize = 20;

#[derive(Serialize)]
struct Report<'a> {
    since: Timestamp,
    doubts: &'a Doubts,
    recorded: Told,
    replayed: Told,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<&'a Compared>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caught: Option<&'a Caught>,
}

pub(super) async fn run(args: &Replay, json: bool) -> Result<ExitCode> {
    let from = since(&args.since, Timestamp::now())?;
    let state = State { sources: args.sources.clone(), data: args.data.clone(), json };
    let place = Place::of(&state)?.with_database(args.database.as_deref())?;
    let db = place.open().await?;
    let done = with(&db, &place.config, args.recorded, from, json).await;
    db.close().await;
    done
}

async fn with(
    db: &Db,
    config: &buildenv::Config,
    as_it_was: bool,
    from: Timestamp,
    json: bool,
) -> Result<ExitCode> {
    let since = from.as_microsecond();
    let mut trace = replay::read(db, Micros(since)).await.context("what is recorded can't be read")?;
    if trace.is_empty() {
        bail!("nothing is recorded yet: a server records whenever it runs, and keeps it for 90 days");
    }
    if as_it_was {
        let (course, _) = replay::replay(&trace, None);
        let compared = replay::compare(&trace.course, &course, since);
        let (recorded, replayed) = (trace.course.told(since), course.told(since));
        let near = compared.is_near();
        let compared = Some(&compared);
        tell(
            &Report { since: from, doubts: &trace.doubts, recorded, replayed, compared, caught: None },
            json,
        )?;
        return Ok(if near { ExitCode::SUCCESS } else { ExitCode::from(1) });
    }
    let rows = replay::rows(db, &trace).await.context("the builds can't be read")?;
    let mut more = Configured::new(config, &rows, &trace).more(&trace, since);
    let names: Vec<_> = more.iter().map(|(cell, ..)| (cell.builder.clone(), cell.revision.clone())).collect();
    let mut built = replay::built(db, &names).await?.into_iter();
    // Built before that time, or later.
    more.retain(|_| !built.next().unwrap_or(false));
    let new: Vec<Cell> = more.iter().map(|(cell, ..)| cell.clone()).collect();
    add(&mut trace, more);
    let setting = Configured::new(config, &rows, &trace);
    let (course, not_built) = replay::replay(&trace, Some(&setting));
    let caught = setting.caught(&not_built, new);
    let (recorded, replayed) = (trace.course.told(since), course.told(since));
    let caught = Some(&caught);
    tell(&Report { since: from, doubts: &trace.doubts, recorded, replayed, compared: None, caught }, json)?;
    Ok(ExitCode::SUCCESS)
}

fn add(trace: &mut Trace, more: Vec<(Cell, i64, coordinator::schedule::Request)>) {
    trace.add(more.into_iter().map(|(_, when, request)| (when, request)));
}

fn tell(report: &Report<'_>, json: bool) -> Result<()> {
    if json {
        return print_json(report);
    }
    let doubts = report.doubts;
    if doubts.no_beginning {
        println!("What was before the first row is not known: builds and machines of then are left out.");
    }
    if doubts.inferred_leases > 0 {
        let count = doubts.inferred_leases;
        println!(
            "Of {count} builds it is not recorded which machine they got when: older servers did not. It is inferred."
        );
    }
    if doubts.strange_leases + doubts.strange > 0 {
        let (leases, others) = (doubts.strange_leases, doubts.strange);
        println!(
            "{leases} machines were given otherwise than what is recorded tells, {others} other rows fit nothing: rows are missing."
        );
    }
    println!("Since {}; as recorded, then as replayed:\n", report.since);
    println!(
        "{:<24} {:>17} {:>17} {:>17} {:>17} {:>17} {:>15} {:>13}",
        "class", "builds", "queue p50", "queue p95", "answer p50", "answer p95", "machine-hours", "withdrawn"
    );
    let classes: BTreeSet<_> = report.recorded.classes.keys().chain(report.replayed.classes.keys()).collect();
    for class in classes {
        let of = |told: &Told| told.classes.get(class).cloned().unwrap_or_default();
        line(class.as_str(), &of(&report.recorded), &of(&report.replayed));
    }
    println!(
        "\n{:<24} {:>17} {:>17} {:>17} {:>15} {:>15} {:>13}",
        "host", "builds", "queue p50", "queue p95", "at work, hours", "machine-hours", "peak"
    );
    let hosts: BTreeSet<_> = report.recorded.hosts.keys().chain(report.replayed.hosts.keys()).collect();
    for host in hosts {
        let of = |told: &Told| told.hosts.get(host).cloned().unwrap_or_default();
        host_line(host, &of(&report.recorded), &of(&report.replayed));
    }
    if report.replayed.guessed > 0 {
        println!(
            "\nOf {} attempts it is a guess how long they take: the median of their builder.",
            report.replayed.guessed
        );
    }
    ever(&report.replayed.for_ever);
    report.caught.into_iter().for_each(catches);
    report.compared.into_iter().for_each(nearness);
    Ok(())
}

/// Two values, the second one where it differs.
fn two<T: PartialEq>(was: &T, is: &T, text: impl Fn(&T) -> String) -> String {
    if was == is { text(was) } else { format!("{} > {}", text(was), text(is)) }
}

fn seconds(value: &f64) -> String {
    duration(*value)
}

fn hours(value: &f64) -> String {
    format!("{value:.1}")
}

fn line(name: &str, was: &Figures, is: &Figures) {
    let number = |value: &usize| value.to_string();
    println!(
        "{name:<24} {:>17} {:>17} {:>17} {:>17} {:>17} {:>15} {:>13}",
        two(&was.builds, &is.builds, number),
        two(&was.queue_p50, &is.queue_p50, seconds),
        two(&was.queue_p95, &is.queue_p95, seconds),
        two(&was.answer_p50, &is.answer_p50, seconds),
        two(&was.answer_p95, &is.answer_p95, seconds),
        two(&was.busy_hours, &is.busy_hours, hours),
        two(&was.withdrawn, &is.withdrawn, number),
    );
}

fn host_line(name: &str, was: &HostFigures, is: &HostFigures) {
    let number = |value: &usize| value.to_string();
    let (one, other) = (&was.figures, &is.figures);
    println!(
        "{:<24} {:>17} {:>17} {:>17} {:>15} {:>15} {:>13}",
        plain(name, 24),
        two(&one.builds, &other.builds, number),
        two(&one.queue_p50, &other.queue_p50, seconds),
        two(&one.queue_p95, &other.queue_p95, seconds),
        two(&one.busy_hours, &other.busy_hours, hours),
        two(&was.machine_hours, &is.machine_hours, hours),
        two(&was.peak, &is.peak, number),
    );
}

fn ever(waits: &BTreeMap<String, (usize, String)>) {
    if waits.is_empty() {
        return;
    }
    println!("\nWaits for ever:");
    for (builder, (count, why)) in waits.iter().take(TOLD) {
        println!("  {}: {count} builds: {}", plain(builder, 60), plain(why, 200));
    }
    rest(waits.len());
}

fn rest(count: usize) {
    if count > TOLD {
        println!("  and {} more: --json has all", count - TOLD);
    }
}

fn cells(what: &str, cells: &[Cell]) {
    if cells.is_empty() {
        return;
    }
    println!("{what}: {}", cells.len());
    for cell in cells.iter().take(TOLD) {
        println!("  {} {}", plain(&cell.builder, 60), plain(&cell.revision, 120));
    }
    rest(cells.len());
}

fn catches(caught: &Caught) {
    println!("\nNot built any more: {}; of them failed: {}", caught.dropped, caught.dropped_failed.len());
    cells(
        "Failed and would not have been caught, since nothing else of the same revision failed",
        &caught.missed,
    );
    cells("Built besides, of which nobody knows what it would have caught", &caught.new);
}

fn nearness(compared: &Compared) {
    println!(
        "\nOf {} queue times {} are the same and {} within {} % or {} s; the largest difference is {}. {} leases are missing, {} \
         are too many.",
        compared.both,
        compared.same,
        compared.near,
        PART * 100.0,
        FLOOR / 1_000_000,
        duration(compared.largest as f64 / 1e6),
        compared.missing,
        compared.more,
    );
    for (was, is) in compared.far.iter().take(TOLD) {
        let (one, other) = (was.waited() as f64 / 1e6, is.waited() as f64 / 1e6);
        println!("  {} of {}: {} > {}", was.build, plain(&was.builder, 60), duration(one), duration(other));
    }
    rest(compared.far.len());
}
