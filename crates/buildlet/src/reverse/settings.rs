//! From arguments and environment to what reverse mode needs, before anything is begun.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::coordinator::Coordinator;
use super::credentials::{Credentials, CredentialsError};
use super::dial::{Dial, DialError, Errand, Network};
use super::key;
use super::proxy::{self, ProxyError};
use super::tls::{Tls, TlsError};
use crate::args::{Args, is_name};
use crate::server::Connection;

/// Why reverse mode can't begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    /// There is nobody to dial.
    #[error("--reverse-type needs --coordinator with the address of one")]
    NoCoordinator,
    /// There is nothing to be known by.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// TLS can't be done.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The proxy can't be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}

/// What reverse mode needs.
pub(crate) struct Settings {
    pub(super) coordinator: Coordinator,
    pub(super) dial: Arc<dyn Dial>,
    pub(super) host_type: String,
    pub(super) hostname: String,
    pub(super) credentials: Credentials,
    /// The proxy, by its name and port alone.
    proxy: Option<String>,
}

impl Settings {
    /// Reads the arguments; none if they do not ask for reverse mode.
    pub(crate) fn of(args: &Args) -> Result<Option<Self>, SettingsError> {
        let Some(host_type) = &args.reverse_type else { return Ok(None) };
        let coordinator = args.coordinator.clone().ok_or(SettingsError::NoCoordinator)?;
        let variable = |name: &str| std::env::var(name).ok();
        let credentials = match &args.token_file {
            Some(token) => Credentials::Token { file: token.clone(), state_dir: args.state_dir() },
            None => Credentials::Key(key_file(args.key_file.as_deref(), host_type)),
        };
        // They are read again for each registration. Here only to end at once where they are missing.
        credentials.check()?;
        let (tls, proxy) = if coordinator.tls() {
            let proxy = proxy::find(coordinator.host(), coordinator.port(), variable)?;
            (Some(Tls::open(args.ca_file.as_deref())?), proxy)
        } else {
            (None, None)
        };
        let named = proxy.as_ref().map(|proxy| format!("{proxy:?}"));
        let dial = Arc::new(Network::new(coordinator.clone(), proxy, tls));
        let hostname = args.hostname.clone().unwrap_or_else(|| {
            let system = crate::sys::host_name();
            hostname(variable("HOSTNAME"), system)
        });
        Ok(Some(Self {
            coordinator,
            dial,
            host_type: host_type.clone(),
            hostname,
            credentials,
            proxy: named,
        }))
    }

    /// Connects to it, and does no more.
    pub(crate) async fn dial(&self) -> Result<Connection, DialError> {
        self.dial.dial(Errand::Register).await
    }

    /// The proxy that it may go through, by its name and port.
    pub(crate) fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// Whom it dials.
    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }
}

/// Where the key of a host is.
pub(crate) fn key_file(given: Option<&Path>, host_type: &str) -> PathBuf {
    given.map(Path::to_owned).unwrap_or_else(|| {
        let home = std::env::var("HOME").ok().filter(|home| !home.is_empty());
        key::default_file(host_type, home.as_deref().map(Path::new), crate::sys::is_root())
    })
}

/// What the machine is called if nobody says: the first of its names that is one.
fn hostname(variable: Option<String>, system: String) -> String {
    let mut names = variable.into_iter().chain([system]);
    names.find(|name| is_name(name)).unwrap_or_else(|| "buildlet".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_called_what_it_calls_itself() {
        let name =
            |variable: Option<&str>, system: &str| hostname(variable.map(str::to_owned), system.to_owned());
        assert_eq!(name(Some("a"), "b"), "a");
        assert_eq!(name(None, "b"), "b");
        assert_eq!(name(Some(""), "b"), "b");
        assert_eq!(name(Some("a b"), "(none)"), "buildlet");
    }
}
