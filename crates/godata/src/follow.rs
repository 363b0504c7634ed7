//! The corpus of a log that is fetched, and how it stays the newest.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;

use maintner::checkpoint::{self, Keeper, Start};
use maintner::corpus::{Corpus, Replay};
use maintner::live::Live;
use maintner::log::{Log, LogError};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::cache::{self, Held};
use crate::config::{Config, Mode, Updates as Follow};
use crate::error::GodataError;
use crate::sync::{Netsource, Round, blocking};

/// How often it is looked anew for a file that got another name.
const TRIES: u32 = 5;

/// A corpus that is kept up to date as long as this is there. See [`get`].
#[derive(Debug)]
pub struct Godata {
    live: Arc<Live>,
    state: watch::Receiver<State>,
    keeper: Arc<Keeper>,
    _follower: AbortOnDropHandle<()>,
    _checkpoints: AbortOnDropHandle<Infallible>,
}

/// How it stands with the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Why the corpus may be old; none while the server answers.
    pub trouble: Option<String>,
    /// Bytes of the log that the corpus is made of.
    pub bytes: u64,
    /// Segments of it.
    pub segments: u64,
    /// How often the log had been rewritten, and the corpus was made anew.
    pub rebuilt: u64,
}

/// Fetches a log, and makes a corpus of it.
///
/// It begins with what the cache has. Whoever drops what is returned ends the updates; versions that they hold stay.
///
/// # Errors
/// Where there is no corpus: the server can't be reached or says what it should not, the cache can't be used, the log is
/// broken. Afterwards nothing fails: [`Godata::state`] says what is wrong while it is tried again.
pub async fn get(config: Config) -> Result<Godata, GodataError> {
    let folder = config.cache.clone();
    blocking(move || cache::make(&folder)).await?;
    let mut source = Netsource::new(config.clone())?;
    let ((corpus, start), trouble) = first(&mut source, &config).await?;
    let live = Arc::new(Live::new(corpus));
    let keeper = Arc::new(Keeper::new(config.cache.join(checkpoint::NAME), &start));
    let (kept, versions) = (keeper.clone(), live.subscribe());
    let checkpoints = AbortOnDropHandle::new(tokio::spawn(async move { kept.run(versions).await }));
    let said = State { trouble, bytes: source.total(), segments: source.segments() as u64, rebuilt: 0 };
    let (state, watched) = watch::channel(said);
    let follows = config.updates == Follow::Follow && config.mode != Mode::Offline;
    let (view, checked) = (live.clone(), keeper.clone());
    let follower = async move {
        check(&checked, &view).await;
        if follows {
            follow(source, config, view, state).await;
        }
    };
    let follower = AbortOnDropHandle::new(tokio::spawn(follower));
    Ok(Godata { live, state: watched, keeper, _follower: follower, _checkpoints: checkpoints })
}

impl Godata {
    /// The newest version, which stays as it is.
    #[must_use]
    pub fn corpus(&self) -> Arc<Corpus> {
        self.live.corpus()
    }

    /// Says when there are newer ones.
    #[must_use]
    pub fn updates(&self) -> Updates {
        Updates(self.live.subscribe())
    }

    /// The versions, as a channel.
    #[must_use]
    pub fn versions(&self) -> watch::Receiver<Arc<Corpus>> {
        self.live.subscribe()
    }

    /// How it stands with the server; changes with it.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Why the last checkpoint that was due was not written, as on a disk that is full: the next start takes longer.
    #[must_use]
    pub fn checkpoint_trouble(&self) -> Option<String> {
        self.keeper.trouble()
    }
}

/// The versions of a corpus; who is slow sees the newest, and not each.
#[derive(Debug)]
pub struct Updates(watch::Receiver<Arc<Corpus>>);

impl Updates {
    /// Waits for a version that was not seen; none comes after [`Godata`] was dropped.
    pub async fn next(&mut self) -> Option<Arc<Corpus>> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}

/// Tries for a segment of which nothing comes, where a corpus can be had without it.
const QUICK: u32 = 2;

/// Has the first version, and says why it may be old.
async fn first(
    source: &mut Netsource,
    config: &Config,
) -> Result<((Corpus, Start), Option<String>), GodataError> {
    if config.mode == Mode::Offline {
        return Ok((offline(source, config).await?, None));
    }
    let asked =
        if config.mode == Mode::OnlineIfPossible { source.asked_once().await } else { source.index().await };
    let listed = match asked {
        Ok(listed) => listed.unwrap_or_default(),
        Err(why) if config.mode == Mode::OnlineIfPossible && why.is_away() => {
            tracing::warn!(index = config.index, "a log that was kept is served, which may be old: {why}");
            return Ok((offline(source, config).await?, Some(why.to_string())));
        }
        Err(why) => return Err(why),
    };
    // As it is before anything of another log may come beside it.
    let before = match config.mode {
        Mode::OnlineIfPossible => {
            let folder = config.cache.clone();
            blocking(move || Ok(kept(&folder).ok())).await?
        }
        _ => None,
    };
    let mut mended = false;
    loop {
        let tries = if before.is_some() { config.retry.segment.min(QUICK) } else { config.retry.segment };
        let round = match (source.round_of(listed.clone(), Log::default(), tries).await, &before) {
            (Err(why), Some((held, log))) if why.is_of_server() => {
                tracing::warn!(
                    index = config.index,
                    "a log that was kept is served, which may be old: {why}"
                );
                let loaded = load(log.clone(), config).await?;
                source.has(held.clone());
                return Ok((loaded, Some(why.to_string())));
            }
            (round, _) => round?,
        };
        let (held, log) = match round {
            Round::Same => (Vec::new(), Ok(Log::default())),
            Round::Grown(held, log) | Round::Split(held, log) => (held, log),
        };
        let loaded = match log {
            Ok(log) => load(log, config).await,
            Err(why) => Err(why.into()),
        };
        match loaded {
            Ok(loaded) => {
                source.has(held);
                return Ok((loaded, None));
            }
            // What was kept under a good name may have lost its bytes, as to a fall of power.
            Err(why) => {
                if mended || !source.mend(&held).await? {
                    return Err(why);
                }
                mended = true;
                tracing::warn!("segments that were kept are not what they were and are fetched again: {why}");
            }
        }
    }
}

