//! The manual of the API, word for word.

use std::process::Command;
use std::time::Duration;

use testkit::{File, GitRepo, Server, ServerOptions, wait_for};

const PROJECT: &str = r#"
[builder.test]
recipe = "r"

[recipe.r]
run = "echo some words of a log"
"#;

/// The blocks of a language of a page.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let parts = page.split("\n```").collect::<Vec<_>>();
    let of = |part: &&str| part.strip_prefix(language)?.strip_prefix('\n').map(str::to_owned);
    parts.iter().filter_map(of).collect()
}

#[test]
fn the_requests_of_the_manual_work() {
    let dir = tempfile::tempdir().unwrap();
    let mut repo = GitRepo::create(&dir.path().join("app")).unwrap();
    repo.commit("first", &[("bellwether.toml", File::Text(PROJECT))]).unwrap();
    let mut server = Server::start(ServerOptions {
        program: env!("CARGO_BIN_EXE_bellwether").into(),
        data: dir.path().join("data"),
        arguments: vec![repo.dir().to_string_lossy().into_owned()],
        environment: Vec::new(),
    })
    .unwrap();
    let nth = |n: usize| {
        wait_for("builds that are done", Duration::from_secs(60), || {
            let list = server.request("GET", "/api/v1/builds?state=done", None, None)?.json()?;
            Ok(list["builds"][n]["id"].as_str().map(str::to_owned))
        })
    };
    let build = nth(0).unwrap();
    // A list that goes on has more than one.
    repo.commit("second", &[("more", File::Text("x"))]).unwrap();
    nth(1).unwrap();
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/API.md")).unwrap();
    let scripts = blocks(&manual, "sh");
    assert!(scripts.len() >= 4, "{scripts:?}");
    for script in scripts {
        let out = Command::new("timeout")
            .args(["60", "sh", "-euc", &script])
            .env("SERVER", format!("http://{}", server.address()))
            .env("TOKEN", server.token().unwrap())
            .env("BUILD", &build)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{script}\n{said}");
    }
    let document = Command::new(env!("CARGO_BIN_EXE_bellwether")).arg("api").output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&document.stdout).unwrap();
    let served = server.request("GET", "/api/v1/openapi.json", None, None).unwrap().json().unwrap();
    // What is printed is what is served, but for what this server has no configuration for.
    let mut more = Vec::new();
    for (key, all) in document["paths"].as_object().unwrap() {
        match served["paths"].get(key) {
            Some(of) => assert_eq!(of, all, "{key}"),
            None => more.push(key.as_str()),
        }
    }
    assert_eq!(more, ["/maintner.json"]);
    assert_eq!(document["paths"].as_object().unwrap().len(), served["paths"].as_object().unwrap().len() + 1);
    for (name, schema) in served["components"]["schemas"].as_object().unwrap() {
        assert_eq!(*schema, document["components"]["schemas"][name], "{name}");
    }
    server.interrupt().unwrap();
}
