//! The small binary: nothing but the agent.

use std::process::ExitCode;

use clap::Parser as _;

#[derive(clap::Parser)]
#[command(name = "buildlet", about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    args: buildlet::Args,
}

fn main() -> ExitCode {
    // The helper is on every command's way, so it does not wait for the command line parser.
    buildlet::early(0)
        .unwrap_or_else(|| buildlet::main(Cli::parse_from(buildlet::arguments(std::env::args_os())).args))
}
