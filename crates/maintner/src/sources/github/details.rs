//! What belongs to an issue: comments, events, reviews, of those whose issue changed after they were read.

use std::time::Duration;

use ::github::{Client, Cursor, Error as Why, Repo};
use jiff::Timestamp;
use maintpb as pb;
use tokio::time::Instant;

use super::differ::{self, find, instant, repo_in, stamp};
use super::poller::{Error, Poller, Visit};
use crate::corpus::Corpus;
use crate::github::{Issue, Number};
use crate::time::Time;

/// Issues in one round.
const SLICE: usize = 100;
/// Pages of one issue: a hundred thousand comments.
const MOST_PAGES: usize = 1000;

/// What of an issue is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Detail {
    Comments,
    Events,
    Reviews,
}

impl Detail {
    /// Until when it is known, of an issue that has it.
    fn synced(self, issue: &Issue) -> Option<Time> {
        match self {
            Self::Comments => Some(issue.comments_synced),
            Self::Events => Some(issue.events_synced),
            Self::Reviews => issue.pull_request.is().then_some(issue.reviews_synced),
        }
    }

    /// Whether the issue may have changed since it was read: dates are of whole seconds, so one of the same is not enough.
    pub(super) fn is_behind(self, issue: &Issue) -> bool {
        !issue.not_exist.is() && self.synced(issue).is_some_and(|synced| synced <= issue.updated)
    }
}

/// A page of it, as it is to be written.
struct Part {
    mutation: pb::GithubIssueMutation,
    next: Option<Cursor>,
    /// The server's time of the answer.
    date: Option<Timestamp>,
    unread: usize,
}

impl Poller {
    /// Reads it for a slice of the issues that are behind, those first that changed last.
    pub(super) async fn details(&mut self, detail: Detail) -> Result<(), Error> {
        let corpus = self.sink.corpus();
        let Some(repo) = repo_in(&corpus.github, &self.options.repo) else { return Ok(()) };
        let moment = Instant::now();
        let visited = |issue: &Issue| {
            let visit = self.visited.get(&(detail, issue.number));
            visit.is_some_and(|visit| {
                visit.updated == issue.updated && visit.again.is_none_or(|again| moment < again)
            })
        };
        let behind = corpus.github.issues_in(repo).filter(|issue| detail.is_behind(issue) && !visited(issue));
        let now = instant(self.client.now());
        // Whoever comes from the future waits until all others are read.
        let mut behind: Vec<_> = behind
            .map(|issue| (issue.updated > now, std::cmp::Reverse(issue.updated), issue.number))
            .collect();
        behind.sort_unstable();
        self.round.more |= behind.len() > SLICE;
        for (_, std::cmp::Reverse(updated), number) in behind.into_iter().take(SLICE) {
            self.visited.insert((detail, number), Visit { updated, again: None });
            if let Err(error) = self.detail(&corpus, detail, number).await {
                let Error::Github(error) = error else { return Err(error) };
                if error.is_gone() {
                    // It may be this list alone that is not to be had.
                    self.single(number).await?;
                } else {
                    self.skip(error)?;
                }
            }
        }
        Ok(())
    }

    async fn detail(&mut self, corpus: &Corpus, detail: Detail, number: i32) -> Result<(), Error> {
        let Some((at, issue)) = find(corpus, &self.options.repo, number) else { return Ok(()) };
        let (mut cursor, mut first) = (None, None);
        for _ in 0..MOST_PAGES {
            let asked = part(&self.client, &self.options.repo, corpus, detail, (at, issue), cursor.as_ref());
            let mut part = self.batch.beside(&*self.sink, asked).await??;
            // What changes while later pages are read may be on this one.
            let first = *first.get_or_insert_with(|| part.date.unwrap_or_else(|| self.client.now()));
            self.unread(part.unread);
            let blank = differ::blank(&self.options.repo, number);
            let news = part.mutation != blank;
            let last = part.next.is_none();
            if last {
                let date = first.checked_sub(self.options.lag).unwrap_or(Timestamp::MIN);
                let whole = instant(date) > issue.updated;
                // Of an issue whose time is yet to come nothing can be said to be whole: there is no use in writing it each time.
                if whole || news {
                    status(detail, date, &mut part.mutation);
                }
                if !whole {
                    let again = self.again(date, issue.updated).map(|left| Instant::now() + left);
                    self.visited.insert((detail, number), Visit { updated: issue.updated, again });
                }
            }
            if part.mutation != blank {
                self.batch.issue(&*self.sink, Some(part.mutation)).await?;
            }
            cursor = part.next;
            if last {
                return Ok(());
            }
        }
        Err(Error::Github(Why::Malformed {
            path: format!("{} {number}", self.options.repo),
            message: format!("it has more than {MOST_PAGES} pages of {detail:?}"),
        }))
    }

    /// Looks again when the issue's time is past, if that is soon.
    fn again(&mut self, date: Timestamp, updated: Time) -> Option<Duration> {
        let left = updated.seconds().unwrap_or(0).saturating_sub(date.as_second());
        let left = Duration::from_secs(u64::try_from(left).unwrap_or(0) + 1);
        if left > self.options.lag * 2 + Duration::from_secs(5) {
            return None;
        }
        let left = left.max(Duration::from_secs(1));
        self.round.again = Some(self.round.again.map_or(left, |known| known.min(left)));
        Some(left)
    }
}

/// A page of what belongs to an issue.
async fn part(
    client: &Client,
    repo: &Repo,
    corpus: &Corpus,
    detail: Detail,
    (at, issue): (Number, &Issue),
    cursor: Option<&Cursor>,
) -> Result<Part, Why> {
    let number = issue.number;
    let mut mutation = differ::blank(repo, number);
    let (next, date, unread) = match detail {
        Detail::Comments => {
            // All that changed before is known, whatever the times say that are known.
            let since =
                issue.comments_synced.seconds().and_then(|second| Timestamp::from_second(second).ok());
            let page = client.comments(repo, number, since, cursor).await?;
            mutation.comment =
                page.items.iter().filter_map(|comment| differ::comment(corpus, Some(at), comment)).collect();
            (page.next, page.date, page.unread)
        }
        Detail::Events => {
            let page = client.events(repo, number, cursor).await?;
            mutation.event =
                page.items.iter().filter_map(|event| differ::event(corpus, Some(at), event)).collect();
            (page.next, page.date, page.unread)
        }
        Detail::Reviews => {
            let page = client.reviews(repo, number, cursor).await?;
            mutation.review =
                page.items.iter().filter_map(|review| differ::review(corpus, Some(at), review)).collect();
            (page.next, page.date, page.unread)
        }
    };
    Ok(Part { mutation, next, date, unread })
}

fn status(detail: Detail, date: Timestamp, mutation: &mut pb::GithubIssueMutation) {
    let status = Some(pb::GithubIssueSyncStatus { server_date: Some(stamp(date)) });
    match detail {
        Detail::Comments => mutation.comment_status = status,
        Detail::Events => mutation.event_status = status,
        Detail::Reviews => mutation.review_status = status,
    }
}
