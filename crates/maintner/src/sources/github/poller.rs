//! The rounds of a poller, and the waits between them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ::github::{Client, Repo};
use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::batch::Batch;
use super::deliveries::Deliveries;
use super::details::Detail;
use super::differ::repo_in;
use super::issues::Listing;
use crate::live::{Sink, SinkError};
use crate::time::Time;

/// After a hint that led to nothing, the list is looked at again after 1 s, 2 s, 4 s and so on, so many times: GitHub often
/// answers with what was, right after a webhook.
const EXPECTING: u32 = 6;
/// The wait after a round that failed.
const AFTER_ERROR: Duration = Duration::from_secs(30);
/// The least time between a round and the next one that a hint asks for.
const GAP: Duration = Duration::from_secs(1);
/// Answers of one round that may be of no use before it is given up.
const MOST_SKIPPED: u32 = 20;

/// What to follow, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The repo, as it is called today.
    pub repo: Repo,
    /// The wait between rounds without a hint.
    pub every: Duration,
    /// How often all of the list is looked through.
    pub reconcile: Duration,
    /// How old what GitHub answers may be. What changed later than that before an answer is read once more.
    pub lag: Duration,
    /// Where the repo's webhook goes, such as `https://ci.example.org/hooks/github`: its failed deliveries count as hints.
    pub hook: Option<String>,
    /// How often GitHub is asked for them.
    pub deliveries: Duration,
}

impl Options {
    /// The product's values.
    #[must_use]
    pub const fn new(repo: Repo) -> Self {
        Self {
            repo,
            every: Duration::from_secs(15 * 60),
            reconcile: Duration::from_secs(24 * 3600),
            lag: Duration::from_secs(10),
            hook: None,
            deliveries: Duration::from_secs(60),
        }
    }
}

/// Why a round ended early. What was read before is written.
#[derive(Debug, Error)]
pub enum Error {
    /// GitHub gave no answer that is of use.
    #[error(transparent)]
    Github(#[from] ::github::Error),
    /// The log takes nothing any more.
    #[error(transparent)]
    Sink(#[from] SinkError),
}

/// What a round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Round {
    /// Mutations that were written.
    pub mutations: u64,
    /// How many of them are of issues themselves.
    pub issues: u64,
    /// There is more to do right now.
    pub more: bool,
    /// There will be something to read again after that.
    pub again: Option<Duration>,
}

/// How it goes, for pages and metrics.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Rounds that were begun.
    pub rounds: u64,
    /// Mutations that were written.
    pub mutations: u64,
    /// When the last whole round ended.
    pub last_good: Option<Timestamp>,
    /// When all of the list was last looked through.
    pub last_reconciled: Option<Timestamp>,
    /// Issues whose comments, events or reviews are still to be read.
    pub behind: u64,
    /// What went wrong last, in a round or with one issue; none after a round in which all went well.
    pub error: Option<String>,
    /// Why GitHub did not tell which webhooks failed, when it was asked last.
    pub deliveries: Option<String>,
    /// Elements of lists that could not be read.
    pub unread: u64,
}

/// Wakes a poller. A hint while it is busy is kept, and several are one.
#[derive(Debug, Clone)]
pub struct Hints(Arc<Notify>);

impl Hints {
    /// Something happened in the repo, maybe.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// One look at something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visit {
    /// The issue's time then.
    pub(super) updated: Time,
    /// From when on there may be more with the same time: the answer was as old as the change.
    pub(super) again: Option<Instant>,
}

