//! `bellwether watchflakes`, between a whole server and a GitHub: a flake gets an issue, once.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use http::Request;
use serde_json::Value;
use testkit::github::{GitHub, OWNER, Options, REPO};
use testkit::{File, wait_for};
use tokio_util::task::AbortOnDropHandle;
use transport::Service;

use crate::faults::world as faults;

const LIMIT: Duration = Duration::from_secs(120);
const BUILDERS: [&str; 4] = ["linux-amd64", "linux-arm64", "linux-race", "windows-amd64"];

/// Three commits, of which the one in the middle failed on one of four builders.
fn world() -> faults::World {
    let mut world = faults::World::empty();
    let check = "echo 1..2\necho 'ok 1 - net.TestRead'\n\
                 if [ \"$BELLWETHER_BUILDER $(cat state)\" = 'linux-race flaky' ]; then\n\
                 echo 'not ok 2 - net.TestDial'\necho '# connection reset'\nexit 1\nfi\necho 'ok 2 - net.TestDial'\n";
    let builders = BUILDERS.map(|name| format!("[builder.{name}]\nrecipe = \"check\"\n")).concat();
    let project = format!("{builders}[recipe.check]\nrun = \"sh ./check.sh\"\nresults = \"tap\"\n");
    let files = [
        ("bellwether.toml", File::Text(&project)),
        ("check.sh", File::Text(check)),
        ("state", File::Text("well\n")),
    ];
    world.repo.commit("One", &files).unwrap();
    world.repo.commit("Two", &[("state", File::Text("flaky\n"))]).unwrap();
    world.repo.commit("Three", &[("state", File::Text("well again\n"))]).unwrap();
    let text = format!(
        "[host.local]\ncapacity = 2\n[repo.tiny]\nurl = {:?}\nhorizon = 3\n",
        world.path("tiny").display().to_string()
    );
    std::fs::write(world.path("server.toml"), text).unwrap();
    world.launch(&[]);
    wait_for("all builds", LIMIT, || {
        let Ok(list) = world.get("/api/v1/builds?limit=100") else { return Ok(None) };
        let all = list["builds"].as_array().cloned().unwrap_or_default();
        Ok((all.len() == 12 && all.iter().all(|build| build["state"] == "done")).then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", world.printed()));
    world
}

struct Forge {
    github: GitHub,
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Forge {
    async fn new() -> Forge {
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        let github = GitHub::new(1, Options::default(), Arc::new(now));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, router) = (listener.local_addr().unwrap(), github.router());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Forge { github, address, _serving: AbortOnDropHandle::new(serving) }
    }

    async fn get(&self, path: &str) -> Value {
        let request = Request::get(format!("/repos/{OWNER}/{REPO}{path}")).body(Body::empty()).unwrap();
        let answer = Service::url(&format!("http://{}", self.address)).send_ok(request).await.unwrap();
        serde_json::from_slice(&axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap()).unwrap()
    }

    async fn comments(&self, number: u32) -> Vec<String> {
        let list = self.get(&format!("/issues/{number}/comments")).await;
        list.as_array().unwrap().iter().map(|one| one["body"].as_str().unwrap().to_owned()).collect()
    }
}

fn watchflakes(world: &faults::World, forge: &Forge, more: &[&str]) -> Output {
    let (server, api) = (world.server.as_ref().unwrap().address(), format!("http://{}", forge.address));
    let mut command = Command::new(env!("CARGO_BIN_EXE_bellwether"));
    command.args(["watchflakes", "--github", &format!("{OWNER}/{REPO}"), "--github-api", &api]);
    command.args(["--server", &server.to_string(), "--site", "https://ci.example.org"]).args(more);
    command.env("BELLWETHER_GITHUB_TOKEN", "s3cr3t").output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flake_is_posted_once() {
    let (world, forge) = (world(), Forge::new().await);
    let said = |output: &Output| {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}\n{err}");
        out.into_owned()
    };
    // Nothing is posted unless that is said.
    let planned = said(&watchflakes(&world, &forge, &[]));
    assert!(planned.starts_with("new issue: net: TestDial failures, with 1 builds\n"), "{planned}");
    assert_eq!(forge.get("/issues?state=all").await, Value::Array(vec![]));

    assert_eq!(said(&watchflakes(&world, &forge, &["--post"])), planned);
    let issues = forge.get("/issues?state=all").await;
    let issue = &issues[0];
    assert_eq!(
        (issues.as_array().unwrap().len(), &issue["labels"][0]["name"]),
        (1, &"flake".into()),
        "{issues:#}"
    );
    let rule = "```\n#!watchflakes\ndefault <- pkg == \"net\" && test == \"TestDial\"\n```";
    assert!(issue["body"].as_str().unwrap().starts_with(rule), "{issue:#}");
    let list = world.get("/api/v1/builds?outcome=failed").unwrap();
    let build = format!("https://ci.example.org/builds/{}", list["builds"][0]["id"].as_str().unwrap());
    let comments = forge.comments(1).await;
    assert!(comments.len() == 1 && comments[0].contains(&build), "{comments:?}");
    assert!(comments[0].contains("linux-race") && comments[0].contains("net.TestDial"), "{comments:?}");

    // Once more there is nothing to be done.
    assert_eq!(said(&watchflakes(&world, &forge, &["--post"])), "");
    assert_eq!(forge.comments(1).await.len(), 1);

    // Somebody's own issue takes it over; one that can't be read is told so, once.
    forge.github.change(|github, now| {
        let label = github.new_label("flake");
        for body in ["```\n#!watchflakes\npost <- builder ~ `race`\n```\n", "Please look at it"] {
            let number = github.open(now, 1, false, "Mine", body);
            github.label(now, number, 1, label);
        }
        // A pull request is no issue.
        let number = github.open(now, 1, true, "Other", "");
        github.label(now, number, 1, label);
    });
    said(&watchflakes(&world, &forge, &["--post"]));
    let (mine, bad) = (forge.comments(2).await, forge.comments(3).await);
    assert!(mine.len() == 1 && mine[0].contains(&build), "{mine:?}");
    assert!(bad.len() == 1 && bad[0].contains("The rules of this issue can't be used"), "{bad:?}");
    assert_eq!((forge.comments(1).await.len(), forge.comments(4).await.len()), (1, 0));
}
