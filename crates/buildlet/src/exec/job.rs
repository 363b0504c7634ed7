//! Limits held by Windows, under the names of control groups: a job for each command, which also holds its processes together.
//!
//! A job that has all it may have makes what asks for more fail, and tells nobody. So it may have a little more than the command, and
//! who has used that is over the limit.

use std::io;
use std::path::PathBuf;

use crate::sys::process::{Job, JobLimits};
use crate::wire::Limits;

/// How many processes it may have beyond what is allowed, ours among them.
const AHEAD: u64 = 16;
/// The helper, which stays while the command runs.
const HELPER: u64 = 1;

/// How limits are held on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Backend {
    /// By a job for each command, and perhaps its share of processors too.
    Jobs { cpu: bool },
    /// By looking at the processes ten times a second.
    Watch,
}

/// The job of one command; its processes end when it is dropped.
#[derive(Debug)]
pub(crate) struct Group {
    job: Job,
    name: PathBuf,
    memory: Option<u64>,
    processes: Option<u64>,
    cpu: bool,
}

impl Backend {
    /// Finds the best that works.
    pub(crate) fn probe(prefix: &str) -> Self {
        for candidate in [Self::Jobs { cpu: true }, Self::Jobs { cpu: false }] {
            match candidate.make(&format!("{prefix}probe"), &super::to_try()) {
                Ok(_job) => return candidate,
                Err(error) => tracing::debug!(?candidate, %error, "no limits by these jobs"),
            }
        }
        Self::Watch
    }

    /// The name in the status.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Jobs { .. } => "job",
            Self::Watch => "watch",
        }
    }

    /// The same for the share of processors.
    pub(crate) fn cpu_name(&self) -> &'static str {
        match self {
            Self::Jobs { cpu: true } => "job",
            _ => "watch",
        }
    }

    /// Whether every command has one, with limits or without: nothing else holds its processes together.
    pub(crate) fn for_all(&self) -> bool {
        matches!(self, Self::Jobs { .. })
    }

    /// Makes a job with these limits; `None` where there are none.
    pub(crate) fn make(&self, name: &str, limits: &Limits) -> io::Result<Option<Group>> {
        let Self::Jobs { cpu } = *self else { return Ok(None) };
        let cpu_millis = limits.cpu_millis.filter(|_| cpu);
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
        let rate = |millis: u64| u32::try_from(millis.saturating_mul(10) / processors).unwrap_or(u32::MAX);
        let job_limits = JobLimits {
            memory_bytes: limits.memory_bytes.map(|bytes| bytes.saturating_add(bytes / 16)),
            processes: limits
                .processes
                .map(|most| u32::try_from(most.saturating_add(AHEAD)).unwrap_or(u32::MAX)),
            cpu_rate: cpu_millis.map(rate),
        };
        // Of this session alone.
        let name = PathBuf::from(format!(r"Local\{name}"));
        Ok(Some(Group {
            job: Job::make(name.as_os_str(), job_limits)?,
            name,
            memory: limits.memory_bytes,
            processes: limits.processes,
            cpu: cpu_millis.is_some(),
        }))
    }
}

impl Group {
    /// The names by which a process moves itself in.
    pub(crate) fn joins(&self) -> Vec<PathBuf> {
        vec![self.name.clone()]
    }

    /// Whether the share of processors is held.
    pub(crate) fn holds_cpu(&self) -> bool {
        self.cpu
    }

    /// Every process inside.
    pub(crate) fn pids(&self) -> Vec<i32> {
        self.job.pids().into_iter().map(u32::cast_signed).collect()
    }

    /// Which limit was hit, if any.
    pub(crate) fn breach(&self) -> Option<&'static str> {
        if self.memory.is_some_and(|most| self.peak().is_some_and(|peak| peak > most)) {
            return Some("memory");
        }
        let processes =
            self.processes.is_some_and(|most| self.job.pids().len() as u64 > most.saturating_add(HELPER));
        processes.then_some("processes")
    }

    /// The greatest memory use so far, in bytes.
    pub(crate) fn peak(&self) -> Option<u64> {
        self.job.peak()
    }
}
