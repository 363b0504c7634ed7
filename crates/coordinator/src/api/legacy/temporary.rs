//! `/temporarylogs`: a build's events and its log, while it runs too.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use buildenv::Config;
use dashboard::api::{BuildQuery, BuildReport, BuildState, LogRange, Outcome};
use dashboard::client::LogOf;
use futures::StreamExt as _;
use http::StatusCode;
use jiff::Timestamp;
use transport::CallError;

use super::super::{Api, Failure};
use super::{is_public, is_public_revision, text};

/// How many builds of a commit on a builder are looked through.
const LOOKED_AT: u32 = 100;

#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    name: String,
    rev: String,
    sub_name: String,
    sub_rev: String,
    id: String,
    no_stream: bool,
}

impl Asked {
    fn read(query: &str) -> Self {
        let mut asked = Self::default();
        for (key, value) in query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))) {
            let value = value.to_owned();
            match key {
                "name" => asked.name = value,
                "rev" => asked.rev = value,
                "subName" => asked.sub_name = value,
                "subRev" => asked.sub_rev = value,
                "st" => asked.id = value,
                "nostream" => asked.no_stream = true,
                _ => {}
            }
        }
        asked
    }

    /// Repo and commit of the build that is asked for, in each repo that may be meant.
    fn subjects(&self, config: &Config) -> Vec<(String, &str)> {
        if self.sub_name.is_empty() {
            let main = config.dashboard_main();
            let meant = config.repos().iter().filter(|repo| main.is_none_or(|main| *main == repo.name));
            return meant.map(|repo| (repo.name.to_string(), self.rev.as_str())).collect();
        }
        let last = |path: &str| path.rsplit('/').next() == Some(&self.sub_name);
        let meant = config.repos().iter().filter(|repo| {
            repo.name.as_str() == self.sub_name || repo.import_path.as_deref().is_some_and(last)
        });
        meant.map(|repo| (repo.name.to_string(), self.sub_rev.as_str())).collect()
    }
}

/// `/temporarylogs`
pub(super) async fn log(State(api): State<Arc<Api>>, RawQuery(query): RawQuery) -> Result<Response, Failure> {
    let asked = Asked::read(&query.unwrap_or_default());
    let Some(build) = find(&api, &asked).await? else {
        return Ok(text(StatusCode::NOT_FOUND, "404 page not found\n"));
    };
    let head = head(&build, Timestamp::now());
    let over = build.state == BuildState::Done;
    if !over && build.state < BuildState::Running {
        let note = "(buildlet still starting; no live streaming. reload manually to see status)\n";
        return Ok(text(StatusCode::OK, format!("{head}{note}")));
    }
    let range = if over || asked.no_stream { LogRange::All } else { LogRange::Follow(0) };
    let stored = match api.shared.dashboard.log(LogOf::Build(&build.id), range).await {
        Ok(body) => body,
        Err(error) if error.is_status(StatusCode::NOT_FOUND) => Body::empty(),
        Err(error) => return Err(unavailable(&error)),
    };
    let note = match asked.no_stream && !over {
        true => "\n(live streaming disabled; reload manually to see status)\n",
        false => "",
    };
    let piece = |text: String| futures::stream::iter([Ok::<_, axum::Error>(Bytes::from(text))]);
    let body = piece(head).chain(stored.into_data_stream()).chain(piece(note.to_owned()));
    Ok(text(StatusCode::OK, Body::from_stream(body)))
}

fn unavailable(error: &CallError) -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "dashboard", error.to_string())
}

