use axum::body::Body;
use dashboard::api::{BuildQuery, BuildReport, BuildState, Cause, Outcome, TestKind, TestResult};
use sha2::{Digest as _, Sha256};

use crate::fixture::{Fixture, attempt_id, build_id, done, hash, report, revision};

pub(crate) async fn reports_only_get_newer(on: Fixture) {
    let first = report(1, "a", &revision("one@1"));
    on.client.put_build(&first).await.unwrap();
    on.client.put_build(&first).await.unwrap();
    assert_eq!(on.client.build(&first.id).await.unwrap(), first);
    let last = BuildReport {
        cause: Some(Cause { kind: "exit".into(), detail: "step test exited 1".into() }),
        ..done(first.clone(), Outcome::Failed, 5)
    };
    on.client.put_build(&last).await.unwrap();
    // An older version, a paused owner with a lower fence, and another story under the same version.
    let paused = BuildReport { fence: 0, version: 99, ..last.clone() };
    let other = BuildReport { outcome: Some(Outcome::Ok), ..last.clone() };
    for stale in [&first, &paused, &other] {
        assert!(on.client.put_build(stale).await.unwrap_err().is_code("stale"));
    }
    assert_eq!(on.client.build(&first.id).await.unwrap(), last);
    let retried =
        BuildReport { fence: 2, version: 1, state: BuildState::Queued, outcome: None, ..first.clone() };
    on.client.put_build(&retried).await.unwrap();
    assert_eq!(on.client.build(&first.id).await.unwrap().outcome, None);
    assert!(on.client.build(&build_id(9)).await.unwrap_err().is_code("not_found"));
}

pub(crate) async fn lists_by_what_is_asked(on: Fixture) {
    for n in 1..=7 {
        let builder = if n % 2 == 0 { "even" } else { "odd" };
        let build = report(n, builder, &revision(&format!("one@{n}")));
        on.client.put_build(&build).await.unwrap();
        if n > 3 {
            on.client.put_build(&done(build, Outcome::Ok, 5)).await.unwrap();
        }
    }
    let list = async |query: BuildQuery| {
        let list = on.client.builds(&query).await.unwrap();
        (list.builds.into_iter().map(|build| build.id).collect::<Vec<_>>(), list.next_cursor)
    };
    let ids = |numbers: &[u8]| numbers.iter().map(|n| build_id(*n)).collect::<Vec<_>>();
    let all = BuildQuery::default();
    let (first, cursor) = list(BuildQuery { limit: Some(4), ..all.clone() }).await;
    assert_eq!(first, ids(&[7, 6, 5, 4]));
    assert_eq!(list(BuildQuery { limit: Some(4), cursor, ..all.clone() }).await, (ids(&[3, 2, 1]), None));
    assert_eq!(list(BuildQuery { builder: Some("even".into()), ..all.clone() }).await.0, ids(&[6, 4, 2]));
    let odd_ok = BuildQuery { builder: Some("odd".into()), outcome: Some(Outcome::Ok), ..all.clone() };
    assert_eq!(list(odd_ok).await.0, ids(&[7, 5]));
    assert_eq!(list(BuildQuery { state: Some(BuildState::Queued), ..all.clone() }).await.0, ids(&[3, 2, 1]));
    let commit = BuildQuery { repo: Some("one".into()), commit: Some(hash(5)), ..all.clone() };
    assert_eq!(list(commit).await.0, ids(&[5]));
    assert_eq!(list(BuildQuery { branch: Some("x".into()), ..all.clone() }).await.0, ids(&[]));
    // A commit says of which repo it is, once it was posted.
    let by_itself = BuildQuery { commit: Some(hash(5)), ..all.clone() };
    assert_eq!(list(by_itself.clone()).await.0, ids(&[]));
    on.push("one", "main", &[5]).await;
    assert_eq!(list(by_itself).await.0, ids(&[5]));
    for limit in [0, 1001] {
        let bad = BuildQuery { limit: Some(limit), ..all.clone() };
        assert!(on.client.builds(&bad).await.unwrap_err().is_code("bad_request"), "{limit}");
    }
}

