//! The service itself: the original's methods and status codes (spec/buildlet.md §4.3), where they make sense.
//!
//! Ours differs in this: an instance's end is put off by its owner alone, and nothing is fetched from addresses that are not
//! ours, since what this server can reach is not for everybody.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use buildlet_client::LsRequest;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use gomote::gomote_service_server::{GomoteService, GomoteServiceServer};
use gomote::*;
use store::audit::Deed;
use store::{BuildId, ObjectError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;
use tower::ServiceExt as _;
use transport::routes::{Routes, post};
use transport::{Role, Viewer};

use super::files::{self, Files};
use super::names::Missing;
use super::run;
use super::waiting::{Stage, Waiting};
use super::{Hold, Over, Session, reaches};
use crate::attempt::Shared;
use crate::clock::new_id;
use crate::core::Message;
use crate::ssh::Shells;
use crate::work::Finder;

/// Whoever waits hears so often at least that they do, as with the original.
const WAITING: Duration = Duration::from_secs(5);
/// How often it is looked whether there is something new to say of the wait.
const LOOK: Duration = Duration::from_millis(500);
/// So many machines may turn out to be dead before whoever waits is told that none can be had.
const TRIES: u32 = 5;
/// So long is waited for repositories whose builders were not read yet, after a start: a mirror may have to be made.
const UNREAD: Duration = Duration::from_secs(10);
/// Entries of a listing in one message, as with the original.
const ENTRIES: usize = 100;

type Answer<T> = Result<tonic::Response<T>, Status>;
type Streamed<T> = BoxStream<'static, Result<T, Status>>;

/// Where people are served. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    pub shared: Arc<Shared>,
    pub finder: Finder,
    pub files: Files,
    pub shells: Shells,
}

/// The address at which somebody reaches this server.
#[derive(Clone)]
struct Origin(String);

pub(crate) fn routes(desk: Desk) -> Routes {
    let of_files = files::routes(desk.files.clone());
    let desk = Arc::new(desk);
    let refused = axum::middleware::from_fn(transport::grpc::refusals);
    let grpc = Routes::new()
        .route(
            "/protos.GomoteService/{method}",
            post(Role::Developer, call).streams_its_body().layer(refused),
        )
        .with_state(desk);
    grpc.merge(of_files)
}

