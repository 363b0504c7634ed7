//! Arguments of `tree`.

use clap::{Args, Subcommand};

use super::Server;

/// Subcommands of `tree`.
#[derive(Debug, Clone, Subcommand)]
pub enum Tree {
    /// Lists branches, and whether each is open
    List(Server),
    /// Says why a branch is open or not, and what was changed last
    Show(OneTree),
    /// Nothing goes in but what mends it
    Close(SetTree),
    /// Changes go in slowly, by those who look after the branch
    Throttle(SetTree),
    /// Changes go in, whatever the rules say
    Open(SetTree),
    /// Ends what was set by hand: the rules decide again
    Release(OneTree),
}

/// A branch.
#[derive(Debug, Clone, Args)]
pub struct OneTree {
    #[command(flatten)]
    pub server: Server,
    /// The repository and its branch
    #[arg(value_name = "REPO@BRANCH")]
    pub tree: String,
}

/// What is set by hand.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether tree close app@main --reason 'the release is cut' --for 2h
  bellwether tree release app@main")]
pub struct SetTree {
    #[command(flatten)]
    pub which: OneTree,
    /// Why; everybody who looks at the branch reads it
    #[arg(long)]
    pub reason: String,
    /// It ends by itself after so long, such as 90m, 2h or 1d [default: only when it is released]
    #[arg(long = "for", value_name = "TIME")]
    pub lasts: Option<String>,
}
