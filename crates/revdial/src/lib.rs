//! A connection that was dialled out and is used backwards: a machine behind a firewall dials its coordinator, and the
//! coordinator then dials the machine over what the machine opened.
//!
//! Two protocols of the original are spoken, in both roles. The *dialer* is the coordinator, which asks for connections; the
//! *listener* is the machine, which serves them.
//!
//! - [`v1`]: one connection carries frames of many streams (2017 to 2019).
//! - [`v2`]: a control connection asks for a connection of its own for each stream (since 2019).
//! - [`head`]: the request that opens either, and its answer.
//!
//! The crate knows neither TLS nor HTTP beyond that head: it is given connections and makes connections.

#![forbid(unsafe_code)]

#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod head;
pub mod v1;
pub mod v2;
