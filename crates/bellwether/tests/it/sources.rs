//! How sources come to a worker: with their history, where a build asks git for a version.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use testkit::{File, GitRepo};

/// Its steps are the test: each exits otherwise than 0 if git says something else than it should.
const SERVER: &str = r#"
[repo.told]
url = "URL"
source = "git"
horizon = 1

[builder.version]
host = "local"
recipe = "version"
repos = ["told"]

[recipe.version]
timeout = "60s"

[[recipe.version.step]]
name = "describe"
run = "git describe && git describe | grep -qx 'v1.2-5-g[0-9a-f]*'"

[[recipe.version.step]]
name = "log"
run = """
set -e
git log -3
test "$(git log -1 --format='%s')" = 'the last one'
test "told@$(git rev-parse HEAD)" = "$BELLWETHER_REVISION"
test "$(git rev-list --count HEAD)" = 50
"""

[[recipe.version.step]]
name = "tree"
run = """
set -e
test -z "$(git status --porcelain)"
test -L link && grep -x 59 link
test ! -e ../told.bundle
"""
"#;

/// Ends the workers of a data directory.
struct Workers(PathBuf);

impl Drop for Workers {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.0.join("workers")).into_iter().flatten().flatten() {
            let Ok(text) = std::fs::read(entry.path().join("worker.json")) else { continue };
            let kept: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
            if let Some(pid) = kept["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) {
                // It may have ended by itself.
                let _ = testkit::kill(pid, testkit::Kill::Crash);
            }
        }
    }
}

#[test]
fn a_source_with_its_history_can_be_described() {
    let dir = tempfile::tempdir().unwrap();
    let mut repo = GitRepo::create(&dir.path().join("told")).unwrap();
    for n in 0..60 {
        repo.commit(&format!("commit {n}"), &[("version", File::Text(&format!("{n}\n")))]).unwrap();
        if n == 55 {
            repo.git(&["tag", "-a", "-m", "a release", "v1.2"]).unwrap();
        }
    }
    repo.commit("the last one", &[("link", File::Link("version"))]).unwrap();
    let file = dir.path().join("server.toml");
    std::fs::write(&file, SERVER.replace("URL", repo.dir().to_str().unwrap())).unwrap();
    let data = dir.path().join("data");
    let _workers = Workers(data.clone());
    let out = Command::new("timeout")
        .args(["-k", "5", "90", env!("CARGO_BIN_EXE_bellwether"), "up", "--once", "--json"])
        .args(["--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .arg("--data")
        .arg(&data)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    let report: serde_json::Value =
        serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!((report["ok"].as_u64(), report["not_ok"].as_u64()), (Some(1), Some(0)), "{report:#}\n{said}");
    assert!(out.status.success(), "{}", out.status);
}
