//! The coordinator's HTTP side: builds asked for, ended and tried again, and why things wait.

mod alarms;
mod bisections;
mod gomotes;
mod holds;
mod legacy;
mod machine_tokens;
mod machines;
mod order;
mod outbox;
mod pages;
mod tries;
pub(crate) mod visible;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::audit::{self, Deed};
use store::builds::{self, BuildRow};
use store::{BuildId, Micros, StoreError};
use tokio::sync::oneshot;
use transport::extract::{Input, Path};
use transport::operation::{Operation, RevText, UlidText, operation};
use transport::routes::{get, post};
use transport::{ApiError, CallError, Role, Routes, Viewer};

use crate::attempt::Shared;
use crate::attempt::landed::{self, NotLanded};
use crate::core::{BlockedRepo, Message, Status};
use crate::forecast;
use crate::ledger::transition;
use crate::pool::Reception;
use crate::resolve;
use crate::schedule::{Class, Reason, Wait};
use crate::work::{Finder, Wanted};
use order::Order;

pub use alarms::{AlarmInfo, AlarmList};
pub use gomotes::{GomoteInfo, GomoteList};
pub use machines::{MachineInfo, MachineList, ResumeRequest, SetAsideRequest};

pub use outbox::{OutboxCount, OutboxList, OutboxMessage, RetryMessage};

pub use bisections::{BisectionList, BisectionWhole};
pub use machine_tokens::{MachineTokenAnswer, MachineTokenInfo, MachineTokenList, MachineTokenRequest};
pub use tries::{TryBuild, TryLeftOut, TryList, TryQuery, TryRun, TrySummary};

pub(crate) struct Api {
    pub shared: Arc<Shared>,
    pub finder: Finder,
    /// Which machines have dialled in.
    pub reception: Option<Reception>,
}

/// Body of `POST /api/v1/builds`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BuildRequest {
    /// The repo.
    pub repo: String,
    /// A branch, a tag or a commit of it.
    #[schemars(with = "RevText")]
    pub rev: String,
    /// The builder.
    pub builder: String,
    /// For a repo that is built against a toolchain: a branch, tag or commit of that; its default branch where not given.
    #[serde(default)]
    #[schemars(with = "Option<RevText>")]
    pub toolchain: Option<String>,
    /// Whether a build that is done already is done again.
    #[serde(default)]
    pub again: bool,
}

/// Body of `POST /api/v1/builds/{id}/cancel`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct CancelRequest {
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// What became of a build that was asked for.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BuildAnswer {
    /// The build.
    pub id: String,
    /// Its revision.
    pub revision: String,
    /// Its state.
    pub state: String,
    /// Whether it is new.
    pub new: bool,
    /// How many attempts it has had before.
    #[serde(default)]
    pub attempts: u32,
}

/// Why a build waits, or what became of it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WhyAnswer {
    /// The build.
    pub id: String,
    /// Its state.
    pub state: String,
    /// Its outcome.
    pub outcome: Option<String>,
    /// A sentence.
    pub reason: String,
    /// How many attempts have begun.
    #[serde(default)]
    pub attempts: u32,
    /// Counts its changes, as in the dashboard's reports of it.
    #[serde(default)]
    pub version: u64,
    /// For programs.
    pub wait: Option<Wait>,
    /// When it may start, if it waits for a machine and that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i64>")]
    pub expected_start: Option<Micros>,
}

/// Answer of `POST /api/v1/work`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct WorkAnswer {
    /// Builds that were queued by this.
    pub found: usize,
    /// Builds that wait and can run some day.
    pub queued: usize,
    /// Builds that wait and can't run as things are configured.
    pub blocked: usize,
    /// Builds that run.
    pub running: usize,
    /// Builds that are done and not reported yet.
    pub unreported: usize,
}

type Answer<T> = Result<Json<T>, Failure>;

