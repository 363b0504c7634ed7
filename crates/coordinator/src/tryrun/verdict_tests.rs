//! The way of a failure from the results of builds to what it does to the run, over seeded worlds whose truth is known: as a coordinator
//! goes it, only without builds. The crate `triage` has the table of all worlds.

use dashboard::api::TestResult;
use store::{AttemptId, BuildId, TryRunId, WorkerId};

use super::*;

const SEEDS: u64 = 300;
/// The most that may be wrong: 1 %.
const WRONG: usize = 3;

/// A build with a test that fails or not, made by some worker.
fn told(failed: bool, worker: u8) -> Told {
    let id = |n: u8| WorkerId::new(Micros(1), &mut |to| to.fill(n));
    let test = |id: &str, failed: bool| TestResult {
        id: id.into(),
        outcome: if failed { "failed" } else { "ok" }.into(),
        signature: failed.then(|| "it broke".into()),
        ..TestResult::default()
    };
    Told {
        attempt: Some((AttemptId::new(Micros(1), &mut |to| to.fill(worker)), id(worker))),
        outcome: if failed { "failed" } else { "ok" }.into(),
        cause: Cause {
            kind: if failed { "exit" } else { "" }.into(),
            detail: if failed { "test: exit status 1" } else { "" }.into(),
        },
        tests: vec![test("net.TestDial", failed), test("net.TestRead", false)],
        seconds: 10,
        ..Told::default()
    }
}

/// The row of the build that failed, and its run.
fn rows() -> (TryRunRow, BuildRow) {
    let id = BuildId::new(Micros(1), &mut |to| to.fill(1));
    let run = TryRunRow {
        id: TryRunId::new(Micros(1), &mut |to| to.fill(1)),
        review: "g/one~1".into(),
        repo: "one".into(),
        branch: "main".into(),
        patch_set: 1,
        commit: "1".repeat(40),
        change_id: String::new(),
        title: String::new(),
        asked_by: String::new(),
        terms: String::new(),
        left_out: String::new(),
        rules: String::new(),
        state: "running".into(),
        reason: None,
        settled: false,
        began: Micros(1),
        ended: None,
    };
    let build = BuildRow {
        id,
        builder: "linux".into(),
        repo: "one".into(),
        branch: "main".into(),
        toolchain_branch: None,
        revision: format!("one@{}", "1".repeat(40)),
        class: "try".into(),
        priority: 0,
        commit_time: Micros(1),
        state: "done".into(),
        outcome: Some("failed".into()),
        cause: None,
        fence: 1,
        version: 1,
        attempts: 1,
        retried_from: 0,
        not_before: Micros(0),
        cancel: None,
        created: Micros(1),
        queued: Micros(1),
        started: None,
        ended: None,
        reported: true,
        untrusted: true,
        sample: String::new(),
        avoid: String::new(),
        rules: String::new(),
    };
    (run, build)
}

/// How a case ends of a test that fails so often with the change and without: the verdict, and whether the run fails by it.
fn judged_of(seed: u64, changed: f64, base: f64, past: u32) -> (String, bool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (run, row) = rows();
    let first = told(true, 1);
    let (attempt, worker) = first.attempt.unwrap();
    let Failing { test, variant, signature } = first.failing().remove(0);
    let mut case = Case::new(&test, &row.builder, Signature(signature.clone()), &worker.to_string());
    case.workers = Workers::OnlyOthers;
    case.limits = Limits { runs: 24, seconds: SECONDS, ..Limits::default() };
    let same = (0..past).filter(|_| random.f64() < base).count() as u32;
    case.history.here = Tally { runs: past, same, other: 0 };
    let doc = Doc { case, cause: first.cause.clone(), went_well: false, base_alike: false, all_muted: false };
    let row_of = VerdictRow {
        attempt,
        test,
        variant,
        run: run.id,
        build: row.id,
        builder: row.builder.clone(),
        signature,
        base: format!("one@{}", "0".repeat(40)),
        verdict: None,
        sentence: String::new(),
        doc: String::new(),
        began: Micros(1),
        ended: None,
    };
    let mut open = vec![Open { row: row_of, doc }];
    for round in 0..50_u8 {
        let more = judged(&mut open, Micros(2));
        if open[0].row.verdict.is_some() {
            break;
        }
        assert!(more.changed + more.base > 0, "neither a verdict nor builds that would tell");
        let places = std::iter::repeat_n(("changed", changed), more.changed)
            .chain(std::iter::repeat_n(("base", base), more.base));
        for (place, rate) in places {
            let told = told(random.f64() < rate, 2 + round % 100);
            open.iter_mut().for_each(|one| one.count(place, &told, told.outcome == "ok"));
        }
        // As it lies in the database between two looks.
        open = open.into_iter().map(Open::written).filter_map(opened).collect();
    }
    let cases: Vec<VerdictRow> = open.into_iter().map(Open::written).collect();
    let mut all = Findings::default();
    conclude(&cases, &run, &row, "https://ci", &mut all);
    let counted = all.counted(std::slice::from_ref(&row));
    assert_eq!(counted[0].outcome.as_deref() == Some("ok"), all.excused.contains(&row.id));
    (cases[0].verdict.clone().unwrap_or_default(), all.blamed.contains(&row.id))
}

/// How many of the seeds end so.
fn count(changed: f64, base: f64, past: u32, is: impl Fn(&str, bool) -> bool) -> usize {
    (0..SEEDS)
        .map(|seed| judged_of(seed, changed, base, past))
        .filter(|(verdict, fails)| is(verdict, *fails))
        .count()
}

#[test]
fn over_300_runs_a_flake_is_not_blamed_and_a_break_is() {
    let third = 1.0 / 3.0;
    for past in [0, 60] {
        let caused = count(third, third, past, |verdict, _| verdict == "caused");
        assert!(caused <= WRONG, "a one-in-three flake was called caused {caused} times, past {past}");
        let missed = count(1.0, 0.0, past, |verdict, fails| verdict == "flaky" || !fails);
        assert!(missed <= WRONG, "a break was called flaky, or failed no run, {missed} times, past {past}");
    }
    let good = count(third, third, 60, |verdict, fails| verdict == "flaky" && !fails);
    assert!(good >= 250, "a known flake fails no run, {good}");
}
