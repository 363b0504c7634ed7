//! The whole system in one process: the services, each reached by the others through its router only.

pub mod composed;
mod confined;
pub mod data;
#[cfg(test)]
mod hidden;
pub mod hints;
pub mod hooks;
pub mod maintnerd;
mod outbox;
mod reconfigure;
pub mod reload;
mod reverse;
pub mod running;
#[cfg(test)]
mod table;
pub mod targets;
pub mod watched;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use access::{Access, AccessParts};
use anyhow::{Context as _, Result};
use coordinator::{
    Coordinator, Handles, LocalPool, LocalPoolConfig, Options, ReversePool, Shells, Stopped, SystemClock,
    TakeOver,
};
use dashboard::{Dashboard, DashboardParts};
use gitmirror::{Mirror, MirrorConfig};
use store::{DataDir, Db};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use transport::{Routes, Service};

use composed::{Composer, Composition};
use reconfigure::{AtStart, Reconfigure};
use reload::Reload;

use crate::metrics::{self, Metrics};

/// When what is kept no more is looked for first, and how often then.
const FIRST_GC: Duration = Duration::from_secs(600);
const EACH_GC: Duration = Duration::from_secs(24 * 3600);
/// The most bytes of archives kept on disk.
const ARCHIVES: u64 = 4 << 30;

/// The system, running.
pub struct System {
    /// All services behind one port, each route with its role.
    pub routes: Routes,
    /// Where machines dial in.
    pub machines: Arc<reverse::Door>,
    /// The door for those who come by SSH.
    pub shells: Shells,
    /// Who somebody is.
    pub access: Access,
    /// The dashboard.
    pub dashboard: Service,
    /// The coordinator.
    pub coordinator: Service,
    /// What is counted here.
    pub metrics: Arc<Metrics>,
    /// The mirrors.
    pub mirror: Mirror,
    /// Who is told what happens at a forge, if one is named. Nobody runs it yet.
    pub hints: Option<pubsubhelper::Hub>,
    /// Who knows the state of projects at their forges, if one is named. Nobody runs it yet.
    pub maintnerd: Option<maintnerd::Opened>,
    /// What is configured, and what is wrong with it.
    pub composition: watch::Receiver<Arc<Composition>>,
    drain: CancellationToken,
    stop: CancellationToken,
    /// Ends the mirrors' looking for news.
    mirroring: CancellationToken,
    coordinating: JoinHandle<Stopped>,
    others: Vec<JoinHandle<()>>,
    config: watch::Receiver<Arc<buildenv::Config>>,
    /// Takes orders to read the configuration again.
    pub reload: Reload,
    #[cfg(feature = "full")]
    _traces: Option<tokio_util::task::AbortOnDropHandle<()>>,
    _owner: DataDir,
}

/// How a system begins.
#[derive(Debug, Clone, Copy, Default)]
pub struct Begun<'a> {
    /// A place in the program at which it dies, for tests.
    pub die_at: Option<&'a str>,
    /// Whether it opens what watches forges.
    pub watches: bool,
}

