//! The last mutations, for people.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use maintner::corpus::Corpus;
use maintner::mutation::{self, Issue, Mutation, bytes};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

/// How many are kept.
const KEPT: usize = 50;
/// Bytes of a name that are shown.
const SHOWN: usize = 200;

/// A mutation, in some words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MaintnerMutation")]
pub struct Seen {
    /// When it came; none of what was there before this process began.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Where its bytes begin in the log.
    pub position: u64,
    /// What it is of, such as `golang/go#1`.
    pub of: String,
    /// What it brings.
    pub what: String,
}

/// The newest first. Copies share them.
#[derive(Debug, Clone, Default)]
pub struct Recent(Arc<Mutex<VecDeque<Seen>>>);

impl Recent {
    /// All that are kept, the newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Notes those of a corpus behind a position, which are new, or were there before.
    pub fn note(&self, corpus: &Corpus, from: u64, at: Option<Timestamp>) {
        for file in corpus.log.files() {
            if file.base() + file.bytes().len() as u64 <= from {
                continue;
            }
            let start = usize::try_from(from.saturating_sub(file.base())).unwrap_or(usize::MAX);
            let noted = file.records_from(start, |source| {
                let (of, what) = said(source.bytes);
                let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_front(Seen { at, position: source.position, of, what });
                kept.truncate(KEPT);
                Ok(())
            });
            if let Err(why) = noted {
                tracing::debug!("mutations can't be shown: {why}");
            }
        }
    }

    /// Notes those of each new version, as long as there are any.
    pub async fn follow(self, mut versions: watch::Receiver<Arc<Corpus>>) {
        let first = versions.borrow_and_update().clone();
        let last = first.log.files().last().map_or(0, |file| file.base());
        self.note(&first, last, None);
        let mut known = first.log.len();
        drop(first);
        while versions.changed().await.is_ok() {
            let corpus = versions.borrow_and_update().clone();
            // Of a log that was rewritten, what is behind what was known is as good as any.
            self.note(&corpus, known.min(corpus.log.len()), Some(Timestamp::now()));
            known = corpus.log.len();
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}

/// What a record is of, and what it brings.
fn said(payload: &[u8]) -> (String, String) {
    let Ok(given) = Mutation::of(payload) else { return (String::new(), "what nobody can read".into()) };
    if let Some(Ok(issue)) = given.github_issue.map(Issue::of) {
        let of = format!("{}/{}#{}", text(issue.owner), text(issue.repo), issue.number);
        let count = |number: u32| bytes(issue.bytes, number).count();
        let mut what = Vec::new();
        for (number, name) in
            [(Issue::COMMENTS, "comments"), (Issue::EVENTS, "events"), (Issue::REVIEWS, "reviews")]
        {
            if issue.has(number) {
                what.push(format!("{name}: {}", count(number)));
            }
        }
        if issue.not_exist {
            what.push("it is gone".into());
        }
        return (of, if what.is_empty() { "the issue".into() } else { what.join(", ") });
    }
    if let Some(message) = given.gerrit {
        let name = bytes(message, 1).next().and_then(Result::ok).unwrap_or_default();
        let (commits, refs) = (bytes(message, 2).count(), bytes(message, 3).count());
        return (text(name), format!("commits: {commits}, refs: {refs}"));
    }
    if let Some(message) = given.github {
        let name = |number| bytes(message, number).next().and_then(Result::ok).map(text).unwrap_or_default();
        return (format!("{}/{}", name(1), name(2)), "labels and milestones".into());
    }
    if let Some(message) = given.git {
        let commit = bytes(message, 2).next().and_then(Result::ok);
        let commit =
            commit.and_then(|commit| <mutation::GitCommit<'_> as mutation::Message<'_>>::of(commit).ok());
        return (commit.map(|commit| text(commit.sha1)).unwrap_or_default(), "a commit".into());
    }
    (String::new(), "nothing that is known here".into())
}
