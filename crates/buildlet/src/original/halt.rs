//! `/halt`.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use http::Method;

use crate::agent::Agent;
use crate::args::Args;
use crate::http::GoError;

use super::require;

/// What an answer waits before the agent ends, so that it is read.
const DELAY: Duration = Duration::from_secs(1);
/// A machine that has not gone down by then goes on, without the agent.
const PATIENCE: Duration = Duration::from_secs(5);

/// What an order to halt does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    /// Ends the agent.
    Stay,
    /// Powers the machine down.
    Down,
    /// Starts the machine anew.
    Again,
}

impl Power {
    /// As the operator wants it.
    pub(crate) fn of(args: &Args) -> Self {
        match (args.reboot, args.halt) {
            (true, _) => Self::Again,
            (false, true) => Self::Down,
            (false, false) => Self::Stay,
        }
    }

    /// The command that does it on an operating system; none where ending the agent is all.
    ///
    /// Unlike the original's, it lets the disks be written first: the machine may be one that somebody wants to keep.
    fn command(self, os: &str) -> Option<&'static [&'static str]> {
        match (self, os) {
            (Self::Stay, _) => None,
            (Self::Again, "windows") => Some(&["shutdown", "/r"]),
            (Self::Again, _) => Some(&["reboot"]),
            (Self::Down, "linux") => Some(&["halt", "-f", "-p"]),
            (Self::Down, "openbsd") => Some(&["halt", "-q", "-p"]),
            (Self::Down, "freebsd" | "netbsd") => Some(&["shutdown", "-p", "now"]),
            (Self::Down, "windows") => Some(&["shutdown", "/s"]),
            // A Mac is somebody's, and has no way to be switched on again from afar.
            (Self::Down, _) => None,
        }
    }
}

pub(crate) async fn halt(State(agent): State<Arc<Agent>>, method: Method) -> Result<(), GoError> {
    require(&method, &Method::POST)?;
    let stop = agent.stop.clone();
    let power = agent.power;
    // Owned by the runtime, which ends seconds later.
    tokio::spawn(async move {
        tokio::time::sleep(DELAY).await;
        if let Some([program, args @ ..]) = power.command(std::env::consts::OS) {
            let mut command = tokio::process::Command::new(program);
            command.args(args).stdin(Stdio::null()).kill_on_drop(true);
            match tokio::time::timeout(PATIENCE, command.status()).await {
                Ok(Ok(status)) if status.success() => tracing::info!(program, "the machine goes down"),
                ended => tracing::error!(program, ?ended, "the machine goes on"),
            }
        }
        stop.cancel();
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_has_its_command() {
        for (power, os, want) in [
            (Power::Stay, "linux", None),
            (Power::Down, "linux", Some("halt -f -p")),
            (Power::Down, "freebsd", Some("shutdown -p now")),
            (Power::Down, "openbsd", Some("halt -q -p")),
            (Power::Down, "windows", Some("shutdown /s")),
            (Power::Down, "macos", None),
            (Power::Again, "linux", Some("reboot")),
            (Power::Again, "macos", Some("reboot")),
            (Power::Again, "windows", Some("shutdown /r")),
        ] {
            assert_eq!(power.command(os).map(|words| words.join(" ")).as_deref(), want, "{power:?} {os}");
        }
    }
}
