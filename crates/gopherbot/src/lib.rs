//! The project's bot: what it would do about failures, as plans, and the one that reads what they are made of and carries them out.
//!
//! So far there is [`watchflakes`]: the rule language by which issues collect failures, and the plan of what to post, as plain functions of
//! their arguments. [`reading`] reads failures from a dashboard, [`issues`] reads issues from GitHub and posts what was planned.

#![forbid(unsafe_code)]

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod issues;
pub mod reading;
pub mod watchflakes;