async fn call(State(desk): State<Arc<Desk>>, mut request: Request) -> Response {
    let origin = Origin(origin(&desk, &request));
    request.extensions_mut().insert(origin);
    match GomoteServiceServer::from_arc(desk).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

/// What whoever asks put before the path: as configured if it is that, so that a proxy's https stays https.
fn origin(desk: &Desk, request: &Request) -> String {
    let configured = desk.finder.config.borrow().environment().url.trim_end_matches('/').to_owned();
    let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
    let said = configured.split_once("://").map(|(_, authority)| authority);
    match host.or_else(|| request.uri().authority().map(|authority| authority.as_str())) {
        Some(host) if said != Some(host) => {
            format!("{}://{host}", request.uri().scheme_str().unwrap_or("http"))
        }
        _ => configured,
    }
}

fn viewer<T>(request: &tonic::Request<T>) -> Result<Viewer, Status> {
    // The route lets nobody else in.
    request.extensions().get::<Viewer>().cloned().ok_or_else(|| Status::unauthenticated("say who you are"))
}

/// What an empty name is: the original has two answers.
enum Empty {
    Invalid,
    NotFound,
}

impl Desk {
    /// Finds what somebody holds, and puts its end off.
    fn session(&self, viewer: &Viewer, name: &str, empty: Empty) -> Result<Arc<Session>, Status> {
        match empty {
            Empty::Invalid if name.is_empty() => {
                return Err(Status::invalid_argument("gomote_id is missing"));
            }
            _ => {}
        }
        let session = self.shared.gomotes.find_for(&self.finder.config.borrow(), viewer, name);
        let session = session.map_err(|missing| match missing {
            Missing::Unknown => {
                Status::not_found(format!("there is no gomote {name:?}; `bellwether gomote list` has yours"))
            }
            Missing::NotYet => {
                Status::unavailable(format!("{name} waits for its machine; try again in a moment"))
            }
        })?;
        if session.owner != *viewer.who {
            return Err(Status::permission_denied(format!("{name} is not yours")));
        }
        session.renew(self.shared.ledger.clock().now(), self.shared.gomotes.idle);
        Ok(session)
    }

    /// Builders on whose hosts somebody may have machines, by their names.
    fn builders(&self, viewer: &Viewer) -> Vec<String> {
        let config = self.finder.config.borrow().clone();
        let builders = config.builders().iter().filter(|builder| may(&config, viewer, builder));
        let mut names: Vec<_> = builders.map(|builder| builder.full_name()).collect();
        names.sort();
        names
    }

    /// Waits a while for a configuration that `enough` is true of, as long as somebody's repositories are not all read.
    async fn read(&self, viewer: &Viewer, enough: impl Fn(&buildenv::Config) -> bool) {
        let mut config = self.finder.config.clone();
        let read = config.wait_for(|config| enough(config) || run::unread(config, viewer).is_empty());
        // Whoever asks looks at what is there then.
        let _ = tokio::time::timeout(UNREAD, read).await;
    }

    async fn hold(&self, viewer: &Viewer, builder: &str) -> Result<Hold, Status> {
        if builder.is_empty() {
            return Err(Status::invalid_argument("builder_type is missing"));
        }
        let known = |config: &buildenv::Config| {
            run::builder(config, builder, |builder| may(config, viewer, builder)).is_ok()
        };
        self.read(viewer, known).await;
        let config = self.finder.config.borrow().clone();
        let found = run::builder(&config, builder, |builder| may(&config, viewer, builder));
        let builder = found.map_err(|error| match run::unread(&config, viewer).join(", ") {
            unread if unread.is_empty() => Status::invalid_argument(error),
            unread => Status::unavailable(format!(
                "{error}, but for those of {unread}, of which no commit was read yet"
            )),
        })?;
        let full_name = builder.full_name();
        let repo = builder.scope.as_ref().map(ToString::to_string).unwrap_or_default();
        if builder.hosts.is_empty() {
            return Err(Status::failed_precondition(format!("no host matches builder {full_name}")));
        }
        let id = new_id!(BuildId, **self.shared.ledger.clock());
        Ok(Hold {
            id,
            name: self.name(viewer, (&repo, &full_name), id)?,
            owner: viewer.who.to_string(),
            repo,
            builder: full_name,
            hosts: builder.hosts.iter().map(ToString::to_string).collect(),
            before: None,
        })
    }

    /// Takes a name for somebody, if they may have one more machine.
    fn name(&self, viewer: &Viewer, of: (&str, &str), id: BuildId) -> Result<String, Status> {
        let name = self.shared.gomotes.reserve_for(&self.finder.config.borrow(), viewer, of, id);
        name.map_err(|no_room| Status::resource_exhausted(no_room.to_string()))
    }

    /// Waits for a machine and tells how that goes.
    async fn wait(
        self: Arc<Self>,
        mut hold: Hold,
        mut waiting: Waiting,
        told: mpsc::Sender<Result<CreateInstanceResponse, Status>>,
        viewer: Viewer,
    ) {
        for _ in 0..TRIES {
            let Ok(core) = self.finder.core.reserve().await else { break };
            let (granted, grant) = oneshot::channel();
            waiting.stage = Stage::Asked(grant);
            core.send(Message::Hold(Box::new(hold.clone()), granted));
            let mut said: Option<(CreateInstanceResponse, tokio::time::Instant)> = None;
            let answer = loop {
                tokio::select! {
                    answer = waiting.answer() => break answer,
                    () = told.closed() => return,
                    over = Over::not_known(&hold.owner, &viewer.standing) => {
                        let _ = told.send(Err(over.into())).await;
                        return;
                    }
                    () = tokio::time::sleep(LOOK) => {
                        let Some(status) = self.how_it_stands(hold.id).await else { continue };
                        let old = said.as_ref().is_some_and(|(before, when)| *before == status && when.elapsed() < WAITING);
                        if !old {
                            if told.send(Ok(status.clone())).await.is_err() {
                                return;
                            }
                            said = Some((status, tokio::time::Instant::now()));
                        }
                    }
                }
            };
            match answer {
                Some(Ok(session)) => {
                    waiting.stage = Stage::Given(Arc::clone(&session));
                    let complete = CreateInstanceResponse {
                        instance: Some(session.instance()),
                        status: create_instance_response::Status::Complete.into(),
                        ..CreateInstanceResponse::default()
                    };
                    if told.send(Ok(complete)).await.is_ok() {
                        waiting.stage = Stage::Over;
                    }
                    return;
                }
                Some(Err(reason)) => tracing::warn!(name = hold.name, reason, "a machine to be held is none"),
                None => break,
            }
            // The name went with the machine. A new id: what the scheduler still hears of the old one is not about this.
            waiting.stage = Stage::Over;
            hold.id = new_id!(BuildId, **self.shared.ledger.clock());
            hold.name = match self.name(&viewer, (&hold.repo, &hold.builder), hold.id) {
                Ok(name) => name,
                Err(full) => {
                    let _ = told.send(Err(full)).await;
                    return;
                }
            };
            waiting.stage = Stage::Named(hold.id);
        }
        let text = "no machine could be had; the server's log says why, or it is going down";
        let _ = told.send(Err(Status::internal(text))).await;
    }

    async fn how_it_stands(&self, id: BuildId) -> Option<CreateInstanceResponse> {
        let (answer, answered) = oneshot::channel();
        self.finder.core.send(Message::Why(id, answer)).await.ok()?;
        let wait = answered.await.ok()??;
        Some(CreateInstanceResponse {
            instance: None,
            status: create_instance_response::Status::Waiting.into(),
            waiters_ahead: i64::try_from(wait.ahead).unwrap_or(i64::MAX),
            reason: wait.reason.to_string(),
        })
    }

    /// The bytes behind an address of ours.
    async fn fetched(&self, url: &str) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Status> {
        let (_, name) = url.split_once(files::PATH).ok_or_else(|| {
            Status::invalid_argument(format!(
                "{url:?} was not given out by this server, and nothing is fetched from elsewhere; upload the file"
            ))
        })?;
        // Of an upload, it stands at the end again.
        let name = name.split('?').next().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        match self.files.read(name).await {
            Ok((_, bytes)) => Ok(bytes),
            Err(ObjectError::NotFound(_)) => {
                Err(Status::invalid_argument("there is no such file any more; upload it again"))
            }
            Err(error) => Err(Status::aborted(error.to_string())),
        }
    }

    async fn note_destroyed(&self, viewer: &Viewer, session: &Session) {
        let deed = Deed {
            time: self.shared.ledger.clock().now(),
            actor: viewer.who.to_string(),
            action: "gomote destroy".to_owned(),
            target: session.name.clone(),
            detail: serde_json::json!({"owner": session.owner}).to_string(),
        };
        self.shared.ledger.note(deed).await;
    }

    /// Makes a call to a machine, which is used as long; the call ends with the hold.
    async fn during<T>(
        &self,
        viewer: &Viewer,
        session: &Session,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                done = &mut call => return done,
                over = session.over(&viewer.standing) => return Err(over.into()),
                () = tokio::time::sleep(run::RENEW) => {
                    session.renew(self.shared.ledger.clock().now(), self.shared.gomotes.idle);
                }
            }
        }
    }

    async fn listed(&self, viewer: &Viewer, asked: ListDirectoryRequest) -> Result<Vec<String>, Status> {
        let session = self.session(viewer, &asked.gomote_id, Empty::Invalid)?;
        if asked.directory.is_empty() {
            return Err(Status::invalid_argument("directory is missing; \".\" is the work directory"));
        }
        let ls = LsRequest {
            dir: asked.directory,
            recursive: asked.recursive,
            digest: asked.digest,
            skip: asked.skip_files,
        };
        // The original's code for it.
        let listing =
            async { session.client.ls_text(&ls).await.map_err(|error| Status::unimplemented(words(error))) };
        let listing = self.during(viewer, &session, listing).await?;
        Ok(listing.lines().map(str::to_owned).collect())
    }
}

