//! An attempt's log on its way from the worker to the dashboard: redacted, cut into chunks, each durable before the worker
//! may forget it.

use std::time::Duration;

use bytes::Bytes;
use dashboard::api::LogState;
use dashboard::client::DashboardClient;
use http::StatusCode;
use tokio::time::Instant;
use transport::CallError;

use crate::recipe::Sink;
use crate::redact::{Redactor, Secrets};

/// The most bytes of a chunk.
pub const CHUNK: usize = 256 << 10;
/// How much is redacted at once. A feed gives at most this and what was held back of those before (128 KiB); a chunk has
/// room for it.
const FEED: usize = 32 << 10;
/// The longest that a byte waits for its chunk to fill.
const LINGER: Duration = Duration::from_secs(1);
/// Where in `raw_end` the index of the step begins; below lies the offset in that step's output.
const STEP_SHIFT: u32 = 44;

/// Why a log could not be written on.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Somebody else writes this log now.
    #[error("the log has a newer owner")]
    Stale,
    /// The dashboard refuses.
    #[error("log: {0}")]
    Refused(CallError),
}

/// Writes the log of one attempt.
pub struct LogWriter<'s> {
    dashboard: DashboardClient,
    attempt: String,
    fence: u64,
    secrets: &'s Secrets,
    redactor: Redactor<'s>,
    next_n: u64,
    stored: u64,
    step: u64,
    /// Raw offset in the step up to which output is stored or in `buffer`.
    raw_buffered: u64,
    raw_stored: u64,
    buffer: Vec<u8>,
    since: Option<Instant>,
}

impl<'s> LogWriter<'s> {
    /// Opens the log under a fence: writers with a lower one are shut out from then on.
    ///
    /// # Errors
    /// [`LogError::Stale`] if a higher fence was there before.
    pub async fn open(
        dashboard: DashboardClient,
        attempt: String,
        build: &str,
        fence: u64,
        secrets: &'s Secrets,
    ) -> Result<Self, LogError> {
        let state = take(&dashboard, &attempt, build, fence).await?;
        Ok(LogWriter {
            dashboard,
            attempt,
            fence,
            secrets,
            redactor: Redactor::new(secrets),
            next_n: state.next_n,
            stored: state.bytes,
            step: state.raw_end >> STEP_SHIFT,
            raw_buffered: state.raw_end & ((1 << STEP_SHIFT) - 1),
            raw_stored: state.raw_end & ((1 << STEP_SHIFT) - 1),
            buffer: Vec::new(),
            since: None,
        })
    }

    /// Begins an empty log with words of ours.
    ///
    /// # Errors
    /// The dashboard's.
    pub async fn preface(&mut self, text: &str) -> Result<(), LogError> {
        if text.is_empty() || self.stored > 0 {
            return Ok(());
        }
        // No byte of any step's output: reading begins at the first.
        self.put(text.as_bytes().to_vec(), self.raw_stored).await
    }

    /// How many bytes the log has.
    pub fn len(&self) -> u64 {
        self.stored + self.buffer.len() as u64
    }

    async fn put(&mut self, bytes: Vec<u8>, raw: u64) -> Result<(), LogError> {
        let raw_end = (self.step << STEP_SHIFT) | raw;
        let bytes = Bytes::from(bytes);
        let length = bytes.len() as u64;
        let (dashboard, attempt, fence) = (&self.dashboard, self.attempt.as_str(), self.fence);
        let (n, first) = (self.next_n, self.stored);
        let state = patiently(|| dashboard.log_put(attempt, fence, n, first, raw_end, bytes.clone())).await?;
        self.next_n = state.next_n.max(n + 1);
        self.stored = first + length;
        self.raw_stored = raw;
        Ok(())
    }

    fn take(&mut self, clean: crate::redact::Clean) {
        self.raw_buffered += clean.raw;
        if !clean.bytes.is_empty() && self.since.is_none() {
            self.since = Some(Instant::now());
        }
        self.buffer.extend_from_slice(&clean.bytes);
    }

    /// Stores what is buffered. A chunk ends where a feed ended, so the raw offset of its end is exact.
    async fn drain(&mut self) -> Result<(), LogError> {
        self.since = None;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::take(&mut self.buffer);
        self.put(chunk, self.raw_buffered).await
    }
}

impl Sink for LogWriter<'_> {
    type Error = LogError;

    async fn begin(&mut self, step: usize) -> Result<u64, LogError> {
        let step = step as u64;
        if step != self.step {
            self.step = step;
            self.raw_buffered = 0;
            self.raw_stored = 0;
        }
        self.redactor = Redactor::new(self.secrets);
        Ok(self.raw_stored)
    }

    async fn write(&mut self, raw: &[u8]) -> Result<(), LogError> {
        for piece in raw.chunks(FEED) {
            let clean = self.redactor.feed(piece);
            if self.buffer.len() + clean.bytes.len() > CHUNK {
                self.drain().await?;
            }
            self.take(clean);
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), LogError> {
        let clean = self.redactor.finish();
        self.take(clean);
        self.drain().await
    }

    async fn flush(&mut self) -> Result<(), LogError> {
        self.drain().await
    }

    fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + LINGER)
    }

    fn durable(&self) -> u64 {
        self.raw_stored
    }
}

/// Opens an attempt's log under a fence, so that it takes no word from a lower one any more.
///
/// # Errors
/// [`LogError::Stale`] if a higher fence was there before.
pub async fn take(
    dashboard: &DashboardClient,
    attempt: &str,
    build: &str,
    fence: u64,
) -> Result<LogState, LogError> {
    patiently(|| dashboard.log_open(attempt, build, fence)).await
}

/// Calls until the dashboard answers: while it is away, the worker keeps the output, and its process waits when the spool
/// is full.
async fn patiently<T, F>(mut call: impl FnMut() -> F) -> Result<T, LogError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut tries = 0;
    loop {
        match call().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_code("stale") => return Err(LogError::Stale),
            Err(error) if error.is_transient() || error.is_status(StatusCode::INSUFFICIENT_STORAGE) => {
                tracing::warn!(%error, "the dashboard can't take a log chunk; trying again");
                tokio::time::sleep(crate::ledger::pause(tries)).await;
                tries += 1;
            }
            Err(error) => return Err(LogError::Refused(error)),
        }
    }
}
