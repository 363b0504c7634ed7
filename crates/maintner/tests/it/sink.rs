//! A log in a folder of its own, for the tests of what writes mutations: with neither a lock nor care for power cuts.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use maintner::corpus::{Corpus, Replay};
use maintner::live::{Live, Sink, SinkError};
use maintner::log::Log;
use maintner::reclog;
use maintner::rules::Rules;
use prost::Message as _;
use tokio::sync::Mutex;

/// What a source writes into.
pub struct Folder {
    path: PathBuf,
    live: Live,
    length: Mutex<u64>,
    _kept: tempfile::TempDir,
}

impl Folder {
    /// An empty log.
    pub fn new() -> Self {
        let kept = tempfile::tempdir().unwrap();
        let path = kept.path().to_path_buf();
        std::fs::write(path.join("0000.growing.mutlog"), b"").unwrap();
        let corpus = Corpus::load(Log::open(&path).unwrap(), Rules::Ours, Replay::OneThread).unwrap();
        Self { path, live: Live::new(corpus), length: Mutex::new(0), _kept: kept }
    }

    /// The corpus of the whole log, made anew.
    pub fn replayed(&self) -> Corpus {
        Corpus::load(Log::open(&self.path).unwrap(), Rules::Ours, Replay::Parallel).unwrap()
    }
}

#[async_trait]
impl Sink for Folder {
    fn corpus(&self) -> Arc<Corpus> {
        self.live.corpus()
    }

    async fn add(&self, mutations: Vec<maintpb::Mutation>) -> Result<Arc<Corpus>, SinkError> {
        let mut length = self.length.lock().await;
        let mut bytes = Vec::new();
        for mutation in mutations {
            let payload = mutation.encode_to_vec();
            bytes.extend(reclog::header(*length + bytes.len() as u64, payload.len()).into_bytes());
            bytes.extend(payload);
        }
        let mut file =
            std::fs::File::options().append(true).open(self.path.join("0000.growing.mutlog")).unwrap();
        file.write_all(&bytes).unwrap();
        *length += bytes.len() as u64;
        Ok(self.live.advance(self.live.corpus().log.grown(&self.path, u64::MAX)?)?)
    }
}
