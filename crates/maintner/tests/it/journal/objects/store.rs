//! A store in memory, with weather.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

static MET: AtomicU64 = AtomicU64::new(0);

/// How many calls failed so far, of all stores.
pub fn met() -> u64 {
    MET.load(Ordering::Relaxed)
}

#[derive(Debug, Clone, Default)]
pub struct Weather {
    pub seed: u64,
    /// Of 100 calls.
    pub fails: u32,
    /// Some calls take longer than anybody waits, and what they do is done later.
    pub slow: bool,
    /// No segment can be put.
    pub no_segments: bool,
    /// Putting a segment has no end.
    pub segments_hang: bool,
    /// What was put is not seen by up to so many reads of it, which find what was there before.
    pub stale: u32,
}

/// What reads find of an object that was put, and how many.
#[derive(Debug)]
struct Before {
    reads: u32,
    bytes: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Stormy {
    inner: std::sync::Arc<InMemory>,
    weather: Mutex<(Weather, fastrand::Rng)>,
    before: Mutex<HashMap<Path, Before>>,
    pub creates: AtomicU64,
    /// Reads that found what was there before.
    pub stale: AtomicU64,
    /// Segments whose putting has no end.
    pub hanging: AtomicU64,
}

impl Default for Stormy {
    fn default() -> Self {
        let weather = Mutex::new((Weather::default(), fastrand::Rng::with_seed(0)));
        Self {
            inner: std::sync::Arc::default(),
            weather,
            before: Mutex::default(),
            creates: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            hanging: AtomicU64::new(0),
        }
    }
}

/// What becomes of a call.
enum Luck {
    Good,
    Fails,
    /// It is done, and says that it failed.
    DoneAndFails,
    Late,
}

impl Stormy {
    pub fn set(&self, weather: Weather) {
        let random = fastrand::Rng::with_seed(weather.seed);
        if weather.stale == 0 {
            self.before.lock().unwrap().clear();
        }
        *self.weather.lock().unwrap() = (weather, random);
    }

    pub async fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.inner.list(None).map(|found| found.unwrap().location.to_string()).collect().await;
        names.sort();
        names
    }

    pub async fn read(&self, name: &str) -> Vec<u8> {
        self.inner.get(&Path::from(name)).await.unwrap().bytes().await.unwrap().to_vec()
    }

    pub async fn write(&self, name: &str, bytes: Vec<u8>) {
        self.inner.put(&Path::from(name), bytes.into()).await.unwrap();
    }

    /// What the next reads of an object find that is to be put.
    async fn remember(&self, at: &Path) {
        let reads = {
            let mut weather = self.weather.lock().unwrap();
            let most = weather.0.stale;
            weather.1.u32(..=most)
        };
        if reads == 0 {
            return;
        }
        let bytes = match self.inner.get(at).await {
            Ok(found) => Some(found.bytes().await.unwrap().to_vec()),
            Err(_) => None,
        };
        // What was put before, and was not seen yet, is still not seen.
        self.before.lock().unwrap().entry(at.clone()).or_insert(Before { reads: 0, bytes }).reads = reads;
    }

    /// What a read finds of an object that was put and is not seen yet.
    fn remembered(&self, at: &Path) -> Option<Option<Vec<u8>>> {
        let mut all = self.before.lock().unwrap();
        let before = all.get_mut(at)?;
        before.reads -= 1;
        let bytes = before.bytes.clone();
        if before.reads == 0 {
            all.remove(at);
        }
        self.stale.fetch_add(1, Ordering::Relaxed);
        Some(bytes)
    }

    fn luck(&self) -> Luck {
        let mut weather = self.weather.lock().unwrap();
        let (fails, slow) = (weather.0.fails, weather.0.slow);
        let random = &mut weather.1;
        if random.u32(..100) >= fails {
            return Luck::Good;
        }
        MET.fetch_add(1, Ordering::Relaxed);
        match random.u32(..10) {
            0..4 => Luck::Fails,
            4..8 => Luck::DoneAndFails,
            _ if slow => Luck::Late,
            _ => Luck::Fails,
        }
    }
}

fn failed() -> Error {
    Error::Generic { store: "Stormy", source: "it rains".into() }
}

impl fmt::Display for Stormy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stormy")
    }
}

#[async_trait]
impl ObjectStore for Stormy {
    async fn put_opts(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if matches!(options.mode, PutMode::Create) {
            self.creates.fetch_add(1, Ordering::Relaxed);
        }
        if at.as_ref().ends_with(".mutlog") && self.weather.lock().unwrap().0.no_segments {
            return Err(failed());
        }
        if at.as_ref().ends_with(".mutlog") && self.weather.lock().unwrap().0.segments_hang {
            self.hanging.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
        let known = self.inner.head(at).await.is_ok();
        if !known || !matches!(options.mode, PutMode::Create) {
            self.remember(at).await;
        }
        match self.luck() {
            Luck::Good => self.inner.put_opts(at, payload, options).await,
            Luck::Fails => Err(failed()),
            Luck::DoneAndFails => {
                self.inner.put_opts(at, payload, options).await?;
                Err(failed())
            }
            Luck::Late => {
                let (inner, at) = (self.inner.clone(), at.clone());
                let late = tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(70)).await;
                    inner.put_opts(&at, payload, options).await
                });
                late.await.map_err(|_| failed())?
            }
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(failed())
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        match self.remembered(at) {
            Some(None) => {
                return Err(Error::NotFound {
                    path: at.to_string(),
                    source: "it was not heard of yet".into(),
                });
            }
            Some(Some(bytes)) => {
                let old = InMemory::new();
                old.put(at, bytes.into()).await?;
                return old.get_opts(at, options).await;
            }
            None => {}
        }
        match self.luck() {
            Luck::Good => self.inner.get_opts(at, options).await,
            Luck::Fails | Luck::DoneAndFails => Err(failed()),
            Luck::Late => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Err(failed())
            }
        }
    }

    fn delete_stream(&self, all: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.luck() {
            Luck::Good => self.inner.delete_stream(all),
            _ => futures::stream::once(async { Err(failed()) }).boxed(),
        }
    }

    /// As of a store whose lists are late by a day.
    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::empty().boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(failed())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(failed())
    }
}
