//! Tokens that are for some repositories: of machines that people hold they see and end those of their repositories alone.

use std::sync::Arc;

use axum::body::Body;
use buildenv::Source;
use coordinator::GomoteList;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use gomote::create_instance_response::Status as Progress;
use gomote::*;
use http::Request;
use tonic::{Code, Status};
use transport::{Role, Viewer};

use crate::held::{Client, client_of, create_of, destroy};
use crate::world::{Running, World};

const SERVER: &str = "[host.h]\npool = \"local\"\ncapacity = 3\ntrust = \"trusted\"\nenv_pass = [\"PATH\"]\n\
    [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
    [repo.two]\nurl = \"https://example.com/two\"\nhorizon = 1\n\
    [builder.b]\nhost = \"h\"\nrecipe = \"r\"\nrepos = [\"one\", \"two\"]\n[recipe.r]\nrun = \"exit 1\"\n";
const PROJECT: &str = "[builder.x]\nhost = \"h\"\nrecipe = \"own\"\n[recipe.own]\nrun = \"exit 1\"\n";

/// Two repositories with a builder of their own each, and one of the server's.
fn configure(world: &World) {
    let project =
        |repo: &str| Source::project(repo.parse().unwrap(), format!("{repo}:bellwether.toml"), PROJECT);
    let sources = [
        buildenv::embedded("linux", "amd64"),
        Source::server("server.toml", SERVER),
        project("one"),
        project("two"),
    ];
    let config = buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None);
    world.config.send_replace(Arc::new(config.unwrap_or_else(|error| panic!("{error}"))));
}

type Call = (&'static str, fn(Client, String) -> BoxFuture<'static, Result<(), Status>>);

/// Every call about a machine that somebody holds, but the one that gives it back.
const CALLS: [Call; 10] = [
    ("AddBootstrap", |mut client, gomote_id| {
        async move { client.add_bootstrap(AddBootstrapRequest { gomote_id }).await.map(drop) }.boxed()
    }),
    ("InstanceAlive", |mut client, gomote_id| {
        async move { client.instance_alive(InstanceAliveRequest { gomote_id }).await.map(drop) }.boxed()
    }),
    ("ExecuteCommand", |mut client, gomote_id| {
        let request = ExecuteCommandRequest {
            gomote_id,
            command: "true".into(),
            system_level: true,
            ..Default::default()
        };
        async move {
            let mut told = client.execute_command(request).await?.into_inner();
            while told.message().await?.is_some() {}
            Ok(())
        }
        .boxed()
    }),
    ("ListDirectory", |mut client, gomote_id| {
        let request = ListDirectoryRequest { gomote_id, directory: ".".into(), ..Default::default() };
        async move { client.list_directory(request).await.map(drop) }.boxed()
    }),
    ("ListDirectoryStreaming", |mut client, gomote_id| {
        let request = ListDirectoryRequest { gomote_id, directory: ".".into(), ..Default::default() };
        async move { client.list_directory_streaming(request).await.map(drop) }.boxed()
    }),
    ("ReadTGZToURL", |mut client, gomote_id| {
        let request = ReadTgzToUrlRequest { gomote_id, directory: ".".into() };
        async move { client.read_tgz_to_url(request).await.map(drop) }.boxed()
    }),
    ("RemoveFiles", |mut client, gomote_id| {
        let request = RemoveFilesRequest { gomote_id, paths: vec!["nothing".into()] };
        async move { client.remove_files(request).await.map(drop) }.boxed()
    }),
    ("SignSSHKey", |mut client, gomote_id| {
        let request = SignSshKeyRequest { gomote_id, public_ssh_key: "none".into() };
        async move { client.sign_ssh_key(request).await.map(drop) }.boxed()
    }),
    ("WriteFileFromURL", |mut client, gomote_id| {
        let request = WriteFileFromUrlRequest { gomote_id, url: "none".into(), ..Default::default() };
        async move { client.write_file_from_url(request).await.map(drop) }.boxed()
    }),
    ("WriteTGZFromURL", |mut client, gomote_id| {
        let request = WriteTgzFromUrlRequest { gomote_id, url: "none".into(), ..Default::default() };
        async move { client.write_tgz_from_url(request).await.map(drop) }.boxed()
    }),
];

