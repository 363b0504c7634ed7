//! Arguments of `pubsubhelper`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `pubsubhelper`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether pubsubhelper --config server.toml     by [pubsubhelper.github] and [pubsubhelper.gerrit] of that file
  curl 'http://127.0.0.1:8119/waitevent'           waits for the next event
  curl 'http://127.0.0.1:8119/recent'              the events of the last hour

`bellwether up` runs it too where the configuration names a forge. One database has one of them at a time.")]
pub struct Pubsubhelper {
    /// The server file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The environment, where the server file has more than one
    #[arg(long = "env", value_name = "NAME")]
    pub environment: Option<String>,
    /// Where state is kept [default: $XDG_STATE_HOME/bellwether, else ~/.local/state/bellwether]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where to listen [default: what the environment says, else 127.0.0.1:8119]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
}
