//! `bellwether-query`; `bellwether query` runs it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use bellwether_query::args::Args;
use bellwether_query::run::run;
use clap::Parser as _;

/// As of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => {
            eprintln!("bellwether-query: no threads: {why}");
            return ExitCode::FAILURE;
        }
    };
    // The first one ends the query and puts its temporary files away, as soon as it comes to that; the second does not wait.
    runtime.spawn(async {
        for _ in 0..2 {
            if tokio::signal::ctrl_c().await.is_err() {
                return;
            }
        }
        std::process::exit(INTERRUPTED.into());
    });
    let code = runtime.block_on(async {
        tokio::select! {
            done = run(args) => match done {
                Ok(code) => code,
                Err(why) => {
                    eprintln!("bellwether-query: {why}");
                    ExitCode::FAILURE
                }
            },
            _ = tokio::signal::ctrl_c() => ExitCode::from(INTERRUPTED),
        }
    });
    // What was begun and is not waited for, such as a replay, ends with this process.
    runtime.shutdown_background();
    code
}
