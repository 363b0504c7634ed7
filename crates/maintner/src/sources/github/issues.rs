//! Issues themselves: those that changed, the whole list from time to time, and those that are in no list.

use std::collections::{BTreeSet, HashSet};

use ::github::model::Issue;
use ::github::{Cursor, Page};
use jiff::Timestamp;
use tokio::time::Instant;

use super::differ::{self, find, repo_in};
use super::poller::{Error, Poller};
use crate::corpus::Corpus;

/// Pages of the whole list in one round.
const PAGES: usize = 20;
/// Pages of what changed: more than any list has.
const MOST_PAGES: usize = 10_000;
/// Issues that are looked at one by one in one round.
const SINGLE: usize = 100;
/// Known issues that are gone, for each question whether the repo is there.
const ASK_REPO: usize = 20;

/// How far the lists were read. It is not kept: a restart begins with the whole list.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// All that changed before is known.
    through: Option<Timestamp>,
    /// The walk through the whole list that is under way.
    walk: Option<Walk>,
    /// When one was last done.
    walked: Option<Instant>,
    /// Known ones that were not in the list, to be looked at.
    pub(super) suspects: BTreeSet<i32>,
    /// Unknown ones below the highest number that could not be looked at; not tried again before the next walk.
    hopeless: HashSet<i32>,
}

#[derive(Debug, Default)]
struct Walk {
    cursor: Option<Cursor>,
    seen: HashSet<i32>,
}

