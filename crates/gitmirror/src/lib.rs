//! Mirrors of the source repositories.
//!
//! A [`Mirror`] keeps a bare copy of each watched repository, looks for news on a hint, a timer or (for a repository
//! on this machine) at once, posts its branches to the dashboard, pushes branches and tags to further places, and
//! serves commits as archives. It is not the judge of what gets built, and imports no other service: the dashboard is
//! reached through [`transport::Service`].
//!
//! Begin with [`Mirror::open`], [`Mirror::run`] and [`router`], or with [`serve`].

mod archives;
mod branches;
mod config;
mod demand;
mod http;
mod lru;
mod mirror;
mod post;
mod push;
mod repo;
mod round;
mod state;
mod status;
mod watch;

pub use config::{MirrorConfig, OpenError, RepoConfig, Tuning};
pub use http::{Ancestor, Landed, Merged, Parents, Refs, Resolved, router, routes, routes_within};
pub use mirror::{Mirror, serve};
pub use state::{DestinationState, Health, RepoState};
