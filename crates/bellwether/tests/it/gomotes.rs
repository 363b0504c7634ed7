//! What people say to `bellwether gomote` of builds that are to fail.

use std::process::Command;
use std::time::Duration;

use testkit::{File, GitRepo, Server, ServerOptions, wait_for};

const PROJECT: &str = r#"
[builder.b]
recipe = "r"

[recipe.r]
run = "until [ -e GO ]; do sleep 0.05; done"
"#;

/// A build that there is not.
const NONE: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

#[test]
fn a_build_that_was_to_be_held_is_let_go_of() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let project = PROJECT.replace("GO", &go.display().to_string());
    let mut repo = GitRepo::create(&dir.path().join("app")).unwrap();
    repo.commit("first", &[("bellwether.toml", File::Text(&project))]).unwrap();
    let mut server = Server::start(ServerOptions {
        program: env!("CARGO_BIN_EXE_bellwether").into(),
        data: dir.path().join("data"),
        arguments: vec![repo.dir().to_string_lossy().into_owned()],
        environment: Vec::new(),
    })
    .unwrap();
    let build = wait_for("a build", Duration::from_secs(60), || {
        let list = server.request("GET", "/api/v1/builds?state=running", None, None)?.json()?;
        Ok(list["builds"][0]["id"].as_str().map(str::to_owned))
    });
    let build = build.unwrap();
    let (address, token) = (format!("http://{}", server.address()), server.token().unwrap());
    let gomote = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
        command.arg("gomote").args(arguments).args(["--server", &address]).env("BELLWETHER_TOKEN", &token);
        let out = command.output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (out.status.success(), text(&out.stdout), text(&out.stderr))
    };
    let (done, stdout, stderr) = gomote(&["hold", &build]);
    assert!(done && stdout.starts_with(&build), "{stdout}{stderr}");
    let (done, stdout, stderr) = gomote(&["unhold", &build]);
    assert!(done && stdout.is_empty(), "{stdout}{stderr}");
    // It was wanted by nobody any more, and of several each is told of.
    let (done, _, stderr) = gomote(&["unhold", &build]);
    assert!(!done && stderr.contains(&format!("nobody waits for build {build} to fail")), "{stderr}");
    assert!(gomote(&["hold", &build]).0);
    let (done, _, stderr) = gomote(&["unhold", NONE, &build]);
    assert!(!done && stderr.contains(&format!("{NONE}: error: ")), "{stderr}");
    assert!(stderr.contains("it failed on 1 of 2 builds"), "{stderr}");
    assert!(!gomote(&["unhold", &build]).0, "the other was let go of");
    std::fs::write(go, "").unwrap();
    server.interrupt().unwrap();
}
