//! The server's files are read again while it runs: all of what they say, or nothing of it.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use testkit::{File, Kill, kill, wait_for};

use crate::faults::world::{LIMIT, World};

impl World {
    /// Adds to the server file.
    fn add(&self, text: &str) {
        let file = self.path("server.toml");
        let old = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{old}\n{text}")).unwrap();
    }

    /// The command, with what it needs to find the server.
    fn cli(&mut self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
        command.args(arguments).arg("--data").arg(self.data());
        match arguments[0] {
            // Looks into the database itself.
            "audit" => command.arg("--config").arg(self.path("server.toml")),
            _ => command.args(["--server", &self.server().address().to_string()]),
        };
        command.output().unwrap()
    }

    /// The builds of a builder.
    fn of(&self, builder: &str) -> Vec<Value> {
        let list = self.get("/api/v1/builds").unwrap();
        let all = list["builds"].as_array().unwrap().iter();
        all.filter(|build| build["builder"] == builder).cloned().collect()
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A builder of the server's whose recipe is this command.
fn builder(name: &str, run: &str) -> String {
    format!(
        "[builder.{name}]\nhost = \"local\"\nrecipe = \"{name}\"\n\
         [recipe.{name}]\nrun = {run:?}\ntimeout = \"80s\"\n"
    )
}

#[test]
fn a_builder_that_is_added_gets_its_builds_and_a_bad_file_changes_nothing() {
    let mut world = World::new(&["true"]);
    world.start();
    world.await_done();
    world.add(&builder("second", "echo two"));
    let reloaded = world.cli(&["config", "reload"]);
    assert!(reloaded.status.success(), "{}", said(&reloaded));
    assert!(said(&reloaded).contains("+ builder second"), "{}", said(&reloaded));
    wait_for("the new builder's build", LIMIT, || {
        Ok(world.of("second").iter().any(|build| build["outcome"] == "ok").then_some(()))
    })
    .unwrap();

    // Two mistakes: both are said with their lines, and nothing of the file is in effect.
    let good = std::fs::read_to_string(world.path("server.toml")).unwrap();
    world.add(&builder("third", "true"));
    world.add("[builder.bad]\nhost = \"nowhere\"\nrecipe = \"nothing\"\n");
    let text = std::fs::read_to_string(world.path("server.toml")).unwrap();
    let line = text.lines().position(|line| line.contains("nowhere")).unwrap() + 1;
    let refused = world.cli(&["config", "reload"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    for part in ["as before", &format!("server.toml:{line}:"), &format!("server.toml:{}:", line + 1)] {
        assert!(said(&refused).contains(part), "{part}: {}", said(&refused));
    }
    kill(world.server().pid().unwrap(), Kill::Hangup).unwrap();
    wait_for("the refusal is printed", LIMIT, || {
        Ok(world.printed().contains("the configuration is as before").then_some(()))
    })
    .unwrap();
    world.repo.commit("another", &[]).unwrap();
    wait_for("the next commit's builds", LIMIT, || Ok((world.of("second").len() == 2).then_some(())))
        .unwrap();
    assert!(world.of("third").is_empty());

    // By a signal too, once it is mended; and who ordered it is written down.
    std::fs::write(world.path("server.toml"), good + &builder("third", "true")).unwrap();
    kill(world.server().pid().unwrap(), Kill::Hangup).unwrap();
    wait_for("the third builder's build", LIMIT, || Ok((!world.of("third").is_empty()).then_some(())))
        .unwrap();
    let audit = said(&world.cli(&["audit", "list"]));
    for words in ["admin", "SIGHUP", "reload", "reload_refused"] {
        assert!(audit.contains(words), "{words}: {audit}");
    }
    world.await_rest(LIMIT, |worker| worker["state"] == "idle");
}

#[test]
fn a_builder_that_is_taken_away_is_scheduled_no_more_and_its_running_build_ends() {
    let mut world = World::new(&["true"]);
    world.configure_as("", 1, 2);
    let without = std::fs::read_to_string(world.path("server.toml")).unwrap();
    let go = world.path("go");
    world.add(&builder("held", &format!("until [ -e {} ]; do sleep 0.05; done", go.display())));
    let with = std::fs::read_to_string(world.path("server.toml")).unwrap();
    world.repo.commit("another", &[]).unwrap();
    world.start();
    wait_for("one that runs", LIMIT, || {
        Ok(world.of("held").iter().any(|build| build["state"] == "running").then_some(()))
    })
    .unwrap();
    std::fs::write(world.path("server.toml"), without).unwrap();
    let reloaded = world.cli(&["config", "reload"]);
    assert!(reloaded.status.success() && said(&reloaded).contains("- builder held"), "{}", said(&reloaded));
    let running: Vec<_> = world.of("held").into_iter().filter(|build| build["state"] == "running").collect();
    assert_eq!(running.len(), 1, "it goes on");
    std::fs::write(&go, "").unwrap();
    // The other one that was queued waits, and says for what.
    let waits = "blocked(builder held is not configured for repo tiny)";
    wait_for("nothing but that runs or waits", LIMIT, || {
        let status = world.get("/api/v1/status")?;
        let queued = status["queued"].as_array().unwrap();
        let only = queued.len() == 1 && queued[0]["builder"] == "held" && queued[0]["reason"] == waits;
        Ok((only && status["running"].as_array().is_some_and(Vec::is_empty)).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}: {:#}", world.get("/api/v1/status").unwrap()));
    let held = world.of("held");
    let ended = held.iter().find(|build| build["id"] == running[0]["id"]).unwrap();
    assert_eq!((ended["state"].as_str(), ended["outcome"].as_str()), (Some("done"), Some("ok")), "{held:#?}");
    assert_eq!(
        held.iter().filter(|build| build["outcome"] == "ok").count(),
        1,
        "no other was built: {held:#?}"
    );
    // Once the builder is back, it goes on.
    std::fs::write(world.path("server.toml"), with).unwrap();
    assert!(world.cli(&["config", "reload"]).status.success());
    world.await_rest(LIMIT, |worker| worker["state"] == "idle");
    assert!(world.of("held").iter().all(|build| build["outcome"] == "ok"), "{:#?}", world.of("held"));
}

#[test]
fn what_only_a_restart_takes_up_is_named_and_the_rest_is_in_effect() {
    let mut world = World::new(&["true"]);
    world.start();
    world.await_done();
    world.configure("listen = \"127.0.0.1:1\"\ndatabase = \"sqlite:other.db\"\nconnections = 7");
    world.add(&builder("second", "true"));
    world.add("[access]\nread = \"developer\"\n");
    let reloaded = world.cli(&["config", "reload", "--json"]);
    let answer: Value =
        serde_json::from_slice(&reloaded.stdout).unwrap_or_else(|_| panic!("{}", said(&reloaded)));
    let restart = ["database", "listen", "connections"].map(|key| format!("environment.dev.{key}"));
    assert_eq!(answer["restart"], serde_json::json!(restart), "{answer:#}");
    let lines = answer["lines"].to_string();
    assert!(lines.contains("+ builder second") && lines.contains("+ access"), "{answer:#}");
    let status = world.server().request("GET", "/api/v1/builds", None, None).unwrap().status;
    assert_eq!(status, 401, "strangers read no more");
}

/// A project whose own file says branches and a horizon, behind an ssh that takes its time and counts what it is asked.
fn far_away() -> World {
    let mut world = World::empty();
    let recipe = "branches = [\"main\"]\nhorizon = 3\n\n[builder.test]\nrecipe = \"test\"\n\n\
                  [recipe.test]\nrun = \"true\"\ntimeout = \"80s\"\n";
    world.repo.commit("The only one", &[("bellwether.toml", File::Text(recipe))]).unwrap();
    let (folder, asked) = (world.path("bin"), world.path("asked"));
    let ssh = format!(
        "#!/bin/sh\nfor last; do :; done\necho \"$last\" >> {}\nsleep 0.7\nexec sh -c \"$last\"\n",
        asked.display()
    );
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("ssh"), ssh).unwrap();
    std::fs::set_permissions(folder.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    world.environment.push(("PATH".into(), path));
    world
}

/// The server file for it.
fn reached_by(world: &World, url: &str) {
    let text = format!(
        "[environment.dev]\n\n[host.local]\ncapacity = 1\n\n[repo.tiny]\nurl = {url:?}\npoll = \"1h\"\n"
    );
    std::fs::write(world.path("server.toml"), text).unwrap();
}

#[test]
fn builders_of_project_files_stay_where_the_mirror_is_slow_and_whatever_is_reloaded() {
    let mut world = far_away();
    let tiny = world.path("tiny").display().to_string();
    reached_by(&world, &format!("ssh://origin{tiny}"));
    world.start();
    world.await_done();
    // What the project file says costs one more look at the most, and then all is quiet.
    let asked = |world: &World| std::fs::read_to_string(world.path("asked")).unwrap().lines().count();
    std::thread::park_timeout(Duration::from_secs(3));
    let before = asked(&world);
    std::thread::park_timeout(Duration::from_secs(4));
    assert_eq!((asked(&world), before <= 4), (before, true), "{before}");

    let lines = |reloaded: Output| {
        let answer: Value =
            serde_json::from_slice(&reloaded.stdout).unwrap_or_else(|_| panic!("{}", said(&reloaded)));
        answer["lines"].to_string()
    };
    world.add("[retention]\nlogs = \"1d\"\n");
    let first = lines(world.cli(&["config", "reload", "--json"]));
    // Another address: the mirror begins anew, and until its first round has ended nothing is known to be gone.
    reached_by(&world, &format!("ssh://elsewhere{tiny}"));
    let second = lines(world.cli(&["config", "reload", "--json"]));
    let third = lines(world.cli(&["config", "reload", "--json"]));
    for lines in [first, second, third] {
        assert!(!lines.contains("builder"), "{lines}");
    }
    let audit = said(&world.cli(&["audit", "list"]));
    assert!(audit.contains("reload") && !audit.contains("- builder"), "{audit}");
    world.repo.commit("another", &[]).unwrap();
    world.order("/mirror/tiny/hint").unwrap_or_default();
    wait_for("the next commit's build", LIMIT, || {
        Ok((world.of("test").iter().filter(|build| build["outcome"] == "ok").count() == 2).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}: {:#}", world.get("/api/v1/status").unwrap()));
    world.await_rest(LIMIT, |worker| worker["state"] == "idle");
}
