//! Machines that people keep from work.

use std::sync::Arc;

use coordinator::{MachineInfo, MachineList, NoHooks};
use dashboard::api::Outcome;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use transport::{CallError, Role, Service, Viewer};

use crate::reverse::{Far, configuration, pool, until_logged};
use crate::world::{PATIENCE, World};

async fn order(on: &Service, name: &str, what: &str, body: Value) -> Result<MachineInfo, CallError> {
    on.call_json(Method::POST, &format!("/api/v1/machines/{name}/{what}"), Some(&body)).await
}

/// A recipe that goes on once the test lets it.
fn held(world: &World) -> (std::path::PathBuf, String) {
    let go = world.dir.path().join("go");
    (go.clone(), configuration(&format!("echo first; until [ -e {} ]; do sleep 0.05; done", go.display())))
}

pub async fn a_machine_that_is_set_aside_finishes_and_is_given_nothing_until_the_end(world: World) {
    let (go, configuration) = held(&world);
    world.configure(&configuration);
    world.push("one", &[1]).await;
    let (first, reception) = pool(&world);
    let running = world.start_with(first, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let before = far.dial(&reception);
    until_logged(&world, "first").await;
    let body = json!({"reason": "disk swap", "expires_in": 3600});
    let said = order(&running.admin(), "box", "set-aside", body).await.unwrap();
    assert_eq!((said.host.as_str(), said.here.unwrap().state.as_str()), ("far", "busy"));
    assert_eq!(said.set_aside.unwrap().owner, "ann");
    std::fs::write(&go, "").unwrap();
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 1), "{build:?}");
    running.until(|status| status.workers.iter().all(|one| one.state == "set_aside")).await;
    world.push("one", &[2, 1]).await;
    let waits = |status: &coordinator::Status| {
        let words =
            "waits for a machine of host far: there is none now, 1 set aside by ann: disk swap, until ";
        status.queued.iter().any(|one| one.reason.starts_with(words))
    };
    running.until(waits).await;
    // The same over a new start of the server.
    running.kill().await;
    before.abort();
    let (second, reception) = pool(&world);
    let running = world.start_with(second, Arc::new(NoHooks)).await;
    let _after = far.dial(&reception);
    let status = running.until(waits).await;
    assert!(status.running.is_empty() && status.workers[0].state == "set_aside", "{status:?}");
    assert!(status.workers[0].reason.as_ref().unwrap().starts_with("by ann: disk swap, until "));
    let list: MachineList = running.admin().get_json("/api/v1/machines").await.unwrap();
    assert_eq!((list.machines.len(), list.machines[0].name.as_str()), (1, "box"));
    // It ends by itself.
    world.clock.turn(3601);
    let status = running.until(|status| status.queued.is_empty() && status.running.is_empty()).await;
    assert!(
        status.workers.iter().all(|one| one.state != "set_aside" && one.set_aside.is_none()),
        "{status:?}"
    );
    let builds = world.builds().await;
    assert!(builds.len() == 2 && builds.iter().all(|row| row.outcome.as_deref() == Some("ok")), "{builds:?}");
}

pub async fn a_machine_is_set_aside_before_it_comes_and_resumed_by_who_may(world: World) {
    world.configure(&configuration("true"));
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let admin = running.admin();
    let refused = order(&admin, "box", "set-aside", json!({"reason": "x"})).await.unwrap_err();
    assert!(refused.is_status(StatusCode::NOT_FOUND), "{refused}");
    for bad in [json!({"reason": " ", "host": "far"}), json!({"reason": "x", "host": "far", "expires_in": 0})]
    {
        let refused = order(&admin, "box", "set-aside", bad).await.unwrap_err();
        assert!(refused.is_status(StatusCode::BAD_REQUEST), "{refused}");
    }
    let said = order(&admin, "box", "set-aside", json!({"reason": "moves", "host": "far"})).await.unwrap();
    assert!(said.here.is_none() && said.set_aside.is_some(), "{said:?}");
    let far = Far::start(&world).await;
    let _dialled = far.dial(&reception);
    running.until(|status| status.workers.iter().any(|one| one.state == "set_aside")).await;
    world.push("one", &[1]).await;
    running
        .until(|status| status.queued.iter().any(|one| one.reason.ends_with("1 set aside by ann: moves")))
        .await;
    for viewer in [Viewer::known("bob", Role::Developer), Viewer::known("m1", Role::Builder)] {
        let as_them = running.service.clone().asking_as(viewer);
        let refused = order(&as_them, "box", "resume", json!({})).await.unwrap_err();
        assert!(refused.is_status(StatusCode::FORBIDDEN), "{refused}");
    }
    let said = order(&admin, "box", "resume", json!({})).await.unwrap();
    assert_eq!(said.set_aside, None);
    assert_eq!(world.done("one", "b").await.outcome, Some(Outcome::Ok));
    let rows = store::audit::after(&mut world.db.read().await.unwrap(), 0, 100).await.unwrap();
    let deeds: Vec<_> = rows.iter().map(|row| format!("{} {}", row.deed.action, row.deed.target)).collect();
    assert_eq!(deeds, ["machine_set_aside far box", "machine_resume far box"]);
}

pub async fn what_a_machine_does_that_is_set_aside_at_once_goes_elsewhere(world: World) {
    let (go, configuration) = held(&world);
    world.configure(&configuration);
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let _dialled = far.dial(&reception);
    until_logged(&world, "first").await;
    order(&running.admin(), "box", "set-aside", json!({"reason": "smoke", "now": true})).await.unwrap();
    let mut agent = far.agent;
    tokio::time::timeout(PATIENCE, agent.wait()).await.unwrap().unwrap();
    std::fs::write(&go, "").unwrap();
    // Started anew, it is kept from work by its name; another one has the build.
    let anew = Far::start(&world).await;
    let _anew = anew.dial(&reception);
    running
        .until(|status| status.workers.iter().any(|one| one.name == "box" && one.state == "set_aside"))
        .await;
    let chest = Far::start_as(&world, "chest").await;
    let _chest = chest.dial(&reception);
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 2), "{build:?}");
    assert_eq!(build.attempts[0].outcome, Some(Outcome::InfraFailed), "{build:?}");
}