/// A refusal.
#[derive(Debug)]
pub(crate) struct Failure {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Failure { status, code, message: message.into() }
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request failed at the database");
        let status = if error.is_transient() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        Failure::new(status, "database", "the database could not do it; the server's log says why")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let request_id = store::EventId::generate(store::Micros::now()).to_string();
        tracing::debug!(request_id, status = %self.status, message = self.message, "a request was refused");
        let body = ApiError { code: self.code.to_owned(), message: self.message, request_id };
        (self.status, Json(body)).into_response()
    }
}

/// Says that an operation is about a build.
fn of_build(operation: Operation) -> Operation {
    operation.part::<UlidText>("id", "The build's id.")
}

pub(crate) fn routes(api: Api) -> Routes {
    Routes::new()
        .route(
            "/api/v1/builds",
            post(Role::Developer, submit).about(
                operation("request_build", "Asks for a build of any commit that the mirrors can find.")
                    .takes::<BuildRequest>()
                    .answers::<BuildAnswer>()
                    .may_refuse(&[404, 409, 502, 504, 507]),
            ),
        )
        .route(
            "/api/v1/builds/{id}/retry",
            post(Role::Developer, retry).about(of_build(
                operation("retry_build", "Queues a build that is done once more.")
                    .takes_order::<serde_json::Map<String, serde_json::Value>>()
                    .answers::<BuildAnswer>()
                    .may_refuse(&[409]),
            )),
        )
        .route(
            "/api/v1/builds/{id}/cancel",
            post(Role::Developer, cancel).about(of_build(
                operation("cancel_build", "Takes a build out of the queue, or ends it.")
                    .takes_order::<CancelRequest>()
                    .answers::<BuildAnswer>(),
            )),
        )
        .route(
            "/api/v1/builds/{id}/why",
            get(Role::Reader, why).about(of_build(
                operation("why_build", "Says why a build waits, or what became of it.")
                    .answers::<WhyAnswer>(),
            )),
        )
        .route(
            "/api/v1/work",
            post(Role::Developer, work).about(
                operation("find_work", "Looks for what is due now, and queues it.").answers::<WorkAnswer>(),
            ),
        )
        .route(
            "/api/v1/status",
            get(Role::Reader, status).about(
                operation("get_status", "Says what runs, what waits and why, and which machines there are.")
                    .answers::<Status>(),
            ),
        )
        .route(
            "/status.json",
            get(Role::Reader, status)
                .about(operation("get_status_page", "The same as `/api/v1/status`.").answers::<Status>()),
        )
        .route("/status", get(Role::Reader, pages::status))
        .route("/pools", get(Role::Reader, pages::pools))
        .merge(alarms::routes())
        .merge(gomotes::routes())
        .merge(holds::routes())
        .merge(legacy::routes())
        .merge(machine_tokens::routes())
        .merge(machines::routes())
        .merge(outbox::routes())
        .merge(bisections::routes())
        .merge(tries::routes())
        .with_state(Arc::new(api))
}

/// Finds a build, if it exists for the viewer.
async fn build(api: &Api, viewer: &Viewer, id: &str) -> Result<BuildRow, Failure> {
    let unknown = || Failure::not_found(format!("there is no build {id}"));
    let id: BuildId = id.parse().map_err(|_| unknown())?;
    let mut reader = api.shared.ledger.db().read().await?;
    let row = builds::get(&mut reader, id).await?.ok_or_else(unknown)?;
    let config = api.finder.config.borrow().clone();
    if visible::revision(&config, viewer, &row.revision) { Ok(row) } else { Err(unknown()) }
}

/// Finds a build for an order.
async fn build_to_order(api: &Api, viewer: &Viewer, id: &str) -> Result<BuildRow, Failure> {
    let row = build(api, viewer, id).await?;
    may_order(viewer, &row.repo)?;
    Ok(row)
}

fn may_order(viewer: &Viewer, repo: &str) -> Result<(), Failure> {
    let message = || format!("{} is not for {repo}", viewer.who);
    viewer
        .may_order(repo)
        .then_some(())
        .ok_or_else(|| Failure::new(StatusCode::FORBIDDEN, "forbidden", message()))
}

