//! Machines with tokens of their own: who is taken for whom, and what becomes of one that is revoked.

use std::sync::Arc;

use coordinator::{Claim, Denied, Identity, MachineList, MachineTokenAnswer, MachineTokenList, NoHooks};
use dashboard::api::Outcome;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use transport::{CallError, Role, Service, Viewer};

use crate::reverse::{Far, HOST, configuration, pool, until_logged};
use crate::world::{PATIENCE, Running, World};

const TOKENS: &str = "/api/v1/machine-tokens";

async fn token(on: &Service, name: &str) -> String {
    let body = json!({"name": name, "host": "far"});
    on.call_json::<_, MachineTokenAnswer>(Method::POST, TOKENS, Some(&body)).await.unwrap().token
}

async fn revoke(on: &Service, name: &str) -> Result<(), CallError> {
    on.call_json::<Value, ()>(Method::DELETE, &format!("{TOKENS}/{name}"), None).await
}

/// What a machine shows whose secret is made of this digit.
fn claim(name: &str, digit: &str, token: Option<&str>) -> Claim {
    Claim {
        host: "far".into(),
        name: name.into(),
        secret: digit.repeat(64),
        bootstrap: token.map(str::to_owned),
        from: "192.0.2.7".into(),
        version: "29".into(),
    }
}

async fn identify(running: &Running, claim: Claim) -> Result<Identity, Denied> {
    running.identities.identify(&claim).await
}

fn configured() -> String {
    format!(
        "{HOST}[host.near]\npool = \"reverse\"\n[host.here]\npool = \"local\"\n[recipe.r]\nrun = \"true\"\n"
    )
}

async fn deeds(world: &World) -> Vec<String> {
    let rows = store::audit::after(&mut world.db.read().await.unwrap(), 0, 100).await.unwrap();
    let deed =
        |row: store::audit::AuditRow| format!("{} {} {}", row.deed.actor, row.deed.action, row.deed.target);
    rows.into_iter().map(deed).collect()
}

pub async fn a_machine_joins_once_and_is_known_by_its_secret(world: World) {
    world.configure(&configured());
    let running = world.start().await;
    let admin = running.admin();
    let made = token(&admin, "box").await;
    let first = identify(&running, claim("box", "a", Some(&made))).await.unwrap();
    // It has not heard of that, and shows the same again; later on its secret alone.
    assert_eq!(identify(&running, claim("box", "a", Some(&made))).await.unwrap(), first);
    world.clock.turn(7200);
    assert_eq!(identify(&running, claim("box", "a", None)).await.unwrap(), first);
    // The same over a new start of the server.
    running.kill().await;
    let running = world.start().await;
    assert_eq!(identify(&running, claim("box", "a", Some(&made))).await.unwrap(), first);
    let list: MachineTokenList = running.admin().get_json(TOKENS).await.unwrap();
    let [box_] = &*list.machine_tokens else { panic!("{list:?}") };
    assert_eq!((box_.name.as_str(), box_.host.as_str(), box_.maker.as_str()), ("box", "far", "ann"));
    assert_eq!((box_.seen_from.as_deref(), box_.version.as_deref()), (Some("192.0.2.7"), Some("29")));
    assert!(box_.joined.is_some() && box_.joined < box_.seen, "{box_:?}");
    assert_eq!(deeds(&world).await, ["ann machine_token_create box", "machine box machine_join box"]);
    assert!(running.identities.has("far", "box").await.unwrap());
    assert!(!running.identities.has("near", "box").await.unwrap(), "another host's is free");
    // Nothing that works is in the database.
    let rows = store::machine_tokens::list(&mut world.db.read().await.unwrap()).await.unwrap();
    let text = format!("{rows:?}");
    assert!(!text.contains(&made) && !text.contains(&"a".repeat(64)), "{text}");
}

