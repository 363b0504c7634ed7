//! Follows a build through its attempts. What the coordinator says of a build is so now; what the dashboard shows of it
//! comes a moment later, so that a build which was queued again looks done there for a while.

use std::time::Duration;

use anyhow::Result;
use coordinator::WhyAnswer;
use dashboard::api::{AttemptReport, BuildReport, BuildState};
use http::StatusCode;

use super::client::Remote;
use super::log::{Copied, copy};
use crate::api::GetAttemptLogQuery;

/// How often is asked.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether logs are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// As they come.
    Shown,
    /// Not at all.
    Hidden,
}

/// The coordinator's word on a build.
pub async fn why(remote: &Remote, id: &str) -> Result<WhyAnswer, transport::CallError> {
    remote.api.why_build(id).await
}

/// Follows all attempts after `before` until the build is done, or whoever reads has seen enough; returns the last word.
pub async fn attempts(remote: &Remote, id: &str, before: u32, logs: Logs) -> Result<WhyAnswer> {
    let (mut seen, mut said) = (before, String::new());
    loop {
        let now = remote.hint(why(remote, id).await)?;
        if now.state == "queued" && now.reason != said {
            eprintln!("{}", now.reason);
            said.clone_from(&now.reason);
        }
        let done = now.state == "done";
        if now.attempts > seen && logs == Logs::Shown {
            match log_of(remote, id, now.attempts).await? {
                Found::Log(attempt) => {
                    let all = GetAttemptLogQuery { follow: Some(true), ..GetAttemptLogQuery::default() };
                    let body = remote.api.get_attempt_log(&attempt, &all).await;
                    if copy(remote.hint(body)?).await? == Copied::ReaderGone {
                        return Ok(now);
                    }
                    seen = now.attempts;
                    continue;
                }
                Found::None if done => return Ok(now),
                Found::None | Found::NotYet => {}
            }
        } else if done {
            return Ok(now);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

enum Found {
    /// The id of the attempt, which has a log.
    Log(String),
    /// The attempt has no log now, and none if it is over.
    None,
    /// The dashboard does not know the attempt yet.
    NotYet,
}

/// The log of an attempt by its number.
async fn log_of(remote: &Remote, id: &str, number: u32) -> Result<Found> {
    let build = match remote.api.get_build(id).await {
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => return Ok(Found::NotYet),
        build => remote.hint(build)?,
    };
    let Some(attempt) = by_number(&build, number) else { return Ok(Found::NotYet) };
    match remote.api.get_attempt_log_info(&attempt.id).await {
        Ok(_) => Ok(Found::Log(attempt.id.clone())),
        // One that is over in the report, too, opens no log any more.
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => match attempt.outcome {
            Some(_) => Ok(Found::None),
            None => Ok(Found::NotYet),
        },
        Err(error) => remote.hint(Err(error)),
    }
}

/// An attempt by its number.
pub fn by_number(build: &BuildReport, number: u32) -> Option<&AttemptReport> {
    build.attempts.iter().find(|attempt| attempt.number == number)
}

/// The report of a build that is done, once it is as new as the coordinator's word.
pub async fn report(remote: &Remote, id: &str, word: &WhyAnswer) -> Result<BuildReport> {
    loop {
        match remote.api.get_build(id).await {
            Ok(build) if build.state == BuildState::Done && build.version >= word.version => {
                return Ok(build);
            }
            Err(error) if !error.is_status(StatusCode::NOT_FOUND) => return remote.hint(Err(error)),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
}
