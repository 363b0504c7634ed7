//! Two coordinators on one PostgreSQL, of which the first is stopped for a while; PostgreSQL gone and back.

use std::path::Path;

use testkit::{Forwarder, Kill, Postgres, Server, kill, wait_for};

use super::world::{LIMIT, World, seq};

/// A step that waits in its middle until the test lets it go on.
const HELD: &str = "echo one >> $MARKS; seq 1 20; until [ -e $MARKS.go ]; do sleep 0.05; done; seq 21 40; echo kept > kept.out";

fn postgres() -> Postgres {
    if !cfg!(feature = "full") {
        panic!("this binary has no PostgreSQL in it; run `cargo test -p bellwether --all-features`");
    }
    Postgres::start().expect("PostgreSQL")
}

/// Both servers keep their objects in one place, as with an object store.
fn environment(postgres: &Postgres, objects: &Path) -> String {
    format!("database = {:?}\nobjects = {:?}\n", postgres.url(), format!("file:{}", objects.display()))
}

/// Everything durable about builds.
fn rows(postgres: &Postgres) -> Vec<(&'static str, String)> {
    let tables =
        ["builds", "attempts", "leases", "spans", "logs", "log_chunks", "results", "artifacts", "leadership"];
    let read = |table: &str| {
        // The lead of the one that leads goes on being renewed.
        let what = if table == "leadership" { "epoch, holder" } else { "*" };
        let text = postgres.psql(&format!("SELECT {what} FROM {table} t"));
        let mut lines: Vec<String> =
            text.unwrap_or_else(|error| panic!("{table}: {error:#}")).lines().map(str::to_owned).collect();
        lines.sort();
        lines.join("\n")
    };
    tables.into_iter().map(|table| (table, read(table))).collect()
}

#[test]
fn of_two_coordinators_the_one_that_slept_writes_nothing() {
    let postgres = postgres();
    let mut world = World::new(&[HELD]);
    world.configure(&environment(&postgres, &world.path("objects")));
    world.start();
    world.await_marks(1);
    world.await_build("the first lines", |build| {
        build["state"] == "running" && !world.attempt_log(&build["attempts"][0]).is_empty()
    });
    let mut first = world.server.take().unwrap();
    kill(first.pid().unwrap(), Kill::Pause).unwrap();

    // The second waits for the end of the first one's lead, then builds on machines of its own.
    world.server = Some(Server::launch(world.options("second", &[])).unwrap());
    world.await_marks(2);
    std::fs::write(world.path("marks.go"), "").unwrap();
    let build = world.await_done();
    assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
    let attempts = build["attempts"].as_array().unwrap();
    let outcomes: Vec<_> = attempts.iter().filter_map(|attempt| attempt["outcome"].as_str()).collect();
    // The first one's worker is a process of a data directory that the second can't reach.
    assert_eq!(outcomes, ["infra_failed", "ok"], "{build:#}");
    assert_eq!(world.log(&build), seq(1, 40));
    assert_eq!(world.attempt_log(&attempts[0]), seq(1, 20), "what the first had stored");
    wait_for("the last report", LIMIT, || {
        Ok((postgres.psql("SELECT count(*) FROM builds WHERE reported = 0")? == "0").then_some(()))
    })
    .unwrap();
    let before = rows(&postgres);

    // The step on the first one's worker has ended meanwhile: it finds much to report.
    kill(first.pid().unwrap(), Kill::Resume).unwrap();
    let ended = first.await_end(LIMIT);
    let status = ended.unwrap_or_else(|error| panic!("{error:#}\n{}", first.printed()));
    assert_eq!(status.code(), Some(2), "{}", first.printed());
    assert!(first.printed().contains("another one leads"), "{}", first.printed());
    for ((table, before), (_, after)) in before.into_iter().zip(rows(&postgres)) {
        assert_eq!(before, after, "{table}");
    }
    assert_eq!(world.log(&build), seq(1, 40));
    assert_eq!(world.await_done(), build, "the dashboard says what it said");
    assert_eq!(world.marks(), ["one", "one"], "once on each machine");
}

