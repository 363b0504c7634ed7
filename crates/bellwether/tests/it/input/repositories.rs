//! Repositories that are not as one would wish.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;
use testkit::{File, GitRepo, wait_for};

use super::world::{LONG, World, project};

/// The cell of a repo.
#[track_caller]
fn cell<'a>(report: &'a Value, repo: &str) -> &'a Value {
    let cells = report["cells"].as_array().unwrap();
    cells.iter().find(|cell| cell["repo"] == repo).unwrap_or_else(|| panic!("no {repo}: {report:#}"))
}

/// A commit object with these bytes becomes the head.
fn raw_commit(world: &World, repo: &GitRepo, headers: &[u8], message: &[u8]) {
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]).unwrap();
    let mut bytes = format!("tree {}\n", tree.trim()).into_bytes();
    bytes.extend_from_slice(headers);
    bytes.push(b'\n');
    bytes.extend_from_slice(message);
    let file = world.path().join("object");
    std::fs::write(&file, bytes).unwrap();
    let made =
        repo.git(&["hash-object", "-t", "commit", "--literally", "-w", file.to_str().unwrap()]).unwrap();
    repo.git(&["update-ref", "refs/heads/main", made.trim()]).unwrap();
}

#[test]
fn odd_repositories_are_built_and_impossible_ones_are_named() {
    let world = World::new();
    let run = "echo built";
    let who = "author A <a@example.org> 1704067200 +0000\ncommitter A <a@example.org> 1704067200 +0000\n";

    let latin = world.repo("latin", run);
    raw_commit(&world, &latin, format!("{who}encoding ISO-8859-1\n").as_bytes(), b"caf\xe9 au lait\n");
    let nobody = world.repo("nobody", run);
    raw_commit(&world, &nobody, b"author  <> 1704067200 +0000\ncommitter A 1704067200 +0000\n", b"mute\n");

    let octopus = world.repo("octopus", run);
    let tree = octopus.git(&["rev-parse", "HEAD^{tree}"]).unwrap();
    let parent = |repo: &GitRepo, text: &str| {
        repo.git(&["commit-tree", "-m", text, "-p", "HEAD", tree.trim()]).unwrap().trim().to_owned()
    };
    let (a, b, c) = (parent(&octopus, "a"), parent(&octopus, "b"), parent(&octopus, "c"));
    let merged =
        octopus.git(&["commit-tree", "-m", "octopus", "-p", &a, "-p", &b, "-p", &c, tree.trim()]).unwrap();
    octopus.git(&["update-ref", "refs/heads/main", merged.trim()]).unwrap();

    let roots = world.repo("roots", run);
    let tree = roots.git(&["rev-parse", "HEAD^{tree}"]).unwrap();
    let other = roots.git(&["commit-tree", "-m", "another root", tree.trim()]).unwrap();
    let merged = roots
        .git(&["commit-tree", "-m", "two roots", "-p", "HEAD", "-p", other.trim(), tree.trim()])
        .unwrap();
    roots.git(&["update-ref", "refs/heads/main", merged.trim()]).unwrap();

    let option = world.repo("option", run);
    option.git(&["update-ref", "refs/heads/--upload-pack=x", "HEAD"]).unwrap();

    let modules = world.repo("modules", "test -d vendored && test -z \"$(ls -A vendored)\"");
    let head = modules.head().unwrap();
    std::fs::write(
        modules.dir().join(".gitmodules"),
        "[submodule \"x\"]\n\tpath = vendored\n\turl = --evil\n",
    )
    .unwrap();
    modules.git(&["add", ".gitmodules"]).unwrap();
    modules.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},vendored")]).unwrap();
    modules.git(&["commit", "--quiet", "-m", "a submodule"]).unwrap();

    let mut inside = world.repo("inside", "test -L ok && grep -q recipe ok");
    inside.commit("a link within", &[("ok", File::Link("bellwether.toml"))]).unwrap();
    GitRepo::create(&world.path().join("empty")).unwrap();
    std::fs::create_dir(world.path().join("plain")).unwrap();

    let said = world.once(&[
        "--json", "latin", "nobody", "octopus", "roots", "option", "modules", "inside", "empty", "plain",
    ]);
    let report = said.json();
    said.must(1, &["submodules are off: vendored"]);
    for (repo, subject) in [
        ("latin", "café au lait"),
        ("nobody", "mute"),
        ("octopus", "octopus"),
        ("roots", "two roots"),
        ("option", "first"),
        ("modules", "a submodule"),
        ("inside", "a link within"),
    ] {
        let cell = cell(&report, repo);
        assert_eq!(
            (cell["outcome"].as_str(), cell["subject"].as_str()),
            (Some("ok"), Some(subject)),
            "{cell:#}"
        );
    }
    for (repo, why) in [("empty", "is empty"), ("plain", "does not exist")] {
        let cell = cell(&report, repo);
        assert_eq!(cell["outcome"], "blocked", "{cell:#}");
        assert!(cell["cause"]["detail"].as_str().unwrap().contains(why), "{cell:#}");
    }
    assert_eq!((report["built"].as_u64(), report["not_ok"].as_u64()), (Some(7), Some(2)), "{report:#}");

    let server = world.serve(&["modules"]);
    let log = world.ask(&server, "log", &[cell(&report, "modules")["build"].as_str().unwrap()]);
    assert_eq!(
        log.out,
        "bellwether: modules has submodules; they are not fetched, so their folders are empty\n"
    );
}

