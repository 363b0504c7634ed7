//! Typed client of the worker agent, over TCP, a Unix socket or any connection a caller can make.
//!
//! [`BuildletClient`] speaks the `/bw1` protocol of docs/PROTOCOL.md and the original's simple endpoints. It
//! decides nothing: no retries beyond a stale pooled connection, no leases. Start with
//! [`BuildletClient::new`], then [`BuildletClient::with_fence`] for everything done under a lease.
#![forbid(unsafe_code)]

mod address;
mod client;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod order;
mod orders;
mod original;
mod pool;
mod stream;
pub mod wire;

pub use address::{Address, Connect, Connection};
pub use client::BuildletClient;
pub use error::Error;
pub use orders::{About, Signer};
pub use original::{LsEntry, LsRequest, OriginalExec, OriginalMode, ProcessState};
pub use stream::OutputStream;
pub use wire::{
    AgentStatus, ExecBrief, ExecRequest, ExecState, GlobFile, GlobReport, Leftover, Limits, RunState, Status,
    WipeReport,
};