async fn ask<T>(api: &Api, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Failure> {
    let gone =
        || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "going_down", "the coordinator is going down");
    let (sender, receiver) = oneshot::channel();
    api.finder.core.send(message(sender)).await.map_err(|_| gone())?;
    receiver.await.map_err(|_| gone())
}

#[derive(Deserialize)]
struct Resolved {
    commit: String,
}

async fn resolve_rev(api: &Api, repo: &str, rev: &str) -> Result<String, Failure> {
    let rev = transport::segment(rev);
    let found = api.shared.mirror.get_json::<Resolved>(&format!("/mirror/{repo}/resolve?rev={rev}")).await;
    found.map(|found| found.commit).map_err(|error| match error {
        CallError::Refused { status, error } => Failure { status, code: "revision", message: error.message },
        error => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "mirror", error.to_string()),
    })
}

/// Whoever orders a build hears within this time, which is less than they wait, whether its commits have landed.
const SUBMIT: Duration = Duration::from_secs(25);

async fn submit(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Input(body): Input<BuildRequest>,
) -> Answer<BuildAnswer> {
    let config = Arc::clone(&api.finder.config.borrow());
    if !visible::with_needs(&config, &viewer, &body.repo) {
        return Err(Failure::not_found(format!("there is no repo {}", body.repo)));
    }
    may_order(&viewer, &body.repo)?;
    let builder = resolve::builder(&config, &body.repo, &body.builder)
        .map_err(|error| Failure::not_found(error.to_string()))?;
    let repo = config.repo(&body.repo);
    let repo = repo.ok_or_else(|| Failure::not_found(format!("there is no repo {}", body.repo)))?;
    let mut revision = format!("{}@{}", repo.name, resolve_rev(&api, repo.name.as_str(), &body.rev).await?);
    let mut rest = Vec::new();
    for (n, needed) in repo.needs.iter().enumerate() {
        let rev = body.toolchain.as_deref().filter(|_| n == 0).unwrap_or("HEAD");
        rest.push(format!("{needed}@{}", resolve_rev(&api, needed.as_str(), rev).await?));
    }
    rest.sort();
    for part in rest {
        revision = format!("{revision}+{part}");
    }
    if !builder.secrets.is_empty() {
        let commits = resolve::parse_revision(&revision).map_err(|error| {
            let message = error.to_string();
            Failure::new(StatusCode::BAD_REQUEST, "bad_request", message)
        })?;
        let landed = landed::have_landed(&api.shared.mirror, &commits, builder.name.as_str(), SUBMIT).await;
        landed.map_err(|error| match error {
            NotLanded::Not { .. } => Failure::new(StatusCode::CONFLICT, "not_landed", error.to_string()),
            _ => Failure::new(StatusCode::SERVICE_UNAVAILABLE, "mirror", error.to_string()),
        })?;
    }
    let now = api.shared.ledger.clock().now();
    let want = Wanted {
        builder: builder.name.to_string(),
        repo: body.repo.clone(),
        branch: body.rev.clone(),
        toolchain_branch: body.toolchain.clone(),
        revision: revision.clone(),
        class: Class::Interactive,
        priority: 0,
        commit_time: now,
    };
    let name = want.builder.clone();
    let asked = deed(&viewer, now, "build", &revision, &name);
    if let Some(row) = api.finder.queue(vec![want], &[], Some(asked)).await?.into_iter().next() {
        return Ok(answer(row, true));
    }
    let mut reader = api.shared.ledger.db().read().await?;
    let row = builds::by_cell(&mut reader, &name, &revision).await?;
    drop(reader);
    let row = row.ok_or_else(|| Failure::not_found("the build vanished"))?;
    if body.again && row.state == "done" {
        return Ok(answer(again(&api, &viewer, row.id).await?, true));
    }
    Ok(answer(row, false))
}

