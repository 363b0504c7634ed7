//! Reverse mode: the agent dials out to a coordinator, registers there, and serves over connections that the coordinator
//! asks for.
//!
//! A machine behind a firewall can't be dialled, so it keeps a control connection to its coordinator, which asks on it for
//! connections; each is dialled by us and used backwards (spec 2.6). Commands belong to the agent and not to a connection: they
//! go on while the coordinator is away, and the agent's instance tells it afterwards that it is the same process it finds again.

mod alive;
pub(crate) mod coordinator;
mod credentials;
mod dial;
mod identity;
mod key;
mod pause;
pub(crate) mod proxy;
mod register;
mod settings;
#[cfg(feature = "tls")]
pub(crate) mod tls;
#[cfg(not(feature = "tls"))]
#[path = "reverse/no_tls.rs"]
pub(crate) mod tls;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::orders::Orders;
use crate::server::Connection;
use register::Machine;

pub use coordinator::Coordinator;
pub(crate) use coordinator::authority;
pub(crate) use dial::DialError;
pub(crate) use identity::{check as check_token, file as identity_file};
pub(crate) use key::{Shape as KeyShape, look as look_at_key};
pub(crate) use settings::{Settings, SettingsError, key_file};

/// Connections that wait to be served; what more is asked for waits in the control connection's own backlog.
const BACKLOG: usize = 8;
/// A process that ends says goodbye within this time, or not at all.
const GOODBYE: Duration = Duration::from_secs(2);

/// The connections that a coordinator asks for. The machine is registered, again and again, until it is dropped.
pub(crate) struct Reverse {
    asked_for: mpsc::Receiver<Connection>,
    leaving: CancellationToken,
    registering: AbortOnDropHandle<()>,
}

impl Reverse {
    /// Begins to register, and goes on for as long as the process lives.
    pub(crate) fn start(settings: Settings, instance: &str, orders: Arc<Orders>) -> Self {
        let (made, asked_for) = mpsc::channel(BACKLOG);
        let machine = Arc::new(Machine::new(settings, instance, orders));
        let leaving = CancellationToken::new();
        let registering = tokio::spawn(machine.stay_registered(made, leaving.clone(), pause::chance));
        Self { asked_for, leaving, registering: AbortOnDropHandle::new(registering) }
    }

    /// Waits for the next connection; none if the task that registers has died.
    pub(crate) async fn accept(&mut self) -> Option<Connection> {
        self.asked_for.recv().await
    }

    /// Says goodbye, if the coordinator can be told: it waits for a machine whose connection only broke.
    pub(crate) async fn leave(self) {
        self.leaving.cancel();
        let _told = tokio::time::timeout(GOODBYE, self.registering).await;
    }
}
