//! The object store: a directory, or a bucket of S3 or Google Cloud Storage, by the same calls.
//!
//! Each call has a time limit. A bucket's requests are sent again a few times, with pauses that grow; so what fails here
//! has failed for some seconds, and the caller says "later" to whoever asked, or asks again himself.

#[cfg(feature = "cloud")]
mod cloud;
mod error;
#[cfg(feature = "cloud")]
mod http;
mod url;

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use crate::Micros;

pub use error::ObjectError;
pub use url::{Bucket, ObjectsUrl};

/// Longest path, in bytes.
const LONGEST_PATH: usize = 512;
/// Pauses before a small object is put once more.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(500)];

/// How a bucket is reached, as far as the environment's variables (`AWS_…`, `GOOGLE_…`) do not say it.
#[derive(Debug, Clone, Default)]
pub struct CloudOptions {
    /// Where it is asked, in place of the usual address.
    pub endpoint: Option<String>,
    /// S3: the region.
    pub region: Option<String>,
    /// Whether an endpoint without TLS may be on another machine.
    pub allow_http: bool,
    /// S3: who we are there.
    pub key: Option<AccessKey>,
    /// Google: the file with a service account's key.
    pub service_account: Option<PathBuf>,
    /// A file with authorities that sign for the endpoint, beside the usual ones.
    pub authorities: Option<PathBuf>,
}

/// An access key of S3.
#[derive(Clone)]
pub struct AccessKey {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub struct ObjectLimits {
    /// A call that moves little, repetitions included.
    pub call: Duration,
    /// One part of a stream.
    pub part: Duration,
    /// The end of a streamed object, which a bucket may put together then.
    pub complete: Duration,
}

impl Default for ObjectLimits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(25),
            part: Duration::from_secs(60),
            complete: Duration::from_secs(300),
        }
    }
}

/// An object as [`Objects::list`] shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was made.
    pub made: Micros,
}

/// The object store. Cheap to clone. Objects never change: one is made once, read, and deleted.
#[derive(Debug, Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Parts of a streamed object are gathered up to this many bytes.
    part: usize,
    limits: ObjectLimits,
}

impl Objects {
    /// Opens the store of a URL as [`Objects::open_with`] does, where the environment says all that a bucket needs.
    ///
    /// # Errors
    /// As there.
    pub fn open(url: &ObjectsUrl, data_dir: &Path) -> Result<Self, ObjectError> {
        Self::open_with(url, data_dir, &CloudOptions::default())
    }

    /// Opens the store of a URL, making its directory if need be. A bucket is not asked yet: see [`Objects::probe`].
    ///
    /// # Errors
    /// If the directory can't be made, or a bucket's options are no good.
    pub fn open_with(url: &ObjectsUrl, data_dir: &Path, options: &CloudOptions) -> Result<Self, ObjectError> {
        match url {
            ObjectsUrl::File(dir) => {
                let dir = data_dir.join(dir);
                std::fs::create_dir_all(&dir).map_err(|error| ObjectError::Other(Box::new(error)))?;
                let local = LocalFileSystem::new_with_prefix(dir)?.with_automatic_cleanup(true);
                Ok(Self::from_store(Arc::new(local)))
            }
            ObjectsUrl::S3(bucket) => Self::bucket(bucket, options, false),
            ObjectsUrl::Gcs(bucket) => Self::bucket(bucket, options, true),
        }
    }

    #[cfg(feature = "cloud")]
    fn bucket(bucket: &Bucket, options: &CloudOptions, google: bool) -> Result<Self, ObjectError> {
        let store = if google { cloud::gcs(bucket, options)? } else { cloud::s3(bucket, options)? };
        // A bucket takes no smaller parts than 5 MiB, and no more than 10,000 of them.
        Ok(Self { part: 8 * 1024 * 1024, ..Self::from_store(store) })
    }

    #[cfg(not(feature = "cloud"))]
    fn bucket(_: &Bucket, _: &CloudOptions, _: bool) -> Result<Self, ObjectError> {
        Err(ObjectError::NoCloud)
    }

