//! The original's pages about measurements: changes of each commit, one commit in detail, one metric over commits, and
//! what of it is noise.

mod compare;
mod pages;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use store::legacy::noise::{self, Noise};
use store::legacy::{bench_results, commits, tags};
use transport::{Role, Viewer};

use super::answer::Fault;
use super::call::{Call, Desk};
use compare::{Measurement, Noises, Table};
use pages::{Cell, PerfPage};

/// Commits of a page, and of a graph at most.
const PAGE: usize = 30;
const GRAPH: usize = 1000;
/// So many of the newest measured commits are learned from.
const LEARNED: usize = 1000;
/// Pages further back show nothing.
const LAST_PAGE: i64 = 333;

/// A commit that is measured.
#[derive(Debug, Clone)]
struct Commit {
    num: i64,
    hash: String,
}

/// The measured commits, the newest first.
async fn line(desk: &Desk) -> Result<Vec<Commit>, Fault> {
    let mut reader = desk.dashboard.db().read().await?;
    let found = commits::measured(&mut reader, desk.dash.name(), "").await?;
    Ok(found.into_iter().map(|(num, hash)| Commit { num, hash }).collect())
}

async fn table(desk: &Desk, some: &[Commit]) -> Result<Table, Fault> {
    let hashes: Vec<&str> = some.iter().map(|commit| commit.hash.as_str()).collect();
    let mut reader = desk.dashboard.db().read().await?;
    let rows = bench_results::many(&mut reader, desk.dash.name(), &hashes).await?;
    Ok(Table::of(rows.into_iter().filter_map(Measurement::read)))
}

async fn noises(desk: &Desk) -> Result<Noises, Fault> {
    let mut reader = desk.dashboard.db().read().await?;
    Ok(Noises::of(noise::list(&mut reader, desk.dash.name()).await?))
}

/// Answers a page, or says what is wrong as the original's pages do.
fn answered(made: Result<PerfPage, Fault>) -> Response {
    let page = made
        .and_then(|page| webui::page::page(StatusCode::OK, &page).map_err(|error| Fault(error.to_string())));
    page.unwrap_or_else(|fault| {
        webui::page::notice(StatusCode::INTERNAL_SERVER_ERROR, "That can't be shown", &fault.0)
    })
}

fn reads(call: &Call) -> Result<(), Fault> {
    if matches!(call.method, Method::GET | Method::HEAD) { Ok(()) } else { Err(call.bad_method()) }
}

/// `/perf`
pub(super) async fn perf(State(desk): State<Desk>, request: Request) -> Response {
    let call = Call::new(desk, request);
    answered(changes(&call).await)
}

async fn changes(call: &Call) -> Result<PerfPage, Fault> {
    reads(call)?;
    let desk = &call.desk;
    let number = call.number("page").clamp(0, LAST_PAGE);
    let line = line(desk).await?;
    let from = usize::try_from(number).unwrap_or(0) * PAGE;
    let shown = line.get(from..line.len().min(from + PAGE)).unwrap_or_default();
    // Each is compared with the last one before it that went well.
    let known = line.get(from..line.len().min(from + 2 * PAGE)).unwrap_or_default();
    let (table, noises) = (table(desk, known).await?, noises(desk).await?);
    let mut page = PerfPage::new("Changes of what is measured", &["commit", "who", "what", "changes"]);
    let mut reader = desk.dashboard.db().read().await?;
    for (at, commit) in shown.iter().enumerate() {
        let Some(row) = commits::get(&mut reader, desk.dash.name(), "", &commit.hash).await? else {
            continue;
        };
        let before: Vec<&str> = known[at + 1..].iter().map(|commit| commit.hash.as_str()).collect();
        let changes = table.changes(&commit.hash, &before);
        let told: Vec<String> =
            changes.iter().filter(|change| noises.says_something(change)).map(ToString::to_string).collect();
        let measured = table.has(&commit.hash);
        let told = match (measured, told.is_empty()) {
            (false, _) => "not measured yet".to_owned(),
            (true, true) => "none beyond the noise".to_owned(),
            (true, false) => told.join(", "),
        };
        let detail = pages::address(desk, "/perfdetail", &[("commit", &commit.hash)]);
        let title = row.desc.lines().next().unwrap_or_default().to_owned();
        page.row([
            Cell::link(short(&commit.hash), detail),
            Cell::text(row.user),
            Cell::text(title),
            Cell::text(told),
        ]);
    }
    let at = |number: i64| pages::address(desk, "/perf", &[("page", &number.to_string())]);
    page.newer = (number > 0).then(|| at(number - 1));
    page.older = (line.len() > from + PAGE).then(|| at(number + 1));
    Ok(page)
}