impl Poller {
    pub(super) async fn labels(&mut self) -> Result<(), Error> {
        let (mut all, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = self
                .batch
                .beside(&*self.sink, self.client.labels(&self.options.repo, cursor.as_ref()))
                .await??;
            self.unread(page.unread);
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mutation = differ::labels(&self.sink.corpus(), &self.options.repo, &all);
        Ok(self.batch.repo(&*self.sink, mutation).await?)
    }

    pub(super) async fn milestones(&mut self) -> Result<(), Error> {
        let (mut all, mut cursor) = (Vec::new(), None);
        for _ in 0..PAGES {
            let page = self
                .batch
                .beside(&*self.sink, self.client.milestones(&self.options.repo, cursor.as_ref()))
                .await??;
            self.unread(page.unread);
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let mutation = differ::milestones(&self.sink.corpus(), &self.options.repo, &all);
        Ok(self.batch.repo(&*self.sink, mutation).await?)
    }

    /// Reads those that changed since it was done last; at first, one page.
    pub(super) async fn changed(&mut self) -> Result<(), Error> {
        let (mut cursor, mut seen, mut from) = (None, HashSet::new(), None);
        for _ in 0..MOST_PAGES {
            let page = self
                .batch
                .beside(&*self.sink, self.client.issues(&self.options.repo, cursor.as_ref()))
                .await??;
            // An answer may be old, and an issue may say that it changed tomorrow.
            from.get_or_insert_with(|| {
                let date = page.date.unwrap_or_else(|| self.client.now());
                page.items
                    .iter()
                    .filter_map(|issue| issue.updated_at)
                    .max()
                    .map_or(date, |newest| newest.min(date))
            });
            let oldest = page.items.iter().rev().find_map(|issue| issue.updated_at);
            let next = page.next.clone();
            self.page(page, &mut seen).await?;
            let all = match self.listing.through {
                None => true,
                Some(through) => oldest.is_some_and(|oldest| oldest < through),
            };
            cursor = next;
            if all || cursor.is_none() {
                break;
            }
        }
        if let Some(walk) = &mut self.listing.walk {
            walk.seen.extend(seen);
        }
        // Only now: who was kept from the end begins again where this began.
        self.listing.through = from.and_then(|from| from.checked_sub(self.options.lag).ok());
        Ok(())
    }

    /// Goes on through the whole list, if that is due.
    pub(super) async fn whole_list(&mut self) -> Result<(), Error> {
        if self.listing.walk.is_none() {
            if self.listing.walked.is_some_and(|at| at.elapsed() < self.options.reconcile) {
                return Ok(());
            }
            self.listing.walk = Some(Walk::default());
        }
        for _ in 0..PAGES {
            let Some(mut walk) = self.listing.walk.take() else { return Ok(()) };
            let page = match self
                .batch
                .beside(&*self.sink, self.client.issues(&self.options.repo, walk.cursor.as_ref()))
                .await?
            {
                Ok(page) => page,
                // A cursor that is no good any more: from the beginning, next time.
                Err(error @ ::github::Error::Status { status, .. }) if status.is_client_error() => {
                    return Err(error.into());
                }
                Err(error) => {
                    self.listing.walk = Some(walk);
                    return Err(error.into());
                }
            };
            let next = page.next.clone();
            let done = self.page(page, &mut walk.seen).await;
            if next.is_none() && done.is_ok() {
                self.walked(&walk.seen);
                return Ok(());
            }
            if done.is_ok() {
                walk.cursor = next;
            }
            self.listing.walk = Some(walk);
            done?;
        }
        self.round.more = true;
        Ok(())
    }

    /// The list is whole: who is not in it may be gone.
    fn walked(&mut self, seen: &HashSet<i32>) {
        self.listing.walked = Some(Instant::now());
        self.listing.hopeless.clear();
        let corpus = self.sink.corpus();
        if let Some(repo) = repo_in(&corpus.github, &self.options.repo) {
            let missing = corpus
                .github
                .issues_in(repo)
                .filter(|issue| !issue.not_exist.is() && !seen.contains(&issue.number));
            self.listing.suspects.extend(missing.map(|issue| issue.number));
        }
        self.reconciled();
    }

    async fn page(&mut self, page: Page<Issue>, seen: &mut HashSet<i32>) -> Result<(), Error> {
        self.unread(page.unread);
        let corpus = self.sink.corpus();
        for issue in page.items {
            // What changed meanwhile is in two pages, first as it is.
            if issue.number <= 0 || !seen.insert(issue.number) {
                continue;
            }
            let known_as_gone = find(&corpus, &self.options.repo, issue.number)
                .is_some_and(|(_, known)| known.not_exist.is());
            if known_as_gone {
                // A list may be older than what the issue's own address says.
                self.single(issue.number).await?;
            } else {
                self.write(differ::issue(&corpus, &self.options.repo, &issue)).await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, mutation: Option<maintpb::GithubIssueMutation>) -> Result<(), Error> {
        self.round.issues += u64::from(mutation.is_some());
        Ok(self.batch.issue(&*self.sink, mutation).await?)
    }

    /// Asks for one issue, and writes what it is, or that it is gone. Whether there is an answer.
    pub(super) async fn single(&mut self, number: i32) -> Result<bool, Error> {
        let asked = self.client.issue(&self.options.repo, number);
        let answer = self.batch.beside(&*self.sink, asked).await?;
        let corpus = self.sink.corpus();
        match answer {
            Ok(one) if one.item.number == number => {
                self.write(differ::issue(&corpus, &self.options.repo, &one.item)).await?;
            }
            // Answered with another, as one that was transferred may be.
            Ok(_) => self.gone(&corpus, number).await?,
            Err(error) if error.is_gone() => {
                self.gone(&corpus, number).await?;
            }
            Err(error) => {
                self.skip(error)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes it that an issue is gone. Of a repo that was renamed or hidden each of them seems to be, so of known ones it is
    /// written only when the repo itself has answered after them.
    async fn gone(&mut self, corpus: &Corpus, number: i32) -> Result<(), Error> {
        let mutation = differ::gone(corpus, &self.options.repo, number);
        if mutation.is_none() || find(corpus, &self.options.repo, number).is_none() {
            return self.write(mutation).await;
        }
        if !self.gone.contains(&number) {
            self.gone.push(number);
        }
        if self.gone.len() >= ASK_REPO { self.confirm_gone().await } else { Ok(()) }
    }

    /// Writes of those that were gone that they are, if the repo is there.
    pub(super) async fn confirm_gone(&mut self) -> Result<(), Error> {
        let gone = std::mem::take(&mut self.gone);
        if gone.is_empty() {
            return Ok(());
        }
        let asked = self.client.labels(&self.options.repo, None);
        if let Err(error) = self.batch.beside(&*self.sink, asked).await? {
            // They are looked at once more, even if no list says anything of them.
            self.listing.suspects.extend(gone);
            return Err(error.into());
        }
        let corpus = self.sink.corpus();
        for number in gone {
            self.write(differ::gone(&corpus, &self.options.repo, number)).await?;
        }
        Ok(())
    }

    /// Looks at those that are in no list: numbers without an issue, and issues that the whole list did not have.
    pub(super) async fn missing(&mut self) -> Result<(), Error> {
        if self.listing.walk.is_some() {
            return Ok(());
        }
        self.flush().await?;
        let mut numbers = self.gaps();
        numbers.extend(self.listing.suspects.iter().copied().take(SINGLE));
        for number in numbers {
            let answered = self.single(number).await?;
            if !self.listing.suspects.remove(&number) && !answered {
                self.listing.hopeless.insert(number);
            }
        }
        self.confirm_gone().await?;
        self.flush().await?;
        self.round.more |= !self.listing.suspects.is_empty() || !self.gaps().is_empty();
        Ok(())
    }

    /// The first numbers below the highest of which nothing is known.
    fn gaps(&self) -> Vec<i32> {
        let corpus = self.sink.corpus();
        let Some(repo) = repo_in(&corpus.github, &self.options.repo) else { return Vec::new() };
        let mut known: Vec<i32> = corpus.github.issues_in(repo).map(|issue| issue.number).collect();
        known.sort_unstable();
        let (mut next, mut gaps) = (1, Vec::new());
        for number in known {
            let missing = (next..number).filter(|number| !self.listing.hopeless.contains(number));
            gaps.extend(missing.take(SINGLE - gaps.len()));
            if gaps.len() == SINGLE {
                break;
            }
            next = number.saturating_add(1);
        }
        gaps
    }
}
