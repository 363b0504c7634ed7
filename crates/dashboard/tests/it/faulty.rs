//! An object store that goes on for so long and then refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// A store of which so many puts and deletes succeed.
#[derive(Debug)]
pub(crate) struct Faulty {
    store: Arc<dyn ObjectStore>,
    puts: AtomicI64,
    deletes: AtomicI64,
    error: fn() -> std::io::Error,
}

impl Faulty {
    /// On a disk that is full.
    pub(crate) fn full() -> Faulty {
        let (puts, deletes) = (AtomicI64::new(0), AtomicI64::new(i64::MAX));
        Faulty {
            store: Arc::new(InMemory::new()),
            puts,
            deletes,
            error: || std::io::ErrorKind::StorageFull.into(),
        }
    }

    /// Lets so many objects be deleted, as if the process had died then.
    pub(crate) fn dies(store: Arc<dyn ObjectStore>, deletes: i64) -> Faulty {
        let (puts, deletes) = (AtomicI64::new(i64::MAX), AtomicI64::new(deletes));
        Faulty { store, puts, deletes, error: || std::io::Error::other("died here") }
    }

    fn let_one(&self, left: &AtomicI64) -> Result<()> {
        match left.fetch_sub(1, Ordering::Relaxed) {
            1.. => Ok(()),
            _ => Err(Error::Generic { store: "faulty", source: Box::new((self.error)()) }),
        }
    }
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.let_one(&self.puts)?;
        self.store.put_opts(at, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.let_one(&self.puts)?;
        self.store.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        self.store.get_opts(at, options).await
    }

    fn delete_stream(&self, at: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.let_one(&self.deletes) {
            Ok(()) => self.store.delete_stream(at),
            Err(error) => Box::pin(futures::stream::iter([Err(error)])),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.let_one(&self.puts)?;
        self.store.copy_opts(from, to, options).await
    }
}
