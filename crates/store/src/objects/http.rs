//! How the library's requests get out: hyper with rustls and ring, as everywhere here, with a limit on each wait.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpResponseBody, HttpService,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::{Instant, Sleep};

use super::ObjectError;

const CONNECT: Duration = Duration::from_secs(5);
/// From the request to the head of its answer, and between two pieces of the answer.
const ANSWER: Duration = Duration::from_secs(15);
/// More for each megabyte that is sent.
const PER_MEGABYTE: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(15);

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector(rustls::ClientConfig);

impl Connector {
    /// Trusts the usual authorities, and those of a file.
    ///
    /// # Errors
    /// If the file can't be read or holds none.
    pub(super) fn new(authorities: Option<&std::path::Path>) -> Result<Self, ObjectError> {
        let mut roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        if let Some(file) = authorities {
            let bad =
                |why: String| ObjectError::Other(format!("authorities {}: {why}", file.display()).into());
            let found = CertificateDer::pem_file_iter(file).map_err(|error| bad(error.to_string()))?;
            for one in found {
                let one = one.map_err(|error| bad(error.to_string()))?;
                roots.add(one).map_err(|error| bad(error.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("invariant: ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(config))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let tls = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(self.0.clone());
        let tls = tls.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(tls);
        Ok(HttpClient::new(Caller(client)))
    }
}

struct Caller(Client<HttpsConnector<Tcp>, HttpRequestBody>);

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Caller")
    }
}

#[async_trait]
impl HttpService for Caller {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let megabytes = (request.body().content_length() >> 20) as u32;
        let answered = tokio::time::timeout(ANSWER + PER_MEGABYTE * megabytes, self.0.request(request)).await;
        let response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let kind =
                    if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
                return Err(HttpError::new(kind, error));
            }
            Err(late) => return Err(HttpError::new(HttpErrorKind::Timeout, late)),
        };
        let (head, body) = response.into_parts();
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(Limited::new(body))))
    }
}

/// A body whose pieces have a time limit each.
struct Limited {
    body: hyper::body::Incoming,
    until: Pin<Box<Sleep>>,
}

impl Limited {
    fn new(body: hyper::body::Incoming) -> Self {
        Self { body, until: Box::pin(tokio::time::sleep(ANSWER)) }
    }
}

impl Body for Limited {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.until.as_mut().reset(Instant::now() + ANSWER);
            return Poll::Ready(
                frame.map(|frame| frame.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))),
            );
        }
        match self.until.as_mut().poll(context) {
            Poll::Ready(()) => {
                let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, late))))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
