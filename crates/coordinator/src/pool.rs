//! Where machines come from.
//!
//! A pool is spoken to in messages that can cross a process border: it is asked by name to make, to list and to delete
//! machines, each ask may be repeated, and it tells of what happened by events. The coordinator chooses the names, so
//! that after a crash it knows which of the listed machines are its own and which leaked.

mod local;
mod reverse;

pub use local::{Confined, Confinement, LocalPool, LocalPoolConfig};
pub use reverse::{Protocol, Reception, Registration, ReversePool, Shown};

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use store::WorkerId;
use tokio::sync::mpsc;

use crate::core::TurnedAway;

/// How a machine's buildlet is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "transport", rename_all = "snake_case")]
pub enum Address {
    /// A Unix socket of this host.
    Unix {
        /// The socket's path.
        path: String,
    },
    /// An address of a network that only machines of ours are on.
    Tcp {
        /// `IP:PORT`.
        address: String,
    },
    /// A machine that dialled in, and is dialled by what it opened.
    Reverse {
        /// The host that it says it is of.
        host: String,
        /// The name that it gave itself.
        name: String,
        /// Which process of that name it is: random, new with every start.
        instance: String,
    },
    /// An original buildlet that dialled in. It lasts as long as its connection, and is used once.
    Original {
        /// The host that it says it is of.
        host: String,
        /// The name that it gave itself.
        name: String,
        /// Which connection of that name it is: random.
        connection: String,
    },
}

/// A machine that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its name, chosen by the coordinator.
    pub name: WorkerId,
    /// The host it is of.
    pub host: String,
    /// How it is reached; `None` while it starts.
    pub address: Option<Address>,
    /// For people: a pid, a pod, a serial number.
    pub detail: String,
}

/// What the coordinator asks of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Make a machine. Asked again for a name that exists, it changes nothing.
    Create {
        /// Its name.
        name: WorkerId,
        /// The host it is to be of.
        host: String,
    },
    /// List all machines of this pool that are or will be.
    List {
        /// Those that were there when the coordinator before this one was last heard of. A pool that can't know yet which
        /// of them still are lists them, and tells of those that don't come back.
        known: Vec<Machine>,
    },
    /// End a machine and all that runs on it. Asked for a name that is not there, it changes nothing.
    Delete {
        /// Its name.
        name: WorkerId,
    },
}

/// A pool's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// Taken in hand; an event tells of the end.
    Accepted,
    /// The machines.
    Machines {
        /// All of them.
        machines: Vec<Machine>,
    },
}

/// Why a pool can't.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum PoolError {
    /// No more machines are allowed now.
    #[error("quota: {message}")]
    Quota {
        /// The pool's words.
        message: String,
    },
    /// The pool itself can't be reached.
    #[error("{message}")]
    Unavailable {
        /// The pool's words.
        message: String,
    },
    /// The machine could not be made, and would not be if asked again.
    #[error("{message}")]
    Refused {
        /// The pool's words.
        message: String,
    },
}

/// What a pool tells unasked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum PoolEvent {
    /// A machine came by itself, under a name that the pool chose. It counts once a row of it is written.
    Joined {
        /// The machine.
        machine: Machine,
    },
    /// A machine's buildlet answers.
    Ready {
        /// The machine.
        machine: Machine,
    },
    /// A machine can't be reached for now. What runs on it goes on; it comes back, or is gone in the end.
    Away {
        /// Its name.
        name: WorkerId,
    },
    /// A machine that was away can be reached again.
    Back {
        /// Its name.
        name: WorkerId,
    },
    /// A machine could not be made.
    Failed {
        /// Its name.
        name: WorkerId,
        /// Its host.
        host: String,
        /// Why.
        error: PoolError,
    },
    /// A machine is to go once it has done what it does; or may stay after all.
    Leaves {
        /// Its name.
        name: WorkerId,
        /// Why; none if it may stay.
        reason: Option<String>,
    },
    /// Somebody else came with what only this machine knows, and was not taken.
    Doubled {
        /// Its name.
        name: WorkerId,
    },
    /// A machine is no more.
    Gone {
        /// Its name.
        name: WorkerId,
        /// Why, as far as the pool knows.
        reason: String,
    },
}

/// A pool.
pub trait Pool: Send + Sync + 'static {
    /// Its name, as in the configuration's `pool`.
    fn name(&self) -> &str;
    /// Asks it for something.
    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, PoolError>>;
    /// Hears of the configuration, and of each change of it.
    fn configure(&self, _config: &buildenv::Config) {}
    /// The machines that came by themselves of late, and were not taken.
    fn turned_away(&self) -> Vec<TurnedAway> {
        Vec::new()
    }
    /// Takes the receiving end of its events; `None` when it was taken before.
    fn events(&self) -> Option<mpsc::Receiver<PoolEvent>>;
    /// How long a machine may be out of reach where the pool waits for it by itself, and tells when it is given up.
    fn patience(&self) -> Option<Duration> {
        None
    }
    /// Whether each machine of a host is for one piece of work alone, and is ended after it.
    fn once(&self, _host: &str) -> bool {
        false
    }
    /// Reaches a machine by what only the pool has: connections that the machine made.
    fn connector(&self, _address: &Address) -> Option<Arc<dyn buildlet_client::Connect>> {
        None
    }
}