pub async fn who_is_not_the_machine_is_told_why_and_noted(world: World) {
    world.configure(&configured());
    let running = world.start().await;
    let admin = running.admin();
    let (used, late, fresh) =
        (token(&admin, "box").await, token(&admin, "late").await, token(&admin, "new").await);
    identify(&running, claim("box", "a", Some(&used))).await.unwrap();
    world.clock.turn(3601);
    let host = |host: &str, claim: Claim| Claim { host: host.into(), ..claim };
    let (wrong, short) =
        (format!("bwm_{}", "0".repeat(64)), Claim { secret: "a".into(), ..claim("box", "a", None) });
    let over = token(&admin, "over").await;
    revoke(&admin, "over").await.unwrap();
    for (shown, words) in [
        (short, "64 hexadecimal digits"),
        (
            claim("box", "b", None),
            "is not known here, and it shows no token; make one with `bellwether token create machine box --host far`",
        ),
        (claim("box", "b", Some(&wrong)), "this token is not known here"),
        // Replayed: by somebody with a secret of their own.
        (claim("box", "b", Some(&used)), "the token of machine \"box\" was used already"),
        (claim("late", "b", Some(&late)), "the token of machine \"late\" was not used before its end"),
        // Stolen, by another machine; and the machine's own secret.
        (claim("chest", "b", Some(&fresh)), "the token of machine \"new\", and not of \"chest\""),
        (claim("chest", "a", None), "the token of machine \"box\", and not of \"chest\""),
        (host("near", claim("box", "a", None)), "machine \"box\" is of host \"far\", and not of \"near\""),
        (
            host("near", claim("new", "b", Some(&fresh))),
            "machine \"new\" is of host \"far\", and not of \"near\"",
        ),
        (claim("over", "b", Some(&over)), "machine \"over\" was revoked"),
    ] {
        let denied = identify(&running, shown.clone()).await.unwrap_err().to_string();
        assert!(denied.contains(words), "{words}: {denied}");
        // Again and again, and one row.
        identify(&running, shown).await.unwrap_err();
    }
    let noted = deeds(&world).await;
    let denied: Vec<_> = noted.iter().filter(|deed| deed.contains("machine_denied")).collect();
    assert_eq!(denied.len(), 10, "one for each reason of each machine: {denied:#?}");
    // Machines that nobody knows are told apart, by their names and where they dial from.
    for (name, from) in [("new1", "192.0.2.7"), ("new2", "192.0.2.8"), ("new1", "198.51.100.1")] {
        for _ in 0..2 {
            let claim = Claim { from: from.into(), ..claim(name, "c", None) };
            identify(&running, claim).await.unwrap_err();
        }
    }
    let noted = deeds(&world).await;
    let of =
        |name: &str| noted.iter().filter(|deed| **deed == format!("anonymous machine_denied {name}")).count();
    assert_eq!((of("new1"), of("new2")), (2, 1), "{noted:#?}");
    let rows = store::audit::after(&mut world.db.read().await.unwrap(), 0, 100).await.unwrap();
    let all = format!("{rows:?}");
    assert!(all.contains("said to be chest of far, from 192.0.2.7"), "{all}");
    assert!(!all.contains(&used) && !all.contains(&wrong) && !all.contains(&"b".repeat(64)), "{all}");
    // Who may not, and what can't be.
    for viewer in [Viewer::known("bob", Role::Developer), Viewer::known("m1", Role::Builder)] {
        let as_them = running.service.clone().asking_as(viewer);
        let refused = as_them.get_json::<MachineTokenList>(TOKENS).await.unwrap_err();
        assert!(refused.is_status(StatusCode::FORBIDDEN), "{refused}");
    }
    for (body, status, words) in [
        (json!({"name": "box", "host": "far"}), 409, "has a token already"),
        (json!({"name": "../box", "host": "far"}), 400, "no name of a machine"),
        (json!({"name": "x", "host": "nowhere"}), 404, "not configured"),
        (json!({"name": "x", "host": "here"}), 409, "of pool local"),
        (json!({"name": "x", "host": "far", "expires_in": 0}), 400, "expires_in"),
    ] {
        let said = admin.call_json::<_, Value>(Method::POST, TOKENS, Some(&body)).await;
        let Err(CallError::Refused { status: got, error }) = said else { panic!("{body}: {said:?}") };
        assert!(got == status && error.message.contains(words), "{body}: {got} {error:?}");
    }
    assert!(revoke(&admin, "nobody").await.unwrap_err().is_status(StatusCode::NOT_FOUND));
}

pub async fn a_revoked_machine_is_cut_off_and_its_build_goes_elsewhere(mut world: World) {
    let turns = world.dir.path().join("turns").display().to_string();
    world.configure(&configuration(&format!("echo first; mkdir {turns} || exit 0; sleep 600")));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    world.reception = Some(reception.clone());
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let admin = running.admin();
    let made = token(&admin, "box").await;
    let mut far = Far::start(&world).await;
    far.identity = Some(identify(&running, claim("box", "a", Some(&made))).await.unwrap());
    let dialled = far.dial(&reception);
    until_logged(&world, "first").await;
    revoke(&admin, "box").await.unwrap();
    // At once, and told to end; it is not let in again.
    assert!(reception.connected().is_empty());
    tokio::time::timeout(PATIENCE, dialled).await.unwrap().unwrap();
    let mut agent = far.agent;
    tokio::time::timeout(PATIENCE, agent.wait()).await.unwrap().unwrap();
    let denied = identify(&running, claim("box", "a", Some(&made))).await.unwrap_err();
    assert!(matches!(denied, Denied::Revoked { .. }), "{denied}");
    // What had been let in just before finds no place either.
    let mut late = Far::start_as(&world, "late").await;
    late.identity = far.identity;
    let reason = tokio::time::timeout(PATIENCE, late.dial(&reception)).await.unwrap().unwrap();
    assert_eq!(reason, "it was revoked");
    let other = Far::start_as(&world, "chest").await;
    let _other = other.dial(&reception);
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 2), "{build:?}");
    assert_eq!(build.attempts[0].outcome, Some(Outcome::InfraFailed), "{build:?}");
}

