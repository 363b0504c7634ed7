//! The coordinator: finds work, owns every machine, runs the builds.
//!
//! Decisions are made by [`schedule::Scheduler`], a plain state machine. Everything durable is one transaction per step of
//! a build's life, guarded by the coordinator's epoch and the lease's fence (`ledger`), so that a coordinator that was
//! paused and wakes up writes nothing. Commands belong to the buildlet, not to us: after a restart each is found again
//! and read on from where its log ends.
//!
//! [`recipe`] runs the steps of a job over a bare buildlet client and knows nothing of the rest.

mod alarms;
mod api;
mod attempt;
mod clock;
mod coordinator;
mod core;
mod culprits;
mod forecast;
mod gomote;
mod hook;
mod identity;
pub mod job;
mod journal;
mod ledger;
mod log;
mod measure;
mod mutes;
mod notice;
mod orders;
pub mod outbox;
mod own_rules;
mod pool;
pub mod recipe;
pub mod redact;
mod remark;
pub mod replay;
mod report;
pub mod resolve;
mod samples;
pub mod schedule;
pub mod simulate;
pub mod spread;
mod ssh;
mod standing;
mod sweep;
mod tryrun;
mod usual;
mod vault;
mod work;

pub use self::gomote::IDLE as GOMOTE_IDLE;
pub use self::ssh::{BadHostKey, Shells, SshHostKey};
pub use api::{
    AlarmInfo, AlarmList, BisectionList, BisectionWhole, BuildAnswer, BuildRequest, CancelRequest,
    GomoteInfo, GomoteList, MachineInfo, MachineList, MachineTokenAnswer, MachineTokenInfo, MachineTokenList,
    MachineTokenRequest, OutboxCount, OutboxList, OutboxMessage, ResumeRequest, RetryMessage,
    SetAsideRequest, TryBuild, TryLeftOut, TryList, TryQuery, TryRun, TrySummary, WhyAnswer, WorkAnswer,
};
pub use clock::{Clock, SharedClock, SystemClock};
pub use coordinator::{ALARMS, Coordinator, Handles, Options, StartError};
pub use core::{
    Blocked, BlockedRepo, RunningBuild, SetAside, Status, Stopped, TurnedAway, WaitingBuild, WorkerStatus,
};
pub use hook::{Fault, Hooks, NoHooks, SharedHooks};
pub use identity::{Claim, Denied, Identities, Identity};
pub use ledger::{LEAD, LeadError, Ledger, TakeOver};
pub use measure::Measures;
pub use mutes::{Expired, MuteCheck, MuteProblem, check_mutes};
pub use orders::{BadOrderKey, OrderKey};
pub use pool::{
    Address, Answer, Ask, Confined, Confinement, LocalPool, LocalPoolConfig, Machine, Pool, PoolError,
    PoolEvent, Protocol, Reception, Registration, ReversePool, Shown,
};
pub use tryrun::{Changes, Press, PullRequests, Recompose};