async fn find(api: &Api, asked: &Asked) -> Result<Option<BuildReport>, Failure> {
    let config = Arc::clone(&api.finder.config.borrow());
    for (repo, commit) in asked.subjects(&config) {
        if commit.len() != 40 || !is_public(&config, &repo) {
            continue;
        }
        let query = BuildQuery {
            repo: Some(repo),
            builder: Some(asked.name.clone()),
            commit: Some(commit.to_owned()),
            limit: Some(LOOKED_AT),
            ..BuildQuery::default()
        };
        let found = match api.shared.dashboard.builds(&query).await {
            Ok(found) => found,
            Err(CallError::Refused { .. }) => continue,
            Err(error) => return Err(unavailable(&error)),
        };
        let is_meant = |id: &str, revision: &str| {
            is_public_revision(&config, revision)
                && (asked.id.is_empty() || asked.id == id)
                && (asked.sub_name.is_empty() || revision.contains(&format!("@{}", asked.rev)))
        };
        let found = found
            .builds
            .into_iter()
            .find(|build| is_meant(&build.id, &build.revision) && build.class != "try");
        if let Some(found) = found {
            return api
                .shared
                .dashboard
                .build(&found.id)
                .await
                .map(Some)
                .map_err(|error| unavailable(&error));
        }
    }
    Ok(None)
}

/// What is said of a build before its log.
fn head(build: &BuildReport, now: Timestamp) -> String {
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:>9}: {value}");
    };
    let last = build.attempts.last();
    field("builder", &build.builder);
    field("rev", build.revision.split_once('@').map_or(&*build.revision, |(_, rest)| rest));
    let worker = last.map(|attempt| {
        let of = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{} {}", of(&attempt.host), of(&attempt.worker))
    });
    field("buildlet", worker.unwrap_or_default().trim());
    field("started", &build.started.map(|at| format!("{at:.0}")).unwrap_or_default());
    match build.ended.filter(|_| build.state == BuildState::Done) {
        Some(ended) => {
            field("ended", &format!("{ended:.0}"));
            field("success", if build.outcome == Some(Outcome::Ok) { "true" } else { "false" });
        }
        None => field("status", "still running"),
    }
    out.push_str("\nEvents:\n");
    let spans = last.map(|attempt| &attempt.spans[..]).unwrap_or_default();
    for span in spans {
        let _ = writeln!(out, "  {:.0} {} {}", span.start, span.name, span.detail.replace('\n', " "));
    }
    if build.state != BuildState::Done {
        let latest = spans.iter().map(|span| span.end.unwrap_or(span.start)).max().unwrap_or(build.created);
        let since = format!("+{:.1}s", now.duration_since(latest).as_secs_f64().max(0.0));
        let _ = writeln!(out, " {since:>7} (now)");
    }
    out.push_str("\nBuild log:\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_taken_as_they_are() {
        let asked = Asked::read("name=linux-amd64&rev=a&st=0xc0&subName=net&subRev=b&nostream=1");
        assert_eq!((&*asked.name, &*asked.rev, &*asked.id), ("linux-amd64", "a", "0xc0"));
        assert_eq!((&*asked.sub_name, &*asked.sub_rev, asked.no_stream), ("net", "b", true));
        assert_eq!(Asked::read(""), Asked::default());
    }

    #[test]
    fn fields_are_right_aligned() {
        let build: BuildReport = serde_json::from_value(serde_json::json!({
            "id": "1", "builder": "b", "repo": "go", "branch": "main", "revision": "go@aa", "class": "post_submit",
            "state": "running", "fence": 1, "version": 1, "created": "2024-01-01T00:00:00Z",
            "started": "2024-01-01T00:00:01.5Z", "attempts": [{"id": "a", "number": 1, "host": "h", "worker": "w",
            "spans": [{"name": "source", "detail": "archive", "start": "2024-01-01T00:00:02Z"}]}],
        }))
        .unwrap();
        let now = "2024-01-01T00:00:14.3Z".parse().unwrap();
        assert_eq!(
            head(&build, now),
            "  builder: b\n      rev: aa\n buildlet: h w\n  started: 2024-01-01T00:00:01Z\n   status: still running\n\n\
             Events:\n  2024-01-01T00:00:02Z source archive\n  +12.3s (now)\n\nBuild log:\n"
        );
        let done =
            BuildReport { state: BuildState::Done, ended: Some(now), outcome: Some(Outcome::Ok), ..build };
        assert!(head(&done, now).contains("    ended: 2024-01-01T00:00:14Z\n  success: true\n"));
    }
}
