//! Arguments of `simulate`.

use clap::{Args, ValueEnum};

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

Exit codes: 0 every invariant holds, and with --mutate each bug is found; 1 not so.")]
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
}
