//! kill -9 of the server at every durable transition, and of server and worker together.

use serde_json::Value;

use super::world::{SECRET, World, seq};
use testkit::workers;

/// Two steps that say that they ran, print, use a secret and leave a file to keep.
const STEPS: [&str; 2] = [
    "echo one >> $MARKS; seq 1 20; echo \"the word is $WORD\"; echo kept > kept.out",
    "echo two >> $MARKS; sleep 0.2; seq 21 40",
];

fn expected_log() -> String {
    let log = format!("{}the word is ***\n{}", seq(1, 20), seq(21, 40));
    assert!(!log.contains(SECRET));
    log
}

fn outcomes(build: &Value) -> Vec<&str> {
    let attempts = build["attempts"].as_array().expect("attempts");
    attempts.iter().map(|attempt| attempt["outcome"].as_str().unwrap_or("none")).collect()
}

/// Everything that must hold after the server was killed and nothing else was.
fn check_once(world: &World) {
    let build = world.await_done();
    assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
    assert_eq!(outcomes(&build), ["ok"], "{build:#}");
    assert_eq!(world.marks(), ["one", "two"], "each step ran once");
    assert_eq!(world.log(&build), expected_log());
    let steps = build["attempts"][0]["steps"].as_array().expect("steps");
    let steps: Vec<_> = steps.iter().map(|step| (&step["name"], &step["exit"])).collect();
    assert_eq!(steps, [(&"step-0".into(), &0.into()), (&"step-1".into(), &0.into())], "{build:#}");
    let kept = world.get(&format!("/api/v1/builds/{}/artifacts", build["id"].as_str().unwrap_or_default()));
    assert!(kept.expect("artefacts").to_string().contains("kept.out"));
    world.check_quiet();
}

fn killed_at(point: &str) {
    let mut world = World::new(&STEPS);
    world.launch(&["--die-at", point]);
    world.await_death();
    world.launch(&[]);
    check_once(&world);
}

/// One test for each point.
macro_rules! killed {
    ($($name:ident $point:literal),* $(,)?) => {
        $(#[test] fn $name() { killed_at($point); })*
        const POINTS: &[&str] = &[$($point),*];
    };
}

mod server {
    use super::*;
    killed! {
        before_queued "before_queued:1",
        after_queued "after_queued:1",
        before_worker "before_worker:1",
        after_worker "after_worker:1",
        before_lease "before_lease:1",
        after_lease "after_lease:1",
        before_preparing "before_preparing:1",
        after_preparing "after_preparing:1",
        before_running "before_running:1",
        after_running "after_running:1",
        before_running_step_two "before_running:2",
        after_running_step_two "after_running:2",
        before_snapshot "before_snapshot:1",
        after_snapshot "after_snapshot:1",
        before_reporting "before_reporting:1",
        after_reporting "after_reporting:1",
        before_done "before_done:1",
        after_done "after_done:1",
        before_reported "before_reported:1",
        after_reported "after_reported:1",
    }

    /// A transition that is added must be killed at, too.
    #[test]
    fn every_transition_is_here() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../coordinator/src");
        let mut folders = vec![root];
        let mut names = std::collections::BTreeSet::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = text.split("transition!(").skip(1);
                names.extend(calls.filter_map(|call| call.split('"').nth(1)).map(str::to_owned));
            }
        }
        // These have tests of their own below, in `joined`, in `tries`, or of the coordinator alone: they need somebody who asks, or a start before.
        let below =
            ["take_over", "cancel", "retry", "gomote", "gomote_end", "outbox_note", "outbox_retry", "alarm"];
        let of_tries = [crate::tries::TRANSITIONS, crate::pulls::TRANSITIONS, crate::verdicts::TRANSITIONS];
        let below = below.iter().chain(of_tries.into_iter().flatten());
        for name in below.chain(super::super::joined::POINTS) {
            assert!(names.remove(*name), "{name} is gone");
        }
        assert!(names.len() >= 8, "{names:?}");
        for name in names {
            for when in ["before", "after"] {
                assert!(POINTS.contains(&format!("{when}_{name}:1").as_str()), "{when}_{name} has no test");
            }
        }
    }

    fn killed_again_at(point: &str) {
        let mut world = World::new(&STEPS);
        world.launch(&["--die-at", "after_running:1"]);
        world.await_death();
        world.launch(&["--die-at", point]);
        world.await_death();
        world.launch(&[]);
        check_once(&world);
    }

    #[test]
    fn before_take_over() {
        killed_again_at("before_take_over:1");
    }

    #[test]
    fn after_take_over() {
        killed_again_at("after_take_over:1");
    }
}

