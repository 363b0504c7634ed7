//! What there is instead of TLS in a program that was built without it.

use std::io;

use tokio::net::TcpStream;

use super::Connection;
use crate::listen::Identity;

/// There is none.
#[derive(Clone)]
pub(crate) enum Tls {}

impl Tls {
    pub(super) fn open(_identity: &Identity) -> io::Result<Self> {
        Err(io::Error::other(
            "this program was built without TLS and can't show a certificate; build it with --features tls",
        ))
    }

    #[expect(clippy::unused_async, reason = "as the one that there is with TLS")]
    pub(super) async fn accept(&self, _stream: TcpStream) -> io::Result<Connection> {
        match *self {}
    }
}
