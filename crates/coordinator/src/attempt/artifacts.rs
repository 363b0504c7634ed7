//! Takes the files that a recipe names off the worker while it is still ours.

use axum::body::Body;
use buildlet_client::BuildletClient;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};

use super::record::Record;
use super::{Shared, Trouble};

/// The largest artefact, in bytes.
const MAX: u64 = 2 << 30;
/// How often an artefact is offered again to a dashboard that is away or whose disk is full: for five minutes. It exists
/// nowhere else once the worker is wiped; but one for which there will never be room must not hold its build for ever.
const TRIES: u32 = 50;

pub(super) async fn keep(
    shared: &Shared,
    record: &mut Record,
    client: &BuildletClient,
) -> Result<(), Trouble> {
    if record.job.artifacts.is_empty() {
        return Ok(());
    }
    let dir = record.job.repo.clone();
    record.span("artifacts", "");
    let found = client.glob(&dir, &record.job.artifacts).await?;
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
        let (_, mut stream) = client.file(&path).await?;
        let mut digest = Sha256::new();
        while let Some(chunk) = stream.next().await {
            digest.update(&chunk?);
        }
        let digest = hex::encode(digest.finalize());
        let attempt = record.attempt.id.to_string();
        let mut tries = 0;
        let put = loop {
            let (_, stream) = client.file(&path).await?;
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
