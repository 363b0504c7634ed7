//! Setting a process apart on Unix, and becoming the command.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::Command;

use rustix::fs::Mode;
#[cfg(target_os = "linux")]
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Resource, Rlimit, setrlimit};
#[cfg(target_os = "linux")]
use rustix::thread::{UnshareFlags, unshare_unsafe};

#[cfg(target_os = "linux")]
use super::SHM;
use super::Setup;

/// Gives the helper its name in lists of processes.
pub(super) fn named(command: &mut Command) -> &mut Command {
    command.arg0("buildlet")
}

/// Sets this process apart.
pub(super) fn enter(setup: &Setup) -> io::Result<()> {
    // Fails only if we lead a group already, which the agent never arranges.
    rustix::process::setsid()?;
    if setup.terminal {
        rustix::process::ioctl_tiocsctty(io::stdin())?;
    }
    for cgroup in &setup.cgroups {
        crate::exec::cgroup::set(cgroup, "0")?;
    }
    if let Some(bytes) = setup.file_size {
        setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), maximum: Some(bytes) })?;
    }
    if let Some(processes) = setup.processes {
        setrlimit(Resource::Nproc, Rlimit { current: Some(processes), maximum: Some(processes) })?;
    }
    if setup.namespaces {
        own_mounts(setup.user.is_some())?;
    }
    super::keys::own_session(setup.user.is_some())?;
    if let Some(user) = &setup.user {
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
        crate::user::give_up(user)?;
    }
    if let Some(dir) = &setup.dir {
        std::env::set_current_dir(dir).map_err(|error| {
            io::Error::new(error.kind(), format!("chdir {}: {}", dir.display(), words(&error)))
        })?;
    }
    Ok(())
}

/// What Go says of an error.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(not(target_os = "linux"))]
fn own_mounts(_ipc: bool) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(target_os = "linux")]
fn own_mounts(ipc: bool) -> io::Result<()> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let root = rustix::process::geteuid().is_root();
    let mut flags = if root { UnshareFlags::NEWNS } else { UnshareFlags::NEWNS | UnshareFlags::NEWUSER };
    // What one job keeps in the kernel's shared memory is then nobody else's, and goes with its last process.
    flags.set(UnshareFlags::NEWIPC, ipc);
    unshare(flags)?;
    if !root {
        std::fs::write("/proc/self/setgroups", "deny")?;
        std::fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        std::fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
    }
    mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    if Path::new(SHM).is_dir() {
        mount("tmpfs", SHM, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, c"mode=1777")?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the only way into a namespace")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: the function's one condition is about `FILES`, which neither caller's flags contain: descriptors
    // stay shared as they are. The helper has a single thread besides.
    unsafe { unshare_unsafe(flags) }?;
    Ok(())
}

/// Becomes the command; returns only if it could not.
pub(super) fn become_command(argv: &[OsString]) -> io::Result<()> {
    let (program, args) =
        argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "exec: no command"))?;
    let error = Command::new(program).args(args).exec();
    let name = program.to_string_lossy();
    let text = match error.kind() {
        io::ErrorKind::NotFound if !name.contains('/') => {
            format!("exec: {name:?}: executable file not found in $PATH")
        }
        io::ErrorKind::NotFound => format!("fork/exec {name}: no such file or directory"),
        io::ErrorKind::PermissionDenied => format!("fork/exec {name}: permission denied"),
        _ => format!("fork/exec {name}: {error}"),
    };
    Err(io::Error::new(error.kind(), text))
}

/// Standard output without a buffer that looks for ends of lines.
#[cfg(feature = "ssh")]
pub(super) fn own_stdout() -> io::Result<std::fs::File> {
    use std::os::fd::AsFd as _;
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}
