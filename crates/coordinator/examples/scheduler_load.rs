//! Prints what the scheduler costs with a million builds queued, and what it keeps over a day of 100,000 builds in
//! virtual time: `cargo run --release -p coordinator --example scheduler_load`; with `--json` a line for programs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use coordinator::schedule::{Action, Class, Event, Request, Scheduler};
use store::{BuildId, Micros, WorkerId};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
const HOSTS: u64 = 20;
/// Machines of each host over the day.
const MACHINES: u32 = 40;
const DAY: u64 = 100_000;
const QUEUED: u64 = 1_000_000;

fn bytes(n: u64) -> impl FnMut(&mut [u8]) {
    move |to: &mut [u8]| {
        to.fill(0);
        for (to, byte) in to.iter_mut().rev().zip(n.to_le_bytes()) {
            *to = byte;
        }
    }
}

fn host(n: u64) -> String {
    format!("host{}", n % HOSTS)
}

/// As a hash spreads them.
fn mixed(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24
}

fn queued(n: u64, now: i64) -> Event {
    Event::Queued(Request {
        build: BuildId::new(Micros(now), &mut bytes(n)),
        builder: format!("builder{}", n % 50),
        hosts: vec![host(mixed(n))],
        class: Class::ALL[(mixed(n + 7) % 6) as usize],
        priority: 0,
        commit_time: Micros(mixed(n) as i64),
        requested: Micros(now),
        limits: vec!["environment".into()],
        avoid: Vec::new(),
        not_before: None,
        need: None,
        blocked: None,
        repo: format!("repo{}", mixed(n) % 30),
        user: String::new(),
        width: 1,
    })
}

/// CPU time of this thread in microseconds.
fn cpu() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// Resident memory in bytes; 0 where nobody tells.
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * rustix::param::page_size() as f64
}

fn hosts(scheduler: &mut Scheduler, capacity: u32) {
    for n in 0..HOSTS {
        scheduler.step(Micros(1), Event::Host { host: host(n), capacity, blocked: None, fixed: true });
    }
}

struct Queue {
    enqueue: f64,
    decision: f64,
    bytes: f64,
}

/// A million builds queued beside machines that are all at work, then a tenth of them given machines.
fn million() -> Queue {
    let mut scheduler = Scheduler::default();
    hosts(&mut scheduler, 1);
    let before = resident();
    let begun = cpu();
    for n in 0..QUEUED {
        scheduler.step(Micros(1), queued(n, 1));
    }
    let enqueue = (cpu() - begun) / QUEUED as f64;
    let bytes = (resident() - before) / QUEUED as f64;
    let begun = cpu();
    let decisions = QUEUED / 10;
    for n in 0..decisions {
        let (worker, host) = (WorkerId::new(Micros(1), &mut self::bytes(n % HOSTS)), host(n));
        for action in scheduler.step(Micros(1), Event::MachineIdle { worker, host }) {
            if let Action::Lease { build, .. } = action {
                scheduler.step(Micros(1), Event::Released { build });
            }
        }
    }
    Queue { enqueue, decision: (cpu() - begun) / decisions as f64, bytes }
}

struct Day {
    most: usize,
    ages: usize,
    left: usize,
    stuck: usize,
    resident: [f64; 2],
    step: f64,
}

/// When something comes, in which order of those, and the build that ends on a machine then, if it is no new one.
type ToCome = (i64, u64, Option<(BuildId, WorkerId, String)>);

/// 100,000 builds over a day, a tenth of them in floods of one repo; machines are four fifths at work in the mean.
fn day() -> Day {
    let mut scheduler = Scheduler::default();
    hosts(&mut scheduler, MACHINES);
    let mean = 24 * HOUR * i64::from(MACHINES) * HOSTS as i64 * 8 / 10 / DAY as i64;
    // When, and what: 0 comes, 1 ends.
    let mut to_come: BinaryHeap<Reverse<ToCome>> = BinaryHeap::new();
    for n in 0..DAY {
        let flood = mixed(n).is_multiple_of(10);
        let when = if flood { (6 + 6 * (n as i64 % 3)) * HOUR } else { n as i64 * 24 * HOUR / DAY as i64 };
        to_come.push(Reverse((when, n, None)));
    }
    for n in 0..u64::from(MACHINES) * HOSTS {
        let worker = WorkerId::new(Micros(1), &mut bytes(n));
        scheduler.step(Micros(1), Event::MachineIdle { worker, host: host(n) });
    }
    let (mut most, mut ages, mut stuck, mut steps) = (0, 0, 0, 0_u64);
    let (mut watched, mut early) = (0, 0.0);
    let begun = cpu();
    while let Some(Reverse((now, n, ends))) = to_come.pop() {
        let actions = match ends {
            None => scheduler.step(Micros(now), queued(n, now)),
            Some((build, worker, host)) => {
                let mut actions = scheduler.step(Micros(now), Event::Released { build });
                actions.extend(scheduler.step(Micros(now), Event::MachineIdle { worker, host }));
                actions
            }
        };
        steps += 1;
        for action in actions {
            if let Action::Lease { build, worker, host } = action {
                let took = mean / 2 + (mixed(n + steps) % mean as u64) as i64;
                to_come.push(Reverse((now + took, n, Some((build, worker, host)))));
            }
        }
        if now >= watched {
            watched = now + 60 * SECOND;
            let kept = scheduler.kept();
            (most, ages) = (most.max(kept.builds), ages.max(kept.ages));
            stuck += scheduler.watchdog(Micros(now)).len();
            // After the first flood.
            if now < 8 * HOUR {
                early = resident();
            }
        }
    }
    let step = (cpu() - begun) / steps as f64;
    let left = scheduler.kept().builds;
    Day { most, ages, left, stuck, resident: [early, resident()], step }
}

fn main() {
    let (day, queue) = (day(), million());
    if std::env::args().any(|word| word == "--json") {
        println!(
            "{}",
            serde_json::json!({
                "day": {"builds": DAY, "most_kept": day.most, "ages": day.ages, "left": day.left, "stuck": day.stuck,
                    "resident_after_8_hours": day.resident[0], "resident_at_the_end": day.resident[1], "step_us": day.step},
                "queued": {"builds": QUEUED, "enqueue_us": queue.enqueue, "decision_us": queue.decision, "bytes": queue.bytes},
            })
        );
        return;
    }
    println!(
        "a day of {DAY} builds: at most {} kept, {} by age; {} left at its end; the watchdog found {} waiting beside free capacity",
        day.most, day.ages, day.left, day.stuck
    );
    println!(
        "memory {:.1} MB after 8 hours, {:.1} MB at the end ({:.2} times); {:.2} us a step",
        day.resident[0] / 1e6,
        day.resident[1] / 1e6,
        day.resident[1] / day.resident[0],
        day.step
    );
    println!(
        "{QUEUED} queued: {:.2} us to queue one, {:.2} us a decision ({:.2} times), {:.0} bytes each",
        queue.enqueue,
        queue.decision,
        queue.decision / queue.enqueue,
        queue.bytes
    );
}
