//! Verdicts over seeded worlds whose truth is known. `cargo test -p triage -- --nocapture simulated` prints the table.

use triage::verdict::{
    Case, Decision, History, Outcome, Place, Run, Signature, Tally, Verdict, Where, Workers, judge,
};

/// How often the test fails with the change, at the base, and failed before; and how many runs there were.
#[derive(Clone, Copy)]
struct World {
    changed: f64,
    base: f64,
    before: f64,
    past: u32,
    infra: f64,
}

fn flake(rate: f64, past: u32) -> World {
    World { changed: rate, base: rate, before: rate, past, infra: 0.0 }
}

fn broken(changed: f64, base: f64, past: u32) -> World {
    World { changed, base, before: base, past, infra: 0.0 }
}

#[derive(Default, Debug, PartialEq)]
struct Told {
    caused: u32,
    flaky: u32,
    at_base: u32,
    unknown: u32,
    runs: u32,
    most: u32,
    rounds: u32,
}

fn tell(world: World, seeds: u32) -> Told {
    let mut told = Told::default();
    for seed in 0..seeds {
        let (verdict, runs, rounds) = one(world, u64::from(seed));
        match verdict {
            Verdict::Caused => told.caused += 1,
            Verdict::Flaky => told.flaky += 1,
            Verdict::BrokenAtBase => told.at_base += 1,
            Verdict::Unknown => told.unknown += 1,
        }
        told.runs += runs;
        told.most = told.most.max(runs);
        told.rounds += rounds;
    }
    told
}

fn one(world: World, seed: u64) -> (Verdict, u32, u32) {
    let mut random = fastrand::Rng::with_seed(seed);
    let signature = Signature("--- FAIL".into());
    let mut case = Case::new("pkg.TestX", "linux", signature.clone(), "w0");
    let same = (0..world.past).filter(|_| random.f64() < world.before).count() as u32;
    case.history = History { here: Tally { runs: world.past, same, other: 0 }, ..History::default() };
    case.workers = Workers::All;
    for round in 1..100 {
        let wanted = match judge(&case) {
            Decision::Done(judged) => return (judged.verdict, case.runs.len() as u32, round - 1),
            Decision::Run(wanted) => wanted,
        };
        assert!(!wanted.is_empty());
        for run in wanted {
            let rate = if run.place == Place::Base { world.base } else { world.changed };
            let outcome = if random.f64() < world.infra {
                Outcome::Infra
            } else if random.f64() < rate {
                Outcome::Failed(signature.clone())
            } else {
                Outcome::Passed
            };
            let worker =
                if run.on == Where::SameWorker { "w0".into() } else { format!("w{}", random.u8(1..5)) };
            case.runs.push(Run { place: run.place, worker, outcome, seconds: 10 });
        }
    }
    panic!("it does not end");
}

const SEEDS: u32 = 300;

fn show(name: &str, told: &Told) {
    let of = f64::from(SEEDS);
    println!(
        "| {name} | {} | {} | {} | {} | {:.1} | {} | {:.1} |",
        told.caused,
        told.flaky,
        told.at_base,
        told.unknown,
        f64::from(told.runs) / of,
        told.most,
        f64::from(told.rounds) / of
    );
}

#[test]
fn simulated_flakes_and_breaks_are_told_apart() {
    println!("| of {SEEDS} | caused | flaky | at base | unknown | runs, mean | most | rounds |");
    let third = 1.0 / 3.0;
    // Of 300 at most 3 may be called `caused` or `flaky` that are not; at least so many get the verdict that is right.
    let worlds = [
        ("flake 1/3, no past", flake(third, 0), Verdict::Flaky, 255),
        ("flake 1/3, past of 60", flake(third, 60), Verdict::Flaky, 285),
        ("flake 1/10, no past", flake(0.1, 0), Verdict::Flaky, 245),
        ("flake 1/10, past of 60", flake(0.1, 60), Verdict::Flaky, 285),
        ("flake 1/100, no past", flake(0.01, 0), Verdict::Flaky, 280),
        ("flake 1/100, past of 300", flake(0.01, 300), Verdict::Flaky, 275),
        ("break, no past", broken(1.0, 0.0, 0), Verdict::Caused, 300),
        ("break, clean past of 60", broken(1.0, 0.0, 60), Verdict::Caused, 300),
        ("break of a flake 1/10, past of 60", broken(1.0, 0.1, 60), Verdict::Caused, 295),
        ("break of a flake 1/3, past of 60", broken(1.0, third, 60), Verdict::Caused, 255),
        ("break that fails 19/20, no past", broken(0.95, 0.0, 0), Verdict::Caused, 295),
        ("break, 1/5 of runs lost", World { infra: 0.2, ..broken(1.0, 0.0, 0) }, Verdict::Caused, 290),
        (
            "at base, clean past of 60",
            World { base: 1.0, ..broken(1.0, 0.0, 60) },
            Verdict::BrokenAtBase,
            295,
        ),
    ];
    for (name, world, truth, least) in worlds {
        let told = tell(world, SEEDS);
        show(name, &told);
        let (right, wrong) = match truth {
            Verdict::Caused => (told.caused, told.flaky),
            Verdict::Flaky => (told.flaky, told.caused),
            _ => (told.at_base, told.caused),
        };
        assert!(wrong <= SEEDS / 100, "{name}: {told:?}");
        assert!(right >= least, "{name}: {told:?}");
        assert!(told.most <= 24, "{name}: {told:?}");
    }
}

/// What can't be told well is told as `unknown`: the bounds that the module's documentation gives hold.
#[test]
fn what_is_hard_is_unknown_rather_than_wrong() {
    let third = 1.0 / 3.0;
    let half = tell(flake(0.5, 0), SEEDS);
    show("flake 1/2, no past", &half);
    assert!(half.caused <= 6 && half.flaky >= 190, "{half:?}");
    let new = tell(World { before: 0.0, ..flake(third, 60) }, SEEDS);
    show("new flake 1/3, clean past of 60", &new);
    assert!(new.caused <= SEEDS / 10 && new.flaky >= 220, "{new:?}");
    let worse = tell(broken(third, 0.01, 0), SEEDS);
    show("worse 1/100 -> 1/3, no past", &worse);
    assert!(worse.flaky <= SEEDS / 3, "{worse:?}");
    let known = tell(broken(third, 0.01, 300), SEEDS);
    show("worse 1/100 -> 1/3, past of 300", &known);
    assert!(known.flaky <= SEEDS / 5 && known.caused >= 50, "{known:?}");
    let lost = tell(World { infra: 1.0, ..broken(1.0, 0.0, 60) }, 3);
    assert_eq!((lost.unknown, lost.most <= 12), (3, true), "{lost:?}");
}

#[test]
fn the_same_case_has_the_same_answer() {
    assert_eq!(tell(flake(0.3, 20), 5), tell(flake(0.3, 20), 5));
}
