//! What handlers take out of a request, with mistakes answered in the one error shape.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::routes::refusal;

/// A JSON object as a body. As an `Option` it may be left out, with its content type.
#[derive(Debug)]
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let whole = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(whole, state)
            .await
            .map_err(|error| refusal(error.status(), "bad_request", error.body_text()))?;
        let request = Request::from_parts(parts, Body::from(bytes.clone()));
        match <Json<T> as FromRequest<S>>::from_request(request, state).await {
            // A message is also read from a list of its fields, which nobody means.
            Ok(_) if !bytes.trim_ascii_start().starts_with(b"{") => {
                Err(refusal(StatusCode::UNPROCESSABLE_ENTITY, "bad_request", "the body is no JSON object"))
            }
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => {
                let body = with_whole_numbers(&bytes).and_then(|value| serde_json::from_value(value).ok());
                body.map(Self).ok_or_else(|| refused(&error.into()))
            }
            Err(error) => Err(refused(&error)),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Input<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Response> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

fn refused(error: &JsonRejection) -> Response {
    refusal(error.status(), "bad_request", error.body_text())
}

/// The body with `1.0` as the whole number that it is, which not every program writes as `1`.
fn with_whole_numbers(bytes: &[u8]) -> Option<Value> {
    fn whole(value: &mut Value) {
        match value {
            Value::Array(values) => values.iter_mut().for_each(whole),
            Value::Object(map) => map.values_mut().for_each(whole),
            Value::Number(number) if number.is_f64() => {
                // Up to 2^53 each has its own whole number.
                let exact = number
                    .as_f64()
                    .filter(|float| float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0);
                if let Some(float) = exact {
                    *value = Value::from(float as i64);
                }
            }
            _ => {}
        }
    }
    let mut value = serde_json::from_slice(bytes).ok().filter(Value::is_object)?;
    whole(&mut value);
    Some(value)
}

/// A query.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(query)| Self(query)).map_err(|error| {
            let text = error.body_text();
            let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
            refusal(error.status(), "bad_request", format!("the address's parameters can't be read: {text}"))
        })
    }
}

/// The parameters of a path; what is none of its type is not found.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Self(path))
            .map_err(|error| refusal(StatusCode::NOT_FOUND, "not_found", error.body_text()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::post;
    use serde::Deserialize;
    use tower::ServiceExt as _;

    #[derive(Deserialize)]
    struct Asked {
        n: u64,
        #[serde(default)]
        of: Option<String>,
    }

    async fn ask(path: &str, kind: Option<&str>, body: &str) -> (u16, String) {
        let app = Router::new()
            .route(
                "/must",
                post(|Input(asked): Input<Asked>| async move { format!("{} {:?}", asked.n, asked.of) }),
            )
            .route("/may", post(|body: Option<Input<Asked>>| async move { body.is_some().to_string() }));
        let mut request = Request::post(path);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let answer = app.oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(bytes.into()).unwrap())
    }

    #[tokio::test]
    async fn a_body_is_an_object_and_its_numbers_are_whole_however_they_are_written() {
        let json = Some("application/json");
        for (body, status) in [
            ("{\"n\": 1}", 200),
            (" {\"n\": 1.0, \"of\": \"x\"}", 200),
            ("{\"n\": 1.5}", 422),
            ("{\"n\": -1.0}", 422),
            ("{\"n\": \"1\"}", 422),
            ("[1, null]", 422),
            ("null", 422),
            ("{", 400),
            ("", 400),
        ] {
            let (is, text) = ask("/must", json, body).await;
            assert_eq!(is, status, "{body}: {text}");
            assert!(status == 200 || text.contains("\"request_id\":\"0"), "{body}: {text}");
        }
        assert_eq!(ask("/must", Some("text/plain"), "{\"n\": 1}").await.0, 415);
        assert_eq!(ask("/must", json, "{\"n\": 1.0, \"of\": \"x\"}").await.1, "1 Some(\"x\")");
    }

    #[tokio::test]
    async fn a_body_that_may_be_left_out_is_right_where_it_is_there() {
        assert_eq!(ask("/may", None, "").await, (200, "false".to_owned()));
        assert_eq!(ask("/may", Some("application/json"), "{\"n\": 2}").await, (200, "true".to_owned()));
        assert_eq!(ask("/may", Some("application/json"), "[2]").await.0, 422);
    }
}
