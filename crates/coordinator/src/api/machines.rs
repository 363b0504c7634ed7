//! Machines for people: listed, set aside with a reason and an end, and let work again.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::set_asides::{self, SetAsideRow};
use store::{Micros, audit};
use transport::extract::{Input, Path};
use transport::operation::{MachineText, operation};
use transport::routes::{get, post};
use transport::{Role, Routes, Viewer};

use super::{Answer, Api, Failure, ask, deed, shown_status};
use crate::core::{Meanwhile, Message, SetAside, TurnedAway, WorkerStatus};
use crate::identity::is_machine_name;
use crate::ledger::transition;

/// The longest that something set by hand lasts, in seconds.
const LONGEST: u64 = 366 * 86_400;
/// The longest reason, in characters.
const REASON: usize = 500;

/// Answer of `GET /api/v1/machines`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct MachineList {
    /// The machines that there are, those that are set aside and not here, and those that were turned away of late.
    pub machines: Vec<MachineInfo>,
}

/// A machine for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MachineInfo {
    /// What it calls itself, or its id.
    pub name: String,
    /// Its host.
    pub host: String,
    /// What there is to know of it; none if it is not here.
    pub here: Option<WorkerStatus>,
    /// The builder whose build it runs, as far as whoever asks may know.
    pub runs: Option<String>,
    /// Who keeps it from work; at once if it is free, else from when it is.
    pub set_aside: Option<SetAside>,
    /// Why it was turned away when it dialled in, if that was within the last five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turned_away: Option<TurnedAway>,
}

impl MachineInfo {
    fn not_here(host: String, name: String) -> Self {
        MachineInfo { name, host, here: None, runs: None, set_aside: None, turned_away: None }
    }
}

/// Body of `POST /api/v1/machines/{name}/set-aside`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SetAsideRequest {
    /// Why; everybody who waits for the machine reads it.
    #[schemars(
        length(min = 1, max = 500),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$")
    )]
    pub reason: String,
    /// Its host, where several have a machine of that name or it is not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<MachineText>")]
    pub host: Option<String>,
    /// Seconds until it ends by itself; only when it is resumed if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = LONGEST))]
    pub expires_in: Option<u64>,
    /// Whether what it does is lost and tried again elsewhere; it is finished otherwise.
    #[serde(default)]
    pub now: bool,
}

/// Body of `POST /api/v1/machines/{name}/resume`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ResumeRequest {
    /// Its host, where several have a machine of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<MachineText>")]
    pub host: Option<String>,
}

pub(super) fn routes() -> Routes<Arc<Api>> {
    Routes::new()
        .route(
            "/api/v1/machines",
            get(Role::Reader, list).about(
                operation("list_machines", "Lists machines: what each does, who has set it aside and why, and why it was turned away.")
                    .answers::<MachineList>(),
            ),
        )
        .route(
            "/api/v1/machines/{name}/set-aside",
            post(Role::Admin, set_aside).about(
                operation("set_machine_aside", "Keeps a machine from work; it finishes what it does, unless told otherwise.")
                    .part::<MachineText>("name", "What the machine calls itself, or its id.")
                    .takes::<SetAsideRequest>()
                    .answers::<MachineInfo>()
                    .may_refuse(&[409, 503]),
            ),
        )
        .route(
            "/api/v1/machines/{name}/resume",
            post(Role::Admin, resume).about(
                operation(
                    "resume_machine",
                    "Lets a machine work again; one that the server has set aside by itself is cleaned first.",
                )
                .part::<MachineText>("name", "What the machine calls itself, or its id.")
                .takes::<ResumeRequest>()
                .or_nothing()
                .answers::<MachineInfo>()
                .may_refuse(&[409, 503]),
            ),
        )
}

async fn machines(api: &Api, viewer: &Viewer) -> Result<Vec<MachineInfo>, Failure> {
    let status = shown_status(api, viewer).await?;
    let now = api.shared.ledger.clock().now();
    let asides = set_asides::live(&mut api.shared.ledger.db().read().await?, now).await?;
    let runs = |worker| status.running.iter().find(|one| one.worker == worker).map(|one| one.builder.clone());
    let mut machines: Vec<MachineInfo> = (status.workers.iter())
        .map(|worker| MachineInfo {
            name: worker.name.clone(),
            host: worker.host.clone(),
            runs: runs(worker.worker),
            set_aside: worker.set_aside.clone(),
            turned_away: None,
            here: Some(worker.clone()),
        })
        .collect();
    for row in asides {
        if !machines.iter().any(|one| one.host == row.host && one.name == row.name) {
            let SetAsideRow { host, name, owner, reason, since, until } = row;
            let set_aside = Some(SetAside { owner, reason, since, until });
            machines.push(MachineInfo { set_aside, ..MachineInfo::not_here(host, name) });
        }
    }
    for one in status.turned_away {
        let (host, name) = (one.host.clone(), one.name.clone());
        match machines.iter_mut().find(|known| known.host == host && known.name == name) {
            Some(known) => known.turned_away = Some(one),
            None => {
                machines.push(MachineInfo { turned_away: Some(one), ..MachineInfo::not_here(host, name) });
            }
        }
    }
    machines.sort_by(|a, b| (&a.host, &a.name).cmp(&(&b.host, &b.name)));
    Ok(machines)
}

