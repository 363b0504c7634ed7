//! What a chunk printed, from the machine until its turn in the log comes. Secrets are taken out before anything is kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use store::{ObjectError, Objects};
use tokio::time::Instant;

use crate::recipe::Sink;
use crate::redact::{Redactor, Secrets};

/// Bytes that are kept in memory before they are put away.
pub(super) const PIECE: usize = 1 << 20;
/// A chunk that has ended keeps no more than this in memory,
pub(super) const SMALL: usize = 64 << 10;
/// and nothing while all chunks of the attempt have this.
pub(super) const ALL: usize = 64 << 20;
/// How much is redacted at once.
const FEED: usize = 32 << 10;
/// The worker keeps what it is not told to forget, up to 256 MiB; so much it is not told of.
const UNTOLD: u64 = 128 << 20;

/// Output that waits for its turn.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Objects with the first of it, in their order.
    pub pieces: Vec<String>,
    /// What comes after those.
    pub rest: Vec<u8>,
}

impl Output {
    /// Deletes what is put away of it.
    pub(crate) async fn forget(&self, objects: &Objects) {
        for piece in &self.pieces {
            let _ = objects.delete(piece).await;
        }
    }
}

/// Takes the output of one chunk in.
pub(super) struct Taking<'s> {
    objects: &'s Objects,
    /// How the names of its objects begin.
    name: String,
    secrets: &'s Secrets,
    redactor: Redactor<'s>,
    /// Bytes that all chunks of the attempt keep in memory.
    kept: Arc<AtomicUsize>,
    raw: u64,
    output: Output,
}

impl<'s> Taking<'s> {
    pub(super) fn new(
        objects: &'s Objects,
        name: String,
        secrets: &'s Secrets,
        kept: Arc<AtomicUsize>,
    ) -> Self {
        Taking {
            objects,
            name,
            secrets,
            redactor: Redactor::new(secrets),
            kept,
            raw: 0,
            output: Output::default(),
        }
    }

    /// All of it, once the chunk has ended.
    pub(super) fn into_output(self) -> Output {
        self.kept.fetch_add(self.output.rest.len(), Ordering::Relaxed);
        self.output
    }

    /// What is put away already, where nothing comes of it.
    pub(super) async fn forget(self) {
        self.output.forget(self.objects).await;
    }

    async fn put_away(&mut self) -> Result<(), ObjectError> {
        if self.output.rest.is_empty() {
            return Ok(());
        }
        let name = format!("{}-{}.out", self.name, self.output.pieces.len());
        self.objects.put_new(&name, std::mem::take(&mut self.output.rest)).await?;
        self.output.pieces.push(name);
        Ok(())
    }
}

impl Sink for Taking<'_> {
    type Error = ObjectError;

    async fn begin(&mut self, _step: usize) -> Result<u64, ObjectError> {
        self.redactor = Redactor::new(self.secrets);
        Ok(0)
    }

    async fn write(&mut self, raw: &[u8]) -> Result<(), ObjectError> {
        self.raw += raw.len() as u64;
        for piece in raw.chunks(FEED) {
            self.output.rest.extend(self.redactor.feed(piece).bytes);
            if self.output.rest.len() >= PIECE {
                self.put_away().await?;
            }
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), ObjectError> {
        self.output.rest.extend(self.redactor.finish().bytes);
        if self.output.rest.len() > SMALL || self.kept.load(Ordering::Relaxed) > ALL {
            self.put_away().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), ObjectError> {
        Ok(())
    }

    fn due(&self) -> Option<Instant> {
        None
    }

    fn durable(&self) -> u64 {
        if self.raw > UNTOLD { self.raw } else { 0 }
    }
}
