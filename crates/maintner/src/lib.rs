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
//! | an issue's id | not written, 0 | written ([`sources::github`]); taken where the issue is first seen, by both |
//! | when a comment changed last | never set | set; [`last_modified`](github::Issue::last_modified) counts it |
//! | a label whose last vote was taken away | stays, with no votes | goes ([`gerrit::votes`]) |
//! | changes that refer to an issue | those that ever did | those that do now ([`gerrit::Gerrit::changes_referring`]) |
//! | repos that a commit message names | listed | made, and not [listed](github::Github::listed_repos) without an issue |
//! | segments from 10000 on | misread or not read | none is begun: the log takes no more, and says so ([`journal`]) |
//!
//! By both:
//!
//! * A mutation without `not_exist` revives an issue.
//! * A field `body` that is empty clears nothing: `body_change` does, and is what we write.
//! * A flag that makes a change private is never taken back.
//! * Any `#N` of a commit message is a reference.
//! * The pattern of a change's refs has no end: `…/12x` is patch set 12, `…/metadata` the meta ref. Refs of changes that it does
//!   not fit, such as `…/robot-comments`, are refs like branches. We write neither ([`sources::gerrit`]).
//! * A line `Patch-set:` within a change message cuts it, and two characters before it ([`gerrit::meta::message`]).
//!   [`gerrit::Gerrit::view`] reads messages as Gerrit does.
//! * `for_staging` of GoFindTryWork (crate `maintnerd`) is read and changes nothing.

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