#[test]
fn the_database_goes_away_during_a_build_and_comes_back() {
    let mut postgres = postgres();
    let mut world = World::new(&[HELD, "echo two >> $MARKS; seq 41 60"]);
    world.configure(&environment(&postgres, &world.path("objects")));
    world.start();
    world.await_marks(1);
    world.await_build("the first lines", |build| build["state"] == "running");
    postgres.stop().unwrap();
    // The step ends while the database is away, and nothing of its end can be written.
    std::fs::write(world.path("marks.go"), "").unwrap();
    wait_for("a word of the database's absence", LIMIT, || {
        Ok(world.printed().contains("trying again").then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    assert_eq!(world.marks(), ["one"], "nothing goes on that can't be written down");
    postgres.resume().unwrap();
    let build = world.await_done();
    assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
    assert_eq!(build["attempts"].as_array().map(Vec::len), Some(1), "{build:#}");
    assert_eq!(world.marks(), ["one", "two"]);
    assert_eq!(world.log(&build), seq(1, 60));
    world.check_quiet();
}

#[test]
fn a_standby_takes_the_database_s_place_and_nothing_that_was_said_is_lost() {
    let mut primary = postgres();
    let standby = primary.standby().unwrap();
    let way = Forwarder::start(primary.address()).unwrap();
    let mut world = World::new(&[HELD, "echo two >> $MARKS; seq 41 60"]);
    let objects = format!("file:{}", world.path("objects").display());
    world.configure(&format!("database = {:?}\nobjects = {objects:?}\n", primary.url_by(way.address())));
    world.start();
    world.await_marks(1);
    let running = world.await_build("the first lines", |build| {
        build["state"] == "running" && !world.attempt_log(&build["attempts"][0]).is_empty()
    });
    primary.stop().unwrap();
    // The step ends in between, while there is no database.
    std::fs::write(world.path("marks.go"), "").unwrap();
    wait_for("a word of the database's absence", LIMIT, || {
        Ok(world.printed().contains("trying again").then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    assert_eq!(world.marks(), ["one"], "nothing goes on that can't be written down");
    standby.promote().unwrap();
    way.lead_to(standby.address());
    let build = world.await_done();
    assert_eq!((&build["id"], &build["outcome"]), (&running["id"], &"ok".into()), "{}", world.printed());
    assert_eq!(build["attempts"].as_array().map(Vec::len), Some(1), "{build:#}");
    assert_eq!(world.marks(), ["one", "two"]);
    assert_eq!(world.log(&build), seq(1, 60));
    let done = "SELECT count(*) FROM builds WHERE state = 'done' AND outcome = 'ok'";
    assert_eq!(standby.psql(done).unwrap(), "1");
    world.check_quiet();
    // It goes on: the next commit is built on the new one.
    world.repo.commit("Another one", &[("new", testkit::File::Text("x"))]).unwrap();
    wait_for("the next build", LIMIT, || Ok((standby.psql(done)? == "2").then_some(()))).unwrap();
}

#[test]
fn the_server_is_killed_on_postgresql_too() {
    let postgres = postgres();
    let mut world = World::new(&[HELD, "echo two >> $MARKS; seq 41 60"]);
    world.configure(&environment(&postgres, &world.path("objects")));
    world.launch(&["--die-at", "after_running:2"]);
    world.await_marks(1);
    std::fs::write(world.path("marks.go"), "").unwrap();
    world.await_death();
    // It waits until the lead of the dead one is over, because it can't know that it is dead.
    world.launch(&[]);
    let build = world.await_done();
    assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
    assert_eq!(build["attempts"].as_array().map(Vec::len), Some(1), "{build:#}");
    assert_eq!(world.marks(), ["one", "two"]);
    assert_eq!(world.log(&build), seq(1, 60));
    world.check_quiet();
}
