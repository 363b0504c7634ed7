//! One round: the index, then the segments that are not here. Source: spec/maintner.md §2.5.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use maintner::log::{Log, LogError};

use crate::cache::{self, Held, Lock};
use crate::config::{Config, Kept, Progress};
use crate::error::GodataError;
use crate::fetch::{Fetcher, Piece, Pieces, answer};
use crate::index::{self, Listed, Sum};
use crate::partial::Partial;
use crate::prefix::{self, Side};

/// Bytes that are written at once.
const BLOCK: usize = 1 << 20;

/// A server's log as it comes into a cache.
pub(crate) struct Netsource {
    config: Config,
    fetcher: Fetcher,
    /// What the corpus was made of.
    had: Vec<Held>,
    partial: Option<Partial>,
    /// Of the file that the last segment is fetched into: a length at which its digest was as the index said. Only appended
    /// to since, it begins so still.
    mark: Option<(u32, u64, Sum)>,
}

/// What a round brought. The files are mapped while the cache is locked: another process may give them other names later.
pub(crate) enum Round {
    /// What was known.
    Same,
    /// All that was known, and more.
    Grown(Vec<Held>, Result<Log, LogError>),
    /// Another log.
    Split(Vec<Held>, Result<Log, LogError>),
}

impl Netsource {
    pub(crate) fn new(config: Config) -> Result<Self, GodataError> {
        let fetcher = Fetcher::new(&config)?;
        Ok(Self { config, fetcher, had: Vec::new(), partial: None, mark: None })
    }

    /// Bytes of the log that the corpus was made of.
    pub(crate) fn total(&self) -> u64 {
        self.had.iter().map(|held| held.listed.size).sum()
    }

    /// The number of segments of it.
    pub(crate) fn segments(&self) -> usize {
        self.had.len()
    }

    /// Notes what the corpus was made of.
    pub(crate) fn has(&mut self, held: Vec<Held>) {
        self.had = held;
    }

    /// Asks for the index until it comes or it is clear that it does not.
    pub(crate) async fn index(&self) -> Result<Option<Vec<Listed>>, GodataError> {
        let mut failed = 0;
        loop {
            match self.asked_once().await {
                Err(why) if why.is_transient() && failed + 1 < self.config.retry.index => {
                    failed += 1;
                    tokio::time::sleep(self.config.retry.pause(failed)).await;
                }
                other => return other,
            }
        }
    }

    /// Asks for the index once, as it is now: a server of nothing would have us wait for what may never come, and nothing is a
    /// log as well.
    pub(crate) async fn asked_once(&self) -> Result<Option<Vec<Listed>>, GodataError> {
        self.fetcher.index(None).await
    }

    /// Asks for the index once, which the server answers when it has changed.
    pub(crate) async fn changed(&self) -> Result<Option<Vec<Listed>>, GodataError> {
        self.fetcher.index(Some(self.total())).await
    }

    /// Brings in the segments of an index, which go on from a log unless they are of another one.
    pub(crate) async fn round(&mut self, listed: Vec<Listed>, before: Log) -> Result<Round, GodataError> {
        let tries = self.config.retry.segment;
        self.round_of(listed, before, tries).await
    }

    /// As [`round`](Self::round), with that many tries for a segment of which nothing comes.
    pub(crate) async fn round_of(
        &mut self,
        listed: Vec<Listed>,
        before: Log,
        tries: u32,
    ) -> Result<Round, GodataError> {
        let same = |held: &Held, listed: &Listed| {
            (held.listed.number, held.listed.size, held.listed.sum)
                == (listed.number, listed.size, listed.sum)
        };
        if listed.len() == self.had.len()
            && self.had.iter().zip(&listed).all(|(held, listed)| same(held, listed))
        {
            return Ok(Round::Same);
        }
        let lock = Lock::take(&self.config.cache, self.config.waits.lock).await?;
        let mut progress = Progress {
            of_segments: u32::try_from(listed.len()).unwrap_or(u32::MAX),
            of_bytes: index::total(&listed),
            ..Progress::default()
        };
        let mut held = Vec::with_capacity(listed.len());
        for listed in listed {
            let before = progress.bytes;
            // What the corpus has mapped already need not be looked for.
            let known = self.had.get(held.len()).filter(|known| {
                let there = || cache::length(&known.path) == Some(listed.size);
                same(known, &listed) && known.listed.is_sealed() && listed.is_sealed() && there()
            });
            let path = match known {
                Some(known) => known.path.clone(),
                None => self.segment(&listed, &mut progress, tries).await?,
            };
            progress.bytes = before + listed.size;
            progress.segments += 1;
            self.say(progress);
            held.push(Held { listed, path });
        }
        let common = self.common(&held).await?;
        let last = held.last().filter(|last| self.partial.as_ref().is_some_and(|one| one.path == last.path));
        self.mark = last.map(|last| (last.listed.number, last.listed.size, last.listed.sum));
        let split = common != self.total();
        if split || self.had.is_empty() {
            let (folder, held) = (self.config.cache.clone(), held.clone());
            blocking(move || cache::clean(&folder, &held, split)).await?;
        }
        let (held, log) = blocking(move || {
            let before = if split { Log::default() } else { before };
            let log = Self::log(&before, &held);
            Ok((held, log))
        })
        .await?;
        drop(lock);
        Ok(if split { Round::Split(held, log) } else { Round::Grown(held, log) })
    }