pub async fn a_machine_by_the_key_goes_gently_when_its_name_gets_a_token(mut world: World) {
    let go = world.dir.path().join("go").display().to_string();
    world.configure(&configuration(&format!("echo first; until [ -e {go} ]; do sleep 0.02; done")));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    world.reception = Some(reception.clone());
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let dialled = far.dial(&reception);
    until_logged(&world, "first").await;
    token(&running.admin(), "box").await;
    let words = "machine \"box\" of host \"far\" has a token of its own";
    running.until(|status| status.workers[0].leaves.as_ref().is_some_and(|why| why.starts_with(words))).await;
    std::fs::write(&go, "").unwrap();
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 1), "{build:?}");
    tokio::time::timeout(PATIENCE, dialled).await.unwrap().unwrap();
    let mut agent = far.agent;
    tokio::time::timeout(PATIENCE, agent.wait()).await.unwrap().unwrap();
    // By the key it finds no place any more; another name does.
    let anew = Far::start(&world).await;
    let reason = tokio::time::timeout(PATIENCE, anew.dial(&reception)).await.unwrap().unwrap();
    assert!(reason.starts_with(words), "{reason}");
    let other = Far::start_as(&world, "chest").await;
    let _other = other.dial(&reception);
    running.until(|status| status.workers.iter().any(|one| one.name == "chest" && one.state == "idle")).await;
}

pub async fn of_two_machines_with_one_identity_one_is_given_work_and_that_is_told(mut world: World) {
    world.configure(&configuration("cat hello"));
    let (first_pool, reception) = pool(&world);
    world.reception = Some(reception.clone());
    let running = world.start_with(first_pool, Arc::new(NoHooks)).await;
    let made = token(&running.admin(), "box").await;
    let identity = identify(&running, claim("box", "a", Some(&made))).await.unwrap();
    let mut first = Far::start(&world).await;
    first.identity = Some(identity.clone());
    let here = first.dial(&reception);
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    // With a copy of its state directory, on a machine of the same name.
    let mut copy = Far::start_in(&world, "box", "copy").await;
    copy.identity = Some(identity);
    for _ in 0..2 {
        let reason = tokio::time::timeout(PATIENCE, copy.dial(&reception)).await.unwrap().unwrap();
        assert!(reason.contains("is here already, and answers"), "{reason}");
    }
    let status = running.until(|status| status.workers.iter().any(|one| one.doubled.is_some())).await;
    assert_eq!((status.workers.len(), status.workers[0].state.as_str()), (1, "idle"), "{status:?}");
    let noted = || async {
        let deeds = deeds(&world).await;
        deeds.into_iter().filter(|deed| deed == "machine box machine_doubled far box").count()
    };
    for _ in 0..500 {
        if noted().await > 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(noted().await, 1, "once an hour");
    world.push("one", &[1]).await;
    assert_eq!(world.done("one", "b").await.outcome, Some(Outcome::Ok));
    world.clock.turn(301);
    assert_eq!(running.status().await.workers[0].doubled, None);
    // Nor does the copy take the place by being faster after a new start of the server.
    running.kill().await;
    here.abort();
    let (second_pool, reception) = pool(&world);
    world.reception = Some(reception.clone());
    let running = world.start_with(second_pool, Arc::new(NoHooks)).await;
    let reason = tokio::time::timeout(PATIENCE, copy.dial(&reception)).await.unwrap().unwrap();
    assert!(reason.contains("keeps the place of machine \"box\" of host \"far\" for 120 s"), "{reason}");
    let machines: MachineList = running.admin().get_json("/api/v1/machines").await.unwrap();
    let [kept] = &*machines.machines else { panic!("{machines:?}") };
    assert_eq!(kept.turned_away.as_ref().map(|one| &one.reason), Some(&reason), "{kept:?}");
    let here = first.dial(&reception);
    running.until(|status| status.workers.iter().any(|one| one.state == "idle" && !one.away)).await;
    let reason = tokio::time::timeout(PATIENCE, copy.dial(&reception)).await.unwrap().unwrap();
    assert!(reason.contains("is here already, and answers"), "{reason}");
    let machines: MachineList = running.admin().get_json("/api/v1/machines").await.unwrap();
    assert_eq!(machines.machines[0].turned_away, None, "it has its place");
    // The other one comes in its stead when it is gone.
    first.end().await;
    here.abort();
    running.until(|status| status.workers.iter().all(|one| one.away)).await;
    let _copy = copy.dial(&reception);
    let status = running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    assert_eq!(status.workers.len(), 1, "{status:?}");
}
