//! Refusals in the words of gRPC, for those who call by it: they understand no other.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::ApiError;

/// The largest refusal that is read.
const REFUSAL: usize = 64 << 10;
/// What a message may not hold as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');
const GRPC: &str = "application/grpc";

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC.as_bytes()))
}

/// The layer that words them.
pub async fn refusals(request: Request, next: Next) -> Response {
    let asked = is_grpc(request.headers());
    let response = next.run(request).await;
    if asked && !is_grpc(response.headers()) { worded(response).await } else { response }
}

async fn worded(response: Response) -> Response {
    // As the protocol's own table has it, where that is of use.
    let code = match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => 3,
        StatusCode::FORBIDDEN => 7,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => 12,
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => 14,
        _ => 13,
    };
    let status = response.status();
    let said = axum::body::to_bytes(response.into_body(), REFUSAL).await.unwrap_or_default();
    let message = match serde_json::from_slice::<ApiError>(&said) {
        Ok(error) => error.message,
        Err(_) => format!("the server answers with {status}"),
    };
    let mut answer = Response::new(Body::empty());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(GRPC));
    headers.insert("grpc-status", HeaderValue::from(code));
    let message = utf8_percent_encode(&message, ENCODED).to_string();
    if let Ok(message) = HeaderValue::try_from(message) {
        headers.insert("grpc-message", message);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_refusal_is_worded_for_those_who_call_by_grpc_and_for_no_others() {
        let refuse = || async {
            crate::routes::refusal(StatusCode::UNAUTHORIZED, "unauthorized", "say \"wer\", 100 % ü")
        };
        let router = Router::new()
            .route("/no", axum::routing::post(refuse))
            .route(
                "/yes",
                axum::routing::post(|| async { ([(header::CONTENT_TYPE, "application/grpc")], "x") }),
            )
            .layer(axum::middleware::from_fn(refusals));
        let ask = |path: &str, kind: &str| {
            let request = http::Request::post(path).header(header::CONTENT_TYPE, kind).body(Body::empty());
            router.clone().oneshot(request.unwrap())
        };
        let worded = ask("/no", "application/grpc+proto").await.unwrap();
        assert_eq!(worded.status(), StatusCode::OK);
        assert_eq!(worded.headers()["grpc-status"], "16");
        assert_eq!(worded.headers()["grpc-message"], "say \"wer\", 100 %25 %C3%BC");
        assert_eq!(ask("/nowhere", "application/grpc").await.unwrap().headers()["grpc-status"], "12");
        assert_eq!(ask("/no", "application/json").await.unwrap().status(), StatusCode::UNAUTHORIZED);
        assert!(!ask("/yes", "application/grpc").await.unwrap().headers().contains_key("grpc-status"));
    }
}
