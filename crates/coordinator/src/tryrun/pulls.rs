//! Pull requests on GitHub that somebody asks to have tried.
//!
//! What was said is read from the corpus, and what the heads are from GitHub itself: the corpus does not have them. A word is for one
//! commit, and which one that is is written down ([`said::choose`]), so that a server that begins anew knows it as well.

pub(crate) mod reader;
mod said;
mod teams;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use buildenv::{Config, Project};
use maintner::corpus::Corpus;
use store::pulls::{AskRow, HeadRow};
use store::try_runs::TryRunRow;
use store::{Conn, StoreError, Tx, pulls};
use tokio::sync::{Notify, mpsc, watch};

use super::asked::{Asked, Review, Seen};
use super::{Press, PullRequests};
use reader::{Head, Heeded, Read, Reader, Reads};
use said::{Known, key};

/// How the reviews of the forge are named here.
pub(crate) const HOST: &str = "github.com/";
/// What asks for what a merge queue has made.
const QUEUE: &str = "queue";
/// How it is written down that a comment is deleted.
const GONE: &str = "gone";
/// Presses of the button that are kept for one commit.
const PRESSES: usize = 20;

/// `OWNER/REPO` of a review that is a pull request.
pub(crate) fn repo_of(review: &Review) -> Option<&str> {
    review.project.strip_prefix(HOST)
}

/// Whether it is of a merge queue, and so no change of its own.
pub(super) fn is_queue(asked: &Asked) -> bool {
    repo_of(&asked.review).is_some() && asked.change_id.starts_with(QUEUE)
}

fn review(repo: &str, number: i32) -> Review {
    Review { project: format!("{HOST}{repo}"), number }
}

/// What is to be written down.
#[derive(Debug, Default)]
pub(crate) struct News {
    heads: Vec<HeadRow>,
    asks: Vec<AskRow>,
    closed: Vec<String>,
}

impl News {
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.asks.is_empty() && self.closed.is_empty()
    }

    /// Writes it down.
    pub async fn write(&self, tx: &mut Tx) -> Result<(), StoreError> {
        for head in &self.heads {
            pulls::put_head(tx, head).await?;
        }
        for ask in &self.asks {
            pulls::put_ask(tx, ask).await?;
        }
        for review in &self.closed {
            pulls::forget(tx, review).await?;
        }
        Ok(())
    }
}

/// What is known of a pull request, as it is written down.
#[derive(Debug, Default)]
struct Kept {
    commit: String,
    since: i64,
    /// Of which commit comments were.
    bound: BTreeMap<String, String>,
    /// When somebody pressed the button, and for which commit.
    again: BTreeMap<String, String>,
    /// Comments that were deleted.
    gone: BTreeSet<i64>,
}

/// Looks for what is asked.
pub(crate) struct Pulls {
    reads: watch::Receiver<Reads>,
    wanted: Arc<Notify>,
    /// Comments by which something is asked for: it is looked whether they are still there.
    heeded: watch::Sender<Heeded>,
    presses: mpsc::Receiver<Press>,
    /// By review; nothing as long as it was not read.
    kept: Option<HashMap<String, Kept>>,
}

impl Pulls {
    /// By what a client is answered: the reader, which is to be run, asks.
    pub fn by(parts: PullRequests, config: watch::Receiver<Arc<Config>>) -> (Pulls, Reader) {
        let PullRequests { client, presses } = parts;
        let (to, reads) = watch::channel(Reads::new());
        let (heeded, heeds) = watch::channel(Heeded::new());
        let wanted = Arc::new(Notify::new());
        let reader = Reader::new(client, config, to, Arc::clone(&wanted), heeds);
        (Pulls { reads, wanted, heeded, presses, kept: None }, reader)
    }

    /// Reads what is written down, if that was not done.
    pub async fn recall(&mut self, on: &mut impl Conn) -> Result<(), StoreError> {
        if self.kept.is_some() {
            return Ok(());
        }
        let mut kept: HashMap<String, Kept> = HashMap::new();
        for row in pulls::heads(on).await? {
            kept.insert(row.review, Kept { commit: row.commit, since: row.since, ..Kept::default() });
        }
        for row in pulls::asks(on).await? {
            kept.entry(row.review.clone()).or_default().take(row);
        }
        self.kept = Some(kept);
        Ok(())
    }