fn answer(row: BuildRow, new: bool) -> Json<BuildAnswer> {
    let attempts = count(row.attempts);
    Json(BuildAnswer { id: row.id.to_string(), revision: row.revision, state: row.state, new, attempts })
}

fn count(attempts: i64) -> u32 {
    u32::try_from(attempts).unwrap_or(u32::MAX)
}

/// What somebody did, for the audit log.
fn deed(viewer: &Viewer, time: Micros, action: &str, target: &str, detail: &str) -> Deed {
    let actor = viewer.who.to_string();
    Deed { time, actor, action: action.into(), target: target.into(), detail: detail.into() }
}

async fn again(api: &Api, viewer: &Viewer, id: BuildId) -> Result<BuildRow, Failure> {
    let now = api.shared.ledger.clock().now();
    let class = Class::Interactive.as_str();
    let row = transition!(&api.shared.ledger, "retry", id, |tx| {
        builds::retry(&mut tx, id, class, 0, now).await?;
        audit::append(&mut tx, deed(viewer, now, "retry", &id.to_string(), "")).await?;
        builds::get(&mut tx, id).await?
    });
    // A commit whose answer was lost looks stale when it is tried again: the row tells whose it is.
    let row = match row {
        Err(StoreError::Stale) => {
            let row = builds::get(&mut api.shared.ledger.db().read().await?, id).await?;
            row.filter(|row| row.state == "queued" && row.queued == now).map(Some).ok_or(StoreError::Stale)
        }
        row => row,
    };
    match row {
        Ok(Some(row)) => {
            let _ = api.finder.core.send(Message::Queued(vec![row.clone()])).await;
            Ok(row)
        }
        Ok(None) => Err(Failure::not_found(format!("there is no build {id}"))),
        Err(StoreError::Stale) => Err(Failure::new(
            StatusCode::CONFLICT,
            "not_done",
            format!("build {id} is not done: there is nothing to retry"),
        )),
        Err(error) => Err(error.into()),
    }
}

async fn retry(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(id): Path<String>,
    order: Order<serde::de::IgnoredAny>,
) -> Result<Response, Failure> {
    let row = build_to_order(&api, &viewer, &id).await?;
    let row = again(&api, &viewer, row.id).await?;
    Ok(order.answered(&id, answer(row, true)))
}

async fn cancel(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(path_id): Path<String>,
    order: Order<CancelRequest>,
) -> Result<Response, Failure> {
    let row = build_to_order(&api, &viewer, &path_id).await?;
    let reason = order.body.as_ref().map(|body| body.reason.clone()).filter(|reason| !reason.is_empty());
    let cause =
        json!({"kind": "person", "detail": reason.unwrap_or_else(|| "cancelled by hand".into())}).to_string();
    let now = api.shared.ledger.clock().now();
    let id = row.id;
    let after = transition!(&api.shared.ledger, "cancel", id, |tx| {
        if builds::cancel(&mut tx, id, &cause).await? {
            audit::append(&mut tx, deed(&viewer, now, "cancel", &id.to_string(), &cause)).await?;
        }
        let row = builds::get(&mut tx, id).await?.ok_or(StoreError::Stale)?;
        if row.state == "queued" {
            builds::finish(&mut tx, id, row.fence, "cancelled", row.cancel.as_deref(), now).await?;
        }
        builds::get(&mut tx, id).await?.ok_or(StoreError::Stale)?
    })?;
    let message = if after.state == "done" { Message::Withdrawn(id) } else { Message::Cancel(id) };
    let _ = api.finder.core.send(message).await;
    Ok(order.answered(&path_id, answer(after, false)))
}

