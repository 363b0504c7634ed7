//! `maintnerd`: the state of a project, served.

mod watched;

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use maintner::journal::{Options, SEGMENT};
use maintnerd::api::Home;
use maintnerd::logs::LogsConfig;
use maintnerd::{Config, Daemon, Of};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport::{Routes, Service, Viewer};

use super::up::Signals;
use crate::args::Maintnerd;
use crate::server::{self, Door, Taken};
use crate::system::composed::Composer;
use crate::system::data;
use crate::system::maintnerd::followed;
use crate::system::targets::Named;

/// The shortest token that is one.
const SHORTEST: usize = 16;

pub async fn run(args: Maintnerd) -> Result<ExitCode> {
    let data = match &args.data {
        Some(dir) => std::path::absolute(dir).with_context(|| format!("--data {}", dir.display()))?,
        None => data::default_dir()?.join("maintnerd"),
    };
    let token = args.token_file.as_deref().map(token).transpose()?;
    let (listener, address) = server::listen(&args.listen, Taken::Refuse).await?;
    let (door, configured) = door(&args, &data, address)?;
    let pollers = watched::pollers(&args, &data)?;
    let config = Config {
        logs: LogsConfig { sealed_at: args.sealed_at.clone(), ..LogsConfig::default() },
        home: home(&args.home)?,
    };
    let segment = args.segment.unwrap_or(SEGMENT);
    let (folder, options) = (data.clone(), Options { segment, ..Options::default() });
    let stored = match &args.store {
        Some(url) => Some(stored(url, configured.as_ref(), &data).await?),
        None => None,
    };
    let of = match &args.follow {
        None => match stored {
            Some(objects) => Of::Stored { store: objects.into_store(), folder, options },
            None => Of::Own { folder, options },
        },
        Some(index) => Of::Others(Box::new(followed(index, args.or_kept, token.as_deref(), data.clone())?)),
    };
    let daemon = Daemon::start(of, config, args.gerrit.as_deref().map(Service::url)).await?;
    let standing = daemon.standing();
    eprintln!("bellwether {} · maintnerd, {} · http://{address}", env!("CARGO_PKG_VERSION"), standing.role);
    eprintln!("  log       {}, {} mutations in {} bytes", data.display(), standing.records, standing.bytes);
    if let Some(url) = &args.store {
        eprintln!("  store     {url}");
    }
    if let Some(told) = &door.told {
        eprintln!("  tls       https://{address}, certificate {told}");
    }
    let router = router(daemon.routes(), token.as_deref());
    let stop = CancellationToken::new();
    let door = door.with_files(Arc::new({
        let daemon = daemon.clone();
        move |bytes: &[u8]| daemon.lies(bytes)
    }));
    let serving = tokio::spawn(door.serve(listener, router, stop.clone()));
    let mut signals = Signals::new()?;
    let mut running = std::pin::pin!(daemon.run(pollers, stop.clone()));
    let ended = tokio::select! {
        ended = &mut running => ended,
        () = signals.next() => {
            // What was begun is written.
            stop.cancel();
            running.await
        }
    };
    stop.cancel();
    let _ = serving.await;
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// TLS and connections as the server file says, or none of it; and what has to last as long.
fn door(
    args: &Maintnerd,
    data: &Path,
    address: SocketAddr,
) -> Result<(Door, Option<watch::Sender<Arc<buildenv::Config>>>)> {
    let Some(config) = &args.sources.config else {
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "listening beyond this machine, without TLS: what is read can be read on the way");
        }
        return Ok((Door::plain(), None));
    };
    let named = Named { repos: Vec::new(), config: Some(config.clone()), horizon: 1 };
    let composer = Composer::new(named.read()?, args.sources.environment.as_deref())?;
    let (keep, config) = watch::channel(Arc::clone(&composer.without_projects()?.config));
    Ok((Door::open(&config, data, address)?, Some(keep)))
}

/// The object store of a URL, which does what a log needs of it.
async fn stored(
    url: &str,
    configured: Option<&watch::Sender<Arc<buildenv::Config>>>,
    data: &Path,
) -> Result<store::Objects> {
    let at = url.parse().with_context(|| format!("--store {url:?}"))?;
    let options = match configured {
        Some(config) => data::cloud(config.borrow().environment(), data)?,
        None => store::CloudOptions::default(),
    };
    let objects =
        store::Objects::open_with(&at, data, &options).with_context(|| format!("--store {url:?}"))?;
    if !url.starts_with("file:") {
        let name = store::EventId::generate(store::Micros::now());
        objects.probe(&name.to_string()).await.with_context(|| format!("--store {url:?}"))?;
    }
    Ok(objects)
}

/// Everybody reads, or whoever shows the token.
fn router(routes: Routes, token: Option<&str>) -> Router {
    match token {
        Some(token) => routes.behind_token(token),
        None => routes.into_router().layer(from_fn(|mut request: Request, next: Next| {
            request.extensions_mut().insert(Viewer::stranger(true));
            next.run(request)
        })),
    }
}

/// The token in a file.
pub fn token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let text = text.trim();
    ensure!(text.len() >= SHORTEST, "{} holds no token of at least {SHORTEST} characters", path.display());
    Ok(text.to_owned())
}

fn home(text: &str) -> Result<Home> {
    let parts = text.split_once('/').filter(|(server, project)| !server.is_empty() && !project.is_empty());
    let (server, project) = parts.with_context(|| format!("--home {text:?} is not HOST/PROJECT"))?;
    Ok(Home { server: server.to_owned(), project: project.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_has_a_server_and_a_project() {
        assert!(home("go").is_err() && home("a/b/c").unwrap().project == "b/c");
    }
}
