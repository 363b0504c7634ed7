//! The log store: chunks in, bytes out.
//!
//! A chunk is compressed, put where it stays (its row if small, else an object), and then counted in by one guarded
//! transaction: the log's fence must still be the writer's, the chunk must be the next, and it must begin where the
//! log ends. So a chunk is there whole or not at all, each byte is there once, and a stale owner adds no row.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::StatusCode;
use store::log_chunks::{self, ChunkRow};
use store::logs::{self, Added, Gap, LogRow};
use store::{AttemptId, Micros, ObjectError, StoreError, Tx};

use super::Dashboard;
use super::refusal::{Answer, Refusal};
use crate::api::LogState;

/// Fast, and logs still shrink to a tenth.
const LEVEL: i32 = 1;
/// Rows that are read at a time, and of a short part of a log: a row may hold its chunk.
const BATCH: u32 = 32;
const SHORT_BATCH: u32 = 2;
/// Up to this length a part is short.
const SHORT: i64 = 64 << 10;
/// Chunks that are read ahead.
const AHEAD: usize = 4;

/// A chunk as it is sent.
pub(super) struct NewChunk {
    pub(super) attempt: AttemptId,
    pub(super) fence: i64,
    pub(super) n: i64,
    pub(super) first_byte: i64,
    pub(super) raw_end: i64,
    pub(super) bytes: Bytes,
}

/// Shows where a log stands.
pub(super) fn state(row: &LogRow) -> LogState {
    let number = |value: i64| u64::try_from(value).unwrap_or(0);
    LogState {
        next_n: number(row.next_n),
        bytes: number(row.bytes),
        lines: number(row.lines),
        raw_end: number(row.raw_end),
        finished: row.finished,
    }
}

fn count_lines(bytes: &[u8]) -> i64 {
    // Summed in bytes first, which the compiler makes wide.
    bytes.chunks(255).map(|part| i64::from(part.iter().map(|b| u8::from(*b == b'\n')).sum::<u8>())).sum()
}

/// Returns a log that exists.
pub(super) async fn existing(dashboard: &Dashboard, attempt: AttemptId) -> Answer<LogRow> {
    let row = logs::get(&mut dashboard.db().read().await?, attempt).await?;
    row.ok_or_else(|| unknown(attempt))
}

/// Refuses a log that is kept no more.
pub(super) fn kept(log: &LogRow) -> Answer<()> {
    match log.expired {
        None => Ok(()),
        Some(when) => Err(Refusal::gone("the log", when)),
    }
}

/// Says that an attempt has no log, or none for whoever asks.
pub(super) fn unknown(attempt: AttemptId) -> Refusal {
    Refusal::not_found(format!("log of attempt {attempt}"))
}

/// Takes a chunk in.
pub(super) async fn append(dashboard: &Dashboard, new: NewChunk) -> Answer<LogState> {
    let crc = crc32c::crc32c(&new.bytes);
    let log = existing(dashboard, new.attempt).await?;
    // The fence and the number are looked at again when the chunk is counted in. Here a writer that is late anyhow is
    // spared the object; and where a chunk of this number begins can't change while it is the next.
    if let Some(done) = settle(dashboard, &new, crc, &log).await? {
        return Ok(done);
    }
    let frame =
        zstd::bulk::compress(&new.bytes, LEVEL).map_err(|error| Refusal::internal(error.to_string()))?;
    let (inline, object) = if frame.len() <= dashboard.limits().inline {
        (Some(frame), None)
    } else {
        (None, Some(put_object(dashboard, &new, crc, frame).await?))
    };
    let added = Added { bytes: new.bytes.len() as i64, lines: count_lines(&new.bytes), raw_end: new.raw_end };
    let now = Micros::now();
    let mut tx = dashboard.db().begin().await?;
    match logs::append(&mut tx, new.attempt, new.fence, new.n, added, now).await {
        Ok(()) => {}
        Err(StoreError::Stale) => {
            let log = logs::get(&mut tx, new.attempt).await?.ok_or_else(Refusal::stale)?;
            drop(tx);
            return settle(dashboard, &new, crc, &log).await?.ok_or_else(Refusal::stale);
        }
        Err(error) => return Err(error.into()),
    }
    let log = logs::get(&mut tx, new.attempt).await?.ok_or_else(Refusal::stale)?;
    let chunk = ChunkRow {
        n: new.n,
        fence: new.fence,
        first_byte: new.first_byte,
        first_line: log.lines - added.lines,
        bytes: added.bytes,
        lines: added.lines,
        raw_end: new.raw_end,
        crc32c: i64::from(crc),
        time: now,
        inline,
        object,
    };
    log_chunks::insert(&mut tx, new.attempt, &chunk).await?;
    let dropped = trim(dashboard, &mut tx, &log).await?;
    tx.commit().await?;
    let _ = dashboard.news().send(new.attempt);
    for object in dropped {
        if let Err(error) = dashboard.objects().delete(&object).await {
            tracing::warn!(object, %error, "an object that nothing names any more stays");
        }
    }
    Ok(state(&log))
}

