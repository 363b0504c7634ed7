//! How far a build's commits are trusted is the mirror's to say.

use std::sync::atomic::Ordering;

use dashboard::api::{BuildReport, Outcome};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, hash, simple};

const SECRET: &str = "correct-horse-battery-staple";
const MORE: &str = "[secret.deploy]\nenv = \"D\"\nas = \"DEPLOY_TOKEN\"\nbuilders = [\"b\"]\n";

/// A commit that somebody brought, or that a row of the database names, is not built where secrets are given; once it has landed
/// it is.
pub async fn what_has_not_landed_gets_no_secret(mut world: World) {
    world.secrets.insert("deploy".into(), SECRET.into());
    world.mirror.unlanded.lock().unwrap().insert(hash(1));
    world.configure(&simple("echo \"<${DEPLOY_TOKEN-nothing}>\"", MORE));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(cause(&build, 0), (Some(Outcome::InfraFailed), "not_landed"), "{build:?}");
    assert_eq!(build.attempts.len(), 1, "another machine would not help: {build:?}");
    let detail = &build.attempts[0].cause.as_ref().unwrap().detail;
    assert!(
        detail.contains(&format!("no branch and no tag has one@{}, and b is given", hash(1))),
        "{detail}"
    );
    assert_eq!(told(&world, &build).await, [json!({"trust": "unlanded", "secrets": []})]);
    // It is said at once to whoever orders it, and nothing stays of that.
    let order = json!({"repo": "one", "builder": "b", "rev": hash(2)});
    let ordered = async || {
        running.service.call_json::<Value, Value>(Method::POST, "/api/v1/builds", Some(&order)).await
    };
    world.mirror.unlanded.lock().unwrap().insert(hash(2));
    let refused = ordered().await.unwrap_err();
    assert!(refused.is_status(StatusCode::CONFLICT) && refused.is_code("not_landed"), "{refused}");
    world.mirror.away.store(true, Ordering::Relaxed);
    let unknown = ordered().await.unwrap_err();
    assert!(
        unknown.is_status(StatusCode::SERVICE_UNAVAILABLE) && unknown.to_string().contains("no route"),
        "{unknown}"
    );
    world.mirror.unlanded.lock().unwrap().clear();
    let id = ordered().await.unwrap()["id"].as_str().unwrap().to_owned();
    running.post(&format!("/api/v1/builds/{}/retry", build.id)).await;
    world.until("one", "b", |row| row.attempts == 2 && row.state == "done" && row.reported).await;
    let build = world.dashboard.build(&build.id).await.unwrap();
    assert_eq!(world.log(&build.attempts[1]).await, "<***>\n");
    let secrets = json!([{"name": "deploy", "variable": "DEPLOY_TOKEN"}]);
    assert_eq!(told(&world, &build).await[1], json!({"trust": "landed", "secrets": secrets}));
    running.until(|status| status.running.is_empty() && status.queued.is_empty()).await;
    assert_eq!(world.dashboard.build(&id).await.unwrap().outcome, Some(Outcome::Ok));
}

/// Where no secret is given, it is built as any other.
pub async fn what_has_not_landed_is_built_without_secrets(world: World) {
    world.mirror.unlanded.lock().unwrap().insert(hash(1));
    world.mirror.away.store(true, Ordering::Relaxed);
    world.configure(&simple("echo built", ""));
    world.push("one", &[1]).await;
    let _running = world.start().await;
    let build = world.done("one", "b").await;
    assert_eq!(world.log(&build.attempts[0]).await, "built\n");
    assert_eq!(told(&world, &build).await, [json!({"trust": "unlanded", "secrets": []})]);
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
    assert_eq!(cause(&build, 0), (Some(Outcome::InfraFailed), "source"), "{build:?}");
    let detail = &build.attempts[0].cause.as_ref().unwrap().detail;
    assert!(detail.contains("the source is not there"), "{detail}");
    assert_eq!(world.log(&build.attempts[1]).await, "<***>\n");
}

fn cause(build: &BuildReport, attempt: usize) -> (Option<Outcome>, &str) {
    let attempt = &build.attempts[attempt];
    (attempt.outcome, attempt.cause.as_ref().map_or("", |cause| &cause.kind))
}

/// What each attempt's job has of trust and secrets.
async fn told(world: &World, build: &BuildReport) -> Vec<Value> {
    let mut reader = world.db.read().await.unwrap();
    let rows = store::attempts::of_build(&mut reader, build.id.parse().unwrap()).await.unwrap();
    let of = |job: &str| {
        let job: Value = serde_json::from_str(job).unwrap();
        json!({"trust": job["trust"], "secrets": job["secrets"]})
    };
    rows.iter().map(|row| of(&row.job)).collect()
}
