//! The way on to the machine: its `/connect-ssh`, and a session of SSH through it.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};

use super::host_key::SshHostKey;
use super::pump::{Pump, pumped};
use crate::gomote::Session;

/// How long a machine may take to let us in: an original looks for its sshd for five seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many messages of a channel, of 32 KiB at most each, wait to be carried on.
const MESSAGES: usize = 256;
/// How often a connection on which nothing is said is asked whether it is still there.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);

/// Why a machine gives no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreached {
    #[error("its buildlet: {0}")]
    Buildlet(#[from] buildlet_client::Error),
    #[error("its SSH server: {0}")]
    Ssh(#[from] russh::Error),
    #[error("its SSH server does not let user {user} in (ssh_user of host {host} says who logs in there)")]
    Refused { user: String, host: String },
    #[error("it has not answered within {} s", PATIENCE.as_secs())]
    Late,
}

/// Whatever the machine says besides answers is not listened to.
pub(super) struct Quiet;

impl client::Handler for Quiet {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        // The connection is one to the machine's own buildlet already, whoever answers on it.
        Ok(true)
    }
}

/// Opens a session, which ends when the pump is dropped.
pub(super) async fn open(
    session: &Session,
    user: &str,
    key: &SshHostKey,
) -> Result<(Handle<Quiet>, Pump), Unreached> {
    let opening = async {
        let stream = session.client.connect_ssh(user, &key.public_line()).await?;
        let config = client::Config {
            keepalive_interval: Some(KEEPALIVE),
            channel_buffer_size: MESSAGES,
            nodelay: true,
            ..client::Config::default()
        };
        let (stream, pump) = pumped(stream);
        let mut handle = client::connect_stream(Arc::new(config), stream, Quiet).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key.private()), None);
        if !handle.authenticate_publickey(user, key).await?.success() {
            return Err(Unreached::Refused { user: user.to_owned(), host: session.host.clone() });
        }
        Ok((handle, pump))
    };
    tokio::time::timeout(PATIENCE, opening).await.unwrap_or(Err(Unreached::Late))
}
