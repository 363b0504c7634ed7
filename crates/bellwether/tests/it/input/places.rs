//! Ports, data directories, and the two ways to end.

use std::path::Path;
use std::time::Duration;

use testkit::{Kill, kill, wait_for};

use super::world::{LONG, World};

#[test]
fn a_port_and_a_data_directory_have_one_user() {
    let world = World::new();
    world.repo("r", "true");
    let server = world.serve(&["r"]);
    let address = server.address().to_string();
    world.run(&["up", "--data", "other", "--listen", &address, "r"]).must(2, &["is taken", "--listen"]);
    // --once does not need the port that others know.
    world.once(&["r"]).must(2, &["in use", "data"]);
    world.run(&["up", "--data", "r/bellwether.toml", "r"]).must(2, &["r/bellwether.toml"]);
}

#[test]
fn staging_opens_neither_the_directory_nor_the_database_of_production() {
    let world = World::new();
    world.repo("r", "true");
    let database = world.path().join("shared.db");
    let file = format!(
        "[environment.prod]\n[environment.staging]\n[environment.copy]\nproduction = true\ndatabase = \"sqlite:{0}\"\n\
         [environment.other]\nproduction = true\ndatabase = \"sqlite:{0}\"\n\
         [repo.r]\nurl = \"{1}\"\n[host.local]\nenv_pass = [\"PATH\"]\n",
        database.display(),
        world.path().join("r").display()
    );
    std::fs::write(world.path().join("server.toml"), file).unwrap();
    let up = |environment: &str, data: &str| {
        world.run(&["up", "--once", "--config", "server.toml", "--env", environment, "--data", data])
    };
    up("prod", "DATA").must(0, &["1 ok"]);
    up("staging", "DATA").must(2, &["belongs to environment prod, not to staging", "--data"]);
    up("prod", "DATA").must(0, &[]);
    // A directory each, and one database.
    let beside = |name: &str| world.data().join(name).display().to_string();
    up("copy", &beside("copy")).must(0, &["1 ok"]);
    let refused = up("other", &beside("other"));
    refused.must(
        2,
        &["the database belongs to environment copy, not to other", "[environment.other] a `database`"],
    );
}

#[test]
fn a_data_directory_of_a_newer_version_is_refused() {
    let world = World::new();
    world.repo("r", "true");
    world.once(&["r"]).must(0, &["1 ok"]);
    // As a newer program would have left it.
    let script = "import sqlite3,sys\nd=sqlite3.connect(sys.argv[1])\n\
        d.execute(\"insert into schema_version select 9999, 'from the future', sha256, applied_us from schema_version limit 1\")\n\
        d.commit()\n";
    let database = world.data().join("bellwether.db");
    let done = std::process::Command::new("python3").args(["-c", script]).arg(&database).status().unwrap();
    assert!(done.success());
    world.once(&["r"]).must(2, &["newer"]);
}

#[test]
fn ctrl_c_drains_and_the_next_start_goes_on() {
    let world = World::new();
    let gate = world.path().join("gate");
    let run = format!("touch {0}.here; until test -e {0}; do sleep 0.1; done; echo finished", gate.display());
    let mut repo = world.repo("slow", &run);
    let mut server = world.serve(&["slow"]);
    world.wait_file("gate.here");
    let pid = server.pid().unwrap();
    kill(pid, Kill::Interrupt).unwrap();
    wait_for("the word of draining", LONG, || {
        Ok(server.printed().contains("finishing what runs").then_some(()))
    })
    .unwrap();
    // A commit that comes now is for the next start.
    repo.commit("later", &[]).unwrap();
    world.touch("gate");
    let status = server.await_end(LONG).unwrap();
    assert!(status.success(), "{status}");
    server.resume().unwrap();
    let first = world.wait_build(&server, "slow", "the later commit is built", |one| one["state"] == "done");
    assert_eq!(first["outcome"], "ok");
    let list = server.request("GET", "/api/v1/builds?repo=slow", None, None).unwrap().json().unwrap();
    assert!(list["builds"].as_array().unwrap().iter().all(|one| one["attempts"] == 1), "{list:#}");
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_what_runs_is_taken_up_again() {
    let world = World::new();
    let gate = world.path().join("gate");
    let run = format!("touch {0}.here; until test -e {0}; do sleep 0.1; done; echo finished", gate.display());
    world.repo("slow", &run);
    let mut server = world.serve(&["slow"]);
    world.wait_file("gate.here");
    let pid = server.pid().unwrap();
    kill(pid, Kill::Interrupt).unwrap();
    wait_for("the word of draining", LONG, || {
        Ok(server.printed().contains("finishing what runs").then_some(()))
    })
    .unwrap();
    kill(pid, Kill::Interrupt).unwrap();
    // The gate is closed, so only "at once" can end it.
    server.await_end(Duration::from_secs(60)).unwrap();
    server.resume().unwrap();
    world.touch("gate");
    let built = world.wait_build(&server, "slow", "the build ends", |one| one["state"] == "done");
    assert_eq!((built["outcome"].as_str(), built["attempts"].as_u64()), (Some("ok"), Some(1)), "{built:#}");
}

/// Everything here runs as whoever runs the tests; where that is root, this one shows that root is not needed: commands
/// are kept apart all the same, in a user namespace of their own.
#[test]
fn an_ordinary_user_needs_no_more_rights() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: every other test here runs as an ordinary user already");
        return;
    }
    let world = World::new();
    let run = "test $(id -u) != 0; echo x > /dev/shm/left-by-an-ordinary-user; (setsid sleep 300 >/dev/null 2>&1 &); echo done";
    world.repo("r", run);
    let program = world.path().join("program");
    std::fs::copy(env!("CARGO_BIN_EXE_bellwether"), &program).unwrap();
    let owned =
        std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(world.path()).status().unwrap();
    assert!(owned.success());
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let said = std::process::Command::new("/usr/bin/setpriv")
        .args(user)
        .args(["/usr/bin/timeout", "-k", "5", "120"])
        .arg(&program)
        .args(["up", "--once", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(world.data())
        .arg("r")
        .env("HOME", world.path())
        .current_dir(world.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{out}\n{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["cells"][0]["outcome"], "ok", "{report:#}");
    let logs = std::fs::read_dir(world.data().join("workers")).unwrap();
    let logs: Vec<String> = logs
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("buildlet.log")).ok())
        .collect();
    assert!(logs.iter().any(|log| log.contains("namespaces") && log.contains("true")), "{logs:?}");
    assert!(!Path::new("/dev/shm/left-by-an-ordinary-user").exists(), "the job had a /dev/shm of its own");
}
