//! A log that is written by hand, and served.

use std::path::Path;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use maintner::journal::{Committed, Segment};
use maintnerd::logs::{Logs, LogsConfig, routes};
use prost::Message as _;
use sha2::{Digest as _, Sha224};
use tokio::sync::watch;
use transport::Viewer;

/// A folder with a log, of which all that is written is committed at once.
pub struct Written {
    pub dir: tempfile::TempDir,
    pub committed: watch::Sender<Arc<Committed>>,
    growing: Vec<u8>,
}

impl Written {
    pub fn new() -> Self {
        let committed = watch::Sender::new(Arc::default());
        Self { dir: tempfile::tempdir().unwrap(), committed, growing: Vec::new() }
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn now(&self) -> Committed {
        Committed::clone(&self.committed.borrow())
    }

    fn show(&self, mut segments: Vec<Segment>, sealed: bool) {
        let total: u64 = segments.iter().map(|segment| segment.size).sum();
        let size = self.growing.len() as u64;
        if size > 0 {
            let number = u32::try_from(segments.len()).unwrap();
            segments.push(Segment { number, size, sha224: Sha224::digest(&self.growing).into(), sealed });
        }
        self.committed.send_replace(Arc::new(Committed { segments, total: total + size }));
    }

    fn sealed(&self) -> Vec<Segment> {
        self.now().segments.into_iter().filter(|segment| segment.sealed).collect()
    }

    /// Appends a record that names a repo; gives its length with its header.
    pub fn add(&mut self, repo: &str) -> u64 {
        self.add_payload(&mutation(repo))
    }

    pub fn add_payload(&mut self, payload: &[u8]) -> u64 {
        let before = self.growing.len();
        self.growing.extend(maintner::reclog::header(before as u64, payload.len()).bytes());
        self.growing.extend(payload);
        let sealed = self.sealed();
        std::fs::write(self.dir.path().join(format!("{:04}.growing.mutlog", sealed.len())), &self.growing)
            .unwrap();
        self.show(sealed, false);
        (self.growing.len() - before) as u64
    }

    /// Seals the segment that grows.
    pub fn seal(&mut self) {
        let before = self.sealed();
        self.show(before, true);
        let last = *self.now().segments.last().unwrap();
        let growing = self.dir.path().join(format!("{:04}.growing.mutlog", last.number));
        std::fs::rename(growing, self.dir.path().join(last.name())).unwrap();
        self.growing.clear();
    }

    /// Puts other bytes in the place of those of the segment that grows.
    pub fn rewrite(&mut self, repos: &[&str]) {
        // As a leader would that lost what it had not stored; the file is another one.
        let _ =
            std::fs::remove_file(self.dir.path().join(format!("{:04}.growing.mutlog", self.sealed().len())));
        self.growing.clear();
        for repo in repos {
            self.add(repo);
        }
    }

    pub fn logs(&self, config: LogsConfig) -> Logs {
        Logs::new(self.folder().to_path_buf(), self.committed.subscribe(), config)
    }
}

pub fn mutation(repo: &str) -> Vec<u8> {
    let github = maintpb::GithubMutation { owner: "golang".into(), repo: repo.into(), ..Default::default() };
    maintpb::Mutation { github: Some(github), ..Default::default() }.encode_to_vec()
}

/// The routes, asked by a reader.
pub fn open(logs: &Logs) -> axum::Router {
    routes(logs, maintnerd::Readers::All).into_router().layer(from_fn(|mut request: Request, next: Next| {
        request.extensions_mut().insert(Viewer::service(Viewer::ANOTHER_SERVICE));
        next.run(request)
    }))
}
