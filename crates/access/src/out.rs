//! Asking those who sign people in for us: small answers, with a limit on size and time.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode, header};
use serde::de::DeserializeOwned;
use transport::{CallError, Service};

const TIMEOUT: Duration = Duration::from_secs(15);
const LARGEST: usize = 1 << 20;

/// Why there is no answer to go by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutError {
    /// Neither TLS, nor on this machine.
    #[error("{0:?} is no https:// address, and not on this machine either")]
    Plain(String),
    /// It can't be reached, or not by this program.
    #[error(transparent)]
    Call(#[from] CallError),
    /// No whole answer, or none in time.
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

/// Sends a request and reads a JSON answer.
pub(crate) async fn json<T: DeserializeOwned>(mut request: Request<Body>) -> Result<T, OutError> {
    let url = request.uri().to_string();
    let place = url.split('?').next().unwrap_or_default().to_owned();
    let (scheme, authority) = (request.uri().scheme_str(), request.uri().authority());
    let (Some(scheme), Some(authority), true) = (scheme, authority, is_safe(&url)) else {
        return Err(OutError::Plain(place));
    };
    let service = Service::url(&format!("{scheme}://{authority}"));
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, header::HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, header::HeaderValue::from_static("bellwether"));
    let answer = async {
        let response = service.send(request).await?;
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), LARGEST).await;
        Ok::<_, OutError>((
            status,
            bytes.map_err(|error| OutError::Silent(place.clone(), error.to_string()))?,
        ))
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
