//! The root that a confined agent has: what is listed here, and nothing else of the machine.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change, mount_remount,
};

use super::Plan;

/// What a system's programs consist of. Those that are not there are left out.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
    "/sys",
];
/// Devices that are no way to anything.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// Mounts it in the directory that the plan names. All but `/proc`, which belongs to a process inside.
pub(super) fn build(plan: &Plan<'_>) -> io::Result<()> {
    let root = plan.root();
    step(
        "keeping mounts to itself",
        mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE),
    )?;
    step("a new root", mount("tmpfs", &root, "tmpfs", QUIET, c"mode=0755,size=16m"))?;
    let root = Root { at: std::fs::canonicalize(&root)? };
    for dir in SYSTEM {
        root.system(Path::new(dir))?;
    }
    for name in ["proc", "dev", "tmp", "var", "run"] {
        std::fs::create_dir(root.at.join(name))?;
    }
    root.devices()?;
    let mut writable = vec![root.at.join("dev")];
    let tmp = std::fs::canonicalize(plan.tmp())?;
    std::fs::set_permissions(&tmp, std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
    for name in ["tmp", "var/tmp"] {
        let target = root.at.join(name);
        std::fs::create_dir_all(&target)?;
        step("/tmp", mount_bind(&tmp, &target))?;
        writable.push(target);
    }
    // Often a link to where a service of the system keeps it.
    root.show(Path::new("/etc/resolv.conf"))?;
    let programs = std::env::var_os("PATH").unwrap_or_default();
    let shown: Vec<PathBuf> = std::env::split_paths(&programs).chain(plan.show.iter().cloned()).collect();
    // What is named itself is shown though it lies in what is hidden; what it lies in stays hidden.
    let in_hidden = |path: &Path| plan.hide.iter().any(|hidden| path != hidden && path.starts_with(hidden));
    for path in shown.iter().filter(|path| !in_hidden(path)) {
        root.show(path)?;
    }
    // Its groups are the server's: whoever may write there could move processes that are not its own.
    root.hide(Path::new("/sys/fs/cgroup"))?;
    for path in plan.hide {
        root.hide(path)?;
    }
    for path in shown.iter().filter(|path| in_hidden(path)) {
        root.show(path)?;
    }
    for path in &plan.own {
        writable.push(root.place(path, true)?);
    }
    root.close(&writable)
}

struct Root {
    at: PathBuf,
}

impl Root {
    fn inside(&self, path: &Path) -> PathBuf {
        self.at.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A directory of the system: as it is, or as the link that it is.
    fn system(&self, dir: &Path) -> io::Result<()> {
        let Ok(found) = dir.symlink_metadata() else { return Ok(()) };
        if found.is_symlink() {
            let to = std::fs::read_link(dir)?;
            // An absolute one would lead out of the new root for as long as we are not in it.
            return symlink(to.strip_prefix("/").unwrap_or(&to), self.inside(dir));
        }
        self.bind(dir, false)
    }

    fn bind(&self, path: &Path, alone: bool) -> io::Result<()> {
        let target = self.inside(path);
        if path.is_dir() {
            std::fs::create_dir_all(&target)?;
        } else {
            if let Some(parent) = target.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::File::create(&target)?;
        }
        let bound = if alone { mount_bind(path, &target) } else { mount_bind_recursive(path, &target) };
        step(&format!("showing {}", path.display()), bound)
    }

    /// What is wanted beside: nothing if it is there already, or not at all.
    fn show(&self, path: &Path) -> io::Result<()> {
        if !path.is_absolute() || !path.exists() { Ok(()) } else { self.place(path, false).map(drop) }
    }

    /// Has a path lead where it leads outside. Returns the place in the new root.
    fn place(&self, path: &Path, own: bool) -> io::Result<PathBuf> {
        let real = std::fs::canonicalize(path)?;
        let target = self.inside(&real);
        if own || !target.exists() {
            self.bind(&real, own)?;
        }
        let named = self.inside(path);
        if real != path && named.symlink_metadata().is_err() {
            if let Some(parent) = named.parent() {
                std::fs::create_dir_all(parent)?;
            }
            symlink(&real, named)?;
        }
        Ok(target)
    }

    fn hide(&self, path: &Path) -> io::Result<()> {
        let Ok(real) = std::fs::canonicalize(path) else { return Ok(()) };
        let target = self.inside(&real);
        if !target.exists() {
            return Ok(());
        }
        let hidden = if real.is_dir() {
            mount("tmpfs", &target, "tmpfs", QUIET | MountFlags::NOEXEC, c"mode=0755,size=1m")
        } else {
            mount_bind("/dev/null", &target)
        };
        step(&format!("hiding {}", real.display()), hidden)
    }

    fn devices(&self) -> io::Result<()> {
        let dev = self.at.join("dev");
        for name in DEVICES {
            let (from, to) = (Path::new("/dev").join(name), dev.join(name));
            if from.exists() {
                std::fs::File::create(&to)?;
                step(&format!("/dev/{name}"), mount_bind(&from, &to))?;
            }
        }
        for (name, to) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")] {
            symlink(Path::new("/proc/self").join(to), dev.join(name))?;
        }
        symlink("pts/ptmx", dev.join("ptmx"))?;
        for name in ["shm", "pts"] {
            std::fs::create_dir(dev.join(name))?;
        }
        step("/dev/shm", mount("tmpfs", dev.join("shm"), "tmpfs", QUIET, c"mode=1777"))?;
        let terminals = MountFlags::NOSUID | MountFlags::NOEXEC;
        step(
            "/dev/pts",
            mount("devpts", dev.join("pts"), "devpts", terminals, c"newinstance,ptmxmode=0666,mode=0620"),
        )
    }

