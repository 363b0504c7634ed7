//! Kinds of machines.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::facts::Facts;
use crate::fields::Fields;
use crate::name::HostName;
use crate::pattern::{Pattern, Patterns};
use crate::source::Location;

/// Where machines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pool {
    /// Processes on the server's machine.
    Local,
    /// Machines that dial in.
    Reverse,
    /// Pods.
    Kubernetes,
    /// Virtual machines of Google's cloud.
    Gce,
    /// Virtual machines of Amazon's cloud.
    Ec2,
    /// Virtual machines on the server's machine.
    Qemu,
}

impl Pool {
    /// Gives the pool's name as it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Reverse => "reverse",
            Self::Kubernetes => "kubernetes",
            Self::Gce => "gce",
            Self::Ec2 => "ec2",
            Self::Qemu => "qemu",
        }
    }

    fn of(text: Option<&str>) -> Self {
        match text {
            Some("reverse") => Self::Reverse,
            Some("kubernetes") => Self::Kubernetes,
            Some("gce") => Self::Gce,
            Some("ec2") => Self::Ec2,
            Some("qemu") => Self::Qemu,
            _ => Self::Local,
        }
    }

    /// Tells whether each machine of the pool is made for us and deleted after us.
    #[must_use]
    pub fn makes_machines(self) -> bool {
        !matches!(self, Self::Local | Self::Reverse)
    }
}

/// Whose work a host takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Trust {
    /// Reviewed and approved work only.
    #[default]
    Trusted,
    /// Work from unreviewed changes too.
    UntrustedOk,
}

/// What separates a job from the machine it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Nothing.
    None,
    /// Namespaces of the kernel.
    Namespaces,
    /// A machine of its own.
    Vm,
}

/// What a job may use; `None` is no limit of ours.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u32>,
    /// Bytes below the work directory.
    pub disk: Option<u64>,
    /// Bytes of output.
    pub log: Option<u64>,
    /// Processors.
    pub cpu: Option<f64>,
}

impl Limits {
    pub(crate) fn read(f: Option<Fields<'_>>) -> Self {
        let Some(f) = f else { return Self::default() };
        Self {
            memory: f.size("memory"),
            processes: f.int("processes"),
            disk: f.size("disk"),
            log: f.size("log"),
            cpu: f.number("cpu"),
        }
    }

    /// Gives the lower of each limit.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        fn low<T: PartialOrd>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(if b < a { b } else { a }),
                (a, b) => a.or(b),
            }
        }
        Self {
            memory: low(self.memory, other.memory),
            processes: low(self.processes, other.processes),
            disk: low(self.disk, other.disk),
            log: low(self.log, other.log),
            cpu: low(self.cpu, other.cpu),
        }
    }
}

/// A kind of machine.
#[derive(Debug, Clone)]
pub struct Host {
    /// Its name.
    pub name: HostName,
    /// Where its machines come from.
    pub pool: Pool,
    /// Whose work it takes.
    pub trust: Trust,
    /// What separates a job from the machine.
    pub isolation: Isolation,
    /// What confined jobs see beside the system's directories.
    pub visible: Vec<String>,
    /// What `needs` of builders is matched against.
    pub labels: BTreeMap<String, String>,
    /// Variables for each job, in order, before the builder's.
    pub env: Vec<(String, String)>,
    /// Variables of the worker that a job may see.
    pub env_pass: Patterns,
    /// At most so many machines at once; `None` as many as the pool can.
    pub capacity: Option<u32>,
    /// What a job may use.
    pub limits: Limits,
    /// How many machines ought to be connected.
    pub expected: u32,
    /// Other names under which its machines may dial in.
    pub aliases: Vec<HostName>,
    /// Who looks after the machines.
    pub owners: Vec<String>,
    /// Free text for people.
    pub notes: String,
    /// Virtual machine or container image.
    pub image: Option<String>,
    /// Container that runs on a machine made from the image.
    pub container: Option<String>,
    /// The cloud's machine type.
    pub machine_type: Option<String>,
    /// More about the machine, by the pool's own names.
    pub machine: Vec<(String, String)>,
    /// Where a new machine fetches its buildlet.
    pub buildlet: Option<String>,
    /// An archive unpacked on each machine before the first step.
    pub bootstrap: Option<String>,
    /// Age at which a machine is deleted whatever it does.
    pub delete_after: Option<Duration>,
    /// Whom a person logs in as.
    pub ssh_user: Option<String>,
    /// Whether each job finds a machine as new.
    pub hermetic: bool,
    /// Whether machines are lent only to people with the right to them.
    pub restricted: bool,
    /// The oldest buildlet that may dial in.
    pub min_version: Option<u32>,
    /// Whether machines may dial in by the key of the host.
    pub keys: bool,
    /// Where it was said.
    pub at: Location,
    pub(crate) facts: Facts,
}

impl Host {
    pub(crate) fn read(name: HostName, f: Fields<'_>, at: Location, facts: Facts) -> Self {
        let pool = Pool::of(f.text("pool"));
        let env_pass = match f.node("env_pass") {
            Some(_) => f.patterns("env_pass"),
            None => Patterns::of(crate::embedded::ENV_PASS.iter().copied()).unwrap_or_default(),
        };
        Self {
            trust: match f.text("trust") {
                Some("untrusted-ok") => Trust::UntrustedOk,
                _ => Trust::Trusted,
            },
            isolation: match f.text("isolation") {
                Some("namespaces") => Isolation::Namespaces,
                Some("vm") => Isolation::Vm,
                None if pool.makes_machines() => Isolation::Vm,
                _ => Isolation::None,
            },
            visible: f.texts("visible"),
            labels: f.labels("labels"),
            env: f.vars("env"),
            env_pass,
            capacity: f.limit("capacity"),
            limits: Limits::read(f.table("limits")),
            expected: f.int("expected").unwrap_or(0),
            aliases: f.names("aliases"),
            owners: f.texts("owners"),
            notes: f.owned("notes").unwrap_or_default(),
            image: f.owned("image"),
            container: f.owned("container"),
            machine_type: f.owned("machine_type"),
            machine: f.vars("machine"),
            buildlet: f.owned("buildlet"),
            bootstrap: f.owned("bootstrap"),
            delete_after: f.duration("delete_after"),
            ssh_user: f.owned("ssh_user"),
            hermetic: f.bool("hermetic").unwrap_or(pool.makes_machines()),
            restricted: f.flag("restricted"),
            min_version: f.limit("min_version"),
            keys: f.bool("keys").unwrap_or(true),
            name,
            pool,
            at,
            facts,
        }
    }

    /// Tells whether the host has all labels that are needed; needed values may be patterns.
    #[must_use]
    pub fn serves(&self, needs: &BTreeMap<String, String>) -> bool {
        needs.iter().all(|(key, want)| {
            let pattern = want.parse::<Pattern>();
            self.labels.get(key).is_some_and(|have| have == want || pattern.is_ok_and(|p| p.matches(have)))
        })
    }
}
