//! The `bellwether` command: arguments, wiring, progress on a terminal. No rules of its own.

#[macro_use]
mod terminal;
mod api;
mod args;
mod command;
mod memory;
mod metrics;
mod server;
mod system;
#[cfg(feature = "full")]
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    // As a worker's sandbox helper this program must become the job at once, before any thread or parser.
    if let Some(code) = buildlet::early(1) {
        return code;
    }
    let cli = Cli::parse();
    if let Command::Buildlet(mut args) = cli.command {
        args.reexec_prefix = vec!["buildlet".into()];
        return buildlet::main(*args);
    }
    memory::few_arenas();
    terminal::logs(&cli);
    // Half the cores: most of what the server does is waiting, and each further thread is woken for nothing
    // (docs/benchmarks.md). What computes (git, SQLite, archives) has processes and threads of its own.
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("error: no threads could be started: {error}");
                return ExitCode::from(2);
            }
        };
    let code = match runtime.block_on(command::run(cli)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", terminal::causes(&error));
            ExitCode::from(2)
        }
    };
    // A blocking task that still runs (a copy, a wait for a process) must not hold the exit up.
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    code
}
