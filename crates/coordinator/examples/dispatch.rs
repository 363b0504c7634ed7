//! Prints what a dispatch costs with ever more builds queued and 10,000 machines, as ratios:
//! `cargo run --release -p coordinator --example dispatch`; with `--json` a line for programs.

use coordinator::schedule::{Action, Class, Event, Request, Scheduler};
use store::{BuildId, Micros, WorkerId};

const WORKERS: u64 = 10_000;
const HOSTS: u64 = 20;
/// Dispatches of a batch, batches of a round, rounds.
const DISPATCHES: u64 = 10_000;
const BATCHES: usize = 5;
const ROUNDS: usize = 3;
const QUEUED: [u64; 3] = [1_000, 100_000, 1_000_000];

fn bytes(n: u64) -> impl FnMut(&mut [u8]) {
    move |to: &mut [u8]| {
        to.fill(0);
        for (to, byte) in to.iter_mut().rev().zip(n.to_le_bytes()) {
            *to = byte;
        }
    }
}

fn build(n: u64) -> BuildId {
    BuildId::new(Micros(1), &mut bytes(n))
}

fn worker(n: u64) -> WorkerId {
    WorkerId::new(Micros(1), &mut bytes(n))
}

fn host(n: u64) -> String {
    format!("host{}", n % HOSTS)
}

fn queued(n: u64) -> Event {
    // Spread over the commits as a hash spreads them, so that new ones land anywhere in the order.
    let time = Micros((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24) as i64);
    Event::Queued(Request {
        build: build(n),
        builder: "b".into(),
        hosts: vec![host(n)],
        class: Class::PostSubmit,
        priority: 0,
        commit_time: time,
        requested: time,
        limits: vec!["environment".into()],
        avoid: Vec::new(),
        not_before: None,
        need: None,
        blocked: None,
        repo: format!("repo{}", n % 7),
        user: String::new(),
        width: 1,
    })
}

/// CPU time of this thread: what else runs on the machine counts only by the caches that it takes.
fn cpu() -> f64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// Microseconds per dispatch (a build ends, its machine is clean, the next build gets it, another is queued), the least
/// of some batches; and of a status, per build.
fn measure(count: u64) -> (f64, f64) {
    let now = Micros(1);
    let mut scheduler = Scheduler::default();
    for n in 0..HOSTS {
        let capacity = (WORKERS / HOSTS) as u32;
        scheduler.step(now, Event::Host { host: host(n), capacity, blocked: None, fixed: false });
    }
    let mut running = std::collections::VecDeque::new();
    let leased = |actions: Vec<Action>, running: &mut std::collections::VecDeque<_>| {
        for action in actions {
            if let Action::Lease { build, worker, host } = action {
                running.push_back((build, worker, host));
            }
        }
    };
    let mut next = 0;
    // As many as there are machines run; the rest waits.
    while next < WORKERS + count {
        scheduler.step(now, queued(next));
        next += 1;
    }
    for n in 0..WORKERS {
        scheduler.step(now, Event::MachineStarting { worker: worker(n), host: host(n) });
        leased(scheduler.step(now, Event::MachineIdle { worker: worker(n), host: host(n) }), &mut running);
    }
    let mut each = f64::INFINITY;
    for _ in 0..BATCHES {
        let begun = cpu();
        for _ in 0..DISPATCHES {
            let Some((build, worker, host)) = running.pop_front() else { break };
            leased(scheduler.step(now, Event::Released { build }), &mut running);
            leased(scheduler.step(now, Event::MachineIdle { worker, host }), &mut running);
            leased(scheduler.step(now, queued(next)), &mut running);
            next += 1;
        }
        each = each.min((cpu() - begun) / DISPATCHES as f64);
    }
    let begun = cpu();
    let waits = scheduler.waits();
    (each, (cpu() - begun) / waits.len() as f64)
}

fn main() {
    // In turn, and the best of each: other work on the machine only ever adds.
    let mut best = [(f64::INFINITY, f64::INFINITY); QUEUED.len()];
    for _ in 0..ROUNDS {
        for (best, count) in best.iter_mut().zip(QUEUED) {
            let (dispatch, status) = measure(count);
            *best = (best.0.min(dispatch), best.1.min(status));
        }
    }
    if std::env::args().any(|word| word == "--json") {
        let figure = |((dispatch, status), queued): (&(f64, f64), u64)| serde_json::json!({"queued": queued, "dispatch_us": dispatch, "status_us_per_build": status});
        let figures: Vec<_> = best.iter().zip(QUEUED).map(figure).collect();
        println!("{}", serde_json::json!({"workers": WORKERS, "hosts": HOSTS, "figures": figures}));
        return;
    }
    println!(
        "{WORKERS} machines on {HOSTS} hosts; budget: a dispatch costs at most 2 times that at 1000 queued"
    );
    for ((dispatch, status), count) in best.iter().zip(QUEUED) {
        println!(
            "{count:>9} queued: {dispatch:.2} us a dispatch ({:.2} times), {status:.2} us of a status per build ({:.2} times)",
            dispatch / best[0].0,
            status / best[0].1,
        );
    }
}
