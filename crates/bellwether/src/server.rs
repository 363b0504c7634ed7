//! The one port: the command line's token, where is listened, and TLS.

pub mod shells;
#[cfg(feature = "full")]
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use buildenv::Config;
use coordinator::{OrderKey, SshHostKey};
use edge::{Edge, Limits};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The file with the command line's token, in the data directory.
pub const TOKEN_FILE: &str = "admin-token";

/// The file with the key by which the server is known over SSH, in the data directory.
const SSH_KEY_FILE: &str = "ssh-host-key";

/// The file with the key that orders to machines are signed with, in the data directory.
const ORDER_KEY_FILE: &str = "order-key";

/// The key of before, which vouches for that one to machines that know no other yet.
const ORDER_KEY_BEFORE: &str = "order-key-before";

/// Reads the token, or makes one.
pub fn admin_token(data: &Path) -> Result<String> {
    let path = data.join(TOKEN_FILE);
    let text = kept(&path, |random| random.iter().map(|byte| format!("{byte:02x}")).collect())?;
    if text.trim().len() < 32 {
        bail!("{} holds no token: remove it, and a new one is made", path.display());
    }
    Ok(text.trim().to_owned())
}

/// Reads the key by which the server is known over SSH, or makes one.
pub fn ssh_host_key(data: &Path) -> Result<SshHostKey> {
    let path = data.join(SSH_KEY_FILE);
    let text = kept(&path, |random| SshHostKey::of(random).to_openssh())?;
    let key = SshHostKey::parse(&text);
    key.with_context(|| {
        format!("{}: put a good one there, or remove it and a new one is made", path.display())
    })
}

/// Reads the key that orders to machines are signed with, or makes one, and the one of before it if there is one.
pub fn order_key(data: &Path) -> Result<OrderKey> {
    let path = data.join(ORDER_KEY_FILE);
    let is_new = !path.exists();
    let text = kept(&path, |random| OrderKey::of(random).secret())?;
    let key = OrderKey::parse(&text);
    let key = key.with_context(|| {
        format!(
            "{}: put the one that machines know back there; if it is lost, remove it, and the order-key in the state directory \
             of each machine that dials in",
            path.display()
        )
    })?;
    let before = data.join(ORDER_KEY_BEFORE);
    match std::fs::read_to_string(&before) {
        Ok(text) => {
            let old = OrderKey::parse(&text);
            let old = old.with_context(|| {
                format!(
                    "{}: put the key of before there, or remove it once every machine was here",
                    before.display()
                )
            })?;
            Ok(key.after(old))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(if is_new { key.new_here() } else { key })
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", before.display())),
    }
}

/// Reads a secret from its file, or makes it of random bytes.
fn kept(path: &Path, make: impl FnOnce(&[u8; 32]) -> String) -> Result<String> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    }
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    let secret = make(&bytes);
    let secret = secret.trim_end();
    // Under another name until it is whole: half a secret, on a disk that was full for a moment, would keep every later
    // start from going on. The data directory is ours alone, so nobody else writes here.
    let partial = path.with_extension("partial");
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {}", partial.display()));
        }
        _ => {}
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    file.and_then(|mut file| writeln!(file, "{secret}").and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&partial, path))
        // Machines are told of it at once and keep it: it must be here after a loss of power, too.
        .and_then(|()| path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all()))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(secret.to_owned())
}

/// The edge of the server, and what is to run beside it.
pub struct Door {
    /// What serves connections.
    pub edge: Edge,
    /// Keeps the certificate as it should be.
    #[cfg(feature = "full")]
    keeper: Option<edge::tls::Keeper>,
    /// What people are to know of the certificate.
    pub told: Option<String>,
}

