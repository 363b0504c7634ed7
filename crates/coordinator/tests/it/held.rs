//! Machines that people hold, over the wire as clients speak it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use buildlet_client::BuildletClient;
use coordinator::{Clock as _, GomoteList, NoHooks};
use gomote::create_instance_response::Status as Progress;
use gomote::gomote_service_client::GomoteServiceClient;
use gomote::*;
use http::Request;
use tonic::Code;
use transport::{Role, Service, Standing, Viewer};

use crate::scopes::until_held;
use crate::world::{Running, World};

pub(crate) type Client = GomoteServiceClient<Service>;

pub(crate) const CONFIG: &str = "[host.h]\npool = \"local\"\ncapacity = 1\ntrust = \"trusted\"\nenv_pass = [\"PATH\"]\nenv = { A = \"host\" }\n\
    [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
    [builder.b]\nhost = \"h\"\nrecipe = \"r\"\nenv = { B = \"builder\" }\n\
    [recipe.r]\nrun = '''until [ -e GO ]; do sleep 0.02; done'''\n";

pub(crate) fn configuration(world: &World) -> String {
    CONFIG.replace("GO", &world.dir.path().join("go").display().to_string())
}

pub(crate) fn client(running: &Running, who: &str, role: Role) -> Client {
    client_of(running, Viewer::known(who, role))
}

pub(crate) fn client_of(running: &Running, viewer: Viewer) -> Client {
    GomoteServiceClient::new(running.service.clone().with_timeout(Duration::from_secs(60)).asking_as(viewer))
}

/// Waits for a machine; also returns why it had to.
pub(crate) async fn create(client: &mut Client) -> (Instance, Vec<CreateInstanceResponse>) {
    create_of(client, "b").await
}

/// The same, of a builder.
pub(crate) async fn create_of(client: &mut Client, builder: &str) -> (Instance, Vec<CreateInstanceResponse>) {
    let request = CreateInstanceRequest { builder_type: builder.into(), ..Default::default() };
    let mut told = client.create_instance(request).await.unwrap().into_inner();
    let mut waited = Vec::new();
    loop {
        let next = told.message().await.unwrap().unwrap();
        match next.status() {
            Progress::Complete => {
                assert_eq!(told.message().await.unwrap(), None, "it is the last word");
                return (next.instance.unwrap(), waited);
            }
            Progress::Waiting => waited.push(next),
            Progress::Unknown => panic!("{next:?}"),
        }
    }
}

/// Runs a script; what it prints, and how it ends.
pub(crate) async fn run(
    client: &mut Client,
    name: &str,
    script: &str,
) -> (String, Result<(), (Code, String)>) {
    let request = ExecuteCommandRequest {
        gomote_id: name.into(),
        command: "sh".into(),
        system_level: true,
        args: vec!["-c".into(), script.into()],
        append_environment: vec!["C=mine".into()],
        ..Default::default()
    };
    let mut told = match client.execute_command(request).await {
        Ok(told) => told.into_inner(),
        Err(status) => return (String::new(), Err((status.code(), status.message().into()))),
    };
    let mut output = Vec::new();
    loop {
        match told.message().await {
            Ok(Some(some)) => output.extend(some.output),
            Ok(None) => return (String::from_utf8(output).unwrap(), Ok(())),
            Err(status) => {
                let ended = (status.code(), status.message().to_owned());
                return (String::from_utf8(output).unwrap(), Err(ended));
            }
        }
    }
}

pub(crate) async fn destroy(client: &mut Client, name: &str) {
    client.destroy_instance(DestroyInstanceRequest { gomote_id: name.into() }).await.unwrap();
}

pub(crate) async fn held(client: &mut Client) -> Vec<String> {
    let list = client.list_instances(ListInstancesRequest {}).await.unwrap().into_inner();
    list.instances.into_iter().map(|instance| instance.gomote_id).collect()
}

