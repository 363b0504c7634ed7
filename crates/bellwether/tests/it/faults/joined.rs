//! kill -9 of the server while a machine gets its token, becomes known by it, and is revoked: with the command line that
//! operators use and the agent that machines run; and while a machine is set aside or let work again.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::{Kill, kill, wait_for};

use super::world::{LIMIT, World};

/// The transitions that are killed at here.
pub(super) const POINTS: &[&str] =
    &["machine_token", "machine_join", "machine_revoke", "set_aside", "resume"];

/// A server with a host that machines dial in to.
pub(super) struct Joined {
    pub(super) world: World,
    /// The machine, ended before the world goes.
    machine: Option<Child>,
}

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(mut machine) = self.machine.take() {
            let _ = kill(machine.id(), Kill::Crash);
            let _ = machine.wait();
        }
    }
}

impl Joined {
    pub(super) fn new(die_at: &str) -> Joined {
        let mut world = World::new(&["true"]);
        let file = world.path("server.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{text}\n[host.far]\npool = \"reverse\"\n")).unwrap();
        world.launch(&["--die-at", die_at]);
        world.await_done();
        Joined { world, machine: None }
    }

    /// Runs the command line; whether it did its work, and what it printed.
    pub(super) fn command(&mut self, arguments: &[&str]) -> (bool, String) {
        let url = format!("http://{}", self.world.server().address());
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_bellwether")]).args(arguments);
        command.arg("--data").arg(self.world.data()).args(["--server", &url]).env_remove("BELLWETHER_TOKEN");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts the server that died again, and waits until it answers.
    fn again(&mut self) {
        self.world.await_death();
        self.world.launch(&[]);
        self.world.await_done();
    }

    pub(super) fn make_token(&mut self) -> (bool, String) {
        self.command(&["token", "create", "machine", "box", "--host", "far"])
    }

    fn log(&self) -> PathBuf {
        self.world.path("machine.log")
    }

    pub(super) fn start_machine(&mut self, token: &str) {
        let (file, log) = (self.world.path("token"), std::fs::File::create(self.log()).unwrap());
        std::fs::write(&file, token).unwrap();
        let url = format!("http://{}", self.world.server().address());
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
        command.args(["buildlet", "--reverse-type", "far", "--hostname", "box", "--coordinator", &url]);
        command.arg("--token-file").arg(file).arg("--workdir").arg(self.world.path("far-work"));
        command.arg("--state-dir").arg(self.world.path("far-state"));
        self.machine = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    pub(super) fn logged(&self, words: &str) {
        let found = wait_for(words, LIMIT, || {
            Ok(std::fs::read_to_string(self.log()).unwrap_or_default().contains(words).then_some(()))
        });
        found.unwrap_or_else(|error| panic!("{error:#}\n{}", std::fs::read_to_string(self.log()).unwrap()));
    }

    /// Waits until the machine can be given work.
    pub(super) fn is_idle(&self) {
        let idle = wait_for("the machine", LIMIT, || {
            let Ok(status) = self.world.get("/api/v1/status") else { return Ok(None) };
            let workers = status["workers"].as_array().cloned().unwrap_or_default();
            Ok(workers.iter().any(|one| one["host"] == "far" && one["state"] == "idle").then_some(()))
        });
        idle.unwrap_or_else(|error| panic!("{error:#}\n{}", self.world.printed()));
    }

    fn tokens(&mut self) -> Vec<Value> {
        let (listed, text) = self.command(&["token", "list", "machine", "--json"]);
        assert!(listed, "{}", self.world.printed());
        serde_json::from_str(&text).unwrap()
    }

    /// How often something is in the audit log.
    fn noted(&self, action: &str) -> usize {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
        command.args(["audit", "list", "--json", "--config"]).arg(self.world.path("server.toml"));
        let output = command.arg("--data").arg(self.world.data()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        text.matches(action).count()
    }
}

#[test]
fn a_token_that_was_not_written_down_was_never_made() {
    let mut joined = Joined::new("before_machine_token:1");
    assert!(!joined.make_token().0);
    joined.again();
    assert!(joined.tokens().is_empty());
    let (made, token) = joined.make_token();
    assert!(made && token.starts_with("bwm_"), "{token}");
}

#[test]
fn a_token_that_was_written_down_and_never_shown_is_revoked_and_made_again() {
    let mut joined = Joined::new("after_machine_token:1");
    assert!(!joined.make_token().0);
    joined.again();
    assert_eq!((joined.tokens().len(), joined.noted("machine_token_create")), (1, 1));
    assert!(!joined.make_token().0, "the name is taken");
    assert!(joined.command(&["token", "revoke", "machine", "box"]).0);
    assert!(joined.make_token().0);
}

fn killed_while_it_joins(point: &str) {
    let mut joined = Joined::new(point);
    let (made, token) = joined.make_token();
    assert!(made);
    joined.start_machine(&token);
    joined.again();
    // By itself: it shows the same secret, whether it is known already or not.
    joined.is_idle();
    let tokens = joined.tokens();
    assert!(tokens.len() == 1 && tokens[0]["joined"].is_i64(), "{tokens:?}");
    assert_eq!(joined.noted("machine_join"), 1, "{point}");
    let log = std::fs::read_to_string(joined.log()).unwrap();
    assert!(!log.contains(&token) && !log.contains("refuses"), "{log}");
}

#[test]
fn a_machine_that_was_not_written_down_joins_again() {
    killed_while_it_joins("before_machine_join:1");
}

#[test]
fn a_machine_that_has_joined_and_was_not_told_is_known() {
    killed_while_it_joins("after_machine_join:1");
}

#[test]
fn a_revocation_that_was_not_written_down_never_was() {
    let mut joined = Joined::new("before_machine_revoke:1");
    let (_, token) = joined.make_token();
    joined.start_machine(&token);
    joined.is_idle();
    assert!(!joined.command(&["token", "revoke", "machine", "box"]).0);
    joined.again();
    joined.is_idle();
}

#[test]
fn a_revocation_that_was_written_down_holds() {
    let mut joined = Joined::new("after_machine_revoke:1");
    let (_, token) = joined.make_token();
    joined.start_machine(&token);
    joined.is_idle();
    assert!(!joined.command(&["token", "revoke", "machine", "box"]).0);
    joined.again();
    joined.logged("machine \\\"box\\\" was revoked");
    assert!(joined.tokens()[0]["revoked"].is_i64());
    assert_eq!((joined.noted("machine_token_revoke"), joined.noted("machine_denied")), (1, 1));
}

/// Sets the only machine of the build aside, or lets it work again, and dies on the way; its state after a new start.
fn killed_at_an_order(point: &str) -> String {
    let mut joined = Joined::new(point);
    let status = joined.world.get("/api/v1/status").unwrap();
    let name = status["workers"][0]["name"].as_str().unwrap().to_owned();
    let (set, _) = joined.command(&["machines", "set-aside", &name, "--reason", "disk swap", "--for", "2h"]);
    assert_eq!(set, point.contains("resume"), "{point}");
    if set {
        assert!(!joined.command(&["machines", "resume", &name]).0, "{point}");
    }
    joined.again();
    let settled = wait_for("the machine", LIMIT, || {
        let Ok(status) = joined.world.get("/api/v1/status") else { return Ok(None) };
        let state = status["workers"][0]["state"].as_str().unwrap_or_default().to_owned();
        Ok((state != "starting" && !state.is_empty()).then_some(state))
    });
    let state = settled.unwrap_or_else(|error| panic!("{error:#}\n{}", joined.world.printed()));
    let noted = joined.noted("machine_set_aside") + joined.noted("machine_resume");
    assert_eq!(noted, usize::from(set) + usize::from(point.starts_with("after")), "{point}");
    state
}

#[test]
fn a_machine_whose_order_was_not_written_down_is_as_it_was() {
    assert_eq!(killed_at_an_order("before_set_aside:1"), "idle");
    assert_eq!(killed_at_an_order("before_resume:1"), "set_aside");
}

#[test]
fn a_machine_whose_order_was_written_down_obeys_it() {
    assert_eq!(killed_at_an_order("after_set_aside:1"), "set_aside");
    assert_eq!(killed_at_an_order("after_resume:1"), "idle");
}
