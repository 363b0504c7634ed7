//! Arguments of `log`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Server;

/// Arguments of `log`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "\
Examples:
  bellwether log BUILD --follow               as it is written
  bellwether log BUILD --lines 100..120       a part of it; 100.. goes to the end
  bellwether log BUILD --attempt 1            the first attempt's, where there were several
  bellwether log BUILD --search panicked      exits 1 if nothing is found
  bellwether log verify DIR                   whether the mutation log in a folder is whole
  bellwether log tail DIR                     its mutations as they come
  bellwether log tail https://HOST/logs       those of a server's log",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Log {
    #[command(flatten)]
    pub server: Server,
    /// The build
    #[arg(required = true)]
    pub build: Option<String>,
    /// Goes on until the build is done, through what is tried again
    #[arg(short, long, conflicts_with_all = ["search", "lines"])]
    pub follow: bool,
    /// Of this attempt: its number, counted from 1, or its id [default: the last that has a log]
    #[arg(long, value_name = "N|ID")]
    pub attempt: Option<String>,
    /// Only lines FROM..TO, counted from 1; FROM.. goes to the end
    #[arg(long, value_name = "FROM..TO")]
    pub lines: Option<String>,
    /// Only lines that contain this
    #[arg(long, conflicts_with = "lines")]
    pub search: Option<String>,
    /// Takes --search as a regular expression
    #[arg(long, requires = "search")]
    pub regex: bool,
    /// A log of what changed in issues, changes and commits
    #[command(subcommand)]
    pub mutations: Option<MutationLog>,
}

impl Log {
    /// The build, which is required where there is no subcommand.
    pub fn id(&self) -> &str {
        self.build.as_deref().unwrap_or_default()
    }
}

/// Subcommands of `log`, for the log of which a corpus is made.
#[derive(Debug, Clone, Subcommand)]
pub enum MutationLog {
    /// Replays a mutation log, and counts what is in it
    Stats(StatsLog),
    /// Replays a mutation log, and prints a digest of what it says: two that are equal say the same
    Digest(DigestLog),
    /// Reads every byte of a mutation log, and names the first record that is not as it should be
    Verify(VerifyLog),
    /// Keeps of a damaged mutation log all up to the first bad record, says what is dropped, and puts the originals aside
    Recover(RecoverLog),
    /// Prints the mutations of a log as they come
    Tail(TailLog),
}

/// A log that is replayed.
#[derive(Debug, Clone, Args)]
pub struct Replayed {
    /// The folder: day files (maintner-YYYY-MM-DD.mutlog), or segments as godata keeps them
    pub dir: PathBuf,
    /// On one thread, not on one for issues and one for commits
    #[arg(long)]
    pub one_thread: bool,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `log stats`.
#[derive(Debug, Clone, Args)]
pub struct StatsLog {
    #[command(flatten)]
    pub log: Replayed,
}

/// Arguments of `log digest`.
#[derive(Debug, Clone, Args)]
pub struct DigestLog {
    #[command(flatten)]
    pub log: Replayed,
    /// Not by all of the log, but by the checkpoint in this file and what is behind it. Where there is no such file, one of the
    /// first half of the log is written there before
    #[arg(long, value_name = "FILE", conflicts_with = "one_thread")]
    pub checkpoint: Option<PathBuf>,
    /// By the rules of the original, mistakes included: for comparing with it
    #[arg(long)]
    pub original: bool,
    /// Prints what is digested, a line for each thing, and the digest on standard error
    #[arg(long, conflicts_with = "json")]
    pub dump: bool,
}

/// Arguments of `log verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyLog {
    /// The folder, as of `log stats`
    pub dir: PathBuf,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `log recover`.
#[derive(Debug, Clone, Args)]
pub struct RecoverLog {
    /// The folder, as of `log stats`; no leader may be running in it
    pub dir: PathBuf,
    /// Writes the good part there, and leaves the folder as it is
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

impl TailLog {
    /// The address of a server's log, where it is one.
    pub fn url(&self) -> Option<&str> {
        self.of.to_str().filter(|of| of.starts_with("http://") || of.starts_with("https://"))
    }
}

/// Arguments of `log tail`.
#[derive(Debug, Clone, Args)]
pub struct TailLog {
    /// The folder, as of `log stats`, or the address of a server's log, such as http://localhost:6343/logs, of which nothing is
    /// kept
    #[arg(value_name = "DIR|URL")]
    pub of: PathBuf,
    /// Begins at this byte of the log, which is where a record begins; 0 is all of it [default: the end]
    #[arg(long, value_name = "OFFSET")]
    pub from: Option<u64>,
    /// The file with the token that a server wants to be shown
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Ends when all is printed that is there, and waits for no more
    #[arg(long)]
    pub once: bool,
    /// As JSON, an object on each line
    #[arg(long)]
    pub json: bool,
}
