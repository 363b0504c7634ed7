//! Changes that wait to be tried. Source: spec/maintner.md §5.3, GoFindTryWork.
//!
//! Which ones do is asked of Gerrit, since the corpus can't tell it for certain; what to try them with is said by the corpus.

pub mod gerrit;
mod item;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use maintner::corpus::Corpus;
use maintpb::api::GoFindTryWorkResponse;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use transport::CallError;

pub use self::item::{Comment, Posted, Waiting};
use super::releases::{TooFew, supported};
use super::{Home, View};

/// So long an answer stands, even where votes may have changed since.
const STANDS: Duration = Duration::from_secs(15);
/// How long all questions to Gerrit may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Why it can't be said.
#[derive(Debug, Clone, Error)]
pub enum TryWorkError {
    /// Gerrit could not be asked.
    #[error("Gerrit: {0}")]
    Call(Arc<CallError>),
    /// Gerrit took too long.
    #[error("Gerrit did not answer within {} s", LIMIT.as_secs())]
    Late,
    /// The question ended before it was answered.
    #[error("the question to Gerrit broke off; ask again")]
    Ended,
    /// The main project is not in the corpus.
    #[error("there is no project {0} in the corpus")]
    NoHome(String),
    /// Its releases can't be told.
    #[error(transparent)]
    Releases(#[from] TooFew),
}

/// Who knows what waits.
#[async_trait]
pub trait Reviews: Send + Sync {
    /// Open changes that are to be tried and have no result.
    ///
    /// # Errors
    /// That it can't be asked.
    async fn waiting(&self) -> Result<Vec<Waiting>, CallError>;

    /// The comments on patch sets as a whole of a change.
    ///
    /// # Errors
    /// That it can't be asked.
    async fn comments(&self, project: &str, number: i32) -> Result<Vec<Comment>, CallError>;
}

type Found = Result<Arc<GoFindTryWorkResponse>, TryWorkError>;

/// Finds what waits, and asks Gerrit no oftener than is of use. Copies share what was found.
#[derive(Clone)]
pub struct TryWork {
    reviews: Arc<dyn Reviews>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    /// The last answer, and how many changes of votes had been seen then.
    last: Option<(Arc<GoFindTryWorkResponse>, u64)>,
    polled: Option<Instant>,
    /// What is being asked, for all who ask meanwhile.
    asking: Option<Shared<BoxFuture<'static, Found>>>,
}

impl TryWork {
    /// Asks these reviews.
    #[must_use]
    pub fn new(reviews: Arc<dyn Reviews>) -> Self {
        Self { reviews, kept: Arc::default() }
    }

    /// What waits, by the newest version.
    ///
    /// # Errors
    /// That Gerrit or the corpus can't tell; what was found before is kept.
    pub async fn find(&self, view: &View, home: &Home) -> Result<GoFindTryWorkResponse, TryWorkError> {
        let corpus = view();
        let votes = votes(&corpus, home);
        let asking = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let young = kept.polled.is_some_and(|polled| polled.elapsed() < STANDS);
            if let Some((last, seen)) = &kept.last
                && (*seen == votes || young)
            {
                return Ok(GoFindTryWorkResponse::clone(last));
            }
            match &kept.asking {
                Some(asking) => asking.clone(),
                None => {
                    kept.polled = Some(Instant::now());
                    let asks = Asks {
                        reviews: self.reviews.clone(),
                        kept: Cleared(Arc::downgrade(&self.kept)),
                        corpus,
                        home: home.clone(),
                        votes,
                    };
                    // A task of its own, which goes on when those who wait go away, and ends with the last who could ask.
                    let asking = async move { AbortOnDropHandle::new(tokio::spawn(asks.answer())).await };
                    let asking =
                        asking.map(|found| found.unwrap_or(Err(TryWorkError::Ended))).boxed().shared();
                    kept.asking = Some(asking.clone());
                    asking
                }
            }
        };
        asking.await.map(|found| GoFindTryWorkResponse::clone(&found))
    }
}

/// That something is being asked, until this is dropped, be it by a panic.
struct Cleared(Weak<Mutex<Kept>>);

impl Drop for Cleared {
    fn drop(&mut self) {
        let Some(kept) = self.0.upgrade() else { return };
        let asked = kept.lock().unwrap_or_else(PoisonError::into_inner).asking.take();
        // Not under the lock: what is dropped with it is not known here.
        drop(asked);
    }
}

/// One question. It does not keep alive those for whom it is.
struct Asks {
    reviews: Arc<dyn Reviews>,
    kept: Cleared,
    corpus: Arc<Corpus>,
    home: Home,
    votes: u64,
}

impl Asks {
    async fn answer(self) -> Found {
        let asked = tokio::time::timeout(LIMIT, self.asked(&self.corpus, &self.home)).await;
        let found = asked.unwrap_or(Err(TryWorkError::Late)).map(Arc::new);
        if let (Ok(found), Some(kept)) = (&found, self.kept.0.upgrade()) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.last = Some((found.clone(), self.votes));
        }
        found
    }

    async fn asked(&self, corpus: &Corpus, home: &Home) -> Result<GoFindTryWorkResponse, TryWorkError> {
        let failed = |why| TryWorkError::Call(Arc::new(why));
        let waiting = self.reviews.waiting().await.map_err(failed)?;
        let main = home.main(corpus).ok_or_else(|| TryWorkError::NoHome(home.name()))?;
        let releases = supported(corpus, main)?;
        let mut items = Vec::new();
        for change in &waiting {
            let Some(known) = item::known(corpus, home, change) else {
                tracing::debug!(
                    project = change.project,
                    number = change.number,
                    "a change is not in the corpus"
                );
                continue;
            };
            let comments = self.reviews.comments(&change.project, change.number).await.map_err(failed)?;
            match item::item(corpus, home, change, known, &comments, &releases) {
                Some(item) => items.push(item),
                None => tracing::debug!(
                    project = change.project,
                    number = change.number,
                    "a change can't be tried"
                ),
            }
        }
        items.sort_by(|one, other| one.commit.cmp(&other.commit));
        Ok(GoFindTryWorkResponse { waiting: items })
    }
}

/// How many changes of votes were seen on the server; that it is another number says that there were some.
fn votes(corpus: &Corpus, home: &Home) -> u64 {
    let server = format!("{}/", home.server);
    let projects = corpus.gerrit.projects().iter();
    let of_server =
        projects.filter(|project| corpus.gerrit.name(project.name).starts_with(server.as_bytes()));
    of_server.map(|project| project.label_changes).sum()
}
