//! How far the commits of a job are trusted, by what the mirrors of their repos have: what the database says of a build is no
//! word on that.

use std::time::Duration;

use serde::Deserialize;

use super::{Shared, Trouble};
use crate::job::{Job, Trust};

/// How long it is waited before the mirror is asked again, in milliseconds.
const PAUSES: [u64; 3] = [0, 200, 1000];
/// For one answer: the mirror may look at the source first.
const ANSWER: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Landed {
    landed: bool,
}

/// Finds out how far a job's commits are trusted. Unless they have landed, it has no secrets afterwards, also if this is not waited
/// for. Returns what to say of that in the log.
pub(super) async fn settle(shared: &Shared, job: &mut Job) -> Result<Option<String>, Trouble> {
    let secrets = std::mem::take(&mut job.secrets);
    for source in &job.sources {
        if has_landed(shared, &source.repo, &source.commit).await? {
            continue;
        }
        let commit = format!("{}@{}", source.repo, source.commit);
        let names: Vec<_> = secrets.into_iter().map(|used| used.variable).collect();
        let said = format!(
            "bellwether: no branch or tag has {commit}, so this build does not get {}: secrets are for what has landed\n",
            names.join(", ")
        );
        return Ok((!names.is_empty()).then_some(said));
    }
    job.secrets = secrets;
    job.trust = Trust::Landed;
    Ok(None)
}

async fn has_landed(shared: &Shared, repo: &str, commit: &str) -> Result<bool, Trouble> {
    let path = format!("/mirror/{repo}/landed?commit={commit}");
    let mut last = String::new();
    for pause in PAUSES {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        match tokio::time::timeout(ANSWER, shared.mirror.get_json::<Landed>(&path)).await {
            Ok(Ok(answer)) => return Ok(answer.landed),
            Ok(Err(error)) if error.is_transient() => last = error.to_string(),
            Ok(Err(error)) => return Err(Trouble::source(error.to_string())),
            Err(_) => last = format!("the mirror of {repo} does not say whether {commit} has landed"),
        }
    }
    Err(Trouble::source(last))
}
