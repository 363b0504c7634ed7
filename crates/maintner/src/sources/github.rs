//! A repo on GitHub, followed: issues and pull requests, their comments, events and reviews, labels and milestones.
//!
//! What is to be written is decided by plain functions of a corpus and an answer ([`differ`], [`parse`]); the [`Poller`] only
//! asks and writes. Where it is lies in the corpus itself, so it goes on there after a restart, and all that it reads it
//! compares: a hint that is lost, false or late costs time or a look, and changes nothing in the end.
//!
//! | what the original does | what this does |
//! |---|---|
//! | gone issues are noticed where comments are fetched | on any endpoint of an issue, and by a look through the whole list now and then |
//! | `not_exist` is taken back by any change | also where the issue is listed again as it was |
//! | at the end of the list it begins anew | stops at the last page |
//! | a round after another while an issue's time is that of the server or later | one look a round; soon again only if waiting will help |
//! | events and reviews never change | reviews do: they are dismissed and edited |
//! | an answer is as new as its date | it may be as old as [`Options::lag`], and is read again after it |
//! | a wake-up while busy is lost | one is kept |

mod batch;
mod deliveries;
mod details;
pub mod differ;
mod issues;
mod json;
pub mod parse;
mod poller;

pub use deliveries::DeliveriesError;
pub use poller::{Error, Hints, Options, Poller, Round, Status};
