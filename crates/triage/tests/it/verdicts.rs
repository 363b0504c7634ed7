//! Cases by hand.

use proptest::prelude::*;
use triage::verdict::{
    Blame, Case, Decision, History, Judged, Limits, Outcome, Place, Run, Signature, Tally, Verdict, Wanted,
    Where, Workers, judge,
};

fn case() -> Case {
    Case::new("net.TestDial", "linux", Signature("dial: refused".into()), "w0")
}

fn failed() -> Outcome {
    Outcome::Failed(Signature("dial: refused".into()))
}

/// Runs the case to its end; `world` says what comes of a run on a worker.
fn run(case: &mut Case, world: impl Fn(Place, &str) -> Outcome) -> Judged {
    for _ in 0..200 {
        let wanted = match judge(case) {
            Decision::Done(judged) => return judged,
            Decision::Run(wanted) => wanted,
        };
        for (n, Wanted { place, on }) in wanted.into_iter().enumerate() {
            let worker = if on == Where::SameWorker { "w0".to_owned() } else { format!("w{}", n + 1) };
            let outcome = world(place, &worker);
            case.runs.push(Run { place, worker, outcome, seconds: 10 });
        }
    }
    panic!("it does not end");
}

#[test]
fn a_break_is_told_with_its_numbers() {
    let mut case = case();
    case.history.here = Tally { runs: 60, same: 0, other: 0 };
    let judged = run(&mut case, |place, _| if place == Place::Base { Outcome::Passed } else { failed() });
    assert_eq!(judged.verdict, Verdict::Caused);
    assert_eq!(
        judged.sentence,
        "net.TestDial fails because of this change: it failed again in 2 of 2 runs with the change, in 0 of 2 without it, and at \
         landed commits on this builder 0 times in 60 runs."
    );
    assert_eq!(judged.blame, None);
}

#[test]
fn the_first_runs_are_on_the_same_worker_and_on_another_and_at_the_base() {
    let Decision::Run(wanted) = judge(&case()) else { panic!("nothing is known yet") };
    let places: Vec<_> = wanted.iter().map(|one| (one.place, one.on)).collect();
    assert_eq!(
        places,
        [
            (Place::Changed, Where::SameWorker),
            (Place::Changed, Where::OtherWorker),
            (Place::Base, Where::SameWorker),
            (Place::Base, Where::OtherWorker)
        ]
    );
    let only = Case { workers: Workers::OnlyTheSame, ..case() };
    let Decision::Run(wanted) = judge(&only) else { panic!("nothing is known yet") };
    assert!(wanted.iter().all(|one| one.on == Where::SameWorker));
}

#[test]
fn a_worker_that_fails_alone_is_named_and_the_change_is_not() {
    let judged = run(&mut case(), |_, worker| if worker == "w0" { failed() } else { Outcome::Passed });
    assert_eq!(judged.verdict, Verdict::Flaky, "{judged:?}");
    // The base is asked elsewhere only: what fails on one worker with the change is not held against the change.
    let judged = run(&mut case(), |place, worker| match place {
        Place::Base if worker == "w0" => Outcome::Infra,
        Place::Base => Outcome::Passed,
        _ if worker == "w0" => failed(),
        _ => Outcome::Infra,
    });
    assert_eq!(judged.verdict, Verdict::Unknown, "{judged:?}");
}

#[test]
fn a_test_that_came_with_the_change_is_its_own() {
    let world = |place: Place, _: &str| if place == Place::Base { Outcome::Absent } else { failed() };
    let judged = run(&mut case(), world);
    assert_eq!(judged.verdict, Verdict::Caused);
    assert!(
        judged.sentence.starts_with("net.TestDial came with this change and fails"),
        "{}",
        judged.sentence
    );
    // It ran at landed commits: so the base lacks it for another reason, and there is nothing to compare with.
    let mut known = case();
    known.history = History { here: Tally { runs: 50, same: 0, other: 0 }, ..History::default() };
    let judged = run(&mut known, world);
    assert_eq!(judged.verdict, Verdict::Unknown, "{judged:?}");
    assert!(known.runs.len() <= 12, "{}", known.runs.len());
}

#[test]
fn a_base_that_cannot_be_built_blames_nobody() {
    let mut one = case();
    let judged = run(&mut one, |place, _| if place == Place::Base { Outcome::Unbuildable } else { failed() });
    assert_eq!(judged.verdict, Verdict::Unknown);
    assert!(judged.sentence.contains("the base can't be built"), "{}", judged.sentence);
    assert!(one.runs.len() <= 12, "{}", one.runs.len());
    // But what passes again needs no base.
    let judged = run(
        &mut case(),
        |place, _| if place == Place::Base { Outcome::Unbuildable } else { Outcome::Passed },
    );
    assert_eq!(judged.verdict, Verdict::Flaky, "{judged:?}");
}

#[test]
fn another_failure_at_the_base_decides_nothing() {
    let other = || Outcome::Failed(Signature("panic".into()));
    let judged = run(&mut case(), |place, _| if place == Place::Base { other() } else { failed() });
    assert_eq!(judged.verdict, Verdict::Unknown, "{judged:?}");
    assert!(judged.sentence.contains("in another way"), "{}", judged.sentence);
    // A text that changes from run to run makes no break of a flake, nor a flake of a break.
    let judged = run(&mut case(), |place, _| if place == Place::Base { Outcome::Passed } else { other() });
    assert_eq!(judged.verdict, Verdict::Caused, "{judged:?}");
}

