//! `up --demo`: 30 days of made-up history, shown by the real dashboard. Nothing is watched and nothing is built.

mod history;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use access::{Access, AccessParts};
use anyhow::{Context as _, Result};
use dashboard::api::{BranchUpdate, RepoState, RepoUpdate, TreeDetail, TreeRequest};
use dashboard::client::DashboardClient;
use dashboard::{Dashboard, DashboardParts};
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use jiff::Timestamp;
use store::{Db, Objects};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport::routes::get;
use transport::{Role, Routes, Service, Viewer};

use super::up::Signals;
use crate::args::Up;
use crate::server::{self, Taken};
use crate::system::data;
use history::{Branch, Made, Repo};

/// Where it listens if nothing else is asked for; any other port will do, because nothing is expected to find it.
const DEFAULT: &str = "127.0.0.1:8119";
/// How many connections it takes.
const DEMO_CONNECTIONS: usize = 1000;
/// How many builds are posted at once.
const AT_ONCE: usize = 4;

/// The demonstration's data directory, which goes when it ends, however it ends.
struct Dir(PathBuf);

impl Dir {
    fn make() -> Result<Dir> {
        let dir = std::env::temp_dir().join(format!("bellwether-demo-{}", std::process::id()));
        // One of that name is a dead process's: it had our pid.
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(Dir(dir))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is left: {error}", self.0.display());
        }
    }
}

pub async fn run(args: &Up) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    let wanted = args.listen.as_deref().unwrap_or(DEFAULT);
    let taken = if args.listen.is_none() { Taken::Another } else { Taken::Refuse };
    let (listener, address) = server::listen(wanted, taken).await?;
    let dir = Dir::make()?;
    let _owner = data::own(&dir.0)?;
    let (dashboard, access) = open(&dir.0).await?;
    let routes = dashboard::routes(&dashboard);
    let client = DashboardClient::new(Service::in_process(routes.clone().into_router()));
    let made = history::make(Timestamp::now());
    tokio::select! {
        seeded = seed(&client, &made) => seeded.context("posting the made-up history")?,
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    }
    let people = Service::in_process(routes.clone().into_router());
    set_trees(&people).await.context("setting the made-up trees")?;
    let stop = CancellationToken::new();
    let router = access.before(access.with(routes.merge(pages())));
    eprintln!(
        "bellwether {} · demonstration · http://{address}\n  {} builds of {} commits, all made up; nothing is watched, nothing is built\n  state     {} (removed at the end)\n  Ctrl-C ends it; `bellwether up` does the same with your repository",
        env!("CARGO_PKG_VERSION"),
        made.builds.len(),
        made.repos.iter().map(|repo| repo.commits.len()).sum::<usize>(),
        dir.0.display(),
    );
    // Told of before it answers: whoever waits for an answer finds the address said.
    let serving = tokio::spawn({
        let (edge, stop) = (edge::Edge::new(server::limits(DEMO_CONNECTIONS)), stop.clone());
        async move { edge.serve(listener, router, stop).await }
    });
    signals.next().await;
    stop.cancel();
    let _ = serving.await;
    Ok(ExitCode::SUCCESS)
}

/// A dashboard of its own, with the demonstration's configuration.
async fn open(dir: &Path) -> Result<(Dashboard, Access)> {
    let (os, arch) = buildenv::this_machine();
    let sources =
        [buildenv::embedded(os, arch), buildenv::Source::server("the demonstration", story::CONFIG)];
    let none = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let config = buildenv::load(&sources, &none, None)
        .map_err(|problems| anyhow::anyhow!("the demonstration's own configuration is bad\n\n{problems}"))?;
    let environment = config.environment().clone();
    let db = Db::open(&environment.database.parse()?, dir).await.context("opening the database")?;
    let objects = Objects::open(&environment.objects.parse()?, dir).context("opening the object store")?;
    // It stays as it is.
    let (_, config) = watch::channel(Arc::new(config));
    let admin_token = server::admin_token(dir)?;
    let parts = AccessParts { db: db.clone(), config: config.clone(), admin_token, data: dir.to_owned() };
    let access = Access::new(parts);
    let dashboard = DashboardParts { db, objects, config, logs: dashboard::LogLimits::default() };
    Ok((Dashboard::new(dashboard), access))
}

