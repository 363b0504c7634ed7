//! The one port: the command line's token, and the connections.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The file with the command line's token, in the data directory.
pub const TOKEN_FILE: &str = "admin-token";

/// Reads the token, or makes one.
pub fn admin_token(data: &Path) -> Result<String> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = data.join(TOKEN_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim().len() >= 32 => return Ok(text.trim().to_owned()),
        Ok(_) => bail!("{} holds no token: remove it, and a new one is made", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    }
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).context("the operating system gives no randomness")?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // Under another name until it is whole: half a token, on a disk that was full for a moment, would keep every later
    // start from going on. The data directory is ours alone, so nobody else writes here.
    let partial = path.with_extension("partial");
    match std::fs::remove_file(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing {}", partial.display()));
        }
        _ => {}
    }
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    file.and_then(|mut file| writeln!(file, "{token}"))
        .and_then(|()| std::fs::rename(&partial, &path))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(token)
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
    if !local.ip().is_loopback() {
        tracing::warn!(address = %local, "listening beyond this machine, without TLS: tokens and logs can be read on the way");
    }
    Ok((listener, local))
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> Result<()> {
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, router).with_graceful_shutdown({
        let stop = stop.clone();
        async move { stop.cancelled().await }
    });
    tokio::select! {
        served = served => served.context("serving"),
        // Live tails never end by themselves.
        () = async { stop.cancelled().await; tokio::time::sleep(std::time::Duration::from_millis(200)).await } => Ok(()),
    }
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
