//! Whose fault a failure is.
//!
//! [`judge`] says of a failing test of a try run which runs would tell more, or gives the verdict with its evidence.
//! A
//! [`Bisection`] finds the commit of a range that broke a test. [`MuteRules`] are files in
//! which people mute a test for a while. All of it is plain functions of their arguments: nothing is read, nothing waits, nothing is random, and the same case
//! has the same answer on any machine. The coordinator asks for all of it.

#![forbid(unsafe_code)]

pub mod bisect;
pub mod mute;
pub mod verdict;

pub use bisect::Bisection;
pub use mute::MuteRules;
pub use verdict::{Case, Decision, Judged, Verdict, judge};