    /// Lets nothing be written but what lies in these.
    fn close(&self, writable: &[PathBuf]) -> io::Result<()> {
        let table = std::fs::read_to_string("/proc/self/mountinfo")?;
        for (at, flags) in table.lines().filter_map(mounted) {
            if at.starts_with(&self.at) && !writable.iter().any(|own| at.starts_with(own)) {
                match mount_remount(&at, flags | MountFlags::BIND | MountFlags::RDONLY, c"") {
                    // Something that is hidden is above it: no name leads there.
                    Err(Errno::NOENT | Errno::INVAL) => {}
                    done => step(&format!("{} read-only", at.display()), done)?,
                }
            }
        }
        Ok(())
    }
}

/// A line of `mountinfo` (proc(5)): where it is mounted, and what of that must stay when it is mounted anew.
fn mounted(line: &str) -> Option<(PathBuf, MountFlags)> {
    let mut fields = line.split(' ');
    let (at, options) = (fields.nth(4)?, fields.next()?);
    let flags = options.split(',').fold(MountFlags::empty(), |flags, option| {
        flags
            | match option {
                "nosuid" => MountFlags::NOSUID,
                "nodev" => MountFlags::NODEV,
                "noexec" => MountFlags::NOEXEC,
                "noatime" => MountFlags::NOATIME,
                "nodiratime" => MountFlags::NODIRATIME,
                "relatime" => MountFlags::RELATIME,
                _ => MountFlags::empty(),
            }
    });
    Some((unescaped(at), flags))
}

/// A name as `mountinfo` writes it: blanks, tabs, ends of lines and backslashes by three octal digits.
fn unescaped(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    let bytes = text.as_bytes();
    let mut read = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let octal = (*byte == b'\\').then(|| text.get(at + 1..at + 4)).flatten();
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                read.push(byte);
                at += 4;
            }
            None => {
                read.push(*byte);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(read))
}

fn step(what: &str, done: rustix::io::Result<()>) -> io::Result<()> {
    done.map_err(|error| io::Error::new(error.kind(), format!("{what}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read_with_what_must_stay() {
        let line = r"36 35 98:0 /mnt1 /mnt\040two\134x rw,noatime,nosuid,nodev shared:1 - ext3 /dev/root rw,errors=continue";
        let (at, flags) = mounted(line).unwrap();
        assert_eq!(at, Path::new(r"/mnt two\x"));
        assert_eq!(flags, MountFlags::NOATIME | MountFlags::NOSUID | MountFlags::NODEV);
        assert!(mounted("36 35").is_none());
        assert_eq!(unescaped(r"/a\9é\04"), Path::new(r"/a\9é\04"));
    }
}
