//! Test results and artefacts of attempts. What is written is guarded by the fence of the attempt's log.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::{StatusCode, header};
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use store::artifacts::ArtifactRow;
use store::test_results::TestRow;
use store::{AttemptId, BuildId, Micros, ObjectError};
use transport::Viewer;
use transport::operation::DigestText;

use super::refusal::{Answer, Input, Path, Query, Refusal};
use super::{Dashboard, id, logstore, time, visible};
use crate::api::{Artifact, ArtifactList, TestList, TestResult, UnknownWord};

/// Most results that are listed of a build.
const MOST_TESTS: u32 = 100_000;
/// Largest artefact, in bytes.
const LARGEST_ARTIFACT: u64 = 4 << 30;

/// Query of an attempt's test results.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TestsQuery {
    /// The owner's fencing token.
    pub(super) fence: i64,
}

/// Query of an artefact.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ArtifactQuery {
    /// The owner's fencing token.
    fence: i64,
    /// The digest of what is sent, hexadecimal.
    #[schemars(with = "DigestText")]
    sha256: String,
}

/// `PUT /api/v1/attempts/{attempt}/tests`
pub(super) async fn put_tests(
    State(dashboard): State<Dashboard>,
    Path(attempt): Path<String>,
    Query(query): Query<TestsQuery>,
    Input(list): Input<TestList>,
) -> Answer<Json<()>> {
    let attempt: AttemptId = id("attempt", &attempt)?;
    let mut tx = dashboard.db().begin().await?;
    let log = logstore::guard(&mut tx, attempt, query.fence).await?;
    let rows = list.tests.into_iter().map(|test| row(attempt, test)).collect::<Answer<Vec<_>>>()?;
    store::test_results::put_all(&mut tx, log.build, &rows).await?;
    store::test_results::name(&mut tx, log.build, attempt).await?;
    tx.commit().await?;
    Ok(Json(()))
}

fn row(attempt: AttemptId, test: TestResult) -> Answer<TestRow> {
    let number = |value: Option<u64>| {
        value
            .map(|value| i64::try_from(value).map_err(|_| Refusal::bad("an offset is too large")))
            .transpose()
    };
    // PostgreSQL takes no NUL in a text, and a test's name may hold anything.
    let text = |text: String| if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text };
    let message = test.message.map(text);
    let bad = test.outcome != "ok" && test.outcome != "skipped";
    let signature = message.as_deref().filter(|_| bad).map(|said| testresults::signature(&test.id, said));
    Ok(TestRow {
        attempt,
        signature,
        id: text(test.id),
        variant: text(test.variant),
        kind: test.kind.to_string(),
        outcome: text(test.outcome),
        duration: test.duration_us,
        first_byte: number(test.first_byte)?,
        last_byte: number(test.last_byte)?,
        value: test.value,
        unit: test.unit.map(text),
        message,
    })
}

/// `GET /api/v1/builds/{id}/tests`
pub(super) async fn tests(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(build): Path<String>,
) -> Answer<Json<TestList>> {
    let build = visible::build(&dashboard, &viewer, &build).await?;
    let rows = store::test_results::of_build(&mut dashboard.db().read().await?, build, MOST_TESTS).await?;
    Ok(Json(TestList { tests: rows.into_iter().map(shown_test).collect::<Answer<_>>()? }))
}

/// Shows a test's result.
pub(super) fn shown_test(row: TestRow) -> Answer<TestResult> {
    let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let kind = row.kind.parse().map_err(|error: UnknownWord| Refusal::internal(error.to_string()))?;
    Ok(TestResult {
        id: row.id,
        variant: row.variant,
        kind,
        outcome: row.outcome,
        duration_us: row.duration,
        first_byte: number(row.first_byte),
        last_byte: number(row.last_byte),
        value: row.value,
        unit: row.unit,
        message: row.message,
        signature: row.signature,
        attempt: Some(row.attempt.to_string()),
    })
}