/// A first step that waits until the test lets it go on.
const HELD: [&str; 2] = [
    "echo one >> $MARKS; seq 1 20; until [ -e $MARKS.go ]; do sleep 0.05; done; echo \"the word is $WORD\"; echo kept > kept.out",
    STEPS[1],
];

fn let_go(world: &World) {
    std::fs::write(world.path("marks.go"), "").unwrap();
}

mod orders {
    use super::*;

    fn cancelled_at(point: &str) -> World {
        let mut world = World::new(&HELD);
        world.launch(&["--die-at", point]);
        world.await_marks(1);
        let id = world.build_id();
        world.order(&format!("/api/v1/builds/{id}/cancel")).expect_err("it dies before it answers");
        world.await_death();
        world.launch(&[]);
        world
    }

    #[test]
    fn a_cancel_that_was_not_written_never_was() {
        let world = cancelled_at("before_cancel:1");
        let_go(&world);
        check_once(&world);
    }

    #[test]
    fn a_cancel_that_was_written_is_carried_out() {
        let world = cancelled_at("after_cancel:1");
        let build = world.await_done();
        assert_eq!(build["outcome"], "cancelled", "{build:#}");
        assert_eq!(build["cause"]["kind"], "person");
        assert_eq!(outcomes(&build), ["cancelled"]);
        assert_eq!(world.marks(), ["one"], "the step was ended, the next one never began");
        assert_eq!(world.log(&build), seq(1, 20));
        world.check_quiet();
    }

    fn retried_at(point: &str) -> World {
        let mut world = World::new(&STEPS);
        world.launch(&["--die-at", point]);
        let first = world.await_done();
        assert_eq!(outcomes(&first), ["ok"]);
        let id = world.build_id();
        world.order(&format!("/api/v1/builds/{id}/retry")).expect_err("it dies before it answers");
        world.await_death();
        world.launch(&[]);
        world
    }

    #[test]
    fn a_retry_that_was_not_written_never_was() {
        check_once(&retried_at("before_retry:1"));
    }

    #[test]
    fn a_retry_that_was_written_is_built_once() {
        let world = retried_at("after_retry:1");
        let build = world.await_build("the second attempt's end", |build| {
            build["state"] == "done" && outcomes(build).len() > 1
        });
        assert_eq!(build["outcome"], "ok");
        assert_eq!(outcomes(&build), ["ok", "ok"], "{build:#}");
        assert_eq!(world.marks(), ["one", "two", "one", "two"]);
        for attempt in build["attempts"].as_array().unwrap() {
            assert_eq!(world.attempt_log(attempt), expected_log());
        }
        assert_eq!(world.log(&build), expected_log());
        world.check_quiet();
    }
}

mod held {
    use std::process::Command;

    use super::*;
    use testkit::wait_for;

