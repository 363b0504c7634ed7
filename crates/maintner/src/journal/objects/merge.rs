//! Uploads full segments, beside what goes on, and removes their tails then.

use std::collections::BTreeSet;
use std::path::PathBuf;

use futures::StreamExt as _;
use tokio::sync::{mpsc, watch};

use super::calls::{Calls, Put};
use super::seals::Seals;
use super::tail::Tail;
use crate::journal::Segment;
use crate::journal::storage::StorageError;

/// Tails that are removed at a time.
const AT_ONCE: usize = 16;

/// A segment that is full.
#[derive(Debug)]
pub(super) struct Full {
    pub segment: Segment,
    /// The first tail of the next one.
    pub next: u64,
}

pub(super) struct Merger {
    pub calls: Calls,
    pub folder: PathBuf,
    /// What is sealed so far.
    pub seals: Seals,
    /// Tails that stay.
    pub claims: BTreeSet<u64>,
    /// Why it does not go on.
    pub trouble: watch::Sender<Option<String>>,
    /// How many segments have their objects.
    pub stored: watch::Sender<usize>,
}

impl Merger {
    /// Uploads what comes, in its order. What fails is tried until it works: until then the tails say it all.
    pub async fn run(mut self, mut full: mpsc::Receiver<Full>) {
        while let Some(next) = full.recv().await {
            while let Err(why) = self.merge(&next).await {
                tracing::error!(error = %why, segment = next.segment.number, "a full segment can't be uploaded");
                self.trouble.send_replace(Some(why.to_string()));
                self.calls.rest().await;
            }
            self.trouble.send_replace(None);
            self.stored.send_replace(self.seals.segments.len());
        }
    }

    async fn merge(&mut self, full: &Full) -> Result<(), StorageError> {
        let path = self.folder.join(full.segment.name());
        let bytes = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || std::fs::read(path))
                .await
                .map_err(|_| StorageError::Stopped)?
        };
        // The folder is a copy, and what is in the store counts.
        let bytes = match bytes {
            Ok(bytes) if full.segment.has(&bytes) => bytes,
            _ => {
                tracing::warn!(file = %path.display(), "it is not what was sealed: the tails are read again");
                self.of_tails(full).await?
            }
        };
        self.calls.put_segment(&full.segment, bytes).await?;
        let mut seals = self.seals.clone();
        seals.segments.push(full.segment);
        seals.next = full.next;
        let encoded = seals.encode().into_bytes();
        let name = self.calls.seals_name(full.segment.number);
        if self.calls.create(&name, encoded.clone()).await? == Put::Exists {
            // Of a leader before this one, which says the same: both have it from the tails.
            let found = self.calls.get_seals(full.segment.number).await?;
            if found.as_ref() != Some(&encoded) {
                let why = "another list of segments is there".to_owned();
                return Err(StorageError::Object { object: name, what: "creating it", why });
            }
        }
        let tails = (self.seals.next..full.next).filter(|number| !self.claims.contains(number));
        let mut removed = futures::stream::iter(tails.collect::<Vec<_>>())
            .map(|number| {
                let (calls, name) = (self.calls.clone(), self.calls.tail_name(number));
                async move { calls.delete(&name).await }
            })
            .buffer_unordered(AT_ONCE);
        while let Some(done) = removed.next().await {
            if let Err(why) = done {
                // Nobody reads it any more.
                tracing::warn!(error = %why, "a tail of a sealed segment stays");
            }
        }
        drop(removed);
        self.seals = seals;
        Ok(())
    }

    /// The segment's bytes by its tails.
    async fn of_tails(&self, full: &Full) -> Result<Vec<u8>, StorageError> {
        let mut all = Vec::new();
        for number in self.seals.next..full.next {
            if let Some(Tail::Group { number: of, bytes, .. }) = self.calls.get_tail(number).await?
                && of == full.segment.number
            {
                all.extend(bytes);
            }
        }
        if full.segment.has(&all) {
            return Ok(all);
        }
        let why = "neither the file nor the tails have the bytes that were sealed".to_owned();
        Err(StorageError::Object {
            object: self.calls.segment_name(&full.segment),
            what: "uploading it",
            why,
        })
    }
}
