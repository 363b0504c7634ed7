//! Which parts of a mutation are applied: all in a replay, and for a moment those that were known by then.

use crate::github::{Github, Issue, Number};
use crate::mutation;
use crate::text::Text;
use crate::time::Time;

/// What of a `GithubIssueMutation` is applied. What is not leaves the names that are in it: people, teams, labels, milestones.
pub(super) trait Taken {
    /// Whether the issue is there by it, or gone.
    fn there(&self) -> bool;

    /// Fields of the issue's own.
    fn own(&self) -> bool;

    /// Since or until when something is.
    fn instant(&self, time: Time) -> bool;

    /// A comment, of the issue as it is by now.
    fn comment(&mut self, github: &Github, of: (Number, &Issue), comment: &mutation::Comment<'_>) -> bool;

    /// An event, which lies there.
    fn event(&mut self, github: &Github, of: (Number, &Issue), event: (&mutation::Event<'_>, Text)) -> bool;

    /// A review.
    fn review(&mut self, github: &Github, of: (Number, &Issue), review: &mutation::Review<'_>) -> bool;
}

/// Everything.
pub(super) struct All;

/// Names only.
pub(super) struct Names;

macro_rules! always {
    ($kind:ident, $answer:literal) => {
        impl Taken for $kind {
            #[inline]
            fn there(&self) -> bool {
                $answer
            }

            #[inline]
            fn own(&self) -> bool {
                $answer
            }

            #[inline]
            fn instant(&self, _: Time) -> bool {
                $answer
            }

            #[inline]
            fn comment(&mut self, _: &Github, _: (Number, &Issue), _: &mutation::Comment<'_>) -> bool {
                $answer
            }

            #[inline]
            fn event(&mut self, _: &Github, _: (Number, &Issue), _: (&mutation::Event<'_>, Text)) -> bool {
                $answer
            }

            #[inline]
            fn review(&mut self, _: &Github, _: (Number, &Issue), _: &mutation::Review<'_>) -> bool {
                $answer
            }
        }
    };
}

always!(All, true);
always!(Names, false);
