//! The project's bot: what it would do about the failures that it is shown, as plans that somebody else carries out.
//!
//! So far there is [`watchflakes`]: the rule language by which issues collect failures, and the plan of what to post. Everything here is
//! plain functions of their arguments. **Nothing runs it yet**: no service reads failures or issues for it, and nothing is posted.

#![forbid(unsafe_code)]

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod watchflakes;
