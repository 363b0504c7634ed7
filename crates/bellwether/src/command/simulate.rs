//! `simulate`: the scheduler in virtual time: over days of generated load against invariants, and over recorded weeks.

mod replay;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Result;
use coordinator::schedule::Bug;
use coordinator::simulate::{self, Found, Outcome};

use crate::args::{Simulate, Size};

/// Between two words about how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// Seeds that are told of, where many break an invariant.
const TOLD: usize = 20;

pub async fn run(args: &Simulate) -> Result<ExitCode> {
    if args.replay.sources.config.is_some() {
        return replay::run(&args.replay, args.json).await;
    }
    if args.mutate { mutate(args) } else { check(args) }
}

fn size(args: &Simulate) -> simulate::Size {
    match args.size {
        Size::Small => simulate::Size::Small,
        Size::Mixed => simulate::Size::Mixed,
        Size::Large => simulate::Size::Large,
    }
}

/// Does something for each number below `count` on all cores, and hands each answer over as it comes.
fn each<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync, mut done: impl FnMut(T)) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    let (sender, receiver) = mpsc::sync_channel(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next, work) = (sender.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count || sender.send(work(number)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut finished, mut told) = (0, begun);
        for answer in receiver {
            finished += 1;
            done(answer);
            if told.elapsed() >= PROGRESS && std::io::stderr().is_terminal() {
                eprintln!("{finished} of {count} after {} s", begun.elapsed().as_secs());
                told = Instant::now();
            }
        }
    });
}

fn check(args: &Simulate) -> Result<ExitCode> {
    let size = size(args);
    let mut outcomes: Vec<Outcome> = Vec::new();
    let work = |number| simulate::run(args.first.wrapping_add(number), size);
    each(args.seeds, work, |outcome| outcomes.push(outcome));
    outcomes.sort_by_key(|outcome| outcome.seed);
    if args.json {
        for outcome in &outcomes {
            println!("{}", serde_json::to_string(outcome)?);
        }
    }
    let broken: Vec<_> = outcomes.iter().filter(|outcome| outcome.broken.is_some()).collect();
    if !args.json {
        for outcome in broken.iter().take(TOLD) {
            let Some(one) = &outcome.broken else { continue };
            println!(
                "seed {}: {:?} after {} steps: {}",
                outcome.seed, one.invariant, outcome.steps, one.what
            );
        }
        let builds: usize = outcomes.iter().map(|outcome| outcome.builds).sum();
        let machines: usize = outcomes.iter().map(|outcome| outcome.machines).sum();
        let steps: u64 = outcomes.iter().map(|outcome| outcome.steps).sum();
        let days = outcomes.iter().map(|outcome| outcome.hours).sum::<f64>() / 24.0;
        println!(
            "{} seeds: {builds} builds on {machines} machines over {days:.0} days in {steps} steps; {} broke an invariant",
            outcomes.len(),
            broken.len(),
        );
    }
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn mutate(args: &Simulate) -> Result<ExitCode> {
    let size = size(args);
    let work = |number: u64| {
        let at = usize::try_from(number).unwrap_or(0);
        (at, simulate::find(Bug::ALL[at], args.first, args.seeds, size))
    };
    let mut found: Vec<(usize, Found)> = Vec::new();
    each(Bug::ALL.len() as u64, work, |one| found.push(one));
    found.sort_by_key(|(at, _)| *at);
    let missed = found.iter().filter(|(_, one)| one.by.is_none()).count();
    for (_, one) in &found {
        match &one.by {
            _ if args.json => println!("{}", serde_json::to_string(one)?),
            Some((seed, broken)) => {
                println!("{}: found by seed {seed} as {:?}: {}", one.bug, broken.invariant, broken.what);
            }
            None => println!("{}: not found by {} seeds", one.bug, one.tried),
        }
    }
    if !args.json {
        println!("{} of {} bugs found", found.len() - missed, found.len());
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
