//! `up`: the whole system here.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use dashboard::client::DashboardClient;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use transport::Role;

use super::{config, demo, news, once};
use crate::args::Up;
use crate::metrics::measured;
use crate::server::{self, Door, Taken};
use crate::system::composed::{Composer, Composition};
use crate::system::reload::Reload;
use crate::system::running::{Forges, Running};
use crate::system::targets::Named;
use crate::system::{Begun, System, data};
use crate::system::{hints, maintnerd};

/// The address where none is given and the configuration names none.
pub const DEFAULT: &str = "127.0.0.1:8119";

pub async fn run(args: Up) -> Result<ExitCode> {
    if args.demo {
        return demo::run(&args).await;
    }
    let data = data::dir(args.data.as_deref())?;
    let named =
        Named { repos: args.repos.clone(), config: args.sources.config.clone(), horizon: args.horizon };
    let composer = Composer::new(named.read()?, args.sources.environment.as_deref())?.named(named);
    let first = composer.without_projects()?;
    let wanted = args.listen.clone().unwrap_or_else(|| first.config.environment().listen.clone());
    let wanted = if wanted.is_empty() { DEFAULT.to_owned() } else { wanted };
    let taken = if args.once && args.listen.is_none() { Taken::Another } else { Taken::Refuse };
    let (listener, address) = server::listen(&wanted, taken).await?;
    let shells = match &first.config.environment().ssh.listen {
        Some(wanted) if !args.once => {
            Some(server::listen(wanted, taken).await.context("environment.ssh.listen")?)
        }
        _ => None,
    };
    let mail = match &first.config.hints().gerrit {
        Some(gerrit) if !args.once => {
            Some(server::listen(&gerrit.listen, taken).await.context("pubsubhelper.gerrit.listen")?)
        }
        _ => None,
    };
    let begun = Begun { die_at: args.die_at.as_deref(), watches: !args.once };
    let mut system = System::start(composer, &data, begun).await?;
    let stop = CancellationToken::new();
    let door = match Door::open(&system.config(), &data, address) {
        Ok(door) => door.with_takeover(Arc::clone(&system.machines) as _),
        Err(error) => {
            system.stop().await;
            return Err(error);
        }
    };
    let door = match &system.maintnerd {
        Some(opened) => door.with_files(opened.files()),
        None => door,
    };
    system.metrics.connections(&door.edge);
    let told = door.told.clone();
    let hints = match system.hints.clone().filter(|_| !args.once) {
        Some(hub) => match take_hints(hub, mail, &door.edge).await {
            Ok(hints) => Some(hints),
            Err(error) => {
                system.stop().await;
                return Err(error);
            }
        },
        None => None,
    };
    let watched = system.maintnerd.as_ref().map(maintnerd::Opened::told);
    let forges = Forges { hints, maintnerd: system.maintnerd.take().map(maintnerd::Opened::run) };
    let router = hints::marked(measured(system.access.before(system.routes.clone()), &system.metrics));
    let serving = tokio::spawn(door.serve(listener, router, stop.clone()));
    announce(&first, &data, &address.to_string(), told.as_deref());
    if let Some(watched) = watched {
        eprintln!("  maintnerd {watched}");
    }
    let shells = shells.map(|(listener, address)| {
        eprintln!("  ssh       {address}");
        let serving = server::shells::serve(listener, system.shells.clone(), stop.clone());
        AbortOnDropHandle::new(tokio::spawn(serving))
    });
    if !args.once && std::io::stderr().is_terminal() {
        let path = system.access.login_link("admin", Role::Admin).await.context("making a login link")?;
        let url = first.config.environment().url.trim_end_matches('/');
        let url = if url.starts_with("https://") { url.to_owned() } else { format!("http://{address}") };
        eprintln!("  sign in   {url}{path} (once, within ten minutes)");
    }
    let code = if args.once {
        once::run(&args, system).await
    } else {
        stay(system, forges, &address.to_string()).await
    };
    stop.cancel();
    let _ = serving.await;
    if let Some(shells) = shells {
        let _ = shells.await;
    }
    code
}

/// Begins to take what tells of something that happened at a forge.
async fn take_hints(
    hub: pubsubhelper::Hub,
    mail: Option<(tokio::net::TcpListener, std::net::SocketAddr)>,
    edge: &edge::Edge,
) -> Result<Running<pubsubhelper::Replaced>> {
    let Some((listener, address)) = mail else { return Ok(hints::run(hub, None)) };
    eprintln!("  mail      {address}");
    Ok(hints::run(hub, Some(hints::mail(listener, edge).await?)))
}

fn announce(composition: &Composition, data: &Path, address: &str, tls: Option<&str>) {
    let config = &composition.config;
    eprintln!(
        "bellwether {} · environment {} · http://{address}",
        env!("CARGO_PKG_VERSION"),
        config.environment().name
    );
    eprintln!("  state     {}", data.display());
    if let Some(tls) = tls {
        eprintln!("  tls       https://{address}, certificate {tls}");
    }
    for repo in config.repos().iter().take(12) {
        eprintln!("  repo      {} from {}", repo.name, shown_url(&repo.url));
    }
    if config.repos().len() > 12 {
        eprintln!("            and {} more", config.repos().len() - 12);
    }
    let cores = std::thread::available_parallelism().map_or(2, |n| n.get() as u32);
    for host in config.hosts() {
        match host.pool {
            buildenv::Pool::Reverse => eprintln!("  host      {}: machines that dial in", host.name),
            pool => {
                let most = host.capacity.unwrap_or(cores);
                eprintln!("  host      {}: pool {}, {most} workers at most", host.name, pool.as_str());
            }
        }
    }
}

