//! The messages of the mutation log: what changed of issues, pull requests, Gerrit's changes and commits, one [`Mutation`] to
//! a record. It knows neither how records are framed nor what becomes of them.
//!
//! Fields are written in the order of their numbers, as the original writes them. Text that is not UTF-8 does not decode.
//!
//! With the feature `api` also what a daemon is asked about them: [`api`].
//!
//! Made from `proto/maintner.proto` and `proto/api.proto` by a test, with `BELLWETHER_BLESS=1`.

#[allow(missing_docs, reason = "made from the protocol's definition, which says what each part is")]
#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "made by a program")]
#[rustfmt::skip]
mod generated;

pub use generated::*;

/// The questions that a daemon answers: the original's package `apipb`, a client over any HTTP, and the trait that a server
/// implements.
#[cfg(feature = "api")]
#[allow(missing_docs, reason = "made from the protocol's definition, which says what each part is")]
#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "made by a program")]
#[rustfmt::skip]
pub mod api;