/// Says what becomes of a chunk that is not simply the next one; `None` if it is.
async fn settle(dashboard: &Dashboard, new: &NewChunk, crc: u32, log: &LogRow) -> Answer<Option<LogState>> {
    if log.fence != new.fence {
        return Err(Refusal::stale());
    }
    if new.n < log.next_n {
        let kept = log_chunks::get(&mut dashboard.db().read().await?, new.attempt, new.n).await?;
        let same = kept.is_some_and(|kept| {
            kept.crc32c == i64::from(crc)
                && kept.bytes == new.bytes.len() as i64
                && kept.first_byte == new.first_byte
                && kept.raw_end == new.raw_end
        });
        if same {
            return Ok(Some(state(log)));
        }
        return Err(Refusal::conflict("conflict", format!("chunk {} is there with other content", new.n)));
    }
    if log.finished {
        return Err(Refusal::conflict("finished", "the log is finished"));
    }
    if new.n > log.next_n || new.first_byte != log.bytes {
        return Err(gap(log));
    }
    if new.raw_end < log.raw_end {
        return Err(Refusal::bad(format!("raw_end goes back from {}", log.raw_end)));
    }
    Ok(None)
}

fn gap(log: &LogRow) -> Refusal {
    let message = format!("the log goes on with chunk {} at byte {}", log.next_n, log.bytes);
    Refusal::conflict("gap", message)
}

async fn put_object(dashboard: &Dashboard, new: &NewChunk, crc: u32, frame: Vec<u8>) -> Answer<String> {
    let path = format!("logs/{}/{}-{}.zst", new.attempt, new.fence, new.n);
    let frame = Bytes::from(frame);
    match dashboard.objects().put_new(&path, frame.clone()).await {
        Ok(()) => Ok(path),
        // The same writer sent this chunk before with other bounds, and it was never counted in.
        Err(ObjectError::Exists(_)) => {
            let path = format!("logs/{}/{}-{}-{crc:08x}.zst", new.attempt, new.fence, new.n);
            dashboard.objects().put_new(&path, frame).await?;
            Ok(path)
        }
        Err(error) => Err(error.into()),
    }
}

/// Lets the oldest chunks after the head go if the log is longer than head and tail, and returns their objects.
async fn trim(dashboard: &Dashboard, tx: &mut Tx, log: &LogRow) -> Answer<Vec<String>> {
    let limits = dashboard.limits();
    let (head, tail) = (limits.head as i64, limits.tail as i64);
    if log.bytes <= head.saturating_add(tail) {
        return Ok(Vec::new());
    }
    // The first chunk after what is left out, or after the head if nothing is yet.
    let after = if log.gap.is_empty() { head } else { log.gap.end };
    let Some(mut n) = log_chunks::at_byte(tx, log.attempt, after).await? else { return Ok(Vec::new()) };
    let mut gap = log.gap;
    let mut objects = Vec::new();
    while let Some(chunk) = log_chunks::get(tx, log.attempt, n).await? {
        n += 1;
        let end = chunk.first_byte + chunk.bytes;
        if chunk.first_byte < after || chunk.bytes == 0 {
            continue;
        }
        if log.bytes - end < tail {
            break;
        }
        if gap.is_empty() {
            gap.first = chunk.first_byte;
            gap.first_line = chunk.first_line;
        }
        gap.end = end;
        gap.end_line = chunk.first_line + chunk.lines;
        objects.extend(chunk.object);
        log_chunks::delete(tx, log.attempt, chunk.n).await?;
    }
    if gap != log.gap {
        logs::set_gap(tx, log.attempt, log.fence, gap).await?;
    }
    Ok(objects)
}

