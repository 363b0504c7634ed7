//! Mutations on their way into the log.

use std::pin::pin;
use std::time::Duration;

use maintpb as pb;
use prost::Message as _;
use tokio::time::Instant;

use crate::live::{Sink, SinkError};

/// The most in one write.
const MOST: usize = 250;
/// Their most bytes, but for one that is larger.
const BYTES: usize = 1 << 20;
/// The longest that the first of them waits.
const LONGEST: Duration = Duration::from_secs(1);

/// What is to be written next.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pending: Vec<pb::Mutation>,
    bytes: usize,
    since: Option<Instant>,
    /// How many were written or wait for it.
    pub(super) count: u64,
}

impl Batch {
    pub(super) async fn issue(
        &mut self,
        sink: &dyn Sink,
        mutation: Option<pb::GithubIssueMutation>,
    ) -> Result<(), SinkError> {
        let Some(mutation) = mutation else { return Ok(()) };
        self.push(sink, pb::Mutation { github_issue: Some(mutation), ..pb::Mutation::default() }).await
    }

    pub(super) async fn repo(
        &mut self,
        sink: &dyn Sink,
        mutation: Option<pb::GithubMutation>,
    ) -> Result<(), SinkError> {
        let Some(mutation) = mutation else { return Ok(()) };
        self.push(sink, pb::Mutation { github: Some(mutation), ..pb::Mutation::default() }).await
    }

    async fn push(&mut self, sink: &dyn Sink, mutation: pb::Mutation) -> Result<(), SinkError> {
        let bytes = mutation.encoded_len();
        if self.bytes + bytes > BYTES {
            self.flush(sink).await?;
        }
        self.bytes += bytes;
        self.count += 1;
        self.pending.push(mutation);
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.pending.len() >= MOST || since.elapsed() >= LONGEST {
            self.flush(sink).await?;
        }
        Ok(())
    }

    /// Waits for something, and if that takes its time writes what waits: an answer may be slow, and where the budget of requests
    /// is empty there is none for up to an hour.
    pub(super) async fn beside<T>(
        &mut self,
        sink: &dyn Sink,
        awaited: impl Future<Output = T>,
    ) -> Result<T, SinkError> {
        let mut awaited = pin!(awaited);
        if let Ok(done) = tokio::time::timeout(LONGEST, &mut awaited).await {
            return Ok(done);
        }
        // Side by side: the answer is taken as it comes, and where the log takes nothing more, none is waited for.
        let done = async { Ok(awaited.await) };
        tokio::try_join!(self.flush(sink), done).map(|((), done)| done)
    }

    /// Writes what waits.
    pub(super) async fn flush(&mut self, sink: &dyn Sink) -> Result<(), SinkError> {
        (self.bytes, self.since) = (0, None);
        if self.pending.is_empty() {
            return Ok(());
        }
        sink.add(std::mem::take(&mut self.pending)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use super::*;
    use crate::corpus::Corpus;

    struct Lost;

    #[async_trait]
    impl Sink for Lost {
        fn corpus(&self) -> Arc<Corpus> {
            unreachable!("a batch reads nothing")
        }

        async fn add(&self, _: Vec<pb::Mutation>) -> Result<Arc<Corpus>, SinkError> {
            Err(SinkError::Write("the file is lost".into()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_the_log_takes_nothing_no_answer_is_waited_for() {
        let mut batch = Batch::default();
        batch.repo(&Lost, Some(pb::GithubMutation::default())).await.unwrap();
        let answer = tokio::time::sleep(Duration::from_secs(3600));
        let began = Instant::now();
        batch.beside(&Lost, answer).await.unwrap_err();
        assert_eq!(began.elapsed(), LONGEST);
        // With nothing to be written there is nothing to be noticed.
        let answer = tokio::time::sleep(Duration::from_secs(3600));
        Batch::default().beside(&Lost, answer).await.unwrap();
    }
}
