//! What is watched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use buildenv::{GithubHook, WatchedGit};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use maintner::live::Sink;
use maintner::sources::git::Follow;
use maintnerd::sources::{SourceState, Sources};
use maintnerd::watch::Wakers;
use maintnerd::{Poller, hints};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use transport::Service;

use crate::args::Maintnerd;
use crate::system::watched::{ByGit, OfGithub, token_of};

/// What polls all that is to be watched; repositories lie below the folder of the log.
pub fn pollers(args: &Maintnerd, data: &Path) -> Result<Vec<Poller>> {
    let wakers = Wakers::default();
    let token = args.github_token_file.as_deref().map(|path| {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Ok::<_, anyhow::Error>(token_of(&text))
    });
    let hook = args.github_hook.clone();
    let hook = hook.map(|url| GithubHook { url, every: Duration::from_secs(args.github_hook_every.max(1)) });
    let github =
        OfGithub { repos: &args.watch_github, api: &args.github_api, token: token.transpose()?, hook };
    let mut pollers = github.pollers("--watch-github", &wakers)?;
    if !args.watch_gerrit.is_empty() {
        let git = ByGit::below(data)?;
        for project in &args.watch_gerrit {
            let url = format!("https://{project}");
            pollers.push(git.poller(
                project,
                &url,
                (Follow::Gerrit, WatchedGit::EVERY),
                "--watch-gerrit",
                &wakers,
            )?);
        }
    }
    if let Some(helper) = &args.pubsub {
        pollers.push(hints::subscribe(Service::url(helper), helper, &wakers));
    }
    if args.from_stdin {
        pollers.push(Box::new(from_stdin));
    }
    Ok(pollers)
}

/// Writes what comes on standard input, until the end of the daemon.
fn from_stdin(
    sink: Arc<dyn Sink>,
    sources: Sources,
    stop: CancellationToken,
) -> BoxFuture<'static, Result<(), String>> {
    let mut state = SourceState {
        name: "standard input".into(),
        in_short: "a mutation could not be taken",
        ..SourceState::default()
    };
    let (tell, mut lines) = mpsc::channel(16);
    // Nobody can end a read of standard input but who writes there; the runtime does not wait for it.
    let reading = tokio::task::spawn_blocking(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| tell.blocking_send(line)).is_ok()
    });
    let reads = async move {
        while let Some(line) = lines.recv().await {
            let bytes = hex::decode(line.trim()).map_err(|why| why.to_string());
            let mutation = bytes.and_then(|bytes| maintnerd::mutation(&bytes).map_err(|why| why.to_string()));
            let added = match mutation {
                Ok(mutation) => sink.add(vec![mutation]).await.map_err(|why| why.to_string()),
                Err(why) => Err(why),
            };
            match added {
                Ok(_) => *state.mutations.get_or_insert_default() += 1,
                Err(why) => state.trouble = Some(why),
            }
            sources.report(state.clone());
        }
        let _ = reading.await;
        std::future::pending().await
    };
    async move {
        tokio::select! {
            ended = reads => ended,
            () = stop.cancelled() => Ok(()),
        }
    }
    .boxed()
}
