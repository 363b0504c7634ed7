//! A pool whose machines take their time, are refused, vanish, leak, and run full.

use std::sync::Arc;

use coordinator::{Clock as _, NoHooks};
use dashboard::api::Outcome;
use store::WorkerId;

use crate::outcomes::cause;
use crate::sim_pool::{Cloud, SimPool};
use crate::world::{PATIENCE, Running, World, simple};

async fn start(world: &World, cloud: &Arc<Cloud>) -> Running {
    world.start_with(SimPool::new(cloud), Arc::new(NoHooks)).await
}

/// Waits for so many machines to exist in the cloud.
async fn machines(cloud: &Cloud, count: usize) -> Vec<WorkerId> {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let names = cloud.names();
        if names.len() == count {
            return names;
        }
        assert!(std::time::Instant::now() < end, "{count} machines wanted: {names:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

pub async fn machines_come_after_ninety_seconds(world: World) {
    world.configure(&simple("cat hello", ""));
    world.push("one", &[1]).await;
    let cloud = Cloud::new(&world, 9);
    let running = start(&world, &cloud).await;
    machines(&cloud, 1).await;
    world.clock.turn(60);
    cloud.boot().await;
    let status = running.until(|status| status.queued.len() == 1).await;
    assert!(status.queued[0].reason.contains("1 starting"), "{status:?}");
    assert_eq!(status.workers[0].state, "starting");
    world.clock.turn(31);
    cloud.boot().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(world.log(&build.attempts[0]).await, "from one\n");
    let queued = &build.attempts[0].spans[0];
    let waited = queued.end.unwrap().duration_since(queued.start);
    assert!(waited.as_secs() >= 90, "the wait is on the clock: {queued:?}");
}

pub async fn a_refused_quota_is_asked_again(world: World) {
    world.configure(&simple("true", ""));
    world.push("one", &[1]).await;
    let cloud = Cloud::new(&world, 0);
    let running = start(&world, &cloud).await;
    let refused = |status: &coordinator::Status| status.queued.iter().any(|one| one.reason.contains("quota"));
    running.until(refused).await;
    let before = cloud.refused();
    world.clock.turn(6);
    running.until(|_| cloud.refused() > before).await;
    cloud.set_quota(1);
    world.clock.turn(6);
    machines(&cloud, 1).await;
    world.clock.turn(91);
    cloud.boot().await;
    assert_eq!(world.done("one", "b").await.outcome, Some(Outcome::Ok));
}

pub async fn a_vanished_machine_costs_one_attempt(world: World) {
    world.configure(&simple("echo begun; sleep 1", ""));
    world.push("one", &[1]).await;
    let cloud = Cloud::new(&world, 9);
    let _running = start(&world, &cloud).await;
    let first = machines(&cloud, 1).await[0];
    world.clock.turn(91);
    cloud.boot().await;
    world.until("one", "b", |row| row.state == "running").await;
    cloud.vanish(first).await;
    let second = machines(&cloud, 1).await[0];
    assert_ne!(first, second);
    world.clock.turn(91);
    cloud.boot().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    let ends: Vec<_> = build.attempts.iter().map(|attempt| attempt.outcome).collect();
    assert_eq!(ends, [Some(Outcome::InfraFailed), Some(Outcome::Ok)]);
    assert_eq!(build.attempts[0].cause.as_ref().unwrap().kind, "worker_lost");
    assert_eq!(world.log(&build.attempts[1]).await, "begun\n");
    // Which step it was that nobody saw the end of is known, and all that it takes to run it again.
    let lost = build.attempts[0].failed_step().unwrap();
    assert_eq!((lost.index, lost.exit), (Some(0), None), "{build:?}");
    let job = build.attempts[0].job.as_ref().unwrap();
    assert_eq!((job.steps[0].dir.as_str(), job.sources[0].repo.as_str()), ("one", "one"));
    assert_eq!(build.attempts[1].failed_step(), None);
}

pub async fn three_vanished_machines_end_the_build(world: World) {
    world.configure(&simple("sleep 600", ""));
    world.push("one", &[1]).await;
    let cloud = Cloud::new(&world, 9);
    let _running = start(&world, &cloud).await;
    for attempt in 1..=3 {
        let name = machines(&cloud, 1).await[0];
        world.clock.turn(91);
        cloud.boot().await;
        world.until("one", "b", |row| row.state == "running" && row.attempts == attempt).await;
        cloud.vanish(name).await;
        if attempt == 2 {
            world.until("one", "b", |row| row.state == "queued").await;
            world.clock.turn(11);
        }
    }
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::InfraFailed));
    assert_eq!(cause(&build).0, "worker_lost");
    assert_eq!(build.attempts.len(), 3);
}

pub async fn what_leaked_is_deleted_and_what_is_known_adopted(world: World) {
    world.configure(&simple("true", ""));
    world.push("one", &[1]).await;
    let cloud = Cloud::new(&world, 9);
    let running = start(&world, &cloud).await;
    let known = machines(&cloud, 1).await[0];
    world.clock.turn(91);
    cloud.boot().await;
    world.done("one", "b").await;
    running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
    running.kill().await;
    let leaked = WorkerId::new(world.clock.now(), &mut |to: &mut [u8]| world.clock.random(to));
    cloud.leak(leaked, "h");
    let running = start(&world, &cloud).await;
    let status = running.until(|status| status.workers.len() == 1 && status.workers[0].state == "idle").await;
    assert_eq!(status.workers[0].worker, known, "it is adopted");
    assert_eq!(cloud.deleted(), [leaked]);
    assert_eq!(cloud.names(), [known]);
}

pub async fn a_worker_without_space_is_set_aside(world: World) {
    world.configure(&simple("true", ""));
    world.push("one", &[1]).await;
    let cloud = Cloud::new(&world, 9);
    cloud.next_are_full(1);
    let running = start(&world, &cloud).await;
    let full = machines(&cloud, 1).await[0];
    world.clock.turn(91);
    cloud.boot().await;
    let status =
        running.until(|status| status.workers.iter().any(|worker| worker.state == "set_aside")).await;
    let aside = status.workers.iter().find(|worker| worker.worker == full).unwrap();
    assert!(aside.reason.as_ref().unwrap().contains("disk full"), "{aside:?}");
    assert_eq!(running.measured("workers_set_aside_total"), 1.0);
    machines(&cloud, 2).await;
    world.clock.turn(91);
    cloud.boot().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(build.attempts[0].cause.as_ref().unwrap().kind, "worker_disk_full");
    assert_ne!(build.attempts[0].worker, build.attempts[1].worker);
}
