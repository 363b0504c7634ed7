//! Brings the sources onto the worker.

use std::time::Duration;

use axum::body::Body;
use futures::StreamExt as _;
use http::{HeaderMap, Method, Request, Response};
use serde_json::json;
use store::ObjectError;

use super::record::Record;
use super::{Buildlet, Shared, Trouble};
use crate::job::{FROM_BUNDLE, Source};

/// How long a build waits for the object store before it starts from source.
const AWAY: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(15)];
/// The longest that git may take on the worker.
const CLONE: Duration = Duration::from_secs(600);

pub(super) async fn sources(
    shared: &Shared,
    record: &mut Record,
    buildlet: &Buildlet,
) -> Result<(), Trouble> {
    for source in record.job.sources.clone() {
        if let Some(key) = source.snapshot.as_deref()
            && unpack_snapshot(shared, record, buildlet, &source, key).await?
        {
            record.input("snapshot", json!(key));
            shared.measures.snapshot_used();
            continue;
        }
        match source.git {
            true => clone(shared, record, buildlet, &source).await?,
            false => unpack(shared, record, buildlet, &source).await?,
        }
    }
    record.end_span(None);
    Ok(())
}

async fn get(shared: &Shared, path: &str) -> Result<Response<Body>, Trouble> {
    let request = || {
        Request::builder()
            .method(Method::GET)
            .uri(path)
            .body(Body::empty())
            .map_err(|error| Trouble::source(error.to_string()))
    };
    let mut last = String::new();
    for pause in [0, 200, 1000, 3000] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        match shared.mirror.send_ok(request()?).await {
            Ok(response) => return Ok(response),
            Err(error) if error.is_transient() => last = error.to_string(),
            Err(error) => return Err(Trouble::source(error.to_string())),
        }
    }
    Err(Trouble::source(last))
}

async fn unpack(
    shared: &Shared,
    record: &mut Record,
    buildlet: &Buildlet,
    source: &Source,
) -> Result<(), Trouble> {
    record.span("source", &format!("{}@{}", source.repo, source.commit));
    let path = format!("/{}.tar.gz?rev={}", source.repo, source.commit);
    let mut tries = 0;
    loop {
        let body = get(shared, &path).await?;
        if tries == 0 {
            note_submodules(record, source, body.headers());
            record.span("unpack", &source.dir);
        }
        let stream = body.into_body().into_data_stream().map(|chunk| chunk.map_err(std::io::Error::other));
        match buildlet.unpack(&source.dir, stream).await {
            Ok(links) => {
                buildlet.link(&source.dir, &links).await?;
                break;
            }
            // A stream that broke off is begun again: the same tree over the part of it that is there.
            Err(error) if error.is_transient() && tries < 2 => {
                tracing::warn!(%error, "sending sources to a worker broke off; trying again");
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(refused(source, error)),
        }
    }
    Ok(())
}

fn note_submodules(record: &mut Record, source: &Source, headers: &HeaderMap) {
    if headers.get("Bw-Submodules").is_some_and(|value| value == "1") {
        record.notices.push(format!(
            "bellwether: {} has submodules; they are not fetched, so their folders are empty\n",
            source.repo
        ));
    }
}

/// What a worker refuses of a tree (a link that leads out of it, a name it can't take) is no fault of the worker's.
fn refused(source: &Source, error: buildlet_client::Error) -> Trouble {
    match error {
        buildlet_client::Error::Refused { status: 400, message, .. } => {
            Trouble::source(format!("{}@{} can't be unpacked: {message}", source.repo, source.commit))
        }
        error => error.into(),
    }
}

/// Unpacks a snapshot; false if there is none.
async fn unpack_snapshot(
    shared: &Shared,
    record: &mut Record,
    buildlet: &Buildlet,
    source: &Source,
    key: &str,
) -> Result<bool, Trouble> {
    let named = super::kept::object(shared, key).await?;
    let object = named.as_deref().unwrap_or(key);
    let mut tries = 0;
    let mut pauses = AWAY.iter();
    loop {
        let stream = match shared.objects.get_stream(object).await {
            Ok((_, stream)) => stream,
            Err(ObjectError::NotFound(_)) => return Ok(false),
            Err(error) if error.is_transient() => {
                let Some(pause) = pauses.next() else {
                    tracing::warn!(%error, key, "the snapshot can't be had; its tree is built again");
                    return Ok(false);
                };
                tracing::warn!(%error, key, "a build waits for its snapshot; trying again");
                tokio::time::sleep(*pause).await;
                continue;
            }
            Err(error) => return Err(Trouble::source(error.to_string())),
        };
        if tries == 0 {
            record.span("unpack", &format!("{} from {key}", source.dir));
        }
        let stream = stream.map(|chunk| chunk.map_err(std::io::Error::other));
        match buildlet.unpack(&source.dir, stream).await {
            Ok(links) => {
                buildlet.link(&source.dir, &links).await?;
                break;
            }
            // As for plain sources: begun again, the same tree over the part of it that is there.
            Err(error) if error.is_transient() && tries < 2 => {
                tracing::warn!(%error, "sending a snapshot to a worker broke off; trying again");
                tries += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// Makes a git repository on the worker, with the newest commits of the history.
async fn clone(
    shared: &Shared,
    record: &mut Record,
    buildlet: &Buildlet,
    source: &Source,
) -> Result<(), Trouble> {
    record.span("source", &format!("{}@{} as git", source.repo, source.commit));
    let path = format!("/mirror/{}/bundle?rev={}", source.repo, source.commit);
    let (head, body) = get(shared, &path).await?.into_parts();
    note_submodules(record, source, &head.headers);
    let shallow = match head.headers.get("Bw-Shallow").map(|value| value.to_str()) {
        Some(Ok(hashes)) => hashes.replace(',', "\n"),
        Some(Err(error)) => return Err(Trouble::source(format!("{path}: Bw-Shallow: {error}"))),
        None => String::new(),
    };
    let bytes =
        axum::body::to_bytes(body, 2 << 30).await.map_err(|error| Trouble::source(error.to_string()))?;
    record.span("unpack", &source.dir);
    let bundle = format!("{}.bundle", source.dir);
    buildlet.write_file(&bundle, bytes).await?;
    let id = format!("{}-git-{}", record.attempt.id, source.dir);
    let argv = ["sh", "-c", FROM_BUNDLE, "sh", &source.dir, &source.commit, &shallow];
    match buildlet.run(&id, &argv, CLONE).await? {
        said if said == "ok" => Ok(()),
        said => Err(Trouble::source(format!("git on the worker: {said}"))),
    }
}
