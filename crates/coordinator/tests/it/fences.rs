//! Whoever lost the lead, or a lease, writes nothing from then on.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use buildlet_client::{Address, BuildletClient, Error, ExecRequest, Limits};
use coordinator::{Clock as _, Ledger, NoHooks, Stopped, TakeOver};
use dashboard::api::Outcome;
use store::attempts::{self, AttemptRow, Decision};
use store::builds::{self, NewBuild};
use store::leases::{self, NewLease};
use store::{AttemptId, BuildId, LeaseId, Micros, StoreError, WorkerId};
use tokio_util::sync::CancellationToken;
use transport::Service;

use crate::hooks::Freeze;
use crate::outcomes::toolchain;
use crate::world::{PATIENCE, World, simple};

/// A coordinator is paused at each point; another takes over and finishes the work and goes; the paused one wakes up.
pub async fn a_paused_coordinator_writes_nothing_at_any_transition(world: World) {
    let text = simple("echo begun; sleep 0.3; echo ended", "").replace("horizon = 1", "horizon = 50");
    world.configure(&text);
    let mut commits = Vec::new();
    let points = [
        "before_queued",
        "before_lease",
        "before_preparing",
        "before_running",
        "before_reporting",
        "before_done",
        "before_reported",
    ];
    for (n, point) in points.into_iter().enumerate() {
        let freeze = Freeze::at(point);
        let paused = world.start_with(world.local_pool(), Arc::clone(&freeze) as _).await;
        commits.insert(0, n as u32 + 1);
        world.push("one", &commits).await;
        tokio::time::timeout(PATIENCE, freeze.reached.cancelled()).await.expect(point);
        let next = world.start().await;
        let build = finished(&world, n + 1, point).await;
        assert_eq!(build.outcome, Some(Outcome::Ok), "{point}: {build:?}");
        assert_eq!(build.attempts.len(), 1, "{point}: {build:?}");
        assert_eq!(world.log(&build.attempts[0]).await, "begun\nended\n", "{point}");
        next.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
        next.stop.cancel();
        assert_eq!(next.stopped().await, Stopped::AtOnce);
        let before = world.everything().await;
        freeze.release.cancel();
        assert_eq!(paused.stopped().await, Stopped::Superseded, "{point}");
        assert_eq!(world.everything().await, before, "{point}: the paused one wrote");
    }
}

