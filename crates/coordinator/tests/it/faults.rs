//! The coordinator dies, or its database fails, at each transition in turn.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use coordinator::Fault;
use dashboard::api::Outcome;
use store::StoreError;

use crate::hooks::{Faulty, Freeze};
use crate::world::{PATIENCE, World, simple};

/// Every transition in the life of a build without a snapshot.
pub const TRANSITIONS: [&str; 8] =
    ["queued", "worker", "lease", "preparing", "running", "reporting", "done", "reported"];

/// A build that says on disk, beyond the wipe, how often it was begun.
fn counting(world: &World) -> String {
    let count = world.dir.path().join("count");
    simple(
        &format!("echo $BELLWETHER_REVISION >> {}; echo begun; sleep 0.2; echo ended", count.display()),
        "",
    )
    .replace("horizon = 1", "horizon = 50")
}

fn begun(world: &World) -> Vec<String> {
    let text = std::fs::read_to_string(world.dir.path().join("count")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

async fn all_done(world: &World, count: usize, at: &str) {
    let end = std::time::Instant::now() + PATIENCE;
    let rows = loop {
        let rows = world.builds().await;
        if rows.len() == count && rows.iter().all(|row| row.reported) {
            break rows;
        }
        assert!(std::time::Instant::now() < end, "{at}: {rows:?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    for row in rows {
        let build = world.dashboard.build(&row.id.to_string()).await.unwrap();
        assert_eq!(build.outcome, Some(Outcome::Ok), "{at}: {build:?}");
        assert_eq!(build.attempts.len(), 1, "{at}: {build:?}");
        assert_eq!(world.log(&build.attempts[0]).await, "begun\nended\n", "{at}: each byte once");
    }
    let begun = begun(world);
    let once: BTreeSet<_> = begun.iter().collect();
    assert_eq!((begun.len(), once.len()), (count, count), "{at}: nothing is built twice");
}

/// A step that always runs goes well after the one that failed.
pub async fn what_failed_before_a_crash_stays_failed(world: World) {
    let go_on = world.dir.path().join("go-on");
    let steps = format!(
        "[[recipe.r.step]]\nname = \"test\"\nrun = \"echo no; exit 3\"\n\
         [[recipe.r.step]]\nname = \"tidy\"\nwhen = \"always\"\n\
         run = \"echo begun; until [ -e {} ]; do sleep 0.05; done\"\n",
        go_on.display()
    );
    world.configure(&crate::world::simple("", &steps).replace("run = ''''''\n", ""));
    world.push("one", &[1]).await;
    let dying = world.start().await;
    let row = world.until("one", "b", |row| row.state == "running").await;
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        assert!(std::time::Instant::now() < end);
        let mut reader = world.db.read().await.unwrap();
        let rows = store::attempts::of_build(&mut reader, row.id).await.unwrap();
        drop(reader);
        if rows[0].step == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    dying.kill().await;
    let _next = world.start().await;
    std::fs::write(&go_on, "").unwrap();
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(dashboard::api::Outcome::Failed), "{build:?}");
    assert_eq!(build.cause.as_ref().unwrap().detail, "test: exit status 3");
    assert_eq!((build.attempts.len(), build.attempts[0].failed_step().unwrap().index), (1, Some(0)));
}

pub async fn killed_at_every_transition(world: World) {
    world.configure(&counting(&world));
    let mut n = 0;
    for transition in TRANSITIONS {
        for side in ["before", "after"] {
            n += 1;
            let point = format!("{side}_{transition}");
            if transition == "worker" {
                // Machines are kept from build to build: a new one is asked for only where none is left.
                for entry in std::fs::read_dir(world.dir.path().join("workers")).unwrap().flatten() {
                    crate::world::worker_pid(&entry.path()).into_iter().for_each(crate::world::kill);
                }
            }
            let freeze = Freeze::at(&point);
            let dying = world.start_with(world.local_pool(), Arc::clone(&freeze) as _).await;
            world.push("one", &(1..=n).rev().collect::<Vec<_>>()).await;
            tokio::time::timeout(PATIENCE, freeze.reached.cancelled()).await.expect(&point);
            dying.kill().await;
            let next = world.start().await;
            all_done(&world, n as usize, &point).await;
            next.stop.cancel();
            next.stopped().await;
        }
    }
}

/// It dies between the step that lists and the one that runs: the next one asks the worker what was listed.
pub async fn what_was_listed_outlives_the_coordinator(world: World) {
    let text = simple("echo run {tests}", "")
        .replace("[builder.b]\n", "[builder.b]\ntests = [\"!api\"]\n")
        .replace("[recipe.r]\n", "[recipe.r]\nlist = \"echo vet api all\"\n");
    world.configure(&text);
    let freeze = Freeze::at_time(2, "after_running");
    let dying = world.start_with(world.local_pool(), Arc::clone(&freeze) as _).await;
    world.push("one", &[1]).await;
    tokio::time::timeout(PATIENCE, freeze.reached.cancelled()).await.unwrap();
    dying.kill().await;
    let _next = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 1), "{build:?}");
    assert_eq!(world.log(&build.attempts[0]).await, "vet api all\nrun vet all\n");
}

async fn faulty(world: World, at: Fault, times: u32, error: fn() -> StoreError) {
    world.configure(&counting(&world));
    world.push("one", &[3, 2, 1]).await;
    let faulty = Arc::new(Faulty { at, times, error, hits: Mutex::default() });
    let _running = world.start_with(world.local_pool(), Arc::clone(&faulty) as _).await;
    all_done(&world, 3, &format!("{at:?}")).await;
    let hits = faulty.hits.lock().unwrap();
    for transition in TRANSITIONS {
        let hit: Vec<_> = hits.iter().filter(|((name, _), _)| name == transition).collect();
        assert!(!hit.is_empty() && hit.iter().all(|(_, hits)| **hits >= times), "{transition}: {hits:?}");
    }
}

pub async fn a_transition_that_is_not_committed_is_tried_again(world: World) {
    faulty(world, Fault::NotCommitted, 2, || StoreError::Full("no space left on device".into())).await;
}

pub async fn an_answer_that_is_lost_doubles_nothing(world: World) {
    faulty(world, Fault::AnswerLost, 1, || StoreError::Unavailable("the connection broke".into())).await;
}
