//! Pages for those who run the system: the audit log and the statistics.

use dashboard::api::{
    AttemptReport, AuditList, BuildReport, Cause, DayStatistics, MachineStatistics, Outcome, Span,
};
use store::audit::{self, Deed};
use store::{BuildId, Micros};
use transport::{Role, Viewer};

use crate::fixture::{Fixture, at, done, report, revision};

async fn did(on: &Fixture, actor: &str, action: &str, target: &str, detail: &str) {
    let mut tx = on.db.begin().await.unwrap();
    let [actor, action, target, detail] = [actor, action, target, detail].map(str::to_owned);
    audit::append(&mut tx, Deed { time: Micros::now(), actor, action, target, detail }).await.unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn the_audit_log_is_shown_to_admins(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    let report = report(1, "a", &revision("one@2"));
    on.client.put_build(&report).await.unwrap();
    did(&on, "ada", "cancel", &report.id, "<b>why</b>").await;
    did(&on, "bo", "tree_set", "one main", "closed: x").await;
    did(&on, "ada", "tree_set", "two one-more", "open: y").await;
    let root = on.service.clone().asking_as(Viewer::known("root", Role::Admin));
    let list = async |query: &str| -> AuditList {
        root.get_json(&format!("/audit.json{query}")).await.unwrap_or_else(|e| panic!("{query}: {e}"))
    };
    let seqs = |list: &AuditList| list.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>();
    let all = list("").await;
    assert_eq!((seqs(&all), all.rows, all.next), (vec![3, 2, 1], 3, None));
    assert_eq!(all.actions, ["cancel", "tree_set"]);
    let chain = all.chain.unwrap();
    assert_eq!((chain.rows, chain.problem), (3, None));
    for (query, wanted) in [
        ("?who=ada", vec![3, 1]),
        ("?what=tree_set", vec![3, 2]),
        // A build is of its repo, and a tree of the first word.
        ("?target=one", vec![2, 1]),
        ("?target=on", vec![]),
        ("?target=%25", vec![]),
        ("?who=ada&what=tree_set&target=two", vec![3]),
        ("?before=3", vec![2, 1]),
    ] {
        assert_eq!(seqs(&list(query).await), wanted, "{query}");
    }
    let first = list("?limit=2").await;
    assert_eq!((seqs(&first), first.next), (vec![3, 2], Some(2)));
    let page =
        root.send(http::Request::get("/audit").body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let page = axum::body::to_bytes(page.into_body(), 1 << 20).await.unwrap();
    let page = String::from_utf8(page.into()).unwrap();
    for part in ["✓ whole", "up to row 3", "&#60;b&#62;why", "tree_set"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    // A row that is changed is seen at once.
    let mut tx = on.db.begin().await.unwrap();
    sqlx::query("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
        .execute(store::Conn::conn(&mut tx))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let broken = list("").await.chain.unwrap();
    assert!(broken.problem.unwrap().contains("audit row 2"));
    for (viewer, wanted) in [
        (Viewer::stranger(true), 401),
        (Viewer::known("ada", Role::Developer), 403),
        (Viewer::known("coordinator", Role::Service), 403),
    ] {
        let service = on.service.clone().asking_as(viewer);
        for path in ["/audit", "/audit.json", "/api/v1/audit"] {
            let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
            assert_eq!(service.send(request).await.unwrap().status().as_u16(), wanted, "{path}");
        }
    }
}

/// A build of now whose step `test` took so many seconds.
async fn timed(on: &Fixture, n: u8, builder: &str, seconds: i64, outcome: Outcome) {
    let id = BuildId::generate(Micros::now()).to_string();
    let span = |name: &str, from: i64, to: i64| Span {
        name: name.into(),
        detail: String::new(),
        start: at(from),
        end: Some(at(to)),
        error: None,
    };
    let mut build = done(report(n, builder, &revision("one@2")), outcome, seconds);
    build.attempts[0].spans = vec![
        span("queued", 0, 1),
        span("source", 1, 3),
        span("unpack", 3, 4),
        span("build", 4, 9),
        span("test", 9, 9 + seconds),
    ];
    on.client.put_build(&BuildReport { id, ..build }).await.unwrap();
}

pub(crate) async fn statistics_show_the_time_of_each_step(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    for (n, seconds) in [3, 1, 2, 10, 4, 5, 6, 7, 8, 9].into_iter().enumerate() {
        timed(&on, n as u8, "a", seconds, Outcome::Ok).await;
    }
    timed(&on, 20, "a", 1000, Outcome::InfraFailed).await;
    timed(&on, 21, "b", 7, Outcome::Failed).await;
    let told: serde_json::Value = on.service.get_json("/statistics.json?repo=one").await.unwrap();
    let steps = told[0]["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["queued", "source", "unpack", "build", "test"], "in the order of a build");
    let test = &steps[4];
    assert_eq!((test["times"].as_i64(), test["median_us"].as_i64()), (Some(10), Some(5_000_000)));
    assert_eq!(test["p90_us"].as_i64(), Some(9_000_000));
    assert_eq!(told[1]["steps"][4]["median_us"].as_i64(), Some(7_000_000));
    let only: serde_json::Value = on.service.get_json("/statistics.json?builder=b").await.unwrap();
    assert_eq!(only.as_array().unwrap().len(), 1);
    let page = on.text("/statistics").await;
    for part in ["Time per step", ">a test</text>", "5.0 s – 9.0 s", "<td>unpack</td>"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    // Reported again it counts once.
    let id = BuildId::generate(Micros::now()).to_string();
    for version in [5, 6] {
        let again = done(report(22, "c", &revision("one@1")), Outcome::Ok, 4);
        on.client.put_build(&BuildReport { id: id.clone(), version, ..again }).await.unwrap();
    }
    let told: serde_json::Value = on.service.get_json("/statistics.json?builder=c").await.unwrap();
    assert_eq!(told[0]["steps"][0]["times"].as_i64(), Some(1), "{told}");
}

/// A build of now with these attempts: machine, outcome, kind of the cause.
async fn attempted(on: &Fixture, n: u8, builder: &str, attempts: &[(&str, Outcome, &str)]) {
    let id = BuildId::generate(Micros::now()).to_string();
    let outcome = attempts.last().map_or(Outcome::Ok, |(_, outcome, _)| *outcome);
    let mut build = done(report(n, builder, &revision("one@2")), outcome, 4);
    let attempt = |(number, (machine, outcome, cause)): (u32, &(&str, Outcome, &str))| AttemptReport {
        number,
        outcome: Some(*outcome),
        cause: Some(Cause { kind: (*cause).to_owned(), detail: String::new() }),
        inputs: std::collections::BTreeMap::from([("machine".to_owned(), (*machine).into())]),
        ..build.attempts[0].clone()
    };
    build.attempts = (1..).zip(attempts).map(attempt).collect();
    build.created = jiff::Timestamp::now();
    build.started = Some(build.created + jiff::SignedDuration::from_secs(2));
    build.ended = Some(build.created + jiff::SignedDuration::from_secs(6));
    on.client.put_build(&BuildReport { id, ..build }).await.unwrap();
}

async fn get<T: serde::de::DeserializeOwned>(on: &Fixture, path: &str) -> T {
    on.service.get_json(path).await.unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) async fn a_bad_machine_and_a_bad_day_are_seen(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    let (ok, failed, infra) = (Outcome::Ok, Outcome::Failed, Outcome::InfraFailed);
    for n in 0..4 {
        attempted(&on, n, "a", &[("m1", ok, "")]).await;
    }
    attempted(&on, 5, "a", &[("m2", infra, "worker_lost"), ("m1", ok, "")]).await;
    attempted(&on, 6, "a", &[("m2", failed, "exit"), ("m1", ok, "")]).await;
    attempted(&on, 7, "a", &[("m2", failed, "exit")]).await;
    attempted(&on, 8, "b", &[("m1", infra, "source")]).await;
    let machines: Vec<MachineStatistics> =
        on.service.get_json("/statistics/machines.json?repo=one").await.unwrap();
    let told: Vec<_> =
        machines.iter().map(|one| (one.machine.as_str(), one.attempts, one.lost, one.flaked)).collect();
    assert_eq!(told, [("m2", 3, 1, 1), ("m1", 7, 0, 0)], "the bad one first");
    // About midnight there may be two days.
    assert!((1..=2).contains(&machines[1].days.len()), "{machines:?}");
    assert_eq!(machines[1].days.iter().map(|day| day.attempts).sum::<i64>(), 7);
    let only: Vec<MachineStatistics> = get(&on, "/statistics/machines.json?machine=local/m1").await;
    assert_eq!(only.len(), 1);
    assert!(get::<Vec<MachineStatistics>>(&on, "/statistics/machines.json?repo=lib").await.is_empty());
    assert_eq!(on.client.machine_statistics(1).await.unwrap().len(), 2);
    let page = on.text("/statistics/machines").await;
    for part in ["66.6 % of 3", "<svg", "0.0 % of 7", "value=\"\""] {
        assert!(page.contains(part), "{part} in {page}");
    }

    let days: Vec<DayStatistics> = get(&on, "/statistics/days.json?days=1&builder=a").await;
    assert_eq!(days.len(), 2, "today and the day before");
    let sum = |of: fn(&DayStatistics) -> i64| days.iter().map(of).sum::<i64>();
    assert_eq!((sum(|day| day.builds), sum(|day| day.failed), sum(|day| day.flaked)), (7, 1, 1));
    assert_eq!((sum(|day| day.attempts), sum(|day| day.lost), sum(|day| day.retried)), (9, 1, 2));
    let day = days.iter().max_by_key(|day| day.builds).unwrap();
    assert_eq!((day.queued_us, day.took_us), (2_000_000, 4_000_000));
    assert_eq!(day.steps[0].mean_us, 1_000_000, "{day:?}");
    let page = on.text("/statistics/days?days=30").await;
    for part in ["Share of flakes", "Time of step source, on average", "2.0 s", &day.day] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert_eq!(on.get("/statistics/days.json?days=91").await.status(), 400);
    assert_eq!(on.get("/statistics/machines.json?days=0").await.status(), 400);
}