impl Door {
    /// Opens what the configuration says of TLS and connections; files are below `data`.
    pub fn open(config: &watch::Receiver<Arc<Config>>, data: &Path, local: SocketAddr) -> Result<Door> {
        let environment = config.borrow().environment().clone();
        let limits = limits(environment.connections);
        match &environment.tls {
            None => {
                if !local.ip().is_loopback() {
                    tracing::warn!(address = %local, "listening beyond this machine, without TLS: tokens and logs can be read on the way");
                }
                Ok(Door {
                    edge: Edge::new(limits),
                    #[cfg(feature = "full")]
                    keeper: None,
                    told: None,
                })
            }
            #[cfg(feature = "full")]
            Some(tls) => tls::open(limits, tls, config.clone(), data),
            #[cfg(not(feature = "full"))]
            Some(_) => {
                let _ = data;
                bail!(
                    "environment.{}.tls: this program was built without TLS; build it with --features full, or put a proxy before it",
                    environment.name
                )
            }
        }
    }

    /// A door without TLS.
    pub fn plain() -> Door {
        Door {
            edge: Edge::new(limits(buildenv::CONNECTIONS)),
            #[cfg(feature = "full")]
            keeper: None,
            told: None,
        }
    }

    /// Lets some connections be taken out of HTTP.
    pub fn with_takeover(mut self, takeover: Arc<dyn edge::Takeover>) -> Door {
        self.edge = self.edge.with_takeover(takeover);
        self
    }

    /// Has bytes that lie in files sent from there.
    pub fn with_files(mut self, files: edge::Files) -> Door {
        self.edge = self.edge.with_files(files);
        self
    }

    /// Serves until `stop`.
    pub async fn serve(self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let serving = self.edge.serve(listener, router, stop.clone());
        #[cfg(feature = "full")]
        if let Some(keeper) = self.keeper {
            tokio::join!(serving, keeper.run(stop));
            return;
        }
        serving.await;
    }
}

/// Limits of connections: as many as are asked for, and no more than leave files for all else.
pub fn limits(connections: usize) -> Limits {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let room = files.map_or(connections, |files| usize::try_from(files / 4 * 3).unwrap_or(usize::MAX));
    if room < connections {
        let say = "as many connections as three quarters of the files that this process may open (ulimit -n)";
        // Who asked for no number has none that is not kept.
        match connections == buildenv::CONNECTIONS {
            true => tracing::debug!(connections = room, "{say}"),
            false => tracing::warn!(connections = room, asked = connections, "{say}"),
        }
    }
    Limits { connections: room.min(connections), ..Limits::default() }
}

/// How an address that can't be had is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is an error.
    Refuse,
    /// Any free port will do.
    Another,
}

/// Opens the port.
pub async fn listen(address: &str, taken: Taken) -> Result<(TcpListener, SocketAddr)> {
    let listener = match TcpListener::bind(address).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && taken == Taken::Another => {
            TcpListener::bind("127.0.0.1:0").await
        }
        other => other,
    };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!(
                "{address} is taken: another server runs there; end it, or choose another with --listen 127.0.0.1:0"
            )
        }
        Err(error) => return Err(error).with_context(|| format!("listening on {address}")),
    };
    let local = listener.local_addr()?;
    Ok((listener, local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_was_cut_short_by_a_full_disk_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        // As a start leaves it whose disk had room for the file and not for all of its content.
        std::fs::write(dir.path().join(TOKEN_FILE).with_extension("partial"), "0123456789abcdef").unwrap();
        let token = admin_token(dir.path()).unwrap();
        assert_eq!(token.len(), 64);
        assert_eq!(admin_token(dir.path()).unwrap(), token, "it is kept");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_a_remedy() {
        let (held, address) = listen("127.0.0.1:0", Taken::Refuse).await.unwrap();
        let error = listen(&address.to_string(), Taken::Refuse).await.unwrap_err().to_string();
        assert!(error.contains("is taken") && error.contains("--listen"), "{error}");
        let (_, other) = listen(&address.to_string(), Taken::Another).await.unwrap();
        assert_ne!(other, address);
        drop(held);
    }
}
