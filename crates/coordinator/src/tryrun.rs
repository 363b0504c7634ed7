//! Try runs: every change that somebody votes for is built before it lands.
//!
//! What is asked for is read from the corpus ([`asked`]), which builders a change gets is said by the configuration
//! ([`chosen`]), and what is to be done about it all is decided by one plain function ([`decide`]); [`keeper`] does it. An
//! approval is for one commit: a newer patch set, a vote that was taken back or a change that is no longer open ends its run.
//!
//! What fails is run again with the change and without it before anybody is blamed ([`verdicts`]).
//!
//! Nobody has reviewed what is tried, so its builds are `untrusted` for good, whoever asks for them once more: they run on hosts
//! that take such work and nowhere else, get no secret and write nothing that others start from.
//!
//! Source: spec/coordinator.md §1.2, §1.3, §1.11.

pub(crate) mod asked;
pub(crate) mod chosen;
pub(crate) mod decide;
pub(crate) mod keeper;
pub(crate) mod say;
mod terms;
pub(crate) mod text;
pub(crate) mod verdicts;

use std::sync::Arc;

use maintner::corpus::Corpus;

/// Gives what is known of changes by now. A copy is cheap.
pub type Changes = Arc<dyn Fn() -> Arc<Corpus> + Send + Sync>;