    fn say(&self, progress: Progress) {
        if let Some(told) = &self.config.progress {
            told(progress);
        }
    }

    /// How much of what the corpus was made of is still so.
    async fn common(&self, have: &[Held]) -> Result<u64, GodataError> {
        let lists = |held: &[Held]| held.iter().map(|held| held.listed.clone()).collect::<Vec<_>>();
        let (old, new) = (lists(&self.had), lists(have));
        let paths = |held: &[Held]| held.iter().map(|held| held.path.clone()).collect::<Vec<_>>();
        let (old_paths, new_paths) = (paths(&self.had), paths(have));
        let mark = self.mark;
        blocking(move || {
            prefix::common(&old, &new, |side, larger, size| {
                if let (Side::New, Some((number, known, sum))) = (side, mark)
                    && (number, known) == (larger.number, size)
                {
                    return Ok(sum);
                }
                let paths = if side == Side::New { &new_paths } else { &old_paths };
                let path = &paths[larger.number as usize];
                // What can't be read any more is not what it was: whoever had it begins anew.
                Ok(cache::sum(path, size).unwrap_or_default())
            })
        })
        .await
    }

    /// Has a segment in a file, and says in which.
    async fn segment(
        &mut self,
        listed: &Listed,
        progress: &mut Progress,
        tries: u32,
    ) -> Result<PathBuf, GodataError> {
        if let Some(path) = self.kept(listed).await? {
            return Ok(path);
        }
        let path = self.config.cache.join(listed.sealed_name());
        let mut partial = self.opened(listed.number).await?;
        let (mut failed, mut restarted) = (0, false);
        let before = progress.bytes;
        let url = || self.fetcher.index_url();
        let partial = loop {
            if partial.length >= listed.size {
                let sum;
                (partial, sum) = with(partial, {
                    let size = listed.size;
                    move |one| one.sum_of(size)
                })
                .await?;
                if sum == listed.sum {
                    break partial;
                }
                if restarted {
                    let (have, want) = (hex::encode(sum), hex::encode(listed.sum));
                    return Err(GodataError::Corrupt { url: url(), number: listed.number, have, want });
                }
                restarted = true;
                self.mark = None;
                partial = self.fresh(listed.number).await?;
                continue;
            }
            if partial.length == 0 {
                restarted = true;
            }
            let from = partial.length;
            let outcome = match self.fetcher.segment(listed, from).await {
                Ok(Piece::Rest(pieces)) => Fetch::Pieces(pieces),
                Ok(Piece::Whole(pieces)) if from == 0 => Fetch::Pieces(pieces),
                Ok(Piece::Whole(pieces)) => {
                    self.mark = None;
                    partial = self.fresh(listed.number).await?;
                    Fetch::Pieces(pieces)
                }
                Ok(Piece::Shorter) if from == 0 || restarted => {
                    let what = format!("segment {:04} has less than {} bytes", listed.number, listed.size);
                    Fetch::Failed(answer(&url(), what, true))
                }
                Ok(Piece::Shorter) => {
                    (self.mark, restarted) = (None, true);
                    partial = self.fresh(listed.number).await?;
                    continue;
                }
                Err(why) => Fetch::Failed(why),
            };
            let why = match outcome {
                Fetch::Failed(why) => Some(why),
                Fetch::Pieces(pieces) => {
                    let say = |bytes| self.say(Progress { bytes: before + bytes, ..*progress });
                    let why;
                    (partial, why) = fill(partial, pieces, listed, say).await?;
                    why
                }
            };
            let Some(why) = why else { continue };
            // What brings something is no failure, and a log of many gigabytes may need many connections.
            failed = if partial.length > from { 1 } else { failed + 1 };
            if !why.is_transient() || failed >= tries {
                return Err(why);
            }
            tracing::debug!(
                number = listed.number,
                have = partial.length,
                "a segment is asked for again: {why}"
            );
            tokio::time::sleep(self.config.retry.pause(failed)).await;
        };
        if !listed.is_sealed() {
            let path = partial.path.clone();
            self.partial = Some(partial);
            return Ok(path);
        }
        let (to, size) = (path.clone(), listed.size);
        blocking(move || partial.seal(&to, size)).await?;
        Ok(path)
    }