pub(crate) async fn expected_times_are_medians(on: Fixture) {
    assert_eq!(on.client.expected("a", "one", None).await.unwrap(), Default::default());
    for (n, seconds) in [(1, 100), (2, 10), (3, 30), (4, 20)] {
        let mut build = done(report(n, "a", &revision(&format!("one@{n}"))), Outcome::Ok, seconds);
        build.recipe = Some(if n == 1 { "old" } else { "new" }.into());
        on.client.put_build(&build).await.unwrap();
    }
    let failed = done(report(5, "a", &revision("one@5")), Outcome::Failed, 1);
    on.client.put_build(&failed).await.unwrap();
    let expected = on.client.expected("a", "one", None).await.unwrap();
    assert_eq!((expected.median_ms, expected.samples), (Some(25_000), 4));
    let expected = on.client.expected("a", "one", Some("new")).await.unwrap();
    assert_eq!((expected.median_ms, expected.samples), (Some(20_000), 3));
}

pub(crate) async fn bad_reports_are_refused(on: Fixture) {
    let good = report(1, "a", &revision("one@1"));
    for bad in [
        BuildReport { builder: "A b".into(), ..good.clone() },
        BuildReport { revision: "one".into(), ..good.clone() },
        BuildReport { repo: "two".into(), ..good.clone() },
        BuildReport { branch: String::new(), ..good.clone() },
        BuildReport { fence: u64::MAX, ..good.clone() },
    ] {
        assert!(on.client.put_build(&bad).await.unwrap_err().is_code("bad_request"), "{bad:?}");
    }
    let no_id = BuildReport { id: "../x".into(), ..good };
    assert!(on.client.put_build(&no_id).await.unwrap_err().is_code("not_found"));
    assert!(on.client.builds(&BuildQuery::default()).await.unwrap().builds.is_empty());
}

pub(crate) async fn the_failure_is_found_in_the_log(on: Fixture) {
    let build = report(1, "a", &revision("one@1"));
    on.client.put_build(&build).await.unwrap();
    let before = "running\n".repeat(5000);
    let log =
        format!("{before}test a::breaks ... FAILED\n\n---- a::breaks stdout ----\n\nassertion failed\n");
    let (one, two) = log.as_bytes().split_at(40_010);
    on.log(&attempt_id(1), &build.id, &[one, two]).await;
    assert_eq!(on.client.failure(&build.id).await.unwrap(), None);
    on.client.log_finish(&attempt_id(1), 1).await.unwrap();
    on.client.put_build(&done(build.clone(), Outcome::Failed, 5)).await.unwrap();
    let failure = on.client.failure(&build.id).await.unwrap().unwrap();
    assert_eq!((&*failure.rule, failure.test.as_deref(), failure.line), ("libtest", Some("a::breaks"), 5002));
    assert_eq!(on.client.build(&build.id).await.unwrap().failure, Some(failure.clone()));
    assert_eq!(on.client.failure(&build.id).await.unwrap(), Some(failure));
}

/// A step that always runs complains louder, one that went well did so before.
pub(crate) async fn the_failure_is_looked_for_in_the_step_that_failed(on: Fixture) {
    let build = report(1, "a", &revision("one@1"));
    let parts = ["error: only a warning\n", "checking\nexpected 3, got 2\n", "error: nothing to clean up\n"];
    on.client.put_build(&build).await.unwrap();
    on.log(&attempt_id(1), &build.id, &[parts.concat().as_bytes()]).await;
    on.client.log_finish(&attempt_id(1), 1).await.unwrap();
    let mut ended = done(build.clone(), Outcome::Failed, 5);
    ended.attempts[0].id = attempt_id(1);
    let mut at = 0;
    for (n, (part, exit)) in parts.iter().zip([0, 1, 0]).enumerate() {
        let end = at + part.len() as u64;
        ended.attempts[0].steps.push(dashboard::api::StepReport {
            name: format!("step {n}"),
            index: Some(n as u32),
            command: None,
            started: None,
            ended: None,
            exit: Some(exit),
            first_byte: Some(at),
            end_byte: Some(end),
        });
        at = end;
    }
    on.client.put_build(&ended).await.unwrap();
    let failure = on.client.failure(&build.id).await.unwrap().unwrap();
    let shown: Vec<_> = failure.lines.iter().map(|line| (line.line, line.text.as_str())).collect();
    assert_eq!((failure.headline.as_str(), failure.line), ("expected 3, got 2", 2), "{failure:?}");
    assert_eq!(shown, [(1, "checking"), (2, "expected 3, got 2")]);
}

