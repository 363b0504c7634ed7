//! Commits as `tar.gz`: made once for all who ask, kept on disk by (repository, commit), small ones in memory.

mod marks;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::{self, Stream};
use git::{ObjectId, Repository};
use tokio::io::AsyncReadExt;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::lru::Lru;

/// Archives up to this size, in bytes, may stay in memory.
const SMALL: u64 = 8 << 20;
/// How much tar is compressed at a time, and how much is read for an answer at a time, in bytes.
const CHUNK: usize = 256 << 10;
/// How many archives are made at a time.
const MAKERS: usize = 4;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Key {
    repo: String,
    commit: ObjectId,
}

/// All archives.
pub(crate) struct Archives {
    shared: Arc<Shared>,
    tasks: TaskTracker,
    cancel: CancellationToken,
    _end: DropGuard,
}

struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    makers: Semaphore,
}

struct State {
    memory: Lru<Key, Bytes>,
    /// Sizes of the files.
    disk: Lru<Key, u64>,
    jobs: HashMap<Key, Job>,
    next: u64,
}

/// An archive that is being made.
#[derive(Clone)]
struct Job {
    file: Arc<File>,
    progress: watch::Receiver<Progress>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    bytes: u64,
    end: Option<Result<(), Arc<str>>>,
}

/// An archive, as far as it exists.
pub(crate) enum Body {
    Whole(Bytes),
    File { file: Arc<File>, size: u64 },
    Growing(Growing),
}

/// An archive that is read while it is being made.
pub(crate) struct Growing(Job);

impl Archives {
    pub(crate) async fn open(dir: &Path, disk_bytes: u64, memory_bytes: u64) -> io::Result<Self> {
        let mut state = State {
            memory: Lru::new(memory_bytes),
            disk: Lru::new(disk_bytes),
            jobs: HashMap::new(),
            next: 0,
        };
        let folder = dir.to_owned();
        let state = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&folder)?;
            let mut found = Vec::new();
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let data = entry.metadata()?;
                match entry.file_name().to_str().and_then(key_of) {
                    Some(key) => found.push((data.modified()?, key, data.len())),
                    None => std::fs::remove_file(entry.path())?,
                }
            }
            found.sort_by_key(|(time, ..)| *time);
            for (_, key, size) in found {
                for (key, _) in state.disk.insert(key, size, size) {
                    std::fs::remove_file(folder.join(name_of(&key)))?;
                }
            }
            io::Result::Ok(state)
        })
        .await??;
        let shared = Shared { dir: dir.to_owned(), state: Mutex::new(state), makers: Semaphore::new(MAKERS) };
        let cancel = CancellationToken::new();
        let _end = cancel.clone().drop_guard();
        Ok(Archives { shared: Arc::new(shared), tasks: TaskTracker::new(), cancel, _end })
    }

    /// Gives the archive of a commit that is in the repository.
    pub(crate) async fn get(
        &self,
        repo: &str,
        commit: ObjectId,
        repository: &Repository,
    ) -> io::Result<Body> {
        let key = Key { repo: repo.to_owned(), commit };
        if let Some(body) = self.shared.kept(&key).await {
            return Ok(body);
        }
        let job = self.job(&key, repository)?;
        let mut progress = job.progress.clone();
        let first = progress.wait_for(|progress| progress.bytes > 0 || progress.end.is_some()).await;
        match first.map(|progress| progress.clone()) {
            Ok(Progress { end: Some(Err(error)), .. }) => Err(io::Error::other(error.to_string())),
            Ok(Progress { end: Some(Ok(())), bytes }) => Ok(Body::File { file: job.file, size: bytes }),
            Ok(_) => Ok(Body::Growing(Growing(job))),
            Err(_) => Err(ended()),
        }
    }

    /// Joins the job of this archive, or starts it.
    fn job(&self, key: &Key, repository: &Repository) -> io::Result<Job> {
        let mut state = self.shared.state();
        if let Some(job) = state.jobs.get(key) {
            return Ok(job.clone());
        }
        state.next += 1;
        let path = self.shared.dir.join(format!("new-{}", state.next));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        let file = Arc::new(file);
        let (sender, progress) = watch::channel(Progress::default());
        let job = Job { file: file.clone(), progress };
        state.jobs.insert(key.clone(), job.clone());
        drop(state);
        let (shared, key, repository) = (self.shared.clone(), key.clone(), repository.clone());
        let cancel = self.cancel.clone();
        self.tasks.spawn(async move {
            let result = tokio::select! {
                () = cancel.cancelled() => Err(ended()),
                result = shared.make(&key, &repository, file, &sender) => result,
            };
            let result = match result {
                Ok(size) => shared.keep(&key, &path, size).await,
                Err(error) => {
                    let _ = tokio::fs::remove_file(&path).await;
                    Err(error)
                }
            };
            shared.state().jobs.remove(&key);
            sender.send_modify(|progress| {
                progress.end = Some(result.map_err(|error| error.to_string().into()))
            });
        });
        Ok(job)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds an archive in memory or on disk.
    async fn kept(&self, key: &Key) -> Option<Body> {
        let size = {
            let mut state = self.state();
            if let Some(bytes) = state.memory.get(key) {
                return Some(Body::Whole(bytes));
            }
            state.disk.get(key)?
        };
        let path = self.dir.join(name_of(key));
        let read = tokio::task::spawn_blocking(move || {
            let file = File::open(path)?;
            if size > SMALL {
                return Ok(Body::File { file: Arc::new(file), size });
            }
            let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, 0)?;
            io::Result::Ok(Body::Whole(bytes.into()))
        });
        match read.await {
            Ok(Ok(Body::Whole(bytes))) => {
                self.state().memory.insert(key.clone(), bytes.clone(), bytes.len() as u64);
                Some(Body::Whole(bytes))
            }
            Ok(Ok(body)) => Some(body),
            // Someone took the file away; it is made again.
            _ => {
                self.state().disk.remove(key);
                None
            }
        }
    }

    async fn make(
        &self,
        key: &Key,
        repository: &Repository,
        file: Arc<File>,
        progress: &watch::Sender<Progress>,
    ) -> io::Result<u64> {
        let _permit = self.makers.acquire().await.map_err(io::Error::other)?;
        let mut tar = repository.archive(key.commit, None).await.map_err(io::Error::other)?;
        let mut file = Some(Counting { file, bytes: 0 });
        let mut packer = None;
        let mut chunk = Vec::with_capacity(CHUNK);
        let packer = loop {
            chunk.clear();
            while chunk.len() < CHUNK && tar.read_buf(&mut chunk).await? > 0 {}
            let last = chunk.len() < CHUNK;
            let mut packing = match (packer.take(), file.take()) {
                (None, Some(file)) => marks::start(file, &chunk),
                (Some(packing), _) => packing,
                (None, None) => return Err(ended()),
            };
            (packing, chunk) = tokio::task::spawn_blocking(move || {
                packing.write_all(&chunk)?;
                io::Result::Ok((packing, chunk))
            })
            .await??;
            if last {
                break packing;
            }
            let bytes = packing.get_ref().bytes;
            progress.send_modify(|progress| progress.bytes = bytes);
            packer = Some(packing);
        };
        let bytes = tokio::task::spawn_blocking(move || io::Result::Ok(packer.finish()?.bytes)).await??;
        progress.send_modify(|progress| progress.bytes = bytes);
        Ok(bytes)
    }

    /// Puts a finished archive in its place and makes room.
    async fn keep(&self, key: &Key, path: &Path, size: u64) -> io::Result<()> {
        tokio::fs::rename(path, self.dir.join(name_of(key))).await?;
        let out = self.state().disk.insert(key.clone(), size, size);
        for (key, _) in out {
            let _ = tokio::fs::remove_file(self.dir.join(name_of(&key))).await;
        }
        Ok(())
    }
}

