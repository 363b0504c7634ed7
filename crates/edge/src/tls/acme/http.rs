//! The requests to an authority.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::RootCertStore;

/// One request, with its whole answer.
const LIMIT: Duration = Duration::from_secs(30);
/// The largest answer.
const LARGEST: usize = 1 << 20;

type Inner = hyper_util::client::legacy::Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>;

/// Asks an authority.
pub(super) struct Client(Inner);

impl Client {
    /// Asks those who are known by these roots.
    pub fn new(roots: &Arc<RootCertStore>) -> Result<Client, rustls::Error> {
        let config = rustls::ClientConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(Arc::clone(roots))
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config);
        let connector = connector.https_only().enable_http1().build();
        Ok(Client(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector)))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let asked = self.0.request(request);
        let whole = async move {
            let answer = asked.await.map_err(|error| Error::Other(spelled(&error).into()))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, LARGEST).collect().await.map_err(Error::Other)?.to_bytes();
            Ok(BytesResponse { parts, body: Box::new(body) })
        };
        Box::pin(async move {
            let late = || Error::Other(format!("no answer within {} s", LIMIT.as_secs()).into());
            tokio::time::timeout(LIMIT, whole).await.unwrap_or_else(|_| Err(late()))
        })
    }
}

/// An error with its causes: the outermost only says that it could not connect.
fn spelled(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
