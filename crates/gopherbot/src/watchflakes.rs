//! Flakes and their issues: rules in issues say which failures belong to them (`spec/services.md` §5).
//!
//! - [`Script`] is a list of rules, read by [`Script::parse`] with every mistake at its place, and asked by [`Script::action`];
//! - [`script_of`] finds the script in an issue's text;
//! - [`coalesce`], [`broken_commit`] and [`broken_builder`] take out of a build's and a builder's failures those that say little;
//! - [`plan`] matches what is left to the issues and says what would be posted. It posts nothing: a dry run is the plan, printed.

mod block;
mod broken;
mod coalesce;
mod failure;
mod issue;
mod lex;
mod parse;
mod plan;
mod quote;
mod regexp;
mod rule;
mod snippet;
mod write;

pub use block::{BlockError, MARKER, script_of};
pub use broken::{Kept, broken_builder, broken_commit};
pub use coalesce::{TestFailure, coalesce, split_test_id};
pub use failure::{FIELDS, Failure, Parts};
pub use issue::{Comment, Issue};
pub use parse::MAX_SCRIPT;
pub use plan::{Build, Config, Intent, PlanError, Planned, plan};
pub use quote::{QuoteError, quote, unquote};
pub use regexp::{Regexp, RegexpError};
pub use rule::{Expr, Record, RelOp, Rule, Script, ScriptError};
pub use snippet::snippet;
