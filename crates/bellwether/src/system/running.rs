//! What runs beside the system, and ends it when it ends by itself.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long one may take to write what it has.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service that was begun.
pub struct Running<E> {
    what: &'static str,
    /// None when it has ended, and was heard to.
    task: Option<JoinHandle<Result<(), E>>>,
    stop: CancellationToken,
}

impl<E: std::error::Error + Send + Sync + 'static> Running<E> {
    /// Begins.
    pub fn start<F>(what: &'static str, begin: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        Running { what, task: Some(tokio::spawn(begin(stop.clone()))), stop }
    }

    /// Waits until it has ended by itself, and says why, once.
    pub async fn ended(&mut self) -> anyhow::Error {
        let Some(task) = &mut self.task else { return std::future::pending().await };
        let ended = task.await;
        self.task = None;
        self.why(ended).unwrap_or_else(|| anyhow::anyhow!("{} has ended", self.what))
    }

    fn why(&self, ended: Result<Result<(), E>, JoinError>) -> Option<anyhow::Error> {
        let error = match ended {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => anyhow::Error::new(error),
            Err(error) => anyhow::Error::new(error),
        };
        Some(error.context(format!("{} has ended", self.what)))
    }

    /// Ends it, and lets it write what it has.
    ///
    /// # Errors
    /// It had ended by itself, which nobody heard, or did not end well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let Some(mut task) = self.task.take() else { return Ok(()) };
        let by_itself = task.is_finished();
        self.stop.cancel();
        match tokio::time::timeout(PATIENCE, &mut task).await {
            Ok(ended) => match self.why(ended) {
                Some(error) => Err(error),
                None if by_itself => Err(anyhow::anyhow!("{} has ended", self.what)),
                None => Ok(()),
            },
            Err(_) => {
                tracing::warn!("{} did not end in {} s and is cut off", self.what, PATIENCE.as_secs());
                task.abort();
                Ok(())
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

    /// Waits for something else. If one of them ends by itself meanwhile, that is told at once, and given back.
    pub async fn meanwhile<T>(
        &mut self,
        other: impl Future<Output = T>,
        tell: impl FnOnce(&anyhow::Error),
    ) -> (T, Option<anyhow::Error>) {
        let mut other = std::pin::pin!(other);
        let error = tokio::select! {
            done = &mut other => return (done, None),
            error = self.ended() => error,
        };
        tell(&error);
        (other.await, Some(error))
    }

    /// Ends them: who hears hints before who takes them.
    ///
    /// # Errors
    /// One had ended by itself, which nobody heard, or did not end well. Of two the first; the other is logged.
    pub async fn stop(self) -> anyhow::Result<()> {
        let heard = match self.maintnerd {
            Some(maintnerd) => maintnerd.stop().await,
            None => Ok(()),
        };
        let taken = match self.hints {
            Some(hints) => hints.stop().await,
            None => Ok(()),
        };
        if let (Err(_), Err(error)) = (&heard, &taken) {
            tracing::warn!("{error:#}");
        }
        heard.and(taken)
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
        Running::start("it", heeds).stop().await.unwrap();
    }

    #[tokio::test]
    async fn an_end_that_nobody_heard_is_told_when_it_is_stopped() {
        let ends = |error: Option<&'static str>| {
            let end = move |_| async move { error.map_or(Ok(()), |why| Err(std::io::Error::other(why))) };
            let running = Running::start("it", end);
            async {
                while running.task.as_ref().is_some_and(|task| !task.is_finished()) {
                    tokio::task::yield_now().await;
                }
                running.stop().await.map_err(|error| format!("{error:#}"))
            }
        };
        assert_eq!(
            ends(Some("the log takes no more")).await.unwrap_err(),
            "it has ended: the log takes no more"
        );
        assert_eq!(ends(None).await.unwrap_err(), "it has ended");
        let mut heard = Running::start("it", |_| async { Err(std::io::Error::other("why")) });
        heard.ended().await;
        heard.stop().await.unwrap();
    }

    #[tokio::test]
    async fn one_that_ends_while_something_else_is_finished_is_told_at_once_and_given_back() {
        let dies = |_| async { Err(maintnerd::DaemonError::Source("why".into())) };
        let mut forges = Forges { maintnerd: Some(Running::start("maintnerd", dies)), hints: None };
        let (tell, told) = tokio::sync::oneshot::channel();
        // It is over only after it was told.
        let other = async { told.await.unwrap() };
        let (said, error) = forges.meanwhile(other, |error| tell.send(format!("{error:#}")).unwrap()).await;
        assert_eq!(said, "maintnerd has ended: a source is not polled any more: why");
        assert_eq!(format!("{:#}", error.unwrap()), said);
        forges.stop().await.unwrap();
        let mut none = Forges::default();
        assert!(none.meanwhile(async {}, |_| {}).await.1.is_none());
    }
}
