//! Hints that something happened, from a pubsubhelper. Source: spec/maintner.md §4.6, §6.3.
//!
//! A hint wakes a source, which looks for itself. One that is lost costs time: sources look without them too.

use std::time::Duration;

use axum::body::Body;
use futures::FutureExt as _;
use http::Request;
use maintner::sources::gerrit::project_of_event;
use serde::Deserialize;
use transport::{CallError, Service};

use crate::daemon::Poller;
use crate::sources::SourceState;
use crate::watch::Wakers;

/// The helper answers after half a minute at the latest.
const PATIENCE: Duration = Duration::from_secs(300);
/// The pause after it did not.
const PAUSE: Duration = Duration::from_secs(5);
/// The largest answer that is read, bytes.
const LARGEST: usize = 64 << 10;

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Time")]
    time: Option<String>,
    #[serde(rename = "Gerrit")]
    gerrit: Option<GerritEvent>,
    #[serde(rename = "GitHub")]
    github: Option<GithubEvent>,
}

#[derive(Deserialize)]
struct GerritEvent {
    #[serde(rename = "URL", default)]
    url: String,
    #[serde(rename = "Project", default)]
    project: String,
}

#[derive(Deserialize)]
struct GithubEvent {
    #[serde(rename = "RepoOwner", default)]
    owner: String,
    #[serde(rename = "Repo", default)]
    repo: String,
}

impl Event {
    /// What it is about; none of one that only says that nothing happened.
    fn topic(&self) -> Option<String> {
        if let Some(github) = &self.github {
            return Some(format!("github:{}/{}", github.owner, github.repo));
        }
        let gerrit = self.gerrit.as_ref()?;
        project_of_event(&gerrit.url, &gerrit.project).map(|project| format!("gerrit:{project}"))
    }
}

/// Asks a helper, and wakes the sources.
#[must_use]
pub fn subscribe(helper: Service, name: &str, wakers: &Wakers) -> Poller {
    let (helper, wakers) = (helper.with_timeout(PATIENCE), wakers.clone());
    let mut state = SourceState {
        name: format!("hints of {name}"),
        in_short: "the helper could not be asked",
        ..SourceState::default()
    };
    Box::new(move |_, sources, stop| {
        let asks = async move {
            let mut after = String::new();
            loop {
                match wait(&helper, &after, PATIENCE).await {
                    Ok((event, time)) => {
                        // Whatever was told meanwhile was not heard.
                        if state.trouble.take().is_some() {
                            wakers.wake_all();
                        }
                        if let Some(topic) = event.topic() {
                            let known = wakers.wake(&topic);
                            state.doing = format!(
                                "the last was {topic}{}",
                                if known { "" } else { ", which is not watched" }
                            );
                        }
                        state.looked = Some(jiff::Timestamp::now());
                        after = time;
                        sources.report(state.clone());
                    }
                    Err(why) => {
                        let why = why.to_string();
                        if state.trouble.as_ref() != Some(&why) {
                            tracing::warn!(source = state.name, why, "no hints are heard for now");
                        }
                        state.trouble = Some(why);
                        sources.report(state.clone());
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        };
        async move {
            tokio::select! {
                () = asks => Ok(()),
                () = stop.cancelled() => Ok(()),
            }
        }
        .boxed()
    })
}

/// The next event and its time, which is that to ask with for the one after it.
async fn wait(helper: &Service, after: &str, longest: Duration) -> Result<(Event, String), CallError> {
    let path = format!("/waitevent?after={}", transport::segment(after));
    let event = tokio::time::timeout(longest, asked(helper, &path)).await;
    let event =
        event.map_err(|_| CallError::Timeout { target: path.clone(), seconds: longest.as_secs() })??;
    match &event.time {
        Some(time) if !time.is_empty() && time != after => {
            let time = time.clone();
            Ok((event, time))
        }
        // Asked with it again, the helper might say the same at once, and so on.
        time => {
            let message = format!("an event after {after:?} has the time {time:?}");
            Err(CallError::Malformed { target: path, message })
        }
    }
}

async fn asked(helper: &Service, path: &str) -> Result<Event, CallError> {
    let request = Request::get(path).body(Body::empty());
    let request = request.map_err(|why| CallError::BadRequest(format!("{path}: {why}")))?;
    let response = helper.send_ok(request).await?;
    let malformed = |message: String| CallError::Malformed { target: path.to_owned(), message };
    let text = axum::body::to_bytes(response.into_body(), LARGEST).await;
    let text = text.map_err(|why| malformed(why.to_string()))?;
    serde_json::from_slice(&text).map_err(|why| malformed(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(body: impl Fn() -> Body + Send + Sync + Clone + 'static) -> Service {
        let answer = move || std::future::ready(body());
        Service::in_process(axum::Router::new().route("/waitevent", axum::routing::get(answer)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_helper_that_leads_to_no_end_is_in_trouble() {
        let longest = Duration::from_secs(60);
        let stands = answers(|| Body::from(r#"{"Time": "2017-07-27T16:28:01Z"}"#));
        let (_, time) = wait(&stands, "", longest).await.unwrap();
        let trouble = wait(&stands, &time, longest).await.err().unwrap();
        assert!(matches!(trouble, CallError::Malformed { .. }), "{trouble}");
        let timeless = answers(|| Body::from(r#"{"Time": null, "GitHub": {}}"#));
        let trouble = wait(&timeless, "", longest).await.err().unwrap();
        assert!(matches!(trouble, CallError::Malformed { .. }), "{trouble}");
        let large = answers(|| Body::from(vec![b' '; LARGEST + 1]));
        let trouble = wait(&large, "", longest).await.err().unwrap();
        assert!(matches!(trouble, CallError::Malformed { .. }), "{trouble}");
        let hangs = answers(|| Body::from_stream(futures::stream::pending::<Result<Vec<u8>, CallError>>()));
        let trouble = wait(&hangs, "", longest).await.err().unwrap();
        assert!(matches!(trouble, CallError::Timeout { .. }), "{trouble}");
    }

    #[test]
    fn an_event_has_a_topic() {
        let of = |text: &str| serde_json::from_str::<Event>(text).unwrap().topic();
        let github = r#"{"Time": "2017-07-27T16:28:01.123456789Z", "GitHub": {"Action": "opened", "RepoOwner": "golang", "Repo": "go"}}"#;
        assert_eq!(of(github).as_deref(), Some("github:golang/go"));
        let gerrit = r#"{"Time": null, "Gerrit": {"URL": "https://go-review.googlesource.com/c/go/+/123", "Project": "go", "CommitHash": ""}}"#;
        assert_eq!(of(gerrit).as_deref(), Some("gerrit:go.googlesource.com/go"));
        assert_eq!(of(r#"{"Time": "x", "LongPollTimeout": true}"#), None);
        assert_eq!(of(r#"{"Gerrit": {"URL": "", "Project": "go"}}"#), None);
    }
}
