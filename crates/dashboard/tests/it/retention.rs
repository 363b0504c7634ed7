//! What is kept no more: by random histories against a second reading of the rules, and a process that dies anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use dashboard::api::{Outcome, TestResult};
use dashboard::{Dashboard, DashboardParts, Gone, LogLimits, Round};
use object_store::ObjectStore;
use sha2::{Digest as _, Sha256};
use store::results::ResultRow;
use store::{AttemptId, BuildId, Db, Micros, Objects};
use tokio::sync::watch;

use crate::faulty::Faulty;
use crate::fixture::{CONFIG, Fixture, attempt_id, build_id, config, done, report, revision};

const DAY: i64 = 86_400_000_000;

/// A history is made of these numbers alone.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len() as u64) as usize]
    }

    fn bytes(&mut self, size: usize) -> Vec<u8> {
        (0..size).map(|_| self.roll(256) as u8).collect()
    }
}

#[derive(Debug)]
struct Made {
    build: BuildId,
    builder: String,
    branch: String,
    outcome: Option<String>,
    ended: Micros,
    logs: Vec<(AttemptId, Vec<u8>)>,
    artifacts: Vec<(AttemptId, String, Vec<u8>)>,
    tests: usize,
}

/// A build of `one` whose parts may be small and in rows, or large and in objects.
async fn make(on: &Fixture, dice: &mut Dice, n: u64, now: Micros) -> Made {
    let fill = |n: u64| move |to: &mut [u8]| to.iter_mut().zip(n.to_be_bytes()).for_each(|(to, n)| *to = n);
    let ended = Micros(now.0 - dice.roll(400) as i64 * DAY - dice.roll(DAY as u64) as i64);
    let build = BuildId::new(Micros(ended.0 - 60_000_000), &mut fill(n));
    let done = dice.roll(10) > 0;
    let outcome = dice.one_of(&["ok", "ok", "failed", "infra_failed", "cancelled"]);
    let row = ResultRow {
        build,
        builder: dice.one_of(&["a", "b"]).into(),
        repo: "one".into(),
        branch: dice.one_of(&["main", "main", "dev", "release-1"]).into(),
        subject: format!("{n:040x}"),
        revision: format!("one@{n:040x}"),
        class: "post_submit".into(),
        state: if done { "done" } else { "running" }.into(),
        outcome: done.then(|| outcome.to_owned()),
        cause: None,
        recipe: None,
        attempts: 1,
        fence: 1,
        version: 1,
        created: Micros(ended.0 - 60_000_000),
        started: Some(Micros(ended.0 - 50_000_000)),
        ended: done.then_some(ended),
        expected: None,
        sample: false,
    };
    let mut tx = on.db.begin().await.unwrap();
    store::results::put(&mut tx, &row, "{}").await.unwrap();
    tx.commit().await.unwrap();
    let mut made = Made {
        build,
        builder: row.builder,
        branch: row.branch,
        outcome: row.outcome,
        ended,
        logs: Vec::new(),
        artifacts: Vec::new(),
        tests: 0,
    };
    for nth in 0..dice.roll(3) {
        let attempt = AttemptId::new(ended, &mut fill(n * 8 + nth));
        let (id, of) = (attempt.to_string(), build.to_string());
        let sizes = [10, 40_000, 0];
        let chunks: Vec<Vec<u8>> = (0..1 + dice.roll(2))
            .map(|_| {
                let size = sizes[dice.roll(3) as usize];
                dice.bytes(size)
            })
            .collect();
        on.log(&id, &of, &chunks.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
        if dice.roll(2) == 0 {
            // Few contents, so that artefacts share them.
            let content = vec![dice.roll(6) as u8; 1000];
            let sha256 = hex(&Sha256::digest(&content));
            on.client.put_artifact(&id, 1, "out", &sha256, Body::from(content.clone())).await.unwrap();
            made.artifacts.push((attempt, "out".into(), content));
        }
        let tests: Vec<TestResult> = (0..dice.roll(4))
            .map(|n| TestResult { id: format!("t{n}"), outcome: "ok".into(), ..TestResult::default() })
            .collect();
        made.tests += tests.len();
        on.client.put_tests(&id, 1, tests).await.unwrap();
        made.logs.push((attempt, chunks.concat()));
    }
    made
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The rules once more, by what the manual says of them.
#[derive(Debug)]
struct Rules {
    ages: BTreeMap<&'static str, i64>,
    failed: Option<i64>,
    branches: bool,
    last_green: usize,
}

impl Rules {
    fn throw(dice: &mut Dice) -> Rules {
        let mut ages = BTreeMap::new();
        for kind in ["logs", "artifacts", "tests"] {
            if dice.roll(4) > 0 {
                ages.insert(kind, 1 + dice.roll(300) as i64);
            }
        }
        let failed = (dice.roll(2) == 0).then(|| 1 + dice.roll(400) as i64);
        Rules { ages, failed, branches: dice.roll(2) == 0, last_green: dice.roll(3) as usize }
    }

    fn text(&self) -> String {
        let mut text = format!("{CONFIG}\n[retention]\nlast_green = {}\n", self.last_green);
        for (kind, days) in &self.ages {
            text.push_str(&format!("{kind} = \"{days}d\"\n"));
        }
        if let Some(days) = self.failed {
            text.push_str(&format!("failed = \"{days}d\"\n"));
        }
        if self.branches {
            text.push_str("branches = [\"release-*\"]\n");
        }
        text
    }

    fn keeps(&self, kind: &str, build: &Made, all: &[Made], now: Micros) -> bool {
        let (Some(age), Some(outcome)) = (self.ages.get(kind), build.outcome.as_deref()) else { return true };
        let newer_green = all.iter().filter(|other| {
            other.outcome.as_deref() == Some("ok")
                && (&other.builder, &other.branch) == (&build.builder, &build.branch)
                && other.build.to_string() > build.build.to_string()
        });
        let age = if outcome == "ok" { *age } else { (*age).max(self.failed.unwrap_or(0)) };
        (self.branches && build.branch.starts_with("release-"))
            || (outcome == "ok" && newer_green.count() < self.last_green)
            || build.ended.0 + age * DAY >= now.0
    }
}

fn dashboard(db: &Db, objects: &Objects, rules: &Rules) -> Dashboard {
    let (_, config) = watch::channel(Arc::new(config(&rules.text())));
    Dashboard::new(DashboardParts {
        db: db.clone(),
        objects: objects.clone(),
        config,
        logs: LogLimits::default(),
    })
}

/// What is there is as it was written, and what is not says so. Returns what expired, by kind and build.
async fn check(on: &Fixture, all: &[Made], gone: &mut BTreeMap<(&'static str, String), bool>) {
    for made in all {
        let id = made.build.to_string();
        for (attempt, content) in &made.logs {
            let answer = on.get(&format!("/api/v1/attempts/{attempt}/log")).await;
            let expired = gone.get(&("logs", id.clone())) == Some(&true);
            assert_eq!(answer.status().as_u16(), if expired { 410 } else { 200 }, "log of {made:?}");
            if !expired {
                let bytes = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
                assert!(bytes == *content, "the log of {} is another one", made.build);
            }
        }
        for (attempt, name, content) in &made.artifacts {
            let answer = on.get(&format!("/api/v1/attempts/{attempt}/artifacts/{name}")).await;
            let expired = gone.get(&("artifacts", id.clone())) == Some(&true);
            assert_eq!(answer.status().as_u16(), if expired { 410 } else { 200 }, "artefact of {made:?}");
            if !expired {
                let bytes = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
                assert!(bytes == *content);
            }
        }
        let tests = on.client.tests(&id).await.unwrap().tests.len();
        let expired = gone.get(&("tests", id.clone())) == Some(&true);
        assert_eq!(tests, if expired { 0 } else { made.tests }, "tests of {made:?}");
    }
}

pub(crate) async fn random_histories_lose_nothing_that_a_rule_keeps(on: Fixture) {
    for seed in 1..=4 {
        let on = Fixture::new(on.db.dialect()).await;
        on.push("one", "main", &[1]).await;
        let mut dice = Dice(seed);
        // Objects are as old as this test, so the rounds are in the future.
        let mut now = Micros(Micros::now().0 + 500 * DAY);
        let mut all = Vec::new();
        for n in 0..30 {
            all.push(make(&on, &mut dice, seed * 1000 + n, now).await);
        }
        let mut gone = BTreeMap::new();
        for _ in 0..4 {
            let rules = Rules::throw(&mut dice);
            now = Micros(now.0 + (1 + dice.roll(40) as i64) * DAY + 1);
            let dashboard = dashboard(&on.db, &on.objects, &rules);
            let before = on.objects.list("").await.unwrap();
            let said = dashboard.gc(Round { now, dry_run: true }).await.unwrap();
            assert_eq!(on.objects.list("").await.unwrap(), before, "a dry run changes nothing");
            check(&on, &all, &mut gone).await;
            let did = dashboard.gc(Round { now, dry_run: false }).await.unwrap();
            assert_eq!(said, did, "seed {seed}: {rules:?}");
            for made in &all {
                for kind in ["logs", "artifacts", "tests"] {
                    if !rules.keeps(kind, made, &all, now) {
                        gone.insert((kind, made.build.to_string()), true);
                    }
                }
            }
            check(&on, &all, &mut gone).await;
            let again = dashboard.gc(Round { now, dry_run: false }).await.unwrap();
            assert!(again.is_nothing(), "seed {seed}: {again:?}");
        }
        // A day on, objects are those that rows name, and no other.
        let rules = Rules { ages: BTreeMap::new(), failed: None, branches: false, last_green: 0 };
        let last = dashboard(&on.db, &on.objects, &rules);
        last.gc(Round { now: Micros(now.0 + 2 * DAY), dry_run: false }).await.unwrap();
        check(&on, &all, &mut gone).await;
        assert_eq!(objects_of(&on).await, named(&on).await, "seed {seed}");
    }
}

async fn objects_of(on: &Fixture) -> Vec<String> {
    on.objects.list("").await.unwrap().into_iter().map(|object| object.path).collect()
}

/// The objects that rows which are not cleared name.
async fn named(on: &Fixture) -> Vec<String> {
    let mut reader = on.db.read().await.unwrap();
    let mut found = Vec::new();
    for text in [
        "SELECT object FROM log_chunks WHERE object IS NOT NULL",
        "SELECT DISTINCT object FROM artifacts WHERE cleared = 0",
    ] {
        let rows = sqlx::query(text).fetch_all(store::Conn::conn(&mut reader)).await.unwrap();
        found.extend(rows.iter().map(|row| sqlx::Row::get::<String, _>(row, 0)));
    }
    found.sort();
    found
}

pub(crate) async fn a_round_that_dies_anywhere_is_finished_by_the_next(on: Fixture) {
    on.push("one", "main", &[1]).await;
    let mut dice = Dice(7);
    let mut now = Micros(Micros::now().0 + 500 * DAY);
    let ages = [("logs", 30), ("artifacts", 60)].into();
    let rules = Rules { ages, failed: None, branches: true, last_green: 1 };
    let mut all = Vec::new();
    for n in 0..30 {
        all.push(make(&on, &mut dice, n, now).await);
    }
    let mut gone = BTreeMap::new();
    for made in &all {
        for kind in ["logs", "artifacts"] {
            gone.insert((kind, made.build.to_string()), !rules.keeps(kind, made, &all, now));
        }
    }
    let before = on.objects.list("").await.unwrap();
    for now in [now, Micros(now.0 + DAY - 1)] {
        let round = Round { now, dry_run: false };
        dashboard(&on.db, &on.objects, &rules).gc(round).await.unwrap();
        let objects = on.objects.list("").await.unwrap();
        assert_eq!(objects, before, "a backup that was begun before finds all for a day");
    }
    for made in &all {
        for kind in ["logs", "artifacts"] {
            if !rules.keeps(kind, made, &all, Micros(now.0 + DAY - 1)) {
                gone.insert((kind, made.build.to_string()), true);
            }
        }
    }
    check(&on, &all, &mut gone).await;
    now = Micros(now.0 + DAY + 1);
    // What a crash left before a row came to name it, and what is being written just now.
    let attempt = AttemptId::new(now, &mut |to: &mut [u8]| to.fill(9));
    on.objects.put_new(&format!("logs/{attempt}/1-0.zst"), "left").await.unwrap();
    on.objects.put_new("artifacts/00/00ff", "left").await.unwrap();
    let local = object_store::local::LocalFileSystem::new_with_prefix(on.dir.path().join("objects")).unwrap();
    let local: Arc<dyn ObjectStore> = Arc::new(local);
    let mut died = 0;
    loop {
        let dies = Objects::from_store(Arc::new(Faulty::dies(Arc::clone(&local), 2)));
        let round = dashboard(&on.db, &dies, &rules).gc(Round { now, dry_run: false }).await;
        check(&on, &all, &mut gone).await;
        match round {
            Ok(_) => break,
            Err(error) => assert!(error.to_string().contains("died here"), "{error}"),
        }
        died += 1;
        assert!(died < 200, "it never ends");
    }
    assert!(died > 1, "{died}");
    assert_eq!(objects_of(&on).await, named(&on).await);
}

pub(crate) async fn what_is_young_or_needed_stays(on: Fixture) {
    on.push("one", "main", &[2, 1]).await;
    let head = format!("{:040x}", 2);
    let old = format!("{:040x}", 1);
    for commit in [&head, &old] {
        on.objects.put_new(&format!("snapshots/trusted/a/one@{commit}/d.tar.gz"), "tree").await.unwrap();
    }
    on.objects.put_new("artifacts/00/00ff", "no row yet").await.unwrap();
    let text = format!("{CONFIG}\n[retention]\nsnapshots = \"10d\"\n");
    let (_, config) = watch::channel(Arc::new(config(&text)));
    let parts =
        DashboardParts { db: on.db.clone(), objects: on.objects.clone(), config, logs: LogLimits::default() };
    let dashboard = Dashboard::new(parts);
    let now = Micros::now();
    let young = dashboard.gc(Round { now, dry_run: false }).await.unwrap();
    assert_eq!(young, Gone { kept: [("a head's snapshot", 1)].into(), ..Gone::default() });
    let later = dashboard.gc(Round { now: Micros(now.0 + 11 * DAY), dry_run: false }).await.unwrap();
    assert_eq!(later.kinds.keys().copied().collect::<Vec<_>>(), ["orphans", "snapshots"]);
    assert_eq!(objects_of(&on).await, [format!("snapshots/trusted/a/one@{head}/d.tar.gz")]);
}

pub(crate) async fn of_a_build_whose_log_is_lost_all_else_is_shown(on: Fixture) {
    on.push("one", "main", &[1]).await;
    let (build, attempt) = (build_id(1), attempt_id(1));
    let queued = report(1, "a", &revision("one@1"));
    on.client.put_build(&queued).await.unwrap();
    // Too long, and too little alike, to lie in the database.
    let text: String =
        (1..9000u64).map(|n| format!("{:x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    on.log(&attempt, &build, &[text.as_bytes()]).await;
    on.client.log_finish(&attempt, 1).await.unwrap();
    on.client.put_build(&done(queued, Outcome::Failed, 5)).await.unwrap();
    let objects = objects_of(&on).await;
    assert_eq!(objects.len(), 1);
    on.objects.delete(&objects[0]).await.unwrap();
    for path in [format!("/api/v1/builds/{build}/log"), format!("/builds/{build}/log")] {
        assert_eq!(on.get(&path).await.status(), 410, "{path}");
        assert!(on.text(&path).await.contains("is lost"), "{path}");
    }
    let path = format!("/builds/{build}");
    assert_eq!(on.get(&path).await.status(), 200);
    assert!(on.text(&path).await.contains("is lost"));
    assert_eq!(on.client.build(&build).await.unwrap().outcome, Some(Outcome::Failed));
}

pub(crate) async fn pages_say_that_a_log_expired(on: Fixture) {
    on.push("one", "main", &[1]).await;
    let (build, attempt) = (build_id(1), attempt_id(1));
    let queued = report(1, "a", &revision("one@1"));
    on.client.put_build(&queued).await.unwrap();
    on.log(&attempt, &build, &[b"one\ntwo\n"]).await;
    on.client.log_finish(&attempt, 1).await.unwrap();
    on.client.put_build(&done(queued, Outcome::Failed, 5)).await.unwrap();
    let ages = [("logs", 1)].into();
    let rules = Rules { ages, failed: None, branches: false, last_green: 0 };
    let round = Round { now: Micros::now(), dry_run: false };
    dashboard(&on.db, &on.objects, &rules).gc(round).await.unwrap();
    for path in [
        format!("/api/v1/builds/{build}/log"),
        format!("/api/v1/builds/{build}/log/search?q=x"),
        format!("/api/v1/attempts/{attempt}/log?from=1&to=2"),
        format!("/builds/{build}/log"),
    ] {
        assert_eq!(on.get(&path).await.status(), 410, "{path}");
        assert!(on.text(&path).await.contains("expired on 2"), "{path}");
    }
    // Of the build all else is shown.
    let path = format!("/builds/{build}");
    assert_eq!(on.get(&path).await.status(), 200);
    assert!(on.text(&path).await.contains("expired on 2"));
    assert_eq!(on.client.build(&build).await.unwrap().outcome, Some(Outcome::Failed));
}
