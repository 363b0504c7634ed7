//! The questions of the original's `apipb.MaintnerService`, over gRPC. Source: spec/maintner.md §5.3.
//!
//! Each is a plain function of one version of the corpus, in a file of its own; here they get time, room and words.

pub mod ancestor;
pub mod dashboard;
pub mod deadline;
pub mod refs;
pub mod releases;
pub mod try_work;
pub mod version;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use maintner::commit::hash;
use maintner::corpus::Corpus;
use maintpb::api::maintner_service_server::{MaintnerService, MaintnerServiceServer};
use maintpb::api::*;
use tokio::sync::Semaphore;
use tonic::{Code, Status};
use tower::ServiceExt as _;
use transport::Routes;
use transport::routes::post;

use self::ancestor::{Ancestry, ancestor};
use self::dashboard::{DashboardError, dashboard};
use self::deadline::{Deadline, Late};
use self::releases::supported;
use self::try_work::TryWork;
use crate::readers::Readers;

/// How long an answer may take, where whoever asks does not say less.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many are worked out at once; others wait for that time too.
const ROOM: usize = 16;
/// The largest question, bytes.
const LARGEST: usize = 64 << 10;

/// The project that releases are made of, and whose server has the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Such as `go.googlesource.com`.
    pub server: String,
    /// Such as `go`.
    pub project: String,
}

impl Default for Home {
    fn default() -> Self {
        Self { server: "go.googlesource.com".into(), project: "go".into() }
    }
}

impl Home {
    fn name(&self) -> String {
        format!("{}/{}", self.server, self.project)
    }

    /// Its number in a corpus that has it.
    #[must_use]
    pub fn main(&self, corpus: &Corpus) -> Option<u32> {
        refs::project(corpus, &self.server, &self.project)
    }
}

/// Gives the newest version of a corpus.
pub type View = Arc<dyn Fn() -> Arc<Corpus> + Send + Sync>;

/// What answers. Copies share it.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    view: View,
    home: Home,
    try_work: Option<TryWork>,
    room: Arc<Semaphore>,
}

impl Api {
    /// Answers from a corpus, and about what waits to be tried where somebody is to be asked about it.
    #[must_use]
    pub fn new(view: View, home: Home, try_work: Option<TryWork>) -> Self {
        Self(Arc::new(Inner { view, home, try_work, room: Arc::new(Semaphore::new(ROOM)) }))
    }
}

/// The service. The original's is for everybody.
pub fn routes(api: &Api, readers: Readers) -> Routes {
    let asked =
        || readers.of(post(readers.role(), call)).layer(axum::middleware::from_fn(transport::grpc::refusals));
    Routes::new()
        .route("/apipb.MaintnerService/{method}", asked().reads())
        // All that takes long there is a Gerrit's answer.
        .route("/apipb.MaintnerService/GoFindTryWork", asked().waits())
        .with_state(api.clone())
}

async fn call(State(api): State<Api>, request: Request) -> Response {
    let service = MaintnerServiceServer::from_arc(api.0).max_decoding_message_size(LARGEST);
    match service.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

type Answer<T> = Result<tonic::Response<T>, Status>;

impl Inner {
    /// Works an answer out of the newest version, beside the threads that serve.
    async fn work<T: Send + 'static>(
        &self,
        deadline: Deadline,
        what: impl FnOnce(&Corpus, &Home, &Deadline) -> Result<T, Status> + Send + 'static,
    ) -> Answer<T> {
        let room = tokio::time::timeout_at(deadline.at().into(), self.room.clone().acquire_owned()).await;
        let Ok(Ok(room)) = room else { return Err(Status::deadline_exceeded("too many are asking")) };
        let (corpus, home) = ((self.view)(), self.home.clone());
        let worked = tokio::task::spawn_blocking(move || {
            let _room = room;
            deadline.check()?;
            what(&corpus, &home, &deadline)
        });
        match worked.await {
            Ok(answer) => answer.map(tonic::Response::new),
            Err(_) => Err(Status::internal("no answer was worked out")),
        }
    }
}