/// Returns a chunk's bytes as they were written.
pub(super) async fn content(dashboard: &Dashboard, attempt: AttemptId, chunk: &ChunkRow) -> Answer<Bytes> {
    let frame = match (&chunk.inline, &chunk.object) {
        (Some(frame), _) => Bytes::copy_from_slice(frame),
        (None, Some(object)) => dashboard.objects().get(object).await?,
        (None, None) => {
            return Err(Refusal::internal(format!("chunk {} of {attempt} has no content", chunk.n)));
        }
    };
    let size = usize::try_from(chunk.bytes).unwrap_or(0);
    let bytes = zstd::bulk::decompress(&frame, size)
        .map_err(|error| Refusal::internal(format!("chunk {} of {attempt}: {error}", chunk.n)))?;
    if bytes.len() != size || i64::from(crc32c::crc32c(&bytes)) != chunk.crc32c {
        return Err(Refusal::internal(format!("chunk {} of {attempt} is not as it was written", chunk.n)));
    }
    Ok(bytes.into())
}

/// A piece of a log on its way out.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// Offset of its first byte; for the note on a gap, where the gap begins.
    pub(super) byte: u64,
    /// Offset after it.
    pub(super) end: u64,
    /// Ends of lines before it.
    pub(super) line: u64,
    /// What to show.
    pub(super) bytes: Bytes,
}

/// What is shown in place of bytes that are not kept.
pub(super) fn gap_note(gap: &Gap) -> Bytes {
    let (bytes, lines) = (gap.end - gap.first, gap.end_line - gap.first_line);
    Bytes::from(format!(
        "\n[bellwether: {bytes} bytes in {lines} lines are left out here: the log is too long]\n"
    ))
}

/// Reads the bytes from `from` to `to` of a log, as far as it goes. A gap is stated where it lies.
pub(super) fn read(
    dashboard: &Dashboard,
    attempt: AttemptId,
    from: u64,
    to: u64,
) -> impl Stream<Item = Answer<Piece>> + Send + use<> {
    let dashboard = dashboard.clone();
    let rows = rows(dashboard.clone(), attempt, from, to);
    rows.map(move |row| {
        let dashboard = dashboard.clone();
        async move {
            match row? {
                Found::Gap(gap) => Ok(Piece {
                    byte: gap.first as u64,
                    end: gap.end as u64,
                    line: gap.first_line as u64,
                    bytes: gap_note(&gap),
                }),
                Found::Chunk(chunk) => {
                    let bytes = content(&dashboard, attempt, &chunk).await?;
                    Ok(cut(&chunk, bytes, from, to))
                }
            }
        }
    })
    .buffered(AHEAD)
}

fn cut(chunk: &ChunkRow, bytes: Bytes, from: u64, to: u64) -> Piece {
    let first = chunk.first_byte as u64;
    let start = (from.saturating_sub(first) as usize).min(bytes.len());
    let end = (to.saturating_sub(first).min(bytes.len() as u64) as usize).max(start);
    let line = chunk.first_line as u64 + count_lines(&bytes[..start]) as u64;
    Piece { byte: first + start as u64, end: first + end as u64, line, bytes: bytes.slice(start..end) }
}

enum Found {
    Chunk(ChunkRow),
    Gap(Gap),
}

