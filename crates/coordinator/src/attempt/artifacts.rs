//! Takes the files that a recipe names off the worker while it is still ours.

use axum::body::Body;
use buildlet_client::Error;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::record::Record;
use super::{Buildlet, Shared, Trouble};

/// The largest artefact, in bytes.
const MAX: u64 = 2 << 30;
/// How often an artefact is offered again to a dashboard that is away or whose disk is full: for five minutes. It exists
/// nowhere else once the worker is wiped; but one for which there will never be room must not hold its build for ever.
const TRIES: u32 = 50;

pub(super) async fn keep(shared: &Shared, record: &mut Record, buildlet: &Buildlet) -> Result<(), Trouble> {
    if record.job.artifacts.is_empty() {
        return Ok(());
    }
    let dir = record.job.repo.clone();
    record.span("artifacts", "");
    let found = match buildlet.glob(&dir, &record.job.artifacts).await {
        Ok(found) => found,
        // Names that no list can hold are the job's doing.
        Err(Error::Protocol { what }) => {
            record.warn(format!("artefacts were left out: they can't be listed: {what}"));
            record.end_span(None);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    if found.truncated {
        record.warn("too many artefacts: some were left out".into());
    }
    for file in found.files {
        // Its bytes are what they are, under their digest; its name goes to pages and lists.
        if record.secrets.clean(&file.path) != file.path {
            record.warn(format!("artefact {} was left out: its name holds a secret", file.path));
            continue;
        }
        if file.size > MAX {
            record.warn(format!(
                "artefact {} was left out: {} bytes are more than {MAX}",
                file.path, file.size
            ));
            continue;
        }
        let path = format!("{dir}/{}", file.path);
        // Two readings: the name under which it is kept is its digest.
        let mut stream = match buildlet.file(&path).await {
            Ok(stream) => stream,
            // By a name that the job chose.
            Err(Error::Refused { status: 400, message, .. }) => {
                record.warn(format!("artefact {} was left out: {message}", file.path));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let mut digest = Sha256::new();
        while let Some(chunk) = stream.next().await {
            digest.update(&chunk?);
        }
        let digest = hex::encode(digest.finalize());
        let attempt = record.attempt.id.to_string();
        let mut tries = 0;
        let put = loop {
            let stream = buildlet.file(&path).await?;
            let body = Body::from_stream(stream.map(|chunk| chunk.map_err(std::io::Error::other)));
            let fence = record.fence as u64;
            match shared.dashboard.put_artifact(&attempt, fence, &file.path, &digest, body).await {
                Err(error) if error.is_transient() && tries < TRIES => {
                    tracing::warn!(artefact = file.path, %error, "the dashboard can't take an artefact; trying again");
                    tokio::time::sleep(crate::ledger::pause(tries)).await;
                    tries += 1;
                }
                put => break put,
            }
        };
        match put {
            Ok(()) => {}
            Err(error) if error.is_code("stale") => return Err(Trouble::Stale),
            Err(error) => record.warn(format!("artefact {} could not be kept: {error}", file.path)),
        }
    }
    record.end_span(None);
    Ok(())
}