/// Waits for so many builds to be done and reported; returns the latest.
pub async fn finished(world: &World, count: usize, at: &str) -> dashboard::api::BuildReport {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let rows = world.builds().await;
        if rows.len() == count && rows.iter().all(|row| row.reported) {
            let newest = rows.iter().max_by_key(|row| row.commit_time).unwrap();
            return world.dashboard.build(&newest.id.to_string()).await.unwrap();
        }
        assert!(std::time::Instant::now() < end, "{at}: {rows:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The row of a queued build has no fence: only the epoch keeps the old coordinator from leasing it.
pub async fn a_lead_that_is_lost_leases_nothing(world: World) {
    world.configure(&simple("true", ""));
    world.push("one", &[1]).await;
    let freeze = Freeze::at("before_lease");
    let paused = world.start_with(world.local_pool(), Arc::clone(&freeze) as _).await;
    tokio::time::timeout(PATIENCE, freeze.reached.cancelled()).await.unwrap();
    let clock: coordinator::SharedClock = Arc::clone(&world.clock) as _;
    let next =
        Ledger::lead(world.db.clone(), clock, Arc::new(NoHooks), "next", TakeOver::AtOnce).await.unwrap();
    // What the dashboard is told of a queued build is no more than its row says, and may be on its way.
    let build = world.builds().await[0].id.to_string();
    let end = std::time::Instant::now() + PATIENCE;
    while world.dashboard.build(&build).await.is_err() {
        assert!(std::time::Instant::now() < end);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let before = world.everything().await;
    freeze.release.cancel();
    assert_eq!(paused.stopped().await, Stopped::Superseded);
    assert_eq!(world.everything().await, before);
    next.renew().await.unwrap();
    assert_eq!(world.builds().await[0].state, "queued");
}

pub async fn of_many_that_take_the_lead_each_has_its_own_epoch(world: World) {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (db, clock) = (world.db.clone(), Arc::clone(&world.clock));
        tasks.spawn(async move {
            loop {
                let clock: coordinator::SharedClock = Arc::clone(&clock) as _;
                let holder = format!("number {n}");
                match Ledger::lead(db.clone(), clock, Arc::new(NoHooks), &holder, TakeOver::AtOnce).await {
                    Ok(ledger) => return ledger,
                    Err(coordinator::LeadError::Store(StoreError::Stale | StoreError::Busy(_))) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    let ledgers = tasks.join_all().await;
    let fences: BTreeSet<i64> = ledgers.iter().map(Ledger::next_fence).collect();
    assert_eq!(fences.len(), 8, "no two give the same fences");
    let mut leading = 0;
    for ledger in &ledgers {
        let may_write = ledger.begin().await.map(drop);
        assert_eq!(may_write.is_ok(), ledger.renew().await.is_ok());
        leading += u32::from(may_write.is_ok());
    }
    assert_eq!(leading, 1, "one of them leads");
    let newest = ledgers.iter().max_by_key(|ledger| ledger.next_fence()).unwrap();
    newest.begin().await.unwrap().rollback().await.unwrap();
    // Whoever read the lead before another one took it comes too late.
    for before in [None, Some(store::leader::Epoch(1))] {
        let mut tx = world.db.begin().await.unwrap();
        let late = store::leader::take(&mut tx, store::leader::COORDINATOR, before, "late", Micros(1)).await;
        assert!(matches!(late, Err(StoreError::Stale)), "{late:?}");
        tx.rollback().await.unwrap();
    }
}

/// A task that outlived its lease under the same lead: the rows' own fences refuse it, each by itself.
pub async fn a_fence_that_is_over_moves_no_row(world: World) {
    macro_rules! id {
        ($id:ty) => {
            <$id>::new(Micros(1), &mut |to: &mut [u8]| world.clock.random(to))
        };
    }
    let (build, attempt, lease, worker) = (id!(BuildId), id!(AttemptId), id!(LeaseId), id!(WorkerId));
    let now = Micros::now();
    let new = NewBuild {
        id: build,
        builder: "b".into(),
        repo: "one".into(),
        branch: "main".into(),
        toolchain_branch: None,
        revision: format!("one@{}", crate::world::hash(1)),
        class: "post_submit",
        priority: 0,
        commit_time: Micros(1),
        untrusted: false,
        sample: String::new(),
        avoid: String::new(),
        rules: String::new(),
    };
    let row = AttemptRow {
        id: attempt,
        build,
        number: 1,
        lease,
        worker,
        host: "h".into(),
        fence: 5,
        state: "leased".into(),
        step: 0,
        outcome: None,
        cause: None,
        job: "{}".into(),
        inputs: "{}".into(),
        warnings: "[]".into(),
        started: now,
        ended: None,
        seal: None,
    };
    let hold = NewLease { id: lease, worker, build, attempt, fence: 5, until: now };
    let mut tx = world.db.begin().await.unwrap();
    store::workers::insert(&mut tx, worker, "local", "h", now).await.unwrap();
    builds::insert(&mut tx, &new, now).await.unwrap();
    builds::lease(&mut tx, build, 5, now).await.unwrap();
    attempts::insert(&mut tx, &row).await.unwrap();
    leases::insert(&mut tx, &hold, now).await.unwrap();
    leases::refence(&mut tx, lease, 5, 6, now).await.unwrap();
    attempts::refence(&mut tx, attempt, 5, 6).await.unwrap();
    builds::refence(&mut tx, build, 5, 6).await.unwrap();
    tx.commit().await.unwrap();
    let decision = Decision { outcome: "ok".into(), cause: None, warnings: "[]".into(), inputs: "{}".into() };
    macro_rules! refused {
        ($($what:literal: |$tx:ident| $call:expr;)*) => {$({
            let mut $tx = world.db.begin().await.unwrap();
            let done: Result<(), StoreError> = $call.await;
            assert!(matches!(done, Err(StoreError::Stale)), "{}: {done:?}", $what);
            $tx.rollback().await.unwrap();
        })*};
    }
    refused! {
        "a build that is leased is not leased again": |tx| builds::lease(&mut tx, build, 7, now);
        "builds::advance": |tx| builds::advance(&mut tx, build, 5, "running");
        "builds::requeue": |tx| builds::requeue(&mut tx, build, 5, now, now);
        "builds::finish": |tx| builds::finish(&mut tx, build, 5, "ok", None, now);
        "builds::refence": |tx| builds::refence(&mut tx, build, 5, 9);
        "attempts::advance": |tx| attempts::advance(&mut tx, attempt, 5, "running", 0);
        "attempts::decide": |tx| attempts::decide(&mut tx, attempt, 5, &decision);
        "attempts::finish": |tx| attempts::finish(&mut tx, attempt, 5, "ok", None, now);
        "attempts::refence": |tx| attempts::refence(&mut tx, attempt, 5, 9);
        "leases::refence": |tx| leases::refence(&mut tx, lease, 5, 9, now);
        "leases::end": |tx| leases::end(&mut tx, lease, 5, now);
    }
    let mut tx = world.db.begin().await.unwrap();
    attempts::finish(&mut tx, attempt, 6, "ok", None, now).await.unwrap();
    leases::end(&mut tx, lease, 6, now).await.unwrap();
    builds::finish(&mut tx, build, 6, "ok", None, now).await.unwrap();
    tx.commit().await.unwrap();
    refused! {
        "an attempt that has ended": |tx| attempts::advance(&mut tx, attempt, 6, "running", 0);
        "an attempt that has ended is not decided": |tx| attempts::decide(&mut tx, attempt, 6, &decision);
        "a build that is done": |tx| builds::finish(&mut tx, build, 6, "failed", None, now);
        "a build that is done is not queued": |tx| builds::requeue(&mut tx, build, 6, now, now);
        "a lease that has ended": |tx| leases::refence(&mut tx, lease, 6, 9, now);
    }
}

/// Holds the old coordinator's chunks of log on their way until the new one has the log.
pub async fn a_late_chunk_of_log_is_refused(world: World) {
    world.configure(&simple("echo begun; sleep 3; echo ended", ""));
    world.push("one", &[1]).await;
    let (held, release) = (CancellationToken::new(), CancellationToken::new());
    let gate = {
        let (held, release) = (held.clone(), release.clone());
        move |request: Request, next: Next| {
            let (held, release) = (held.clone(), release.clone());
            async move {
                let path = request.uri().path();
                if request.method() == http::Method::PUT && path.contains("/log/") && !path.ends_with("open")
                {
                    held.cancel();
                    release.cancelled().await;
                }
                next.run(request).await
            }
        }
    };
    let router = world.dashboard_router.clone().layer(axum::middleware::from_fn(gate));
    let old = world.start_at(world.local_pool(), Arc::new(NoHooks), Service::in_process(router)).await;
    tokio::time::timeout(PATIENCE, held.cancelled()).await.unwrap();
    let _next = world.start().await;
    // The new one has stored what the old one has still in its hand.
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let row = world.builds().await.remove(0);
        let mut reader = world.db.read().await.unwrap();
        let attempt = attempts::of_build(&mut reader, row.id).await.unwrap().remove(0);
        drop(reader);
        let info = world.dashboard.log_info(dashboard::client::LogOf::Attempt(&attempt.id.to_string())).await;
        if info.is_ok_and(|info| info.bytes > 0) {
            break;
        }
        assert!(std::time::Instant::now() < end);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    release.cancel();
    assert_eq!(old.stopped().await, Stopped::Superseded);
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(world.log(&build.attempts[0]).await, "begun\nended\n");
}

/// The buildlet refuses every command under a fence that is over.
pub async fn the_worker_obeys_the_newest_only(world: World) {
    world.configure(&simple("echo begun; sleep 2; echo ended", ""));
    world.push("one", &[1]).await;
    let first = world.start().await;
    let row = world.until("one", "b", |row| row.state == "running").await;
    first.kill().await;
    let next = world.start().await;
    let after = world.until("one", "b", |now| now.fence > row.fence).await;
    let status = next.until(|status| status.running.len() == 1).await;
    let folder = world.dir.path().join("workers").join(status.running[0].worker.to_string());
    let kept: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("worker.json")).unwrap()).unwrap();
    let client = BuildletClient::new(Address::Unix(kept["socket"].as_str().unwrap().into()), None);
    // The new coordinator's first word is the fence that the worker goes by.
    let mut reader = world.db.read().await.unwrap();
    let attempt = attempts::of_build(&mut reader, row.id).await.unwrap().remove(0);
    drop(reader);
    client.with_fence(after.fence as u64, "").extend().await.unwrap();
    let stale = client.with_fence(row.fence as u64, "");
    let request = ExecRequest {
        id: "late".into(),
        argv: vec!["true".into()],
        env: Vec::new(),
        env_pass: Vec::new(),
        dir: String::new(),
        limits: Limits::default(),
    };
    let is_stale = |error: Error| matches!(error, Error::StaleFence { .. });
    assert!(is_stale(stale.start(&request).await.unwrap_err()));
    assert!(is_stale(stale.kill(&format!("{}-0", attempt.id), "late").await.unwrap_err()));
    assert!(is_stale(stale.wipe().await.unwrap_err()));
    assert!(is_stale(stale.write_file("one/late", 0o644, "x".into()).await.unwrap_err()));
    let body = futures::stream::iter([Ok(bytes::Bytes::from(crate::mirror::tgz(&Default::default())))]);
    assert!(is_stale(stale.write_tgz("one", body).await.unwrap_err()));
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(build.attempts.len(), 1);
    assert_eq!(world.log(&build.attempts[0]).await, "begun\nended\n");
}

/// Paused with the whole tree uploaded, and nothing left to do but to give it the snapshot's name.
pub async fn a_stale_coordinator_keeps_no_snapshot(world: World) {
    world.configure(&toolchain());
    world.push("go", &[7]).await;
    let freeze = Freeze::at("before_snapshot");
    let paused = world.start_with(world.local_pool(), Arc::clone(&freeze) as _).await;
    tokio::time::timeout(PATIENCE, freeze.reached.cancelled()).await.unwrap();
    assert_eq!(world.objects.list("snapshots").await.unwrap().len(), 1, "uploaded, and not yet a snapshot");
    let clock: coordinator::SharedClock = Arc::clone(&world.clock) as _;
    let _next =
        Ledger::lead(world.db.clone(), clock, Arc::new(NoHooks), "next", TakeOver::AtOnce).await.unwrap();
    freeze.release.cancel();
    assert_eq!(paused.stopped().await, Stopped::Superseded);
    assert_eq!(world.objects.list("snapshots").await.unwrap(), []);
    // The build goes on with whoever leads next, and its snapshot is kept once.
    let _last = world.start().await;
    let build = world.done("go", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(world.objects.list("snapshots").await.unwrap().len(), 1, "{build:?}");
}
