//! The scheduler: which build gets which machine, and why every other one waits.
//!
//! A plain synchronous state machine, `(state, now, event) -> actions`, with no clock, no I/O and no randomness of its
//! own, so that the simulator and a replay of recorded events reach the same decisions as the live coordinator.
//!
//! * Each host keeps its ready builds in one queue; a build that may run on several hosts stands in each.
//! * A build that can't start for a reason of its own (a full limit, a back-off, a missing need) is *parked* at that
//!   reason and stands in no ready set, so no dispatch ever steps over it: the cost of a dispatch is logarithmic in the
//!   number of queued builds.
//! * Nothing waits while matching capacity is free: after every event each touched host is dispatched until it has no
//!   idle machine or no ready build.

mod age;
mod bugs;
mod class;
mod fair;
mod flows;
mod ids;
mod items;
mod limits;
mod machines;
mod queue;
mod state;
mod watch;
mod why;

#[cfg(test)]
mod tests;

pub use bugs::{Bug, Bugs, Planted, Sound};
pub use class::Class;
pub use state::{Planner, Scheduler};
pub use watch::{Kept, Stuck};
pub use why::{Reason, Wait};

use serde::{Deserialize, Serialize};
use store::{BuildId, Micros, WorkerId};

/// A build that wants a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Which build.
    pub build: BuildId,
    /// Its builder, for messages and for the builder's own limit.
    pub builder: String,
    /// The hosts it may run on, in order of preference.
    pub hosts: Vec<String>,
    /// What kind of work it is.
    pub class: Class,
    /// Within a class, higher goes first.
    pub priority: i64,
    /// When its newest commit was made.
    pub commit_time: Micros,
    /// When it was asked for.
    pub requested: Micros,
    /// Limits of which it takes one slot each, by name.
    pub limits: Vec<String>,
    /// Machines it must not get again: they failed it before.
    pub avoid: Vec<WorkerId>,
    /// Not to be started before this moment.
    pub not_before: Option<Micros>,
    /// What must exist before it may start, such as the snapshot of its toolchain.
    pub need: Option<String>,
    /// Why it can't run at all as things are configured.
    #[serde(default)]
    pub blocked: Option<String>,
    /// The repo that it is of, for turns between repos and for the repo's quota; empty where there is none.
    #[serde(default)]
    pub repo: String,
    /// Who asked for it, for turns between people and for their quota; empty if nobody did.
    #[serde(default)]
    pub user: String,
    /// How many slots of each of its limits and quotas it takes.
    #[serde(default = "one")]
    pub width: u32,
}

/// The width of what was recorded before there were widths.
fn one() -> u32 {
    1
}

/// Whom a quota is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// A repo.
    Repo,
    /// Whoever asks for builds.
    User,
}

impl Of {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Of::Repo => "repo",
            Of::User => "user",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A build is queued, or queued again.
    Queued(Request),
    /// A queued build is not wanted any more.
    Withdrawn {
        /// Which build.
        build: BuildId,
    },
    /// A build was running when the coordinator started; it holds its machine and its limits.
    Resumed {
        /// The request that it had been.
        request: Request,
        /// The machine it holds.
        worker: WorkerId,
        /// That machine's host.
        host: String,
    },
    /// A build's lease ended.
    Released {
        /// Which build.
        build: BuildId,
    },
    /// The configuration of a host: how many machines it may have.
    Host {
        /// The host's name.
        host: String,
        /// The most machines that may exist at once.
        capacity: u32,
        /// Why it can give no machine at all, where that is so.
        blocked: Option<String>,
        /// Whether its machines come by themselves: none can be asked for, nor put in the place of another.
        #[serde(default)]
        fixed: bool,
    },
    /// The configuration of a limit.
    Limit {
        /// Its name.
        limit: String,
        /// How many may hold it at once.
        max: u32,
    },
    /// The configuration of quotas: how many slots a repo, or a user, may hold at once.
    Quota {
        /// Of repos or of users.
        of: Of,
        /// Of which; `None` is of each that has none of its own.
        #[serde(default)]
        name: Option<String>,
        /// How many; `None` is any number.
        max: Option<u32>,
    },
    /// A machine that was asked for is on its way.
    MachineStarting {
        /// Its name.
        worker: WorkerId,
        /// Its host.
        host: String,
    },
    /// A machine is clean and free.
    MachineIdle {
        /// Its name.
        worker: WorkerId,
        /// Its host.
        host: String,
    },
    /// A machine takes no work for now, by a person's word or because it could not be cleaned.
    MachineSetAside {
        /// Its name.
        worker: WorkerId,
        /// Its host.
        host: String,
        /// Whose word it is, and why and until when, for those who wait; empty if it is nobody's.
        #[serde(default)]
        why: String,
    },
    /// A free machine can't be reached for now. It counts again with the next [`Event::MachineIdle`].
    MachineAway {
        /// Its name.
        worker: WorkerId,
        /// Its host.
        host: String,
    },
    /// A machine is no more.
    MachineGone {
        /// Its name.
        worker: WorkerId,
    },
    /// The pool could not make a machine; asking again is useless before `retry`.
    CreateFailed {
        /// The machine's name, which is free again.
        worker: WorkerId,
        /// Its host.
        host: String,
        /// The pool's words.
        reason: String,
        /// When to ask again.
        retry: Micros,
    },
    /// What builds were waiting for exists.
    NeedMet {
        /// The need's name.
        need: String,
        /// The build that made it, as far as one did: for a replay, where that build may come at another time.
        #[serde(default)]
        by: Option<BuildId>,
    },
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Give the machine to the build.
    Lease {
        /// The build.
        build: BuildId,
        /// The machine.
        worker: WorkerId,
        /// The machine's host.
        host: String,
    },
    /// Ask the host's pool for so many more machines; each is to be announced by [`Event::MachineStarting`].
    Create {
        /// The host.
        host: String,
        /// How many.
        count: u32,
    },
    /// Let the machine go: all that waits refuses it, and it stands in the way of another. It is forgotten here.
    Retire {
        /// The machine.
        worker: WorkerId,
    },
}
