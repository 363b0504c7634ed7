//! Why an attempt was not judged, and what that makes of its machine.

use store::StoreError;

use super::{Fate, Verdict};
use crate::log::LogError;
use crate::recipe::RunError;

/// Why an attempt was not judged.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Another coordinator has taken over: not a word more.
    Stale,
    /// The machine says so. It may be wrong: the database knows.
    Newer,
    /// Reasons of the machines.
    Infra { verdict: Verdict, fate: Option<Fate> },
}

impl Trouble {
    pub(crate) fn lost(detail: impl Into<String>) -> Trouble {
        let detail = detail.into();
        Trouble::Infra {
            verdict: Verdict::infra("worker_lost", detail.clone()),
            fate: Some(Fate::Lost(detail)),
        }
    }

    pub(crate) fn source(detail: impl Into<String>) -> Trouble {
        Trouble::server("source", detail)
    }

    /// What is no fault of the machine's.
    pub(crate) fn server(kind: &str, detail: impl Into<String>) -> Trouble {
        Trouble::Infra { verdict: Verdict::infra(kind, detail), fate: None }
    }

    /// A machine that does not take an order.
    pub(crate) fn refused(message: String) -> Trouble {
        let kind = if message.contains("set_aside") { "worker_set_aside" } else { "worker_refused" };
        Trouble::Infra { verdict: Verdict::infra(kind, message.clone()), fate: Some(Fate::SetAside(message)) }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale => Trouble::Stale,
            error => Trouble::Infra { verdict: Verdict::infra("database", error.to_string()), fate: None },
        }
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Stale => Trouble::Stale,
            LogError::Refused(error) => {
                Trouble::Infra { verdict: Verdict::infra("log", error.to_string()), fate: None }
            }
        }
    }
}

impl From<buildlet_client::Error> for Trouble {
    fn from(error: buildlet_client::Error) -> Self {
        match error {
            buildlet_client::Error::StaleFence { .. } => Trouble::Newer,
            buildlet_client::Error::SetAside { reason } => Trouble::Infra {
                verdict: Verdict::infra("worker_set_aside", reason.clone()),
                fate: Some(Fate::SetAside(reason)),
            },
            buildlet_client::Error::Refused { code: Some(code), message, .. } if code == "no_space" => {
                disk_full(message)
            }
            buildlet_client::Error::Source(error) => Trouble::source(error.to_string()),
            error if error.is_transient() => Trouble::lost(error.to_string()),
            error => Trouble::Infra {
                verdict: Verdict::infra("worker_refused", error.to_string()),
                fate: Some(Fate::SetAside(error.to_string())),
            },
        }
    }
}

pub(crate) fn disk_full(message: String) -> Trouble {
    let reason = format!("disk full: {message}");
    Trouble::Infra {
        verdict: Verdict::infra("worker_disk_full", message),
        fate: Some(Fate::SetAside(reason)),
    }
}

impl From<RunError<LogError>> for Trouble {
    fn from(error: RunError<LogError>) -> Self {
        match error {
            RunError::Stale => Trouble::Newer,
            RunError::Sink(error) => error.into(),
            RunError::DiskFull(message) => disk_full(message),
            RunError::WorkerLost(detail) => Trouble::lost(detail),
            RunError::Refused(message) => Trouble::refused(message),
        }
    }
}