#[test]
fn what_fails_without_the_change_is_broken_at_the_base() {
    let mut one = case();
    let judged = run(&mut one, |_, _| failed());
    assert_eq!(judged.verdict, Verdict::BrokenAtBase);
    assert!(one.runs.len() <= 8, "{}", one.runs.len());
}

#[test]
fn of_several_changes_the_one_is_named() {
    let several = || Case { parts: 3, ..case() };
    let fails = |place, guilty: &[u8]| match place {
        Place::Base => Outcome::Passed,
        Place::Alone(part) if !guilty.contains(&part) => Outcome::Passed,
        _ => failed(),
    };
    let judged = run(&mut several(), |place, _| fails(place, &[1]));
    assert_eq!(judged.blame, Some(Blame::Parts(vec![1])));
    assert!(judged.sentence.ends_with("Of the changes, number 2 alone has it fail."), "{}", judged.sentence);
    let judged = run(&mut several(), |place, _| fails(place, &[]));
    assert_eq!((judged.verdict, judged.blame), (Verdict::Caused, Some(Blame::OnlyTogether)));
    let lost =
        |place, _: &str| if matches!(place, Place::Alone(_)) { Outcome::Infra } else { fails(place, &[]) };
    assert_eq!(run(&mut several(), lost).blame, Some(Blame::Untold));
}

#[test]
fn what_may_be_spent_is_the_end_of_it() {
    let mut poor = case();
    poor.limits = Limits { seconds: 45, ..Limits::default() };
    let judged = run(&mut poor, |place, _| if place == Place::Base { Outcome::Passed } else { failed() });
    assert_eq!(judged.verdict, Verdict::Unknown);
    assert!(judged.sentence.contains("It looks like the change"), "{}", judged.sentence);
    assert!(poor.runs.len() <= 8);
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Passed),
        4 => Just(failed()),
        1 => Just(Outcome::Failed(Signature("other".into()))),
        1 => Just(Outcome::Infra),
        1 => Just(Outcome::Absent),
        1 => Just(Outcome::Unbuildable),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever comes back, it ends within its limits; a verdict is never given against what everybody sees; a case survives JSON.
    #[test]
    fn it_ends_and_never_says_what_is_plainly_not_so(
        outcomes in prop::collection::vec(any_outcome(), 64),
        past in (0_u32..200, 0_u32..300, 0_u32..300),
        parts in 0_u8..12,
    ) {
        let mut case = Case { parts, ..case() };
        case.history.here = Tally { runs: past.0, same: past.1, other: past.2 };
        let next = std::cell::Cell::new(0);
        let judged = run(&mut case, |_, _| {
            next.set(next.get() + 1);
            outcomes[next.get() % outcomes.len()].clone()
        });
        let counted = case.runs.iter().filter(|run| !matches!(run.place, Place::Alone(_))).count();
        prop_assert!(counted <= 24);
        prop_assert!(case.runs.len() <= 24 + 8 * 5);
        let seen = |place, outcome: &Outcome| case.runs.iter().any(|run| run.place == place && run.outcome == *outcome);
        match judged.verdict {
            Verdict::Caused => prop_assert!(case.runs.iter().any(|run| run.place == Place::Changed)),
            Verdict::Flaky => prop_assert!(seen(Place::Changed, &Outcome::Passed) || seen(Place::Base, &failed())),
            Verdict::BrokenAtBase => prop_assert!(seen(Place::Base, &failed()) && !seen(Place::Base, &Outcome::Passed)),
            Verdict::Unknown => {}
        }
        let again: Case = serde_json::from_str(&serde_json::to_string(&case).unwrap()).unwrap();
        prop_assert_eq!(judge(&again), Decision::Done(judged));
    }

    /// Any numbers that a caller may come with are borne.
    #[test]
    fn no_number_is_too_big(runs in any::<u32>(), same in any::<u32>(), other in any::<u32>(), limits in any::<(u32, u32, u32)>()) {
        let tally = Tally { runs, same, other };
        let mut case = Case { history: History { here: tally, elsewhere: tally }, ..case() };
        case.limits = Limits { runs: limits.0, seconds: limits.1, at_once: limits.2 };
        let _ = judge(&case);
        case.runs = vec![Run { place: Place::Changed, worker: "w1".into(), outcome: failed(), seconds: u32::MAX }; 3];
        match judge(&case) {
            Decision::Run(wanted) => prop_assert!(!wanted.is_empty()),
            Decision::Done(judged) => {
                for weight in judged.evidence.caused.iter().chain(&judged.evidence.flaky) {
                    prop_assert!(!weight.ln.is_nan());
                }
            }
        }
    }
}

/// As `cargo xtask gerrit --try flaky` has it.
#[test]
fn what_fails_each_third_time_is_a_flake_whichever_time_is_the_first() {
    for phase in 0..3 {
        for past in 0..2 {
            let mut case = case();
            case.workers = Workers::OnlyOthers;
            case.history.here = Tally { runs: past, same: 0, other: 0 };
            let counts = std::cell::RefCell::new([1, phase]);
            let judged = run(&mut case, |place, _| {
                let count = &mut counts.borrow_mut()[usize::from(place == Place::Base)];
                *count += 1;
                if (*count - 1) % 3 == 0 { failed() } else { Outcome::Passed }
            });
            assert_eq!(judged.verdict, Verdict::Flaky, "{phase} {past}: {}", judged.sentence);
        }
    }
}
