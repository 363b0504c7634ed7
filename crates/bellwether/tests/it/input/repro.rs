//! The script of `repro`, really run.

use std::process::{Command, Output};

use testkit::{File, GitRepo, Server, ServerOptions};

use super::world::World;

const SERVER: &str = r#"
[host.one]
pool = "local"
trust = "trusted"
capacity = 1
env_pass = ["PATH", "PASSED_*"]
env = { FROM_HOST = "the host's" }

[repo.app]
url = "AT/app"
horizon = 1
source = "git"

[repo.lang]
url = "AT/lang"
horizon = 1

[repo.lib]
url = "AT/lib"
horizon = 1
needs = ["lang"]

[secret.deploy]
env = "D"
as = "DEPLOY_TOKEN"
builders = ["t"]

[builder.t]
host = "one"
recipe = "t"
repos = ["app"]
env = { FROM_BUILDER = "$WORKDIR/here" }

[recipe.t]
env = { FROM_RECIPE = "$HOME stays" }

[[recipe.t.step]]
name = "prepare"
dir = "sub/deep"
run = "echo made > made; echo prepared"

[[recipe.t.step]]
name = "test"
dir = "sub"
env = { FROM_STEP = "two\nlines" }
run = '''
git rev-parse --is-inside-work-tree
printf '%s|' "$FROM_HOST" "$FROM_RECIPE" "${FROM_BUILDER#"$WORKDIR"}" "$FROM_STEP" "$CI" "${#DEPLOY_TOKEN}" "${PASSED_ON-none}" "${OUTSIDE-none}"
cat deep/made hello
basename "$PWD"
exit 9
'''

[[recipe.t.step]]
name = "after"
when = "always"
run = "echo error: not me"

[builder.l]
host = "one"
recipe = "l"
repos = ["lang", "lib"]

[recipe.l]
toolchain = "lang"
build = "mkdir bin; { echo '#!/bin/sh'; echo 'echo tool in $(basename $PWD)'; } > bin/tool; chmod +x bin/tool; echo building"
snapshot = true
run = "true"

[recipe.l.dependents]
run = "tool; exit 4"
"#;

fn serve(world: &World) -> Server {
    let file = world.path().join("server.toml");
    std::fs::write(&file, SERVER.replace("AT/", format!("{}/", world.path().display()).as_str())).unwrap();
    Server::start(ServerOptions {
        program: env!("CARGO_BIN_EXE_bellwether").into(),
        data: world.data(),
        arguments: vec!["--config".into(), file.display().to_string()],
        environment: [("D", "correct-horse-battery"), ("PASSED_ON", "passed on")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
    })
    .unwrap()
}

/// Every repo of the server file; those that a test is not about are built, too.
fn repos(world: &World) {
    for (name, file) in [("app", "sub/hello"), ("lang", "hello"), ("lib", "hello")] {
        let mut repo = GitRepo::create(&world.path().join(name)).unwrap();
        repo.commit("first", &[(file, File::Text("hello\n")), ("sub/deep/x", File::Text("x"))]).unwrap();
    }
}

/// The build's id, and what running its script comes to.
fn again(world: &World, server: &Server, name: &str, env: &[(&str, &str)]) -> (String, Output) {
    let build = world.wait_build(server, name, "it is built", |one| one["state"] == "done");
    assert_eq!(build["outcome"], "failed", "{build:#}");
    let id = build["id"].as_str().unwrap().to_owned();
    let script = world.ask(server, "repro", &[&id]);
    script.must(0, &["#!/bin/sh"]);
    assert!(!script.out.contains("correct-horse"), "{}", script.out);
    let file = world.path().join("repro.sh");
    std::fs::write(&file, &script.out).unwrap();
    let mut command = Command::new("sh");
    command.arg(&file).env("TMPDIR", world.path()).env("OUTSIDE", "seen").envs(env.iter().copied());
    (id, command.output().unwrap())
}

#[test]
fn a_step_runs_again_in_its_folder_with_its_variables_and_what_came_before() {
    let world = World::new();
    repos(&world);
    let server = serve(&world);
    let (id, run) = again(&world, &server, "app", &[]);
    assert_eq!(run.status.code(), Some(125), "{run:?}");
    assert!(String::from_utf8_lossy(&run.stderr).contains("DEPLOY_TOKEN holds a secret"), "{run:?}");
    let env = [("DEPLOY_TOKEN", "correct-horse-battery"), ("PASSED_ON", "passed on")];
    let (_, run) = again(&world, &server, "app", &env);
    let out = String::from_utf8_lossy(&run.stdout);
    let wanted =
        "prepared\ntrue\nthe host's|$HOME stays|/here|two\nlines|true|21|passed on|none|made\nhello\nsub\n";
    assert_eq!((run.status.code(), out.as_ref()), (Some(9), wanted), "{run:?}");
    let log = world.ask(&server, "log", &[&id]);
    assert_eq!(log.out, format!("{wanted}error: not me\n"), "as in the build");
}

#[test]
fn the_toolchain_is_built_where_the_build_had_a_snapshot_of_it() {
    let world = World::new();
    repos(&world);
    let server = serve(&world);
    // Once the toolchain's own build has kept it, there is a snapshot.
    for repo in ["lang", "lib"] {
        world.wait_build(&server, repo, "it is built", |one| one["state"] == "done");
    }
    let list = server.request("GET", "/api/v1/builds?repo=lib", None, None).unwrap().json().unwrap();
    let id = list["builds"][0]["id"].as_str().unwrap().to_owned();
    world
        .ask(&server, "build", &["lib", "--builder", "l", "--again"])
        .must(1, &["tool in lib", "exit status 4"]);
    let build = server.request("GET", &format!("/api/v1/builds/{id}"), None, None).unwrap().json().unwrap();
    assert!(build["attempts"][1]["inputs"]["snapshot"].is_string(), "{build:#}");
    let (_, run) = again(&world, &server, "lib", &[]);
    let out = String::from_utf8_lossy(&run.stdout);
    assert_eq!((run.status.code(), out.as_ref()), (Some(4), "building\ntool in lib\n"), "{run:?}");
}