/// An error as the original's plain ones are told.
fn plain(why: impl Into<String>) -> Status {
    Status::new(Code::Unknown, why)
}

impl From<Late> for Status {
    fn from(late: Late) -> Self {
        Status::deadline_exceeded(late.to_string())
    }
}

impl From<DashboardError> for Status {
    fn from(why: DashboardError) -> Self {
        let said = why.to_string();
        match why {
            DashboardError::NoRepo(_) | DashboardError::NoBranch(_) => Status::not_found(said),
            DashboardError::Invalid(_) => Status::invalid_argument(said),
            DashboardError::NoHome(_) | DashboardError::Releases(_) => plain(said),
            DashboardError::Late(late) => late.into(),
        }
    }
}

#[tonic::async_trait]
impl MaintnerService for Inner {
    async fn has_ancestor(&self, request: tonic::Request<HasAncestorRequest>) -> Answer<HasAncestorResponse> {
        let deadline = Deadline::of(request.metadata(), PATIENCE);
        let asked = request.into_inner();
        // What has as many characters and is no hash is a commit that nobody knows.
        let read = |text: &str, name| match text.len() {
            40 => Ok(hash(text.as_bytes())),
            _ => Err(plain(format!("invalid {name}"))),
        };
        let (commit, other) = (read(&asked.commit, "Commit")?, read(&asked.ancestor, "Ancestor")?);
        let unknown = HasAncestorResponse { has_ancestor: false, unknown_commit: true };
        let Some(commit) = commit else { return Ok(tonic::Response::new(unknown)) };
        self.work(deadline, move |corpus, _, deadline| {
            let other = other.unwrap_or_default();
            Ok(match ancestor(corpus, &commit, &other, deadline)? {
                Ancestry::Has => HasAncestorResponse { has_ancestor: true, unknown_commit: false },
                Ancestry::HasNot => HasAncestorResponse::default(),
                Ancestry::Unknown => unknown,
            })
        })
        .await
    }

    async fn get_ref(&self, request: tonic::Request<GetRefRequest>) -> Answer<GetRefResponse> {
        let deadline = Deadline::of(request.metadata(), PATIENCE);
        let asked = request.into_inner();
        self.work(deadline, move |corpus, _, _| {
            let project = refs::project(corpus, &asked.gerrit_server, &asked.gerrit_project);
            let project = project.ok_or_else(|| plain("unknown gerrit project"))?;
            Ok(GetRefResponse { value: refs::at(corpus, project, &asked.r#ref).unwrap_or_default() })
        })
        .await
    }

    async fn go_find_try_work(
        &self,
        request: tonic::Request<GoFindTryWorkRequest>,
    ) -> Answer<GoFindTryWorkResponse> {
        let Some(try_work) = &self.try_work else {
            return Err(plain("no Gerrit is configured that knows what waits to be tried"));
        };
        let deadline = Deadline::of(request.metadata(), PATIENCE);
        // Others who ask may wait for the same answer: it is worked on for them.
        let found = tokio::time::timeout_at(deadline.at().into(), try_work.find(&self.view, &self.home));
        let found = found.await.map_err(|_| Late)?.map_err(|why| plain(why.to_string()))?;
        Ok(tonic::Response::new(found))
    }

    async fn list_go_releases(
        &self,
        request: tonic::Request<ListGoReleasesRequest>,
    ) -> Answer<ListGoReleasesResponse> {
        let deadline = Deadline::of(request.metadata(), PATIENCE);
        self.work(deadline, |corpus, home, _| {
            let main =
                home.main(corpus).ok_or_else(|| plain(DashboardError::NoHome(home.name()).to_string()))?;
            let releases = supported(corpus, main).map_err(|why| plain(why.to_string()))?;
            Ok(ListGoReleasesResponse { releases: releases.into() })
        })
        .await
    }

    async fn get_dashboard(&self, request: tonic::Request<DashboardRequest>) -> Answer<DashboardResponse> {
        let deadline = Deadline::of(request.metadata(), PATIENCE);
        let asked = request.into_inner();
        self.work(deadline, move |corpus, home, deadline| Ok(dashboard(corpus, home, &asked, deadline)?))
            .await
    }
}
