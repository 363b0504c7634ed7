//! Results of tests: out of logs, and on pages.

use dashboard::LogLimits;
use dashboard::api::{BuildTests, LogPart, Outcome, TestGrid, TestNames, TestResult, TestRun, TestSource};
use serde::de::DeserializeOwned;

use crate::fixture::{Fixture, attempt_id, build_id, done, report, revision, write_log};

async fn json<T: DeserializeOwned>(on: &Fixture, path: &str) -> T {
    let text = on.text(path).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

fn source(format: &str, parts: &[(u64, Option<u64>)]) -> TestSource {
    let parts =
        parts.iter().map(|(first_byte, end_byte)| LogPart { first_byte: *first_byte, end_byte: *end_byte });
    TestSource { format: format.to_owned(), parts: parts.collect() }
}

fn test(id: &str, outcome: &str) -> TestResult {
    let message = (outcome == "failed").then(|| format!("x_test.go:3: {id} broke"));
    TestResult {
        id: id.into(),
        outcome: outcome.into(),
        message,
        duration_us: Some(2_000_000),
        ..TestResult::default()
    }
}

pub(crate) async fn a_log_is_read_for_results_under_its_fence(on: Fixture) {
    let (build, attempt) = (build_id(1), attempt_id(1));
    let log = b"ok 1 - made\n--- FAIL: TestX (0.10s)\n    x_test.go:7: got 3\nFAIL\nFAIL\tnet\t0.2s\nok  \tos\t1s\nok  \tio\t1s\n";
    // Cut in the middle of lines.
    let chunks: Vec<&[u8]> = log.chunks(7).collect();
    on.log(&attempt, &build, &chunks).await;
    let read = |fence, source| {
        let (client, attempt) = (on.client.clone(), attempt.clone());
        async move { client.read_tests(&attempt, fence, &source).await }
    };
    let stale = read(9, source("dist", &[(0, None)])).await.unwrap_err();
    assert!(stale.is_code("stale"), "{stale}");
    for (format, said) in [("junit", "where they lie"), ("nose", "is no format of test results")] {
        let refused = read(1, source(format, &[])).await.unwrap_err().to_string();
        assert!(refused.contains(said), "{refused}");
    }
    let end = log.len() as u64 - b"ok  \tio\t1s\n".len() as u64;
    for _ in 0..2 {
        let found = read(1, source("dist", &[(12, Some(end))])).await.unwrap();
        assert_eq!((found.tests, found.left_out, found.cut), (3, 0, 0));
        let tests = on.client.tests(&build).await.unwrap().tests;
        let told: Vec<_> = tests.iter().map(|test| (test.id.as_str(), test.outcome.as_str())).collect();
        assert_eq!(told, [("net", "failed"), ("net.TestX", "failed"), ("os", "ok")]);
        let failed = &tests[1];
        let bytes = failed.first_byte.unwrap() as usize..=failed.last_byte.unwrap() as usize;
        assert_eq!(&log[bytes], b"--- FAIL: TestX (0.10s)\n    x_test.go:7: got 3\n");
        assert_eq!(failed.signature.as_ref().map(String::len), Some(16));
        assert_eq!(tests[2].signature, None);
    }
    // What is left out of a log that is too long is passed over, and places behind it are right.
    let limits = LogLimits { head: 40, tail: 40, ..LogLimits::default() };
    let small = on.with(&on.objects, limits);
    let lines: Vec<String> = (100..140).map(|n| format!("ok {n} - test {n}\n")).collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    write_log(&small, &attempt_id(2), &build_id(2), &lines).await;
    let found = small.read_tests(&attempt_id(2), 1, &source("tap", &[(0, None)])).await.unwrap();
    let tests = small.tests(&build_id(2)).await.unwrap().tests;
    assert!((4..10).contains(&tests.len()) && found.tests == tests.len() as u64, "{tests:?}");
    let (last, size) = (tests.last().unwrap(), lines.iter().map(|line| line.len() as u64).sum::<u64>());
    assert_eq!((last.id.as_str(), last.last_byte), ("test 139", Some(size - 1)));
}

/// Four builds of builder `a`, of commits 1 to 4: `pkg.TestFlaky` fails in the third alone, `pkg.TestBad` in the last.
async fn four(on: &Fixture) {
    on.push("one", "main", &[4, 3, 2, 1]).await;
    for n in 1..=4_u8 {
        on.log(&attempt_id(n), &build_id(n), &[b"log\n"]).await;
        let outcome = if n > 2 { Outcome::Failed } else { Outcome::Ok };
        on.client.put_build(&done(report(n, "a", &revision(&format!("one@{n}"))), outcome, 5)).await.unwrap();
        let mut tests = vec![
            test("pkg.TestFlaky", if n == 3 { "failed" } else { "ok" }),
            test("pkg.TestBad", if n == 4 { "failed" } else { "ok" }),
            test("pkg.Test%_good", "ok"),
        ];
        tests[0].first_byte = Some(2);
        if n == 4 {
            tests.extend((0..300).map(|n| test(&format!("many.Test{n:03}"), "ok")));
        }
        on.client.put_tests(&attempt_id(n), 1, tests).await.unwrap();
    }
}

pub(crate) async fn tests_are_found_and_their_history_is_shown(on: Fixture) {
    four(&on).await;
    let runs: Vec<TestRun> = json(&on, "/tests.json?repo=one&id=pkg.TestFlaky").await;
    let told: Vec<_> =
        runs.iter().map(|run| (run.outcome.as_str(), run.builder.as_str(), run.flaky)).collect();
    assert_eq!(told, [("ok", "a", false), ("failed", "a", true), ("ok", "a", false), ("ok", "a", false)]);
    let rest: Vec<TestRun> =
        json(&on, &format!("/tests.json?repo=one&id=pkg.TestFlaky&cursor={}", runs[1].cursor)).await;
    assert_eq!(rest.iter().map(|run| &run.build).collect::<Vec<_>>(), [&build_id(2), &build_id(1)]);
    let page = on.text("/tests?repo=one&id=pkg.TestFlaky&builder=a").await;
    assert!(page.contains("Of 4 runs 1 failed (25.0 %)") && page.contains("</a> flaky"), "{page}");

    let found: TestNames = json(&on, "/tests/find.json?repo=one&q=PKG.test").await;
    let names: Vec<_> = found.tests.iter().map(|test| test.id.as_str()).collect();
    assert_eq!(names, ["pkg.Test%_good", "pkg.TestBad", "pkg.TestFlaky"]);
    assert_eq!(found.tests[0].build, build_id(4));
    // Signs of patterns are only signs.
    let found: TestNames = json(&on, "/tests/find.json?repo=one&q=%25_").await;
    assert_eq!(found.tests.len(), 1);
    let mut seen = 0;
    let mut cursor = String::new();
    for _ in 0..5 {
        let found: TestNames = json(&on, &format!("/tests/find.json?repo=one&cursor={cursor}")).await;
        seen += found.tests.len();
        let Some(next) = found.next_cursor else { break };
        cursor = transport::segment(&next).to_string();
    }
    assert_eq!(seen, 303);
    assert!(on.text("/tests/find?repo=one&q=many").await.contains("rel=\"next\""));
    assert!(on.text("/tests/find").await.contains("Say of which repo"));

    let tests = on.client.tests(&build_id(3)).await.unwrap().tests;
    let signature = tests.iter().find_map(|test| test.signature.clone()).unwrap();
    let alike: TestNames = json(&on, &format!("/tests/find.json?signature={signature}")).await;
    assert_eq!(alike.failures.len(), 1);
    assert_eq!(
        (&alike.failures[0].test, &alike.failures[0].build),
        (&"pkg.TestFlaky".to_owned(), &build_id(3))
    );
    assert!(on.text(&format!("/tests/find?signature={signature}")).await.contains("pkg.TestFlaky"));
}

pub(crate) async fn tests_of_a_build_and_against_builds(on: Fixture) {
    four(&on).await;
    let build = build_id(4);
    let (mut all, mut cursor) = (Vec::new(), String::new());
    for _ in 0..5 {
        let list: BuildTests = json(&on, &format!("/builds/{build}/tests.json?cursor={cursor}")).await;
        let counts: Vec<_> = list.counts.iter().map(|of| (of.outcome.as_str(), of.count)).collect();
        assert_eq!(counts, [("failed", 1), ("ok", 302)]);
        all.extend(list.tests.into_iter().map(|test| test.id));
        let Some(next) = list.next_cursor else { break };
        cursor = transport::segment(&next).to_string();
    }
    assert_eq!((all.len(), all[0].as_str(), all[1].as_str()), (303, "pkg.TestBad", "many.Test000"));
    let some: BuildTests = json(&on, &format!("/builds/{build}/tests.json?outcome=ok&q=test%25")).await;
    assert_eq!(some.tests.iter().map(|test| test.id.as_str()).collect::<Vec<_>>(), ["pkg.Test%_good"]);
    let refused: serde_json::Value = json(&on, &format!("/builds/{build}/tests.json?cursor=x")).await;
    assert!(refused.to_string().contains("cursor"), "{refused}");

    let page = on.text(&format!("/builds/{build}/tests")).await;
    let log = format!("/builds/{}/log?attempt={}&amp;byte=2", build_id(3), attempt_id(3));
    assert!(
        page.contains("302 ok") && page.contains("pkg.TestBad broke") && page.contains("rel=\"next\""),
        "{page}"
    );
    let page = on.text(&format!("/builds/{}", build_id(3))).await;
    assert!(page.contains(&log) && page.contains(&format!("/builds/{}/tests\"", build_id(3))), "{page}");
    let page = on.text(&format!("/builds/{}/tests", build_id(3))).await;
    assert!(
        page.replace("&#38;", "&amp;").contains(&log) && page.contains("/tests/find?signature="),
        "{page}"
    );

    let grid: TestGrid = json(&on, "/tests/grid.json?repo=one&builder=a").await;
    assert_eq!(
        grid.builds.iter().map(|of| &of.build).collect::<Vec<_>>(),
        [&build_id(4), &build_id(3), &build_id(2), &build_id(1)]
    );
    let rows: Vec<_> = grid
        .rows
        .iter()
        .map(|row| {
            let cells: Vec<_> =
                row.cells.iter().map(|cell| cell.as_ref().map_or("", |cell| &cell.outcome)).collect();
            (row.id.as_str(), cells)
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("pkg.TestBad", vec!["failed", "ok", "ok", "ok"]),
            ("pkg.TestFlaky", vec!["ok", "failed", "ok", "ok"])
        ]
    );
    let grid: TestGrid = json(&on, "/tests/grid.json?repo=one&builder=a&q=test007").await;
    assert_eq!(
        (grid.rows.len(), grid.rows[0].cells[0].is_some(), grid.rows[0].cells[1].is_none()),
        (1, true, true)
    );
    assert!(on.text("/tests/grid?repo=one&builder=a").await.contains("✗ failed"));
    assert!(on.text("/tests/grid").await.contains("Say of which repo and builder"));
}
