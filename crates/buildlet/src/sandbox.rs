//! The helper that a command starts as: our own executable once more, which puts itself into a session, its
//! cgroups and a mount namespace with a `/dev/shm` of its own, and then becomes the command.
//!
//! It never returns to the agent's code. Its arguments are ours alone, so they are read by hand.

#[cfg_attr(not(target_os = "linux"), path = "sandbox/no_keys.rs")]
mod keys;
#[cfg(unix)]
#[path = "sandbox/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "sandbox/windows.rs"]
mod system;

use std::ffi::{CString, OsStr, OsString};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use crate::user::JobUser;
use system::{become_command, enter, named};

/// The first argument of the helper, after the host's prefix.
pub(crate) const COMMAND: &str = "sandbox-exec";
/// Where the kernel's shared memory files are; nowhere on Windows.
pub(crate) const SHM: &str = if cfg!(windows) { "" } else { "/dev/shm" };
/// Ends the name of the directory without permissions that a wipe plants.
pub(crate) const LOCKED: &str = "-locked";
/// The exit code with which the helper says that it could not become the command.
pub(crate) const FAILED: i32 = 127;

/// How a command is set up.
#[derive(Debug, Default, Clone)]
pub(crate) struct Setup {
    /// A mount namespace with a private `/dev/shm`.
    pub(crate) namespaces: bool,
    /// Files into which to write `0`.
    pub(crate) cgroups: Vec<PathBuf>,
    /// The greatest file it may write, in bytes.
    pub(crate) file_size: Option<u64>,
    /// How many processes and threads its user may have, if one is given.
    pub(crate) processes: Option<u64>,
    /// Who runs it, if not the agent's own user.
    pub(crate) user: Option<Arc<JobUser>>,
    /// Where it runs; gone into with its user's rights.
    pub(crate) dir: Option<PathBuf>,
    /// Where to leave the reason if it could not start.
    pub(crate) error_file: Option<PathBuf>,
    /// Its standard input is a terminal, which becomes that of its session; on Windows it tells of one, which the helper makes.
    pub(crate) terminal: bool,
}

/// What the helper is once it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The command that its arguments name.
    Command,
    /// The shell that its first argument names, with the line that may be the second.
    #[cfg(all(windows, feature = "ssh"))]
    Shell,
    /// The server of a file transfer on its standard streams.
    #[cfg(feature = "ssh")]
    Sftp,
}

impl Role {
    /// The argument by which the helper knows it.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Command => "--",
            #[cfg(all(windows, feature = "ssh"))]
            Self::Shell => "--shell",
            #[cfg(feature = "ssh")]
            Self::Sftp => "--sftp",
        }
    }
}

/// How this process finds its own executable again.
#[derive(Debug, Clone)]
pub(crate) struct Reexec {
    /// Arguments before ours, for a host with subcommands.
    pub(crate) prefix: Vec<OsString>,
}

impl Reexec {
    /// Returns a command that runs the helper with this set-up; the caller adds what to run.
    pub(crate) fn command(&self, setup: &Setup) -> Command {
        let mut command = Command::new(own_program());
        named(&mut command).args(&self.prefix).arg(COMMAND);
        if setup.namespaces {
            command.arg("--namespaces");
        }
        for cgroup in &setup.cgroups {
            command.arg("--cgroup").arg(cgroup);
        }
        if let Some(bytes) = setup.file_size {
            command.arg("--file-size").arg(bytes.to_string());
        }
        if let Some(processes) = setup.processes {
            command.arg("--processes").arg(processes.to_string());
        }
        if let Some(user) = &setup.user {
            command.arg("--user").arg(user.word());
        }
        if let Some(dir) = &setup.dir {
            command.arg("--dir").arg(dir);
        }
        if let Some(file) = &setup.error_file {
            command.arg("--error-file").arg(file);
        }
        if setup.terminal {
            command.arg("--terminal");
        }
        command
    }
}

/// The file that this process runs.
pub(crate) fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        // It stays right when the file on disk is replaced.
        return "/proc/self/exe".into();
    }
    // Where it can't be told, starting anything fails with this name.
    std::env::current_exe().unwrap_or_else(|_unknown| "buildlet".into())
}