/// `/perfdetail`
pub(super) async fn detail(State(desk): State<Desk>, request: Request) -> Response {
    let call = Call::new(desk, request);
    answered(details(&call).await)
}

async fn details(call: &Call) -> Result<PerfPage, Fault> {
    reads(call)?;
    let desk = &call.desk;
    let line = line(desk).await?;
    let at = place(call, &line, "commit").await?.ok_or_else(|| Fault::new("no commit is given"))?;
    let from = match place(call, &line, "commit0").await? {
        Some(from) if from <= at => return Err(Fault::new("commit0 is not older than commit")),
        Some(from) => from,
        None => at + 1,
    };
    let until = line.len().min(from + PAGE);
    let mut some = vec![line[at].clone()];
    some.extend_from_slice(line.get(from..until).unwrap_or_default());
    let (table, noises) = (table(desk, &some).await?, noises(desk).await?);
    let before: Vec<&str> = some[1..].iter().map(|commit| commit.hash.as_str()).collect();
    let (builder, benchmark) = (call.form("builder"), call.form("benchmark"));
    let wanted = |change: &&compare::Change| match call.form("kind") {
        "builder" => builder.is_empty() || change.builder == builder,
        "benchmark" => benchmark.is_empty() || with_number(&change.benchmark).0 == benchmark,
        _ => true,
    };
    let title = format!("What was measured of {}", short(&line[at].hash));
    let heads = ["builder", "benchmark", "metric", "before", "after", "change", "noise"];
    let mut page = PerfPage::new(&title, &heads);
    page.note = match before.first() {
        Some(first) => format!("Compared with {}, or the last one before it that went well.", short(first)),
        None => "Nothing older was measured.".to_owned(),
    };
    for change in table.changes(&line[at].hash, &before).iter().filter(wanted) {
        let (name, procs) = with_number(&change.benchmark);
        let graph = [
            ("builder", change.builder.as_str()),
            ("benchmark", name),
            ("metric", change.metric.as_str()),
            ("procs", procs),
        ];
        page.row([
            Cell::text(change.builder.clone()),
            Cell::text(change.benchmark.clone()),
            Cell::link(&change.metric, pages::address(desk, "/perfgraph", &graph)),
            Cell::text(change.old.map(pages::number).unwrap_or_default()),
            Cell::text(pages::number(change.new)),
            Cell::text(change.percent().map(pages::percent).unwrap_or_default()),
            Cell::text(pages::noise(noises.of_change(change))),
        ]);
    }
    Ok(page)
}

/// The place of a commit that a parameter names: by its hash, or a release by its name.
async fn place(call: &Call, line: &[Commit], key: &str) -> Result<Option<usize>, Fault> {
    let name = call.form(key);
    if name.is_empty() {
        return Ok(None);
    }
    let mut hash = name.to_owned();
    if name.starts_with("go1") {
        let mut reader = call.desk.dashboard.db().read().await?;
        let tags = tags::list(&mut reader, call.desk.dash.name()).await?;
        let branch = format!("release-branch.{name}");
        let tag =
            tags.into_iter().find(|tag| tag.kind == "release" && (tag.name == name || tag.name == branch));
        hash = tag.map_or(hash, |tag| tag.hash);
    }
    let at = line.iter().position(|commit| commit.hash == hash);
    at.map(Some).ok_or_else(|| Fault(format!("commit {name:?} is not measured")))
}

/// `/perfgraph`
pub(super) async fn graph(State(desk): State<Desk>, request: Request) -> Response {
    let call = Call::new(desk, request);
    answered(graphs(&call).await)
}

