//! `up --once` as a person sees it, and every command against a running server.

use std::process::{Command, Output};

use testkit::{File, GitRepo, Server, ServerOptions};

use super::world::{World, project};

#[test]
fn once_shows_the_failing_test_with_lines_around_and_builds_nothing_again() {
    let world = World::new();
    let python = "import unittest\nclass Sum(unittest.TestCase):\n    def test_sum(self):\n        self.assertEqual(1 + 1, 3)\n";
    let mut bad = world.repo("bad", "python3 -m unittest -v test_sum 2>&1");
    bad.commit("a failing test", &[("test_sum.py", File::Text(python))]).unwrap();
    world.repo("good", "echo fine");
    let said = world.once(&["bad", "good"]);
    said.must(
        1,
        &["test_sum", "AssertionError: 2 != 3", "failed exit", "2 built in this run", "bellwether log "],
    );
    world.once(&["bad", "good"]).must(1, &["0 built in this run", "AssertionError: 2 != 3"]);
    world.once(&["good"]).must(0, &["1 cells: 1 ok, 0 not ok; 0 built in this run"]);
}

#[test]
fn every_command_talks_to_a_running_server() {
    let world = World::new();
    let mut repo = world.repo("app", "echo one; echo two >&2; echo three");
    repo.commit(
        "breaks",
        &[("bellwether.toml", File::Text(&project("echo broken at $(basename $PWD); exit 7")))],
    )
    .unwrap();
    let server = world.serve(&["app"]);
    let done = |one: &serde_json::Value| one["state"] == "done";
    let failed = world.wait_build(&server, "app", "the newest commit is built", done);
    assert_eq!(failed["outcome"], "failed");
    let id = failed["id"].as_str().unwrap();
    let ask = |command: &str, arguments: &[&str]| world.ask(&server, command, arguments);

    ask("builds", &[]).must(0, &[id, "failed exit", "BUILD"]);
    ask("builds", &["--outcome", "ok"]).must(0, &[]);
    ask("builds", &["--outcome", "great"]).must(2, &["--outcome", "great"]);
    assert_eq!(ask("builds", &["--json"]).json()["builds"][0]["id"], id);
    let log = ask("log", &[id]);
    log.must(0, &[]);
    assert_eq!(log.out, "broken at app\n");
    assert_eq!(ask("log", &[id, "--follow"]).out, "broken at app\n");
    assert_eq!(ask("log", &[id, "--lines", "1..1"]).out, "broken at app\n");
    assert_eq!(ask("log", &[id, "--json"]).json()["text"], "broken at app\n");
    ask("log", &[id, "--lines", "0"]).must(2, &["FROM..TO"]);
    ask("log", &[id, "--search", "broken"]).must(0, &["1: broken at app"]);
    ask("log", &[id, "--search", "nothing of it"]).must(1, &[]);
    assert_eq!(ask("log", &[id, "--search", "bro.en", "--regex", "--json"]).json()["hits"][0]["line"], 0);
    ask("log", &["01ARZ3NDEKTSV4RRFFQ69G5FAV"]).must(2, &["01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    ask("why", &[id]).must(0, &["done", "failed"]);
    assert_eq!(ask("why", &[id, "--json"]).json()["state"], "done");
    ask("why", &["t"]).must(0, &["nothing waits", id]);
    ask("why", &["nobody"]).must(2, &["neither a build nor a builder nobody"]);
    ask("doctor", &[]).must(0, &["git", "server"]);
    assert!(ask("doctor", &["--json"]).json().as_array().unwrap().len() > 3);

    // The printed script fails as the build did.
    let script = ask("repro", &[id]);
    script.must(0, &["#!/bin/sh", "exit 7"]);
    assert_eq!(ask("repro", &[id, "--json"]).json()["script"], script.out.as_str());
    let file = world.path().join("repro.sh");
    std::fs::write(&file, &script.out).unwrap();
    let run = Command::new("sh").arg(&file).env("TMPDIR", world.path()).output().unwrap();
    let out = String::from_utf8_lossy(&run.stdout);
    assert_eq!((run.status.code(), out.as_ref()), (Some(7), "broken at app\n"), "{run:?}");

    // Any commit; the same twice is built once.
    let older = repo.git(&["rev-parse", "HEAD~1"]).unwrap();
    let what = format!("app@{}", older.trim());
    ask("build", &[&what, "--builder", "t"]).must(1, &["queued", "broken at app", "failed, exit"]);
    ask("build", &[&what, "--builder", "t", "--no-wait"]).must(0, &["there already"]);
    ask("build", &["app@nosuchbranch", "--builder", "t"]).must(2, &["nosuchbranch"]);
    ask("build", &["app", "--builder", "nobody"]).must(2, &["nobody"]);
    ask("build", &["other", "--builder", "t"]).must(2, &["other"]);
    ask("retry", &[id]).must(0, &["queued again"]);
    let again = world
        .wait_build(&server, "app", "the retry", |one| one["id"] == id && one["attempts"] == 2 && done(one));
    assert_eq!(again["outcome"], "failed");
    let path = format!("/api/v1/builds/{id}/why");
    testkit::wait_for("the coordinator's word", super::world::LONG, || {
        let why = server.request("GET", &path, None, None)?.json()?;
        Ok((why["state"] == "done").then_some(()))
    })
    .unwrap();
    ask("cancel", &[id]).must(1, &["had ended before", "failed"]);

    // Without the token nothing is changed, and it is said where it lies.
    let url = format!("http://{}", server.address());
    world
        .run_with(&["retry", "--server", &url, id], &[("BELLWETHER_TOKEN", "wrong")])
        .must(2, &["401", "does not take the token in BELLWETHER_TOKEN"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let data = elsewhere.path().to_str().unwrap();
    let retry = || world.run(&["retry", "--server", &url, "--data", data, id]);
    retry().must(2, &["401", "there is none in", data, "--data"]);
    std::fs::write(elsewhere.path().join("admin-token"), "of another server").unwrap();
    retry().must(2, &["401", "does not take the token in", data, "--data"]);
    world.run(&["builds", "--server", "http://127.0.0.1:1"]).must(2, &["no server answers", "bellwether up"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let hangs_up = std::thread::spawn(move || drop(listener.accept().unwrap()));
    world.run(&["builds", "--server", &address]).must(2, &["hung up before its answer was whole"]);
    hangs_up.join().unwrap();
    world.run(&["completions", "bash"]).must(0, &["_bellwether()"]);
}

#[test]
fn what_is_built_again_is_followed_and_not_what_was_before() {
    let world = World::new();
    let count = world.path().join("count");
    let run = format!("echo x >> {0}; echo \"run $(wc -l < {0})\"; sleep 1; echo end", count.display());
    world.repo("app", &run);
    let server = world.serve(&["app"]);
    let first = world.wait_build(&server, "app", "the commit is built", |one| one["state"] == "done");
    let id = first["id"].as_str().unwrap();
    let ask = |command: &str, arguments: &[&str]| world.ask(&server, command, arguments);
    let said = ask("build", &["app", "--builder", "t", "--again"]);
    said.must(0, &["queued", "ok after"]);
    assert_eq!(said.out, "run 2\nend\n");
    ask("retry", &[id]).must(0, &["queued again"]);
    assert_eq!(ask("log", &[id, "--follow"]).must(0, &[]).out, "run 3\nend\n");
    assert_eq!(ask("log", &[id, "--follow"]).must(0, &[]).out, "run 3\nend\n", "over, it is shown as it is");
    assert_eq!(ask("build", &["app", "--builder", "t"]).must(0, &["there already"]).out, "run 3\nend\n");

    assert_eq!(ask("log", &[id, "--attempt", "1"]).must(0, &[]).out, "run 1\nend\n");
    let build = server.request("GET", &format!("/api/v1/builds/{id}"), None, None).unwrap().json().unwrap();
    let second = build["attempts"][1]["id"].as_str().unwrap();
    assert_eq!(ask("log", &[id, "--attempt", second, "--lines", "2.."]).must(0, &[]).out, "end\n");
    ask("log", &[id, "--attempt", "4"]).must(2, &["has no attempt 4; there are 1, 2, 3"]);
    ask("log", &[id, "--follow", "--search", "run"])
        .must(2, &["--follow", "cannot be used with", "--search"]);
    ask("log", &["--help"]).must(0, &["--attempt <N|ID>", "its number, counted from 1, or its id"]);

    ask("retry", &["../../status?x"]).must(2, &["there is no build ../../status?x"]);
    let address = server.address().to_string();
    world.run(&["builds", "--server", &address, "--data", "DATA"]).must(0, &[id]);
}

#[test]
fn a_reader_that_leaves_and_a_directory_to_come_are_no_trouble() {
    let world = World::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_bellwether"))
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    let said = world.run(&["doctor", "--data", "not/yet", "--server", "http://127.0.0.1:1"]);
    assert!(said.out.contains("free at") && !said.out.contains("can't be looked at"), "{}", said.out);
}

#[test]
fn what_waits_and_what_runs_can_be_cancelled() {
    let world = World::new();
    let gate = world.path().join("gate");
    let run = format!("touch {0}.here; until test -e {0}; do sleep 0.1; done", gate.display());
    // One machine, so that the second waits.
    let server_file = format!(
        "[repo.long]\nurl = \"{}\"\nhorizon = 2\n\n[host.one]\npool = \"local\"\ncapacity = 1\n\n{}",
        world.path().join("long").display(),
        project(&run).replace("\"local\"", "\"one\""),
    );
    let mut repo = testkit::GitRepo::create(&world.path().join("long")).unwrap();
    repo.commit("one", &[("x", File::Text("1"))]).unwrap();
    repo.commit("two", &[("x", File::Text("2"))]).unwrap();
    let file = world.path().join("server.toml");
    std::fs::write(&file, server_file).unwrap();
    let server = testkit::Server::start(testkit::ServerOptions {
        program: env!("CARGO_BIN_EXE_bellwether").into(),
        data: world.data(),
        arguments: vec!["--config".into(), file.display().to_string()],
        environment: Vec::new(),
    })
    .unwrap();
    world.wait_file("gate.here");
    let running = world.wait_build(&server, "long", "one runs", |one| one["state"] == "running");
    let queued = world.wait_build(&server, "long", "one waits", |one| one["state"] == "queued");
    let id = |one: &serde_json::Value| one["id"].as_str().unwrap().to_owned();
    world.ask(&server, "why", &[&id(&queued)]).must(0, &["queued", "host one", "1 of 1 busy"]);
    world.ask(&server, "why", &["t"]).must(0, &["runs on", "waits for a machine"]);
    // Nothing is known yet of how long the first takes.
    world.ask(&server, "why", &[&id(&queued)]).must(0, &["nothing is known of how long"]);
    world.ask(&server, "why", &["long:t"]).must(0, &[" long:t long@", "runs on", "0 ahead of it"]);
    let both = world.ask(&server, "why", &["long:t", "--json"]).json();
    assert_eq!(
        (both["running"][0]["repo"].as_str(), both["waiting"][0]["repo"].as_str()),
        (Some("long"), Some("long"))
    );
    for nobody in ["other:t", "nobody"] {
        let said = world.ask(&server, "why", &[nobody, "--json"]);
        said.must(2, &["neither a build nor a builder"]);
        assert_eq!(said.out, "");
    }
    world.ask(&server, "why", &[""]).must(2, &["Name a build"]);
    world
        .ask(&server, "cancel", &[&id(&queued), "--reason", "not needed"])
        .must(0, &["is cancelled", "retry"]);
    world.ask(&server, "cancel", &[&id(&running)]).must(0, &["is being ended"]);
    for one in [&queued, &running] {
        let ended = world.wait_build(&server, "long", "it ends", |other| {
            other["id"] == one["id"] && other["state"] == "done"
        });
        assert_eq!(ended["outcome"], "cancelled", "{ended:#}");
    }
    let said = world.ask(&server, "why", &[&id(&queued)]);
    said.must(0, &["cancelled"]);
}

#[test]
fn the_uncommitted_tree_is_built_and_leaves_no_trace() {
    let world = World::new();
    let repo = world.repo("mine", "cat note 2>/dev/null || echo no note");
    let server = world.serve(&["mine"]);
    world.wait_build(&server, "mine", "the commit is built", |one| one["state"] == "done");
    std::fs::write(repo.dir().join("note"), "not committed\n").unwrap();
    let status = repo.git(&["status", "--porcelain"]).unwrap();
    let output = dirty(&world, &server, &repo);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "not committed\n", "{said}");
    assert_eq!(repo.git(&["status", "--porcelain"]).unwrap(), status);
    assert_eq!(repo.git(&["for-each-ref", "refs/bellwether"]).unwrap(), "");
}

/// A secret is for what has landed: a tree that somebody brings is refused, and built once it has.
#[test]
fn the_uncommitted_tree_is_not_built_where_secrets_are_given() {
    let world = World::new();
    let mut repo = world.repo("mine", "echo ${#DEPLOY_TOKEN}; cat note 2>/dev/null || echo no note");
    let file = format!(
        "[repo.mine]\nurl = \"{}\"\n[host.local]\nenv_pass = [\"PATH\"]\n\
         [secret.deploy]\nenv = \"D\"\nas = \"DEPLOY_TOKEN\"\nbuilders = [\"mine:t\"]\n",
        repo.dir().display()
    );
    let config = world.path().join("server.toml");
    std::fs::write(&config, file).unwrap();
    let server = Server::start(ServerOptions {
        program: env!("CARGO_BIN_EXE_bellwether").into(),
        data: world.data(),
        arguments: vec!["--config".into(), config.display().to_string()],
        environment: vec![("D".into(), "correct-horse-battery".into())],
    })
    .unwrap();
    let log = |what: &str, notes: &str| {
        let build = world.wait_build(&server, "mine", what, |one| one["state"] == "done");
        assert_eq!(build["outcome"], "ok", "{build:#}");
        let said = world.ask(&server, "log", &[build["id"].as_str().unwrap()]);
        said.must(0, &[]);
        assert_eq!(said.out, format!("21\n{notes}\n"), "{what}");
    };
    log("the commit is built", "no note");
    std::fs::write(repo.dir().join("note"), "not committed\n").unwrap();
    let output = dirty(&world, &server, &repo);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty(), "{said}");
    assert!(said.contains("no branch and no tag has mine@") && said.contains("t is given secrets"), "{said}");
    let landed = repo.commit("a note", &[("note", File::Text("landed\n"))]).unwrap();
    // At once, before the server has looked at the branch by itself.
    let said = world.ask(&server, "build", &[&format!("mine@{landed}"), "--builder", "t"]);
    said.must(0, &[]);
    assert_eq!(said.out, "21\nlanded\n", "{}", said.err);
}

/// Has the uncommitted tree built.
fn dirty(world: &World, server: &Server, repo: &GitRepo) -> Output {
    Command::new("/usr/bin/timeout")
        .args(["60", env!("CARGO_BIN_EXE_bellwether"), "build", "--dirty", "--builder", "t"])
        .args(["--server", &format!("http://{}", server.address()), "--data"])
        .arg(world.data())
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .current_dir(repo.dir())
        .output()
        .unwrap()
}
