//! The data directory is lost: a backup that was taken while builds ran is restored into another one, and the server goes
//! on there.

use std::process::{Command, Output};

use serde_json::Value;
use testkit::{File, wait_for};

use super::world::{LIMIT, World, seq};

fn bellwether(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bellwether")).args(arguments).output().expect("the program runs")
}

fn good(arguments: &[&str]) -> String {
    let output = bellwether(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {} {error}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// A commit's builds print, leave a mark, and go on until they are let go if there is a file `held` in the tree.
const STEP: &str = "echo \"$(cat number)\" >> $MARKS; seq 1 3000; echo kept > kept.out; \
    if [ -e held ]; then until [ -e $MARKS.go ]; do sleep 0.05; done; fi; seq 3001 3010";

fn done(world: &World) -> Vec<Value> {
    let Ok(list) = world.get("/api/v1/builds?limit=100") else { return Vec::new() };
    let builds = list["builds"].as_array().cloned().unwrap_or_default();
    builds.into_iter().filter(|build| build["state"] == "done").collect()
}

#[test]
fn what_a_backup_under_load_knew_is_there_and_the_rest_is_built_once() {
    let mut world = World::new(&[STEP]);
    world.configure_as("", 2, 100);
    for number in 0..6 {
        let number = number.to_string();
        let mut files = vec![("number", File::Text(&number))];
        if number == "5" {
            files.push(("held", File::Text("")));
        }
        world.repo.commit(&format!("Number {number}"), &files).unwrap();
    }
    world.start();
    // The commit before the first has no number, and is built as well.
    wait_for("six builds, while one is held", LIMIT, || Ok((done(&world).len() == 6).then_some(()))).unwrap();
    world.await_marks(7);
    let (config, data) = (world.path("server.toml"), world.data());
    let (config, data) = (config.to_str().unwrap(), data.to_str().unwrap());
    let backup = world.path("backup");
    let backup = backup.to_str().unwrap();
    let said = good(&["backup", backup, "--config", config, "--data", data]);
    assert!(said.contains("environment dev"), "{said}");
    let known = done(&world);
    assert_eq!(known.len(), 6, "the held one still runs");
    let log = |build: &Value| world.log(build);
    let logs: Vec<String> = known.iter().map(log).collect();
    let whole = seq(1, 3010);
    assert!(logs.iter().all(|log| log.ends_with(&whole)), "{logs:?}");

    let twice = bellwether(&["restore", backup, "--config", config, "--data", data]);
    assert!(String::from_utf8_lossy(&twice.stderr).contains("in use"), "a server runs there: {twice:?}");
    // The old machine is gone, with its workers and all that they ran.
    world.server().crash().unwrap();
    for worker in testkit::workers(&world.data()) {
        worker.kill().unwrap();
    }
    std::fs::rename(world.data(), world.path("lost")).unwrap();
    good(&["restore", backup, "--config", config, "--data", data]);
    let again = bellwether(&["restore", backup, "--config", config, "--data", data]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("empty one"), "{again:?}");
    let verified = good(&["audit", "verify", "--config", config, "--data", data]);
    assert!(verified.contains("each as it was written"), "{verified}");

    world.launch(&[]);
    std::fs::write(world.path("marks.go"), "").unwrap();
    wait_for("all builds", LIMIT, || Ok((done(&world).len() == 7).then_some(())))
        .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    world.await_rest(LIMIT, |worker| worker["state"] == "idle");
    for (build, log) in known.iter().zip(&logs) {
        let id = build["id"].as_str().unwrap();
        let now = world.get(&format!("/api/v1/builds/{id}")).unwrap();
        assert_eq!(now["outcome"], "ok");
        assert_eq!(now["attempts"].as_array().map(Vec::len), Some(1), "it is not built again: {now:#}");
        assert!(world.log(build) == *log);
        let kept = world.get(&format!("/api/v1/builds/{id}/artifacts")).unwrap();
        assert!(kept.to_string().contains("kept.out"), "{kept:#}");
    }
    let list = done(&world);
    let last = list.iter().find(|build| !known.iter().any(|one| one["id"] == build["id"])).unwrap();
    let last = world.get(&format!("/api/v1/builds/{}", last["id"].as_str().unwrap())).unwrap();
    let outcomes: Vec<_> = last["attempts"].as_array().unwrap().iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["infra_failed", "ok"], "its machine is lost: {last:#}");
    assert_eq!(world.marks().len(), 8, "{:?}", world.marks());
}
