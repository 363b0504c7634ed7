//! A socket of this machine, which there is none of here.

use std::future::pending;
use std::io;
use std::path::Path;

use super::Connection;

/// A listening socket that never is.
pub(crate) enum Local {}

impl Local {
    /// Says what to listen on instead.
    pub(super) fn bind(_path: &Path, shown: &str) -> io::Result<Self> {
        let text = format!(
            "--listen {shown}: there are no Unix sockets on Windows; listen on ADDRESS:PORT, or dial out (--reverse-type)"
        );
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    /// Waits for ever.
    pub(super) async fn accept(&self) -> io::Result<Connection> {
        pending().await
    }
}
