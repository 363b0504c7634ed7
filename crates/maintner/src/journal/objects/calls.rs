//! Calls of the store: each with a time limit, and made again where the reason may pass.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use sha2::{Digest as _, Sha224};

use super::Limits;
use super::tail::Tail;
use crate::journal::storage::StorageError;
use crate::journal::{OpenError, Segment};
use crate::log::LONGEST_RECORD;

/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A list of segments is never longer; it would be one of 100,000.
const LONGEST_LIST: u64 = 16 << 20;

/// More segments than anybody has: 16 TiB of them.
const MOST_LISTED: usize = 1 << 20;

/// An object that was listed.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    /// Its name below the prefix.
    pub name: String,
    pub size: u64,
}

/// What became of an object that was to be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Created,
    /// There is one already. It may be of a try before this one, whose answer was lost.
    Exists,
}

#[derive(Debug, Clone)]
pub(super) struct Calls {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    limits: Limits,
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Io { path, why, .. } => Self::Io { path, why },
            StorageError::Fenced { place, holder } => Self::Held { place, holder },
            StorageError::Object { object, what, why } => {
                Self::Store { object, why: format!("{what}: {why}") }
            }
            full @ StorageError::Full { .. } => {
                Self::Store { object: "the log".to_owned(), why: full.to_string() }
            }
            StorageError::Stopped => Self::Stopped,
        }
    }
}

impl Segment {
    /// Whether these are its bytes.
    pub(super) fn has(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.size && <[u8; 28]>::from(Sha224::digest(bytes)) == self.sha224
    }
}

