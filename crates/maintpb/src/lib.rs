//! The messages of the mutation log: what changed of issues, pull requests, Gerrit's changes and commits, one [`Mutation`] to
//! a record. It knows neither how records are framed nor what becomes of them.
//!
//! Fields are written in the order of their numbers, as the original writes them. Text that is not UTF-8 does not decode.
//!
//! Made from `proto/maintner.proto` by its test, with `BELLWETHER_BLESS=1`.

#[allow(missing_docs, reason = "made from the protocol's definition, which says what each part is")]
#[allow(clippy::all, clippy::allow_attributes_without_reason, reason = "made by a program")]
#[rustfmt::skip]
mod generated;

pub use generated::*;