/// `PUT /api/v1/attempts/{attempt}/artifacts/{name}`
pub(super) async fn put_artifact(
    State(dashboard): State<Dashboard>,
    Path((attempt, name)): Path<(String, String)>,
    Query(query): Query<ArtifactQuery>,
    body: Body,
) -> Answer<Json<Artifact>> {
    let attempt: AttemptId = id("attempt", &attempt)?;
    if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
        return Err(Refusal::bad("not the name of an artefact"));
    }
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if query.sha256.len() != 64 || !query.sha256.bytes().all(hexadecimal) {
        return Err(Refusal::bad("`sha256` is not a digest (64 hexadecimal digits)"));
    }
    // A late owner is told before it sends gigabytes; what guards the row comes below.
    let log = logstore::existing(&dashboard, attempt).await?;
    if log.fence != query.fence {
        return Err(Refusal::stale());
    }
    let object = format!("artifacts/{}/{}", &query.sha256[..2], query.sha256);
    let checked = checked(body.into_data_stream(), query.sha256.clone());
    let size = match dashboard.objects().put_stream(&object, Box::pin(checked)).await {
        Ok(size) => size,
        Err(ObjectError::Source { source, .. }) => return Err(source_refusal(&source)),
        Err(error) => return Err(error.into()),
    };
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let row =
        ArtifactRow { attempt, name, size, sha256: query.sha256, object, time: Micros::now(), expired: None };
    let mut tx = dashboard.db().begin().await?;
    logstore::guard(&mut tx, attempt, query.fence).await?;
    store::artifacts::put(&mut tx, log.build, &row).await?;
    tx.commit().await?;
    // What held the same may have expired, and its object gone just before this row came.
    if !dashboard.objects().exists(&row.object).await? {
        return Err(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the content is gone: send it again",
        ));
    }
    Ok(Json(shown(row)))
}

/// What is wrong with a stream that an artefact comes from.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error("the content has the digest {0}")]
    Digest(String),
    #[error("an artefact has at most {LARGEST_ARTIFACT} bytes")]
    TooLarge,
}

fn source_refusal(error: &std::io::Error) -> Refusal {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<SourceError>()) {
        Some(error @ SourceError::Digest(_)) => {
            Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "digest", error.to_string())
        }
        Some(error @ SourceError::TooLarge) => {
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", error.to_string())
        }
        None => Refusal::bad(format!("the content broke off: {error}")),
    }
}

/// Passes a stream on, and ends it in an error if its digest is another one.
fn checked<E>(
    content: impl Stream<Item = Result<Bytes, E>> + Send,
    sha256: String,
) -> impl Stream<Item = std::io::Result<Bytes>> + Send
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let content = Box::pin(content.map_err(std::io::Error::other));
    let state = Some((content, Sha256::new(), 0_u64, sha256));
    futures::stream::try_unfold(state, |state| async move {
        let Some((mut content, mut hash, mut size, sha256)) = state else { return Ok(None) };
        let Some(bytes) = content.try_next().await? else {
            let digest: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            return if digest == sha256 {
                Ok(None)
            } else {
                Err(std::io::Error::other(SourceError::Digest(digest)))
            };
        };
        size += bytes.len() as u64;
        if size > LARGEST_ARTIFACT {
            return Err(std::io::Error::other(SourceError::TooLarge));
        }
        hash.update(&bytes);
        Ok(Some((bytes, Some((content, hash, size, sha256)))))
    })
}

fn shown(row: ArtifactRow) -> Artifact {
    Artifact {
        attempt: row.attempt.to_string(),
        name: row.name,
        size: u64::try_from(row.size).unwrap_or(0),
        sha256: row.sha256,
        time: time(row.time),
    }
}

/// `GET /api/v1/builds/{id}/artifacts`
pub(super) async fn artifacts(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(build): Path<String>,
) -> Answer<Json<ArtifactList>> {
    let build = visible::build(&dashboard, &viewer, &build).await?;
    Ok(Json(ArtifactList { artifacts: of_build(&dashboard, build).await? }))
}

/// Lists a build's artefacts.
pub(super) async fn of_build(dashboard: &Dashboard, build: BuildId) -> Answer<Vec<Artifact>> {
    let rows = store::artifacts::of_build(&mut dashboard.db().read().await?, build).await?;
    Ok(rows.into_iter().map(shown).collect())
}

/// `GET /api/v1/attempts/{attempt}/artifacts/{name}`
pub(super) async fn artifact(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path((attempt, name)): Path<(String, String)>,
) -> Answer<Response> {
    let attempt = visible::attempt(&dashboard, &viewer, &attempt).await?.attempt;
    let row = store::artifacts::get(&mut dashboard.db().read().await?, attempt, &name).await?;
    let row = row.ok_or_else(|| Refusal::not_found(format!("artefact {name:?}")))?;
    if let Some(when) = row.expired {
        return Err(Refusal::gone(&format!("artefact {name:?}"), when));
    }
    let (size, content) = dashboard.objects().get_stream(&row.object).await?;
    let head = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, "attachment".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::ETAG, format!("\"{}\"", row.sha256)),
    ];
    Ok((head, Body::from_stream(content)).into_response())
}