/// Whether somebody may have machines of a builder's host.
pub(crate) fn may(config: &buildenv::Config, viewer: &Viewer, builder: &buildenv::Builder) -> bool {
    reaches(config, viewer, builder.scope.as_ref().map_or("", |repo| repo.as_str()))
}

#[tonic::async_trait]
impl GomoteService for Desk {
    type CreateInstanceStream = Streamed<CreateInstanceResponse>;
    type ExecuteCommandStream = Streamed<ExecuteCommandResponse>;
    type ListDirectoryStreamingStream = Streamed<ListDirectoryResponse>;

    async fn authenticate(&self, _: tonic::Request<AuthenticateRequest>) -> Answer<AuthenticateResponse> {
        Ok(AuthenticateResponse {}.into())
    }

    async fn add_bootstrap(
        &self,
        request: tonic::Request<AddBootstrapRequest>,
    ) -> Answer<AddBootstrapResponse> {
        self.session(&viewer(&request)?, &request.get_ref().gomote_id, Empty::NotFound)?;
        // What builds a toolchain is in the recipe, and nothing has to be put there first.
        Ok(AddBootstrapResponse::default().into())
    }

    async fn create_instance(
        &self,
        request: tonic::Request<CreateInstanceRequest>,
    ) -> Answer<Self::CreateInstanceStream> {
        let viewer = viewer(&request)?;
        let hold = self.hold(&viewer, &request.get_ref().builder_type).await?;
        let desk = Arc::new(self.clone());
        let (tell, told) = mpsc::channel(4);
        // Made here: a task that is ended before it begins drops what it was given.
        let waiting = Waiting { shared: Arc::clone(&desk.shared), stage: Stage::Named(hold.id) };
        let waits = AbortOnDropHandle::new(tokio::spawn(desk.wait(hold, waiting, tell, viewer)));
        let answers = stream::unfold((told, waits), async |(mut told, waits)| {
            let next = told.recv().await?;
            Some((next, (told, waits)))
        });
        Ok(answers.boxed().into())
    }

