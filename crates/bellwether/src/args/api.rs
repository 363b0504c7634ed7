//! Arguments of the commands around the API itself.

use clap::Args;

use super::Server;

/// What happens.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether events                   what is kept of what happened, the oldest first
  bellwether events --follow --json   from now on, a JSON object a line, also over a restart of the server")]
pub struct Events {
    #[command(flatten)]
    pub server: Server,
    /// Waits for what happens, from now on or from --after
    #[arg(short, long)]
    pub follow: bool,
    /// Only after the event of this number
    #[arg(long, value_name = "NUMBER")]
    pub after: Option<u64>,
    /// Only of this repository
    #[arg(long)]
    pub repo: Option<String>,
    /// Only of builds on this builder
    #[arg(long)]
    pub builder: Option<String>,
}
