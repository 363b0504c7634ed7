//! What is new in a server's log, record by record, of which nothing is kept: for whoever looks on, and wants no corpus.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use maintner::log::LONGEST_RECORD;
use maintner::reclog::{Broken, Fault, Records};
use sha2::{Digest as _, Sha224};
use thiserror::Error;
use tokio::time::Instant;

use crate::config::{Config, Retry};
use crate::error::GodataError;
use crate::fetch::{Fetcher, Piece, answer};
use crate::index::{self, Listed, Sum};

/// Whole records are looked for when so many bytes have come.
const BLOCK: usize = 1 << 20;

/// Why a log can't be looked at any further.
#[derive(Debug, Error)]
pub enum TailError {
    /// The server can't be asked, or does not say what it should.
    #[error(transparent)]
    Server(#[from] GodataError),
    /// A record can't be read: the place where it was to begin is none at which one does, or the log was rewritten.
    #[error("{url}, segment {number:04}: {why}: no record begins there, or the log was rewritten")]
    Broken {
        /// The index.
        url: String,
        /// Which segment.
        number: u32,
        /// Where and what.
        why: Broken,
    },
    /// It was to begin behind the end.
    #[error("no record begins at byte {from} of the log, which has {total}")]
    From {
        /// Where it was to begin.
        from: u64,
        /// The log's length.
        total: u64,
    },
    /// There is less than was shown, or other bytes where some were shown: it is another log.
    #[error("the log has {total} bytes now that are not those of which {shown} were shown: it was rewritten")]
    Rewritten {
        /// The log's length.
        total: u64,
        /// How much was shown.
        shown: u64,
    },
    /// Whoever was shown a record could not take it.
    #[error("record at byte {at} of the log: {why}")]
    Visit {
        /// Where it begins.
        at: u64,
        /// Why.
        why: io::Error,
    },
}

impl TailError {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Server(why) if why.is_transient())
    }
}

/// How far a server's log was looked at. What is looked at is compared with the digests of the index, as soon as all of a segment is
/// here that is listed: records are shown before that. Since a digest is of a segment from its begin, what is before the place
/// at which one begins within a segment is fetched too, once. A log that was rewritten at the same length is found when it
/// grows.
pub struct Tail {
    fetcher: Fetcher,
    retry: Retry,
    /// How long apart two questions are at least to a server that does not wait.
    apart: Duration,
    position: Option<u64>,
    /// The index of which all was shown; none before the first.
    shown: Option<Vec<Listed>>,
    /// What came of the segment that was looked at last.
    seen: Seen,
}

/// The begin of a segment, as its digest.
#[derive(Default)]
struct Seen {
    number: u32,
    /// Bytes of it. They end where the position is, or before it.
    length: u64,
    hash: Sha224,
}

impl Seen {
    fn take(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.length += bytes.len() as u64;
    }

    fn sum(&self) -> Sum {
        self.hash.clone().finalize().into()
    }
}