    async fn destroy_instance(
        &self,
        request: tonic::Request<DestroyInstanceRequest>,
    ) -> Answer<DestroyInstanceResponse> {
        let viewer = viewer(&request)?;
        let name = &request.get_ref().gomote_id;
        let session = match self.shared.gomotes.find_for(&self.finder.config.borrow(), &viewer, name) {
            // So that nobody who has gone away keeps a machine.
            Ok(session) if viewer.role == Role::Admin => session,
            _ => self.session(&viewer, name, Empty::Invalid)?,
        };
        self.note_destroyed(&viewer, &session).await;
        session.end.cancel();
        Ok(DestroyInstanceResponse {}.into())
    }

    async fn execute_command(
        &self,
        request: tonic::Request<ExecuteCommandRequest>,
    ) -> Answer<Self::ExecuteCommandStream> {
        let viewer = viewer(&request)?;
        let mut asked = request.into_inner();
        let session = self.session(&viewer, &asked.gomote_id, Empty::NotFound)?;
        let config = self.finder.config.borrow().clone();
        let imitated = match asked.imitate_host_type.as_str() {
            "" => session.builder.as_str(),
            other => other,
        };
        let known = |builder: &buildenv::Builder| may(&config, &viewer, builder);
        let env = match run::builder(&config, imitated, known) {
            Ok(builder) if !builder.hosts.iter().any(|host| host.as_str() == session.host) => {
                let (name, host) = (builder.full_name(), &session.host);
                return Err(Status::invalid_argument(format!("builder {name} does not run on host {host}")));
            }
            Ok(builder) => {
                let host = config.hosts().iter().find(|host| host.name.as_str() == session.host);
                run::environment(builder, host, &asked.append_environment)
            }
            // Its builder was taken out of the configuration since.
            Err(_) if asked.imitate_host_type.is_empty() => std::mem::take(&mut asked.append_environment),
            Err(error) => return Err(Status::invalid_argument(error)),
        };
        let command = run::command(asked, env);
        let started = session.client.exec_original(&command).await;
        let output = started.map_err(|error| Status::aborted(words(error)))?;
        let clock = Arc::clone(self.shared.ledger.clock());
        Ok(run::output(session, output, clock, self.shared.gomotes.idle, viewer.standing).into())
    }

