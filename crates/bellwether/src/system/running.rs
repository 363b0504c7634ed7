//! What runs beside the system, and ends it when it ends by itself.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long one may take to write what it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service that was begun.
pub struct Running<E> {
    what: &'static str,
    task: JoinHandle<Result<(), E>>,
    stop: CancellationToken,
}

impl<E: std::error::Error + Send + Sync + 'static> Running<E> {
    /// Begins.
    pub fn start<F>(what: &'static str, begin: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        Running { what, task: tokio::spawn(begin(stop.clone())), stop }
    }

    /// Waits until it has ended by itself, and says why.
    pub async fn ended(&mut self) -> anyhow::Error {
        let what = self.what;
        match (&mut self.task).await {
            Ok(Ok(())) => anyhow::anyhow!("{what} has ended"),
            Ok(Err(error)) => anyhow::Error::new(error).context(format!("{what} has ended")),
            Err(error) => anyhow::Error::new(error).context(format!("{what} has ended")),
        }
    }

    /// Ends it, and lets it write what it has.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if self.task.is_finished() {
            return;
        }
        match tokio::time::timeout(PATIENCE, &mut self.task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("{} did not end well: {error}", self.what),
            Ok(Err(error)) => tracing::warn!("{} did not end well: {error}", self.what),
            Err(_) => {
                tracing::warn!("{} did not end in {} s and is cut off", self.what, PATIENCE.as_secs());
                self.task.abort();
            }
        }
    }
}

/// Those that hear and know what happens at forges.
#[derive(Default)]
pub struct Forges {
    /// Takes hints.
    pub hints: Option<Running<pubsubhelper::Replaced>>,
    /// Knows the state.
    pub maintnerd: Option<Running<maintnerd::DaemonError>>,
}

impl Forges {
    /// Waits until one of them has ended by itself, and says why; for ever where there is none.
    pub async fn ended(&mut self) -> anyhow::Error {
        tokio::select! {
            error = ended(self.hints.as_mut()) => error,
            error = ended(self.maintnerd.as_mut()) => error,
        }
    }

    /// Ends them: who hears hints before who takes them.
    pub async fn stop(self) {
        if let Some(maintnerd) = self.maintnerd {
            maintnerd.stop().await;
        }
        if let Some(hints) = self.hints {
            hints.stop().await;
        }
    }
}

async fn ended<E: std::error::Error + Send + Sync + 'static>(
    running: Option<&mut Running<E>>,
) -> anyhow::Error {
    match running {
        Some(running) => running.ended().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_ends_when_it_is_told_and_says_why_when_it_ends_by_itself() {
        let fails = |_| async { Err(std::io::Error::other("the log takes no more")) };
        let error = Running::start("it", fails).ended().await;
        assert_eq!(format!("{error:#}"), "it has ended: the log takes no more");
        let heeds = |stop: CancellationToken| async move {
            stop.cancelled().await;
            Ok::<(), std::io::Error>(())
        };
        Running::start("it", heeds).stop().await;
    }
}
