//! The state of a project, made of its log.

mod past;

use crate::gerrit::{Change, Gerrit, Inconsistent};
use crate::github::{Github, Issue};
use crate::log::{Log, LogError};
use crate::mutation::{Mutation, MutationError};
use crate::rules::Rules;
use crate::section::{self, Sections, Unfit};
use crate::text::Source;

/// How a log is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Replay {
    /// GitHub's part and git's on a thread each: neither needs the other's order.
    #[default]
    Parallel,
    /// All of it on this thread.
    OneThread,
}

/// Everything that a log says, at one instant. A copy is cheap and stays as it is.
#[derive(Debug, Clone)]
pub struct Corpus {
    /// The log, which the texts are in.
    pub log: Log,
    /// Issues.
    pub github: Github,
    /// Commits and changes.
    pub gerrit: Gerrit,
    /// How many records the log has.
    pub records: u64,
    /// How many of the repos that commit messages name are among GitHub's.
    mentioned: u32,
}

impl Corpus {
    /// Replays a whole log.
    ///
    /// # Errors
    /// The first record that is broken or no mutation, with its file and offset. Nothing is passed over: a corpus that is
    /// silently smaller would be believed.
    pub fn load(log: Log, rules: Rules, replay: Replay) -> Result<Self, LogError> {
        let (mut github, mut gerrit) = (Github::new(rules), Gerrit::new(rules));
        let records = match replay {
            Replay::OneThread => {
                let mut records = 0;
                each(&log, 0, |source, mutation| {
                    records += 1;
                    apply_github(&mut github, source, mutation)?;
                    apply_gerrit(&mut gerrit, &log, source, mutation)
                })
                .map_err(|(_, why)| why)?;
                records
            }
            Replay::Parallel => std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    let done =
                        each(&log, 0, |source, mutation| apply_gerrit(&mut gerrit, &log, source, mutation));
                    done.map(|()| gerrit.finish(&log))
                });
                let mut records = 0;
                let one = each(&log, 0, |source, mutation| {
                    records += 1;
                    apply_github(&mut github, source, mutation)
                });
                // A panic there is one here.
                let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                // Each sees only its own part of what is no mutation: the first of all is told.
                match (one, other) {
                    (Ok(()), Ok(())) => Ok(records),
                    (Err((_, why)), Ok(())) | (Ok(()), Err((_, why))) => Err(why),
                    (Err((at, why)), Err((other, _))) if at <= other => Err(why),
                    (Err(_), Err((_, why))) => Err(why),
                }
            })?,
        };
        let mut corpus = Self { log, github, gerrit, records, mentioned: 0 };
        corpus.finish();
        Ok(corpus)
    }

    /// The corpus of a log of which this one's is how it begins: what follows is applied to a copy.
    ///
    /// # Errors
    /// As [`load`](Self::load). This corpus stays as it is, whatever comes of the next.
    pub fn advance(&self, log: Log) -> Result<Self, LogError> {
        let mut next = self.clone();
        next.take(log, self.log.len())?;
        Ok(next)
    }

    /// The complete changes whose current messages name an issue, by project and number.
    #[must_use]
    pub fn changes_referring(&self, issue: &Issue) -> Vec<&Change> {
        let repo = self.github.repos().get(issue.repo);
        let (owner, name) = (self.github.name(repo.owner), self.github.name(repo.name));
        self.gerrit.changes_referring(owner, name, issue.number)
    }

    /// Whether all commits are there that others name.
    ///
    /// # Errors
    /// The first that is missing; see [`Gerrit::check`].
    pub fn check(&self) -> Result<(), Inconsistent> {
        self.gerrit.check()
    }

    /// The corpus of no log.
    pub(crate) fn nothing(rules: Rules) -> Self {
        let (github, gerrit) = (Github::new(rules), Gerrit::new(rules));
        Self { log: Log::default(), github, gerrit, records: 0, mentioned: 0 }
    }

    /// Applies what is behind a position of a log; after an error it is of no use.
    pub(crate) fn take(&mut self, log: Log, from: u64) -> Result<(), LogError> {
        let mut records = 0;
        each(&log, from, |source, mutation| {
            records += 1;
            apply_github(&mut self.github, source, mutation)?;
            apply_gerrit(&mut self.gerrit, &log, source, mutation)
        })
        .map_err(|(_, why)| why)?;
        self.log = log;
        self.records += records;
        self.finish();
        Ok(())
    }

    /// Is the sections of a checkpoint.
    pub(crate) fn section(&mut self, sections: &mut dyn Sections) -> Result<(), Unfit> {
        let mut kept = [self.records, u64::from(self.mentioned)];
        section::numbers(&mut kept, sections)?;
        self.records = kept[0];
        self.mentioned = u32::try_from(kept[1]).map_err(|_| Unfit::Spoilt("a number"))?;
        self.github.section(sections)?;
        self.gerrit.section(sections)
    }

    /// Does what is done once for all records that came together.
    fn finish(&mut self) {
        self.gerrit.finish(&self.log);
        for (owner, repo) in self.gerrit.mentioned_from(self.mentioned) {
            self.github.make_repo(owner, repo);
        }
        self.mentioned = self.gerrit.mentions();
    }
}

/// Applies each record behind a position at which one begins; of an error it says how many came before.
fn each<'a>(
    log: &'a Log,
    from: u64,
    mut apply: impl FnMut(Source<'a>, &Mutation<'a>) -> Result<(), MutationError>,
) -> Result<(), (u64, LogError)> {
    let mut before = 0;
    for file in log.files() {
        // A file is within memory, so its positions are; one that lies before the position has no record behind it.
        let start = usize::try_from(from.saturating_sub(file.base())).unwrap_or(usize::MAX);
        if start == 0 {
            file.expect();
        }
        let done = file.records_from(start, |source| {
            apply(source, &Mutation::of(source.bytes)?)?;
            before += 1;
            Ok(())
        });
        done.map_err(|why| (before, why))?;
    }
    Ok(())
}

fn apply_github(
    github: &mut Github,
    source: Source<'_>,
    mutation: &Mutation<'_>,
) -> Result<(), MutationError> {
    if let Some(message) = mutation.github_issue {
        github.apply_issue(source, message)?;
    }
    if let Some(message) = mutation.github {
        github.apply(message)?;
    }
    Ok(())
}

fn apply_gerrit(
    gerrit: &mut Gerrit,
    log: &Log,
    source: Source<'_>,
    mutation: &Mutation<'_>,
) -> Result<(), MutationError> {
    if let Some(message) = mutation.git {
        gerrit.apply_git(log, source, message)?;
    }
    if let Some(message) = mutation.gerrit {
        gerrit.apply(log, source, message)?;
    }
    Ok(())
}
