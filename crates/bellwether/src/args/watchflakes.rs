//! Arguments of `watchflakes`.

use std::path::PathBuf;

use clap::Args;

use super::Server;

/// Arguments of `watchflakes`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Issues that collect failures begin with a block of code of rules (docs/flakes.md). Failures are read from a Bellwether server, issues
from GitHub; what would be posted is printed. Nothing is posted without --post. A build whose address stands in a comment of ours is not
posted on that issue again; run no two with --post at the same time.

Examples:
  bellwether watchflakes --github acme/tool                      what would be posted
  bellwether watchflakes --github acme/tool --post --site https://ci.example.org

Exits 0 if all is done, 2 if not. A token is read from --github-token-file, else from BELLWETHER_GITHUB_TOKEN; reading public issues
needs none.")]
pub struct Watchflakes {
    #[command(flatten)]
    pub server: Server,
    /// The repository on GitHub whose issues they are
    #[arg(long, value_name = "OWNER/REPO")]
    pub github: String,
    /// The label of issues that collect failures, and of those that are made
    #[arg(long, value_name = "LABEL", default_value = "flake")]
    pub label: String,
    /// Looks at builds of this repo alone; may be given again
    #[arg(long)]
    pub repo: Vec<String>,
    /// Looks at so many of the newest commits of each branch
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub commits: u32,
    /// The address that is posted for builds [default: the server's]
    #[arg(long, value_name = "URL")]
    pub site: Option<String>,
    /// Where builds were in the past: what was posted with such an address is not posted again; may be given again
    #[arg(long, value_name = "URL")]
    pub old_site: Vec<String>,
    /// Makes no issue if there would be as many new ones
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_new: u32,
    /// GitHub's API
    #[arg(long, value_name = "URL", default_value = "https://api.github.com")]
    pub github_api: String,
    /// A file with a token that may write issues
    #[arg(long, value_name = "FILE")]
    pub github_token_file: Option<PathBuf>,
    /// Posts it
    #[arg(long)]
    pub post: bool,
}
