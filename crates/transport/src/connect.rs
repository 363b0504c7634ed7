//! Connections to services at URLs, with TLS where that is built in.

pub(crate) mod names;
#[cfg(feature = "tls")]
mod tls;

use axum::body::Body;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use names::{Names, Whom};

#[cfg(not(feature = "tls"))]
use crate::CallError;

type Plain = HttpConnector<Names>;
#[cfg(not(feature = "tls"))]
type Connector = Plain;
#[cfg(feature = "tls")]
type Connector = hyper_rustls::HttpsConnector<Plain>;

/// What requests are sent by.
pub(crate) type Client = legacy::Client<Connector, Body>;

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    /// And no other: what is called by gRPC.
    Two,
}

fn with(connector: Connector, version: Version) -> Client {
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder.http2_only(version == Version::Two).build(connector)
}

#[cfg(feature = "tls")]
pub(crate) use tls::{client_of, client_trusting, possible};

fn plain(whom: Whom) -> Plain {
    HttpConnector::new_with_resolver(Names::of(whom))
}

pub(crate) fn client(version: Version) -> Client {
    client_of(version, Whom::All)
}

#[cfg(not(feature = "tls"))]
pub(crate) fn client_of(version: Version, whom: Whom) -> Client {
    with(plain(whom), version)
}

#[cfg(not(feature = "tls"))]
pub(crate) fn client_trusting(_: &[u8], _: Version) -> Result<Client, CallError> {
    Err(without_tls())
}

/// Whether an address can be reached at all by what is built in.
#[cfg(not(feature = "tls"))]
pub(crate) fn possible(base: &str) -> Result<(), CallError> {
    if base.starts_with("https:") { Err(without_tls()) } else { Ok(()) }
}

#[cfg(not(feature = "tls"))]
fn without_tls() -> CallError {
    let message =
        "this program was built without TLS and can't reach https addresses; build it with --features full";
    CallError::BadRequest(message.into())
}
