//! What there is instead of TLS in a program that was built without it.

use std::path::Path;

use tokio::net::TcpStream;

use crate::server::Connection;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// This program can't do it.
    #[error(
        "this program was built without TLS and can't reach https addresses; build it with --features tls"
    )]
    NotBuiltIn,
}

/// There is none.
pub(crate) enum Tls {}

impl Tls {
    pub(crate) fn open(_ca_file: Option<&Path>) -> Result<Self, TlsError> {
        Err(TlsError::NotBuiltIn)
    }

    pub(crate) async fn wrap(&self, _stream: TcpStream, _host: &str) -> Result<Connection, TlsError> {
        match *self {}
    }
}