async fn offline(source: &mut Netsource, config: &Config) -> Result<(Corpus, Start), GodataError> {
    let folder = config.cache.clone();
    let (held, log) = blocking(move || kept(&folder)).await?;
    let loaded = load(log, config).await?;
    source.has(held);
    Ok(loaded)
}

/// What is kept, mapped. It needs no lock, which a cache that is only to be read can't have.
fn kept(folder: &Path) -> Result<(Vec<Held>, Log), GodataError> {
    for tries_left in (0..TRIES).rev() {
        let held = cache::offline(folder)?;
        if held.is_empty() {
            break;
        }
        match Netsource::log(&Log::default(), &held) {
            // Another process has sealed it, which gives it another name.
            Err(LogError::Io { why, .. }) if tries_left > 0 && why.kind() == io::ErrorKind::NotFound => {}
            log => return Ok((held, log?)),
        }
    }
    Err(GodataError::NothingKept { path: folder.to_path_buf() })
}

async fn load(log: Log, config: &Config) -> Result<(Corpus, Start), GodataError> {
    let (rules, kept) = (config.rules, config.cache.join(checkpoint::NAME));
    blocking(move || Ok(Corpus::start(&log, rules, &kept)?)).await
}

/// Has the checkpoint checked that was started from; makes the corpus anew where it was spoilt.
async fn check(keeper: &Keeper, live: &Live) {
    let Err(why) = keeper.verify().await else { return };
    tracing::error!("{}: {why}; the corpus is made anew of the whole log", keeper.path().display());
    let corpus = live.corpus();
    let anew =
        blocking(move || Ok(Corpus::load(corpus.log.clone(), corpus.gerrit.rules(), Replay::Parallel)?));
    match anew.await {
        Ok(corpus) => {
            live.replace(corpus);
            keeper.replayed().await;
        }
        Err(why) => tracing::error!("the corpus can't be made anew: {why}"),
    }
}

/// Brings in what is new for as long as it is let.
async fn follow(mut source: Netsource, config: Config, live: Arc<Live>, state: watch::Sender<State>) {
    let mut failed = 0;
    loop {
        let asked = tokio::time::Instant::now();
        // A server that was away may have come back with another log of the same size, at which it would wait.
        let index = if failed > 0 { source.asked_once().await } else { source.changed().await };
        let came = match index {
            Ok(Some(listed)) => step(&mut source, listed, &live, &config).await,
            Ok(None) => Ok(Step::Nothing),
            Err(why) => Err(why),
        };
        match came {
            Ok(step) => {
                failed = 0;
                state.send_if_modified(|state| {
                    let mut next = state.clone();
                    next.trouble = None;
                    (next.bytes, next.segments) = (source.total(), source.segments() as u64);
                    next.rebuilt += u64::from(step == Step::Rebuilt);
                    let differs = next != *state;
                    *state = next;
                    differs
                });
                // Not one that waits: it says at once that nothing changed.
                if step == Step::Nothing {
                    tokio::time::sleep_until(asked + config.waits.apart).await;
                }
            }
            Err(why) => {
                failed += 1;
                tracing::warn!(index = config.index, "the corpus is not kept up to date: {why}");
                state.send_modify(|state| state.trouble = Some(why.to_string()));
                tokio::time::sleep(config.retry.pause(failed)).await;
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    Grown,
    Rebuilt,
}

async fn step(
    source: &mut Netsource,
    listed: Vec<crate::index::Listed>,
    live: &Arc<Live>,
    config: &Config,
) -> Result<Step, GodataError> {
    match source.round(listed, live.corpus().log.clone()).await? {
        Round::Same => Ok(Step::Nothing),
        Round::Grown(held, log) => {
            let (live, log) = (live.clone(), log?);
            blocking(move || Ok(live.advance(log).map(drop)?)).await?;
            source.has(held);
            Ok(Step::Grown)
        }
        // The view there is stays until all of the other log is read.
        Round::Split(held, log) => {
            tracing::warn!("the server's log was rewritten; the corpus is made anew");
            let (corpus, _) = load(log?, config).await?;
            live.replace(corpus);
            source.has(held);
            Ok(Step::Rebuilt)
        }
    }
}
