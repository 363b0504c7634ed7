//! `up --demo`: history within seconds, and nothing left of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::{Kill, free_port, kill, request, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

/// A demonstration that is killed if a test fails.
struct Demo {
    child: Child,
    address: SocketAddr,
    temp: tempfile::TempDir,
}

impl Demo {
    fn start() -> Demo {
        let temp = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let child = Command::new(env!("CARGO_BIN_EXE_bellwether"))
            .args(["up", "--demo", "--listen", &address.to_string()])
            .env("TMPDIR", temp.path())
            .current_dir(temp.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(temp.path().join("said")).unwrap())
            .spawn()
            .unwrap();
        let mut demo = Demo { child, address, temp };
        wait_for("the demonstration's health", LIMIT, || {
            assert!(demo.child.try_wait()?.is_none(), "it ended: {}", demo.said());
            Ok(request(address, "GET", "/healthz", None, None)
                .is_ok_and(|said| said.status == 200)
                .then_some(()))
        })
        .unwrap();
        demo
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.temp.path().join("said")).unwrap_or_default()
    }

    fn dirs(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.temp.path()).unwrap().flatten().map(|entry| entry.path());
        all.filter(|path| path.is_dir()).collect()
    }

    fn page(&self, path: &str) -> String {
        let answer = request(self.address, "GET", path, None, None).unwrap();
        assert_eq!(answer.status, 200, "{path}");
        String::from_utf8(answer.body).unwrap()
    }

    fn json(&self, path: &str) -> serde_json::Value {
        request(self.address, "GET", path, None, None).unwrap().json().unwrap()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_demonstration_shows_a_month_and_leaves_nothing() {
    let mut demo = Demo::start();
    assert!(demo.said().contains(&format!("http://{}", demo.address)), "{}", demo.said());
    assert_eq!(demo.dirs().len(), 1, "{:?}", demo.dirs());

    let grid = demo.page("/");
    for part in
        ["✓ ok", "✗ failed", "▸ running", "… queued", "! infra failed", "linux-amd64-race", "release-1"]
    {
        assert!(grid.contains(part), "{part}");
    }
    assert!(grid.matches("class=\"cell ").count() > 200);

    let failed = demo.json("/api/v1/builds?outcome=failed&builder=linux-amd64-race&limit=1");
    let id = failed["builds"][0]["id"].as_str().unwrap();
    let build = demo.json(&format!("/api/v1/builds/{id}"));
    let test = build["failure"]["test"].as_str().unwrap();
    let page = demo.page(&format!("/builds/{id}"));
    for part in [test, "--- FAIL: ", "step test exited 1", "unpack"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let lost = demo.json("/api/v1/builds?outcome=infra_failed");
    assert_eq!(lost["builds"][0]["attempts"], 3);
    let running = demo.json("/api/v1/builds?state=running&limit=1");
    let page = demo.page(&format!("/builds/{}", running["builds"][0]["id"].as_str().unwrap()));
    assert!(page.contains("data-events") && page.contains("expected"), "{page}");
    assert!(demo.page("/status").contains("made up"));
    let trees = demo.page("/tree");
    for part in ["chiara@flock.example", "1.4 is being cut", "release-1", "pasture", "the rules"] {
        assert!(trees.contains(part), "{part} in {trees}");
    }
    let flock = demo.json("/tree/flock/main.json");
    assert!(flock["judged"].as_u64().unwrap() >= 8, "{flock}");
    assert!(flock["changes"].as_array().unwrap().len() > 1, "its history has changes: {flock}");
    let statistics = demo.page("/statistics");
    for part in ["Time per step", ">linux-amd64 test</text>", "<td>unpack</td>"] {
        assert!(statistics.contains(part), "{part} in {statistics}");
    }

    kill(demo.child.id(), Kill::Interrupt).unwrap();
    let status = wait_for("the demonstration's end", LIMIT, || Ok(demo.child.try_wait()?)).unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(demo.dirs(), Vec::<PathBuf>::new());
}

#[test]
fn a_demonstration_that_can_not_listen_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_bellwether"))
        .args(["up", "--demo", "--listen", &held.local_addr().unwrap().to_string()])
        .env("TMPDIR", temp.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("is taken"));
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
}
