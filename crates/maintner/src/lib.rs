//! The state of a project in memory: issues and pull requests of GitHub, changes of Gerrit, commits, made of an append-only
//! log of mutations that anybody can replay.
//!
//! The log is that of golang.org/x/build's maintner, byte for byte; [`log`] and [`reclog`] read it, [`mutation`] its messages,
//! [`corpus`] is what it says. Texts stay in the mapped log ([`text`]) or are kept once ([`names`]); what belongs together is
//! chained within large columns ([`mod@column`]), so that loading allocates next to nothing and a copy of a corpus, one consistent
//! version for whoever asks, costs some counters.
//!
//! Where the original is mistaken, [`rules`] says by whose rules a corpus is made; only the original's own are for comparing:
//!
//! | what | the original | ours |
//! |---|---|---|
//! | `created` of an issue that is revived, or first seen without it | never set | set when a mutation brings it |
//! | an assignee twice in one mutation | twice in the list | once |
//! | the current patch set | the one seen last | the highest |
//! | `Private: true`, `Tag: …newPatchSet` in a footer | not as its first or last line | any line |
//! | a vote `+1, ID` of newer servers | 0 | 1; what is no number is passed over |
//! | a key in the middle of a line, behind the same key | found | not found |
//! | labels, milestones, comments, events of id 0; commits that are none | a crash, for some | passed over and counted |
//!
//! A mutation without `not_exist` revives an issue, a flag that makes a change private is never taken back, and any `#N` of a
//! commit message is a reference, by both.

mod ahead;
pub mod check;
pub mod checkpoint;
pub mod column;
pub mod commit;
pub mod corpus;
pub mod dump;
pub mod flag;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod gerrit;
pub mod github;
mod index;
pub mod journal;
pub mod leader;
pub mod lines;
pub mod live;
pub mod log;
mod mapped;
pub mod mutation;
pub mod names;
pub mod print;
pub mod reclog;
mod references;
pub mod rules;
mod section;
pub mod sources;
pub mod text;
pub mod time;
pub mod verify;
pub mod wire;
