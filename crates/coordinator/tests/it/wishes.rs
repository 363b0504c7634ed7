//! Wishes for the machines of builds that fail, where much has changed until they do.

use std::sync::Arc;

use axum::body::Body;
use buildenv::Source;
use coordinator::GomoteList;
use http::Request;
use store::tokens::{self, TokenRow};
use store::{BuildId, Micros};
use transport::{Role, Viewer};

use crate::world::{Running, World};

const SERVER: &str = "[host.h]\npool = \"local\"\ncapacity = 5\ntrust = \"trusted\"\nenv_pass = [\"PATH\"]\n\
    [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
    [repo.two]\nurl = \"https://example.com/two\"\nhorizon = 1\n\
    [builder.b]\nhost = \"h\"\nrecipe = \"r\"\nrepos = [\"one\", \"two\"]\n\
    [recipe.r]\nrun = '''until [ -e GO ]; do sleep 0.02; done; exit 1'''\n";
const GOES: &str = "[builder.goes]\nhost = \"h\"\nrecipe = \"r\"\nrepos = [\"one\"]\n";
const PROJECT: &str = "[builder.x]\nhost = \"h\"\nrecipe = \"own\"\n\
    [recipe.own]\nrun = '''until [ -e GO ]; do sleep 0.02; done; exit 1'''\n";

/// Two repositories with a builder of their own each, and what the server has.
fn configure(world: &World, server: &str) {
    let go = world.dir.path().join("go").display().to_string();
    let text = |text: &str| text.replace("GO", &go);
    let project =
        |repo: &str| Source::project(repo.parse().unwrap(), format!("{repo}:bellwether.toml"), text(PROJECT));
    let sources = [
        buildenv::embedded("linux", "amd64"),
        Source::server("server.toml", text(server)),
        project("one"),
        project("two"),
    ];
    let config = buildenv::load(&sources, &|_| Err(std::io::ErrorKind::NotFound.into()), None);
    world.config.send_replace(Arc::new(config.unwrap_or_else(|error| panic!("{error}"))));
}

/// Gives somebody a token, in the stead of the one that they had.
async fn give_token(world: &World, name: &str, time: i64, scope: &str) {
    let row = TokenRow {
        hash: format!("{name} {time}"),
        name: name.into(),
        role: "developer".into(),
        scope: scope.into(),
        maker: "admin".into(),
        created: Micros(time),
        used: None,
        expires: None,
        revoked: None,
    };
    let mut tx = world.db.begin().await.unwrap();
    tokens::revoke(&mut tx, name, Micros(time)).await.unwrap();
    tokens::insert(&mut tx, &row).await.unwrap();
    tx.commit().await.unwrap();
}

async fn order(running: &Running, viewer: &Viewer, method: &str, id: BuildId) -> u16 {
    let request = Request::builder().method(method).uri(format!("/api/v1/builds/{id}/hold"));
    let service = running.service.clone().asking_as(viewer.clone());
    service.send(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
}

fn known(who: &str) -> Viewer {
    Viewer::known(who, Role::Developer)
}

fn of_one(who: &str, role: Role) -> Viewer {
    Viewer::known(who, role).scoped(vec!["one".into()])
}

pub async fn a_wish_comes_true_for_who_may_still_have_it(world: World) {
    configure(&world, &format!("{SERVER}{GOES}"));
    world.push("one", &[1]).await;
    world.push("two", &[2]).await;
    let running = world.start().await;
    for (name, scope) in [("ruth", "one"), ("ann", ""), ("eve", "")] {
        give_token(&world, name, 1, scope).await;
    }
    for (repo, builder, viewer) in [
        ("one", "x", of_one("ruth", Role::Developer)),
        ("two", "x", known("ann")),
        ("one", "b", known("eve")),
        // They have no token: what they may do is known while they are signed in.
        ("two", "b", known("pat")),
        ("one", "goes", known("pat")),
    ] {
        let build = world.until(repo, builder, |row| row.state == "running").await.id;
        assert_eq!(order(&running, &viewer, "POST", build).await, 200, "{repo} {builder}");
    }
    let mut tx = world.db.begin().await.unwrap();
    tokens::revoke(&mut tx, "ann", Micros(2)).await.unwrap();
    tx.commit().await.unwrap();
    // Of the server's builder a token for some repositories has no machine.
    give_token(&world, "eve", 2, "one").await;
    configure(&world, SERVER);
    std::fs::write(world.dir.path().join("go"), "").unwrap();
    let admin = Viewer::known("admin", Role::Admin);
    let service = running.service.clone().asking_as(admin);
    let held = async || {
        let list = service.get_json::<GomoteList>("/api/v1/gomotes").await.unwrap().gomotes;
        list.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    running.until(|status| status.workers.iter().filter(|one| one.state == "idle").count() == 3).await;
    for _ in 0..500 {
        if held().await.len() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(held().await, ["pat-b-0", "ruth-one-x-0"]);
    let wanted = store::wanted_holds::all(&mut world.db.read().await.unwrap()).await.unwrap();
    assert_eq!(wanted, []);
    let left = running.status().await.workers;
    assert_eq!(left.iter().filter(|one| one.state == "busy").count(), 2, "{left:?}");
}

pub async fn an_admin_of_some_repositories_lets_go_of_builds_of_their_builders(world: World) {
    configure(&world, SERVER);
    world.push("one", &[1]).await;
    world.push("two", &[2]).await;
    let running = world.start().await;
    let ruth = of_one("ruth", Role::Admin);
    let mut builds = Vec::new();
    for (repo, builder) in [("one", "x"), ("two", "x"), ("one", "b")] {
        let build = world.until(repo, builder, |row| row.state == "running").await.id;
        assert_eq!(order(&running, &known("ann"), "POST", build).await, 200, "{repo} {builder}");
        builds.push(build);
    }
    let [hers, another, servers] = builds[..] else { unreachable!() };
    assert_eq!(order(&running, &ruth, "DELETE", another).await, 403);
    assert_eq!(order(&running, &ruth, "DELETE", servers).await, 403);
    assert_eq!(order(&running, &of_one("bob", Role::Developer), "DELETE", hers).await, 403, "no admin");
    assert_eq!(order(&running, &ruth, "DELETE", hers).await, 204);
    assert_eq!(order(&running, &ruth, "DELETE", hers).await, 404);
    let rows = store::audit::after(&mut world.db.read().await.unwrap(), 0, 100).await.unwrap();
    let deed = &rows.last().unwrap().deed;
    let said = (&*deed.actor, &*deed.action, &*deed.target, &*deed.detail);
    assert_eq!(said, ("ruth", "gomote unhold", &*hers.to_string(), "{\"owner\":\"ann\"}"));
    let wanted = store::wanted_holds::all(&mut world.db.read().await.unwrap()).await.unwrap();
    let mut wanted: Vec<_> = wanted.iter().map(|row| (row.build, &*row.owner)).collect();
    wanted.sort();
    let mut left = [(another, "ann"), (servers, "ann")];
    left.sort();
    assert_eq!(wanted, left);
}
