//! One channel of a session, from its opening until something runs on it and beyond.

use std::sync::Arc;

use russh::ChannelWriteHalf;
use russh::server::Msg;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sys::Signal;

use super::input::Input;
use super::terminal::Terminal;

/// Variables that a client may set, and their bytes all together.
const MOST_VARIABLES: usize = 64;
const MOST_ENVIRONMENT: usize = 32 << 10;

/// A channel that is open.
pub(super) struct Channel {
    /// Where output goes, until something runs that has it.
    pub(super) output: Option<ChannelWriteHalf<Msg>>,
    pub(super) input: Arc<Input>,
    pub(super) terminal: Option<Arc<Terminal>>,
    environment: Vec<(String, String)>,
    running: Option<Running>,
}

/// What runs on a channel.
pub(super) struct Running {
    pub(super) stop: CancellationToken,
    pub(super) signals: mpsc::Sender<Signal>,
    pub(super) task: JoinHandle<()>,
}

impl Channel {
    pub(super) fn new(output: ChannelWriteHalf<Msg>) -> Self {
        Self {
            output: Some(output),
            input: Arc::new(Input::default()),
            terminal: None,
            environment: Vec::new(),
            running: None,
        }
    }

    /// Notes a variable; says whether there was room for it.
    pub(super) fn set(&mut self, name: &str, value: &str) -> bool {
        let bytes: usize = self.environment.iter().map(|(name, value)| name.len() + value.len()).sum();
        let fits =
            self.environment.len() < MOST_VARIABLES && bytes + name.len() + value.len() <= MOST_ENVIRONMENT;
        if fits {
            self.environment.push((name.to_owned(), value.to_owned()));
        }
        fits
    }

    /// What was set.
    pub(super) fn environment(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.environment)
    }

    /// Notes what runs on it now.
    pub(super) fn begun(&mut self, running: Running) {
        self.running = Some(running);
    }

    /// Whether what ran on it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.task.is_finished())
    }

    /// Hands a signal on to what runs; more at once than it can take are one too many.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(running) = &self.running
            && running.signals.try_send(signal).is_err()
        {
            tracing::debug!(?signal, "a signal too many, or too late");
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.stop.cancel();
        }
    }
}
