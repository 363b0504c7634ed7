//! Classes of work: their order, and how long each may be passed over.

use serde::{Deserialize, Serialize};

/// What kind of work a build is; earlier kinds go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A release is waiting for it.
    Release,
    /// A person is waiting at a terminal: a build asked for by hand, a gomote machine.
    Interactive,
    /// A pending change is waiting for it.
    Try,
    /// The part of a try run that nobody sits and waits for: builders that are slow, or asked for besides.
    SlowTry,
    /// A landed commit that is, or was when it was queued, the newest of its branch.
    PostSubmit,
    /// History: a landed commit with a newer one on its branch.
    Backfill,
}

/// How many classes there are.
pub(super) const CLASSES: usize = 6;

const MINUTE: i64 = 60_000_000;

impl Class {
    /// All of them, in their order.
    pub const ALL: [Class; CLASSES] =
        [Class::Release, Class::Interactive, Class::Try, Class::SlowTry, Class::PostSubmit, Class::Backfill];

    /// The name in SQL and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Release => "release",
            Class::Interactive => "interactive",
            Class::Try => "try",
            Class::SlowTry => "slow_try",
            Class::PostSubmit => "post_submit",
            Class::Backfill => "backfill",
        }
    }

    /// The class of that name.
    pub fn parse(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Whether it is of a commit that has landed.
    pub fn is_landed(self) -> bool {
        matches!(self, Class::PostSubmit | Class::Backfill)
    }

    /// Whether it is of a change that is tried.
    pub fn is_try(self) -> bool {
        matches!(self, Class::Try | Class::SlowTry)
    }

    /// How long a build of it may wait, in microseconds, before it is promoted: from then on a share of the machines is
    /// given to what was promoted, whatever its class.
    pub fn patience(self) -> i64 {
        MINUTE
            * match self {
                Class::Release | Class::Interactive => 30,
                Class::Try => 60,
                Class::SlowTry => 2 * 60,
                Class::PostSubmit => 4 * 60,
                Class::Backfill => 24 * 60,
            }
    }

    pub(super) fn of_number(number: u8) -> Class {
        Class::ALL.get(usize::from(number)).copied().unwrap_or(Class::Backfill)
    }
}
