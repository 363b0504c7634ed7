//! Traces of builds for OpenTelemetry, by OTLP over HTTP.
//!
//! A build is one trace, with the build's own id as the trace's, sent once the build is done; its attempts and their timed
//! parts are the spans. Where to is said by the variables that the standard names
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>), so that what an operator knows holds here, too. Nothing
//! waits for a collector: what it does not take in time is left out, and the log says so.

mod target;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use axum::body::Body;
use dashboard::api::BuildReport;
use http::{Request, StatusCode, header};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tokio::sync::broadcast::{Receiver, error::RecvError, error::TryRecvError};
use tokio_util::task::AbortOnDropHandle;
use transport::Service;

pub use target::Target;

/// The most builds of one request.
const TOGETHER: usize = 32;
/// How often a request is sent before its builds are left out.
const TRIES: u32 = 6;
/// The longest that a collector can make us wait between two tries.
const LONGEST: Duration = Duration::from_secs(60);

/// Sends the traces of the builds that end from now on, until it is dropped.
pub fn start(target: Target, url: String, ended: Receiver<Arc<BuildReport>>) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(run(target, url, ended)))
}

async fn run(target: Target, url: String, mut ended: Receiver<Arc<BuildReport>>) {
    let service = Service::url(&target.base).with_timeout(target.timeout);
    loop {
        let mut builds = match ended.recv().await {
            Ok(build) => vec![build],
            Err(RecvError::Lagged(lost)) => {
                tracing::warn!(count = lost, "traces of builds were left out: the collector is too slow");
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        while builds.len() < TOGETHER {
            match ended.try_recv() {
                Ok(build) => builds.push(build),
                Err(TryRecvError::Lagged(lost)) => {
                    tracing::warn!(count = lost, "traces of builds were left out: the collector is too slow");
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        let request = ExportTraceServiceRequest {
            resource_spans: vec![trace::resource_spans(&target.resource, &url, &builds)],
        };
        if let Err(error) = send(&service, &target, &request.encode_to_vec()).await {
            tracing::warn!(count = builds.len(), %error, "traces of builds were left out");
        }
    }
}

/// Sends a request, and again if the collector can't take it now.
async fn send(service: &Service, target: &Target, body: &[u8]) -> Result<()> {
    let mut wait = Duration::from_secs(1);
    for tried in 1.. {
        let mut request = Request::post(&*target.path).header(header::CONTENT_TYPE, "application/x-protobuf");
        for (name, value) in &target.headers {
            request = request.header(name, value);
        }
        let answer = service.send(request.body(Body::from(body.to_vec()))?).await;
        let error = match answer {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => {
                let status = answer.status();
                // The standard's list of what is worth another try.
                let again = matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS
                        | StatusCode::BAD_GATEWAY
                        | StatusCode::SERVICE_UNAVAILABLE
                        | StatusCode::GATEWAY_TIMEOUT
                );
                if !again {
                    bail!("the collector answers {status}");
                }
                let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                if let Some(seconds) = after.and_then(|text| text.parse().ok()) {
                    wait = Duration::from_secs(seconds);
                }
                anyhow::anyhow!("the collector answers {status}")
            }
            Err(error) => error.into(),
        };
        if tried >= TRIES {
            return Err(error);
        }
        tracing::debug!(%error, tried, "the collector did not take traces; trying again");
        tokio::time::sleep(wait.min(LONGEST)).await;
        wait *= 2;
    }
    unreachable!("the loop ends by itself")
}
