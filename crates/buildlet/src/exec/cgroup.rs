//! Limits held by the kernel, where it lets us: cgroup v2, or the memory and pids controllers of v1.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::wire::Limits;

/// How limits are held on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backend {
    /// One group with the controllers for memory and processes, beneath this directory, and perhaps that for processors.
    V2 { base: PathBuf, cpu: bool },
    /// One group in each hierarchy; that of processors may be absent.
    V1 { memory: PathBuf, pids: PathBuf, cpu: Option<PathBuf> },
    /// By looking at the processes ten times a second.
    Watch,
}

/// The groups of one command; removed when dropped.
#[derive(Debug)]
pub(crate) struct Group {
    version: u8,
    memory: PathBuf,
    pids: PathBuf,
    /// Where the kernel holds the share of processors, if it does.
    cpu: Option<PathBuf>,
}

/// The time in which a group may use its share of processors, in microseconds.
const PERIOD_US: u64 = 100_000;

impl Backend {
    /// Finds the best that works, by making and limiting a group.
    pub(crate) fn probe(prefix: &str) -> Self {
        let Ok(own) = fs::read_to_string("/proc/self/cgroup") else { return Self::Watch };
        let root = Path::new("/sys/fs/cgroup");
        let place = |controller: &str, mount: PathBuf| {
            let line = own.lines().find_map(|line| {
                let (_, rest) = line.split_once(':')?;
                let (names, path) = rest.split_once(':')?;
                names.split(',').any(|name| name == controller).then_some(path)
            });
            let inside = mount.join(line.unwrap_or("/").trim_start_matches('/'));
            if inside.is_dir() { inside } else { mount }
        };
        let (base, cpu) = (place("", root.to_owned()), Some(place("cpu", root.join("cpu"))));
        let (memory, pids) = (place("memory", root.join("memory")), place("pids", root.join("pids")));
        let candidates = [
            Self::V2 { base: base.clone(), cpu: true },
            Self::V2 { base, cpu: false },
            Self::V1 { memory: memory.clone(), pids: pids.clone(), cpu },
            Self::V1 { memory, pids, cpu: None },
        ];
        let limits = super::to_try();
        for candidate in candidates {
            candidate.sweep(prefix);
            match candidate.make(&format!("{prefix}probe"), &limits) {
                Ok(Some(_group)) => return candidate,
                Ok(None) => {}
                Err(error) => tracing::debug!(?candidate, %error, "no limits by these cgroups"),
            }
        }
        Self::Watch
    }

    /// The name in the status.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::V2 { .. } => "cgroup2",
            Self::V1 { .. } => "cgroup1",
            Self::Watch => "watch",
        }
    }

    /// The same for the share of processors.
    pub(crate) fn cpu_name(&self) -> &'static str {
        match self {
            Self::V2 { cpu: true, .. } => "cgroup2",
            Self::V1 { cpu: Some(_), .. } => "cgroup1",
            _ => "watch",
        }
    }

    /// Whether every command has a group, with limits or without.
    pub(crate) fn for_all(&self) -> bool {
        false
    }

    /// Removes groups that an earlier process of this agent left.
    fn sweep(&self, prefix: &str) {
        let parents: Vec<&PathBuf> = match self {
            Self::V2 { base, .. } => vec![base],
            Self::V1 { memory, pids, cpu } => [memory, pids].into_iter().chain(cpu).collect(),
            Self::Watch => Vec::new(),
        };
        for parent in parents {
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with(prefix) {
                    // Busy while a survivor is inside; the next start tries again.
                    let _removed = fs::remove_dir(entry.path());
                }
            }
        }
    }

    /// Makes a group with the limits that a group can hold; `None` where there are no groups.
    pub(crate) fn make(&self, name: &str, limits: &Limits) -> io::Result<Option<Group>> {
        let group = match self {
            Self::Watch => return Ok(None),
            Self::V2 { base, cpu } => {
                let dir = base.join(name);
                Group { version: 2, memory: dir.clone(), pids: dir.clone(), cpu: cpu.then_some(dir) }
            }
            Self::V1 { memory, pids, cpu } => {
                let cpu = cpu.as_ref().map(|cpu| cpu.join(name));
                Group { version: 1, memory: memory.join(name), pids: pids.join(name), cpu }
            }
        };
        let make = |dir: &Path| {
            // A plain directory, as the mount point of v1's hierarchies often is, takes any file and limits nothing.
            if !dir.parent().is_some_and(|parent| parent.join("cgroup.procs").exists()) {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "no cgroup file system"));
            }
            match fs::create_dir(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                _ => Ok(()),
            }
        };
        make(&group.memory)?;
        make(&group.pids)?;
        group.cpu.iter().try_for_each(|dir| make(dir))?;
        if let Some(bytes) = limits.memory_bytes {
            let file = if group.version == 2 { "memory.max" } else { "memory.limit_in_bytes" };
            set(&group.memory.join(file), &bytes.to_string())?;
            if group.version == 2 {
                // No swap: otherwise the limit only slows the command down.
                let _unless_no_swap = set(&group.memory.join("memory.swap.max"), "0");
            }
        }
        if let Some(processes) = limits.processes {
            set(&group.pids.join("pids.max"), &processes.to_string())?;
        }
        if let (Some(millis), Some(dir)) = (limits.cpu_millis, &group.cpu) {
            // The kernel takes no quota under a millisecond.
            let quota = (millis * PERIOD_US / 1000).max(1000);
            if group.version == 2 {
                set(&dir.join("cpu.max"), &format!("{quota} {PERIOD_US}"))?;
            } else {
                set(&dir.join("cpu.cfs_period_us"), &PERIOD_US.to_string())?;
                set(&dir.join("cpu.cfs_quota_us"), &quota.to_string())?;
            }
        }
        Ok(Some(group))
    }
}

impl Group {
    /// The files into which a process writes `0` to move itself in.
    pub(crate) fn joins(&self) -> Vec<PathBuf> {
        self.dirs().into_iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    /// Its directories, each once.
    fn dirs(&self) -> Vec<&PathBuf> {
        let mut dirs = vec![&self.memory];
        for dir in [&self.pids].into_iter().chain(&self.cpu) {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        dirs
    }

    /// Whether the kernel holds the share of processors.
    pub(crate) fn holds_cpu(&self) -> bool {
        self.cpu.is_some()
    }

    /// Every process inside.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let text = fs::read_to_string(self.pids.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Which limit was hit, if any.
    pub(crate) fn breach(&self) -> Option<&'static str> {
        let events = if self.version == 2 { "memory.events" } else { "memory.oom_control" };
        if counter(&self.memory.join(events), "oom_kill") > 0 {
            return Some("memory");
        }
        (counter(&self.pids.join("pids.events"), "max") > 0).then_some("processes")
    }

    /// The greatest memory use so far, in bytes.
    pub(crate) fn peak(&self) -> Option<u64> {
        let file = if self.version == 2 { "memory.peak" } else { "memory.max_usage_in_bytes" };
        fs::read_to_string(self.memory.join(file)).ok()?.trim().parse().ok()
    }
}

/// Writes into a file of the kernel's; never makes one.
pub(crate) fn set(file: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

fn counter(file: &Path, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok()).unwrap_or(0)
}

impl Drop for Group {
    fn drop(&mut self) {
        for dir in self.dirs() {
            if let Err(error) = fs::remove_dir(dir)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(dir = %dir.display(), %error, "cgroup stays behind until the next start");
            }
        }
    }
}