    /// Runs the command line of gomote; whether it did its work, and what it printed.
    fn gomote(world: &mut World, arguments: &[&str]) -> (bool, String) {
        let url = format!("http://{}", world.server().address());
        let mut command = Command::new("timeout");
        command.args(["60", env!("CARGO_BIN_EXE_bellwether"), "gomote"]).args(arguments);
        command.arg("--data").arg(world.data()).args(["--server", &url]).env_remove("BELLWETHER_TOKEN");
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn held(world: &mut World) -> usize {
        let list = gomote(world, &["list", "--json"]).1;
        serde_json::from_str::<Value>(&list).ok().and_then(|list| Some(list.as_array()?.len())).unwrap_or(99)
    }

    /// Kills the server at a point on the way to a machine, or on its way back; how many are held after a new start.
    fn killed_at(point: &str, after: usize) {
        let mut world = World::new(&STEPS);
        world.launch(&["--die-at", point]);
        world.await_done();
        let (created, name) = gomote(&mut world, &["create", "test"]);
        assert_eq!(created, point.contains("end"), "{point}");
        if created {
            // It may die before it answers.
            gomote(&mut world, &["destroy", &name]);
        }
        world.await_death();
        world.launch(&[]);
        let told = wait_for("what is held", std::time::Duration::from_secs(60), || {
            Ok((held(&mut world) == after).then_some(()))
        });
        told.unwrap_or_else(|error| panic!("{point}: {error:#}\n{}", world.printed()));
        if after == 1 {
            let (destroyed, _) = gomote(&mut world, &["destroy", "admin-tiny-test-0"]);
            assert!(destroyed, "{point}\n{}", world.printed());
        }
        // The project's file, and so its builder, is known once the mirror was looked at.
        let created = wait_for("a machine", std::time::Duration::from_secs(60), || {
            let (created, name) = gomote(&mut world, &["create", "test"]);
            Ok(created.then_some(name))
        });
        let name = created.unwrap_or_else(|error| panic!("{point}: {error:#}\n{}", world.printed()));
        // What the build left, and whoever held it before, is gone.
        let (ran, printed) = gomote(&mut world, &["ls", &name]);
        assert!(ran && !printed.contains("kept.out"), "{point}: {printed}");
        let (destroyed, _) = gomote(&mut world, &["destroy", &name]);
        assert!(destroyed, "{point}");
        world.check_quiet();
    }

    #[test]
    fn a_machine_that_was_not_written_down_is_nobodys() {
        killed_at("before_gomote:1", 0);
    }

    #[test]
    fn a_machine_that_was_written_down_is_theirs() {
        killed_at("after_gomote:1", 1);
    }

    #[test]
    fn a_machine_whose_return_was_not_written_down_is_theirs_still() {
        killed_at("before_gomote_end:1", 1);
    }

    #[test]
    fn a_machine_whose_return_was_written_down_is_clean() {
        killed_at("after_gomote_end:1", 0);
    }
}

mod server_and_worker {
    use super::*;

    /// Kills the server at the point, then all workers; checks how the attempts ended.
    fn both_killed_at(point: &str, expected: &[&str]) {
        both_killed_of(2, point, expected);
    }

    fn both_killed_of(capacity: u32, point: &str, expected: &[&str]) {
        let mut world = World::new(&STEPS);
        world.configure_as("", capacity, 1);
        world.launch(&["--die-at", point]);
        world.await_death();
        for worker in workers(&world.data()) {
            worker.kill().unwrap();
        }
        world.launch(&[]);
        let build = world.await_done();
        assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
        assert_eq!(outcomes(&build), expected, "{build:#}");
        assert_eq!(world.log(&build), expected_log());
        let attempts = build["attempts"].as_array().unwrap();
        let machines: std::collections::BTreeSet<_> =
            attempts.iter().map(|attempt| attempt["worker"].as_str()).collect();
        assert_eq!(machines.len(), attempts.len(), "each attempt on a machine of its own");
        for attempt in attempts {
            let ended = world.get(&format!("/api/v1/attempts/{}/log/info", attempt["id"].as_str().unwrap()));
            // An attempt that never came to a step has no log.
            if let Ok(info) = ended {
                assert_eq!(info["finished"], true, "{info:#}");
            }
        }
        world.check_quiet();
    }

    /// Found by the soak: a machine that was lost meanwhile went on to take the only place there was.
    #[test]
    fn the_place_of_a_lost_machine_is_free_again() {
        both_killed_of(1, "after_running:1", &["infra_failed", "ok"]);
    }