/// Follows a repo.
pub struct Poller {
    pub(super) client: Client,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) options: Options,
    pub(super) listing: Listing,
    /// What was already read in this sweep.
    pub(super) visited: HashMap<(Detail, i32), Visit>,
    pub(super) batch: Batch,
    pub(super) round: Round,
    /// The round before has left a part of its sweep to this one.
    sweeping: bool,
    /// A round of this sweep has failed: what it visited is looked at again when all others were.
    failed: bool,
    skipped: u32,
    /// Known issues that were gone when they were asked for, and of which the log does not know yet.
    pub(super) gone: Vec<i32>,
    pub(super) status: watch::Sender<Status>,
    hints: Hints,
    pub(super) deliveries: Deliveries,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Poller {
    /// Makes a poller that has not begun.
    #[must_use]
    pub fn new(client: Client, sink: Arc<dyn Sink>, options: Options) -> Self {
        Self {
            client,
            sink,
            options,
            listing: Listing::default(),
            visited: HashMap::new(),
            batch: Batch::default(),
            round: Round::default(),
            sweeping: false,
            failed: false,
            skipped: 0,
            gone: Vec::new(),
            status: watch::Sender::new(Status::default()),
            hints: Hints(Arc::new(Notify::new())),
            deliveries: Deliveries::default(),
        }
    }

    /// Gives what wakes it.
    #[must_use]
    pub fn hints(&self) -> Hints {
        self.hints.clone()
    }

    /// Gives what tells how it goes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Follows the repo until the log takes nothing any more, or the future is dropped.
    pub async fn run(mut self) -> SinkError {
        let mut expecting = 0;
        // What failed before the first round is part of it, and what fails during it is not.
        let _ = self.undelivered().await;
        loop {
            let wait = match self.round().await {
                Ok(Round { more: true, .. }) => Duration::ZERO,
                Ok(round) => {
                    expecting = if round.issues > 0 { 0 } else { expecting };
                    let soon = round.again.unwrap_or(self.options.every);
                    if expecting > 0 {
                        expecting -= 1;
                        soon.min(Duration::from_secs(1 << (EXPECTING - 1 - expecting)))
                    } else {
                        soon
                    }
                }
                Err(Error::Sink(error)) => return error,
                Err(Error::Github(error)) => {
                    tracing::warn!(repo = %self.options.repo, %error, "GitHub can't be followed for now");
                    // A hint does not make it well; it is kept until then.
                    tokio::time::sleep(AFTER_ERROR.min(self.options.every)).await;
                    Duration::ZERO
                }
            };
            if !wait.is_zero() && self.wait(wait).await {
                expecting = EXPECTING;
            }
        }
    }

    /// Waits, or less where there is a hint, but never less than [`GAP`]; says whether there was one.
    async fn wait(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        // Those that come meanwhile are one.
        tokio::time::sleep(GAP.min(wait)).await;
        loop {
            tokio::select! {
                () = self.hints.0.notified() => return true,
                () = tokio::time::sleep_until(until.min(self.deliveries.next)) => {}
            }
            if Instant::now() >= until {
                return false;
            }
            if let Ok(true) = self.undelivered().await {
                return true;
            }
        }
    }

    /// Reads what changed, a part of the list of all, and what of an issue is behind it; no more than a slice of each.
    ///
    /// # Errors
    /// The first that keeps it from going on. What was read before is written.
    pub async fn round(&mut self) -> Result<Round, Error> {
        (self.round, self.skipped) = (Round::default(), 0);
        // Of those that a round had no time to write, the next one asks again.
        self.listing.suspects.extend(std::mem::take(&mut self.gone));
        let written = self.batch.count;
        // A sweep that goes on looks at nothing twice.
        if !self.sweeping {
            self.visited.clear();
        }
        self.status.send_modify(|status| status.rounds += 1);
        let done = self.sync().await;
        let done = match self.flush().await {
            Ok(()) => done,
            Err(error) => Err(error),
        };
        // What made a round fail is not looked at first in the next one, or nothing behind it would ever be read.
        self.sweeping = done.is_err() || self.round.more;
        if done.is_err() {
            self.failed = true;
        } else if !self.sweeping {
            self.round.more = std::mem::take(&mut self.failed);
        }
        self.round.mutations = self.batch.count - written;
        let (now, behind, skipped) = (self.client.now(), self.behind(), self.skipped);
        self.status.send_modify(|status| {
            status.mutations += self.round.mutations;
            status.behind = behind;
            match &done {
                Ok(()) => {
                    status.last_good = Some(now);
                    if skipped == 0 {
                        status.error = None;
                    }
                }
                Err(error) => status.error = Some(error.to_string()),
            }
        });
        done.map(|()| self.round)
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.labels().await?;
        self.milestones().await?;
        self.changed().await?;
        self.confirm_gone().await?;
        // The walk through the list begins with what was just read.
        self.flush().await?;
        self.whole_list().await?;
        self.confirm_gone().await?;
        self.missing().await?;
        for detail in [Detail::Comments, Detail::Events, Detail::Reviews] {
            // What is known now, those that are gone included, is what it begins with.
            self.flush().await?;
            self.details(detail).await?;
            self.confirm_gone().await?;
        }
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        Ok(self.batch.flush(&*self.sink).await?)
    }

    /// Goes on after an answer that concerns one issue alone; ends the round by any other error, or too many of them.
    pub(super) fn skip(&mut self, error: ::github::Error) -> Result<(), Error> {
        use ::github::Error as Why;
        let alone = match &error {
            Why::Status { status, .. } => status.as_u16() != 401,
            Why::Malformed { .. } | Why::Moved { .. } => true,
            Why::Limited { .. } | Why::Call { .. } | Why::Name(_) => false,
        };
        self.skipped += 1;
        if !alone || self.skipped > MOST_SKIPPED {
            return Err(error.into());
        }
        tracing::warn!(repo = %self.options.repo, %error, "an issue is passed over for now");
        self.status.send_modify(|status| status.error = Some(error.to_string()));
        Ok(())
    }

    pub(super) fn unread(&self, count: usize) {
        if count > 0 {
            self.status.send_modify(|status| status.unread += count as u64);
        }
    }

    pub(super) fn reconciled(&self) {
        let now = self.client.now();
        self.status.send_modify(|status| status.last_reconciled = Some(now));
    }

    fn behind(&self) -> u64 {
        let corpus = self.sink.corpus();
        let Some(repo) = repo_in(&corpus.github, &self.options.repo) else { return 0 };
        let all = [Detail::Comments, Detail::Events, Detail::Reviews];
        corpus.github.issues_in(repo).filter(|issue| all.iter().any(|detail| detail.is_behind(issue))).count()
            as u64
    }
}
