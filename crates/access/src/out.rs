//! Asking those who sign people in for us: small answers, with a limit on size and time.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

const TIMEOUT: Duration = Duration::from_secs(15);
const LARGEST: usize = 1 << 20;

/// Why there is no answer to go by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutError {
    /// Neither TLS, nor on this machine.
    #[error("{0:?} is no https:// address, and not on this machine either")]
    Plain(String),
    /// Built without TLS.
    #[cfg(not(feature = "full"))]
    #[error("this program was built without TLS for others' addresses (feature `full`)")]
    NoTls,
    /// No answer, or none in time.
    #[error("{0} does not answer: {1}")]
    Silent(String, String),
    /// An answer that says no.
    #[error("{0} answers {1}: {2}")]
    Refused(String, StatusCode, String),
    /// An answer that is none.
    #[error("{0} answers what was not expected: {1}")]
    Malformed(String, String),
}

/// Whether what is sent to an address can't be read or answered by others: TLS, or this machine.
pub(crate) fn is_safe(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    uri.scheme_str() == Some("https") || (uri.scheme_str() == Some("http") && here)
}

#[cfg(feature = "full")]
fn client(_: &str) -> Result<Client<hyper_rustls::HttpsConnector<HttpConnector>, Body>, OutError> {
    use std::sync::{Arc, OnceLock};
    static TLS: OnceLock<rustls::ClientConfig> = OnceLock::new();
    let tls = TLS.get_or_init(|| {
        let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("invariant: ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth()
    });
    let connector = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls.clone());
    Ok(Client::builder(TokioExecutor::new()).build(connector.https_or_http().enable_http1().build()))
}

#[cfg(not(feature = "full"))]
fn client(url: &str) -> Result<Client<HttpConnector, Body>, OutError> {
    if url.starts_with("https:") {
        return Err(OutError::NoTls);
    }
    Ok(Client::builder(TokioExecutor::new()).build(HttpConnector::new()))
}

/// Sends a request and reads a JSON answer.
pub(crate) async fn json<T: DeserializeOwned>(mut request: Request<Body>) -> Result<T, OutError> {
    let url = request.uri().to_string();
    let place = url.split('?').next().unwrap_or_default().to_owned();
    if !is_safe(&url) {
        return Err(OutError::Plain(place));
    }
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, header::HeaderValue::from_static("bellwether"));
    let client = client(&url)?;
    let answer = async {
        let silent = |error: &dyn std::fmt::Display| OutError::Silent(place.clone(), error.to_string());
        let response = client.request(request).await.map_err(|error| silent(&error))?;
        let status = response.status();
        let bytes = axum::body::to_bytes(Body::new(response.into_body()), LARGEST).await;
        Ok((status, bytes.map_err(|error| silent(&error))?))
    };
    let (status, bytes) = match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer?,
        Err(_) => return Err(OutError::Silent(place, format!("not within {} s", TIMEOUT.as_secs()))),
    };
    if !status.is_success() {
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
        return Err(OutError::Refused(place, status, text));
    }
    serde_json::from_slice(&bytes).map_err(|error| OutError::Malformed(place, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_out_by_tls_or_stay_on_this_machine() {
        for fine in ["https://id.example", "http://localhost:9/x", "http://127.0.0.1:80", "http://[::1]:1/"] {
            assert!(is_safe(fine), "{fine}");
        }
        for bad in ["http://id.example", "http://localhost.example", "ftp://localhost", "id.example", ""] {
            assert!(!is_safe(bad), "{bad}");
        }
    }
}
