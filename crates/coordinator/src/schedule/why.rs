//! Why a build waits, in words and for programs.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{BuildId, Micros};

use super::bugs::Bugs;
use super::items::{Item, Place, Slot};
use super::state::Planner;
use super::{Class, Of};
use crate::core::TurnedAway;

/// Of so many machines that are set aside it is said by whom.
const WORDS: usize = 3;

/// Why a build waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
        /// By whom, why and until when, of the first of those that somebody has set aside.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        set_aside_why: Vec<String>,
        /// Machines that can't be reached for now.
        #[serde(default)]
        away: u32,
        /// Machines that came of late and were not taken, each with why.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        turned_away: Vec<String>,
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
    /// The quota of its repo, or of who asked for it, is used up.
    Quota {
        /// `repo` or `user`.
        #[schemars(with = "String")]
        of: Of,
        /// Of which.
        name: String,
        /// How many slots they may hold.
        max: u32,
    },
    /// The free slots of a limit are put by for a wide build that has waited long.
    Reserved {
        /// The limit's name.
        limit: String,
        /// How many slots are put by.
        slots: u32,
        /// For which build.
        build: String,
    },
    /// Something must exist first.
    Need {
        /// What.
        need: String,
    },
    /// It failed for reasons of the machines, and is tried again later.
    BackOff {
        /// When.
        #[schemars(with = "i64")]
        until: Micros,
    },
}

/// A build's wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Waiting")]
pub struct Wait {
    /// Why.
    pub reason: Reason,
    /// Since when for this reason.
    #[schemars(with = "i64")]
    pub since: Micros,
    /// How many builds come before it in the same queue, as turns stand.
    pub ahead: usize,
    /// What kind of work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub class: Option<Class>,
    /// Whether it has waited so long that it was promoted: every fourth machine goes to what was.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub promoted: bool,
}

impl Wait {
    /// What is said of its turn, where there is something to say.
    #[must_use]
    pub fn turn(&self) -> Option<String> {
        let class = self.class?.as_str();
        match (&self.reason, self.promoted, self.ahead) {
            (
                Reason::Running { .. }
                | Reason::Blocked { .. }
                | Reason::BackOff { .. }
                | Reason::Need { .. },
                _,
                _,
            ) => None,
            (_, true, _) => {
                Some(format!("promoted by age: each fourth turn is of such builds (class {class})"))
            }
            (_, false, 0) => Some(format!("next of its class ({class})")),
            (_, false, ahead) => {
                Some(format!("class {class}; {ahead} before it, repos and people taking turns"))
            }
        }
    }
}

impl Reason {
    /// Its kind, as in its JSON.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Reason::Running { .. } => "running",
            Reason::Pool { .. } => "pool",
            Reason::PoolFailed { .. } => "pool_failed",
            Reason::Blocked { .. } => "blocked",
            Reason::Limit { .. } => "limit",
            Reason::Quota { .. } => "quota",
            Reason::Reserved { .. } => "reserved",
            Reason::Need { .. } => "need",
            Reason::BackOff { .. } => "back_off",
        }
    }

    /// Adds which machines of the host were turned away.
    pub(crate) fn tell_turned_away(&mut self, machines: &[TurnedAway]) {
        if let Reason::Pool { host, turned_away, .. } = self {
            let of_host = machines.iter().filter(|one| one.host == *host);
            *turned_away = of_host.map(|one| format!("{}: {}", one.name, one.reason)).collect();
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reason::Running { worker, host } => write!(f, "runs on {worker} of host {host}"),
            Reason::Pool { host, busy, starting, capacity, set_aside, set_aside_why, away, turned_away } => {
                write!(f, "waits for a machine of host {host}: ")?;
                match capacity {
                    0 => f.write_str("there is none now")?,
                    _ => write!(f, "{busy} of {capacity} busy")?,
                }
                let aside = match set_aside_why.is_empty() {
                    true => "set aside".to_owned(),
                    false => format!("set aside {}", set_aside_why.join("; ")),
                };
                let others = [(starting, "starting"), (set_aside, &*aside), (away, "away")];
                for (count, what) in others.into_iter().filter(|(count, _)| **count > 0) {
                    write!(f, ", {count} {what}")?;
                }
                if let Some(first) = turned_away.first() {
                    write!(f, ", {} turned away ({first})", turned_away.len())?;
                }
                Ok(())
            }
            Reason::PoolFailed { host, message } => write!(f, "host {host} could make no machine: {message}"),
            Reason::Blocked { message } => write!(f, "blocked({message})"),
            Reason::Limit { limit, max } => write!(f, "limit {limit}: {max} of {max} run"),
            Reason::Quota { of, name, max } => {
                write!(f, "quota of {} {name}: {max} of {max} used", of.as_str())
            }
            Reason::Reserved { limit, slots, build } => {
                write!(f, "limit {limit}: {slots} slots are put by for build {build}, which has waited long")
            }
            Reason::Need { need } => write!(f, "needs {need}"),
            Reason::BackOff { until } => {
                let until = jiff::Timestamp::from_microsecond(until.0).unwrap_or_default();
                write!(f, "backs off after a failure of the machine, until {until:.0}")
            }
        }
    }
}

