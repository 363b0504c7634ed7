//! Keeps one virtual machine: starts it again when it has ended, and ends it when its buildlet has not been well for long.

use std::ffi::OsString;
use std::future::pending;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use http::Uri;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::args::duration;

/// An answer must be there within this time.
const ANSWER: Duration = Duration::from_secs(10);
/// After something failed it is tried again, but not at once.
const AFTER_ERROR: Duration = Duration::from_secs(10);

/// Keeps a virtual machine that is a machine of a host.
#[derive(Debug, Clone, clap::Args)]
pub struct QemuArgs {
    /// Where its buildlet says that it is well, through a port of this machine that leads into it
    #[arg(long, value_name = "URL", default_value = "http://localhost:8080/healthz", value_parser = url)]
    buildlet_healthz_url: Uri,
    /// How often it is asked
    #[arg(long, default_value = "30s", value_parser = duration)]
    every: Duration,
    /// How long it may not be well, starting included, before it is started anew
    #[arg(long, default_value = "10m", value_parser = duration)]
    unwell: Duration,
    /// Time between asking it to end and forcing it
    #[arg(long, default_value = "1m", value_parser = duration)]
    end_within: Duration,
    /// What runs it, for example: -- qemu-system-x86_64 -snapshot -m 4G disk.qcow2. Let it write to no disk that it starts from
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

fn url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(_)) => Ok(uri),
        _ => Err("expected http://HOST:PORT/PATH".to_owned()),
    }
}

/// Keeps it, for ever; ends it when this is dropped.
pub(crate) async fn keep(args: QemuArgs) {
    let Some((program, rest)) = args.command.split_first() else { return };
    loop {
        let mut command = Command::new(program);
        command.args(rest).stdin(Stdio::null()).kill_on_drop(true);
        match command.spawn() {
            Err(error) => {
                tracing::error!(program = %program.display(), %error, "can't be started; is it installed, and in PATH?");
                sleep(AFTER_ERROR).await;
            }
            Ok(mut child) => {
                tracing::info!(program = %program.display(), pid = child.id(), "started");
                match watch(&args, &mut child).await {
                    Ok(status) if status.success() => tracing::info!("ended; a new one is started"),
                    Ok(status) => {
                        tracing::warn!(%status, "ended; a new one is started");
                        sleep(AFTER_ERROR.min(args.every)).await;
                    }
                    Err(error) => {
                        tracing::error!(%error, "its end could not be waited for");
                        sleep(AFTER_ERROR).await;
                    }
                }
            }
        }
    }
}

/// Returns when it has ended: by itself, or because it was unwell for too long.
async fn watch(args: &QemuArgs, child: &mut Child) -> io::Result<std::process::ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = unwell(args) => {}
    }
    tracing::warn!(url = %args.buildlet_healthz_url, unwell = ?args.unwell, "its buildlet does not answer; it is ended");
    // It has not been waited for, so the number is still its own.
    if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
        // Gone already, it is waited for all the same.
        let _asked = kill_process(pid, Signal::INT);
    }
    match timeout(args.end_within, child.wait()).await {
        Ok(ended) => ended,
        Err(_late) => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

/// Returns when it was not well for too long.
async fn unwell(args: &QemuArgs) {
    let mut well = Instant::now();
    loop {
        sleep(args.every).await;
        match timeout(ANSWER, ask(&args.buildlet_healthz_url)).await {
            Ok(Ok(200)) => well = Instant::now(),
            answer => tracing::debug!(?answer, "not well"),
        }
        if well.elapsed() > args.unwell {
            return;
        }
    }
}

/// Asks, and returns the status of the answer; 0 if it is none.
async fn ask(url: &Uri) -> io::Result<u16> {
    let Some(host) = url.host() else { return pending().await };
    let port = url.port_u16().unwrap_or(80);
    let mut stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    // As long as the first line's beginning with the status is.
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    let text = String::from_utf8_lossy(&start);
    Ok(text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..)?.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_asked_is_taken() {
        assert_eq!(url("http://localhost:8080/healthz").unwrap().port_u16(), Some(8080));
        for bad in ["https://a/", "localhost:8080", "/healthz", "http://", "a b"] {
            assert!(url(bad).is_err(), "{bad}");
        }
    }
}
