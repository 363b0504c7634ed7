//! How many machines one person may have, and how many builds they may wait for to fail.

use axum::body::Body;
use coordinator::Status;
use gomote::create_instance_response::Status as Progress;
use gomote::*;
use http::Request;
use store::BuildId;
use tonic::Code;
use transport::{Role, Viewer};

use crate::held::{Client, client, configuration, create, destroy};
use crate::world::{Running, World};

fn ask_for_one() -> CreateInstanceRequest {
    CreateInstanceRequest { builder_type: "b".into(), ..Default::default() }
}

/// Asks for a machine that is refused; the words.
async fn refused(client: &mut Client) -> String {
    let refused = client.create_instance(ask_for_one()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    refused.message().to_owned()
}

async fn order(running: &Running, who: &str, role: Role, method: &str, id: BuildId) -> (u16, String) {
    order_as(running, Viewer::known(who, role), method, id).await
}

async fn order_as(running: &Running, viewer: Viewer, method: &str, id: BuildId) -> (u16, String) {
    let service = running.service.clone().asking_as(viewer);
    let request = Request::builder().method(method).uri(format!("/api/v1/builds/{id}/hold"));
    let answer = service.send(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.into()).unwrap())
}

pub async fn one_person_has_no_more_machines_than_configured(world: World) {
    world.configure(&format!("[environment.test]\nmax_gomotes = 2\n{}", configuration(&world)));
    let running = world.start().await;
    let (mut ann, mut bob) =
        (client(&running, "ann", Role::Developer), client(&running, "bob", Role::Developer));
    let (one, _) = create(&mut ann).await;
    assert_eq!(one.gomote_id, "ann-b-0");
    // One that is waited for counts.
    let mut waits = ann.create_instance(ask_for_one()).await.unwrap().into_inner();
    assert_eq!(waits.message().await.unwrap().unwrap().status(), Progress::Waiting);
    let said = refused(&mut ann).await;
    let wanted = "one person may have 2 machines at once (max_gomotes), and you hold or wait for 2 and";
    assert!(said.starts_with(wanted) && said.ends_with("gives one back: ann-b-0"), "{said}");
    // That is hers alone, and is known after a new start.
    let mut others = bob.create_instance(ask_for_one()).await.unwrap().into_inner();
    assert_eq!(others.message().await.unwrap().unwrap().status(), Progress::Waiting);
    drop((waits, others));
    running.kill().await;
    let running = world.start().await;
    let mut ann = client(&running, "ann", Role::Developer);
    let waits = ann.create_instance(ask_for_one()).await.unwrap().into_inner();
    assert!(refused(&mut ann).await.starts_with(wanted));
    drop(waits);
    // What is given back makes room, once it is clean.
    for _ in 0..500 {
        if ann.list_instances(ListInstancesRequest {}).await.unwrap().into_inner().instances.len() == 1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    destroy(&mut ann, "ann-b-0").await;
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    create(&mut ann).await;
}

pub async fn who_goes_away_while_the_coordinator_has_much_to_hear_is_let_go_of(world: World) {
    // More than it can be told of at once.
    const MANY: usize = 1500;
    world.configure(&format!("[environment.test]\nmax_gomotes = 2\n{}", configuration(&world)));
    let running = world.start().await;
    let mut ann = client(&running, "ann", Role::Developer);
    create(&mut ann).await;
    let mut waits = ann.create_instance(ask_for_one()).await.unwrap().into_inner();
    assert_eq!(waits.message().await.unwrap().unwrap().status(), Progress::Waiting);
    refused(&mut ann).await;
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..MANY {
        let service = running.service.clone();
        asked.spawn(async move { while service.get_json::<Status>("/api/v1/status").await.is_ok() {} });
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    drop(waits);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    asked.shutdown().await;
    let again = async {
        while ann.create_instance(ask_for_one()).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), again).await.expect("nobody waits any more");
}

pub async fn one_person_waits_for_no_more_builds_to_fail_than_configured(world: World) {
    let text = configuration(&world).replace("horizon = 1", "horizon = 3");
    world.configure(&format!("[environment.test]\nmax_gomotes = 2\n{text}"));
    world.push("one", &[3, 2, 1]).await;
    let running = world.start().await;
    let mut ids = Vec::new();
    for _ in 0..500 {
        ids = world.builds().await.into_iter().map(|row| row.id).collect();
        if ids.len() == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let [first, second, third] = ids[..] else { panic!("{ids:?}") };
    let (developer, admin) = (Role::Developer, Role::Admin);
    for id in [first, second, first] {
        assert_eq!(order(&running, "ann", developer, "POST", id).await.0, 200);
    }
    let (status, said) = order(&running, "ann", developer, "POST", third).await;
    let lets_go = format!("`bellwether gomote unhold` lets go of a build: {first}, {second}");
    assert!(status == 409 && said.contains("too_many") && said.contains(&lets_go), "{said}");
    let mut ann = client(&running, "ann", developer);
    assert!(refused(&mut ann).await.ends_with(&lets_go));
    assert_eq!(order(&running, "bob", developer, "POST", third).await.0, 200, "it was hers alone");
    // Let go of by whoever waits, and by an admin.
    assert_eq!(order(&running, "bob", developer, "DELETE", first).await.0, 403);
    assert_eq!(order(&running, "bob", Role::Reader, "DELETE", first).await.0, 403);
    let of_one = Viewer::known("ruth", admin).scoped(vec!["one".into()]);
    assert_eq!(order_as(&running, of_one, "DELETE", first).await.0, 403, "the server's builder is all's");
    assert_eq!(order(&running, "ann", developer, "DELETE", first).await.0, 204);
    assert_eq!(order(&running, "ann", developer, "DELETE", first).await.0, 404);
    assert_eq!(order(&running, "root", admin, "DELETE", third).await.0, 204);
    let rows = store::audit::after(&mut world.db.read().await.unwrap(), 0, 100).await.unwrap();
    let deed = &rows.last().unwrap().deed;
    let said = (&*deed.actor, &*deed.action, &*deed.target, &*deed.detail);
    assert_eq!(said, ("root", "gomote unhold", &*third.to_string(), "{\"owner\":\"bob\"}"));
    // It is so after a new start, too.
    running.kill().await;
    let wanted = store::wanted_holds::all(&mut world.db.read().await.unwrap()).await.unwrap();
    let wanted: Vec<_> = wanted.iter().map(|row| (row.build, &*row.owner)).collect();
    assert_eq!(wanted, [(second, "ann")]);
    let running = world.start().await;
    assert_eq!(order(&running, "ann", developer, "POST", third).await.0, 200);
    assert_eq!(order(&running, "ann", developer, "POST", first).await.0, 409);
}