/// How a call ends for somebody who may, by its name.
fn usual(call: &str) -> Option<Code> {
    // What is asked for is nothing; that is looked at after who asks.
    matches!(call, "SignSSHKey" | "WriteFileFromURL" | "WriteTGZFromURL").then_some(Code::InvalidArgument)
}

async fn ask(running: &Running, viewer: &Viewer, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(path);
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    let service = running.service.clone().asking_as(viewer.clone());
    let answer = service.send(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
    (status, String::from_utf8(bytes.into()).unwrap())
}

async fn names(running: &Running, viewer: &Viewer) -> Vec<String> {
    let (status, text) = ask(running, viewer, "GET", "/api/v1/gomotes", "").await;
    assert_eq!(status, 200, "{text}");
    let list: GomoteList = serde_json::from_str(&text).unwrap();
    list.gomotes.into_iter().map(|one| one.name).collect()
}

/// Waits until these are all that somebody sees held.
pub(crate) async fn until_held(running: &Running, viewer: &Viewer, wanted: &[&str]) {
    for _ in 0..1500 {
        if names(running, viewer).await == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(names(running, viewer).await, wanted);
}

pub async fn a_token_for_some_repositories_reaches_their_machines_alone(world: World) {
    configure(&world);
    let running = world.start().await;
    let one_only = |who: &str, role| Viewer::known(who, role).scoped(vec!["one".into()]);
    let (root, of_one) = (Viewer::known("root", Role::Admin), one_only("ruth", Role::Admin));
    let ann = Viewer::known("ann", Role::Developer);
    // Her next token is for less; what she held before is hers no further than that.
    let next = one_only("ann", Role::Developer);
    let mut client = client_of(&running, ann.clone());
    let (mine, theirs, servers) = ("ann-one-x-0", "ann-two-x-0", "ann-b-0");
    for (builder, name) in [("one:x", mine), ("two:x", theirs), ("b", servers)] {
        assert_eq!(create_of(&mut client, builder).await.0.gomote_id, name);
    }
    // One that is waited for has a name as well.
    let request = CreateInstanceRequest { builder_type: "two:x".into(), ..Default::default() };
    let mut waits = client.create_instance(request).await.unwrap().into_inner();
    assert_eq!(waits.message().await.unwrap().unwrap().status(), Progress::Waiting);
    let waited = "ann-two-x-1";

    let (gone, not_hers) = (Some(Code::NotFound), Some(Code::PermissionDenied));
    let usually = |machine: &str, call| if machine == waited { Some(Code::Unavailable) } else { usual(call) };
    for (call, make) in CALLS {
        // Who, with what, and what it comes to; none for what it usually comes to.
        for (viewer, machine, wanted) in [
            (&ann, mine, None),
            (&ann, theirs, None),
            (&ann, servers, None),
            (&ann, waited, None),
            (&next, mine, None),
            (&next, theirs, gone),
            (&next, servers, gone),
            (&next, waited, gone),
            (&root, mine, not_hers),
            (&root, theirs, not_hers),
            (&root, servers, not_hers),
            (&root, waited, None),
            (&of_one, mine, not_hers),
            (&of_one, theirs, gone),
            (&of_one, servers, gone),
            (&of_one, waited, gone),
        ] {
            let ended = make(client_of(&running, viewer.clone()), machine.to_owned()).await;
            let told = format!("{call} of {machine} as {viewer:?}: {ended:?}");
            assert_eq!(ended.err().map(|ended| ended.code()), wanted.or(usually(machine, call)), "{told}");
        }
    }
    // Lists.
    for (viewer, all) in [(&ann, &[servers, mine, theirs][..]), (&next, &[mine]), (&of_one, &[])] {
        let list = client_of(&running, viewer.clone()).list_instances(ListInstancesRequest {}).await;
        let list = list.unwrap().into_inner().instances;
        let list: Vec<_> = list.iter().map(|instance| instance.gomote_id.as_str()).collect();
        assert_eq!(list, all, "{viewer:?}");
    }
    for (viewer, builders) in
        [(&ann, &["b", "one:x", "two:x"][..]), (&next, &["one:x"]), (&of_one, &["one:x"])]
    {
        let mut client = client_of(&running, viewer.clone());
        let list = client.list_swarming_builders(ListSwarmingBuildersRequest {}).await;
        assert_eq!(list.unwrap().into_inner().builders, builders, "{viewer:?}");
    }
    assert_eq!(names(&running, &root).await, [servers, mine, theirs]);
    assert_eq!(names(&running, &of_one).await, [mine]);
    // What everybody may look at says nothing of the others.
    let machine = running.status().await.workers[0].name.clone();
    for path in ["/api/v1/machines", "/api/v1/status", "/status.json", "/status", "/status/reverse.json"] {
        let (status, text) = ask(&running, &of_one, "GET", path, "").await;
        assert!(
            status == 200 && !text.contains("ann-") && !text.contains("two:x"),
            "{path}: {status} {text}"
        );
    }
    // Work is found for all.
    for (viewer, wanted) in [(&of_one, 403), (&next, 403), (&ann, 200)] {
        assert_eq!(ask(&running, viewer, "POST", "/api/v1/work", "").await.0, wanted, "{viewer:?}");
    }
    // Machines are the server's.
    for (method, path, body) in [
        (
            "POST",
            &*format!("/api/v1/machines/{machine}/set-aside"),
            r#"{"reason":"x","host":"h","now":true}"#,
        ),
        ("POST", &*format!("/api/v1/machines/{machine}/resume"), r#"{"host":"h"}"#),
        ("GET", "/api/v1/machine-tokens", ""),
        ("POST", "/api/v1/machine-tokens", r#"{"name":"box","host":"h"}"#),
        ("DELETE", "/api/v1/machine-tokens/box", ""),
    ] {
        let (status, text) = ask(&running, &of_one, method, path, body).await;
        assert!(status == 403 && text.contains("whole server"), "{method} {path}: {status} {text}");
        // What is no order, so that nothing becomes of it.
        let (status, text) = ask(&running, &root, method, path, "[]").await;
        assert!(status != 403, "{method} {path}: {status} {text}");
    }
    // Ended is what is theirs.
    let mut ruth = client_of(&running, of_one.clone());
    for (machine, wanted) in [(theirs, gone), (servers, gone), (waited, gone), (mine, None)] {
        let ended = ruth.destroy_instance(DestroyInstanceRequest { gomote_id: machine.into() }).await;
        assert_eq!(ended.err().map(|ended| ended.code()), wanted, "{machine}");
    }
    assert_eq!(names(&running, &root).await[..], [servers, theirs]);
    drop(waits);
    let mut next = client_of(&running, next);
    let ended = next.destroy_instance(DestroyInstanceRequest { gomote_id: theirs.into() }).await;
    assert_eq!(ended.unwrap_err().code(), Code::NotFound);
    destroy(&mut client_of(&running, root.clone()), theirs).await;
    destroy(&mut client, servers).await;
    assert!(!names(&running, &root).await.contains(&servers.to_owned()));
}

pub async fn a_hold_on_a_failed_build_is_of_the_builder_s_repository(world: World) {
    configure(&world);
    world.push("one", &[1]).await;
    world.push("two", &[2]).await;
    let running = world.start().await;
    let (root, of_one) =
        (Viewer::known("root", Role::Admin), Viewer::known("ruth", Role::Admin).scoped(vec!["one".into()]));
    let mut builds = Vec::new();
    for (repo, builder) in [("one", "x"), ("two", "x"), ("one", "b")] {
        builds.push(world.until(repo, builder, |row| row.state == "done").await.id);
    }
    let [mine, theirs, servers] = builds[..] else { unreachable!() };
    let order = async |viewer: &Viewer, id| {
        ask(&running, viewer, "POST", &format!("/api/v1/builds/{id}/hold"), "").await.0
    };
    assert_eq!(order(&of_one, theirs).await, 403);
    assert_eq!(
        order(&of_one, servers).await,
        403,
        "a machine of the server's builder is more than a repository"
    );
    assert_eq!(order(&of_one, mine).await, 200);
    assert_eq!(order(&root, theirs).await, 200);
    assert_eq!(order(&root, servers).await, 200);
    let wanted = ["root-b-0", "root-two-x-0", "ruth-one-x-0"];
    until_held(&running, &root, &wanted).await;
    assert_eq!(names(&running, &of_one).await, ["ruth-one-x-0"]);
    // Over a new start of the server, too.
    running.kill().await;
    let running = world.start().await;
    until_held(&running, &root, &wanted).await;
    assert_eq!(names(&running, &of_one).await, ["ruth-one-x-0"]);
}