    /// Adds what is asked for, and says what is to be written down before anything is done about it.
    pub fn look(&mut self, corpus: &Corpus, config: &Config, seen: &mut Seen) -> News {
        let reads = self.reads.borrow_and_update().clone();
        let (mut news, mut waits) = (News::default(), false);
        let mut heeded = Heeded::new();
        let empty = HashMap::new();
        let kept = self.kept.as_ref().unwrap_or(&empty);
        for repo in config.repos() {
            let Some(name) = &repo.pulls else { continue };
            let unread = config.project(repo.name.as_str()).is_some_and(|own| *own == Project::default());
            let (owner, short) = name.split_once('/').unwrap_or((name, ""));
            let known = corpus.github.repo(owner.as_bytes(), short.as_bytes());
            let (Some(read), Some(known), false) = (reads.get(name), known, unread) else {
                seen.blind.insert(repo.name.to_string());
                continue;
            };
            for (number, head) in &read.pulls {
                let review = review(name, *number);
                let row = kept.get(&review.to_string());
                let Some(row) = row.filter(|row| row.commit == head.commit) else {
                    let (review, commit) = (review.to_string(), head.commit.clone());
                    news.heads.push(HeadRow { review, commit, since: read.date });
                    continue;
                };
                let Some(issue) = corpus.github.issue(known, *number) else { continue };
                let issue = corpus.github.issues().get(issue);
                if issue.not_exist.is() {
                    continue;
                }
                let mut said = said::said(corpus, issue, said::By { repo, members: &read.members });
                said.retain(|one| {
                    let Some(comment) = said::comment_of(&one.key) else { return true };
                    if row.gone.contains(&comment) {
                        return false;
                    }
                    heeded.entry(name.clone()).or_default().insert(comment);
                    let there = !read.gone.contains(&comment);
                    if !there {
                        news.asks.push(gone(&review, comment, one));
                    }
                    there
                });
                let again = row.again.iter().rev().find(|(_, commit)| **commit == head.commit);
                let again = again.map(|(key, _)| key.as_str());
                let facts = Known { since: row.since, seen: read.date, bound: &row.bound, again };
                let chosen = said::choose(head, &said, facts);
                waits |= chosen.waits;
                if !chosen.binds.is_empty() {
                    let bind = |(ask, asked_by)| AskRow {
                        review: review.to_string(),
                        ask,
                        commit: head.commit.clone(),
                        kind: "said".to_owned(),
                        asked_by,
                    };
                    news.asks.extend(chosen.binds.into_iter().map(bind));
                }
                if let Some((ask, by, terms)) = chosen.asks {
                    seen.asked.push(asked(review, repo.name.as_str(), head, ask, by, terms));
                }
            }
            seen.asked.extend(read.groups.iter().map(|group| {
                let head = Head {
                    commit: group.commit.clone(),
                    branch: group.branch.clone(),
                    title: format!("Merge queue of {}, up to #{}", group.branch, group.number),
                    fork: false,
                };
                let again = kept.get(&review(name, group.number).to_string()).and_then(|row| {
                    row.again.iter().rev().find(|(_, commit)| **commit == group.commit).map(|(key, _)| key)
                });
                let ask = again.map_or_else(|| QUEUE.to_owned(), |key| format!("{QUEUE} {key}"));
                let by = "the merge queue".to_owned();
                asked(review(name, group.number), repo.name.as_str(), &head, ask, by, None)
            }));
            let prefix = format!("{HOST}{name}#");
            let open = |review: &str| {
                let number = review.strip_prefix(&prefix).and_then(|number| number.parse().ok());
                number.is_none_or(|number: i32| read.pulls.contains_key(&number))
            };
            news.closed.extend(kept.keys().filter(|review| !open(review)).cloned());
        }
        seen.asked.sort_by(|one, other| (&one.commit, &one.review).cmp(&(&other.commit, &other.review)));
        if waits {
            self.wanted.notify_one();
        }
        self.heeded.send_if_modified(|before| {
            let differs = *before != heeded;
            *before = heeded;
            differs
        });
        news
    }