/// The highest fence that the only worker here has seen.
async fn fence(world: &World) -> u64 {
    let worker = std::fs::read_dir(world.dir.path().join("workers")).unwrap().next().unwrap().unwrap().path();
    let kept = std::fs::read(worker.join("worker.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_slice(&kept).unwrap();
    let socket = kept["socket"].as_str().unwrap().into();
    let client = BuildletClient::new(buildlet_client::Address::Unix(socket), None);
    client.status().await.unwrap().bellwether.unwrap().fence
}

/// Posts a file by a form that was given out; the status.
async fn post(running: &Running, form: &UploadFileResponse, content: &str) -> u16 {
    let mut body = String::new();
    for (name, value) in &form.fields {
        body += &format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    body += &format!(
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n{content}\r\n--x--\r\n"
    );
    let path = form.url.split_once("//").unwrap().1.split_once('/').unwrap().1;
    let request = Request::post(format!("/{path}")).header("content-type", "multipart/form-data; boundary=x");
    let stranger = running.service.clone().asking_as(Viewer::stranger(false));
    stranger.send(request.body(Body::from(body)).unwrap()).await.unwrap().status().as_u16()
}

pub async fn a_machine_is_held_used_and_given_back_clean(world: World) {
    world.configure(&configuration(&world));
    let running = world.start().await;
    let mut ann = client(&running, "ann@example.org", Role::Developer);
    let builders =
        ann.list_swarming_builders(ListSwarmingBuildersRequest {}).await.unwrap().into_inner().builders;
    assert_eq!(builders, ["b"]);
    let (one, _) = create(&mut ann).await;
    assert_eq!((one.gomote_id.as_str(), &*one.builder_type, &*one.host_type), ("ann-b-0", "b", "h"));
    assert!(one.expires * 1_000_000 > store::Micros::now().0 + 1_500_000_000, "{one:?}");
    let name = one.gomote_id.as_str();
    let (output, ended) =
        run(&mut ann, name, "pwd; echo $A $B $C $GO_BUILDER_NAME; echo no >&2; touch left; exit 7").await;
    assert_eq!(output, format!("{}\nhost builder mine b\nno\n", one.working_dir));
    assert_eq!(ended, Err((Code::Unknown, "exit status 7".into())));

    let form = ann.upload_file(UploadFileRequest {}).await.unwrap().into_inner();
    assert_eq!(post(&running, &form, "carried").await, 204);
    let url = format!("{}{}", form.url, form.object_name);
    let request =
        WriteFileFromUrlRequest { gomote_id: name.into(), url, filename: "d/f".into(), mode: 0o755 };
    ann.write_file_from_url(request).await.unwrap();
    assert_eq!(run(&mut ann, name, "cat d/f; test -x d/f").await, ("carried".into(), Ok(())));
    let list = ListDirectoryRequest {
        gomote_id: name.into(),
        directory: ".".into(),
        recursive: true,
        digest: true,
        // Made for commands by each buildlet.
        skip_files: ["tmp", "gocache", "goplscache"].map(str::to_owned).into(),
    };
    let entries = ann.list_directory(list.clone()).await.unwrap().into_inner().entries;
    assert_eq!(entries.len(), 3, "{entries:?}");
    let fields: Vec<&str> = entries[1].split('\t').collect();
    assert_eq!((fields[0], fields[1], fields[2], fields[4].len()), ("-rwxr-xr-x", "d/f", "7", 40));
    let tgz = ReadTgzToUrlRequest { gomote_id: name.into(), directory: "d".into() };
    let url = ann.read_tgz_to_url(tgz).await.unwrap().into_inner().url;
    let path = url.split_once("//").unwrap().1.split_once('/').unwrap().1;
    let stranger = running.service.clone().asking_as(Viewer::stranger(false));
    let fetch = |path: String| {
        let (stranger, request) =
            (stranger.clone(), Request::get(format!("/{path}")).body(Body::empty()).unwrap());
        async move {
            let response = stranger.send(request).await.unwrap();
            (response.status().as_u16(), axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap())
        }
    };
    let (status, archive) = fetch(path.to_owned()).await;
    assert_eq!((status, &archive[..2]), (200, &b"\x1f\x8b"[..]));
    assert_eq!(fetch(path.replace("signature=", "signature=0")).await.0, 403);
    let form = ann.upload_file(UploadFileRequest {}).await.unwrap().into_inner();
    let mut forged = form.clone();
    forged.url = form.url.replace(&form.object_name, &"0".repeat(32));
    assert_eq!(post(&running, &forged, "x").await, 403);
    ann.remove_files(RemoveFilesRequest { gomote_id: name.into(), paths: vec!["d".into()] }).await.unwrap();
    let ls = "ls -I tmp -I gocache -I goplscache";
    assert_eq!(run(&mut ann, name, ls).await, ("left\n".into(), Ok(())));

    let worker = running.status().await.workers[0].worker;
    assert_eq!(running.status().await.workers[0].reason.as_deref(), Some("held as ann-b-0"));
    let under = fence(&world).await;
    destroy(&mut ann, name).await;
    assert_eq!(held(&mut ann).await, [""; 0]);
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    assert!(fence(&world).await > under, "what was still on its way is refused since the wipe");
    let (two, _) = create(&mut ann).await;
    assert_eq!(running.status().await.workers[0].worker, worker, "the same machine");
    assert_eq!(run(&mut ann, &two.gomote_id, ls).await, (String::new(), Ok(())), "wiped");
}

pub async fn whoever_waits_is_told_why_and_leaves_no_trace_when_they_go(world: World) {
    world.configure(&configuration(&world));
    world.push("one", &[1]).await;
    let running = world.start().await;
    world.until("one", "b", |row| row.state == "running").await;
    let mut ann = client(&running, "ann", Role::Developer);
    let request = CreateInstanceRequest { builder_type: "b".into(), ..Default::default() };
    let mut told = ann.create_instance(request).await.unwrap().into_inner();
    let next = told.message().await.unwrap().unwrap();
    assert_eq!((next.status(), next.waiters_ahead), (Progress::Waiting, 0));
    assert_eq!(next.reason, "waits for a machine of host h: 1 of 1 busy");
    drop(told);
    // The name is free again, and so is the place in the queue, once the word of it has come.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut bob = client(&running, "ann", Role::Developer);
    let waits = tokio::spawn(async move { create(&mut bob).await });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    std::fs::write(world.dir.path().join("go"), "").unwrap();
    let (instance, waited) = waits.await.unwrap();
    assert_eq!(instance.gomote_id, "ann-b-0");
    assert!(waited.iter().all(|one| one.waiters_ahead == 0), "{waited:?}");
    assert_eq!(world.done("one", "b").await.outcome, Some(dashboard::api::Outcome::Ok));
}

pub async fn a_builder_of_a_repository_that_was_not_read_yet_is_waited_for(world: World) {
    let unread = HashMap::from([("one".parse().unwrap(), buildenv::Project::default())]);
    let before = crate::world::config(configuration(&world).split("[builder.b]").next().unwrap());
    world.config.send_replace(Arc::new(before.with_projects(unread)));
    let running = world.start().await;
    let mut ann = client(&running, "ann", Role::Developer);
    let asks = tokio::spawn(async move { create(&mut ann).await.0 });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!asks.is_finished(), "nobody knows yet which builders there are");
    world.configure(&configuration(&world));
    assert_eq!(asks.await.unwrap().gomote_id, "ann-b-0");
}

pub async fn nobody_else_touches_or_prolongs_what_is_held(world: World) {
    world.configure(&configuration(&world));
    let running = world.start().await;
    let (mut ann, mut bob) =
        (client(&running, "ann", Role::Developer), client(&running, "bob", Role::Developer));
    let (one, _) = create(&mut ann).await;
    let name = one.gomote_id.clone();
    let alive = || InstanceAliveRequest { gomote_id: name.clone() };
    let expires = |client: &mut Client| {
        let mut client = client.clone();
        async move {
            client.list_instances(ListInstancesRequest {}).await.unwrap().into_inner().instances[0].expires
        }
    };
    let before = expires(&mut ann).await;
    world.clock.turn(600);
    assert_eq!(bob.instance_alive(alive()).await.unwrap_err().code(), Code::PermissionDenied);
    let (_, ended) = run(&mut bob, &name, "true").await;
    assert_eq!(ended.unwrap_err().0, Code::PermissionDenied);
    let destroyed = bob.destroy_instance(DestroyInstanceRequest { gomote_id: name.clone() }).await;
    assert_eq!(destroyed.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(held(&mut bob).await, [""; 0]);
    assert_eq!(expires(&mut ann).await, before, "it is not put off by others, nor by looking");
    ann.instance_alive(alive()).await.unwrap();
    assert!(expires(&mut ann).await >= before + 600);
    // Codes as the original has them.
    let empty = InstanceAliveRequest::default();
    assert_eq!(ann.instance_alive(empty).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(run(&mut ann, "", "true").await.1.unwrap_err().0, Code::NotFound);
    assert_eq!(run(&mut ann, "ann-b-9", "true").await.1.unwrap_err().0, Code::NotFound);
    for builder_type in ["", "nope"] {
        let request = CreateInstanceRequest { builder_type: builder_type.into(), ..Default::default() };
        assert_eq!(ann.create_instance(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let elsewhere = WriteTgzFromUrlRequest {
        gomote_id: name.clone(),
        url: "http://127.0.0.1:1/x".into(),
        ..Default::default()
    };
    assert_eq!(ann.write_tgz_from_url(elsewhere).await.unwrap_err().code(), Code::InvalidArgument);
    // Who has no right is not let in at all.
    for role in [Role::Anonymous, Role::Reader, Role::Builder] {
        let mut other = client(&running, "x", role);
        let status = other.list_instances(ListInstancesRequest {}).await.unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{role}: {status}");
    }
    // A machine is more than some repositories, and its builder is not told of.
    let scoped = Viewer::known("cat", Role::Developer).scoped(vec!["one".into()]);
    let mut cat = GomoteServiceClient::new(running.service.clone().asking_as(scoped));
    let request = CreateInstanceRequest { builder_type: "b".into(), ..Default::default() };
    let refused = cat.create_instance(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("there is no builder b;"), "{refused}");
    // An admin takes back what somebody left.
    destroy(&mut client(&running, "root", Role::Admin), &name).await;
    assert_eq!(held(&mut ann).await, [""; 0]);
}

pub async fn streams_end_when_what_was_shown_counts_no_longer(world: World) {
    world.configure(&configuration(&world));
    let running = world.start().await;
    let standing = Standing::revocable();
    let viewer = Viewer { standing: standing.clone(), ..Viewer::known("ann", Role::Developer) };
    let mut ann = client_of(&running, viewer);
    let (one, _) = create(&mut ann).await;
    // One who waits for a second machine, and a command that runs.
    let request = CreateInstanceRequest { builder_type: "b".into(), ..Default::default() };
    let mut waits = ann.create_instance(request).await.unwrap().into_inner();
    assert_eq!(waits.message().await.unwrap().unwrap().status(), Progress::Waiting);
    let request = ExecuteCommandRequest {
        gomote_id: one.gomote_id.clone(),
        command: "sh".into(),
        system_level: true,
        args: vec!["-c".into(), "echo on; exec sleep 600".into()],
        ..Default::default()
    };
    let mut runs = ann.execute_command(request).await.unwrap().into_inner();
    assert_eq!(runs.message().await.unwrap().unwrap().output, b"on\n");
    standing.end();
    let words = "what ann showed counts no longer";
    let ended = runs.message().await.unwrap_err();
    assert!(ended.code() == Code::Unauthenticated && ended.message().starts_with(words), "{ended}");
    let ended = loop {
        match waits.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ends without a word"),
            Err(ended) => break ended,
        }
    };
    assert!(ended.code() == Code::Unauthenticated && ended.message().starts_with(words), "{ended}");
    // Known again by something else, they go on with what they hold.
    let mut again = client(&running, "ann", Role::Developer);
    assert_eq!(held(&mut again).await, [one.gomote_id.as_str()]);
    assert_eq!(run(&mut again, &one.gomote_id, "echo here").await, ("here\n".into(), Ok(())));
}

pub async fn what_is_held_outlives_the_coordinator(world: World) {
    world.configure(&configuration(&world));
    let running = world.start().await;
    let mut ann = client(&running, "ann", Role::Developer);
    let (one, _) = create(&mut ann).await;
    assert_eq!(run(&mut ann, &one.gomote_id, "echo kept > f").await.1, Ok(()));
    running.kill().await;
    let running = world.start().await;
    let mut ann = client(&running, "ann", Role::Developer);
    until_held(&running, &Viewer::known("root", Role::Admin), &[&one.gomote_id]).await;
    assert_eq!(run(&mut ann, &one.gomote_id, "cat f").await, ("kept\n".into(), Ok(())));
    destroy(&mut ann, &one.gomote_id).await;
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    running.kill().await;
    let running = world.start().await;
    let mut ann = client(&running, "ann", Role::Developer);
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    assert_eq!(held(&mut ann).await, [""; 0], "it was given back");
}

pub async fn what_nobody_uses_is_given_back_and_what_is_lost_is_told(mut world: World) {
    world.gomote_idle = Duration::from_secs(1);
    world.configure(&configuration(&world));
    let pool = world.local_pool();
    let running = world.start_with(Arc::clone(&pool), Arc::new(NoHooks)).await;
    let mut ann = client(&running, "ann", Role::Developer);
    create(&mut ann).await;
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    assert_eq!(held(&mut ann).await, [""; 0]);
    // While a command runs it is used.
    let (two, _) = create(&mut ann).await;
    assert_eq!(run(&mut ann, &two.gomote_id, "sleep 0.2; echo done").await, ("done\n".into(), Ok(())));
    // A machine that dies takes it along.
    let (_, ended) = run(&mut ann, &two.gomote_id, "kill -9 $PPID; sleep 60").await;
    assert_eq!(ended.unwrap_err().0, Code::Aborted);
    for _ in 0..1000 {
        if held(&mut ann).await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (code, words) = run(&mut ann, &two.gomote_id, "true").await.1.unwrap_err();
    assert_eq!(code, Code::NotFound, "{words}");
}

pub async fn the_machine_of_a_build_that_fails_is_held_as_it_is(world: World) {
    let left = CONFIG.replace("sleep 0.02; done", "sleep 0.02; done; echo of the build > left; exit 1");
    world.configure(&left.replace("GO", &world.dir.path().join("go").display().to_string()));
    world.push("one", &[1]).await;
    let running = world.start().await;
    let row = world.until("one", "b", |row| row.state == "running").await;
    let order = |who: &str, role| {
        let service = running.service.clone().asking_as(Viewer::known(who, role));
        let request = Request::post(format!("/api/v1/builds/{}/hold", row.id)).body(Body::empty()).unwrap();
        async move { service.send(request).await.unwrap().status().as_u16() }
    };
    assert_eq!(order("eve", Role::Reader).await, 403);
    assert_eq!(order("ann", Role::Developer).await, 200);
    // Over a new start of the server.
    running.kill().await;
    let running = world.start().await;
    let mut ann = client(&running, "ann", Role::Developer);
    std::fs::write(world.dir.path().join("go"), "").unwrap();
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(dashboard::api::Outcome::Failed));
    let mut name = Vec::new();
    for _ in 0..500 {
        name = held(&mut ann).await;
        if !name.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(name, ["ann-b-0"]);
    assert_eq!(run(&mut ann, &name[0], "cat one/left").await, ("of the build\n".into(), Ok(())));
    destroy(&mut ann, &name[0]).await;
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    let wanted = || async { store::wanted_holds::all(&mut world.db.read().await.unwrap()).await.unwrap() };
    assert_eq!(wanted().await, []);
    let order = |who: &str, role| {
        let service = running.service.clone().asking_as(Viewer::known(who, role));
        let request = Request::post(format!("/api/v1/builds/{}/hold", row.id)).body(Body::empty()).unwrap();
        async move { service.send(request).await.unwrap().status().as_u16() }
    };
    // One that is done is tried again for it, and one that does not fail leaves nothing.
    std::fs::remove_file(world.dir.path().join("go")).unwrap();
    assert_eq!(order("ann", Role::Developer).await, 200);
    world.until("one", "b", |row| row.state == "running").await;
    running.post(&format!("/api/v1/builds/{}/cancel", row.id)).await;
    world.until("one", "b", |row| row.state == "done").await;
    running.until(|status| status.workers.iter().all(|one| one.state == "idle")).await;
    assert_eq!(held(&mut ann).await, [""; 0]);
    assert_eq!(wanted().await, []);
}

pub async fn who_runs_the_server_sees_what_everybody_holds(world: World) {
    world.configure(&configuration(&world));
    let running = world.start().await;
    let mut ann = client(&running, "ann", Role::Developer);
    let before = store::Micros(world.clock.now().0);
    let (one, _) = create(&mut ann).await;
    let list = async || running.admin().get_json::<GomoteList>("/api/v1/gomotes").await.unwrap().gomotes;
    let [held] = &*list().await else { panic!("nothing is held") };
    assert_eq!((&*held.name, &*held.owner, &*held.builder, &*held.host), (&*one.gomote_id, "ann", "b", "h"));
    assert!(held.created >= before && held.expires.0 / 1_000_000 == one.expires, "{held:?}");
    let status = running.status().await;
    assert_eq!(held.worker, status.workers[0].worker);
    let as_ann = running.service.clone().asking_as(Viewer::known("ann", Role::Developer));
    let refused = as_ann.get_json::<GomoteList>("/api/v1/gomotes").await.unwrap_err();
    assert!(refused.is_status(http::StatusCode::FORBIDDEN), "{refused}");
    // Since when, also over a new start.
    running.kill().await;
    world.clock.turn(60);
    let running = world.start().await;
    let list = async || running.admin().get_json::<GomoteList>("/api/v1/gomotes").await.unwrap().gomotes;
    let created = held.created;
    for _ in 0..500 {
        if !list().await.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(list().await[0].created, created);
    destroy(&mut client(&running, "root", Role::Admin), &one.gomote_id).await;
    assert_eq!(list().await, []);
    let rows = store::audit::after(&mut world.db.read().await.unwrap(), 0, 100).await.unwrap();
    let deed = &rows.last().unwrap().deed;
    let said = (&*deed.actor, &*deed.action, &*deed.target, &*deed.detail);
    assert_eq!(said, ("root", "gomote destroy", &*one.gomote_id, "{\"owner\":\"ann\"}"));
}
