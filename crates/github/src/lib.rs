//! A client of GitHub's REST API: what of issues, pull requests and webhooks a mirror of them asks for, and the comments and
//! check runs ([`post`]) of those who say something there.
//!
//! All that share a [`Client`] share one budget of requests ([`Rate`]): it waits where GitHub says so, asks only for what
//! changed where it can, and tries again what may succeed. What it is given (service, token, clock, seed) is all it knows of
//! its surroundings, and it knows no product type.

#![forbid(unsafe_code)]

mod app;
mod budget;
mod cache;
mod calls;
mod client;
mod clock;
mod error;
mod link;
pub mod model;
pub mod post;
mod teams;

pub use app::{App, BadKey};
pub use budget::{Rate, Tempo};
pub use calls::{Cursor, One, Page, Repo};
pub use client::{Client, Limits, Options};
pub use clock::{Clock, SystemClock};
pub use error::Error;
pub use teams::Team;
