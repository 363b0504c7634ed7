//! Bisections against worlds whose truth is known.

use proptest::prelude::*;
use triage::bisect::{Answer, BisectError, Bisection, Found, Limits, Rates, Step};

/// A range whose commits are named by their number.
fn begin(commits: usize) -> Bisection {
    let ids = (0..commits).map(|at| at.to_string()).collect();
    Bisection::new(ids, Rates::default(), Limits::default()).unwrap()
}

/// Runs it to its end, each round all workers at once, with the state written and read in between; gives the rounds.
fn run(bisection: &mut Bisection, workers: usize, mut world: impl FnMut(usize) -> Found) -> u32 {
    for round in 0..500 {
        let text = serde_json::to_string(bisection).unwrap();
        *bisection = serde_json::from_str(&text).unwrap();
        match bisection.step(workers) {
            Step::Done => return round,
            Step::Wait => panic!("nothing is running"),
            Step::Test(probes) => {
                assert!(!probes.is_empty() && probes.len() <= workers);
                assert_eq!(bisection.running().count(), probes.len());
                for probe in probes {
                    bisection.report(probe.id, world(probe.commit.parse().unwrap())).unwrap();
                }
            }
        }
    }
    panic!("it does not end");
}

/// What can be said at best: `culprit` is the first that fails, 0 if all do, `commits` if none does.
fn at_best(commits: usize, culprit: usize, untestable: &[usize]) -> Answer {
    let testable = |at: &usize| !untestable.contains(at);
    let after = (0..culprit).rev().find(testable);
    let until = (culprit..commits).find(testable);
    let from = after.map_or(0, |at| at + 1);
    let to = until.unwrap_or(commits);
    let named: Vec<String> = (from.max(1)..(to + 1).min(commits)).map(|at| at.to_string()).collect();
    match (from == 0, to == commits, named.len()) {
        (true, false, 0) => Answer::NotTheCode { commit: "0".into() },
        (false, true, 0) => Answer::Gone { commit: (commits - 1).to_string() },
        (false, false, 1) => Answer::Culprit { commit: named[0].clone(), parent: (to - 1).to_string() },
        (or_not_the_code, or_gone, _) => Answer::OneOf { commits: named, or_not_the_code, or_gone },
    }
}

fn found(at: usize, culprit: usize, untestable: &[usize]) -> Found {
    match (untestable.contains(&at), at >= culprit) {
        (true, _) => Found::Untestable,
        (_, true) => Found::Bad,
        (_, false) => Found::Good,
    }
}

/// The target: 64 commits that it may be, 5 of them untestable, 4 workers.
#[test]
fn of_64_commits_with_5_untestable_the_culprit_is_named_in_5_rounds_and_told_once() {
    let (mut most, mut sum, mut count) = (0, 0, 0);
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        for culprit in 1..=64 {
            let mut untestable = Vec::new();
            while untestable.len() < 5 {
                let at = random.usize(1..64);
                if !untestable.contains(&at) {
                    untestable.push(at);
                }
            }
            let mut bisection = begin(65);
            let rounds = run(&mut bisection, 4, |at| found(at, culprit, &untestable));
            assert_eq!(
                bisection.answer(),
                Some(&at_best(65, culprit, &untestable)),
                "{culprit} {untestable:?}"
            );
            (most, sum, count) = (most.max(rounds), sum + rounds, count + 1);
            assert!(bisection.take_notice().is_some());
            let text = serde_json::to_string(&bisection).unwrap();
            let mut again: Bisection = serde_json::from_str(&text).unwrap();
            assert_eq!((again.take_notice(), again.step(4)), (None, Step::Done));
        }
    }
    println!("rounds: most {most}, mean {:.2}", f64::from(sum) / f64::from(count));
    assert!(most <= 5, "{most}");
}

/// A row of untestable commits anywhere: the culprit beside it is named, one in it is not.
#[test]
fn a_row_of_untestable_commits_is_gone_around() {
    for first in (1..60).step_by(7) {
        let untestable: Vec<usize> = (first..first + 5).collect();
        for culprit in first..=first + 6 {
            let mut bisection = begin(65);
            let rounds = run(&mut bisection, 4, |at| found(at, culprit.min(64), &untestable));
            assert_eq!(
                bisection.answer(),
                Some(&at_best(65, culprit.min(64), &untestable)),
                "{culprit} {untestable:?}"
            );
            assert!(rounds <= 8, "{rounds}: {culprit} {untestable:?}");
        }
    }
}

#[test]
fn a_builder_that_breaks_for_reasons_of_its_own_is_not_the_code() {
    let mut bisection = begin(33);
    let rounds = run(&mut bisection, 4, |_| Found::Bad);
    assert_eq!(bisection.answer(), Some(&Answer::NotTheCode { commit: "0".into() }));
    assert!(rounds <= 5, "{rounds}");
}

#[test]
fn a_break_that_has_gone_away_is_said_to_be_gone() {
    let mut bisection = begin(33);
    run(&mut bisection, 4, |_| Found::Good);
    assert_eq!(bisection.answer(), Some(&Answer::Gone { commit: "32".into() }));
}

