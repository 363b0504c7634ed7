//! The way to the server's desk.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use gomote::gomote_service_client::GomoteServiceClient;
use tonic::{Code, Response, Status};
use transport::{CallError, Service, Upgraded};

use crate::args::Server;
use crate::command::client::Remote;

/// A call may take so long: a large tree is packed or unpacked in it.
const LONGEST: Duration = Duration::from_secs(3600);

/// What calls are made by.
pub(super) type Api = GomoteServiceClient<Service>;

/// The server's desk. Cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    api: Api,
    /// For files, which go by plain HTTP.
    pub files: Service,
    remote: std::sync::Arc<Remote>,
}

impl Desk {
    pub fn new(args: &Server) -> Result<Desk> {
        let remote = Remote::new(args)?;
        let certificates = match &args.ca_file {
            Some(file) => Some(std::fs::read(file).with_context(|| format!("--ca-file {}", file.display()))?),
            None => None,
        };
        let mut service = Service::url_by_http2(&remote.url, certificates.as_deref())?.with_timeout(LONGEST);
        if let Some(token) = remote.token() {
            service = service.with_bearer(token);
        }
        let files = match &certificates {
            Some(certificates) => Service::url_trusting(&remote.url, certificates)?,
            None => Service::url(&remote.url),
        };
        let api = GomoteServiceClient::new(service);
        Ok(Desk { api, files: files.with_timeout(LONGEST), remote: remote.into() })
    }

    /// Makes a call, and says what to do about it if it fails.
    pub async fn done<T, F>(&self, call: impl FnOnce(Api) -> F) -> Result<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.hint(call(self.api.clone()).await).map(Response::into_inner)
    }

    /// Opens a connection of another protocol.
    pub async fn upgraded(&self, path: &str, protocol: &'static str) -> Result<Upgraded> {
        let mut service = self.files.clone();
        if let Some(token) = self.remote.token() {
            service = service.with_bearer(token);
        }
        self.remote.hint(service.upgrade(path, protocol).await)
    }

    /// Says what to do about a call that failed.
    pub fn hint<T>(&self, answer: Result<T, Status>) -> Result<T> {
        answer.map_err(|status| match called(status) {
            Ok(error) => match self.remote.hint::<T>(Err(error)) {
                Err(error) => error,
                Ok(_) => anyhow!("the call failed"),
            },
            Err(status) if status.code() == Code::Unauthenticated => {
                anyhow!(status.message().to_owned()).context(self.remote.unauthorized())
            }
            Err(status) if status.code() == Code::Unimplemented && status.message().is_empty() => {
                anyhow!("{} has no gomote; is it a newer or an older server?", self.remote.url)
            }
            Err(status) => anyhow!("{}", said(&status)),
        })
    }
}

/// The error of the call beneath, if it was that.
fn called(status: Status) -> Result<CallError, Status> {
    use std::error::Error as _;
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(CallError::Unreachable { target, source }) = error.downcast_ref::<CallError>() {
            let (target, source) = (target.clone(), source.to_string().into());
            return Ok(CallError::Unreachable { target, source });
        }
        cause = error.source();
    }
    Err(status)
}

/// The words of a refusal.
pub(super) fn said(status: &Status) -> String {
    match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    }
}
