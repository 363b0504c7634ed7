//! How sources come to a worker: with their history, where a build asks git for a version.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::{File, GitRepo, workers};

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

[repo.young]
url = "YOUNG"
source = "git"
horizon = 1

[builder.whole]
host = "local"
recipe = "whole"
repos = ["young"]

[recipe.whole]
timeout = "60s"
run = "test ! -e .git/shallow && test $(git rev-list --count HEAD) = 1 && test -f version"

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

/// A data directory; its workers end with it.
struct Data(PathBuf);

impl Drop for Data {
    fn drop(&mut self) {
        for worker in workers(&self.0) {
            // It may have ended by itself meanwhile.
            let _ = worker.kill();
        }
    }
}

/// Builds what is due, and returns what was printed with what was said.
fn once(data: &Data, arguments: &[&OsStr]) -> (Value, String) {
    let out = Command::new("timeout")
        .args(["-k", "5", "90", env!("CARGO_BIN_EXE_bellwether"), "up", "--once", "--json"])
        .args(["--listen", "127.0.0.1:0", "--data"])
        .arg(&data.0)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let report = serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (report, said)
}

fn all_ok(report: &Value, cells: u64, said: &str) {
    assert_eq!(
        (report["ok"].as_u64(), report["not_ok"].as_u64()),
        (Some(cells), Some(0)),
        "{report:#}\n{said}"
    );
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
    // One that is shorter than what is brought of a history.
    let mut young = GitRepo::create(&dir.path().join("young")).unwrap();
    young.commit("the only one", &[("version", File::Text("0\n"))]).unwrap();
    let file = dir.path().join("server.toml");
    let server = SERVER.replace("YOUNG", young.dir().to_str().unwrap());
    std::fs::write(&file, server.replace("URL", repo.dir().to_str().unwrap())).unwrap();
    let data = Data(dir.path().join("data"));
    let (report, said) = once(&data, &["--config".as_ref(), file.as_os_str()]);
    all_ok(&report, 2, &said);
}

#[test]
fn the_workers_are_out_of_the_reach_of_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let mut repo = GitRepo::create(&dir.path().join("small")).unwrap();
    repo.commit(
        "all",
        &[("bellwether.toml", File::Text("[builder.b]\nrecipe = \"r\"\n[recipe.r]\nrun = \"true\"\n"))],
    )
    .unwrap();
    let data = Data(dir.path().join("data"));
    let (report, said) = once(&data, &[repo.dir().as_os_str()]);
    all_ok(&report, 1, &said);
    let left = workers(&data.0);
    assert!(!left.is_empty(), "they outlive the server");
    for worker in left {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", worker.pid)).unwrap();
        let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
        assert_eq!(session, worker.pid.to_string(), "a hang-up goes to a session");
    }
}
