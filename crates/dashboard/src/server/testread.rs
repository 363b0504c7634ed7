//! Results of tests out of an attempt's log: read in pieces, written in batches. The log is as it is shown, without secrets.

use axum::Json;
use axum::extract::State;
use futures::StreamExt as _;
use store::AttemptId;
use store::test_results::TestRow;
use testresults::{Format, Limits, Reader, Test};

use super::files::TestsQuery;
use super::refusal::{Answer, Input, Path, Query, Refusal};
use super::{Dashboard, id, logstore};
use crate::api::{TestKind, TestSource, TestsRead};

/// So many results are written in one transaction.
const BATCH: usize = 500;
/// The most parts of a log that are read.
const PARTS: usize = 1000;

/// `POST /api/v1/attempts/{attempt}/tests/read`
pub(super) async fn read_tests(
    State(dashboard): State<Dashboard>,
    Path(attempt): Path<String>,
    Query(query): Query<TestsQuery>,
    Input(source): Input<TestSource>,
) -> Answer<Json<TestsRead>> {
    let attempt: AttemptId = id("attempt", &attempt)?;
    let format: Format = source.format.parse().map_err(|error| Refusal::bad(format!("`format`: {error}")))?;
    if format == Format::Junit {
        return Err(Refusal::bad("JUnit files are no part of a log: they are read where they lie"));
    }
    if source.parts.len() > PARTS {
        return Err(Refusal::bad(format!("at most {PARTS} parts of a log are read")));
    }
    let log = logstore::existing(&dashboard, attempt).await?;
    logstore::kept(&log)?;
    if log.fence != query.fence {
        return Err(Refusal::stale());
    }
    let end = u64::try_from(log.bytes).unwrap_or(0);
    let mut writer = Writer { dashboard: &dashboard, attempt, fence: query.fence, waiting: Vec::new() };
    let mut reader = Reader::new(format, Limits::default(), 0);
    for part in source.parts {
        reader.skip_to(part.first_byte);
        let to = part.end_byte.unwrap_or(end).min(end);
        let mut pieces = std::pin::pin!(logstore::read(&dashboard, attempt, part.first_byte, to));
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            if piece.bytes.len() as u64 == piece.end - piece.byte {
                reader.feed(&piece.bytes);
            } else {
                // What stands for bytes that are not kept.
                reader.skip_to(piece.end);
            }
            writer.take(reader.take()).await?;
        }
    }
    let summary = reader.finish();
    writer.take(reader.take()).await?;
    writer.finish().await?;
    Ok(Json(TestsRead { tests: summary.tests, left_out: summary.left_out, cut: summary.cut }))
}

struct Writer<'a> {
    dashboard: &'a Dashboard,
    attempt: AttemptId,
    fence: i64,
    waiting: Vec<TestRow>,
}

impl Writer<'_> {
    async fn take(&mut self, tests: Vec<Test>) -> Answer<()> {
        for test in tests {
            self.waiting.push(row(self.attempt, test));
            if self.waiting.len() >= BATCH {
                self.write(false).await?;
            }
        }
        Ok(())
    }

    /// Writes what waits. Who has lost the attempt writes no more.
    async fn write(&mut self, last: bool) -> Answer<()> {
        let mut tx = self.dashboard.db().begin().await?;
        let log = logstore::guard(&mut tx, self.attempt, self.fence).await?;
        store::test_results::put_all(&mut tx, log.build, &std::mem::take(&mut self.waiting)).await?;
        if last {
            store::test_results::name(&mut tx, log.build, self.attempt).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn finish(&mut self) -> Answer<()> {
        self.write(true).await
    }
}

fn row(attempt: AttemptId, test: Test) -> TestRow {
    // PostgreSQL takes no NUL in a text, and a test may print anything.
    let text = |text: String| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    let byte = |byte: u64| i64::try_from(byte).ok();
    let kind = if test.measure.is_some() { TestKind::Benchmark } else { TestKind::Test };
    let message = test.message.map(text);
    let signature = message.as_deref().filter(|_| test.outcome.is_bad());
    TestRow {
        attempt,
        signature: signature.map(|said| testresults::signature(&test.id, said)),
        id: text(test.id),
        variant: text(test.variant),
        kind: kind.to_string(),
        outcome: test.outcome.as_str().to_owned(),
        duration: test.micros.and_then(byte),
        first_byte: test.bytes.as_ref().and_then(|bytes| byte(bytes.start)),
        last_byte: test.bytes.as_ref().and_then(|bytes| byte(bytes.end.saturating_sub(1).max(bytes.start))),
        value: test.measure.as_ref().map(|measure| measure.value),
        unit: test.measure.map(|measure| text(measure.unit)),
        message,
    }
}