    /// Takes over what was written down.
    pub fn written(&mut self, news: News) {
        let kept = self.kept.get_or_insert_default();
        for head in news.heads {
            let row = kept.entry(head.review).or_default();
            (row.commit, row.since) = (head.commit, head.since);
        }
        for ask in news.asks {
            kept.entry(ask.review.clone()).or_default().take(ask);
        }
        for review in news.closed {
            kept.remove(&review);
        }
    }

    /// A button that was pressed since it was asked last.
    pub fn press(&mut self) -> Option<Press> {
        self.presses.try_recv().ok()
    }

    /// What is to be written down of a press, if it is of this run.
    pub fn pressed(&self, press: &Press, run: &TryRunRow, now: i64) -> News {
        let of_run = Review::parse(&run.review).is_some_and(|review| repo_of(&review) == Some(&*press.repo));
        let again = self.kept.as_ref().and_then(|kept| kept.get(&run.review)).map(|row| &row.again);
        let known = again.is_some_and(|again| again.keys().any(|key| key.ends_with(&press.id)));
        let count = again.map_or(0, |again| again.values().filter(|of| **of == run.commit).count());
        if !of_run || run.commit != press.commit || known || count >= PRESSES {
            return News::default();
        }
        // Later than what asked for that run, whatever our clock says.
        let before = run.change_id.split(' ').find_map(|word| word.parse::<i64>().ok());
        let at = now.max(before.map_or(0, |before| before.saturating_add(1)));
        let ask = AskRow {
            review: run.review.clone(),
            ask: key(at, &format!("button {}", press.id)),
            commit: run.commit.clone(),
            kind: "again".to_owned(),
            asked_by: press.by.chars().take(100).collect(),
        };
        News { asks: vec![ask], ..News::default() }
    }

    /// Why a commit is not asked for any more, in words.
    pub fn why_not(&self, review: &Review, commit: &str, ask: &str) -> String {
        if ask.starts_with(QUEUE) {
            return "the merge queue let go of this commit".to_owned();
        }
        let reads = self.reads.borrow();
        let read: Option<&Arc<Read>> = repo_of(review).and_then(|repo| reads.get(repo));
        match read.and_then(|read| read.pulls.get(&review.number)) {
            None => "the pull request is not open any more".to_owned(),
            Some(head) if head.commit != commit => {
                let now: String = head.commit.chars().take(12).collect();
                format!("the pull request was pushed to: its head is {now} now")
            }
            Some(_) => "what was said of this commit was taken back".to_owned(),
        }
    }
}

impl Kept {
    fn take(&mut self, row: AskRow) {
        match row.kind.as_str() {
            "again" => drop(self.again.insert(row.ask, row.commit)),
            GONE => self.gone.extend(row.ask.rsplit(' ').next().and_then(|id| id.parse::<i64>().ok())),
            _ => drop(self.bound.insert(row.ask, row.commit)),
        }
    }
}

/// That a comment is deleted: what was said in it is nobody's word any more, also for a server that begins anew.
fn gone(review: &Review, comment: i64, said: &said::Said) -> AskRow {
    AskRow {
        review: review.to_string(),
        ask: format!("{GONE} {comment}"),
        commit: String::new(),
        kind: GONE.to_owned(),
        asked_by: said.by.clone(),
    }
}

fn asked(review: Review, repo: &str, head: &Head, ask: String, by: String, terms: Option<String>) -> Asked {
    Asked {
        review,
        repo: repo.to_owned(),
        branch: head.branch.clone(),
        change_id: ask,
        patch_set: 0,
        commit: head.commit.clone(),
        title: head.title.clone(),
        asked_by: by,
        terms,
        subject: Default::default(),
    }
}
