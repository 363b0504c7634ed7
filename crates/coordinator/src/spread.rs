//! Build once, fan out: the tests of one attempt on several machines. Source: spec/coordinator.md §1.6.
//!
//! The attempt's own machine builds and lists; its trees are kept for this attempt alone, and further machines of the same
//! host begin from them. All take chunks of the list from one pool, the longest first; a machine that dies gives its chunk
//! back. What the chunks print comes into the log in the order of the list.
//!
//! [`plan`] cuts the list and tells what the result could have been; it knows no machine and no clock. `crew` is what the
//! machines of one attempt share, `member` what each of them does, `helper` a further machine from the moment the
//! scheduler gives it, `lead` the attempt's own side, and `output` what a chunk printed until its turn
//! comes, `files` what it wrote of its results.

mod crew;
pub(crate) mod files;
pub(crate) mod helper;
pub(crate) mod lead;
mod member;
mod output;
pub mod plan;
pub(crate) mod trees;

pub(crate) use helper::{Ask, drive};