pub(crate) async fn tests_and_artifacts_under_the_fence(on: Fixture) {
    let (build, attempt) = (build_id(1), attempt_id(1));
    let test = TestResult {
        id: "a::\0works".into(),
        outcome: "ok".into(),
        kind: TestKind::Benchmark,
        value: Some(1.5),
        unit: Some("ns".into()),
        last_byte: Some(7),
        ..TestResult::default()
    };
    let refused = on.client.put_tests(&attempt, 1, vec![test.clone()]).await.unwrap_err();
    assert!(refused.is_code("not_open"), "{refused}");
    on.client.log_open(&attempt, &build, 1).await.unwrap();
    on.client
        .put_tests(&attempt, 1, vec![test.clone(), TestResult { id: "b".into(), ..test.clone() }])
        .await
        .unwrap();
    on.client.put_tests(&attempt, 1, vec![TestResult { value: Some(2.5), ..test.clone() }]).await.unwrap();
    let content = vec![7_u8; 3_000_000];
    let sha256 = hex(&Sha256::digest(&content));
    let put = on.client.put_artifact(&attempt, 1, "out/a b.log", &sha256, Body::from(content.clone())).await;
    put.unwrap();
    // A newer owner takes over, and the old one writes neither.
    on.client.log_open(&attempt, &build, 2).await.unwrap();
    assert!(on.client.put_tests(&attempt, 1, vec![test.clone()]).await.unwrap_err().is_code("stale"));
    let objects = on.objects.list("").await.unwrap();
    let digest = hex(&Sha256::digest(b"late"));
    let late = on.client.put_artifact(&attempt, 1, "late", &digest, Body::from("late")).await;
    assert!(late.unwrap_err().is_code("stale"));
    assert_eq!(on.objects.list("").await.unwrap(), objects, "a stale owner leaves nothing behind");
    let tests = on.client.tests(&build).await.unwrap().tests;
    assert_eq!(tests.len(), 2);
    let shown = TestResult {
        id: "a::\u{fffd}works".into(),
        value: Some(2.5),
        attempt: Some(attempt.clone()),
        ..test
    };
    assert_eq!(tests[0], shown);
    let artifacts = on.client.artifacts(&build).await.unwrap().artifacts;
    assert_eq!(artifacts.len(), 1);
    assert_eq!(
        (&*artifacts[0].name, artifacts[0].size, &artifacts[0].sha256),
        ("out/a b.log", 3_000_000, &sha256)
    );
    let body = on.client.artifact(&attempt, "out/a b.log").await.unwrap();
    assert_eq!(axum::body::to_bytes(body, 1 << 24).await.unwrap(), content);
}

pub(crate) async fn an_artifact_with_another_digest_is_refused(on: Fixture) {
    let (build, attempt) = (build_id(1), attempt_id(1));
    on.client.log_open(&attempt, &build, 1).await.unwrap();
    let sha256 = hex(&Sha256::digest(b"this"));
    let refused = on.client.put_artifact(&attempt, 1, "x", &sha256, Body::from("that")).await.unwrap_err();
    assert!(refused.is_code("digest"), "{refused}");
    assert!(on.client.artifacts(&build).await.unwrap().artifacts.is_empty());
    assert!(on.objects.list("artifacts").await.unwrap().is_empty());
    let refused = on.client.put_artifact(&attempt, 1, "x", "../../x", Body::from("that")).await.unwrap_err();
    assert!(refused.is_code("bad_request"), "{refused}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