/// Runs the helper; `args` are those after [`COMMAND`]. Returns only if it did not become another program.
pub(crate) fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    // The agent's own are closed on exec; what somebody gave it is no job's business.
    crate::descriptors::close_inherited();
    let mut args = args.into_iter();
    let mut setup = Setup::default();
    let mut action = None;
    let mut readable = true;
    while let Some(arg) = args.next() {
        match arg.to_str() {
            Some("--namespaces") => setup.namespaces = true,
            Some("--cgroup") => setup.cgroups.extend(args.next().map(PathBuf::from)),
            Some("--file-size") => setup.file_size = args.next().and_then(|n| n.to_str()?.parse().ok()),
            Some("--terminal") => setup.terminal = true,
            Some("--processes") => setup.processes = args.next().and_then(|n| n.to_str()?.parse().ok()),
            Some("--user") => {
                let user = args.next().and_then(|word| JobUser::from_word(word.to_str()?));
                // Going on as root would be the one thing that must not happen.
                readable = user.is_some();
                setup.user = user.map(Arc::new);
            }
            Some("--dir") => setup.dir = args.next().map(PathBuf::from),
            Some("--error-file") => setup.error_file = args.next().map(PathBuf::from),
            _ => {
                action = Some(arg);
                break;
            }
        }
    }
    let rest: Vec<OsString> = args.collect();
    if !readable {
        eprintln!("sandbox: --user can't be read");
        return ExitCode::from(FAILED.unsigned_abs() as u8);
    }
    // As a job's user it could not be made any more.
    let early = setup.user.as_ref().and(setup.error_file.as_ref()).map(std::fs::File::create);
    let ready = if action.as_deref() == Some(OsStr::new("--look")) { wait_for_word() } else { Ok(()) };
    let result =
        ready.and_then(|()| enter(&setup)).and_then(|()| match action.as_deref().and_then(OsStr::to_str) {
            Some("--") => become_command(&rest),
            Some("--probe") => Ok(()),
            #[cfg(all(windows, feature = "ssh"))]
            Some("--shell") => system::become_shell(&setup, &rest),
            #[cfg(feature = "ssh")]
            Some("--sftp") => crate::ssh::sftp::serve(io::stdin().lock(), system::own_stdout()?),
            Some("--plant") => plant(&rest, setup.user.is_some()),
            Some("--forget") => {
                let canary = rest.first().ok_or(io::ErrorKind::InvalidInput)?;
                println!("{}", if keys::forget(&key_name(canary)?)? { "gone" } else { "there" });
                Ok(())
            }
            Some("--look") => {
                let canary = rest.first().ok_or(io::ErrorKind::InvalidInput)?;
                println!("{}", if Path::new(SHM).join(canary).exists() { "there" } else { "gone" });
                Ok(())
            }
            Some("--linger") => linger(),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "no action")),
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            match (early, &setup.error_file) {
                (Some(Ok(mut file)), _) => drop(file.write_all(error.to_string().as_bytes())),
                (None, Some(file)) => drop(std::fs::write(file, error.to_string())),
                (_, _) => eprintln!("sandbox: {error}"),
            }
            ExitCode::from(FAILED.unsigned_abs() as u8)
        }
    }
}

/// Leaves behind what a careless job leaves behind, as a job: a file (its name is the first argument) in every
/// place (the others) and in `/dev/shm`, one in a directory without permissions in the first of them, a process in a session of its
/// own, whose pid is printed, and, if jobs have a user of their own, a key that is kept for that user.
fn plant(args: &[OsString], user: bool) -> io::Result<()> {
    let (canary, places) = args.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    if user {
        keys::plant(&key_name(canary)?)?;
    }
    for place in places.iter().map(Path::new).chain([Path::new(SHM)]) {
        if place.is_dir() {
            match std::fs::write(place.join(canary), b"planted by a wipe") {
                // A job has filled the disk; what matters is that it is emptied.
                Err(error) if crate::http::is_full(&error) => {}
                written => written?,
            }
        }
    }
    if let Some(place) = places.first() {
        // Where nobody may look, so that whoever removes it has to take the right first.
        let locked = Path::new(place).join(format!("{}{LOCKED}", canary.display()));
        let planted = std::fs::create_dir(&locked)
            .and_then(|()| std::fs::write(locked.join(canary), b"planted by a wipe"))
            .and_then(|()| crate::sys::lock_up(&locked));
        match planted {
            Err(error) if crate::http::is_full(&error) => {}
            planted => planted?,
        }
    }
    let prefix: Vec<OsString> = std::env::args_os().skip(1).take_while(|arg| arg != COMMAND).collect();
    let mut daemon = Reexec { prefix }
        .command(&Setup::default())
        .arg("--linger")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // Ours is the agent's pipe, whose end it waits for.
        .stderr(Stdio::null())
        .spawn()?;
    // It says when it is in its own session, so that the proof does not depend on luck.
    let mut byte = [0; 1];
    daemon.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?.read_exact(&mut byte)?;
    println!("{}", daemon.id());
    Ok(())
}

fn key_name(canary: &OsStr) -> io::Result<CString> {
    Ok(CString::new(canary.as_encoded_bytes())?)
}

/// Waits for a byte, so that the way here need not be gone when it counts.
fn wait_for_word() -> io::Result<()> {
    io::stdin().read_exact(&mut [0; 1])
}

fn linger() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(b".")?;
    stdout.flush()?;
    // Long after any wipe has ended it; only where the agent itself was killed in the middle of one.
    std::thread::park_timeout(std::time::Duration::from_secs(60));
    Ok(())
}