    macro_rules! both {
        ($($name:ident $expected:expr),* $(,)?) => {
            $(#[test] fn $name() { both_killed_at(concat!(stringify!($name), ":1"), &$expected); })*
        };
    }

    both! {
        after_worker ["ok"],
        before_lease ["ok"],
        after_lease ["infra_failed", "ok"],
        after_preparing ["infra_failed", "ok"],
        after_running ["infra_failed", "ok"],
        before_reporting ["infra_failed", "ok"],
        after_reporting ["ok"],
        after_done ["ok"],
    }
}

mod in_the_middle {
    use super::*;

    /// What the issue asks to be done by hand: a step that prints on and on, the server killed and started again later.
    #[test]
    fn the_server_is_killed_and_the_step_goes_on_without_it() {
        let mut world = World::new(&[
            "for n in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $n; echo $n >> $MARKS; sleep 0.25; done; echo kept > kept.out",
        ]);
        world.start();
        world.await_marks(3);
        let before = workers(&world.data());
        world.server().crash().unwrap();
        // Written while no server lives.
        world.await_marks(8);
        world.launch(&[]);
        let build = world.await_done();
        assert_eq!(build["outcome"], "ok", "{build:#}");
        assert_eq!(outcomes(&build), ["ok"]);
        assert_eq!(world.log(&build), seq(1, 12));
        assert_eq!(world.marks(), (1..=12).map(|n| n.to_string()).collect::<Vec<_>>(), "no second run");
        world.check_quiet();
        assert_eq!(workers(&world.data()), before, "the same worker, alive all the time");
    }

    #[test]
    fn the_server_is_killed_again_and_again_while_much_is_printed() {
        let print =
            "n=0; until [ -e $MARKS.go ]; do n=$((n+1)); seq 1 2000; echo $n >> $MARKS; sleep 0.02; done";
        let mut world = World::new(&[print]);
        world.start();
        for round in 1..=3 {
            world.await_marks(round * 10);
            world.server().crash().unwrap();
            world.await_marks(round * 10 + 5);
            world.launch(&[]);
            world.build_id();
        }
        let_go(&world);
        let build = world.await_done();
        assert_eq!((&build["outcome"], outcomes(&build)), (&"ok".into(), vec!["ok"]), "{build:#}");
        assert!(world.log(&build) == seq(1, 2000).repeat(world.marks().len()), "every byte once");
        world.check_quiet();
    }

    #[test]
    fn the_worker_is_killed_and_another_one_builds() {
        let held = "echo begun >> $MARKS; echo begun; [ $(wc -l < $MARKS) -gt 1 ] || sleep 1000; seq 1 40";
        let mut world = World::new(&[held]);
        world.start();
        let running = world.await_build("the first lines", |build| {
            let log = || world.attempt_log(&build["attempts"][0]);
            build["state"] == "running" && !log().is_empty()
        });
        let machine = running["attempts"][0]["worker"].as_str().unwrap().to_owned();
        let worker =
            workers(&world.data()).into_iter().find(|worker| worker.name == machine).expect("its process");
        worker.kill().unwrap();
        let build = world.await_done();
        assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
        assert_eq!(outcomes(&build), ["infra_failed", "ok"], "{build:#}");
        let attempts = &build["attempts"];
        assert_eq!(attempts[0]["cause"]["kind"], "worker_lost", "{build:#}");
        assert_ne!(attempts[0]["worker"], attempts[1]["worker"]);
        assert_eq!(world.attempt_log(&attempts[0]), "begun\n");
        assert_eq!(world.attempt_log(&attempts[1]), format!("begun\n{}", seq(1, 40)));
        let path = format!("/api/v1/attempts/{}/log/info", attempts[0]["id"].as_str().unwrap());
        assert_eq!(world.get(&path).unwrap()["finished"], true, "nobody waits for more of it");
        // Among other things: the step of the dead worker was ended.
        world.check_quiet();
    }
}