    /// Wraps any object store; tests give one that fails.
    #[must_use]
    pub fn from_store(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, part: 1024 * 1024, limits: ObjectLimits::default() }
    }

    /// The store itself, for whoever keeps other things there than objects that never change.
    #[must_use]
    pub fn into_store(self) -> Arc<dyn ObjectStore> {
        self.store
    }

    /// Sets how long is waited.
    #[must_use]
    pub fn with_limits(self, limits: ObjectLimits) -> Self {
        Self { limits, ..self }
    }

    /// Makes an object, reads it, looks whether it is kept from being made anew, and deletes it: all that is ever asked
    /// of a store. `name` is its own for whoever asks.
    ///
    /// # Errors
    /// [`ObjectError::Unfit`] with what may help.
    pub async fn probe(&self, name: &str) -> Result<(), ObjectError> {
        let path = format!("probe/{name}");
        let unfit = |what, source: ObjectError| {
            let remedy = match &source {
                ObjectError::NotFound(_) => "make the bucket, or correct its name in the key `objects`",
                ObjectError::Denied(_) => {
                    "give the account leave to list, read, write and delete objects in the bucket, or correct its key \
                     (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, or \
                     `object_store` in the server file)"
                }
                ObjectError::Exists(_) => {
                    "use a store that knows If-None-Match (S3, MinIO, R2) or generations (Google)"
                }
                ObjectError::Full(_) => "make room, or raise the quota",
                _ => "look whether the endpoint and the region are right and it can be reached from here",
            };
            ObjectError::Unfit { what, remedy, source: Box::new(source) }
        };
        self.put_new(&path, "one").await.map_err(|error| unfit("an object can't be written", error))?;
        let tried = async {
            let read = self.get(&path).await.map_err(|error| unfit("an object can't be read", error))?;
            let again = self.put_new(&path, "two").await;
            if read != "one" || !matches!(again, Err(ObjectError::Exists(_))) {
                let error = again.err().unwrap_or_else(|| ObjectError::Exists(path.clone()));
                return Err(unfit("an object that is there is replaced though it was told not to be", error));
            }
            self.list("probe").await.map(drop).map_err(|error| unfit("objects can't be listed", error))
        };
        let tried = tried.await;
        self.delete(&path).await.map_err(|error| unfit("an object can't be deleted", error))?;
        tried
    }

    /// Makes an object. To make an equal one again changes nothing.
    ///
    /// # Errors
    /// [`ObjectError::Exists`] if there is one with other content.
    pub async fn put_new(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), ObjectError> {
        let bytes = bytes.into();
        self.limited(async {
            let mut pauses = PAUSES.iter();
            loop {
                match self.put_once(path, &bytes).await {
                    // The library does not send a conditional request again whose answer was lost. We may: what is
                    // there then is equal.
                    Err(error) if error.is_transient() => match pauses.next() {
                        Some(pause) => tokio::time::sleep(*pause).await,
                        None => return Err(error),
                    },
                    done => return done,
                }
            }
        })
        .await
    }

    async fn put_once(&self, path: &str, bytes: &Bytes) -> Result<(), ObjectError> {
        let at = checked(path)?;
        let payload = PutPayload::from_bytes(bytes.clone());
        match self.store.put_opts(&at, payload, PutMode::Create.into()).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                if self.store.get(&at).await?.bytes().await? == *bytes {
                    Ok(())
                } else {
                    Err(ObjectError::Exists(path.to_owned()))
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes or replaces an object from a stream and returns its size. If the stream ends in an error
    /// there is no object, so a digest can be checked by the stream's last item.
    ///
    /// # Errors
    /// [`ObjectError::Source`] if the stream fails.
    pub async fn put_stream<S>(&self, path: &str, mut bytes: S) -> Result<u64, ObjectError>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Unpin + Send,
    {
        let at = checked(path)?;
        let mut upload = within(self.limits.part, self.store.put_multipart(&at)).await?;
        let written = match self.write_parts(&mut *upload, path, &mut bytes).await {
            Ok(size) => within(self.limits.complete, upload.complete()).await.map(|_| size),
            Err(error) => Err(error),
        };
        if written.is_err() {
            // What is left behind is a staged file that nothing names; the first error is the one to tell.
            let _ = within(self.limits.part, upload.abort()).await;
        }
        written
    }

    /// Says whether there is an object by this path.
    ///
    /// # Errors
    /// If the store can't tell.
    pub async fn exists(&self, path: &str) -> Result<bool, ObjectError> {
        let at = checked(path)?;
        match within(self.limits.call, self.store.head(&at)).await {
            Ok(_) => Ok(true),
            Err(ObjectError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns what a list shows of one object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`].
    pub async fn meta(&self, path: &str) -> Result<ObjectMeta, ObjectError> {
        let at = checked(path)?;
        Ok(shown(&within(self.limits.call, self.store.head(&at)).await?))
    }

    /// Returns the whole of an object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`].
    pub async fn get(&self, path: &str) -> Result<Bytes, ObjectError> {
        let at = checked(path)?;
        self.limited(async { Ok(self.store.get(&at).await?.bytes().await?) }).await
    }

    /// Returns an object's size, and its content as a stream.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`].
    pub async fn get_stream(
        &self,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, ObjectError>>), ObjectError> {
        let found = within(self.limits.call, self.store.get(&checked(path)?)).await?;
        let (size, limit) = (found.meta.size, self.limits.part);
        let pieces = futures::stream::unfold(Some(found.into_stream()), move |pieces| async move {
            let mut pieces = pieces?;
            match tokio::time::timeout(limit, pieces.next()).await {
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
                Ok(Some(Err(error))) => Some((Err(error.into()), None)),
                Ok(None) => None,
                Err(_) => Some((Err(ObjectError::TimedOut(limit)), None)),
            }
        });
        Ok((size, pieces.boxed()))
    }

    /// Returns some bytes of an object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], or another if the range is not in it.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let at = checked(path)?;
        within(self.limits.call, self.store.get_range(&at, range)).await
    }

    /// Deletes an object. One that does not exist is deleted already.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn delete(&self, path: &str) -> Result<(), ObjectError> {
        let at = checked(path)?;
        match within(self.limits.call, self.store.delete(&at)).await {
            Ok(()) | Err(ObjectError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lists the objects below a prefix (whole segments), in order of their paths.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, ObjectError> {
        let mut found: Vec<_> = self.walk(prefix)?.try_collect().await?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Walks the objects below a prefix (whole segments), in no order and without keeping them.
    ///
    /// # Errors
    /// If the prefix is none; the store's own come in the stream.
    pub fn walk(
        &self,
        prefix: &str,
    ) -> Result<BoxStream<'static, Result<ObjectMeta, ObjectError>>, ObjectError> {
        let prefix = if prefix.is_empty() { None } else { Some(checked(prefix)?) };
        let (listed, limit) = (self.store.list(prefix.as_ref()), self.limits.part);
        let walked = futures::stream::unfold(Some(listed), move |listed| async move {
            let mut listed = listed?;
            match tokio::time::timeout(limit, listed.next()).await {
                Ok(Some(Ok(meta))) => Some((Ok(shown(&meta)), Some(listed))),
                Ok(Some(Err(error))) => Some((Err(error.into()), None)),
                Ok(None) => None,
                Err(_) => Some((Err(ObjectError::TimedOut(limit)), None)),
            }
        });
        Ok(walked.boxed())
    }

    async fn limited<T>(&self, call: impl Future<Output = Result<T, ObjectError>>) -> Result<T, ObjectError> {
        let limit = self.limits.call;
        tokio::time::timeout(limit, call).await.unwrap_or(Err(ObjectError::TimedOut(limit)))
    }

    async fn write_parts<S>(
        &self,
        upload: &mut dyn MultipartUpload,
        path: &str,
        bytes: &mut S,
    ) -> Result<u64, ObjectError>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Unpin + Send,
    {
        let limit = self.limits.part;
        let (mut part, mut gathered, mut size) = (Vec::new(), 0, 0_u64);
        while let Some(next) = bytes.next().await {
            let next = next.map_err(|source| ObjectError::Source { path: path.to_owned(), source })?;
            size += next.len() as u64;
            gathered += next.len();
            part.push(next);
            if gathered >= self.part {
                within(limit, upload.put_part(PutPayload::from_iter(part.drain(..)))).await?;
                gathered = 0;
            }
        }
        if gathered > 0 || size == 0 {
            within(limit, upload.put_part(PutPayload::from_iter(part))).await?;
        }
        Ok(size)
    }
}

fn shown(meta: &object_store::ObjectMeta) -> ObjectMeta {
    let made = Micros(meta.last_modified.timestamp_micros());
    ObjectMeta { path: meta.location.to_string(), size: meta.size, made }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<T, ObjectError> {
    match tokio::time::timeout(limit, call).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(ObjectError::TimedOut(limit)),
    }
}

/// Takes paths of plain segments only, so that one name means one file on every store.
fn checked(path: &str) -> Result<object_store::path::Path, ObjectError> {
    let plain = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-@+=,".contains(&b))
    };
    if path.len() > LONGEST_PATH || !path.split('/').all(plain) {
        return Err(ObjectError::BadPath(path.chars().take(LONGEST_PATH).collect()));
    }
    object_store::path::Path::parse(path).map_err(|_| ObjectError::BadPath(path.to_owned()))
}