impl System {
    /// Starts everything.
    pub async fn start(composer: Composer, data: &std::path::Path, begun: Begun<'_>) -> Result<System> {
        let owner = data::own(data)?;
        let composer = Arc::new(composer);
        let first = Arc::new(composer.without_projects()?);
        let environment = first.config.environment().clone();
        data::claim(&owner, environment.name.as_str())?;
        let url =
            environment.database.parse().with_context(|| format!("database {:?}", environment.database))?;
        let db = Db::open(&url, data).await.context("opening the database")?;
        data::claim_database(&db, environment.name.as_str()).await?;
        let admin_token = crate::server::admin_token(data)?;
        let ssh_key = crate::server::ssh_host_key(data)?;
        let order_key = crate::server::order_key(data)?;
        let objects = data::objects(&environment, data)?;
        data::probe(&environment, &objects).await?;
        let (presses, pressed) = tokio::sync::mpsc::channel(64);
        let hints = hints::open(&first.config, db.clone(), &url, data, Some(presses)).await?;
        let maintnerd = match begun.watches {
            true => maintnerd::open(&first.config, hints.as_ref(), data, &composer.base).await?,
            false => None,
        };
        let (configs, config) = watch::channel(Arc::clone(&first.config));
        let (compositions, composition) = watch::channel(Arc::clone(&first));

        let access = Access::new(AccessParts {
            db: db.clone(),
            config: config.clone(),
            admin_token,
            data: data.to_owned(),
        });
        let mirror = Mirror::open(MirrorConfig {
            dir: data.join("mirror"),
            cache_bytes: ARCHIVES,
            repos: composed::mirrored(&first.config, &composer.base),
            git: git::GitConfig {
                env: data::git_environment(),
                ..git::GitConfig::new(data.join("git-home"))
            },
        })
        .await
        .context("opening the mirrors")?;
        let mirror_routes = gitmirror::routes(&mirror);
        let mirror_service =
            Service::in_process(mirror_routes.clone().into_router()).with_timeout(Duration::from_secs(900));

        let parts = DashboardParts {
            db: db.clone(),
            objects: objects.clone(),
            config: config.clone(),
            logs: dashboard::LogLimits::default(),
        };
        let dashboard = Dashboard::new(parts);
        let (kept, kept_in) = (dashboard.clone(), db.clone());
        let door_dashboard = dashboard.clone();
        if let Some(master) = data::builder_key(&first.config, data)? {
            dashboard.set_builder_key(&master)?;
        }
        let dashboard_routes = dashboard::routes(&dashboard);
        let dashboard_handle = dashboard.clone();
        let dashboard_service = Service::in_process(dashboard_routes.clone().into_router());

        let pool = LocalPool::open(LocalPoolConfig {
            dir: data.join("workers"),
            sockets: data::sockets(),
            command: vec![this_program()?, "buildlet".into()],
            env: data::worker_environment(&first.config),
            idle_exit: Duration::from_secs(15 * 60),
            order_key: order_key.public(),
            confined: confined::by(config.clone(), data, &composer.base),
        })
        .context("opening the local pool")?;
        let reverse = ReversePool::new(Arc::new(SystemClock), &order_key);
        let reception = reverse.reception();
        let secrets = data::secrets(&first.config, data);
        let values = secrets.values.clone();
        let at_start = AtStart {
            environment: environment.clone(),
            data: data.to_owned(),
            secrets: first.config.secrets().to_vec(),
            hints: first.config.hints().clone(),
            maintnerd: first.config.maintnerd().clone(),
            outbox: first.config.outbox().clone(),
        };
        let blocked = {
            let composition = composition.clone();
            Arc::new(move |repo: &str, builder: &str| {
                let now = composition.borrow();
                now.missing_tool(repo, builder).or_else(|| secrets.lacks(&now.config, repo, builder))
            })
        };
        let (reload, orders) = Reload::new(db.clone(), environment.name.to_string());
        let handles = Handles {
            db,
            objects,
            dashboard: dashboard_service.clone(),
            mirror: mirror_service.clone(),
            config: config.clone(),
            pools: vec![Arc::new(pool), Arc::new(reverse)],
            reception: Some(reception.clone()),
            clock: Arc::new(SystemClock),
            hooks: hooks::of(begun.die_at)?,
            secrets: values,
            blocked,
            ssh_key,
            changes: maintnerd.as_ref().map(|opened| {
                let daemon = Arc::clone(&opened.daemon);
                Arc::new(move || daemon.corpus()) as coordinator::Changes
            }),
            pulls: outbox::github(&first.config, data)?
                .map(|client| coordinator::PullRequests { client, presses: pressed }),
            recompose: Some({
                let composer = Arc::clone(&composer);
                let own = move |repo: &buildenv::RepoName, text| composer.files().with_own(repo, text);
                Arc::new(own) as coordinator::Recompose
            }),
            order_key,
            channels: outbox::channels(&first.config, data)?,
        };
        let options = Options {
            holder: format!("pid {} on {}", std::process::id(), data::host_name()),
            take_over: match url {
                // The data directory is ours alone, so whoever led before is dead.
                store::DatabaseUrl::Sqlite(_) => TakeOver::AtOnce,
                store::DatabaseUrl::Postgres(_) => TakeOver::WhenOver,
            },
            capacity: std::thread::available_parallelism().map_or(2, |n| n.get() as u32),
            patience: Duration::from_secs(30),
            gomote_idle: coordinator::GOMOTE_IDLE,
            outbox: coordinator::outbox::Limits::default(),
            alarms: coordinator::ALARMS,
        };
        let coordinator = Coordinator::start(options, handles).await.context("starting the coordinator")?;
        let machines = Arc::new(reverse::Door {
            config: config.clone(),
            dashboard: door_dashboard,
            identities: coordinator.identities(),
            reception,
        });
        let coordinator_service = Service::in_process(coordinator.router());
        let shells = coordinator.shells();
        #[cfg(feature = "full")]
        let traces = crate::telemetry::Target::from_env(|name| std::env::var(name).ok())?
            .map(|target| crate::telemetry::start(target, environment.url.clone(), coordinator.ended()));
        let known = maintnerd.as_ref().map(|opened| (&opened.daemon, opened.readers));
        let metrics = Metrics::new(
            coordinator.measures(),
            coordinator_service.clone(),
            dashboard_service.clone(),
            known,
        );
        let services = dashboard_routes.merge(coordinator.routes()).merge(mirror_routes);
        let services = services.merge(metrics::routes(&metrics)).merge(reload::routes(&reload));
        let services = match &hints {
            Some(hub) => services.merge(pubsubhelper::routes_within(hub)),
            None => services,
        };
        let services = match &maintnerd {
            Some(opened) => services.merge(opened.routes()),
            None => services,
        };
        let routes = access.with(services.merge(reverse::routes()));

        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let looking = stop.child_token();
        let mirroring = tokio::spawn({
            let (mirror, dashboard, looking) = (mirror.clone(), dashboard_service.clone(), looking.clone());
            async move { mirror.run(dashboard, looking).await }
        });
        let indexing = tokio::spawn({
            let (dashboard, stop) = (dashboard_handle.clone(), stop.child_token());
            async move { dashboard.index_logs(stop).await }
        });
        let letting_go = tokio::spawn(let_go(kept, kept_in, stop.child_token()));
        let coordinating = tokio::spawn(coordinator.run(drain.clone(), stop.clone()));
        let reconfigure = Reconfigure {
            composer,
            mirrors: mirror.clone(),
            mirror: mirror_service,
            dashboard: dashboard_handle,
            compositions,
            configs,
            at_start,
            orders,
            stop: stop.clone(),
        };
        let reconfiguring = tokio::spawn(reconfigure.run());
        Ok(System {
            routes,
            machines,
            shells,
            access,
            metrics,
            dashboard: dashboard_service,
            coordinator: coordinator_service,
            mirror,
            hints,
            maintnerd,
            composition,
            drain,
            stop,
            mirroring: looking,
            coordinating,
            others: vec![mirroring, reconfiguring, letting_go, indexing],
            config,
            reload,
            #[cfg(feature = "full")]
            _traces: traces,
            _owner: owner,
        })
    }

