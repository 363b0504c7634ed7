//! The subcommands, one file each.

mod build;
mod builds;
mod client;
mod config;
mod demo;
mod doctor;
mod events;
mod fetchlogs;
mod follow;
mod gc;
mod gomote;
mod greplogs;
mod import;
mod init;
mod log;
mod machines;
mod maintnerd;
mod mutations;
mod news;
mod once;
mod pubsubhelper;
mod query;
mod repro;
mod retrybuilds;
mod simulate;
mod state;
mod token;
mod tree;
mod up;
mod watchflakes;
mod why;

use std::process::ExitCode;

use anyhow::Result;
use clap::CommandFactory as _;

use crate::args::{Cli, Command};

/// Runs what was asked for.
pub async fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Up(args) => up::run(args).await,
        Command::Init(args) => init::run(&args),
        Command::Config(args) => config::run(&args).await,
        Command::Import(args) => import::run(&args).await,
        Command::Pubsubhelper(args) => pubsubhelper::run(&args).await,
        Command::Builds(args) => builds::run(&args).await,
        Command::Log(args) => log::run(&args).await,
        Command::Build(args) => build::run(&args).await,
        Command::Why(args) => why::run(&args).await,
        Command::Events(args) => events::run(&args).await,
        Command::Api => {
            // What a server answers with, by a test.
            print!("{}", include_str!("../../../docs/openapi.json"));
            Ok(ExitCode::SUCCESS)
        }
        Command::Retry(args) => builds::retry(&args).await,
        Command::Retrybuilds(args) => retrybuilds::run(&args).await,
        Command::Greplogs(args) => greplogs::run(&args).await,
        Command::Fetchlogs(args) => fetchlogs::run(&args).await,
        Command::Watchflakes(args) => watchflakes::run(&args).await,
        Command::Cancel(args) => builds::cancel(&args).await,
        Command::Tree(args) => tree::run(&args).await,
        Command::Repro(args) => repro::run(&args).await,
        Command::Gomote(args) => gomote::run(args).await,
        Command::Maintnerd(args) => maintnerd::run(args).await,
        Command::Query(args) => query::run(&args),
        Command::Machines(args) => machines::run(&args).await,
        Command::Simulate(args) => simulate::run(&args).await,
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Backup(args) => state::back_up(&args).await,
        Command::Restore(args) => state::restore(&args).await,
        Command::Gc(args) => gc::run(&args).await,
        Command::Audit(args) => state::audit(&args).await,
        Command::Token(args) => token::run(&args).await,
        Command::Login(args) => token::login(&args).await,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bellwether", &mut text);
            print!("{}", String::from_utf8_lossy(&text));
            Ok(ExitCode::SUCCESS)
        }
        // Ends before a runtime is made: see `main`.
        Command::Buildlet(_) => Ok(ExitCode::from(2)),
    }
}
