//! From arguments to a running agent.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crate::agent::Agent;
use crate::args::{Args, Helper, Listen};
use crate::check;
use crate::confine;
use crate::keep;
use crate::listen::{self, ListenError, Plan};
use crate::metadata::{self, Metadata};
use crate::original;
use crate::reverse::{self, Reverse};
use crate::sandbox;
use crate::server::{self, Health, Source};

/// Runs the sandbox helper if that is what this process was started as, before any other work.
///
/// `prefix` is the number of arguments between the program's name and the agent's own: 0 for the small binary,
/// 1 for a host whose first argument names the agent. Calling it is optional and saves time on each command.
pub fn early(prefix: usize) -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1 + prefix);
    if args.next()? == sandbox::COMMAND { Some(sandbox::run(args)) } else { None }
}

/// Says which buildlet this is, as the original does.
fn version() -> String {
    let (os, arch) = original::target();
    format!(
        "buildlet version {} ({os}-{arch})\nbuilt with bellwether {}",
        crate::agent::ORIGINAL,
        env!("CARGO_PKG_VERSION")
    )
}

/// The process's arguments, with the original's way of writing a flag (`-reverse-type=x`) turned into ours, up to `--`.
pub fn arguments(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut ours = true;
    let with_two = |arg: OsString| {
        // What follows is another program's, which writes its flags as it likes.
        ours &= arg != "--";
        let bytes = arg.as_encoded_bytes();
        let long = ours
            && bytes.len() > 2
            && bytes.starts_with(b"-")
            && bytes.get(1).is_some_and(u8::is_ascii_lowercase);
        if !long {
            return arg;
        }
        let mut with_two = OsString::from("-");
        with_two.push(arg);
        with_two
    };
    args.map(with_two).collect()
}

/// Runs the agent until it is told to end, or was idle for too long; exits 1 if it could not start.
///
/// It makes its own runtime and owns this process, which must have one thread and nothing open as yet: it closes what it
/// inherited beside the standard streams, becomes the reaper of orphans and answers SIGTERM.
pub fn main(args: Args) -> ExitCode {
    match args.helper {
        Some(Helper::SandboxExec { args }) => return sandbox::run(args),
        Some(Helper::Check { args: words }) => return check::main(words, args.reexec_prefix),
        Some(Helper::RunDocker(args)) => return keep::main(keep::docker::keep(args)),
        Some(Helper::RunQemu(args)) => return keep::main(keep::qemu::keep(args)),
        None => {}
    }
    if args.version {
        // Whoever has closed its output does not want to know.
        let _told = writeln!(io::stdout(), "{}", version());
        return ExitCode::SUCCESS;
    }
    crate::descriptors::close_inherited();
    if args.own_session {
        crate::sys::own_session();
    }
    if let Some(dir) = &args.confine {
        let Some(ids) = args.confined else { return confine::outside(&args, dir) };
        if let Err(error) = confine::inside(&args, dir, ids) {
            let _lost = writeln!(io::stderr(), "buildlet: jobs can't be confined here: {error}");
            return ExitCode::FAILURE;
        }
    }
    crate::logging::begin("info,russh=error");
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
    let plan = match reverse {
        Some(_) => None,
        None => Some(listen::plan(&args, told(&args).await?).map_err(io::Error::other)?),
    };
    let health = match args.health_addr {
        Some(address) if listen::is_public(address) && !args.allow_public => {
            return Err(io::Error::other(ListenError::Public(address)));
        }
        Some(address) => Some(Health::open(address).await?),
        None => None,
    };
    if args.job_user.is_none() && is_dedicated(&args, plan.as_ref()) && crate::sys::is_root() {
        tracing::warn!(
            "jobs run as root here: they can read the key and whatever else is on this machine; \
             give them a user of their own with --job-user, or run the agent itself as one"
        );
    }
    let agent = Agent::open(&args, plan.as_ref().and_then(|plan| plan.password.clone())).await?;
    let (source, place) = match (reverse, plan) {
        (Some(settings), _) => {
            let place = format!("dials {}", settings.coordinator());
            (Source::Reverse(Reverse::start(settings, agent.instance(), Arc::clone(&agent.orders))), place)
        }
        (None, Some(plan)) => {
            warn_of(&plan);
            (Source::Listening(server::Listener::bind(&plan)?), plan.listen.to_string())
        }
        (None, None) => unreachable!("invariant: who does not dial out listens"),
    };
    tracing::info!(listen = %place, workdir = %agent.workdir().display(),
        limits = agent.table.settings.limits.name(), namespaces = agent.table.settings.namespaces,
        "buildlet is ready");
    let reason = server::serve(source, Arc::clone(&agent)).await;
    tracing::info!(reason, "buildlet ends");
    drop(health);
    agent.end_everything().await;
    Ok(())
}

/// Whether a whole machine is given to jobs: it serves others, by dialling out or on a port. A socket is for who started the agent.
pub(crate) fn is_dedicated(args: &Args, plan: Option<&Plan>) -> bool {
    args.reverse_type.is_some() || plan.is_some_and(|plan| matches!(plan.listen, Listen::Tcp(_)))
}

/// What the machine was told, with what the operator says by flags before it. A socket in a directory of one's own needs no
/// password, so for it only the flags count.
pub(crate) async fn told(args: &Args) -> io::Result<Metadata> {
    let mut told = match args.listen {
        Listen::Unix(_) => Metadata::default(),
        Listen::Auto | Listen::Tcp(_) => {
            metadata::find(args.metadata, &|name| std::env::var_os(name)).await.map_err(io::Error::other)?
        }
    };
    let read = |flag: &str, file: &Path| {
        let text = std::fs::read_to_string(file);
        text.map_err(|error| io::Error::other(format!("{flag} {} can't be read: {error}", file.display())))
    };
    if let Some(file) = &args.password_file {
        let password = read("--password-file", file)?.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() {
            let text = format!("there is no password in --password-file {}", file.display());
            return Err(io::Error::other(text));
        }
        told.password = Some(password);
    }
    if args.tls_cert.is_some() || args.tls_key.is_some() {
        told.tls_cert = args.tls_cert.as_deref().map(|file| read("--tls-cert", file)).transpose()?;
        told.tls_key = args.tls_key.as_deref().map(|file| read("--tls-key", file)).transpose()?;
    }
    Ok(told)
}

/// Says aloud what the operator has allowed.
fn warn_of(plan: &Plan) {
    let Listen::Tcp(address) = plan.listen else { return };
    if plan.password.is_none() {
        tracing::warn!(%address, "no password: whoever reaches this port can run commands here");
    }
    if listen::is_public(address) && plan.identity.is_none() {
        tracing::warn!(%address, "no TLS: what is said on this port, the password too, can be read on its way");
    }
}
