//! What a seed makes of a day: hosts, limits, builders, people, and how much work comes when.

use super::random::Random;
use crate::schedule::{Class, Of};

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Some hundred builds on a few machines.
    Small,
    /// Some thousand builds on up to some hundred machines; every fiftieth seed is large.
    Mixed,
    /// Days of load, a hundred thousand builds, thousands of machines.
    Large,
}

#[derive(Debug, Clone)]
pub(super) struct PlanHost {
    pub(super) name: String,
    pub(super) capacity: u32,
    /// Its machines come by themselves.
    pub(super) fixed: bool,
}

#[derive(Debug, Clone)]
pub(super) struct PlanBuilder {
    pub(super) name: String,
    pub(super) hosts: Vec<usize>,
    pub(super) limits: Vec<usize>,
    pub(super) width: u32,
    /// How long its builds take as a rule.
    pub(super) mean: i64,
}

/// Much work of one kind at once.
#[derive(Debug, Clone)]
pub(super) struct Flood {
    pub(super) at: i64,
    pub(super) builds: usize,
    pub(super) builder: usize,
    pub(super) class: Class,
    /// Always this repo, or always this user.
    pub(super) by: (Of, usize),
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) hosts: Vec<PlanHost>,
    pub(super) limits: Vec<(String, u32)>,
    pub(super) quotas: Vec<(Of, Option<usize>, u32)>,
    pub(super) builders: Vec<PlanBuilder>,
    pub(super) repos: usize,
    pub(super) users: usize,
    /// Builds that come one by one, and over how long.
    pub(super) builds: usize,
    pub(super) span: i64,
    pub(super) floods: Vec<Flood>,
    /// When the coordinator is killed.
    pub(super) kills: Vec<i64>,
    /// One machine in so many can't be made, dies with a build, is set aside after one.
    pub(super) refused: u64,
    pub(super) dies: u64,
    pub(super) aside: u64,
    /// One build in so many is cancelled.
    pub(super) cancelled: u64,
    pub(super) random: Random,
}

impl Plan {
    pub(super) fn new(seed: u64, size: Size) -> Plan {
        let mut random = Random::new(seed);
        let r = &mut random;
        let large = size == Size::Large || size == Size::Mixed && seed.is_multiple_of(50);
        let (most_hosts, most_machines, builds) = match (size, large) {
            (_, true) => (12, 400, r.range(20_000, 30_000)),
            (Size::Small, _) => (4, 6, r.range(150, 400)),
            _ => (7, 30, r.range(800, 3000)),
        };
        let builds = if size == Size::Large { 100_000 } else { builds } as usize;
        let hosts: Vec<PlanHost> = (0..r.range(2, most_hosts))
            .map(|n| PlanHost {
                name: format!("host{n}"),
                capacity: r.range(if large { 50 } else { 1 }, most_machines) as u32,
                fixed: r.one_in(4),
            })
            .collect();
        let limits: Vec<_> =
            (0..r.below(4)).map(|n| (format!("limit{n}"), r.range(1, most_machines) as u32)).collect();
        let quotas = (0..r.below(3))
            .map(|_| {
                let of = if r.one_in(2) { Of::Repo } else { Of::User };
                let whose = r.one_in(3).then(|| r.below(3) as usize);
                (of, whose, r.range(1, most_machines) as u32)
            })
            .collect();
        let builders: Vec<_> = (0..r.range(3, 3 + 2 * most_hosts))
            .map(|n| {
                let mut of_it: Vec<usize> =
                    (0..r.range(1, 3)).map(|_| r.below(hosts.len() as u64) as usize).collect();
                if r.one_in(2) {
                    of_it.truncate(1);
                }
                of_it.dedup();
                let limited: Vec<usize> = (0..limits.len()).filter(|_| r.one_in(3)).collect();
                let width = if !limited.is_empty() && r.one_in(4) { r.range(2, 5) as u32 } else { 1 };
                let mean = MINUTE * r.range(1, 20);
                PlanBuilder { name: format!("builder{n}"), hosts: of_it, limits: limited, width, mean }
            })
            .collect();
        let machines: i64 = hosts.iter().map(|host| i64::from(host.capacity)).sum();
        let mean = builders.iter().map(|builder| builder.mean).sum::<i64>() / builders.len() as i64;
        // Between half of what the machines can do and rather more than it.
        let span = (builds as i64 * mean / machines * r.range(70, 200) / 100).clamp(HOUR, 5 * 24 * HOUR);
        let floods = (0..r.range(0, 3))
            .map(|_| Flood {
                at: r.range(0, span / 2),
                builds: r.range(builds as i64 / 20, builds as i64 / 4) as usize,
                builder: r.below(builders.len() as u64) as usize,
                class: Class::ALL[r.below(Class::ALL.len() as u64) as usize],
                by: if r.one_in(2) { (Of::Repo, 0) } else { (Of::User, 0) },
            })
            .collect();
        let kills = (0..r.below(3)).map(|_| r.range(0, span)).collect();
        Plan {
            seed,
            hosts,
            limits,
            quotas,
            builders,
            repos: r.range(2, 8) as usize,
            users: r.range(2, 12) as usize,
            builds,
            span,
            floods,
            kills,
            refused: [4, 20, 1_000_000][r.below(3) as usize],
            dies: [20, 200, 1_000_000][r.below(3) as usize],
            aside: [50, 1_000_000][r.below(2) as usize],
            cancelled: [5, 30, 1_000_000][r.below(3) as usize],
            random,
        }
    }
}
