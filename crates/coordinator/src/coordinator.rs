//! Putting a coordinator together, and running it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use dashboard::api::{BuildReport, Wait as ReportedWait};
use dashboard::client::DashboardClient;
use store::{BuildId, Db, Objects, StoreError};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use transport::{Routes, Service};

use crate::alarms;
use crate::api::{self, Api};
use crate::attempt::Shared;
use crate::clock::SharedClock;
use crate::core::{Blocked, Core, Message, Stopped};
use crate::culprits::Culprits;
use crate::gomote::{self, Desk, Files, Gomotes};
use crate::hook::SharedHooks;
use crate::identity::Identities;
use crate::ledger::{LeadError, Ledger, TakeOver};
use crate::measure::Measures;
use crate::mutes::Mutes;
use crate::orders::{OrderKey, Signs};
use crate::outbox::{self, Channels};
use crate::own_rules::OwnRules;
use crate::pool::{Pool, PoolEvent, Reception};
use crate::report::{self, ReportQueue};
use crate::ssh::{self, Shells, SshHostKey};
use crate::sweep;
use crate::tryrun::keeper::Keeper;
use crate::tryrun::pulls::Pulls;
use crate::tryrun::{Changes, PullRequests, Recompose};
use crate::usual::Usual;
use crate::vault::Vault;
use crate::work::Finder;

/// The most ended builds that wait for somebody who follows them; a slower one misses the oldest.
const ENDED: usize = 256;

/// What a coordinator is given.
pub struct Handles {
    /// The database.
    pub db: Db,
    /// Where snapshots lie.
    pub objects: Objects,
    /// The dashboard.
    pub dashboard: Service,
    /// gitmirror.
    pub mirror: Service,
    /// The configuration, as it changes.
    pub config: watch::Receiver<Arc<buildenv::Config>>,
    /// Where machines come from.
    pub pools: Vec<Arc<dyn Pool>>,
    /// Which machines have dialled in, for those who ask.
    pub reception: Option<Reception>,
    /// Time and randomness.
    pub clock: SharedClock,
    /// Points at which tests stop the world.
    pub hooks: SharedHooks,
    /// Values of secrets, by name.
    pub secrets: BTreeMap<String, String>,
    /// Why a builder of a repo can't run on any machine here.
    pub blocked: Blocked,
    /// By what this server is known to those who come by SSH.
    pub ssh_key: SshHostKey,
    /// What is known of changes under review, where something is: those that are asked for are tried.
    pub changes: Option<Changes>,
    /// By what pull requests are looked after, where they are.
    pub pulls: Option<PullRequests>,
    /// What the configuration would be with another file of a repository, for changes to those.
    pub recompose: Option<Recompose>,
    /// What it signs orders with; pools give its public half to machines.
    pub order_key: OrderKey,
    /// By what messages go out to the world.
    pub channels: Channels,
}

/// How a coordinator behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who it is, for people who find that another one leads.
    pub holder: String,
    /// How it comes to lead.
    pub take_over: TakeOver,
    /// Machines of a host whose configuration names no capacity.
    pub capacity: u32,
    /// How long a worker may be out of reach before its attempt is given up.
    pub patience: Duration,
    /// How long a machine is held for somebody who does not use it.
    pub gomote_idle: Duration,
    /// How messages go out to the world.
    pub outbox: outbox::Limits,
    /// How often it is looked for causes of alarm.
    pub alarms: Duration,
}

/// How often it is looked for causes of alarm, as a rule.
pub const ALARMS: Duration = Duration::from_secs(60);