/// An address without its credentials.
fn shown_url(url: &str) -> String {
    let parsed = url.parse::<git::RemoteUrl>();
    parsed.map_or_else(
        |_| if url.contains('@') { "(hidden)".into() } else { url.to_owned() },
        |url| url.to_string(),
    )
}

/// Says what was found for each repository, once it is known and whenever it changes.
pub fn tell(composition: &Composition) {
    for (repo, problems) in &composition.problems {
        eprintln!("{repo}: its configuration is bad, nothing of it is built:\n{problems}");
    }
    for (repo, found) in &composition.found {
        for project in found {
            let place = if project.dir.is_empty() { String::new() } else { format!(" in {}", project.dir) };
            eprintln!(
                "{repo}: no bellwether.toml; found {}{place} by {} → builder {}",
                project.kind.as_str(),
                project.manifest,
                project.builder_name
            );
            for step in &project.steps {
                eprintln!("    {}: {}", step.name, step.run.replace('\n', "; "));
            }
            if let Some(missing) = composition.missing_tool(repo.as_str(), project.builder_name.as_str()) {
                eprintln!("    blocked({missing})");
            }
        }
    }
    for (repo, paths) in &composition.submodules {
        let shown: Vec<_> = paths.iter().take(5).map(|path| crate::terminal::plain(path, 60)).collect();
        let more = if paths.len() > shown.len() { ", …" } else { "" };
        eprintln!(
            "{repo}: submodules are off: {}{more} will be empty in a build; fetch what is needed in a step of its recipe",
            shown.join(", ")
        );
    }
    for repo in &composition.without_recipe {
        eprintln!(
            "{repo}: neither a bellwether.toml nor anything that tells how to build it; write one (`bellwether init` gives a start)"
        );
    }
}

/// Runs until Ctrl-C: the first drains, the second ends at once.
async fn stay(mut system: System, mut forges: Forges, address: &str) -> Result<ExitCode> {
    let mut composition = system.composition.clone();
    let teller = tokio::spawn(async move {
        while composition.changed().await.is_ok() {
            let now = composition.borrow_and_update().clone();
            tell(&now);
        }
    });
    let dashboard = DashboardClient::new(system.dashboard.clone());
    let news = AbortOnDropHandle::new(tokio::spawn(news::tell(dashboard, address.to_owned())));
    let mut signals = Signals::new()?;
    let _reloading = AbortOnDropHandle::new(tokio::spawn(reload_at(hangups()?, system.reload.clone())));
    tokio::select! {
        () = signals.next() => {}
        error = forges.ended() => {
            teller.abort();
            told_too(forges.stop().await);
            system.stop().await;
            return Err(error);
        }
        stopped = system.coordinator_ended() => {
            teller.abort();
            told_too(forges.stop().await);
            system.stop().await;
            anyhow::bail!("the coordinator has ended ({stopped:?}): another one leads");
        }
    }
    teller.abort();
    eprintln!(
        "\nfinishing what runs; Ctrl-C again ends at once (what runs goes on at its workers and is taken up at the next start)"
    );
    system.drain();
    let drained = async {
        tokio::select! {
            _ = system.coordinator_ended() => {}
            () = signals.next() => eprintln!("ending at once"),
        }
    };
    // What runs needs none of them, and is finished as it was ordered; how that ends says that one was missing.
    let (_, ended) = forges
        .meanwhile(drained, |error| {
            eprintln!("{error:#}; what runs is still finished, and the end is an error")
        })
        .await;
    drop(news);
    let stopped = forges.stop().await;
    system.stop().await;
    match ended {
        Some(error) => {
            told_too(stopped);
            Err(error)
        }
        None => stopped.map(|()| ExitCode::SUCCESS),
    }
}

/// Tells of what went wrong beside the error that ends everything.
fn told_too(stopped: Result<()>) {
    if let Err(error) = stopped {
        tracing::warn!("{error:#}");
    }
}

/// SIGHUP, where it is an order. At a terminal it says that the terminal is gone, and ends the server as ever.
fn hangups() -> Result<Option<tokio::signal::unix::Signal>> {
    use tokio::signal::unix::{SignalKind, signal};
    if std::io::stderr().is_terminal() {
        return Ok(None);
    }
    signal(SignalKind::hangup()).map(Some).context("listening for the order to read the files again")
}

/// Reads the files again at each hangup.
async fn reload_at(hangups: Option<tokio::signal::unix::Signal>, reload: Reload) {
    let Some(mut hangups) = hangups else { return };
    while hangups.recv().await.is_some() {
        match reload.order("SIGHUP").await {
            Ok(reloaded) => config::tell(&reloaded.lines, &reloaded.restart),
            Err(bad) => eprintln!("the configuration is as before; what was read can't be used:\n{bad}"),
        }
    }
}

/// Ctrl-C and the order to end.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn new() -> Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt()).context("listening for Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("listening for the order to end")?;
        Ok(Signals { interrupt, terminate })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