impl Tail {
    /// Begins at a byte of the log, which has to be where a record begins; without one, behind all that is there when it is
    /// looked at first. Of the configuration the cache is not used.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(config: &Config, from: Option<u64>) -> Result<Self, GodataError> {
        let (retry, apart) = (config.retry, config.waits.apart);
        Ok(Self {
            fetcher: Fetcher::new(config)?,
            retry,
            apart,
            position: from,
            shown: None,
            seen: Seen::default(),
        })
    }

    /// Waits until there is more than was shown, and visits it: each record with its position in the log. The first time it does
    /// not wait, and it may have nothing to visit. A server that is away is asked again, the first time as often as for an index
    /// ([`Retry::index`]), and later for as long as it takes.
    ///
    /// # Errors
    /// What asking again does not mend. Records before it were visited.
    pub async fn next(
        &mut self,
        mut visit: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> Result<(), TailError> {
        let mut failed = 0;
        loop {
            let (asked, first, before) = (Instant::now(), self.shown.is_none(), self.position);
            let came = (self.seen.number, self.seen.length);
            match self.round(&mut visit).await {
                Ok(()) if first || self.position != before => return Ok(()),
                Ok(()) => {
                    failed = 0;
                    tokio::time::sleep_until(asked + self.apart).await;
                }
                Err(why) => {
                    // What breaks off and brings more each time comes to an end.
                    let stands = self.position == before && (self.seen.number, self.seen.length) == came;
                    failed = if stands { failed + 1 } else { 1 };
                    if !why.is_transient() || self.shown.is_none() && failed >= self.retry.index {
                        return Err(why);
                    }
                    tracing::warn!("the log is asked for again: {why}");
                    tokio::time::sleep(self.retry.pause(failed)).await;
                }
            }
        }
    }

    /// Asks once.
    async fn round(&mut self, visit: &mut impl FnMut(u64, &[u8]) -> io::Result<()>) -> Result<(), TailError> {
        let known = self.shown.as_deref().map(index::total);
        let Some(listed) = self.fetcher.index(known).await? else { return Ok(()) };
        let total = index::total(&listed);
        let position = *self.position.get_or_insert(total);
        match &self.shown {
            None if position > total => return Err(TailError::From { from: position, total }),
            Some(shown) if position > total || rewritten(shown, &listed) => {
                return Err(TailError::Rewritten { total, shown: position });
            }
            _ => {}
        }
        let mut base = 0;
        for one in &listed {
            let end = base + one.size;
            if self.position.is_some_and(|position| position < end) {
                self.segment(one, base, total, visit).await?;
            }
            base = end;
        }
        self.shown = Some(listed);
        Ok(())
    }

    /// Visits what is new in a segment.
    async fn segment(
        &mut self,
        listed: &Listed,
        base: u64,
        total: u64,
        visit: &mut impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> Result<(), TailError> {
        let url = self.fetcher.index_url();
        let begin = self.position.unwrap_or_default().saturating_sub(base);
        if self.seen.number != listed.number || self.seen.length > begin {
            self.seen = Seen { number: listed.number, ..Seen::default() };
        }
        let before =
            self.shown.as_ref().and_then(|shown| shown.last()).filter(|last| last.number == listed.number);
        let before = before.map(|before| (before.size, before.sum));
        let rewritten = |shown: u64| TailError::Rewritten { total, shown };
        let from = self.seen.length;
        let (mut pieces, mut skip) = match self.fetcher.segment(listed, from).await? {
            Piece::Rest(pieces) => (pieces, 0),
            Piece::Whole(pieces) => (pieces, from),
            Piece::Shorter => {
                let what = format!("segment {:04} has less than {} bytes", listed.number, listed.size);
                return Err(answer(&url, what, true).into());
            }
        };
        let mut block = BytesMut::new();
        loop {
            // What came before an answer broke off is taken.
            let (more, cut) = match pieces.next().await {
                Ok(more) => (more, None),
                Err(why) => (None, Some(why)),
            };
            let is_end = more.is_none();
            if let Some(mut piece) = more {
                let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
                piece.advance(skipped);
                skip -= skipped as u64;
                // What a server has that sends all of it, and did not list.
                let left = listed.size - self.seen.length - block.len() as u64;
                piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                // What is before the place, or was shown before a digest of it was wanted.
                let known = begin.saturating_sub(self.seen.length);
                if known > 0 {
                    let known = piece.split_to(usize::try_from(known).unwrap_or(usize::MAX).min(piece.len()));
                    self.seen.take(&known);
                    if before
                        .is_some_and(|before| before.0 == self.seen.length && before.1 != self.seen.sum())
                    {
                        return Err(rewritten(base + begin));
                    }
                }
                block.extend_from_slice(&piece);
            }
            if !is_end && block.len() < BLOCK {
                continue;
            }
            let (mut taken, from) = (0, self.seen.length);
            for record in Records::new(&block, from) {
                let record = match record {
                    Ok(record) => record,
                    // The rest is to come, be it by another answer.
                    Err(Broken { what: Fault::HeaderCut | Fault::Truncated { .. }, .. })
                        if from + (block.len() as u64) < listed.size
                            && block.len() - taken <= LONGEST_RECORD + BLOCK =>
                    {
                        break;
                    }
                    Err(why) => return Err(TailError::Broken { url, number: listed.number, why }),
                };
                let at = base + record.offset;
                visit(at, record.payload).map_err(|why| TailError::Visit { at, why })?;
                taken = usize::try_from(record.end() - from).unwrap_or(usize::MAX);
                self.position = Some(base + record.end());
            }
            self.seen.take(&block[..taken]);
            block.advance(taken);
            if let Some(why) = cut {
                return Err(why.into());
            }
            if is_end {
                let have = self.position.unwrap_or_default();
                if have < base + listed.size {
                    let what =
                        format!("the answer ended at byte {have} of the log, before {}", base + listed.size);
                    return Err(answer(&url, what, true).into());
                }
                let sum = self.seen.sum();
                return match before {
                    _ if sum == listed.sum => Ok(()),
                    Some(_) => Err(rewritten(have)),
                    None => {
                        let (have, want) = (hex::encode(sum), hex::encode(listed.sum));
                        Err(GodataError::Corrupt { url, number: listed.number, have, want }.into())
                    }
                };
            }
        }
    }
}

/// Whether a log is another one: each segment but the last was whole, and stays as it was; the last stays or grows.
fn rewritten(shown: &[Listed], listed: &[Listed]) -> bool {
    let same = |(before, now): (&Listed, &Listed)| (before.size, before.sum) == (now.size, now.sum);
    let whole = shown.split_last().map_or(&[][..], |(_, whole)| whole);
    let stays = |(before, now): (&Listed, &Listed)| now.size > before.size || same((before, now));
    let last = shown.last().zip(listed.get(whole.len()));
    listed.len() < shown.len() || !whole.iter().zip(listed).all(same) || !last.is_none_or(stays)
}