/// The first failing was by chance, the real break landed later: the range grows while it runs.
#[test]
fn a_range_that_grows_is_searched_to_its_new_ends() {
    let mut bisection = begin(9);
    let Step::Test(probes) = bisection.step(2) else { panic!() };
    bisection.extend_newer((9..17).map(|at| at.to_string()).collect()).unwrap();
    bisection.past("16", true).unwrap();
    for probe in probes {
        bisection.report(probe.id, Found::Good).unwrap();
    }
    run(&mut bisection, 2, |at| found(at, 12, &[]));
    assert_eq!(bisection.answer(), Some(&at_best(17, 12, &[])));

    let mut bisection =
        Bisection::new((8..17).map(|at| at.to_string()).collect(), Rates::default(), Limits::default())
            .unwrap();
    assert!(matches!(bisection.step(3), Step::Test(_)));
    bisection.extend_older((0..8).map(|at| at.to_string()).collect()).unwrap();
    bisection.past("0", false).unwrap();
    let running: Vec<_> = bisection.running().collect();
    for probe in running {
        bisection.report(probe.id, Found::Bad).unwrap();
    }
    run(&mut bisection, 3, |at| found(at, 5, &[]));
    assert_eq!(bisection.answer(), Some(&at_best(17, 5, &[])));
}

#[test]
fn a_test_that_fails_at_times_is_repeated_until_it_is_clear() {
    let (mut right, mut tests) = (0, 0);
    for seed in 0..40 {
        let mut random = fastrand::Rng::with_seed(seed);
        let culprit = random.usize(1..33);
        let ids = (0..33).map(|at| at.to_string()).collect();
        let rates = Rates { broken: 0.5, fine: 0.005 };
        let mut bisection = Bisection::new(ids, rates, Limits::default()).unwrap();
        run(&mut bisection, 4, |at| if at >= culprit && random.bool() { Found::Bad } else { Found::Good });
        right += u32::from(bisection.answer() == Some(&at_best(33, culprit, &[])));
        tests += bisection.tests();
    }
    println!("right {right} of 40, {} tests each", tests / 40);
    assert!(right >= 38, "{right}");
    assert!(tests / 40 <= 60, "{tests}");
}

#[test]
fn a_wrong_result_is_found_out_when_it_is_verified() {
    let mut lied = false;
    let mut bisection = begin(33);
    run(&mut bisection, 1, |at| {
        if (10..30).contains(&at) && !lied {
            lied = true;
            return Found::Good;
        }
        found(at, 10, &[])
    });
    assert_eq!(bisection.answer(), Some(&at_best(33, 10, &[])));
}

#[test]
fn machines_that_lose_all_tests_end_it() {
    let mut bisection = begin(5);
    run(&mut bisection, 2, |_| Found::Lost);
    let one_of = Answer::OneOf {
        commits: (1..5).map(|at| at.to_string()).collect(),
        or_not_the_code: true,
        or_gone: true,
    };
    assert_eq!(bisection.answer(), Some(&one_of));
    let ids = (0..200).map(|at| at.to_string()).collect();
    let mut bisection = Bisection::new(ids, Rates::default(), Limits { tests: 6, lost: 3 }).unwrap();
    run(&mut bisection, 2, |at| found(at, 3, &[]));
    let Some(Answer::GaveUp { likeliest }) = bisection.answer() else { panic!("{:?}", bisection.answer()) };
    assert!(likeliest.len() == 10 && likeliest.iter().any(|(commit, _)| commit == "3"), "{likeliest:?}");
}

#[test]
fn what_is_wrong_is_refused() {
    let new = |ids: &[&str]| {
        Bisection::new(ids.iter().map(|id| (*id).to_owned()).collect(), Rates::default(), Limits::default())
    };
    assert_eq!(new(&["a"]).unwrap_err(), BisectError::Short);
    assert_eq!(new(&["a", "b", "a"]).unwrap_err(), BisectError::Twice("a".into()));
    let rates = Rates { broken: 0.1, fine: 0.5 };
    assert!(Bisection::new(vec!["a".into(), "b".into()], rates, Limits::default()).is_err());
    let mut bisection = begin(3);
    assert_eq!(bisection.report(7, Found::Good), Err(BisectError::NoProbe(7)));
    assert_eq!(bisection.past("x", true), Err(BisectError::NoCommit("x".into())));
    assert_eq!(bisection.extend_newer(vec!["1".into()]), Err(BisectError::Twice("1".into())));
    assert_eq!(bisection, begin(3));
    assert!(matches!(bisection.step(0), Step::Wait));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Against brute force: wherever the culprit is (nowhere and everywhere included) and whatever can't be tested, however many workers
    /// there are at each time and in whatever order results come back.
    #[test]
    fn it_says_what_can_be_said(
        commits in 2_usize..24,
        culprit in any::<prop::sample::Index>(),
        untestable in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        order in prop::collection::vec((0_usize..5, any::<bool>()), 1..20),
    ) {
        let culprit = culprit.index(commits + 1);
        let untestable: Vec<usize> = untestable.iter().map(|at| at.index(commits)).collect();
        let mut bisection = begin(commits);
        let mut turns = order.iter().cycle();
        let mut done = false;
        for turn in 0..600 {
            let (workers, late) = *turns.next().unwrap();
            let step = bisection.step(if turn % 7 == 0 { 2 } else { workers });
            if step == Step::Done {
                done = true;
                break;
            }
            let running: Vec<_> = bisection.running().collect();
            let some = if late { running.len().div_ceil(2) } else { running.len() };
            for probe in running.into_iter().rev().take(some) {
                bisection.report(probe.id, found(probe.commit.parse().unwrap(), culprit, &untestable)).unwrap();
            }
        }
        prop_assert!(done);
        prop_assert_eq!(bisection.answer(), Some(&at_best(commits, culprit, &untestable)));
    }
}
