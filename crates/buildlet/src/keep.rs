//! `buildlet run-docker` and `buildlet run-qemu`: a host that is not a machine itself, but keeps some.
//!
//! Each is used once: it ends by itself when its buildlet is told to, and the next one is made from the same image.

pub(crate) mod docker;
pub(crate) mod qemu;

use std::io;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// Runs a keeper until it is told to end.
pub(crate) fn main(keeping: impl Future<Output = ()>) -> ExitCode {
    crate::logging::begin("info");
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "nothing can be run here");
            return ExitCode::FAILURE;
        }
    };
    runtime.block_on(async {
        let stops =
            signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
        let (mut term, mut interrupt) = match stops {
            Ok(stops) => stops,
            Err(error) => {
                tracing::error!(%error, "signals can't be heard");
                return ExitCode::FAILURE;
            }
        };
        tokio::select! {
            () = keeping => {}
            _ = term.recv() => tracing::info!("SIGTERM: ends"),
            _ = interrupt.recv() => tracing::info!("SIGINT: ends"),
        }
        ExitCode::SUCCESS
    })
}

/// Why a program did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error("{program} can't be started: {source}; is it installed, and in PATH?")]
    Start { program: String, source: io::Error },
    #[error("{program} {what} did not end within {limit:?}")]
    Slow { program: String, what: String, limit: Duration },
    #[error("{program} {what} failed: {said}")]
    Failed { program: String, what: String, said: String },
}

/// Runs a program to its end and returns what it printed; `args` begin with what it is to do.
async fn run(program: &str, args: &[String], limit: Duration) -> Result<String, ToolError> {
    let what = args.first().cloned().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    let start = |source| ToolError::Start { program: program.to_owned(), source };
    let output = match timeout(limit, command.output()).await {
        Err(_late) => return Err(ToolError::Slow { program: program.to_owned(), what, limit }),
        Ok(output) => output.map_err(start)?,
    };
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said: String = String::from_utf8_lossy(&output.stderr).trim().chars().take(500).collect();
    Err(ToolError::Failed { program: program.to_owned(), what, said })
}
