//! Why a build waits, in words and for programs.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use store::{BuildId, Micros};

use super::state::{Host, Item, Place, Scheduler};

/// Why a build waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Reason {
    /// It does not wait: it holds a machine.
    Running {
        /// The machine.
        worker: String,
        /// Its host.
        host: String,
    },
    /// All machines that may run it are busy, or still starting.
    Pool {
        /// The host it waits for first.
        host: String,
        /// Machines at work.
        busy: u32,
        /// Machines on their way.
        starting: u32,
        /// The most that may exist.
        capacity: u32,
        /// Machines set aside.
        set_aside: u32,
    },
    /// The pool could not make a machine.
    PoolFailed {
        /// The host.
        host: String,
        /// The pool's words.
        message: String,
    },
    /// No machine can ever run it as things are configured.
    Blocked {
        /// Why.
        message: String,
    },
    /// A named limit is used up.
    Limit {
        /// The limit's name.
        limit: String,
        /// How many may hold it.
        max: u32,
    },
    /// Something must exist first.
    Need {
        /// What.
        need: String,
    },
    /// It failed for reasons of the machines, and is tried again later.
    BackOff {
        /// When.
        until: Micros,
    },
}

/// A build's wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Why.
    pub reason: Reason,
    /// Since when for this reason.
    pub since: Micros,
    /// How many builds stand before it in the same queue.
    pub ahead: usize,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Running { worker, host } => write!(f, "runs on {worker} of host {host}"),
            Reason::Pool { host, busy, starting, capacity, set_aside } => {
                write!(f, "waits for a machine of host {host}: {busy} of {capacity} busy")?;
                if *starting > 0 {
                    write!(f, ", {starting} starting")?;
                }
                if *set_aside > 0 {
                    write!(f, ", {set_aside} set aside")?;
                }
                Ok(())
            }
            Reason::PoolFailed { host, message } => write!(f, "host {host} could make no machine: {message}"),
            Reason::Blocked { message } => write!(f, "blocked({message})"),
            Reason::Limit { limit, max } => write!(f, "limit {limit}: {max} of {max} run"),
            Reason::Need { need } => write!(f, "needs {need}"),
            Reason::BackOff { until } => {
                let until = jiff::Timestamp::from_microsecond(until.0).unwrap_or_default();
                write!(f, "backs off after a failure of the machine, until {until:.0}")
            }
        }
    }
}

impl Scheduler {
    /// Why the build waits, since when, and how many stand before it; `None` where the build is not known here.
    pub fn why(&self, build: BuildId) -> Option<Wait> {
        self.wait(build, |host, item| host.ready.range(..(item.rank, build)).count())
    }

    /// The same of everything that is queued or running, at the cost of looking at each once.
    pub fn waits(&self) -> HashMap<BuildId, Wait> {
        let mut places: HashMap<(*const Host, BuildId), usize> = HashMap::new();
        for host in self.hosts.values() {
            let ready = host.ready.iter().enumerate();
            places.extend(ready.map(|(n, (_, build))| ((std::ptr::from_ref(host), *build), n)));
        }
        let ahead = |build: BuildId| {
            let places = &places;
            move |host: &Host, _: &Item| {
                places.get(&(std::ptr::from_ref(host), build)).copied().unwrap_or_default()
            }
        };
        self.builds().filter_map(|build| Some((build, self.wait(build, ahead(build))?))).collect()
    }

    /// `before` counts the builds before this one at a host.
    fn wait(&self, build: BuildId, before: impl Fn(&Host, &Item) -> usize) -> Option<Wait> {
        let item = self.items.get(&build)?;
        let mut ahead = 0;
        let reason = match &item.place {
            Place::Running { worker, host } => {
                Reason::Running { worker: worker.to_string(), host: host.clone() }
            }
            Place::Blocked(message) => Reason::Blocked { message: message.clone() },
            Place::Delayed(until) => Reason::BackOff { until: *until },
            Place::Need(need) => Reason::Need { need: need.clone() },
            Place::Limit(limit) => {
                let max = self.limits.get(limit).and_then(|limit| limit.max).unwrap_or(0);
                Reason::Limit { limit: limit.clone(), max }
            }
            Place::Ready => {
                let queues = item.request.hosts.iter().filter_map(|name| Some((name, self.hosts.get(name)?)));
                let open = queues.clone().filter(|(_, host)| host.blocked.is_none() && host.capacity > 0);
                let counted = open.map(|(name, host)| (before(host, item), name, host));
                match counted.min_by_key(|(before, ..)| *before) {
                    Some((before, name, host)) => {
                        ahead = before;
                        match &host.failure {
                            Some((message, _)) if host.machines() == 0 => {
                                Reason::PoolFailed { host: name.clone(), message: message.clone() }
                            }
                            _ => Reason::Pool {
                                host: name.clone(),
                                busy: host.busy,
                                starting: host.starting,
                                capacity: host.capacity,
                                set_aside: host.aside,
                            },
                        }
                    }
                    None => Reason::Blocked { message: self.blocked(&item.request.hosts) },
                }
            }
        };
        Some(Wait { reason, since: item.since, ahead })
    }

    fn blocked(&self, hosts: &[String]) -> String {
        let said = hosts.iter().filter_map(|name| self.hosts.get(name)?.blocked.clone()).collect::<Vec<_>>();
        match (said.is_empty(), hosts.is_empty()) {
            (false, _) => said.join("; "),
            (true, true) => "no host matches this builder".into(),
            (true, false) => format!("no machine of host {} is allowed", hosts.join(", ")),
        }
    }
}
