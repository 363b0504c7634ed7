//! Which landed commit broke a builder: a break is confirmed, bisected on machines that nobody else wants, and its author told once.
//!
//! A break is a build of a landed commit that failed where the build before it of the same builder went well ([`find`]). It is
//! made once more; if it fails alike, the range between the two is searched with [`triage::Bisection`] ([`search`]), whose state is
//! written down with the builds that it asks for, so that a coordinator that starts again goes on. All builds of it are
//! of the class `backfill`: they run when nothing else would.

mod find;
mod range;
mod say;
mod search;

use std::time::Duration;

use dashboard::api::Cause;
use store::bisections::{self, BisectionRow};
use store::builds::{self, NewBuild};
use store::samples::{self, SampleRow};
use store::{BuildId, StoreError};

use crate::core::Message;
use crate::ledger::transition;
use crate::outbox;
use crate::samples::{Trouble, send_stopped, stop};
use crate::work::Finder;

pub(crate) use range::Doc;

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(2);

/// Finds culprits.
pub(crate) struct Culprits {
    finder: Finder,
    seen: find::Seen,
}

/// What is to be done in one transaction.
#[derive(Default)]
struct Work {
    counted: Vec<BuildId>,
    new: Vec<(NewBuild, SampleRow)>,
    over: Vec<BuildId>,
    message: Option<outbox::Message>,
}

impl Culprits {
    pub fn new(finder: Finder) -> Culprits {
        let seen = find::Seen::since(finder.shared.ledger.clock().now());
        Culprits { finder, seen }
    }

    /// Looks again and again.
    pub async fn run(mut self) {
        let mut quiet = 0_u32;
        loop {
            match self.look().await {
                Ok(()) => quiet = 0,
                // Another coordinator leads.
                Err(Trouble::Store(StoreError::Stale)) => return,
                Err(error) => {
                    if quiet.is_multiple_of(30) {
                        tracing::warn!(%error, "culprits can't be looked for; trying again");
                    }
                    quiet = quiet.wrapping_add(1);
                }
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn look(&mut self) -> Result<(), Trouble> {
        self.find().await?;
        let open = bisections::open(&mut self.finder.shared.ledger.db().read().await?).await?;
        let mut first = None;
        for row in open {
            // One that can't be gone on with keeps no other waiting.
            if let Err(error) = self.go_on(row).await {
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    async fn carry_out(&self, row: &BisectionRow, work: Work) -> Result<(), Trouble> {
        let ledger = &self.finder.shared.ledger;
        let now = ledger.clock().now();
        let cause = Cause { kind: "bisection".into(), detail: "what it was to tell is known".into() };
        let cause = serde_json::to_string(&cause).unwrap_or_default();
        let (queued, stopped) = transition!(ledger, "bisect", row.id, |tx| {
            bisections::put(&mut tx, row).await?;
            for build in &work.counted {
                samples::counted(&mut tx, *build).await?;
            }
            let mut queued = Vec::new();
            for (new, sample) in &work.new {
                if builds::insert(&mut tx, new, now).await? {
                    samples::put(&mut tx, sample).await?;
                }
                queued.extend(builds::get(&mut tx, new.id).await?);
            }
            if let Some(message) = &work.message {
                message.put(&mut tx, &**ledger.clock()).await?;
            }
            (queued, stop(&mut tx, work.over.iter().copied(), &cause, now).await?)
        })?;
        for row in &queued {
            self.finder.shared.reports.note(row.id);
        }
        if !queued.is_empty() {
            // A core that is gone reads the rows at its next start.
            let _ = self.finder.core.send(Message::Queued(queued)).await;
        }
        send_stopped(&self.finder.core, stopped).await;
        Ok(())
    }
}
