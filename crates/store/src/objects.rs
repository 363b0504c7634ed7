//! The object store: files under the data directory now, S3 and GCS by the same calls later.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};

use crate::error::is_full;

/// Parts of a streamed object are gathered up to this many bytes.
const PART: usize = 1024 * 1024;
/// Longest path, in bytes.
const LONGEST_PATH: usize = 512;

/// Where objects are: `file:DIR`, relative to the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectsUrl {
    /// A directory.
    File(PathBuf),
}

impl FromStr for ObjectsUrl {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<Self, ObjectError> {
        match text.split_once(':') {
            Some(("file", dir)) if !dir.is_empty() => {
                Ok(Self::File(PathBuf::from(dir.strip_prefix("//").unwrap_or(dir))))
            }
            _ => Err(ObjectError::BadUrl(text.split(':').next().unwrap_or_default().to_owned())),
        }
    }
}

/// Says why an object can't be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectError {
    /// There is none by this path.
    #[error("no object {0}")]
    NotFound(String),
    /// There is one already, and it is not equal.
    #[error("object {0} exists with other content")]
    Exists(String),
    /// No space is left.
    #[error("the object store's disk is full: {0}")]
    Full(String),
    /// The path is not one of ours.
    #[error("bad object path {0:?}")]
    BadPath(String),
    /// The URL has a scheme that is not known.
    #[error("expected file:DIR, found scheme {0:?}")]
    BadUrl(String),
    /// The stream that was to be written ended in an error.
    #[error("the source of object {path} failed: {source}")]
    Source {
        /// The object.
        path: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// Anything else.
    #[error("object store: {0}")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<object_store::Error> for ObjectError {
    fn from(error: object_store::Error) -> Self {
        match error {
            object_store::Error::NotFound { path, .. } => Self::NotFound(path),
            error if is_full(&error) => Self::Full(error.to_string()),
            error => Self::Other(Box::new(error)),
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
}

/// The object store. Cheap to clone. Objects never change: one is made once, read, and deleted.
#[derive(Debug, Clone)]
pub struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    /// Opens the store of a URL, making its directory if need be.
    ///
    /// # Errors
    /// If the directory can't be made.
    pub fn open(url: &ObjectsUrl, data_dir: &Path) -> Result<Self, ObjectError> {
        let ObjectsUrl::File(dir) = url;
        let dir = data_dir.join(dir);
        std::fs::create_dir_all(&dir).map_err(|error| ObjectError::Other(Box::new(error)))?;
        let local = LocalFileSystem::new_with_prefix(dir)?.with_automatic_cleanup(true);
        Ok(Self(Arc::new(local)))
    }

    /// Wraps any object store; tests give one that fails.
    #[must_use]
    pub fn from_store(store: Arc<dyn ObjectStore>) -> Self {
        Self(store)
    }

    /// Makes an object. To make an equal one again changes nothing.
    ///
    /// # Errors
    /// [`ObjectError::Exists`] if there is one with other content.
    pub async fn put_new(&self, path: &str, bytes: impl Into<Bytes>) -> Result<(), ObjectError> {
        let at = checked(path)?;
        let bytes = bytes.into();
        let payload = PutPayload::from_bytes(bytes.clone());
        match self.0.put_opts(&at, payload, PutMode::Create.into()).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                if self.0.get(&at).await?.bytes().await? == bytes {
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
        let mut upload = self.0.put_multipart(&at).await?;
        let written = match write_parts(&mut *upload, path, &mut bytes).await {
            Ok(size) => upload.complete().await.map(|_| size).map_err(Into::into),
            Err(error) => Err(error),
        };
        if written.is_err() {
            // What is left behind is a staged file that nothing names; the first error is the one to tell.
            let _ = upload.abort().await;
        }
        written
    }

    /// Gives an object that was written under a staged path its own, unless there is one by that path already, and
    /// says whether it did. The staged one is gone either way.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`] if nothing is staged there.
    pub async fn publish(&self, staged: &str, path: &str) -> Result<bool, ObjectError> {
        let (from, to) = (checked(staged)?, checked(path)?);
        match self.0.rename_if_not_exists(&from, &to).await {
            Ok(()) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => {
                self.delete(staged).await?;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Says whether there is an object by this path.
    ///
    /// # Errors
    /// If the store can't tell.
    pub async fn exists(&self, path: &str) -> Result<bool, ObjectError> {
        match self.0.head(&checked(path)?).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the whole of an object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`].
    pub async fn get(&self, path: &str) -> Result<Bytes, ObjectError> {
        Ok(self.0.get(&checked(path)?).await?.bytes().await?)
    }

    /// Returns an object's size, and its content as a stream.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`].
    pub async fn get_stream(
        &self,
        path: &str,
    ) -> Result<(u64, BoxStream<'static, Result<Bytes, ObjectError>>), ObjectError> {
        let found = self.0.get(&checked(path)?).await?;
        Ok((found.meta.size, found.into_stream().map_err(ObjectError::from).boxed()))
    }

    /// Returns some bytes of an object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`], or another if the range is not in it.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes, ObjectError> {
        Ok(self.0.get_range(&checked(path)?, range).await?)
    }

    /// Deletes an object. One that does not exist is deleted already.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn delete(&self, path: &str) -> Result<(), ObjectError> {
        match self.0.delete(&checked(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Lists the objects below a prefix (whole segments), in order of their paths.
    ///
    /// # Errors
    /// If the store refuses.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>, ObjectError> {
        let prefix = if prefix.is_empty() { None } else { Some(checked(prefix)?) };
        let mut found: Vec<_> = self
            .0
            .list(prefix.as_ref())
            .map_ok(|meta| ObjectMeta { path: meta.location.to_string(), size: meta.size })
            .try_collect()
            .await?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

async fn write_parts<S>(
    upload: &mut dyn MultipartUpload,
    path: &str,
    bytes: &mut S,
) -> Result<u64, ObjectError>
where
    S: Stream<Item = std::io::Result<Bytes>> + Unpin + Send,
{
    let (mut part, mut gathered, mut size) = (Vec::new(), 0, 0_u64);
    while let Some(next) = bytes.next().await {
        let next = next.map_err(|source| ObjectError::Source { path: path.to_owned(), source })?;
        size += next.len() as u64;
        gathered += next.len();
        part.push(next);
        if gathered >= PART {
            upload.put_part(PutPayload::from_iter(part.drain(..))).await?;
            gathered = 0;
        }
    }
    if gathered > 0 || size == 0 {
        upload.put_part(PutPayload::from_iter(part)).await?;
    }
    Ok(size)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Objects) {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::open(&"file:objects".parse().unwrap(), dir.path()).unwrap();
        (dir, objects)
    }

    #[tokio::test]
    async fn an_object_is_made_once() {
        let (_dir, objects) = store();
        objects.put_new("logs/A/1-0.zst", "one").await.unwrap();
        objects.put_new("logs/A/1-0.zst", "one").await.unwrap();
        let again = objects.put_new("logs/A/1-0.zst", "two").await.unwrap_err();
        assert!(matches!(again, ObjectError::Exists(_)));
        assert_eq!(objects.get("logs/A/1-0.zst").await.unwrap(), "one");
        assert_eq!(objects.get_range("logs/A/1-0.zst", 1..3).await.unwrap(), "ne");
        objects.delete("logs/A/1-0.zst").await.unwrap();
        objects.delete("logs/A/1-0.zst").await.unwrap();
        assert!(matches!(objects.get("logs/A/1-0.zst").await, Err(ObjectError::NotFound(_))));
    }

    #[tokio::test]
    async fn a_stream_that_fails_leaves_nothing() {
        let (_dir, objects) = store();
        let good = futures::stream::iter((0..40).map(|_| Ok(Bytes::from(vec![7; 100_000]))));
        assert_eq!(objects.put_stream("a/good", good).await.unwrap(), 4_000_000);
        assert_eq!(objects.get("a/good").await.unwrap(), vec![7; 4_000_000]);
        let empty = futures::stream::iter([]);
        assert_eq!(objects.put_stream("a/empty", empty).await.unwrap(), 0);
        assert_eq!(objects.get("a/empty").await.unwrap(), "");
        let bad = futures::stream::iter([Ok(Bytes::from("x")), Err(std::io::Error::other("digest"))]);
        let failed = objects.put_stream("a/bad", bad).await.unwrap_err();
        assert!(matches!(failed, ObjectError::Source { .. }), "{failed}");
        let names: Vec<_> = objects.list("a").await.unwrap().into_iter().map(|m| m.path).collect();
        assert_eq!(names, ["a/empty", "a/good"]);
    }

    #[tokio::test]
    async fn what_is_published_first_stays() {
        let (_dir, objects) = store();
        for text in ["one", "two"] {
            objects.put_new(&format!("staged/{text}"), text).await.unwrap();
        }
        assert!(!objects.exists("snapshots/x").await.unwrap());
        assert!(objects.publish("staged/one", "snapshots/x").await.unwrap());
        assert!(!objects.publish("staged/two", "snapshots/x").await.unwrap());
        assert_eq!(objects.get("snapshots/x").await.unwrap(), "one");
        assert!(objects.exists("snapshots/x").await.unwrap());
        assert_eq!(objects.list("staged").await.unwrap(), []);
        let nothing = objects.publish("staged/three", "snapshots/y").await.unwrap_err();
        assert!(matches!(nothing, ObjectError::NotFound(_)), "{nothing}");
    }

    #[tokio::test]
    async fn paths_stay_inside() {
        let (_dir, objects) = store();
        for bad in ["", "/etc/passwd", "a//b", "a/../b", "a/.hidden", "a\\b", "a\0b", "ü"] {
            let error = objects.put_new(bad, "x").await.unwrap_err();
            assert!(matches!(error, ObjectError::BadPath(_)), "{bad:?}: {error}");
        }
    }
}
