//! A client of Gerrit's REST API for what is posted there: votes, comments and their threads. What Gerrit's state is comes to
//! us by `maintner`; the few reads here are those that tell whether a post arrived.
//!
//! All that share a [`Client`] share one budget of requests. A read is tried again where it may succeed; a post only where it
//! has certainly not happened. Where nobody can know, the error says so ([`Error::may_have_happened`]), and whoever posts looks
//! before posting again. No password is in any text.

#![forbid(unsafe_code)]

mod budget;
mod calls;
mod client;
mod error;
pub mod model;
mod name;

pub use budget::Tempo;
pub use client::{Client, Limits, Login, Options};
pub use error::Error;
pub use name::{Change, Revision};