    /// The sealed file that a segment is in, or in which it is the beginning, since another process is farther than our index.
    async fn kept(&self, listed: &Listed) -> Result<Option<PathBuf>, GodataError> {
        let path = self.config.cache.join(listed.sealed_name());
        if cache::length(&path) == Some(listed.size) {
            if self.config.kept == Kept::Believed {
                return Ok(Some(path));
            }
            let (at, size) = (path.clone(), listed.size);
            if blocking(move || cache::sum(&at, size).map_err(|why| cache::failed(&at, why))).await?
                == listed.sum
            {
                return Ok(Some(path));
            }
        }
        if listed.is_sealed() {
            return Ok(None);
        }
        let (folder, listed) = (self.config.cache.clone(), listed.clone());
        blocking(move || {
            let of_number = cache::sealed(&folder)?.remove(&listed.number).unwrap_or_default();
            let begins = |path: &PathBuf| {
                cache::length(path).is_some_and(|length| length >= listed.size)
                    && cache::sum(path, listed.size).is_ok_and(|sum| sum == listed.sum)
            };
            Ok(of_number.into_iter().map(|(_, path)| path).find(begins))
        })
        .await
    }

    async fn opened(&mut self, number: u32) -> Result<Partial, GodataError> {
        if let Some(known) = self.partial.take_if(|one| one.number == number) {
            let (known, fits) = with(known, Partial::refresh).await?;
            if fits {
                return Ok(known);
            }
        }
        if self.mark.is_some_and(|(marked, ..)| marked == number) {
            self.mark = None;
        }
        let folder = self.config.cache.clone();
        blocking(move || Partial::open(&folder, number)).await
    }

    async fn fresh(&self, number: u32) -> Result<Partial, GodataError> {
        let folder = self.config.cache.clone();
        blocking(move || Partial::fresh(&folder, number)).await
    }

    /// Has the log of what is held, as it goes on from what is mapped already.
    pub(crate) fn log(before: &Log, held: &[Held]) -> Result<Log, LogError> {
        let paths: Vec<_> = held.iter().map(|held| (held.path.clone(), held.listed.size)).collect();
        before.grown_of(&paths, held.iter().map(|held| held.listed.size).sum())
    }

    /// Removes sealed files that have not the bytes their names say; false where there was none.
    pub(crate) async fn mend(&mut self, held: &[Held]) -> Result<bool, GodataError> {
        let _lock = Lock::take(&self.config.cache, self.config.waits.lock).await?;
        self.partial = None;
        let held = Arc::new(held.to_vec());
        blocking(move || {
            let mut mended = false;
            for Held { listed, path } in held.iter() {
                if cache::sum(path, listed.size).ok() != Some(listed.sum) {
                    match std::fs::remove_file(path) {
                        // Another process has mended it, or given it its name.
                        Err(why) if why.kind() != io::ErrorKind::NotFound => {
                            return Err(cache::failed(path, why));
                        }
                        _ => mended = true,
                    }
                }
            }
            Ok(mended)
        })
        .await
    }
}

enum Fetch {
    Pieces(Pieces),
    Failed(GodataError),
}

/// Appends what comes to a file, and says why it is not all there is, where it is not.
async fn fill(
    mut partial: Partial,
    mut pieces: Pieces,
    listed: &Listed,
    say: impl Fn(u64),
) -> Result<(Partial, Option<GodataError>), GodataError> {
    let mut block = BytesMut::new();
    let (mut have, mut why) = (partial.length, None);
    loop {
        let more = match pieces.next().await {
            Ok(Some(piece)) if have + piece.len() as u64 <= listed.size => {
                have += piece.len() as u64;
                block.extend_from_slice(&piece);
                true
            }
            Ok(Some(_)) => {
                let what = format!("more came than the {} bytes that were asked for", listed.size);
                why = Some(answer(&pieces.url, what, true));
                false
            }
            Ok(None) => {
                if have < listed.size {
                    let what = format!("the answer ended after {have} bytes of {}", listed.size);
                    why = Some(answer(&pieces.url, what, true));
                }
                false
            }
            Err(cut) => {
                why = Some(cut);
                false
            }
        };
        if block.len() >= BLOCK || !more && !block.is_empty() {
            let bytes = block.split().freeze();
            (partial, ()) = with(partial, move |one| one.append(&bytes)).await?;
            say(partial.length);
        }
        if !more {
            return Ok((partial, why));
        }
    }
}

/// Does something with a file where that keeps nobody waiting.
async fn with<T: Send + 'static>(
    mut partial: Partial,
    what: impl FnOnce(&mut Partial) -> Result<T, GodataError> + Send + 'static,
) -> Result<(Partial, T), GodataError> {
    blocking(move || {
        let done = what(&mut partial)?;
        Ok((partial, done))
    })
    .await
}

/// Does what takes its time where that keeps nobody waiting.
pub(crate) async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, GodataError> + Send + 'static,
) -> Result<T, GodataError> {
    match tokio::task::spawn_blocking(what).await {
        Ok(done) => done,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // It is ended only with the runtime, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
