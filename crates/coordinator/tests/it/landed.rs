//! How far a build's commits are trusted is the mirror's to say.

use std::sync::atomic::Ordering;

use dashboard::api::{BuildReport, Outcome};

use crate::world::{Running, World, hash, simple};

const SECRET: &str = "correct-horse-battery-staple";
const MORE: &str = "[secret.deploy]\nenv = \"D\"\nas = \"DEPLOY_TOKEN\"\nbuilders = [\"b\"]\n";

/// A commit that somebody brought, or that a row of the database names, runs without what only landed commits are given.
pub async fn what_has_not_landed_gets_no_secret(mut world: World) {
    world.secrets.insert("deploy".into(), SECRET.into());
    world.mirror.unlanded.lock().unwrap().insert(hash(1));
    world.configure(&simple("echo \"<${DEPLOY_TOKEN-nothing}>\"", MORE));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    let log = world.log(&build.attempts[0]).await;
    let said = format!(
        "bellwether: no branch or tag has one@{}, so this build does not get DEPLOY_TOKEN: secrets are for what has landed\n\
         <nothing>\n",
        hash(1)
    );
    assert_eq!(log, said);
    assert_eq!(trusts(&world, &build).await, ["unlanded"]);
    world.mirror.unlanded.lock().unwrap().clear();
    retry(&running, &build).await;
    world.until("one", "b", |row| row.attempts == 2 && row.state == "done" && row.reported).await;
    let build = world.done("one", "b").await;
    assert_eq!(world.log(&build.attempts[1]).await, "<***>\n");
    assert_eq!(trusts(&world, &build).await, ["unlanded", "landed"]);
}

/// Nothing is taken for landed, or for not, by a mirror that can't say.
pub async fn what_may_have_landed_is_asked_again(mut world: World) {
    world.secrets.insert("deploy".into(), SECRET.into());
    // One attempt asks three times.
    world.mirror.unsure.store(4, Ordering::Relaxed);
    world.configure(&simple("echo \"<${DEPLOY_TOKEN-nothing}>\"", MORE));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    let [first, second] = &*build.attempts else { panic!("{build:?}") };
    let cause = first.cause.as_ref().unwrap();
    assert_eq!((first.outcome, cause.kind.as_str()), (Some(Outcome::InfraFailed), "source"), "{cause:?}");
    assert!(cause.detail.contains("the source is not there"), "{cause:?}");
    assert_eq!(world.log(second).await, "<***>\n");
}

async fn retry(running: &Running, build: &BuildReport) {
    running.post(&format!("/api/v1/builds/{}/retry", build.id)).await;
}

/// What the server told the machines of each attempt.
async fn trusts(world: &World, build: &BuildReport) -> Vec<String> {
    let mut reader = world.db.read().await.unwrap();
    let rows = store::attempts::of_build(&mut reader, build.id.parse().unwrap()).await.unwrap();
    let trust = |job: &str| {
        serde_json::from_str::<serde_json::Value>(job).unwrap()["trust"].as_str().unwrap().to_owned()
    };
    rows.iter().map(|row| trust(&row.job)).collect()
}
