//! The worker agent: it writes files into one work directory, runs commands there, streams their output, and
//! cleans up so that nothing of one job is left for the next.
//!
//! It speaks the original buildlet's endpoints and the `/bw1` protocol of docs/PROTOCOL.md; where the original's of 2017, today's
//! and this differ is a table in docs/BUILDLET.md. It knows nothing of
//! builds, repositories or schedules. Entry: [`main`] with [`Args`], from a function that runs no async code.

mod agent;
mod args;
mod beneath;
mod check;
mod clock;
#[cfg_attr(not(target_os = "linux"), path = "confine/none.rs")]
mod confine;
#[cfg_attr(windows, path = "descriptors/windows.rs")]
mod descriptors;
mod environment;
mod exec;
mod fence;
mod fetch;
mod files;
#[cfg(all(unix, feature = "ssh", any(test, fuzzing)))]
#[doc(hidden)]
pub mod fuzzing;
mod gomode;
mod http;
#[cfg_attr(windows, path = "keep/windows.rs")]
mod keep;
mod listen;
mod logging;
mod metadata;
pub mod order;
mod orders;
mod original;
mod pack;
mod paths;
mod removal;
mod reverse;
mod sandbox;
mod server;
#[cfg(feature = "ssh")]
mod ssh;
mod start;
mod sys;
mod te;
mod untar;
mod user;
mod walk;
mod wipe;
pub mod wire;

pub use args::{Args, Helper, Listen, MetadataFrom};
pub use fetch::FetchFrom;
pub use keep::docker::DockerArgs;
pub use keep::qemu::QemuArgs;
pub use reverse::Coordinator;
pub use start::{arguments, early, main};
pub use user::JobUserName;
