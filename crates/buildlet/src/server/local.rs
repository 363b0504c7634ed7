//! A socket of this machine, for who may open it.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::Connection;

/// A listening socket, removed when this is dropped.
pub(crate) struct Local {
    listener: UnixListener,
    path: PathBuf,
}

impl Local {
    /// Listens on a path; an error calls it as it is shown.
    pub(super) fn bind(path: &Path, shown: &str) -> io::Result<Self> {
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty() && !dir.exists()) {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        // A socket that nobody listens on is what a killed agent left.
        match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{shown} is in use")));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
            Err(_) => {}
        }
        // Bound under another name until nobody else may enter.
        let partial = path.with_extension("partial");
        match std::fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&partial)?;
        std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&partial, path)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Waits for the next connection. May be dropped and asked again.
    pub(super) async fn accept(&self) -> io::Result<Connection> {
        Ok(Box::new(self.listener.accept().await?.0))
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Somebody else may have removed it.
        let _gone = std::fs::remove_file(&self.path);
    }
}
