//! From arguments to a running agent.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use tracing_subscriber::EnvFilter;

use crate::agent::Agent;
use crate::args::{Args, Helper};
use crate::reverse::{self, Reverse};
use crate::sandbox;
use crate::server::{self, Source};

/// Runs the sandbox helper if that is what this process was started as, before any other work.
///
/// `prefix` is the number of arguments between the program's name and the agent's own: 0 for the small binary,
/// 1 for a host whose first argument names the agent. Calling it is optional and saves time on each command.
pub fn early(prefix: usize) -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1 + prefix);
    if args.next()? == sandbox::COMMAND { Some(sandbox::run(args)) } else { None }
}

/// Runs the agent until it is told to end, or was idle for too long; exits 1 if it could not start.
///
/// It makes its own runtime and owns this process, which must have one thread and nothing open as yet: it closes what it
/// inherited beside the standard streams, becomes the reaper of orphans and answers SIGTERM.
pub fn main(args: Args) -> ExitCode {
    if let Some(Helper::SandboxExec { args }) = args.helper {
        return sandbox::run(args);
    }
    crate::descriptors::close_inherited();
    if args.own_session {
        // EPERM: it leads a process group, as what a shell starts does, and stays where it is.
        let _session = rustix::process::setsid();
    }
    let filter = EnvFilter::try_from_env("BELLWETHER_LOG").unwrap_or_else(|_unset| EnvFilter::new("info"));
    // A line that can't be written (the disk that stderr leads to is full) is lost; told of on stderr, it would be a panic.
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    // A host may have set its own already.
    let _set = logs.try_init();
    let result =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build().and_then(
            |runtime| {
                let result = runtime.block_on(run(args));
                runtime.shutdown_background();
                result
            },
        );
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the agent could not run");
            let _lost = writeln!(io::stderr(), "buildlet: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> io::Result<()> {
    // Before the directories are taken over: what is wrong in the arguments changes nothing.
    let reverse = reverse::Settings::of(&args).map_err(io::Error::other)?;
    let agent = Agent::open(&args).await?;
    let (source, place) = match reverse {
        Some(settings) => {
            let place = format!("dials {}", settings.coordinator());
            (Source::Reverse(Reverse::start(settings, agent.instance())), place)
        }
        None => (Source::Listening(server::Listener::bind(&args.listen, &agent)?), args.listen.to_string()),
    };
    tracing::info!(listen = %place, workdir = %agent.workdir().display(),
        limits = agent.table.settings.limits.name(), namespaces = agent.table.settings.namespaces,
        "buildlet is ready");
    let reason = server::serve(source, Arc::clone(&agent)).await;
    tracing::info!(reason, "buildlet ends");
    agent.end_everything().await;
    Ok(())
}
