//! `up --once`: builds what is due, with progress, and tells how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use coordinator::{Status, WorkAnswer};
use dashboard::api::{Cause, Cell as DashboardCell, CellState, Failure, Outcome};
use dashboard::client::DashboardClient;
use http::Method;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::time::Instant;

use super::client::{print_json, short_revision};
use super::news::News;
use super::up::{Signals, tell};
use crate::args::Up;
use crate::system::System;
use crate::system::composed::NO_RECIPE;
use crate::terminal::{duration, plain};

/// After how long without an answer a repository is named.
const SILENT: Duration = Duration::from_secs(3);
/// How often things are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report {
    /// All cells that are in the window, and a row for each repo that is blocked as a whole.
    cells: Vec<Cell>,
    /// Builds that ended in this run.
    built: usize,
    /// Cells that are ok.
    ok: usize,
    /// Cells that are not.
    not_ok: usize,
}

/// A cell.
#[derive(Debug, Clone, Serialize)]
struct Cell {
    repo: String,
    branch: Option<String>,
    commit: Option<String>,
    subject: Option<String>,
    builder: Option<String>,
    revision: Option<String>,
    outcome: Option<String>,
    cause: Option<Cause>,
    attempts: Option<u32>,
    build: Option<String>,
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

pub async fn run(args: &Up, mut system: System) -> Result<ExitCode> {
    let began = jiff::Timestamp::now();
    let mut signals = Signals::new()?;
    let worked = tokio::select! {
        worked = work(args, &system) => Some(worked),
        () = signals.next() => None,
    };
    let Some(worked) = worked else {
        eprintln!("\nfinishing what runs; Ctrl-C again ends at once");
        system.drain();
        tokio::select! {
            _ = system.coordinator_ended() => {}
            () = signals.next() => {}
        }
        system.stop().await;
        return Ok(ExitCode::from(130));
    };
    let report = match worked {
        Ok(()) => collect(&system, began).await,
        Err(error) => Err(error),
    };
    system.stop().await;
    let report = report?;
    if args.json {
        print_json(&report)?;
    } else {
        table(&report);
    }
    Ok(if report.not_ok == 0 && !report.cells.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Waits until nothing is due and nothing runs.
async fn work(args: &Up, system: &System) -> Result<()> {
    let progress = Progress::new(args);
    progress.say("looking at the repositories");
    let dashboard = DashboardClient::new(system.dashboard.clone());
    let mut news = News::new(dashboard.clone(), None);
    news.look().await;
    settle(system, &progress, &mut news).await;
    system.freeze();
    tell(&system.composition.borrow().clone());
    let mut expected = Expected::new(dashboard);
    loop {
        let now: WorkAnswer = system
            .coordinator
            .call_json::<(), _>(Method::POST, "/api/v1/work", None)
            .await
            .context("asking the coordinator for work")?;
        if now.found == 0 && now.queued == 0 && now.running == 0 && now.unreported == 0 {
            progress.tell(news.look().await);
            progress.end();
            return Ok(());
        }
        let status: Status = system.coordinator.get_json("/api/v1/status").await?;
        if progress.show(&status, &mut expected).await {
            progress.tell(news.look().await);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until every repository was looked at, and says which ones keep us waiting; the others are built meanwhile.
async fn settle(system: &System, progress: &Progress, news: &mut News) {
    let settled = system.settled();
    tokio::pin!(settled);
    let mut said = Vec::new();
    loop {
        tokio::select! {
            () = &mut settled => return,
            () = tokio::time::sleep(SILENT) => {
                let open: Vec<String> =
                    system.mirror.states().into_iter().filter(|one| one.rounds == 0).map(|one| one.name).collect();
                if open != said && !open.is_empty() {
                    progress.say(&format!("no answer yet from {}", open.join(", ")));
                }
                said = open;
                progress.tell(news.look().await);
            }
        }
    }
}

/// How long builds took before.
struct Expected {
    dashboard: DashboardClient,
    known: BTreeMap<(String, String), Option<u64>>,
}

impl Expected {
    fn new(dashboard: DashboardClient) -> Self {
        Expected { dashboard, known: BTreeMap::new() }
    }

    async fn of(&mut self, repo: &str, builder: &str) -> Option<u64> {
        let key = (repo.to_owned(), builder.to_owned());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let asked = self.dashboard.expected(builder, repo, None).await.ok().and_then(|found| found.median_ms);
        self.known.insert(key, asked);
        asked
    }
}

/// Lines on a terminal that move, or lines in a file that don't.
struct Progress {
    bars: Option<(MultiProgress, ProgressBar)>,
    state: std::cell::RefCell<BTreeMap<String, (Instant, Option<ProgressBar>)>>,
    /// What was said of a queue that does not move.
    said: std::cell::RefCell<String>,
}

impl Progress {
    fn new(args: &Up) -> Self {
        let moving = std::io::stderr().is_terminal() && !args.json;
        let bars = moving.then(|| {
            let all = MultiProgress::new();
            let head = all.add(ProgressBar::new_spinner());
            head.enable_steady_tick(Duration::from_millis(120));
            (all, head)
        });
        Progress { bars, state: Default::default(), said: Default::default() }
    }

    fn say(&self, text: &str) {
        match &self.bars {
            Some((_, head)) => head.set_message(text.to_owned()),
            None => eprintln!("{text}"),
        }
    }

    /// Lines that stay.
    fn tell(&self, lines: Vec<String>) {
        for line in lines {
            match &self.bars {
                // A line that can't be printed above the bars is in the table, too.
                Some((all, _)) => drop(all.println(line)),
                None => eprintln!("{line}"),
            }
        }
    }

    /// Shows what runs; returns whether something that ran does not any more.
    async fn show(&self, status: &Status, expected: &mut Expected) -> bool {
        if self.bars.is_some() {
            self.say(&format!("{} running, {} waiting", status.running.len(), status.queued.len()));
        }
        let stuck = status.queued.first().filter(|_| status.running.is_empty());
        if let Some(waiting) = stuck.filter(|waiting| *self.said.borrow() != waiting.reason) {
            self.say(&waiting.reason);
            *self.said.borrow_mut() = waiting.reason.clone();
        }
        for running in &status.running {
            let id = running.build.to_string();
            let known = self.state.borrow().get(&id).map(|(since, bar)| (*since, bar.clone()));
            let (since, bar) = match known {
                Some(known) => known,
                None => {
                    let usual = expected.of(&running.repo, &running.builder).await;
                    let name = format!("{} on {}", short_revision(&running.revision), running.builder);
                    let bar = match &self.bars {
                        Some((all, _)) => {
                            let bar = all.add(ProgressBar::new(usual.unwrap_or(0)));
                            let template =
                                if usual.is_some() { "  {msg} {bar:20} " } else { "  {msg} {spinner} " };
                            if let Ok(style) = ProgressStyle::with_template(template) {
                                bar.set_style(style);
                            }
                            bar.set_prefix(name);
                            Some(bar)
                        }
                        None => {
                            let usual = usual.map_or(String::new(), |ms| {
                                format!(", usually {}", duration(ms as f64 / 1000.0))
                            });
                            eprintln!("building {name} ({id}{usual})");
                            None
                        }
                    };
                    self.state.borrow_mut().insert(id.clone(), (Instant::now(), bar.clone()));
                    (Instant::now(), bar)
                }
            };
            if let Some(bar) = bar {
                let passed = since.elapsed();
                let usual = bar.length().filter(|ms| *ms > 0);
                let usual =
                    usual.map_or(String::new(), |ms| format!(" of about {}", duration(ms as f64 / 1000.0)));
                bar.set_position(passed.as_millis() as u64);
                bar.set_message(format!("{} {}{usual}", bar.prefix(), duration(passed.as_secs_f64())));
            }
        }
        let gone: Vec<String> = (self.state.borrow().keys())
            .filter(|id| !status.running.iter().any(|running| running.build.to_string() == **id))
            .cloned()
            .collect();
        for id in &gone {
            if let Some((_, Some(bar))) = self.state.borrow_mut().remove(id) {
                bar.finish_and_clear();
            }
        }
        !gone.is_empty()
    }

    fn end(&self) {
        if let Some((all, head)) = &self.bars {
            head.finish_and_clear();
            let _ = all.clear();
        }
    }
}

async fn collect(system: &System, began: jiff::Timestamp) -> Result<Report> {
    let dashboard = DashboardClient::new(system.dashboard.clone());
    let composition = system.composition.borrow().clone();
    // What waits at the end may not have been reported yet.
    let status: Status = system.coordinator.get_json("/api/v1/status").await?;
    let waits = |cell: &DashboardCell| {
        let found =
            status.queued.iter().find(|one| one.builder == cell.builder && one.revision == cell.revision);
        found.map(|one| one.reason.clone())
    };
    let mut cells = Vec::new();
    let mut seen = BTreeSet::new();
    let mut built = 0;
    for info in dashboard.repos().await? {
        let Some(repo) = composition.config.repo(&info.name) else { continue };
        let whole = |outcome: &str, kind: &str, detail: String| Cell {
            repo: info.name.clone(),
            branch: None,
            commit: None,
            subject: None,
            builder: None,
            revision: None,
            outcome: Some(outcome.into()),
            cause: Some(Cause { kind: kind.into(), detail }),
            attempts: None,
            build: None,
            seconds: None,
            failure: None,
        };
        if let Some(problems) = composition.problems.get(&repo.name) {
            cells.push(whole("blocked", "config", problems.to_string()));
            continue;
        }
        if composition.without_recipe.contains(&repo.name) {
            cells.push(whole("blocked", "config", NO_RECIPE.into()));
            continue;
        }
        if info.state == dashboard::api::RepoState::Blocked {
            cells.push(whole("blocked", "repo", info.reason.clone().unwrap_or_default()));
            continue;
        }
        let wanted = |branch: &str, default: bool| match repo.branches.is_empty() {
            true => default,
            false => repo.branches.matches(branch),
        };
        for branch in info
            .branches
            .iter()
            .filter(|branch| branch.head.is_some() && wanted(&branch.name, branch.default))
        {
            let window = dashboard.cells(&info.name, &branch.name, repo.horizon).await?;
            for row in window.rows.iter().filter(|row| row.reachable) {
                for cell in &row.cells {
                    // A commit that is on two branches is built once, and shown once.
                    let build = cell.build.as_ref().map(|build| &build.id);
                    if build.is_some_and(|id| !seen.insert(id.clone())) {
                        continue;
                    }
                    if let Some(mut shown) = shown(&info.name, &branch.name, cell, waits(cell)) {
                        shown.commit = Some(row.commit.hash.clone());
                        shown.subject = row.commit.message.lines().next().map(str::to_owned);
                        if let Some(build) = &cell.build {
                            built += usize::from(build.ended.is_some_and(|ended| ended >= began));
                            if build.outcome == Some(Outcome::Failed) {
                                shown.failure = dashboard.failure(&build.id).await.ok().flatten();
                            }
                        }
                        cells.push(shown);
                    }
                }
            }
        }
    }
    let ok = cells.iter().filter(|cell| cell.outcome.as_deref() == Some("ok")).count();
    let fine = cells.iter().filter(|cell| matches!(cell.outcome.as_deref(), Some("ok" | "skipped"))).count();
    Ok(Report { built, ok, not_ok: cells.len() - fine, cells })
}

/// A cell that is or should be built.
fn shown(repo: &str, branch: &str, cell: &DashboardCell, waits: Option<String>) -> Option<Cell> {
    let build = cell.build.as_ref();
    let (outcome, cause) = match (cell.state, build) {
        (CellState::LeftOut | CellState::None, _) => return None,
        (CellState::Blocked, _) => (
            Some("blocked".to_owned()),
            Some(Cause { kind: "blocked".into(), detail: cell.reason.clone().unwrap_or_default() }),
        ),
        (_, Some(build)) if build.outcome.is_some() => {
            (build.outcome.map(|outcome| outcome.to_string()), build.cause.clone())
        }
        // What still waits at the end is what can't run here.
        (_, _) => {
            let detail = waits.or_else(|| cell.reason.clone()).unwrap_or_default();
            (Some("blocked".to_owned()), Some(Cause { kind: "host".into(), detail }))
        }
    };
    let seconds = build
        .and_then(|build| Some((build.ended? - build.started?).total(jiff::Unit::Second).unwrap_or(0.0)));
    Some(Cell {
        repo: repo.to_owned(),
        branch: Some(branch.to_owned()),
        commit: None,
        subject: None,
        builder: Some(cell.builder.clone()),
        revision: Some(cell.revision.clone()),
        outcome,
        cause,
        attempts: build.map(|build| build.attempts),
        build: build.map(|build| build.id.clone()),
        seconds,
        failure: None,
    })
}

/// What to do about a repository that can't be built at all.
fn remedy(cause: &Cause) -> Option<&'static str> {
    let says = |text: &str| cause.detail.contains(text);
    match cause.kind.as_str() {
        "repo" if says("is empty") => Some("commit something, and run this again"),
        "repo" if says("credentials") => {
            Some("use an SSH address with your key in an agent, or an address with a token in it")
        }
        "repo" => Some("mend its address: a path of a git repository, or such as https://host/project.git"),
        "config" if says("no recipe was found") => {
            Some("write a bellwether.toml; `bellwether init` gives a start")
        }
        "host" if says("on this host") => Some("install it here, or name another host in a bellwether.toml"),
        "source" => Some(
            "rename it, or take it out of the tree: workers unpack names in UTF-8 that lead nowhere else",
        ),
        _ => None,
    }
}

fn table(report: &Report) {
    use comfy_table::{ContentArrangement, Table, presets};
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["OUTCOME", "REPO", "COMMIT", "BUILDER", "TIME", "BUILD", "SUBJECT"]);
    for cell in &report.cells {
        let outcome = match (&cell.outcome, &cell.cause) {
            (Some(outcome), Some(cause)) if outcome != "ok" => {
                format!("{outcome} {}", plain(&cause.kind, 20))
            }
            (outcome, _) => outcome.clone().unwrap_or_default(),
        };
        let revision = cell.revision.as_deref().map(short_revision).unwrap_or_default();
        // The repository has a column of its own; what the commit was built with follows it.
        let commit = revision.strip_prefix(&format!("{}@", cell.repo)).unwrap_or(&revision).to_owned();
        table.add_row([
            outcome,
            cell.repo.clone(),
            commit,
            cell.builder.clone().unwrap_or_default(),
            cell.seconds.map(duration).unwrap_or_default(),
            cell.build.clone().unwrap_or_default(),
            plain(cell.subject.as_deref().unwrap_or(""), 50),
        ]);
    }
    println!("{}", table.trim_fmt());
    for cell in report.cells.iter().filter(|cell| !matches!(cell.outcome.as_deref(), Some("ok" | "skipped")))
    {
        let what = format!(
            "{} {} {}",
            cell.repo,
            cell.revision.as_deref().map(short_revision).unwrap_or_default(),
            cell.builder.as_deref().unwrap_or("")
        );
        println!("\n{} {}", cell.outcome.as_deref().unwrap_or("?"), what.trim());
        if let Some(cause) = &cell.cause {
            for line in format!("{} {}", cause.kind, cause.detail).lines().take(30) {
                println!("  {}", plain(line, 160));
            }
        }
        if let Some(remedy) = cell.cause.as_ref().and_then(remedy) {
            println!("  → {remedy}");
        }
        if let Some(failure) = &cell.failure {
            if let Some(test) = &failure.test {
                println!("  failing test: {}", plain(test, 120));
            }
            for line in &failure.lines {
                let mark = if line.line == failure.line { '>' } else { ' ' };
                println!("  {mark}{:>6} {}", line.line + 1, plain(&line.text, 150));
            }
        }
        if let Some(build) = &cell.build {
            println!("  whole log: bellwether log {build}");
        }
    }
    println!(
        "\n{} cells: {} ok, {} not ok; {} built in this run",
        report.cells.len(),
        report.ok,
        report.not_ok,
        report.built
    );
}