impl Body {
    /// Whether the tree has submodules, whose folders are empty in the archive.
    pub(crate) fn has_submodules(&self) -> bool {
        let mut head = [0; marks::HEAD];
        match self {
            Body::Whole(bytes) => marks::has_submodules(bytes),
            Body::File { file, .. } | Body::Growing(Growing(Job { file, .. })) => {
                let length = file.read_at(&mut head, 0).unwrap_or(0);
                marks::has_submodules(&head[..length])
            }
        }
    }

    /// The size, where it is known before the end.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Body::Whole(bytes) => Some(bytes.len() as u64),
            Body::File { size, .. } => Some(*size),
            Body::Growing(_) => None,
        }
    }

    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let (reader, first) = match self {
            Body::Whole(bytes) => (None, Some(bytes)),
            Body::File { file, size } => {
                let done = Progress { bytes: size, end: Some(Ok(())) };
                (Some((Job { file, progress: watch::channel(done).1 }, 0)), None)
            }
            Body::Growing(Growing(job)) => (Some((job, 0)), None),
        };
        stream::try_unfold((reader, first), |(reader, first)| async move {
            if let Some(bytes) = first {
                return Ok(Some((bytes, (reader, None))));
            }
            let Some((job, at)) = reader else { return Ok(None) };
            match job.read(at).await? {
                Some(bytes) => {
                    let at = at + bytes.len() as u64;
                    Ok(Some((bytes, (Some((job, at)), None))))
                }
                None => Ok(None),
            }
        })
    }
}

impl Job {
    /// Reads what is there behind `at`, waiting for it; `None` at the end.
    async fn read(&self, at: u64) -> io::Result<Option<Bytes>> {
        let mut progress = self.progress.clone();
        let wanted = |progress: &Progress| progress.bytes > at || progress.end.is_some();
        let now = match progress.wait_for(wanted).await {
            Ok(now) => now.clone(),
            Err(_) => return Err(ended()),
        };
        if now.bytes <= at {
            return match now.end {
                Some(Err(error)) => Err(io::Error::other(error.to_string())),
                _ => Ok(None),
            };
        }
        let size = (now.bytes - at).min(CHUNK as u64) as usize;
        let file = self.file.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, at)?;
            io::Result::Ok(bytes)
        });
        Ok(Some(read.await??.into()))
    }
}

fn ended() -> io::Error {
    io::Error::other("the mirror is being stopped")
}

struct Counting {
    file: Arc<File>,
    bytes: u64,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write_at(bytes, self.bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn name_of(key: &Key) -> String {
    format!("{}@{}.tar.gz", key.repo, key.commit)
}

fn key_of(name: &str) -> Option<Key> {
    let (repo, commit) = name.strip_suffix(".tar.gz")?.split_once('@')?;
    Some(Key { repo: repo.to_owned(), commit: commit.parse().ok()? })
}
