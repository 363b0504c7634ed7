//! Prints what a dispatch costs with ever more builds queued and 10,000 machines, as ratios:
//! `cargo run --release -p coordinator --example dispatch`.

use std::time::Instant;

use coordinator::schedule::{Action, Class, Event, Request, Scheduler};
use store::{BuildId, Micros, WorkerId};

const WORKERS: u64 = 10_000;
const HOSTS: u64 = 20;
const DISPATCHES: u64 = 50_000;

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
    })
}

/// Microseconds per dispatch: a build ends, its machine is clean, the next build gets it, another is queued.
fn measure(count: u64) -> (f64, f64) {
    let now = Micros(1);
    let mut scheduler = Scheduler::default();
    for n in 0..HOSTS {
        let capacity = (WORKERS / HOSTS) as u32;
        scheduler.step(now, Event::Host { host: host(n), capacity, blocked: None });
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
    let begun = Instant::now();
    for _ in 0..DISPATCHES {
        let Some((build, worker, host)) = running.pop_front() else { break };
        leased(scheduler.step(now, Event::Released { build }), &mut running);
        leased(scheduler.step(now, Event::MachineIdle { worker, host }), &mut running);
        leased(scheduler.step(now, queued(next)), &mut running);
        next += 1;
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / DISPATCHES as f64;
    let begun = Instant::now();
    let waits = scheduler.waits();
    (each, begun.elapsed().as_secs_f64() * 1e6 / waits.len() as f64)
}

fn main() {
    println!(
        "{WORKERS} machines on {HOSTS} hosts; budget: a dispatch costs at most 2 times that at 1000 queued"
    );
    let mut first = None;
    for count in [1_000, 100_000, 1_000_000] {
        // The best of three: other work on the machine only ever adds.
        let runs: Vec<_> = (0..3).map(|_| measure(count)).collect();
        let least = |of: fn(&(f64, f64)) -> f64| runs.iter().map(of).fold(f64::INFINITY, f64::min);
        let (dispatch, status) = (least(|run| run.0), least(|run| run.1));
        let (base, status_base) = *first.get_or_insert((dispatch, status));
        println!(
            "{count:>9} queued: {dispatch:.2} us a dispatch ({:.2} times), {status:.2} us of a status per build ({:.2} times)",
            dispatch / base,
            status / status_base,
        );
    }
}
