//! The corpus of a moment in the past, as far as the log tells.
//!
//! A record does not say when it was written. What it tells of has times of its own: an issue's `updated`, the `created` of
//! comments, events and reviews, the times of commits, of which Gerrit's notes are some. By these, and where there are several
//! words of one thing by the log's order, this is what was at a moment T:
//!
//! - A record of an issue is of its `updated`, or else of the latest time in it, or else of the latest time that the log had of
//!   GitHub by then; but if the log was beyond T before the issue's record before it, it goes with that one.
//! - An issue is there if it was created at T or before, or if anything of it is of T or before. Its author, title, body, state,
//!   lock, milestone, labels and owners are those of the last record that is not after T. Where the log has one that is, what
//!   events that came with it or behind it say was changed until T is played forward. If there is none of T or before, since a
//!   log often begins with issues of years before, they are those of the first there is, and what was changed since is played
//!   back. Who first is named as the author, and that it is a pull request, is of no time.
//! - Comments, events and reviews are there if they were created at T or before; a comment has the last text whose `updated` is
//!   not after T, or else the first one that is known.
//! - A change is as its notes up to T say: the newest note of its meta ref whose time is not after T, and all before that. Its
//!   patch sets are those of which these notes tell; without a note of T or before it is not there.
//! - A record of another ref is of the latest time that notes had in the log by then; in a project without notes, commits that
//!   its refs were at. The ref is where the last record that is not after T says; later ones, and those that name a later commit,
//!   tell of the newest commit of T or before to which they lead over first parents, if it is newer than that.
//! - That an issue is gone or a ref was deleted has no time either: it is of the latest time that GitHub, or notes, had by then.
//! - A commit is there if its commit time is not after T, or if it is of a patch set that is.
//! - Names of people, labels and milestones are those of today.
//!
//! So in a log whose times go forward it is the corpus of the records that are not after T, and at its end that of all of them.

use super::{Corpus, each};
use crate::gerrit::Gerrit;
use crate::gerrit::past::Moves;
use crate::github::Github;
use crate::github::past::Past;
use crate::log::{Log, LogError};
use crate::rules::Rules;
use crate::time::Time;

impl Corpus {
    /// The corpus of a moment, by our rules; it does not grow any more. Takes some longer than a replay.
    ///
    /// # Errors
    /// As [`load`](Self::load), of the whole log.
    pub fn at(log: Log, at: Time) -> Result<Self, LogError> {
        let (mut github, mut gerrit) = (Github::new(Rules::Ours), Gerrit::new(Rules::Ours));
        let (records, other) = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut moves = Moves::new(at);
                let done = each(&log, 0, |source, mutation| {
                    if let Some(message) = mutation.git {
                        gerrit.apply_git(&log, source, message)?;
                    }
                    mutation
                        .gerrit
                        .map_or(Ok(()), |message| gerrit.apply_at(&log, source, message, &mut moves))
                });
                done.map(|()| gerrit.rewind(&log, &moves))
            });
            let (mut past, mut records) = (Past::new(at), 0);
            let one = each(&log, 0, |source, mutation| {
                records += 1;
                if let Some(message) = mutation.github_issue {
                    github.apply_issue_at(source, message, &mut past)?;
                }
                mutation.github.map_or(Ok(()), |message| github.apply(message))
            });
            let one = one.map(|()| github.play(&log, past));
            // A panic there is one here.
            let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (one.map(|()| records), other)
        });
        let records = match (records, other) {
            (Ok(records), Ok(())) => records,
            (Err((_, why)), Ok(())) | (Ok(_), Err((_, why))) => return Err(why),
            // The first of all is told.
            (Err((at, why)), Err((other, _))) if at <= other => return Err(why),
            (Err(_), Err((_, why))) => return Err(why),
        };
        let mut corpus = Self { log, github, gerrit, records, mentioned: 0 };
        corpus.finish();
        Ok(corpus)
    }
}
