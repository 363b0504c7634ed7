//! Confining the whole agent, and with it its jobs: `isolation = "namespaces"` of a host of pool `local`.
//!
//! A worker of the local pool runs beside the server, as the same user. To the kernel its jobs would be the server itself: they could
//! read its data, its secrets and the memory of its processes. So the agent goes, before it does anything else, into namespaces
//! of users, processes, mounts and System V's IPC, with a root of its own that holds what a build needs and nothing else
//! ([`Plan`] says what). Its processes see none but each other, and end with it. A server that is root gives each worker a user
//! number besides that nobody else has.
//!
//! It takes two processes. The outer one ([`outside`]) has the namespaces made, starts the agent anew as the first process of them,
//! and waits for it; the inner one ([`inside`]) takes the new root, gives up its rights and goes on as the agent. The network stays
//! the machine's: a build fetches what it needs.

mod root;

use std::io::{self, Write as _};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Signal, getgid, getuid, pivot_root, set_parent_process_death_signal};
use rustix::thread::{UnshareFlags, set_no_new_privs, unshare_unsafe};

use crate::args::{Args, Listen};
use crate::user::JobUser;

/// What a confined agent is given.
struct Plan<'a> {
    /// A directory of its own, for the mount of the new root and for `/tmp`.
    dir: &'a Path,
    /// What it may write: the work directory, the state directory, that of its socket.
    own: Vec<&'a Path>,
    /// What it sees beside the system's directories, and can't write.
    show: &'a [PathBuf],
    /// What it does not see, whatever it lies in.
    hide: &'a [PathBuf],
    /// As whom it runs, if the server is root.
    user: Option<JobUser>,
}

impl<'a> Plan<'a> {
    fn of(args: &'a Args, dir: &'a Path) -> io::Result<Self> {
        let Listen::Unix(socket) = &args.listen else {
            return Err(io::Error::other("a confined agent listens on a Unix socket: --listen unix:PATH"));
        };
        let (Some(work), Some(state), Some(sockets)) = (&args.workdir, &args.state_dir, socket.parent())
        else {
            return Err(io::Error::other(
                "a confined agent needs --workdir, --state-dir, and a socket in a directory",
            ));
        };
        let of = |uid: u32| JobUser { name: uid.to_string(), uid, gid: uid, groups: Vec::new() };
        let own = vec![work.as_path(), state.as_path(), sockets];
        Ok(Self {
            dir,
            own,
            show: &args.confine_show,
            hide: &args.confine_hide,
            user: args.confine_as.map(of),
        })
    }

    fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }
}

/// The first half, in the process that was started: makes the namespaces and the agent in them, and waits for its end.
pub(crate) fn outside(args: &Args, dir: &Path) -> ExitCode {
    match start(args, dir) {
        Ok(code) => code,
        Err(error) => {
            let _lost = writeln!(io::stderr(), "buildlet: jobs can't be confined here: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: &Args, dir: &Path) -> io::Result<ExitCode> {
    let plan = Plan::of(args, dir)?;
    if plan.user.is_some() != getuid().is_root() {
        return Err(io::Error::other("--confine-as UID is for an agent that root starts, which needs it"));
    }
    for dir in plan.own.iter().map(|dir| dir.to_path_buf()).chain([plan.root(), plan.tmp()]) {
        std::fs::create_dir_all(&dir)?;
        if let Some(user) = plan.user.as_ref().filter(|_| dir != plan.root()) {
            chown(&dir, Some(user.uid), Some(user.gid))?;
        }
    }
    let (uid, gid) = (getuid().as_raw(), getgid().as_raw());
    let spaces = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC;
    if plan.user.is_some() {
        unshare(spaces).map_err(|error| no_namespaces(&error))?;
    } else {
        unshare(spaces | UnshareFlags::NEWUSER).map_err(|error| no_namespaces(&error))?;
        // Root in here, for as long as it takes to mount things.
        map((0, uid), (0, gid))?;
    }
    root::build(&plan)?;
    // The namespace of processes is that of the next child, not ours.
    let mut child = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .args(["--confined", &format!("{uid}:{gid}")])
        // It tells it of our end. It is told by the kernel, too, but only from a moment on.
        .stdin(Stdio::piped())
        .spawn()?;
    let status = loop {
        // Not by `wait`, which would close the pipe.
        match child.try_wait()? {
            Some(status) => break status,
            None => wait_for_a_child()?,
        }
    };
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Waits until a child has ended, and leaves it to be asked how.
fn wait_for_a_child() -> io::Result<()> {
    use rustix::process::{WaitId, WaitIdOptions, waitid};
    match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The second half, in the first process of the namespaces. The caller goes on as the agent.
pub(crate) fn inside(args: &Args, dir: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    let plan = Plan::of(args, dir)?;
    let root = plan.root();
    let of =
        |what: &'static str| move |error: rustix::io::Errno| io::Error::other(format!("{what}: {error}"));
    let quiet = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", root.join("proc"), "proc", quiet, None).map_err(|error| no_proc(&error.into()))?;
    std::env::set_current_dir(&root)?;
    pivot_root(".", ".").map_err(of("the new root"))?;
    unmount(".", UnmountFlags::DETACH).map_err(of("the old root"))?;
    std::env::set_current_dir("/")?;
    match &plan.user {
        Some(user) => crate::user::give_up(user)?,
        None => {
            // As itself again, and without a right in the namespace that the mounts were made in: they can't be undone.
            unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)
                .map_err(|error| io::Error::other(format!("a second namespace: {error}")))?;
            map((uid, 0), (gid, 0))?;
            set_no_new_privs(true)?;
        }
    }
    // After the last change of rights, which makes the kernel forget it.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let stdin = io::stdin();
    let mut pipe = [PollFd::new(&stdin, PollFlags::IN)];
    if poll(&mut pipe, Some(&Timespec::default()))? != 0 {
        return Err(io::Error::other("who started it is gone"));
    }
    Ok(())
}

/// Gives this process's new namespace of users one of them: `(inside, outside)`.
fn map(uid: (u32, u32), gid: (u32, u32)) -> io::Result<()> {
    // It may be denied already, by the namespace around this one.
    let _denied = std::fs::write("/proc/self/setgroups", "deny");
    std::fs::write("/proc/self/uid_map", format!("{} {} 1", uid.0, uid.1))?;
    std::fs::write("/proc/self/gid_map", format!("{} {} 1", gid.0, gid.1))
}

#[allow(unsafe_code, reason = "the only way into a namespace")]
fn unshare(flags: UnshareFlags) -> io::Result<()> {
    debug_assert!(!flags.contains(UnshareFlags::FILES));
    // SAFETY: the function's one condition is about `FILES`, which no caller's flags contain: descriptors stay as they are. The
    // process has a single thread besides.
    unsafe { unshare_unsafe(flags) }?;
    Ok(())
}

fn no_namespaces(error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "this system does not let the server make namespaces ({error}): allow it (sysctl kernel.unprivileged_userns_clone, \
         kernel.apparmor_restrict_unprivileged_userns, user.max_user_namespaces; RestrictNamespaces and SystemCallFilter of \
         systemd), or have the host's jobs run on machines of their own"
    ))
}

fn no_proc(error: &io::Error) -> io::Error {
    io::Error::other(format!(
        "/proc can't be mounted anew ({error}): parts of it are covered here, as by ProtectKernelTunables, ProtectKernelLogs \
         or ProtectProc of systemd, or by a container; take these away from the server (docs/DEPLOYING.md)"
    ))
}
