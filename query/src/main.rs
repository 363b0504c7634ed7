//! `bellwether-query`; `bellwether query` runs it.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::thread;

use bellwether_query::args::Args;
use bellwether_query::output::tell;
use bellwether_query::run::run;
use jiff::Timestamp;

/// As of a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;
/// Bytes of the stack of the thread that parses and plans, which it does by going down into a statement, and lets go of it so.
/// They are taken of the machine only as far as they are used.
const STACK: usize = 256 << 20;
/// Of the threads that make rows, which go down into expressions.
const WORKER_STACK: usize = 64 << 20;

fn main() -> ExitCode {
    let args = Args::read(std::env::args_os(), Timestamp::now()).unwrap_or_else(|why| why.exit());
    let asked = thread::Builder::new().name("query".to_owned()).stack_size(STACK).spawn(|| answered(args));
    match asked {
        // What it panicked of it has said itself.
        Ok(asked) => asked.join().unwrap_or(ExitCode::FAILURE),
        Err(why) => no_threads(&why),
    }
}

fn no_threads(why: &std::io::Error) -> ExitCode {
    tell(&format!("bellwether-query: no threads: {why}"));
    ExitCode::FAILURE
}

fn answered(args: Args) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().thread_stack_size(WORKER_STACK).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(why) => return no_threads(&why),
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
                    tell(&format!("bellwether-query: {why}"));
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
