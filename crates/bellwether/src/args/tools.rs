//! Arguments of `greplogs`, `fetchlogs` and `retrybuilds`.

use std::path::PathBuf;

use clap::Args;

use super::Server;

/// Arguments of `greplogs`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  bellwether greplogs 'panic: .* index out of range' --since 7d
  bellwether greplogs -e 'FAIL: TestDial' -e 'connection refused' --failed --builder linux   logs with a line for each
  bellwether greplogs -l '(?i)no space left on device'      only which builds
  bellwether greplogs -C 3 --json 'undefined: \\w+'          for programs, with three lines around each

The expressions are those of Rust's regex (no look-around, no back references), for one line each; (?i) does not tell capital
letters from small ones. The server's index passes over logs that hold none of the text in them, so give at least three letters that
follow one another: without, every log is read, which is said on stderr.

Exits 0 if something was found, 1 if nothing was, 2 if not all could be looked at.")]
pub struct Greplogs {
    #[command(flatten)]
    pub server: Server,
    /// What to look for: a regular expression
    #[arg(value_name = "REGEXP", required_unless_present = "expressions")]
    pub pattern: Option<String>,
    /// One more, which a log needs a line for as well
    #[arg(short = 'e', long = "expression", value_name = "REGEXP")]
    pub expressions: Vec<String>,
    /// Leaves out logs with a line that this fits
    #[arg(long, value_name = "REGEXP")]
    pub omit: Option<String>,
    /// Of builds of this repo
    #[arg(long)]
    pub repo: Option<String>,
    /// Of this builder
    #[arg(long)]
    pub builder: Option<String>,
    /// Of this branch
    #[arg(long)]
    pub branch: Option<String>,
    /// Of builds that failed
    #[arg(long, conflicts_with = "outcome")]
    pub failed: bool,
    /// Of builds that ended like this: ok, failed, infra_failed, cancelled, skipped
    #[arg(long)]
    pub outcome: Option<String>,
    /// Of builds made since: a time ago, such as 12h or 7d, or a date, such as 2026-01-31
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// So many lines around each that was found
    #[arg(short = 'C', long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=20))]
    pub context: u32,
    /// At most so many lines of one log
    #[arg(short = 'm', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub max_count: u32,
    /// Only the builds, without lines
    #[arg(short = 'l', long)]
    pub list: bool,
    /// At most so many logs
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Looks for at most so long, such as 30s or 10m
    #[arg(long = "time", value_name = "TIME", default_value = "2m")]
    pub time: String,
}

/// Arguments of `fetchlogs`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
What it makes, as the original's fetchlogs does, so that the original's greplogs and what else knows it can read it:

  DIR/log/SHA1                             a log, once, however many builds have written it
  DIR/rev/2026-01-31T12:00:00-1a2b3c4/     a commit, by its time
      .rev.json  .builders.json            what is known of it, and the builders in the order of its results
      BUILDER -> ../../log/SHA1            what failed there

A log that is there is not fetched again, and one is only called by its name once all of it is: end it whenever you like, and start it
again.

Examples:
  bellwether fetchlogs                     the newest 300 commits, into ~/.cache/fetchlogs
  bellwether fetchlogs -n 30 --dir logs --branch release-branch.r1

Exits 0 if all that failed is there, 2 if a log could not be had; which one is said on stderr.")]
pub struct Fetchlogs {
    #[command(flatten)]
    pub server: Server,
    /// So many commits, the newest first
    #[arg(short = 'n', value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub count: u32,
    /// So many logs at a time
    #[arg(short = 'j', value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub jobs: u32,
    /// Where to [default: $XDG_CACHE_HOME/fetchlogs, else ~/.cache/fetchlogs]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Of this package, such as golang.org/x/sync [default: the server's main repository]
    #[arg(long, value_name = "PACKAGE")]
    pub repo: Option<String>,
    /// Of this branch [default: all]
    #[arg(long)]
    pub branch: Option<String>,
    /// Passes over logs that are longer, such as 64MiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub largest: String,
    /// Fetches no more logs once it has fetched so much
    #[arg(long, value_name = "SIZE", default_value = "20GiB")]
    pub most: String,
}

/// Arguments of `retrybuilds`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Which builds: of those that failed, the newest first, all that fit everything that is given; of several of one revision on one builder
only the newest. Start with --dry-run, which says which those are and does nothing.

Examples:
  bellwether retrybuilds --dry-run --failure 'connection (refused|reset)'    what failed by the network, in what was found of its log
  bellwether retrybuilds --builder linux-arm64 --hash 1a2b3c4
  bellwether retrybuilds --machine mac-1 --since 2d --yes                    what a bad machine has spoilt
  bellwether retrybuilds --test 'TestDial/.*' --repo app
  bellwether retrybuilds --log 'No space left on device'                     by all of the log, through the server's index
  bellwether retrybuilds --redo-flaky                                        what looks like no fault of the commit

With --masterkey, --key or --sendmaster it does what the original's does with results that the original's builders have posted: it
wipes them, so that these build again.

Exits 0 if all of them are queued again (with --dry-run: if there are some), 1 if there are none, 2 if some could not be.")]
pub struct Retrybuilds {
    #[command(flatten)]
    pub server: Server,
    /// Of this builder
    #[arg(long)]
    pub builder: Option<String>,
    /// Of the commit whose hash begins like this
    #[arg(long, value_name = "HASH")]
    pub hash: Option<String>,
    /// Of this branch [default: all; with keys of the original: master]
    #[arg(long)]
    pub branch: Option<String>,
    /// Whose log has a SHA-1 that begins like this, as links of the original's dashboard have it
    #[arg(long, value_name = "SHA1")]
    pub loghash: Option<String>,
    /// Whose log looks as if the commit were not to blame: cut short, no space left, names that could not be looked up, …
    #[arg(long)]
    pub redo_flaky: bool,
    /// Of this repo
    #[arg(long)]
    pub repo: Option<String>,
    /// Whose failure (the test, or the first error with the lines around it) this fits: a regular expression, or just a text
    #[arg(long, value_name = "REGEXP")]
    pub failure: Option<String>,
    /// With a line in the log that this fits
    #[arg(long, value_name = "REGEXP")]
    pub log: Option<String>,
    /// With a failed test whose name this fits
    #[arg(long, value_name = "REGEXP")]
    pub test: Option<String>,
    /// Whose last attempt was on this machine: what it calls itself, or its id
    #[arg(long, value_name = "NAME")]
    pub machine: Option<String>,
    /// Whose last attempt was on a machine of this host
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Only those that ended like this: failed or infra_failed [default: both]
    #[arg(long)]
    pub outcome: Option<String>,
    /// Of builds made since: a time ago, such as 12h or 7d, or a date
    #[arg(long, value_name = "TIME", default_value = "14d")]
    pub since: String,
    /// Looks at no more failed builds than this
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub limit: u32,
    /// Says which builds, and does nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Does not ask, however many there are
    #[arg(short, long)]
    pub yes: bool,
    /// Another server's dashboard, as the original has it [default: --server's /dash]; for what was posted
    #[arg(long, value_name = "URL")]
    pub builder_prefix: Option<String>,
    /// The file with the master key of the original's builders
    #[arg(long, value_name = "FILE")]
    pub masterkey: Option<PathBuf>,
    /// The file with one builder's key
    #[arg(long, value_name = "FILE", conflicts_with = "masterkey")]
    pub key: Option<PathBuf>,
    /// Shows the master key itself and not the builder's that is made from it
    #[arg(long, requires = "masterkey")]
    pub sendmaster: bool,
}
