//! Unix, where all of it is there already.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal as Heard, SignalKind, signal};

pub(crate) use std::os::fd;
pub(crate) use std::os::unix::ffi::OsStrExt;
pub(crate) use std::os::unix::fs::FileExt;
pub(crate) use std::os::unix::process::ExitStatusExt;

pub(crate) use rustix::fs;
pub(crate) use rustix::io::Errno;
pub(crate) use rustix::process::Signal;

pub(crate) mod pipe {
    //! Our ends of pipes to commands.

    use std::io::{self, PipeReader};

    pub(crate) use tokio::net::unix::pipe::Receiver;
    #[cfg(feature = "ssh")]
    pub(crate) use tokio::net::unix::pipe::Sender;

    /// What a command may print before it waits for us, in bytes, where the system lets us say so.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const ROOM: usize = 256 << 10;

    /// Reads what comes through a pipe.
    pub(crate) fn receiver(reader: PipeReader) -> io::Result<Receiver> {
        // Without the right to more it is what it was.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _larger = rustix::pipe::fcntl_setpipe_size(&reader, ROOM);
        Receiver::from_owned_fd(reader.into())
    }

    /// Writes what goes through a pipe.
    #[cfg(feature = "ssh")]
    pub(crate) fn sender(writer: io::PipeWriter) -> io::Result<Sender> {
        Sender::from_owned_fd(writer.into())
    }
}

/// Variables of the agent's that every job has.
pub(crate) const PASSED: &[&str] = &["PATH"];
/// Between the directories of `PATH`.
pub(crate) const PATH_SEPARATOR: &str = ":";

/// Whether two names are those of one variable.
pub(crate) fn same_variable(one: &OsStr, other: &OsStr) -> bool {
    one == other
}

/// Whether this process may do everything on this machine.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What the machine calls itself.
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Leaves the session that this process was started in.
pub(crate) fn own_session() {
    // EPERM: it leads a process group, as what a shell starts does, and stays where it is.
    let _session = rustix::process::setsid();
}

/// Makes what loses its parent a child of ours. Only Linux does; elsewhere it becomes the system's, and is found by what it says that
/// it belongs to.
pub(crate) fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// How many bytes a file system has for us.
pub(crate) fn disk_free(dir: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(dir)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A path without links, as programs are given it.
pub(crate) fn canonical(path: &Path) -> io::Result<PathBuf> {
    path.canonicalize()
}

/// Makes what is created so be its owner's alone.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Lets nobody go into a directory.
pub(crate) fn lock_up(dir: &Path) -> io::Result<()> {
    std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o000))
}

/// Makes names in a directory last through a loss of power.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}

/// Whether a file is one that can be run.
pub(crate) fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).is_ok_and(|stat| stat.is_file() && stat.permissions().mode() & 0o111 != 0)
}

/// The file that a program of this name is in a directory, if there is one.
pub(crate) fn program_in(dir: &Path, name: &str, _env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let path = dir.join(name);
    is_executable(&path).then_some(path)
}

/// Starts a command in a group of its own.
pub(crate) fn own_group(command: &mut std::process::Command) -> &mut std::process::Command {
    std::os::unix::process::CommandExt::process_group(command, 0)
}

/// The orders to end that a system gives.
pub(crate) struct Ends {
    term: Heard,
    int: Heard,
}

impl Ends {
    /// Begins to listen; from now on these orders do nothing else.
    pub(crate) fn hear() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Returns what the next one is called. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