async fn why(State(api): State<Arc<Api>>, viewer: Viewer, Path(id): Path<String>) -> Answer<WhyAnswer> {
    let row = build(&api, &viewer, &id).await?;
    let wait = ask(&api, |answer| Message::Why(row.id, answer)).await?;
    let waits =
        wait.as_ref().is_some_and(|wait| matches!(wait.reason, Reason::Pool { .. } | Reason::BackOff { .. }));
    let expected_start = match waits {
        true => whole_status(&api)
            .await?
            .queued
            .iter()
            .find(|one| one.build == row.id)
            .and_then(|one| one.expected_start),
        false => None,
    };
    let reason = match (&wait, &row.outcome) {
        (_, Some(outcome)) => {
            let cause = row
                .cause
                .as_deref()
                .and_then(|text| serde_json::from_str::<dashboard::api::Cause>(text).ok());
            match cause {
                Some(cause) => format!("done: {outcome}, {} {}", cause.kind, cause.detail),
                None => format!("done: {outcome}"),
            }
        }
        (Some(wait), None) => wait.reason.to_string(),
        (None, None) => format!("{}; the scheduler does not know it", row.state),
    };
    let (attempts, version) = (count(row.attempts), row.version.unsigned_abs());
    let (state, outcome) = (row.state, row.outcome);
    Ok(Json(WhyAnswer { id, state, outcome, reason, attempts, version, wait, expected_start }))
}

/// How things stand, with the repositories that are blocked, as far as the dashboard answers, and the expected start of
/// what waits for a machine.
async fn whole_status(api: &Api) -> Result<Status, Failure> {
    let mut status = ask(api, Message::Status).await?;
    let running = status.running.iter().map(|one| (&one.builder, &one.repo));
    let queued = status.queued.iter().filter(|one| matches!(one.wait.reason, Reason::Pool { .. }));
    let wanted: BTreeSet<(String, String)> = running
        .chain(queued.map(|one| (&one.builder, &one.repo)))
        .map(|(builder, repo)| (builder.clone(), repo.clone()))
        .collect();
    let usual = api.shared.usual.of(&api.shared.dashboard, wanted).await;
    let now = api.shared.ledger.clock().now();
    let known = |builder: &str, repo: &str| usual.get(&(builder.to_owned(), repo.to_owned())).copied();
    let starts = forecast::expected_starts(now, &status, known);
    for one in &mut status.queued {
        one.expected_start = starts.get(&one.build).copied();
    }
    let repos = api.shared.dashboard.repos().await.unwrap_or_default();
    let blocked = repos.into_iter().filter(|repo| repo.state == dashboard::api::RepoState::Blocked);
    status.blocked = blocked
        .map(|repo| BlockedRepo { repo: repo.name, reason: repo.reason.unwrap_or_default() })
        .collect();
    Ok(status)
}

/// How things stand, as far as the viewer may know.
async fn shown_status(api: &Api, viewer: &Viewer) -> Result<Status, Failure> {
    let mut status = whole_status(api).await?;
    status.alarms = alarms::live(api, viewer).await?;
    let config = api.finder.config.borrow().clone();
    Ok(visible::status(&config, viewer, status))
}

async fn status(State(api): State<Arc<Api>>, viewer: Viewer) -> Answer<Status> {
    Ok(Json(shown_status(&api, &viewer).await?))
}

async fn work(State(api): State<Arc<Api>>, viewer: Viewer) -> Answer<WorkAnswer> {
    if !viewer.may_order_all() {
        let message = format!("{} is for some repositories, and this looks for the work of all", viewer.who);
        return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", message));
    }
    let found = api.finder.find().await;
    let found =
        found.map_err(|error| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "work", error.to_string()))?;
    let status = ask(&api, Message::Status).await?;
    let mut reader = api.shared.ledger.db().read().await?;
    let open = builds::open(&mut reader).await?;
    let is_blocked = |wait: &Wait| matches!(wait.reason, Reason::Blocked { .. });
    let blocked = status.queued.iter().filter(|waiting| is_blocked(&waiting.wait)).count();
    Ok(Json(WorkAnswer {
        found,
        queued: status.queued.len() - blocked,
        blocked,
        running: status.running.len(),
        unreported: open.iter().filter(|row| row.state == "done").count(),
    }))
}
