//! A builder: what it did, and how long that took.

use askama::Template;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use transport::Viewer;
use webui::Markup;
use webui::chart::{self, Bar};

use super::super::refusal::{Path, Query, Refusal};
use super::super::window::given;
use super::super::{Dashboard, builds, check_name, visible};
use super::lists::ListQuery;
use super::{page, revision, shown, subject, took, until, word};
use crate::api::BuildSummary;

#[derive(Template)]
#[template(path = "builder.html")]
struct BuilderPage {
    name: String,
    query: ListQuery,
    builds: Vec<BuildSummary>,
    next: Option<String>,
    chart: Option<Markup>,
    /// Of those that are shown: how many were ok, and how many were judged.
    ok: usize,
    judged: usize,
}

impl BuilderPage {
    fn value<'a>(&self, field: &'a Option<String>) -> &'a str {
        given(field).unwrap_or_default()
    }

    fn path(&self) -> String {
        format!("/builders/{}", transport::segment(&self.name))
    }
}

/// `GET /builders/{name}` and its twin `GET /builders/{name}.json`
pub(super) async fn builder(
    State(dashboard): State<Dashboard>,
    viewer: Viewer,
    Path(path): Path<String>,
    Query(mut query): Query<ListQuery>,
) -> Response {
    let twin = path.strip_suffix(".json").map(str::to_owned);
    query.builder = Some(twin.clone().unwrap_or_else(|| path.clone()));
    let asked = query.read();
    let list = async {
        if let Some(name) = &twin {
            check_name("builder", name)?;
        }
        builds::page(&dashboard, &viewer, asked?).await
    };
    if twin.is_some() {
        return list.await.map(Json).into_response();
    }
    let answer = async {
        let list = list.await?;
        let eyes = visible::eyes(&dashboard, &viewer).await?;
        let known = dashboard.config().builders().iter().any(|builder| {
            let seen = builder.scope.as_ref().is_none_or(|repo| eyes.repo(repo.as_str()));
            builder.name.as_str() == path && seen
        });
        if list.builds.is_empty() && !known {
            return Err(Refusal::not_found(format!("builder {path:?}")));
        }
        let chart = durations(&list.builds);
        let judged: Vec<_> = list.builds.iter().filter_map(|build| build.outcome).collect();
        let ok = judged.iter().filter(|outcome| outcome.as_str() == "ok").count();
        let judged = judged.iter().filter(|outcome| matches!(outcome.as_str(), "ok" | "failed")).count();
        query.builder = None;
        page(&BuilderPage {
            name: path.clone(),
            query,
            builds: list.builds,
            next: list.next_cursor,
            chart,
            ok,
            judged,
        })
    };
    shown(answer.await)
}

/// How long builds took, the oldest at the left.
fn durations(builds: &[BuildSummary]) -> Option<Markup> {
    let took = |build: &BuildSummary| match (build.started, build.ended) {
        (Some(started), Some(ended)) => Some(ended.as_microsecond() - started.as_microsecond()),
        _ => None,
    };
    let most = builds.iter().filter_map(took).max().unwrap_or(0);
    let bars: Vec<Bar> = builds
        .iter()
        .rev()
        .filter_map(|build| {
            let us = took(build)?;
            let class = word(&build.state, &build.outcome);
            let title = format!(
                "{} {}, {}",
                webui::time::duration(us),
                webui::state::label(class),
                revision(&build.revision)
            );
            Some(Bar { value: us as f64, class, title })
        })
        .collect();
    let label = "How long the builds listed below took, the oldest at the left";
    (!bars.is_empty()).then(|| chart::bars(label, &webui::time::duration(most), &bars))
}
