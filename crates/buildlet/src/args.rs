//! The agent's command line and what follows from it.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// The worker agent: writes files, runs commands, streams output.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where to listen: unix:/path, or 127.0.0.1:port (then with --password-file)
    #[arg(long, default_value = "127.0.0.1:5936")]
    pub listen: Listen,
    /// The directory that jobs work in; made if missing
    #[arg(long, default_value = "/tmp/workdir")]
    pub workdir: PathBuf,
    /// The agent's own state, outside of the work directory
    #[arg(long, default_value = "/tmp/buildlet-state")]
    pub state_dir: PathBuf,
    /// A file with the password that requests must carry
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// End everything after this long without a request, for example 15m or 90s
    #[arg(long, default_value = "15m", value_parser = duration)]
    pub idle_exit: Duration,
    /// Whether /halt powers the machine down (true) or only ends the agent
    #[arg(long, default_value_t = false, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub halt: bool,
    /// Output kept on disk per command before the command has to wait, in bytes
    #[arg(long, default_value_t = 256 << 20, hide = true)]
    pub spool_bytes: u64,
    /// Time between asking a command to end and forcing it
    #[arg(long, default_value = "2s", value_parser = duration, hide = true)]
    pub grace: Duration,
    /// Hold limits by watching and commands unseparated, as where the kernel offers nothing better
    #[arg(long, hide = true)]
    pub no_kernel_help: bool,
    /// Run in a session of one's own, so that the end of the terminal it was started from does not end it
    #[arg(long)]
    pub own_session: bool,
    /// Arguments with which this executable reaches the agent's `main` again, set by a host with subcommands
    #[arg(skip)]
    pub reexec_prefix: Vec<OsString>,
    /// The part that becomes a job
    #[command(subcommand)]
    pub helper: Option<Helper>,
}

/// What the agent starts itself as.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Helper {
    /// Sets a job apart and becomes it
    #[command(name = crate::sandbox::COMMAND, hide = true, disable_help_flag = true)]
    SandboxExec {
        /// How, and what
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket: mode 0600 in a directory of mode 0700.
    Unix(PathBuf),
    /// A TCP port; refused without a password.
    Tcp(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: needs a path".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => {
                text.parse().map(Self::Tcp).map_err(|_bad| "expected unix:/path or ADDRESS:PORT".to_owned())
            }
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(addr) => write!(f, "{addr}"),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_bad| "expected a number and ms, s, m or h".to_owned())?;
    match text.get(digits.len()..) {
        Some("ms") => Ok(Duration::from_millis(number)),
        Some("s") => Ok(Duration::from_secs(number)),
        Some("m") => Ok(Duration::from_secs(number.saturating_mul(60))),
        Some("h") => Ok(Duration::from_secs(number.saturating_mul(3600))),
        _ => Err("expected a number and ms, s, m or h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_addresses() {
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("90ms"), Ok(Duration::from_millis(90)));
        assert!(duration("15").is_err());
        assert!(duration("m").is_err());
        assert_eq!("unix:/a".parse(), Ok(Listen::Unix("/a".into())));
        assert!("unix:".parse::<Listen>().is_err());
        assert!("localhost".parse::<Listen>().is_err());
    }
}