/// What other services answer in a whole system.
fn pages() -> Routes {
    const STATUS: &str = "What you see is made up. There is no coordinator here, so nothing runs and nothing waits; in a \
        system that builds, this page says what does, and why.";
    let status = || async { webui::page::notice(http::StatusCode::OK, "A demonstration", STATUS) };
    Routes::new()
        .route("/status", get(Role::Reader, status))
        .route("/healthz", get(Role::Anonymous, || async { "ok\n" }))
}

/// Posts everything through the dashboard's API, as gitmirror and the coordinator do.
async fn seed(client: &DashboardClient, made: &Made) -> Result<()> {
    for repo in &made.repos {
        seed_repo(client, repo).await?;
    }
    // The newest last, so that what is in its caches is what is looked at first.
    futures::stream::iter(&made.builds)
        .map(|build| async move {
            for (attempt, log) in build.report.attempts.iter().zip(&build.logs) {
                let state = client.log_open(&attempt.id, &build.report.id, build.report.fence).await?;
                let size = log.len() as u64;
                client
                    .log_put(&attempt.id, build.report.fence, state.next_n, 0, size, log.clone().into())
                    .await?;
                let last = attempt.number as usize == build.report.attempts.len();
                if last && !build.tests.is_empty() {
                    client.put_tests(&attempt.id, build.report.fence, build.tests.clone()).await?;
                }
                if attempt.ended.is_some() {
                    client.log_finish(&attempt.id, build.report.fence).await?;
                }
            }
            client.put_build(&build.report).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(())
}

/// Sets trees by hand, as people do on their pages; that makes the first rows of the audit log, too.
async fn set_trees(service: &Service) -> Result<()> {
    for (repo, branch, who, status, reason, seconds) in story::TREES {
        let people = service.clone().asking_as(Viewer::known(who, Role::Developer));
        let request =
            TreeRequest { status: status.parse()?, reason: reason.to_owned(), expires_in: Some(seconds) };
        let path = format!("/api/v1/tree/{repo}/{branch}/set");
        let _: TreeDetail = people.call_json(Method::POST, &path, Some(&request)).await?;
    }
    Ok(())
}

async fn seed_repo(client: &DashboardClient, repo: &Repo) -> Result<()> {
    let update = RepoUpdate {
        state: RepoState::Ok,
        reason: None,
        default_branch: Some("main".into()),
        head: repo.branches.first().and_then(|branch| branch.line.first().cloned()),
        visibility: None,
    };
    client.put_repo(repo.name, &update).await?;
    for Branch { name, line } in &repo.branches {
        let update = BranchUpdate {
            head: line.first().cloned(),
            default: *name == "main",
            first_parent: line.clone(),
            complete: true,
            base: None,
            commits: repo.commits.clone(),
        };
        client.put_branch(repo.name, name, &update).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_configuration_is_good_and_gives_the_grid_its_columns() {
        let dir = tempfile::tempdir().unwrap();
        let (dashboard, _) = open(dir.path()).await.unwrap();
        let client = DashboardClient::new(Service::in_process(dashboard::router(&dashboard)));
        let made = history::make("2026-03-31T12:00:00Z".parse().unwrap());
        for repo in &made.repos {
            seed_repo(&client, repo).await.unwrap();
            for branch in &repo.branches {
                let window = client.cells(repo.name, branch.name, 30).await.unwrap();
                let names: Vec<_> = history::builders_of(repo.name).map(|builder| builder.name).collect();
                for name in &names {
                    assert!(window.builders.iter().any(|column| column == name), "{name} of {}", repo.name);
                }
                let planned = window.rows[0].cells.iter();
                let due: Vec<_> = planned
                    .filter(|cell| cell.state == dashboard::api::CellState::Due)
                    .map(|cell| &*cell.builder)
                    .collect();
                assert_eq!(due, names, "{} {}", repo.name, branch.name);
            }
        }
    }
}
