//! Set-up, tests, checks, fixtures and benchmarks of this workspace: `cargo xtask help`.
//!
//! Not shipped. It may call the tools of the machine (cargo, git, go, pip, npm, apt-get); no crate of the product may
//! depend on it.

mod api;
mod bench;
mod book;
mod corpus;
mod deploy;
mod expect;
mod fixture;
mod fuzz;
mod gerrit;
#[cfg(test)]
mod imports;
mod interop;
mod legacy;
mod licences;
mod metadata;
mod pages;
mod process;
mod server_binary;
mod setup;
mod targets;
mod tests;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Set-up, tests, checks, fixtures and benchmarks of this workspace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what components.toml lists and is missing
    Setup(setup::Args),
    /// Build everything once and run every test; prints what ran, what was left out and the ten slowest
    Test(tests::Args),
    /// Make repositories with real history and every kind of trouble, and a server file that names them
    Fixture(fixture::Args),
    /// Compare what `up --once FIXTURE --json` says with what was written before the first run
    Expect(expect::Args),
    /// Make up a mutation log the size of the Go project's, the same bytes for the same seed
    Corpus(corpus::Args),
    /// Run Buildbot and Bellwether side by side and write docs/benchmarks.md
    Bench(bench::Args),
    /// Send the original dashboard's own sequence of requests to a server, or to one on each database
    Legacy(legacy::Args),
    /// Run the original's buildlets with our coordinator, and our buildlet with the original's package
    Interop(interop::Args),
    /// Look at the pages in Chromium: widths, themes, scripts on and off; counts what axe-core and the console say
    Pages(pages::Args),
    /// Ask every operation of the API with good and bad data (schemathesis), or write the command line's client
    Api(api::Args),
    /// Check or link the agent for every system whose standard library rustup has, and run it where that can be
    Targets(targets::Args),
    /// Run what reads bytes from outside on bytes that a fuzzer makes up; libFuzzer, by fuzz/
    Fuzz(fuzz::Args),
    /// Start a real Gerrit on loopback and give it projects, people and changes of every kind
    Gerrit(gerrit::Args),
    /// Make the manual of docs/ with mdBook in target/book, and follow its links
    Book(book::Args),
    /// Look at the files of deploy/: units, Dockerfile, Compose, Kubernetes
    DeployCheck,
    /// Check the rules of the tree that no compiler checks
    Tidy,
    /// Check licences, banned crates and sources of all dependencies against deny.toml
    Licences,
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Setup(args) => setup::run(&args),
        Command::Test(args) => tests::run(&args),
        Command::Fixture(args) => fixture::run(&args),
        Command::Corpus(args) => corpus::run(&args),
        Command::Expect(args) => expect::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Interop(args) => interop::run(&args),
        Command::Legacy(args) => legacy::run(&args),
        Command::Pages(args) => pages::run(&args),
        Command::Api(args) => api::run(&args),
        Command::Targets(args) => targets::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Gerrit(args) => gerrit::run(&args),
        Command::Book(args) => book::run(&args),
        Command::DeployCheck => deploy::run(),
        Command::Tidy => tidy::run(),
        Command::Licences => licences::run(),
    }
}
