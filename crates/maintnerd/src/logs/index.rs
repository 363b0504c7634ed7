//! The index, written once for each version of the log, whoever many ask for it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde::Serialize;

use maintner::journal::{Committed, Segment};

/// A segment as clients read it.
#[derive(Serialize)]
struct Element {
    number: u32,
    size: u64,
    sha224: String,
    url: String,
}

/// An index, and what it is of.
#[derive(Debug)]
struct Newest {
    of: Arc<Committed>,
    copied: usize,
    text: Bytes,
}

/// The newest index, and how it is written.
#[derive(Debug)]
pub(super) struct Shown {
    sealed_at: Option<String>,
    newest: Mutex<Option<Newest>>,
}

impl Shown {
    pub(super) fn new(sealed_at: Option<String>) -> Self {
        let sealed_at = sealed_at.map(|base| base.trim_end_matches('/').to_owned());
        Self { sealed_at, newest: Mutex::new(None) }
    }

    /// The list from a segment on, with the bytes of those that are listed. So many have been copied.
    pub(super) fn list(&self, committed: &Arc<Committed>, from: u64, copied: usize) -> (Bytes, u64) {
        let listed = || committed.segments.iter().filter(move |segment| u64::from(segment.number) >= from);
        let bytes = listed().map(|segment| segment.size).sum();
        if from > 0 {
            return (self.written(listed(), copied), bytes);
        }
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = newest.as_ref()
            && Arc::ptr_eq(&known.of, committed)
            && known.copied == copied
        {
            return (known.text.clone(), bytes);
        }
        let text = self.written(listed(), copied);
        *newest = Some(Newest { of: committed.clone(), copied, text: text.clone() });
        (text, bytes)
    }

    /// Where a segment is.
    pub(super) fn url(&self, segment: &Segment, copied: usize) -> String {
        let (number, name) = (segment.number, segment.name());
        match &self.sealed_at {
            _ if !segment.sealed => format!("/logs/{number}"),
            Some(base) if (number as usize) < copied => format!("{base}/{name}"),
            _ => format!("/logs/{number}/{name}"),
        }
    }

    fn written<'a>(&self, segments: impl Iterator<Item = &'a Segment>, copied: usize) -> Bytes {
        let list: Vec<Element> = segments
            .map(|segment| Element {
                number: segment.number,
                size: segment.size,
                sha224: hex::encode(segment.sha224),
                url: self.url(segment, copied),
            })
            .collect();
        let mut text = Vec::new();
        let form = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        list.serialize(&mut serde_json::Serializer::with_formatter(&mut text, form))
            .expect("numbers and text are always written to memory");
        text.into()
    }
}
