//! What a leader polls: repos of GitHub, repositories of git and of Gerrit. Each says how it stands, and can be woken.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use github::Client;
use jiff::Timestamp;
use maintner::sources::git::{self as by_git, Remote};
use maintner::sources::github as by_github;
use tokio::sync::watch;

use crate::daemon::Poller;
use crate::sources::{Budget, SourceState, Sources};

type Wake = Box<dyn Fn() + Send + Sync>;

/// Wakes sources by their topics, `github:OWNER/REPO` and `gerrit:HOST/PROJECT`. Copies share them.
#[derive(Clone, Default)]
pub struct Wakers(Arc<Mutex<BTreeMap<String, Wake>>>);

impl Wakers {
    fn add(&self, topic: String, wake: Wake) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(topic, wake);
    }

    /// Wakes the source of a topic; says whether there is one.
    pub fn wake(&self, topic: &str) -> bool {
        let wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.get(topic).inspect(|wake| wake()).is_some()
    }

    /// Wakes all of them.
    pub fn wake_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().for_each(|wake| wake());
    }
}

/// Polls a repo of GitHub.
#[must_use]
pub fn github(client: Client, options: by_github::Options, wakers: &Wakers) -> Poller {
    let (name, topic) = (format!("github.com/{}", options.repo), format!("github:{}", options.repo));
    let wakers = wakers.clone();
    Box::new(move |sink, sources, stop| {
        let poller = by_github::Poller::new(client.clone(), sink, options);
        let (hints, status) = (poller.hints(), poller.status());
        wakers.add(topic, Box::new(move || hints.wake()));
        let tells = tell(status, sources, move |status: &by_github::Status| {
            let rate = client.rate();
            let budget = || Some(Budget { left: rate.remaining?, of: rate.limit?, anew: rate.reset? });
            SourceState {
                name: name.clone(),
                doing: match status.behind {
                    0 => "up to date".into(),
                    behind => format!("issues whose details are to be read: {behind}"),
                },
                trouble: status.error.clone().or_else(|| status.deliveries.clone()),
                in_short: "GitHub could not be read",
                whole_until: status.last_good.filter(|_| status.behind == 0),
                looked: status.last_good,
                mutations: Some(status.mutations),
                budget: budget(),
            }
        });
        let polls = async move {
            tokio::select! {
                why = poller.run() => Err(why.to_string()),
                () = stop.cancelled() => Ok(()),
            }
        };
        both(polls, tells).boxed()
    })
}

/// Polls a repository by git, such as a project of Gerrit's.
#[must_use]
pub fn git(
    git: ::git::Git,
    project: &str,
    remote: Remote,
    options: by_git::Options,
    wakers: &Wakers,
) -> Poller {
    let (name, topic) = (shown(project), format!("gerrit:{project}"));
    let wakers = wakers.clone();
    Box::new(move |sink, sources, stop| {
        let poller = by_git::Poller::new(git, remote, options, sink);
        let (hint, state) = (poller.hint(), poller.state());
        wakers.add(topic, Box::new(move || hint.give()));
        let tells = tell(state, sources, move |state: &by_git::State| {
            let whole = state.whole.seconds().and_then(|seconds| Timestamp::from_second(seconds).ok());
            SourceState {
                name: name.clone(),
                doing: match state.waiting {
                    0 => format!("up to date, refs: {}", state.refs),
                    waiting => format!("refs that are to be fetched: {waiting}"),
                },
                trouble: state.error.clone().or_else(|| state.broken.clone()),
                in_short: match state.error {
                    Some(_) => "the remote could not be read",
                    None => "some of the remote could not be read",
                },
                whole_until: whole,
                looked: whole,
                mutations: None,
                budget: None,
            }
        });
        let polls = async move { poller.run(stop).await.map_err(|why| why.to_string()) };
        both(polls, tells).boxed()
    })
}

/// What a repository that is watched by git is called among the sources, where one of GitHub may be watched for its issues too.
fn shown(project: &str) -> String {
    match project.split_once('/') {
        Some((host, _)) if host.eq_ignore_ascii_case("github.com") => format!("{project} (git)"),
        _ => project.to_owned(),
    }
}

/// Says how a source stands, whenever that changes.
async fn tell<T>(mut states: watch::Receiver<T>, sources: Sources, of: impl Fn(&T) -> SourceState) {
    loop {
        let state = of(&states.borrow_and_update());
        sources.report(state);
        if states.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

async fn both(
    polls: impl Future<Output = Result<(), String>>,
    tells: impl Future<Output = ()>,
) -> Result<(), String> {
    tokio::select! {
        ended = polls => ended,
        () = tells => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_by_two_sources_has_two_names() {
        assert_eq!(shown("github.com/golang/go"), "github.com/golang/go (git)");
        assert_eq!(shown("go.googlesource.com/go"), "go.googlesource.com/go");
    }
}
