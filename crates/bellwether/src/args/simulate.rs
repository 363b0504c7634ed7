//! Arguments of `simulate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Sources;

/// How large each run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// Some hundred builds on a few machines
    Small,
    /// Some thousand builds; every fiftieth seed is large
    Mixed,
    /// A hundred thousand builds on thousands of machines
    Large,
}

/// Arguments of `simulate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether simulate --seeds 1000          a thousand different loads against every invariant
  bellwether simulate --first 42 --seeds 1  one of them again
  bellwether simulate --mutate --seeds 200  whether each bug planted in the scheduler is found
  bellwether simulate --config new.toml --data /srv/bellwether --since 14d
                                            what the last two weeks would have been with that server file
  bellwether simulate --recorded --config server.toml --data /srv/bellwether
                                            whether the same weeks come out as they were

With --config what a server has recorded is replayed; it may run meanwhile, and nothing is written. Builders in the
repositories' own files stay as they were; see docs/scheduler.md.

Exit codes: 0 every invariant holds, with --mutate each bug is found, with --recorded each queue time is near; 1 not so.")]
pub struct Simulate {
    /// How many seeds; with --mutate, how many at most for each bug
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    pub first: u64,
    /// How large each run is
    #[arg(long, value_enum, default_value = "mixed")]
    pub size: Size,
    /// Plants bugs in the scheduler, and sees whether they are found
    #[arg(long)]
    pub mutate: bool,
    /// Prints JSON, a line for each result
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub replay: Replay,
}

/// What of a server's state is replayed, and with which server file.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Replay")]
pub struct Replay {
    #[command(flatten)]
    pub sources: Sources,
    /// The server's data directory [default: as for up]
    #[arg(long, value_name = "DIR", requires = "config")]
    pub data: Option<PathBuf>,
    /// The database, where it is another one than the server file says
    #[arg(long, value_name = "URL", requires = "config")]
    pub database: Option<String>,
    /// What was recorded since: a time ago, such as 12h or 14d, or a date, such as 2026-01-31
    #[arg(long, value_name = "TIME", default_value = "14d")]
    pub since: String,
    /// Replays it as it was, and says how near each queue time comes to what it was
    #[arg(long, requires = "config", conflicts_with = "mutate")]
    pub recorded: bool,
}