async fn list(State(api): State<Arc<Api>>, viewer: Viewer) -> Answer<MachineList> {
    Ok(Json(MachineList { machines: machines(&api, &viewer).await? }))
}

/// The host of the machine of that name.
async fn host_of(api: &Api, viewer: &Viewer, name: &str, said: Option<&str>) -> Result<String, Failure> {
    let unknown = |message: String| Failure::not_found(message);
    if !is_machine_name(name) {
        return Err(unknown(format!("there is no machine {name:?}")));
    }
    if let Some(said) = said {
        let config = api.finder.config.borrow().clone();
        let known = config.hosts().iter().any(|host| host.name.as_str() == said);
        return known.then(|| said.to_owned()).ok_or_else(|| unknown(format!("there is no host {said:?}")));
    }
    let machines = machines(api, viewer).await?;
    // One that was only turned away is no machine of that host.
    let is_known = |one: &MachineInfo| one.here.is_some() || one.set_aside.is_some();
    let found = machines.into_iter().filter(|one| one.name == name && is_known(one));
    let hosts: BTreeSet<String> = found.map(|one| one.host).collect();
    let mut hosts = hosts.into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(host),
        (Some(one), Some(other)) => {
            let message = format!("hosts {one} and {other} both have a machine {name}: say which host");
            Err(Failure::new(StatusCode::CONFLICT, "ambiguous", message))
        }
        (None, _) => Err(unknown(format!("no machine {name} is here; name its host if it is to come"))),
    }
}

/// The machine as it is now.
async fn shown(api: &Api, viewer: &Viewer, host: String, name: String) -> Answer<MachineInfo> {
    let found = machines(api, viewer).await?.into_iter().find(|one| one.host == host && one.name == name);
    Ok(Json(found.unwrap_or_else(|| MachineInfo::not_here(host, name))))
}

async fn set_aside(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(name): Path<String>,
    Input(body): Input<SetAsideRequest>,
) -> Answer<MachineInfo> {
    let bad = |message: String| Failure::new(StatusCode::BAD_REQUEST, "bad_request", message);
    let reason = body.reason.trim();
    let bounded = body.reason.chars().count() <= REASON && !body.reason.chars().any(char::is_control);
    if reason.is_empty() || !bounded {
        return Err(bad(format!("`reason` is one line of 1 to {REASON} characters")));
    }
    if body.expires_in.is_some_and(|seconds| !(1..=LONGEST).contains(&seconds)) {
        return Err(bad(format!("`expires_in` is from 1 to {LONGEST}")));
    }
    let host = host_of(&api, &viewer, &name, body.host.as_deref()).await?;
    let now = api.shared.ledger.clock().now();
    let until = body.expires_in.map(|seconds| Micros(now.0.saturating_add_unsigned(seconds * 1_000_000)));
    let (owner, reason) = (viewer.who.to_string(), reason.to_owned());
    let row = SetAsideRow { host: host.clone(), name: name.clone(), owner, reason, since: now, until };
    let (target, detail) = (format!("{host} {name}"), words(&row, body.now));
    transition!(&api.shared.ledger, "set_aside", name, |tx| {
        // One whose answer was lost is there already.
        if !set_asides::live(&mut tx, now).await?.contains(&row) {
            set_asides::put(&mut tx, &row).await?;
            audit::append(&mut tx, deed(&viewer, now, "machine_set_aside", &target, &detail)).await?;
        }
    })?;
    let meanwhile = if body.now { Meanwhile::IsLost } else { Meanwhile::Finishes };
    ask(&api, |done| Message::SetAside(Box::new(row), meanwhile, done)).await?;
    shown(&api, &viewer, host, name).await
}

fn words(row: &SetAsideRow, at_once: bool) -> String {
    let until = row.until.and_then(|until| jiff::Timestamp::from_microsecond(until.0).ok());
    let until = until.map(|until| format!(", until {until:.0}")).unwrap_or_default();
    format!("{}{until}{}", row.reason, if at_once { ", at once" } else { "" })
}

async fn resume(
    State(api): State<Arc<Api>>,
    viewer: Viewer,
    Path(name): Path<String>,
    body: Option<Input<ResumeRequest>>,
) -> Answer<MachineInfo> {
    let body = body.map(|Input(body)| body).unwrap_or_default();
    let host = host_of(&api, &viewer, &name, body.host.as_deref()).await?;
    let now = api.shared.ledger.clock().now();
    let target = format!("{host} {name}");
    let live = set_asides::live(&mut api.shared.ledger.db().read().await?, now).await?;
    let was = live.iter().any(|row| row.host == host && row.name == name);
    transition!(&api.shared.ledger, "resume", name, |tx| {
        // One whose answer was lost is gone already, and noted.
        if set_asides::remove(&mut tx, &host, &name).await? || !was {
            audit::append(&mut tx, deed(&viewer, now, "machine_resume", &target, "")).await?;
        }
    })?;
    ask(&api, |done| Message::Resume { host: host.clone(), name: name.clone(), done }).await?;
    shown(&api, &viewer, host, name).await
}