    /// Waits until every mirror was looked at once, and its project file was read.
    pub async fn settled(&self) {
        let mut composition = self.composition.clone();
        loop {
            let repos: Vec<String> = composition
                .borrow_and_update()
                .config
                .repos()
                .iter()
                .map(|repo| repo.name.to_string())
                .collect();
            let mut heads = BTreeMap::new();
            for repo in &repos {
                if let Some(state) = self.mirror.wait_first_round(repo).await {
                    heads.insert(repo.clone(), state.head);
                }
            }
            let known = composition.borrow().clone();
            if heads.iter().all(|(repo, head)| known.read_at.get(repo) == Some(head)) {
                return;
            }
            if tokio::time::timeout(Duration::from_secs(5), composition.changed())
                .await
                .is_ok_and(|ok| ok.is_err())
            {
                return;
            }
        }
    }

    /// Looks for no more news: what is due now is all that is built.
    pub fn freeze(&self) {
        self.mirroring.cancel();
    }

    /// The configuration, as it changes.
    pub fn config(&self) -> watch::Receiver<Arc<buildenv::Config>> {
        self.config.clone()
    }

    /// Finishes what runs and starts nothing new.
    pub fn drain(&self) {
        self.drain.cancel();
    }

    /// Waits until the coordinator has ended by itself, after [`System::drain`] or because another one leads.
    pub async fn coordinator_ended(&mut self) -> Stopped {
        (&mut self.coordinating).await.unwrap_or(Stopped::AtOnce)
    }

    /// Ends everything at once; what runs goes on at its workers, and the next start takes it up.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if !self.coordinating.is_finished() {
            let _ = tokio::time::timeout(Duration::from_secs(5), &mut self.coordinating).await;
        }
        for other in &mut self.others {
            let _ = tokio::time::timeout(Duration::from_secs(5), &mut *other).await;
            other.abort();
        }
        // Where nobody ran it, its place is given back by this.
        if let Some(hub) = self.hints.as_ref().filter(|hub| !hub.is_running()) {
            let over = CancellationToken::new();
            over.cancel();
            let _ = hub.run(over).await;
        }
    }
}

/// Lets go what is kept no more: soon after the start, and then once a day.
async fn let_go(dashboard: Dashboard, db: Db, stop: CancellationToken) {
    let mut wait = FIRST_GC;
    loop {
        let round = async {
            tokio::time::sleep(wait).await;
            let round = dashboard::Round { now: store::Micros::now(), dry_run: false };
            let gone = dashboard.gc(round).await?;
            if !gone.is_nothing() {
                tracing::info!(gone = ?gone.kinds, "what is kept no more is gone");
            }
            data::note_gc(&db, "server", &gone).await
        };
        tokio::select! {
            done = round => match done {
                Ok(()) => wait = EACH_GC,
                // What was done is done; the next round goes on.
                Err(error) => {
                    tracing::warn!("not all that is kept no more is gone: {}", crate::terminal::causes(&error));
                    wait = FIRST_GC;
                }
            },
            () = stop.cancelled() => return,
        }
    }
}

/// How this program is started once more: the very same one, even if another was put in its place meanwhile.
fn this_program() -> Result<String> {
    let running = std::path::Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.display().to_string());
    }
    Ok(std::env::current_exe().context("where is this program?")?.to_string_lossy().into_owned())
}
