//! When what waits for a machine may start: a pure function of what runs, what waits, and how long each takes as a rule.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use store::{BuildId, Micros};

use crate::core::Status;
use crate::schedule::Reason;

/// The end of what nothing is known of.
const NEVER: i64 = i64::MAX;

/// Says when each build that waits for a machine may be expected to start, if what runs and what is ahead of it takes as
/// long as `usual` tells (of a builder and a repo, in milliseconds). A build that is not in the answer waits for something
/// else, or nothing is known of what it waits for.
///
/// A build that may run on several hosts is looked for at the one where it is nearest, so it may come sooner.
pub(crate) fn expected_starts(
    now: Micros,
    status: &Status,
    usual: impl Fn(&str, &str) -> Option<u64>,
) -> HashMap<BuildId, Micros> {
    let micros = |builder: &str, repo: &str| {
        let ms = i64::try_from(usual(builder, repo)?).ok()?;
        Some(ms.saturating_mul(1000))
    };
    let host_of: HashMap<_, _> =
        status.workers.iter().map(|worker| (worker.worker, worker.host.as_str())).collect();
    let mut ends: HashMap<&str, Vec<i64>> = HashMap::new();
    for running in &status.running {
        let Some(host) = host_of.get(&running.worker) else { continue };
        let usual = micros(&running.builder, &running.repo);
        // What takes longer than it does as a rule may end at any moment.
        let end = usual.map_or(NEVER, |usual| running.started.0.saturating_add(usual).max(now.0));
        ends.entry(host).or_default().push(end);
    }
    let mut machines: HashMap<&str, BinaryHeap<Reverse<i64>>> = HashMap::new();
    let mut starts = HashMap::new();
    let mut queued: Vec<_> = status.queued.iter().collect();
    queued.sort_by_key(|waiting| (waiting.wait.ahead, waiting.build));
    let waiting = queued.len();
    for one in queued {
        let until = match &one.wait.reason {
            Reason::BackOff { until } => {
                starts.insert(one.build, *until);
                continue;
            }
            Reason::Pool { host, capacity, .. } => {
                let free = machines.entry(host.as_str()).or_insert_with(|| {
                    let busy = ends.get(host.as_str()).map(Vec::as_slice).unwrap_or_default();
                    // A machine that is set aside takes no place.
                    let idle = (*capacity as usize).saturating_sub(busy.len()).min(waiting);
                    busy.iter().copied().chain(std::iter::repeat_n(now.0, idle)).map(Reverse).collect()
                });
                let Some(Reverse(until)) = free.pop() else { continue };
                let usual = micros(&one.builder, &one.repo).filter(|_| until != NEVER);
                free.push(Reverse(usual.map_or(NEVER, |usual| until.saturating_add(usual))));
                until
            }
            _ => continue,
        };
        if until != NEVER {
            starts.insert(one.build, Micros(until));
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use store::WorkerId;

    use super::*;
    use crate::core::{RunningBuild, WaitingBuild, WorkerStatus};
    use crate::schedule::Wait;

    fn build(n: u8) -> BuildId {
        BuildId::new(Micros(i64::from(n)), &mut |to| to.fill(n))
    }

    fn worker(n: u8) -> WorkerId {
        WorkerId::new(Micros(i64::from(n)), &mut |to| to.fill(n))
    }

    fn runs(n: u8, builder: &str, started: i64) -> RunningBuild {
        let (repo, revision) = ("r".into(), String::new());
        RunningBuild {
            build: build(n),
            builder: builder.into(),
            repo,
            revision,
            worker: worker(n),
            started: Micros(started),
        }
    }

    fn waits(n: u8, builder: &str, ahead: usize, reason: Reason) -> WaitingBuild {
        let wait = Wait { reason, since: Micros(0), ahead, class: None, promoted: false };
        let (repo, revision, reason) = ("r".into(), String::new(), String::new());
        WaitingBuild {
            build: build(n),
            builder: builder.into(),
            repo,
            revision,
            reason,
            wait,
            expected_start: None,
        }
    }

    fn pool(capacity: u32) -> Reason {
        Reason::Pool {
            host: "h".into(),
            busy: 0,
            starting: 0,
            capacity,
            set_aside: 0,
            set_aside_why: Vec::new(),
            away: 0,
            turned_away: Vec::new(),
        }
    }

    fn status(running: Vec<RunningBuild>, queued: Vec<WaitingBuild>) -> Status {
        let machine = |one: &RunningBuild| WorkerStatus {
            name: String::new(),
            set_aside: None,
            away: false,
            leaves: None,
            doubled: None,
            worker: one.worker,
            host: "h".into(),
            pool: "local".into(),
            state: "busy".into(),
            reason: None,
            detail: String::new(),
            since: Micros(0),
        };
        Status { workers: running.iter().map(machine).collect(), running, queued, ..Status::default() }
    }

    /// `long` takes 10 s, `short` 2 s, of others nothing is known.
    fn usual(builder: &str, _: &str) -> Option<u64> {
        match builder {
            "long" => Some(10_000),
            "short" => Some(2_000),
            _ => None,
        }
    }

    fn seconds(status: &Status, builds: &[u8]) -> Vec<Option<i64>> {
        let starts = expected_starts(Micros(20_000_000), status, usual);
        builds.iter().map(|n| starts.get(&build(*n)).map(|start| start.0 / 1_000_000 - 20)).collect()
    }

    #[test]
    fn one_after_another_on_the_machine_that_is_free_first() {
        // Ends in 7 s and in 1 s; then 2 s and 10 s of the second machine, the third takes what is free first.
        let running = vec![runs(1, "long", 17_000_000), runs(2, "short", 19_000_000)];
        let queued = vec![
            waits(5, "short", 2, pool(2)),
            waits(3, "short", 0, pool(2)),
            waits(4, "long", 1, pool(2)),
            waits(6, "short", 3, pool(2)),
        ];
        assert_eq!(seconds(&status(running, queued), &[3, 4, 5, 6]), [Some(1), Some(3), Some(7), Some(9)]);
    }

    #[test]
    fn what_runs_over_its_time_ends_now_and_an_idle_machine_takes_at_once() {
        let running = vec![runs(1, "short", 1_000_000)];
        assert_eq!(seconds(&status(running, vec![waits(3, "long", 0, pool(1))]), &[3]), [Some(0)]);
        assert_eq!(seconds(&status(vec![], vec![waits(3, "new", 0, pool(1))]), &[3]), [Some(0)]);
    }

    #[test]
    fn nothing_is_said_of_what_nothing_is_known_of() {
        let running = vec![runs(1, "new", 19_000_000)];
        let queued = vec![
            waits(3, "short", 0, pool(1)),
            waits(4, "short", 0, Reason::Need { need: "n".into() }),
            waits(5, "short", 0, Reason::BackOff { until: Micros(25_000_000) }),
        ];
        assert_eq!(seconds(&status(running, queued), &[3, 4, 5]), [None, None, Some(5)]);
        let queued = vec![waits(3, "new", 0, pool(1)), waits(4, "short", 1, pool(1))];
        assert_eq!(seconds(&status(vec![], queued), &[3, 4]), [Some(0), None]);
        assert_eq!(seconds(&status(vec![], vec![waits(3, "short", 0, pool(0))]), &[3]), [None]);
    }
}
