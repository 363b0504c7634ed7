//! `gomote` at the edges: what can't be said is not kept, and what is no file is not put.

use std::process::{Command, Stdio};

use super::world::World;

#[test]
fn a_machine_whose_name_can_t_be_said_is_given_back() {
    let world = World::new();
    world.repo("app", "true");
    let server = world.serve(&["app"]);
    world.wait_build(&server, "app", "the build", |one| one["state"] == "done");
    let url = format!("http://{}", server.address());
    let ask = |arguments: &[&str]| {
        let (order, rest) = arguments.split_first().unwrap();
        let mut all = vec!["gomote", order, "--server", &url, "--data", "DATA"];
        all.extend(rest);
        world.run(&all)
    };
    let full = |arguments: &[&str]| {
        let stdout = std::fs::File::options().write(true).open("/dev/full").unwrap();
        Command::new("/usr/bin/timeout")
            .args([
                "-k",
                "5",
                "120",
                env!("CARGO_BIN_EXE_bellwether"),
                "gomote",
                "create",
                "t",
                "--server",
                &url,
            ])
            .arg("--data")
            .arg(world.data())
            .args(arguments)
            .current_dir(world.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .output()
            .unwrap()
    };
    for arguments in [&[][..], &["--json"], &["--count", "2"]] {
        let said = full(arguments);
        let words = String::from_utf8_lossy(&said.stderr);
        assert_eq!(said.status.code(), Some(2), "{arguments:?}: {words}");
        assert!(words.contains("stdout can't be written") && words.contains("is given back"), "{words}");
        assert_eq!(ask(&["list", "--json"]).json(), serde_json::json!([]), "{arguments:?}");
    }

    let name = ask(&["create", "t"]).must(0, &[]).out.trim().to_owned();
    ask(&["list", "--all"]).must(0, &["OWNER", &name, "admin", "app:t"]);
    assert_eq!(ask(&["list", "--all", "--json"]).json()[0]["owner"], "admin");
    std::fs::write(world.path().join("notes"), "kept").unwrap();
    for dir in [".", "sub/"] {
        ask(&["put", &name, "notes", dir]).must(2, &["is a directory, and put writes one file"]);
    }
    ask(&["put", &name, "notes", "sub/notes"]).must(0, &[]);
    ask(&["destroy", &name]).must(0, &[]);

    // The log is longer than what is shown, and says so beside it.
    let audit = |arguments: &[&str]| {
        let mut all = vec!["audit", "list", "--data", "DATA"];
        all.extend(arguments);
        world.run(&all)
    };
    let first = audit(&["--limit", "1"]);
    first.must(0, &["there are more rows; the next ones: bellwether audit list --after 1 --limit 1"]);
    assert_eq!(first.out.lines().count(), 1, "{}", first.out);
    assert_eq!(audit(&["--limit", "1", "--json"]).json().as_array().unwrap().len(), 1);
    let all = audit(&[]);
    all.must(0, &["gomote create", "gomote destroy"]);
    assert!(!all.err.contains("there are more"), "{}", all.err);
}