#[test]
fn a_member_that_no_worker_takes_is_named_and_no_worker_is_blamed() {
    let world = World::new();
    let mut out = world.repo("out", "true");
    out.commit("a link out of the tree", &[("leak", File::Link("../../../etc/passwd"))]).unwrap();
    let names = world.repo("names", "true");
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"caf\xe9.txt");
    std::fs::write(names.dir().join(name), "x").unwrap();
    names.git(&["add", "--all"]).unwrap();
    names.git(&["commit", "--quiet", "-m", "a name in Latin-1"]).unwrap();

    let said = world.once(&["--json", "out", "names"]);
    let report = said.json();
    said.must(1, &[]);
    for (repo, member) in [("out", "\"leak\""), ("names", "caf\u{fffd}.txt")] {
        let cell = cell(&report, repo);
        assert_eq!(
            (cell["outcome"].as_str(), cell["cause"]["kind"].as_str()),
            (Some("infra_failed"), Some("source"))
        );
        assert!(cell["cause"]["detail"].as_str().unwrap().contains(member), "{cell:#}");
    }
    assert!(!said.err.contains("set aside"), "{}", said.err);
}

#[test]
fn ten_thousand_refs_are_taken() {
    let world = World::new();
    let repo = world.repo("many", "true");
    let head = repo.head().unwrap();
    let packed: String = (0..10_000).map(|n| format!("{head} refs/heads/b{n:05}\n")).collect();
    std::fs::write(
        repo.dir().join(".git/packed-refs"),
        format!("# pack-refs with: peeled fully-peeled sorted \n{packed}"),
    )
    .unwrap();
    let said = world.once(&["--json", "many"]);
    said.must(0, &[]);
    assert_eq!(said.json()["ok"], 1);
}

#[test]
fn what_is_not_there_is_named_with_a_remedy() {
    let world = World::new();
    world.once(&["nowhere"]).must(2, &["nowhere", "Name a git repository"]);
    let file = world.path().join("file");
    std::fs::write(&file, "").unwrap();
    world.once(&["file"]).must(1, &["blocked", "it is a file", "mend its address"]);
    // Without any argument: the repository of this directory, and there is none.
    world.once(&[]).must(1, &["blocked", "does not exist", "mend its address"]);
}

#[test]
fn a_remote_that_wants_credentials_says_so() {
    let world = World::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's process: it waits for a connection.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(
                b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    let said = world.once(&["--json", &format!("http://{address}/secret.git")]);
    said.must(1, &["needs credentials"]);
    assert_eq!(cell(&said.json(), "secret")["outcome"], "blocked");
}

