//! What is kept no more goes by the command, beside a server that is at work.

use std::process::Command;

use testkit::wait_for;

use super::world::{LIMIT, World, seq};

fn good(world: &World, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    command.args(arguments).arg("--config").arg(world.path("server.toml")).arg("--data").arg(world.data());
    let output = command.output().expect("the program runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {} {error}", output.status);
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn gc_lets_go_what_its_dry_run_named_and_the_server_says_so() {
    let mut world = World::new(&["seq 1 40; echo kept > kept.out"]);
    world.configure("");
    let server = world.path("server.toml");
    let text = std::fs::read_to_string(&server).unwrap();
    // With the last green one kept, nothing goes.
    std::fs::write(&server, format!("{text}\n[retention]\nlogs = \"1s\"\nartifacts = \"1s\"\n")).unwrap();
    world.start();
    let build = world.await_done();
    assert_eq!(build["outcome"], "ok", "{build:#}\n{}", world.printed());
    let id = build["id"].as_str().unwrap();
    wait_for("the end of its second", LIMIT, || {
        Ok(good(&world, &["gc", "--dry-run"]).contains("kept by last_green: 2").then_some(()))
    })
    .unwrap();
    let text = std::fs::read_to_string(&server).unwrap();
    std::fs::write(&server, format!("{text}last_green = 0\n")).unwrap();
    let said = good(&world, &["gc", "--dry-run"]);
    assert!(said.contains("would go: 1 logs") && said.contains("would go: 1 artifacts"), "{said}");
    assert!(said.contains(id) && said.contains("(logs)"), "{said}");
    assert_eq!(world.log(&build), seq(1, 40), "it was only said");
    let did = good(&world, &["gc"]);
    assert_eq!(did, said.replace("would go", "went"));
    for (path, status) in [
        (format!("/api/v1/builds/{id}/log"), 410),
        (format!("/builds/{id}/log"), 410),
        (format!("/builds/{id}"), 200),
        (format!("/api/v1/builds/{id}"), 200),
    ] {
        let answer = world.server().request("GET", &path, None, None).unwrap();
        assert_eq!(answer.status, status, "{path}");
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            path.starts_with("/api/v1/builds/0") && status == 200 || text.contains("expired on 20"),
            "{text}"
        );
    }
    assert!(good(&world, &["gc"]).contains("nothing went"));
    let audit = good(&world, &["audit", "list"]);
    assert!(audit.contains("command line gc retention"), "{audit}");
    good(&world, &["audit", "verify"]);
}
