//! The system itself: what its kernel can do, and what this process may use of it.

use super::Finding;
use crate::agent::{probe, probe_limits};
use crate::args::Args;
use crate::exec::cgroup::Backend;
use crate::sandbox::{Reexec, Setup};

/// 256 connections, each perhaps to a command with two, and what the agent has itself.
#[cfg(unix)]
const DESCRIPTORS: u64 = 1024;
/// What a build of many files in parallel may have.
#[cfg(unix)]
const PROCESSES: u64 = 4096;

pub(super) fn look(args: &Args, reexec: &Reexec) -> Vec<Finding> {
    let mut findings = vec![kernel(), shell(std::env::var_os("PATH").as_deref())];
    findings.splice(1..1, resources());
    if args.no_kernel_help {
        findings.push(Finding::warn("limits", "held by watching, since --no-kernel-help says so"));
        return findings;
    }
    // Another name than the agent's own: one that runs must not lose its groups.
    findings.push(limits(&probe_limits(reexec, &format!("bellwether-check-{}-", std::process::id()))));
    findings.push(if probe(reexec, &Setup { namespaces: true, ..Setup::default() }) {
        Finding::ok("namespaces", "each command has mounts and a /dev/shm of its own")
    } else {
        Finding::warn(
            "namespaces",
            "commands share /dev/shm, since this kernel gives them none of their own; \
             run the agent as root, or allow user namespaces (sysctl user.max_user_namespaces)",
        )
    });
    findings
}

/// Whether the kernel has what a command can't be run without, and what makes paths safe.
#[cfg(target_os = "linux")]
fn kernel() -> Finding {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, getpid, pidfd_open};
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if !std::path::Path::new("/proc/self/stat").exists() {
        return Finding::fail("kernel", "/proc is not there; mount it: mount -t proc proc /proc");
    }
    if let Err(error) = pidfd_open(getpid(), PidfdFlags::empty()) {
        let text = format!(
            "Linux {release} has no descriptors of processes (pidfd_open: {error}), so no command can be waited for; \
             use Linux 5.3 or newer, and a container whose filter of system calls lets it through"
        );
        return Finding::fail("kernel", text);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat2(CWD, ".", flags, Mode::empty(), ResolveFlags::BENEATH) {
        Err(Errno::NOSYS) => Finding::warn(
            "kernel",
            format!(
                "Linux {release} has no openat2, so paths are walked part by part; use Linux 5.6 or newer"
            ),
        ),
        Err(Errno::PERM) => Finding::fail(
            "kernel",
            "openat2 is forbidden, without which no file can be opened safely; \
             let the filter of system calls of this container answer it, or say that there is none (ENOSYS)",
        ),
        _ => Finding::ok("kernel", format!("Linux {release}")),
    }
}

/// Whether the kernel has what a command can't be run without.
#[cfg(windows)]
fn kernel() -> Finding {
    Finding::warn("kernel", "Windows: this program was never run there, see docs/BUILDLET.md")
}

/// Whether the kernel has what a command can't be run without.
#[cfg(all(unix, not(target_os = "linux")))]
fn kernel() -> Finding {
    let name = rustix::system::uname();
    let name = format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy());
    Finding::warn("kernel", format!("{name}: this program is not tested there, see docs/BUILDLET.md"))
}

/// What this process may have of what is counted.
#[cfg(unix)]
fn resources() -> Vec<Finding> {
    use rustix::process::{Resource, getrlimit};
    vec![
        allowed("descriptors", getrlimit(Resource::Nofile).current, DESCRIPTORS, "LimitNOFILE", "ulimit -n"),
        allowed("processes", getrlimit(Resource::Nproc).current, PROCESSES, "TasksMax", "ulimit -u"),
    ]
}

/// What this process may have of what is counted; nothing is here.
#[cfg(windows)]
fn resources() -> Vec<Finding> {
    Vec::new()
}

/// Judges how much of something this process may have.
#[cfg(unix)]
fn allowed(check: &'static str, may: Option<u64>, enough: u64, unit: &str, shell: &str) -> Finding {
    match may {
        None => Finding::ok(check, "without a limit"),
        Some(may) if may >= enough => Finding::ok(check, format!("{may} are allowed")),
        Some(may) => {
            let text = format!(
                "only {may} are allowed, of which a busy machine runs out; \
                 allow {enough} or more ({unit}= in its unit of systemd, {shell} in a shell)"
            );
            if may < enough / 8 { Finding::fail(check, text) } else { Finding::warn(check, text) }
        }
    }
}

/// Whether steps of recipes find what runs them.
fn shell(path: Option<&std::ffi::OsStr>) -> Finding {
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Finding::fail(
            "path",
            "PATH is empty, which is all that jobs get of it; start the agent with one",
        );
    };
    match std::env::split_paths(path).map(|dir| dir.join("sh")).find(|sh| sh.is_file()) {
        Some(sh) => Finding::ok("path", format!("steps run by {}", sh.display())),
        None => Finding::fail(
            "path",
            format!("there is no sh in PATH ({}), which runs the steps of recipes", path.display()),
        ),
    }
}

fn limits(backend: &Backend) -> Finding {
    match backend {
        Backend::Watch => Finding::warn(
            "limits",
            "limits of memory and processes are held by looking ten times a second, since no control group can be made; \
             run the agent as root, or with Delegate=yes in its unit of systemd",
        ),
        held => Finding::ok("limits", format!("held by the kernel ({})", held.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn too_few_is_said_with_what_would_be_enough() {
        let judge = |may| allowed("descriptors", may, 1024, "LimitNOFILE", "ulimit -n");
        assert_eq!(judge(None).verdict, Verdict::Ok);
        assert_eq!(judge(Some(1024)).verdict, Verdict::Ok);
        assert_eq!(judge(Some(1023)).verdict, Verdict::Warn);
        let few = judge(Some(100));
        assert!(few.verdict == Verdict::Fail && few.said.contains("ulimit -n"), "{few}");
    }

    #[test]
    fn a_path_without_a_shell_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for (path, want) in
            [(None, Verdict::Fail), (Some(""), Verdict::Fail), (dir.path().to_str(), Verdict::Fail)]
        {
            assert_eq!(shell(path.map(std::ffi::OsStr::new)).verdict, want, "{path:?}");
        }
        std::fs::write(dir.path().join("sh"), "").unwrap();
        assert_eq!(shell(dir.path().to_str().map(std::ffi::OsStr::new)).verdict, Verdict::Ok);
    }

    #[test]
    fn limits_by_watching_are_the_second_best() {
        assert_eq!(limits(&Backend::Watch).verdict, Verdict::Warn);
        let held = Backend::V2 { base: "/sys/fs/cgroup".into(), cpu: true };
        assert_eq!(limits(&held).verdict, Verdict::Ok);
    }
}