    async fn instance_alive(
        &self,
        request: tonic::Request<InstanceAliveRequest>,
    ) -> Answer<InstanceAliveResponse> {
        self.session(&viewer(&request)?, &request.get_ref().gomote_id, Empty::Invalid)?;
        Ok(InstanceAliveResponse {}.into())
    }

    async fn list_directory(
        &self,
        request: tonic::Request<ListDirectoryRequest>,
    ) -> Answer<ListDirectoryResponse> {
        let entries = self.listed(&viewer(&request)?, request.into_inner()).await?;
        Ok(ListDirectoryResponse { entries }.into())
    }

    async fn list_directory_streaming(
        &self,
        request: tonic::Request<ListDirectoryRequest>,
    ) -> Answer<Self::ListDirectoryStreamingStream> {
        let entries = self.listed(&viewer(&request)?, request.into_inner()).await?;
        let some = |entries: &[String]| Ok(ListDirectoryResponse { entries: entries.to_vec() });
        let messages: Vec<_> = entries.chunks(ENTRIES).map(some).collect();
        Ok(stream::iter(messages).boxed().into())
    }

    async fn list_instances(
        &self,
        request: tonic::Request<ListInstancesRequest>,
    ) -> Answer<ListInstancesResponse> {
        let held = self.shared.gomotes.of(&self.finder.config.borrow(), &viewer(&request)?);
        let instances = held.iter().map(|session| session.instance()).collect();
        Ok(ListInstancesResponse { instances }.into())
    }

    async fn list_swarming_builders(
        &self,
        request: tonic::Request<ListSwarmingBuildersRequest>,
    ) -> Answer<ListSwarmingBuildersResponse> {
        Ok(ListSwarmingBuildersResponse { builders: self.builders(&viewer(&request)?) }.into())
    }

    async fn read_tgz_to_url(
        &self,
        request: tonic::Request<ReadTgzToUrlRequest>,
    ) -> Answer<ReadTgzToUrlResponse> {
        let viewer = viewer(&request)?;
        let origin = given_origin(&request)?;
        let asked = request.into_inner();
        let session = self.session(&viewer, &asked.gomote_id, Empty::NotFound)?;
        let name = self.files.new_name();
        let kept = async {
            let archive = session.client.tgz(&asked.directory).await;
            let archive = archive.map_err(|error| Status::aborted(words(error)))?;
            let archive = archive.map_err(std::io::Error::other).boxed();
            self.files.keep(&name, archive).await.map_err(|error| Status::aborted(error.to_string()))
        };
        self.during(&viewer, &session, kept).await?;
        let permit = self.files.permit("get", &name);
        let (until, signature) = (permit.until, permit.signature);
        let url = format!("{origin}{}{name}?until={until}&signature={signature}", files::PATH);
        Ok(ReadTgzToUrlResponse { url }.into())
    }

