//! What is recorded: the scheduler's inputs, and marks between them.

use serde::{Deserialize, Serialize};
use store::{BuildId, Micros, WorkerId};

use crate::schedule::Event;

/// What is recorded besides the scheduler's inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Mark {
    /// A coordinator begins with an empty scheduler, and tells it of what it finds.
    Started,
    /// It has told it of all that there is.
    Recovered,
    /// A build was given a machine.
    Leased {
        /// The build.
        build: BuildId,
        /// The machine.
        worker: WorkerId,
        /// The machine's host.
        host: String,
    },
}

impl Mark {
    /// What it is called among the kinds of events.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Mark::Started => "started",
            Mark::Recovered => "recovered",
            Mark::Leased { .. } => "leased",
        }
    }
}

/// A row's content.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all of what is recorded are events")]
pub enum Record {
    /// An input of the scheduler.
    Event(Event),
    /// A mark.
    Mark(Mark),
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its place in the order.
    pub seq: i64,
    /// When it happened.
    pub time: Micros,
    /// What.
    pub what: Record,
}

/// Says that a row is not what this program writes.
#[derive(Debug, thiserror::Error)]
#[error(
    "event {seq} of kind {kind:?} can't be read: {source}; is this program older than the server that wrote it?"
)]
pub struct Unreadable {
    /// The row.
    pub seq: i64,
    /// Its kind.
    pub kind: String,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}

impl Recorded {
    /// Reads a row of `events`.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(seq: i64, time: Micros, kind: &str, body: &str) -> Result<Recorded, Unreadable> {
        let what = match kind {
            "started" | "recovered" | "leased" => serde_json::from_str(body).map(Record::Mark),
            _ => serde_json::from_str(body).map(Record::Event),
        };
        let what = what.map_err(|source| Unreadable { seq, kind: kind.to_owned(), source })?;
        Ok(Recorded { seq, time, what })
    }
}