/// Why a coordinator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another one leads.
    #[error(transparent)]
    Lead(#[from] LeadError),
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A coordinator that leads. [`Coordinator::run`] does its work.
pub struct Coordinator {
    core: Core,
    routes: Routes,
    identities: Identities,
    shared: Arc<Shared>,
    finder: Finder,
    changes: Option<Changes>,
    pulls: Option<PullRequests>,
    recompose: Option<Recompose>,
    shells: Shells,
    messages: mpsc::Receiver<Message>,
    pool_events: mpsc::Receiver<PoolEvent>,
    sender: outbox::Sender,
    alarms: alarms::keeper::Keeper,
}

impl Coordinator {
    /// Takes the lead, waiting while another coordinator has it, and takes up what was under way.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options, handles: Handles) -> Result<Coordinator, StartError> {
        let Handles {
            db,
            objects,
            dashboard,
            mirror,
            config,
            pools,
            reception,
            clock,
            hooks,
            secrets,
            blocked,
            ssh_key,
            changes,
            pulls,
            recompose,
            order_key,
            channels,
        } = handles;
        let ledger = loop {
            let (db, clock, hooks) = (db.clone(), Arc::clone(&clock), Arc::clone(&hooks));
            match Ledger::lead(db, clock, hooks, &options.holder, options.take_over).await {
                Err(LeadError::Held { holder, .. }) => {
                    tracing::info!(%holder, "another coordinator leads; waiting for its end");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                // Somebody was faster: it leads now.
                Err(LeadError::Store(StoreError::Stale)) => {
                    tokio::time::sleep(Duration::from_millis(200)).await
                }
                Err(error) => return Err(error.into()),
                Ok(ledger) => break ledger,
            }
        };
        let (snapshots, kept) = mpsc::channel(64);
        let (helpers, asks) = mpsc::channel(64);
        let shared = Arc::new(Shared {
            ledger,
            dashboard: DashboardClient::new(dashboard),
            mirror,
            objects,
            secrets: Vault::new(secrets, &*clock),
            reports: ReportQueue::default(),
            usual: Usual::default(),
            measures: Measures::default(),
            snapshots,
            helpers,
            ended: broadcast::Sender::new(ENDED),
            patience: options.patience,
            orders: Arc::new(Signs { key: order_key, clock }),
            gomotes: Gomotes::new(options.gomote_idle),
            mutes: Mutes::default(),
            own_rules: Arc::new(OwnRules::new(recompose.clone())),
            config: config.clone(),
        });
        let files = Files::new(shared.objects.clone(), Arc::clone(shared.ledger.clock()));
        let (to_core, messages) = mpsc::channel(1024);
        let (to_pools, pool_events) = mpsc::channel(1024);
        let finder = Finder { shared: Arc::clone(&shared), config: config.clone(), core: to_core };
        let core = Core::recover(
            Arc::clone(&shared),
            config,
            pools,
            blocked,
            options.capacity,
            to_pools,
            (kept, asks),
        )
        .await?;
        let identities = Identities::new(Arc::clone(&shared));
        let routes = api::routes(Api { shared: Arc::clone(&shared), finder: finder.clone(), reception });
        let shells = Shells::new(Arc::clone(&shared), finder.config.clone(), ssh_key);
        let desk =
            Desk { shared: Arc::clone(&shared), finder: finder.clone(), files, shells: shells.clone() };
        let routes = routes.merge(gomote::routes(desk)).merge(ssh::routes(shells.clone()));
        let alarms = alarms::keeper::Keeper::new(finder.clone(), options.alarms);
        let sender = outbox::Sender { shared: Arc::clone(&shared), channels, limits: options.outbox };
        Ok(Coordinator {
            core,
            routes,
            identities,
            shared,
            finder,
            changes,
            pulls,
            recompose,
            shells,
            messages,
            pool_events,
            sender,
            alarms,
        })
    }

    /// Its pages and API, each route with its role.
    pub fn routes(&self) -> Routes {
        self.routes.clone()
    }

    /// The same as a router of its own.
    pub fn router(&self) -> Router {
        self.routes().into_router()
    }

    /// The door for those who come by SSH.
    pub fn shells(&self) -> Shells {
        self.shells.clone()
    }

    /// Knows the machines that dial in by tokens of their own.
    pub fn identities(&self) -> Identities {
        self.identities.clone()
    }

    /// What it counts.
    pub fn measures(&self) -> Measures {
        self.shared.measures.clone()
    }

    /// Each build that ends from now on, as it was reported; one whose report is sent again comes again.
    pub fn ended(&self) -> broadcast::Receiver<Arc<BuildReport>> {
        self.shared.ended.subscribe()
    }

    /// Works until `drain` (finishes what runs, starts nothing) or `stop` (at once; what runs goes on at its workers).
    pub async fn run(self, drain: CancellationToken, stop: CancellationToken) -> Stopped {
        let Coordinator {
            core,
            shared,
            finder,
            changes,
            pulls,
            recompose,
            shells,
            messages,
            pool_events,
            sender,
            alarms,
            ..
        } = self;
        let asking = finder.core.clone();
        let reporter =
            AbortOnDropHandle::new(tokio::spawn(report::run(Arc::clone(&shared), async move |build| {
                why(&asking, build).await
            })));
        let (pulls, _reading) = match pulls {
            Some(pulls) if changes.is_some() => {
                let (pulls, reader) = Pulls::by(pulls, finder.config.clone());
                (Some(pulls), Some(AbortOnDropHandle::new(tokio::spawn(reader.run()))))
            }
            _ => (None, None),
        };
        let tries = changes.map(|changes| {
            let keeper = Keeper::new(finder.clone(), changes, pulls, recompose);
            AbortOnDropHandle::new(tokio::spawn(keeper.run()))
        });
        let culprits = AbortOnDropHandle::new(tokio::spawn(Culprits::new(finder.clone()).run()));
        let work = AbortOnDropHandle::new(tokio::spawn(finder.run()));
        let _alarms = AbortOnDropHandle::new(tokio::spawn(alarms.run()));
        let _sender = AbortOnDropHandle::new(tokio::spawn(sender.run()));
        let _sweep = AbortOnDropHandle::new(tokio::spawn(sweep::run(Arc::clone(&shared))));
        let stopped = core.run(messages, pool_events, drain, stop).await;
        drop((work, tries, culprits));
        shells.end().await;
        if stopped == Stopped::Drained {
            // The last reports are on their way; what does not arrive now is sent at the next start.
            let _ = tokio::time::timeout(Duration::from_secs(3), reported(&shared)).await;
        }
        drop(reporter);
        stopped
    }
}

async fn reported(shared: &Shared) {
    loop {
        let open = async { store::builds::open(&mut shared.ledger.db().read().await?).await };
        match open.await {
            Ok(open) if open.iter().any(|row| row.state == "done") => {}
            _ => return,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn why(core: &mpsc::Sender<Message>, build: BuildId) -> Option<ReportedWait> {
    let (sender, receiver) = oneshot::channel();
    core.send(Message::Why(build, sender)).await.ok()?;
    let wait = receiver.await.ok()??;
    Some(ReportedWait {
        reason: wait.reason.to_string(),
        since: jiff::Timestamp::from_microsecond(wait.since.0).ok(),
        ahead: u64::try_from(wait.ahead).ok(),
    })
}