impl Calls {
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &str, limits: Limits) -> Self {
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { store, prefix, limits }
    }

    pub fn tail_name(&self, number: u64) -> String {
        format!("{}tail/{number:016x}", self.prefix)
    }

    pub fn seals_name(&self, number: u32) -> String {
        format!("{}sealed/{number:04}", self.prefix)
    }

    pub fn segment_name(&self, segment: &Segment) -> String {
        format!("{}{}", self.prefix, segment.name())
    }

    /// The whole name of something below the prefix.
    pub fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Waits before what failed for good is tried from its begin.
    pub async fn rest(&self) {
        tokio::time::sleep((self.limits.pause * 50).min(LONGEST_PAUSE)).await;
    }

    /// Creates an object that is not there.
    pub async fn create(&self, name: &str, bytes: Vec<u8>) -> Result<Put, StorageError> {
        let payload = PutPayload::from(bytes);
        let put = |path| {
            let options = PutOptions::from(PutMode::Create);
            let payload = payload.clone();
            async move { self.store.put_opts(&path, payload, options).await.map(drop) }
        };
        match self.again(name, "creating it", self.limits.call, put).await {
            Ok(()) => Ok(Put::Created),
            Err(Failed::Exists) => Ok(Put::Exists),
            Err(other) => Err(other.told(name, "creating it")),
        }
    }

    /// Puts a segment's object. Whoever else puts it puts the same bytes.
    pub async fn put_segment(&self, segment: &Segment, bytes: Vec<u8>) -> Result<(), StorageError> {
        let name = self.segment_name(segment);
        let payload = PutPayload::from(bytes);
        let put = |path| {
            let payload = payload.clone();
            async move { self.store.put(&path, payload).await.map(drop) }
        };
        self.again(&name, "uploading it", self.limits.transfer, put)
            .await
            .map_err(|failed| failed.told(&name, "uploading it"))
    }

    pub async fn get_segment(&self, segment: &Segment) -> Result<Vec<u8>, OpenError> {
        let name = self.segment_name(segment);
        let wrong = |why: &str| OpenError::Store { object: name.clone(), why: why.to_owned() };
        let bytes = self.get(&name, segment.size, self.limits.transfer).await?;
        let bytes = bytes.ok_or_else(|| wrong("it is missing"))?;
        if !segment.has(&bytes) {
            return Err(wrong("its bytes are not those that were sealed"));
        }
        Ok(bytes)
    }

    pub async fn get_tail(&self, number: u64) -> Result<Option<Tail>, StorageError> {
        let name = self.tail_name(number);
        // One record may be that long, and others are with it.
        let longest = 4 * LONGEST_RECORD as u64;
        let Some(object) = self.get(&name, longest, self.limits.call).await? else { return Ok(None) };
        let tail = Tail::decode(&object);
        tail.map(Some).map_err(|why| StorageError::Object {
            object: name,
            what: "reading it",
            why: why.to_owned(),
        })
    }

    pub async fn get_seals(&self, number: u32) -> Result<Option<Vec<u8>>, StorageError> {
        self.get(&self.seals_name(number), LONGEST_LIST, self.limits.call).await
    }

    /// What lies just below the prefix, at most [`MOST_LISTED`] of it.
    pub async fn list(&self) -> Result<Vec<Listed>, StorageError> {
        let list = |path: Path| async move {
            let prefix = (!self.prefix.is_empty()).then_some(path);
            // As a stream, since a store with many other things is not to fill the memory; those further below are skipped.
            let mut found = self.store.list(prefix.as_ref());
            let mut listed = Vec::new();
            while let Some(object) = found.next().await {
                let object = object?;
                let name = object.location.as_ref().strip_prefix(&self.prefix);
                let Some(name) = name.filter(|name| name.ends_with(".mutlog") && !name.contains('/')) else {
                    continue;
                };
                if listed.len() == MOST_LISTED {
                    break;
                }
                listed.push(Listed { name: name.to_owned(), size: object.size });
            }
            Ok(listed)
        };
        let all = format!("{}*.mutlog", self.prefix);
        let below = self.prefix.trim_end_matches('/');
        self.again_at(below, &all, "listing", self.limits.transfer, list)
            .await
            .map_err(|failed| failed.told(&all, "listing"))
    }

    pub async fn delete(&self, name: &str) -> Result<(), StorageError> {
        let delete = |path| async move { self.store.delete(&path).await };
        match self.again(name, "removing it", self.limits.call, delete).await {
            Ok(()) | Err(Failed::Missing) => Ok(()),
            Err(other) => Err(other.told(name, "removing it")),
        }
    }

    /// The bytes of an object, and none where there is none.
    async fn get(&self, name: &str, longest: u64, limit: Duration) -> Result<Option<Vec<u8>>, StorageError> {
        let get = |path| async move {
            let found = self.store.get(&path).await?;
            if found.meta.size > longest {
                return Ok(None);
            }
            found.bytes().await.map(|bytes| Some(bytes.to_vec()))
        };
        match self.again(name, "reading it", limit, get).await {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                let why = format!("it is longer than {longest} bytes");
                Err(StorageError::Object { object: name.to_owned(), what: "reading it", why })
            }
            Err(Failed::Missing) => Ok(None),
            Err(other) => Err(other.told(name, "reading it")),
        }
    }

    async fn again<T, F>(
        &self,
        name: &str,
        what: &'static str,
        limit: Duration,
        call: impl Fn(Path) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.again_at(name, name, what, limit, call).await
    }

    async fn again_at<T, F>(
        &self,
        path: &str,
        name: &str,
        what: &'static str,
        limit: Duration,
        call: impl Fn(Path) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let path = Path::from(path);
        let mut pause = self.limits.pause;
        let mut tried = 1;
        loop {
            let why = match tokio::time::timeout(limit, call(path.clone())).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(Error::AlreadyExists { .. } | Error::Precondition { .. })) => {
                    return Err(Failed::Exists);
                }
                Ok(Err(Error::NotFound { .. })) => return Err(Failed::Missing),
                Ok(Err(why)) => why.to_string(),
                Err(_) => format!("no answer within {limit:?}"),
            };
            if tried >= self.limits.tries {
                return Err(Failed::Other(format!("{why} ({tried} times)")));
            }
            tracing::warn!(object = name, what, why, "the object store failed; once more after a pause");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            tried += 1;
        }
    }
}

/// Why a call is not made again.
enum Failed {
    Exists,
    Missing,
    Other(String),
}

impl Failed {
    fn told(self, name: &str, what: &'static str) -> StorageError {
        let why = match self {
            Self::Exists => "it is there already".to_owned(),
            Self::Missing => "it is missing".to_owned(),
            Self::Other(why) => why,
        };
        StorageError::Object { object: name.to_owned(), what, why }
    }
}
