//! Somebody who asks for pages all the time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::http::Connection;

/// Threads that each keep a connection open and ask for one page after another, together at a steady rate.
#[derive(Debug)]
pub struct Scraper {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Scraped>>>,
    began: Instant,
}

/// What a scraper got.
#[derive(Debug, Clone, Default)]
pub struct Scraped {
    /// How many answers had each status.
    pub answers: BTreeMap<u16, usize>,
    /// Bytes of the bodies.
    pub bytes: usize,
    /// How long it went on.
    pub took: Duration,
}

impl Scraped {
    /// All answers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.answers.values().sum()
    }
}

impl Scraper {
    /// Starts to ask for these paths in turn, as a stranger, with so many connections and so many requests a second; fewer
    /// if the server does not keep up.
    #[must_use]
    pub fn start(at: SocketAddr, paths: &[String], connections: u32, per_second: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let each = Duration::from_secs(1) * connections / per_second.max(1);
        let thread = |n: u32| {
            let (stop, paths) = (Arc::clone(&stop), paths.to_vec());
            std::thread::spawn(move || scrape(at, &paths, n as usize, each, &stop))
        };
        let threads = (0..connections).map(thread).collect();
        Self { stop, threads, began: Instant::now() }
    }

    /// Ends it, after the answers that are on their way.
    ///
    /// # Errors
    /// When the server answered something that is not HTTP, or not at all.
    pub fn stop(self) -> Result<Scraped> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Scraped { took: self.began.elapsed(), ..Scraped::default() };
        for thread in self.threads {
            let one = thread.join().map_err(|_| anyhow!("a scraper panicked"))??;
            for (status, count) in one.answers {
                *all.answers.entry(status).or_default() += count;
            }
            all.bytes += one.bytes;
        }
        Ok(all)
    }
}

fn scrape(
    at: SocketAddr,
    paths: &[String],
    first: usize,
    each: Duration,
    stop: &AtomicBool,
) -> Result<Scraped> {
    let mut found = Scraped::default();
    let mut connection = Connection::open(at)?;
    let mut next = Instant::now();
    for path in paths.iter().cycle().skip(first) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let answer = match connection.get(path) {
            Ok(answer) => answer,
            // A server may close a connection between two requests.
            Err(_) => {
                connection = Connection::open(at)?;
                connection.get(path)?
            }
        };
        *found.answers.entry(answer.status).or_default() += 1;
        found.bytes += answer.body.len();
        next = (next + each).max(Instant::now() - each);
        std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
    }
    Ok(found)
}