async fn graphs(call: &Call) -> Result<PerfPage, Fault> {
    reads(call)?;
    let mut line = line(&call.desk).await?;
    let newest = place(call, &line, "commit-to").await?.unwrap_or(0);
    let oldest = place(call, &line, "commit-from").await?.map_or(line.len(), |at| at + 1);
    line.truncate(oldest);
    let line: Vec<Commit> = line.into_iter().skip(newest).take(GRAPH).collect();
    let table = table(&call.desk, &line).await?;
    let [builder, benchmark, metric, procs] =
        ["builder", "benchmark", "metric", "procs"].map(|key| call.form(key));
    let name = if procs.is_empty() { benchmark.to_owned() } else { format!("{benchmark}-{procs}") };
    let mut page = PerfPage::new(&format!("{name} {metric} on {builder}"), &["commit", "number", "value"]);
    if [builder, benchmark, metric].contains(&"") {
        page.title = "Graphs of what was measured".into();
        page.note = "Choose one of what was measured:".into();
        page.heads = ["builder", "benchmark", "metric", ""].map(str::to_owned).to_vec();
        for (builder, benchmark, metric) in table.series() {
            let (name, procs) = with_number(&benchmark);
            let to = [("builder", &*builder), ("benchmark", name), ("metric", &*metric), ("procs", procs)];
            let address = pages::address(&call.desk, "/perfgraph", &to);
            let cells = [builder.clone(), benchmark.clone(), metric.clone()].map(Cell::text);
            page.rows.push(cells.into_iter().chain([Cell::link("graph", address)]).collect());
        }
        return Ok(page);
    }
    let mut values = Vec::new();
    for commit in line.iter().rev() {
        let Some(value) = table.value(&commit.hash, builder, &name, metric) else { continue };
        values.push(value);
        let detail = pages::address(&call.desk, "/perfdetail", &[("commit", &commit.hash)]);
        let number = Cell::text(commit.num.to_string());
        page.row([Cell::link(short(&commit.hash), detail), number, Cell::text(pages::number(value))]);
    }
    page.draw(&values);
    Ok(page)
}

/// `/perflearn`: shows what is noise; `update=1` of an administrator learns it anew.
pub(super) async fn learn(State(desk): State<Desk>, viewer: Viewer, request: Request) -> Response {
    let call = Call::new(desk, request);
    answered(learned(&call, &viewer).await)
}

async fn learned(call: &Call, viewer: &Viewer) -> Result<PerfPage, Fault> {
    reads(call)?;
    let desk = &call.desk;
    let mut note =
        format!("Of what was never learned, a change up to {} is noise.", pages::noise(compare::UNKNOWN));
    if !call.form("update").is_empty() {
        if !viewer.role.may(Role::Admin) || !viewer.may_order_all() {
            return Err(Fault::new("only an administrator has it learned anew"));
        }
        let mut line = line(desk).await?;
        line.truncate(LEARNED);
        let all: Vec<Noise> = compare::learn(&table(desk, &line).await?, &line_of(&line));
        let mut tx = desk.begin().await?;
        noise::replace(&mut tx, desk.dash.name(), &all).await?;
        tx.commit().await?;
        note = format!("Learned from the newest {} commits that were measured.", line.len());
    }
    let mut page =
        PerfPage::new("What of the changes is noise", &["builder", "benchmark", "metric", "noise"]);
    page.note = note;
    let mut reader = desk.dashboard.db().read().await?;
    for one in noise::list(&mut reader, desk.dash.name()).await? {
        let cells = [one.builder, one.benchmark, one.metric].map(Cell::text);
        page.rows.push(cells.into_iter().chain([Cell::text(pages::noise(one.percent))]).collect());
    }
    Ok(page)
}

fn line_of(line: &[Commit]) -> Vec<&str> {
    line.iter().map(|commit| commit.hash.as_str()).collect()
}

/// A benchmark's name, and how many processors it ran on: `http-4`.
fn with_number(benchmark: &str) -> (&str, &str) {
    match benchmark.rsplit_once('-') {
        Some((name, procs)) if procs.parse::<u32>().is_ok() => (name, procs),
        _ => (benchmark, ""),
    }
}

fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}
