//! The API as the command line calls it. The calls are made from its document; what they have in common is here.

#[allow(
    clippy::uninlined_format_args,
    clippy::useless_format,
    dead_code,
    unused_imports,
    reason = "all of the API is there, and the commands use a part"
)]
mod generated;

use std::time::Duration;

use axum::body::Body;
// The dashboard has a `RepoState` of its own.
use gitmirror::RepoState as MirrorState;
use http::{Method, Request, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
// What maintnerd says of itself is for pages: it is passed on as it comes.
use serde_json::Value as MaintnerStanding;
use transport::{CallError, Service};

use crate::system::reload::Reloaded;

pub use generated::*;

/// What a call gives.
pub type Answer<T> = Result<T, CallError>;

/// The largest answer that is read where bytes were sent.
const LARGEST: usize = 1 << 20;

/// The API behind a service: a URL, or a router in this process.
#[derive(Debug, Clone)]
pub struct Client {
    service: Service,
}

impl Client {
    /// Makes one.
    pub fn new(service: Service) -> Client {
        Client { service }
    }

    /// The service that it calls.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The same, with another limit of a call.
    pub fn with_timeout(&self, limit: Duration) -> Client {
        Client { service: self.service.clone().with_timeout(limit) }
    }

    async fn call<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Answer<T> {
        self.service.call_json(method, path, body).await
    }

    async fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: Body) -> Answer<T> {
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream").body(body);
        let answer = self.service.send_ok(request.map_err(bad)?).await?;
        read(path, answer.into_body()).await
    }

    /// Reads what is no part of the API, such as the original's addresses.
    pub async fn fetch(&self, path: &str) -> Answer<Body> {
        self.bytes(Method::GET, path, &[]).await
    }

    /// Posts a form without content there, and reads the answer's JSON.
    pub async fn post_form<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        let request = Request::builder().method(Method::POST).uri(path);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.service.send_ok(request.body(Body::empty()).map_err(bad)?).await?;
        read(path, answer.into_body()).await
    }

    async fn bytes(&self, method: Method, path: &str, head: &[(&str, Option<&str>)]) -> Answer<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in head.iter().filter_map(|(name, value)| Some((*name, (*value)?))) {
            request = request.header(name, value);
        }
        Ok(self.service.send_ok(request.body(Body::empty()).map_err(bad)?).await?.into_body())
    }
}

async fn read<T: DeserializeOwned>(path: &str, body: Body) -> Answer<T> {
    let malformed = |message: String| CallError::Malformed { target: path.to_owned(), message };
    let bytes = axum::body::to_bytes(body, LARGEST).await;
    let bytes = bytes.map_err(|error| malformed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))
}

fn bad(error: http::Error) -> CallError {
    CallError::BadRequest(error.to_string())
}

/// A path to which a query is added.
struct Query {
    path: String,
    any: bool,
}

impl Query {
    fn of(path: String) -> Query {
        Query { path, any: false }
    }

    fn add(&mut self, name: &str, value: Option<&impl ToString>) {
        if let Some(value) = value {
            let sign = if self.any { '&' } else { '?' };
            self.path.push_str(&format!("{sign}{name}={}", transport::segment(&value.to_string())));
            self.any = true;
        }
    }

    fn text(self) -> String {
        self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::RawQuery;
    use axum::routing::{get, put};

    #[test]
    fn a_query_names_what_is_given() {
        let mut query = Query::of("/x".to_owned());
        query.add("a", None::<&String>);
        query.add("b", Some(&"x y&z"));
        query.add("c", Some(&3));
        assert_eq!(query.text(), "/x?b=x%20y%26z&c=3");
    }

    #[tokio::test]
    async fn calls_go_where_the_document_says() {
        let app = Router::new()
            .route(
                "/api/v1/expected",
                get(|RawQuery(query): RawQuery| async move {
                    assert_eq!(query.as_deref(), Some("builder=a%2Fb&repo=app"));
                    axum::Json(serde_json::json!({"median_ms": 5, "samples": 2}))
                }),
            )
            .route(
                "/mirror/{repo}/bundle",
                put(|body: String| async move { axum::Json(serde_json::json!({ "commit": body })) }),
            )
            .route(
                "/api/v1/builds/{id}/log/events",
                get(
                    |head: http::HeaderMap| async move { head["last-event-id"].to_str().unwrap().to_owned() },
                ),
            );
        let client = Client::new(Service::in_process(app));
        let query = GetExpectedQuery { builder: "a/b".into(), repo: "app".into(), recipe: None };
        assert_eq!(client.get_expected(&query).await.unwrap().median_ms, Some(5));
        let query = PutBundleQuery { commit: "1".repeat(40) };
        assert_eq!(client.put_bundle("app", &query, Body::from("bytes")).await.unwrap().commit, "bytes");
        let tail = client.follow_build_log("x", &FollowBuildLogQuery::default(), Some("17")).await.unwrap();
        assert_eq!(axum::body::to_bytes(tail, 99).await.unwrap(), "17");
        let error = client.get_build("x").await.unwrap_err();
        assert!(error.is_status(http::StatusCode::NOT_FOUND), "{error}");
    }
}