    async fn remove_files(&self, request: tonic::Request<RemoveFilesRequest>) -> Answer<RemoveFilesResponse> {
        let asked = request.get_ref();
        let viewer = viewer(&request)?;
        let session = self.session(&viewer, &asked.gomote_id, Empty::Invalid)?;
        if asked.paths.is_empty() {
            return Err(Status::invalid_argument("paths are missing"));
        }
        let paths: Vec<&str> = asked.paths.iter().map(String::as_str).collect();
        let removed =
            async { session.client.remove_all(&paths).await.map_err(|error| Status::unknown(words(error))) };
        self.during(&viewer, &session, removed).await?;
        Ok(RemoveFilesResponse {}.into())
    }

    async fn sign_ssh_key(&self, request: tonic::Request<SignSshKeyRequest>) -> Answer<SignSshKeyResponse> {
        let viewer = viewer(&request)?;
        let session = self.session(&viewer, &request.get_ref().gomote_id, Empty::NotFound)?;
        let line = std::str::from_utf8(&request.get_ref().public_ssh_key).unwrap_or_default();
        let signed = self.shells.sign(line, &session, &viewer.standing);
        let signed = signed.map_err(|error| Status::invalid_argument(format!("public_ssh_key: {error}")))?;
        Ok(SignSshKeyResponse {
            signed_public_ssh_key: format!("{signed}\n").into(),
            host_key: self.shells.host_key(),
            address: self.finder.config.borrow().environment().ssh_address().unwrap_or_default(),
        }
        .into())
    }

    async fn upload_file(&self, request: tonic::Request<UploadFileRequest>) -> Answer<UploadFileResponse> {
        let origin = given_origin(&request)?;
        let object_name = self.files.new_name();
        let permit = self.files.permit("put", &object_name);
        // In the address, and not in the form: nothing of a stranger's body is read.
        let (until, signature) = (permit.until, permit.signature);
        let url = format!("{origin}{}{object_name}/{until}/{signature}/", files::PATH);
        Ok(UploadFileResponse { url, fields: std::collections::HashMap::new(), object_name }.into())
    }

    async fn write_file_from_url(
        &self,
        request: tonic::Request<WriteFileFromUrlRequest>,
    ) -> Answer<WriteFileFromUrlResponse> {
        let viewer = viewer(&request)?;
        let asked = request.into_inner();
        let session = self.session(&viewer, &asked.gomote_id, Empty::NotFound)?;
        let content = self.fetched(&asked.url).await?;
        let written = async {
            let written = session.client.write_stream(&asked.filename, asked.mode, content).await;
            written.map_err(|error| Status::aborted(words(error)))
        };
        self.during(&viewer, &session, written).await?;
        Ok(WriteFileFromUrlResponse {}.into())
    }

    async fn write_tgz_from_url(
        &self,
        request: tonic::Request<WriteTgzFromUrlRequest>,
    ) -> Answer<WriteTgzFromUrlResponse> {
        let viewer = viewer(&request)?;
        let asked = request.into_inner();
        let session = self.session(&viewer, &asked.gomote_id, Empty::Invalid)?;
        if asked.url.is_empty() {
            return Err(Status::invalid_argument("url is missing"));
        }
        let archive = self.fetched(&asked.url).await?;
        let written = async {
            let written = session.client.write_tgz(&asked.directory, archive).await;
            written.map_err(|error| Status::failed_precondition(words(error)))
        };
        self.during(&viewer, &session, written).await?;
        Ok(WriteTgzFromUrlResponse {}.into())
    }
}

/// What a machine says of a request that came to nothing.
fn words(error: buildlet_client::Error) -> String {
    match error {
        buildlet_client::Error::Refused { message, .. } => message,
        error => error.to_string(),
    }
}

fn given_origin<T>(request: &tonic::Request<T>) -> Result<String, Status> {
    let origin = request.extensions().get::<Origin>();
    Ok(origin.ok_or_else(|| Status::internal("nobody said how this server was reached"))?.0.clone())
}