/// Walks the rows of the chunks that hold some bytes.
fn rows(
    dashboard: Dashboard,
    attempt: AttemptId,
    from: u64,
    to: u64,
) -> impl Stream<Item = Answer<Found>> + Send {
    struct Walk {
        dashboard: Dashboard,
        next_n: Option<i64>,
        at: i64,
        ready: VecDeque<ChunkRow>,
        done: bool,
    }
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let (from, to) = (signed(from), signed(to));
    let rows = if to.saturating_sub(from) <= SHORT { SHORT_BATCH } else { BATCH };
    let walk = Walk { dashboard, next_n: None, at: from, ready: VecDeque::new(), done: false };
    futures::stream::try_unfold(walk, move |mut walk| async move {
        loop {
            if walk.done || walk.at >= to {
                return Ok(None);
            }
            if let Some(chunk) = walk.ready.front() {
                let (first, end) = (chunk.first_byte, chunk.first_byte + chunk.bytes);
                if first > walk.at {
                    // What lies between is not kept.
                    let log = existing(&walk.dashboard, attempt).await?;
                    walk.at = first;
                    return Ok(Some((Found::Gap(log.gap), walk)));
                }
                let chunk = walk.ready.pop_front();
                if let Some(chunk) = chunk.filter(|_| end > walk.at) {
                    walk.at = end;
                    return Ok(Some((Found::Chunk(chunk), walk)));
                }
                continue;
            }
            let mut reader = walk.dashboard.db().read().await?;
            let n = match walk.next_n {
                Some(n) => n,
                None => log_chunks::at_byte(&mut reader, attempt, walk.at).await?.unwrap_or(0),
            };
            let batch = log_chunks::from(&mut reader, attempt, n, rows).await?;
            walk.done = batch.is_empty();
            walk.next_n = batch.last().map(|chunk| chunk.n + 1);
            walk.ready.extend(batch);
        }
    })
}

/// Returns the offset at which a line begins, or the log's end if there is no such line. A line that is left out
/// begins at the gap.
pub(super) async fn line_start(dashboard: &Dashboard, log: &LogRow, line: u64) -> Answer<u64> {
    let line = i64::try_from(line).unwrap_or(i64::MAX);
    if line == 0 {
        return Ok(0);
    }
    if line > log.lines {
        return Ok(log.bytes as u64);
    }
    if !log.gap.is_empty() && line > log.gap.first_line && line <= log.gap.end_line {
        return Ok(log.gap.first as u64);
    }
    let mut reader = dashboard.db().read().await?;
    let Some(n) = log_chunks::at_line(&mut reader, log.attempt, line).await? else {
        return Ok(log.bytes as u64);
    };
    let chunk = log_chunks::get(&mut reader, log.attempt, n).await?;
    drop(reader);
    let Some(chunk) = chunk else { return Ok(log.bytes as u64) };
    let bytes = content(dashboard, log.attempt, &chunk).await?;
    let nth = usize::try_from(line - chunk.first_line - 1).unwrap_or(0);
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let at = ends.map(|(at, _)| at + 1).nth(nth).unwrap_or(bytes.len());
    Ok(chunk.first_byte as u64 + at as u64)
}

/// Opens a log for a fence.
pub(super) async fn open(
    dashboard: &Dashboard,
    attempt: AttemptId,
    build: store::BuildId,
    fence: i64,
) -> Answer<LogState> {
    let mut tx = dashboard.db().begin().await?;
    let log = logs::open(&mut tx, attempt, build, fence, Micros::now()).await?;
    tx.commit().await?;
    Ok(state(&log))
}

/// Says that a log is whole.
pub(super) async fn finish(dashboard: &Dashboard, attempt: AttemptId, fence: i64) -> Answer<LogState> {
    let mut tx = dashboard.db().begin().await?;
    if logs::get(&mut tx, attempt).await?.is_none() {
        return Err(unknown(attempt));
    }
    logs::finish(&mut tx, attempt, fence, Micros::now()).await?;
    let log = logs::get(&mut tx, attempt).await?.ok_or_else(Refusal::stale)?;
    tx.commit().await?;
    let _ = dashboard.news().send(attempt);
    dashboard.log_ended().notify_one();
    Ok(state(&log))
}

/// Refuses a fence that has lost the attempt, and an attempt that was never opened.
pub(super) async fn guard(tx: &mut Tx, attempt: AttemptId, fence: i64) -> Answer<LogRow> {
    let Some(log) = logs::get(tx, attempt).await? else {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "not_open",
            format!("attempt {attempt} has no log yet"),
        ));
    };
    logs::guard(tx, attempt, fence).await?;
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_counted_in_any_length() {
        for length in [0, 1, 254, 255, 256, 1000, 70_000] {
            assert_eq!(count_lines(&vec![b'\n'; length]), length as i64);
            assert_eq!(count_lines(&vec![b'x'; length]), 0);
        }
    }
}
