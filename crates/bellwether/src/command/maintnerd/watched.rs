//! What is watched.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use github::{Client, Limits, Repo, SystemClock};
use maintner::live::Sink;
use maintner::sources::git::{Follow, Remote};
use maintner::sources::{git as by_git, github as by_github};
use maintner::time::Time;
use maintnerd::sources::{SourceState, Sources};
use maintnerd::watch::{self, Wakers};
use maintnerd::{Poller, hints};
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use transport::Service;

use crate::args::Maintnerd;

/// A poll of a repository without a hint.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Between two polls of one.
const GAP: Duration = Duration::from_secs(1);

/// What polls all that is to be watched; repositories lie below the folder of the log.
pub fn pollers(args: &Maintnerd, data: &Path) -> Result<Vec<Poller>> {
    let wakers = Wakers::default();
    let mut pollers: Vec<Poller> = Vec::new();
    if !args.watch_github.is_empty() {
        let client = client(args)?;
        for repo in &args.watch_github {
            let parts =
                repo.split_once('/').with_context(|| format!("--watch-github {repo:?} is not OWNER/REPO"))?;
            let options = by_github::Options::new(Repo::new(parts.0, parts.1).context("--watch-github")?);
            pollers.push(watch::github(client.clone(), options, &wakers));
        }
    }
    if !args.watch_gerrit.is_empty() {
        let folder = data.join("git");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let git = git::Git::new(git::GitConfig::new(data.join("git-home")))?;
        for project in &args.watch_gerrit {
            let url =
                format!("https://{project}").parse().with_context(|| format!("--watch-gerrit {project}"))?;
            let remote = Remote::new(project, url, Follow::Gerrit).context("--watch-gerrit")?;
            let options = by_git::Options { folder: folder.clone(), every: EVERY, gap: GAP, now };
            pollers.push(watch::git(git.clone(), project, remote, options, &wakers));
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

fn client(args: &Maintnerd) -> Result<Client> {
    let token = match &args.github_token_file {
        None => None,
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            Some(token_of(&text))
        }
    };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).context("the operating system gives no randomness")?;
    let options = github::Options {
        service: Service::url(&args.github_api),
        token,
        user_agent: format!("bellwether/{}", env!("CARGO_PKG_VERSION")),
        clock: Arc::new(SystemClock),
        seed: u64::from_le_bytes(seed),
        limits: Limits::default(),
    };
    Ok(Client::new(options)?)
}

/// The token of a file, before which the original has the name of whose it is.
fn token_of(text: &str) -> SecretString {
    let text = text.trim();
    text.split_once(':').map_or(text, |(_, token)| token).into()
}

fn now() -> Time {
    let now = jiff::Timestamp::now();
    Time::new(now.as_second(), now.subsec_nanosecond())
}

/// Writes what comes on standard input, until the end of the daemon.
fn from_stdin(
    sink: Arc<dyn Sink>,
    sources: Sources,
    stop: CancellationToken,
) -> BoxFuture<'static, Result<(), String>> {
    let mut state = SourceState { name: "standard input".into(), ..SourceState::default() };
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

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_token_is_found_behind_a_name() {
        for text in ["abc", " abc\n", "gopherbot:abc\n"] {
            assert_eq!(token_of(text).expose_secret(), "abc", "{text:?}");
        }
    }
}