impl<B: Bugs> Planner<B> {
    /// Why the build waits, since when, and how many stand before it; `None` where the build is not known here.
    pub fn why(&self, build: BuildId) -> Option<Wait> {
        let slot = self.items.slot(build)?;
        self.wait(slot, |host, item| self.hosts[host].ready.before(&self.entry(slot, item)))
    }

    /// The same of everything that is queued or running, at the cost of looking at each once.
    pub fn waits(&self) -> HashMap<BuildId, Wait> {
        let mut places: HashMap<(u32, Slot), usize> = HashMap::new();
        for (host, entry) in self.hosts.iter() {
            places.extend(entry.ready.places().map(|(slot, place)| ((host, slot), place)));
        }
        let wait = |(slot, item): (Slot, &Item)| {
            let before = |host, _: &Item| places.get(&(host, slot)).copied().unwrap_or_default();
            Some((item.build, self.wait(slot, before)?))
        };
        self.items.iter().filter_map(wait).collect()
    }

    /// `before` counts the builds before this one at a host.
    fn wait(&self, slot: Slot, before: impl Fn(u32, &Item) -> usize) -> Option<Wait> {
        let item = self.items.get(slot)?;
        let rare = self.items.rare(slot);
        let mut ahead = 0;
        let reason = match item.place {
            Place::Running => {
                let held = self.running.get(&item.build)?;
                let host = self.hosts.name(held.host).to_owned();
                Reason::Running { worker: held.worker.to_string(), host }
            }
            Place::Blocked => {
                let message = rare.and_then(|rare| rare.blocked.clone()).unwrap_or_default();
                Reason::Blocked { message }
            }
            Place::Delayed => {
                Reason::BackOff { until: rare.and_then(|rare| rare.not_before).unwrap_or_default() }
            }
            Place::Need => Reason::Need { need: rare.and_then(|rare| rare.need.clone()).unwrap_or_default() },
            Place::Limit(limit) => {
                let parked = self.limits[limit].parked(self.items.kind(item).shape);
                ahead = parked.map(|parked| parked.before(&self.entry(slot, item))).unwrap_or_default();
                self.limit_reason(limit, slot, item)
            }
            Place::Ready => {
                let hosts = &self.items.kind(item).hosts;
                let open = hosts.iter().filter(|host| self.hosts[**host].blocked.is_none());
                match open.map(|host| (before(*host, item), *host)).min_by_key(|(before, _)| *before) {
                    Some((before, number)) => {
                        ahead = before;
                        let name = self.hosts.name(number).to_owned();
                        let host = &self.hosts[number];
                        match &host.failure {
                            Some((message, _)) if host.machines() == 0 => {
                                Reason::PoolFailed { host: name, message: message.clone() }
                            }
                            _ => Reason::Pool {
                                host: name,
                                busy: host.busy,
                                starting: host.starting + host.asked,
                                capacity: host.capacity,
                                set_aside: host.aside,
                                set_aside_why: host.aside_why.values().take(WORDS).cloned().collect(),
                                away: host.away,
                                turned_away: Vec::new(),
                            },
                        }
                    }
                    None => Reason::Blocked { message: self.blocked(hosts) },
                }
            }
        };
        let class = Some(item.class());
        Some(Wait { reason, since: item.since, ahead, class, promoted: item.aged })
    }

    fn limit_reason(&self, number: u32, slot: Slot, item: &Item) -> Reason {
        let limit = &self.limits[number];
        let max = limit.max.unwrap_or(0);
        let name = match limit.quota {
            Some((of, _)) => format!("quota of {} {}", of.as_str(), self.names(item)[of as usize]),
            None => self.limits.name(number).to_owned(),
        };
        match (limit.reserved, limit.quota) {
            (Some((whose, slots)), _) if whose != slot && limit.used < max => {
                let build = self.items.get(whose).map(|item| item.build.to_string()).unwrap_or_default();
                Reason::Reserved { limit: name, slots, build }
            }
            (_, Some((of, _))) => Reason::Quota { of, name: self.names(item)[of as usize].to_owned(), max },
            (_, None) => Reason::Limit { limit: name, max },
        }
    }

    fn blocked(&self, hosts: &[u32]) -> String {
        let said = hosts.iter().filter_map(|host| self.hosts[*host].blocked.clone()).collect::<Vec<_>>();
        if said.is_empty() { "no host matches this builder".into() } else { said.join("; ") }
    }
}
