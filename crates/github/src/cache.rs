//! Answers that GitHub need not send again, by their ETag.

use std::collections::HashMap;

use bytes::Bytes;
use http::HeaderValue;

/// The most answers that are kept.
const MOST: usize = 1024;

/// An answer that was sent once.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) etag: HeaderValue,
    pub(crate) body: Bytes,
    pub(crate) next: Option<String>,
}

/// What was sent last for each path, up to a limit of bytes; who was asked for longest ago goes first.
#[derive(Debug)]
pub(crate) struct Cache {
    limit: usize,
    bytes: usize,
    turn: u64,
    entries: HashMap<String, (u64, Kept)>,
}

impl Cache {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, turn: 0, entries: HashMap::new() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Option<Kept> {
        self.turn += 1;
        let (turn, kept) = self.entries.get_mut(path)?;
        *turn = self.turn;
        Some(kept.clone())
    }

    pub(crate) fn keep(&mut self, path: &str, kept: Kept) {
        self.forget(path);
        if kept.body.len() > self.limit / 4 {
            return;
        }
        while self.bytes + kept.body.len() > self.limit || self.entries.len() >= MOST {
            let Some(oldest) =
                self.entries.iter().min_by_key(|(_, (turn, _))| *turn).map(|(path, _)| path.clone())
            else {
                break;
            };
            self.forget(&oldest);
        }
        self.turn += 1;
        self.bytes += kept.body.len();
        self.entries.insert(path.to_owned(), (self.turn, kept));
    }

    pub(crate) fn forget(&mut self, path: &str) {
        if let Some((_, old)) = self.entries.remove(path) {
            self.bytes -= old.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(size: usize) -> Kept {
        Kept { etag: HeaderValue::from_static("\"x\""), body: vec![0; size].into(), next: None }
    }

    #[test]
    fn it_never_holds_more_than_its_limit() {
        let mut cache = Cache::new(100);
        for path in ["a", "b", "c", "d"] {
            cache.keep(path, kept(25));
        }
        assert!(cache.get("a").is_some());
        cache.keep("e", kept(25));
        assert!(cache.get("a").is_some() && cache.get("b").is_none() && cache.bytes == 100);
        cache.keep("e", kept(5));
        assert_eq!(cache.bytes, 80);
        cache.keep("f", kept(26));
        assert!(cache.get("f").is_none() && cache.bytes == 80, "what is large keeps nothing else out");
    }
}