#[test]
fn after_a_force_push_what_runs_finishes_and_nothing_new_is_scheduled() {
    let world = World::new();
    let gate = world.path().join("gate");
    let run = format!("touch {0}.here; until test -e {0}; do sleep 0.1; done; echo finished", gate.display());
    let mut repo = world.repo("pushed", &run);
    let lost = repo.head().unwrap();
    let server = world.serve(&["pushed"]);
    world.wait_file("gate.here");
    // The history is replaced while we build it.
    repo.git(&["checkout", "--quiet", "--orphan", "fresh"]).unwrap();
    let new = repo.commit("instead", &[("bellwether.toml", File::Text(&project("echo instead")))]).unwrap();
    repo.git(&["branch", "--force", "main", "fresh"]).unwrap();
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/main"]).unwrap();
    let of = |commit: &str| format!("pushed@{commit}");
    let done = |commit: String| move |one: &Value| one["revision"] == of(&commit) && one["state"] == "done";
    let instead = world.wait_build(&server, "pushed", "the new history is built", done(new));
    assert_eq!(instead["outcome"], "ok");
    world.touch("gate");
    let first = world.wait_build(&server, "pushed", "what ran finishes", done(lost.clone()));
    assert_eq!(first["outcome"], "ok", "{first:#}");
    // Its cell is kept, and marked.
    let rows = wait_for("the marked row", LONG, || {
        let path = "/api/v1/cells?repo=pushed&branch=main&limit=10";
        let answer = server.request("GET", path, None, None)?.json()?;
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        Ok(rows.iter().any(|row| row["commit"]["hash"] == lost.as_str()).then_some(rows))
    })
    .unwrap();
    let row = rows.iter().find(|row| row["commit"]["hash"] == lost.as_str()).unwrap();
    assert_eq!(row["reachable"], false, "{row:#}");
    let list = server.request("GET", "/api/v1/builds?repo=pushed", None, None).unwrap().json().unwrap();
    assert_eq!(list["builds"].as_array().unwrap().len(), 2, "{list:#}");
}

#[test]
fn two_kinds_of_project_at_once_one_of_them_below() {
    let world = World::new();
    let mut repo = GitRepo::create(&world.path().join("both")).unwrap();
    let makefile = "all:\n\techo made\ntest:\n\techo tested\n";
    let python = "import unittest\nclass T(unittest.TestCase):\n    def test_sum(self):\n        self.assertEqual(1 + 1, 3)\n";
    repo.commit(
        "two kinds",
        &[
            ("Makefile", File::Text(makefile)),
            ("py/setup.py", File::Text("from setuptools import setup\nsetup(name='x')\n")),
            ("py/tests/test_x.py", File::Text(python)),
            ("py/tests/__init__.py", File::Text("")),
        ],
    )
    .unwrap();
    let said = world.once(&["--json", "both"]);
    said.must(1, &["no bellwether.toml", "Makefile", "py/setup.py"]);
    let report = said.json();
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2, "{report:#}");
    let outcome = |part: &str| {
        cells.iter().find(|cell| cell["builder"].as_str().unwrap().contains(part)).unwrap()["outcome"].clone()
    };
    assert_eq!(outcome("make"), "ok", "{report:#}");
    assert_eq!(outcome("py"), "failed", "{report:#}");
}

#[test]
fn a_missing_tool_blocks_by_name() {
    let world = World::new();
    let mut repo = GitRepo::create(&world.path().join("rusty")).unwrap();
    repo.commit(
        "a crate",
        &[
            ("Cargo.toml", File::Text("[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")),
            ("src/lib.rs", File::Text("")),
        ],
    )
    .unwrap();
    // A PATH with nothing but git and a shell.
    let tools = world.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    for tool in ["git", "sh"] {
        let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        std::os::unix::fs::symlink(found.trim(), tools.join(tool)).unwrap();
    }
    let said = world.run_with(
        &["up", "--once", "--data", "DATA", "--listen", "127.0.0.1:0", "rusty"],
        &[("PATH", tools.to_str().unwrap())],
    );
    said.must(1, &["blocked", "no cargo", "on this host", "install it here", "0 built"]);
}
