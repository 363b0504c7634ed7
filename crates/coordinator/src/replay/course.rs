//! What a time came to: who got which machine when, and figures of it.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use store::{BuildId, WorkerId};

use crate::schedule::Class;

/// A build on a machine. Times are in microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leased {
    /// The build.
    pub build: BuildId,
    /// Which of its attempts, from 1.
    pub number: u32,
    /// Its builder.
    pub builder: String,
    /// Its repo.
    pub repo: String,
    /// Its class.
    pub class: Class,
    /// The machine's host.
    pub host: String,
    /// The machine.
    pub worker: WorkerId,
    /// When it was queued for this attempt.
    pub requested: i64,
    /// When it got the machine.
    pub leased: i64,
    /// When it ended, if it did.
    pub ended: Option<i64>,
    /// Whether how long it takes is a guess: no such attempt is recorded.
    pub guessed: bool,
}

/// A machine's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lived {
    /// Its host.
    pub host: String,
    /// When it was asked for, or came.
    pub from: i64,
    /// When it was gone, if it was.
    pub to: Option<i64>,
}

/// A build that had no machine at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The build.
    pub build: BuildId,
    /// Its builder.
    pub builder: String,
    /// Its repo.
    pub repo: String,
    /// Its class.
    pub class: Class,
    /// Since when it waits.
    pub since: i64,
    /// For what, in words.
    pub why: String,
    /// Whether it waits for ever as things are configured: no host can have it.
    pub for_ever: bool,
}

/// What a time came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Course {
    /// The first moment.
    pub begin: i64,
    /// The last.
    pub end: i64,
    /// In the order of their leases.
    pub leases: Vec<Leased>,
    /// Machines.
    pub machines: Vec<Lived>,
    /// Builds that were withdrawn while they waited, by class.
    pub withdrawn: BTreeMap<Class, usize>,
    /// What waits at the end.
    pub waiting: Vec<Waiting>,
    /// When each build was asked for first.
    pub asked: HashMap<BuildId, i64>,
}

/// Figures of a class or a host. Times are in seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Builds that got a machine.
    pub builds: usize,
    /// How often one did.
    pub leases: usize,
    /// How long one waited for its machine: of half of them not longer.
    pub queue_p50: f64,
    /// Of 95 in a hundred not longer.
    pub queue_p95: f64,
    /// From being asked for first to the end of the last attempt.
    pub answer_p50: f64,
    /// Of 95 in a hundred not longer.
    pub answer_p95: f64,
    /// Hours of machines at work.
    pub busy_hours: f64,
    /// Withdrawn while they waited.
    pub withdrawn: usize,
    /// Without a machine at the end.
    pub waiting: usize,
}

/// Figures of a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct HostFigures {
    /// As of a class; nothing that waits is of one host.
    #[serde(flatten)]
    pub figures: Figures,
    /// Hours that machines were there, at work or not.
    pub machine_hours: f64,
    /// The most machines at once.
    pub peak: usize,
}

/// What is told of a course.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Told {
    /// By class.
    pub classes: BTreeMap<Class, Figures>,
    /// By host.
    pub hosts: BTreeMap<String, HostFigures>,
    /// Attempts of which only a guess tells how long they take.
    pub guessed: usize,
    /// Builders whose builds wait for ever, with how many and why.
    pub for_ever: BTreeMap<String, (usize, String)>,
}

const SECOND: f64 = 1e6;
const HOUR: f64 = 3600.0 * SECOND;

/// The least value that so large a part of all does not exceed.
fn part(sorted: &[i64], part: f64) -> f64 {
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).map_or(0.0, |value| *value as f64 / SECOND)
}

/// `from` cut off at the beginning, in hours.
fn hours(from: i64, to: i64) -> f64 {
    (to - from).max(0) as f64 / HOUR
}

impl Leased {
    /// How long it waited, in microseconds.
    #[must_use]
    pub fn waited(&self) -> i64 {
        (self.leased - self.requested).max(0)
    }
}

impl Course {
    /// The figures from a moment on.
    #[must_use]
    pub fn told(&self, since: i64) -> Told {
        let mut told = Told::default();
        let since = since.max(self.begin);
        let (mut by_class, mut by_host) = (BTreeMap::new(), BTreeMap::new());
        for one in self.leases.iter().filter(|one| one.leased >= since) {
            by_class.entry(one.class).or_insert_with(Vec::new).push(one);
            by_host.entry(one.host.clone()).or_insert_with(Vec::new).push(one);
            told.guessed += usize::from(one.guessed);
        }
        for (class, leases) in by_class {
            told.classes.insert(class, self.figures(&leases));
        }
        for (host, leases) in by_host {
            told.hosts.insert(host, HostFigures { figures: self.figures(&leases), ..HostFigures::default() });
        }
        for (class, count) in &self.withdrawn {
            told.classes.entry(*class).or_default().withdrawn = *count;
        }
        for one in &self.waiting {
            told.classes.entry(one.class).or_default().waiting += 1;
            if one.for_ever {
                let (count, _) =
                    told.for_ever.entry(one.builder.clone()).or_insert_with(|| (0, one.why.clone()));
                *count += 1;
            }
        }
        self.machines(since, &mut told);
        told
    }

    fn figures(&self, leases: &[&Leased]) -> Figures {
        let mut waited: Vec<i64> = leases.iter().map(|one| one.waited()).collect();
        waited.sort_unstable();
        // By the last attempt of each.
        let mut ends: HashMap<BuildId, Option<i64>> = HashMap::new();
        let mut busy = 0.0;
        for one in leases {
            ends.insert(one.build, one.ended);
            busy += hours(one.leased, one.ended.unwrap_or(self.end));
        }
        let builds = ends.len();
        let answer =
            |(build, end): (BuildId, Option<i64>)| Some((end? - self.asked.get(&build).copied()?).max(0));
        let mut answers: Vec<i64> = ends.into_iter().filter_map(answer).collect();
        answers.sort_unstable();
        Figures {
            builds,
            leases: leases.len(),
            queue_p50: part(&waited, 0.5),
            queue_p95: part(&waited, 0.95),
            answer_p50: part(&answers, 0.5),
            answer_p95: part(&answers, 0.95),
            busy_hours: busy,
            withdrawn: 0,
            waiting: 0,
        }
    }

    fn machines(&self, since: i64, told: &mut Told) {
        let mut moves: BTreeMap<&str, Vec<(i64, i32)>> = BTreeMap::new();
        for one in &self.machines {
            let (from, to) = (one.from.max(since), one.to.unwrap_or(self.end));
            if to < since {
                continue;
            }
            told.hosts.entry(one.host.clone()).or_default().machine_hours += hours(from, to);
            moves.entry(&one.host).or_default().extend([(from, 1), (to, -1)]);
        }
        for (host, mut moves) in moves {
            // Of one moment, what goes goes first.
            moves.sort_unstable();
            let (mut now, mut most) = (0, 0);
            for (_, change) in moves {
                now += change;
                most = most.max(now);
            }
            told.hosts.entry(host.to_owned()).or_default().peak = usize::try_from(most).unwrap_or(0);
        }
    }
}
