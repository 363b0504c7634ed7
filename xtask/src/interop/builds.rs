//! Builds on the original's buildlets: a published module's own tests, a failure, one that hangs, and one whose machine dies.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use testkit::{File, GitRepo, Kill, kill, wait_for};

use super::shell::USER;
use super::{BUILDLETS, Background, Server};
use crate::fixture::unpack;
use crate::setup;

/// What is built.
const MODULE: &str = "sync-v0.24.0";
const SUBJECT: &str = "golang.org/x/sync, and links";
/// Longest wait for all builds on one buildlet, the compilation of Go's library included.
const PATIENCE: Duration = Duration::from_secs(240);
/// The recipes.
const RECIPES: [&str; 5] = ["sync", "fails", "hangs", "dies", "made"];
/// So many lines are printed at the end of the log, to be found there in order.
const LINES: u32 = 20_000;

/// Has the module fetched, which can't be done later.
pub(super) fn fetch() -> Result<()> {
    setup::path(MODULE).map(|_| ())
}

/// Makes the repository, with links in it, which an original unpacks none of.
pub(super) fn repository(at: &Path) -> Result<()> {
    let mut repo = GitRepo::create(at)?;
    unpack(&setup::path(MODULE)?, repo.dir())?;
    let files = [
        ("look/again", File::Link("../group")),
        ("group", File::Link("errgroup/errgroup.go")),
        ("it's a name", File::Link("look")),
        ("count", File::Script("#!/bin/sh\nn=0\nwhile [ $n -lt $1 ]; do n=$((n + 1)); echo $n; done\n")),
    ];
    repo.commit(SUBJECT, &files)?;
    Ok(())
}

/// What the server's file says of all this.
pub(super) fn config(repository: &Path, dir: &Path) -> Result<String> {
    let cache = setup::cache()?.join("originals/go-build");
    let mut text = format!(
        "[repo.sync]\nurl = {url}\nhorizon = 1\n\
         [repo.history]\nurl = {url}\nhorizon = 1\nneeds = [\"sync\"]\nsource = \"git\"\n\
         [recipe.sync]\nartifacts = [\"out/*.txt\"]\nrun = '''\n\
         set -e\n\
         grep -q 'package errgroup' group \"it's a name/again\"\n\
         test -h group && test -h \"it's a name\" && test ! -h count\n\
         GOCACHE={cache} go test -short ./...\n\
         mkdir out && echo kept >out/kept.txt && echo not >out/not\n\
         ./count {LINES}\n\
         '''\n\
         [recipe.fails]\nrun = 'echo it fails here; exit 7'\n\
         [recipe.hangs]\nrun = 'echo it hangs; exec sleep {hangs}'\ntimeout = '2s'\n\
         [recipe.made]\ntoolchain = \"sync\"\nsnapshot = true\n\
         build = 'mkdir made && echo made >made/file && ln -s ../group made/link'\n\
         [recipe.made.dependents]\nrun = '''\n\
         git log --format=%s && test -h group && cat ../sync/made/file && grep '^package' ../sync/made/link\n\
         '''\n\
         [recipe.dies]\nrun = 'test -e $ONCE && exit; echo it dies; touch $ONCE; exec sleep 20'\n",
        hangs = hangs(),
        url = toml::Value::from(repository.to_string_lossy().as_ref()),
        cache = cache.display(),
    );
    for (_, version, _) in BUILDLETS {
        let _ = write!(
            text,
            "[host.build{version}]\npool = \"reverse\"\ntrust = \"trusted\"\nssh_user = {USER:?}\n"
        );
        let once = once(dir, version);
        for recipe in RECIPES {
            let repos = if recipe == "made" { r#"["sync", "history"]"# } else { r#"["sync"]"# };
            let _ = write!(
                text,
                "[builder.{recipe}{version}]\nhost = \"build{version}\"\nrecipe = \"{recipe}\"\nrepos = {repos}\n\
                 env = {{ GOTOOLCHAIN = \"local\", GOPROXY = \"off\", GOFLAGS = \"-mod=mod\", ONCE = {once} }}\n",
                once = toml::Value::from(once.to_string_lossy().as_ref()),
            );
        }
    }
    Ok(text)
}

/// Made by the build whose machine is to die.
fn once(dir: &Path, version: &str) -> PathBuf {
    dir.join(format!("once{version}"))
}

/// How long the build sleeps that hangs, in seconds: no other process of this machine does so.
fn hangs() -> u32 {
    1_000_000 + std::process::id()
}

fn is_hanging() -> Result<bool> {
    let wanted = format!("sleep\0{}\0", hangs());
    let commands = std::fs::read_dir("/proc")?.flatten().filter_map(|one| {
        // Those that are no processes have none, and others may be gone by now.
        std::fs::read(one.path().join("cmdline")).ok()
    });
    Ok(commands.into_iter().any(|command| command == wanted.as_bytes()))
}

/// An original buildlet and its supervisor.
struct Supervised<'a> {
    buildlet: &'a Path,
    version: &'a str,
    dir: PathBuf,
    running: Background,
    started: u32,
    killed: bool,
}

impl<'a> Supervised<'a> {
    fn start(buildlet: &'a Path, version: &'a str, dir: &Path) -> Result<Self> {
        let dir = dir.join(format!("build{version}"));
        std::fs::create_dir_all(&dir)?;
        let running = run(buildlet, version, &dir)?;
        Ok(Supervised { buildlet, version, dir, running, started: 1, killed: false })
    }

    /// Ends it with no warning once the build says so that is to lose its machine, and starts it anew if it has ended.
    fn look(&mut self, once: &Path) -> Result<()> {
        let kill_now = !self.killed && once.exists();
        if kill_now {
            kill(self.running.0.id(), Kill::Crash)?;
            self.running.0.wait()?;
            self.killed = true;
        }
        if let Some(status) = self.running.0.try_wait()? {
            ensure!(kill_now || status.success(), "it ended: {status}\n{}", self.running.said());
            self.running = run(self.buildlet, self.version, &self.dir)?;
            self.started += 1;
        }
        Ok(())
    }
}

/// Has one dial in that works in a folder, with what was left there from before.
pub(super) fn run(buildlet: &Path, version: &str, dir: &Path) -> Result<Background> {
    run_by(Command::new(buildlet), version, dir)
}

/// As [`run`], by a command that becomes the buildlet.
pub(super) fn run_by(mut command: Command, version: &str, dir: &Path) -> Result<Background> {
    // Named to it, it must be there, and is not emptied.
    let work = dir.join("work");
    std::fs::create_dir_all(work.join("left/from/before"))?;
    command
        .args(["-halt=false", "-coordinator=localhost:443"])
        .arg(format!("-reverse-type=build{version}"))
        .arg(format!("-hostname=builds{version}"))
        .arg(format!("-workdir={}", work.display()))
        .env("HOME", dir);
    Background::start(&mut command, dir.join("log"))
}

/// Waits until it has registered.
pub(super) fn here(server: &Server, version: &str) -> Result<()> {
    let host = format!("build{version}");
    wait_for("the machine", super::PATIENCE, || {
        let machines = server.get("/status/reverse.json")?["HostTypes"][&host]["Machines"].take();
        Ok(machines[format!("builds{version}")].is_object().then_some(()))
    })
}

/// Has all builds built, each attempt on a process of its own.
pub(super) fn built(server: &Server, buildlet: &Path, dir: &Path, version: &str) -> Result<String> {
    let mut supervised = Supervised::start(buildlet, version, dir)?;
    let host = format!("build{version}");
    let mut busy = false;
    let once = once(dir, version);
    let all = wait_for("all builds", PATIENCE, || {
        supervised.look(&once)?;
        let machines = server.get("/status/reverse.json")?["HostTypes"][&host]["Machines"].take();
        busy |= machines[format!("builds{version}")]["Busy"] == true;
        let wanted = RECIPES.map(|recipe| (recipe, "sync")).into_iter().chain([("made", "history")]);
        let last = |(recipe, repo)| last(server, &format!("{recipe}{version}"), repo);
        let builds = wanted.map(last).collect::<Result<Vec<_>>>()?;
        Ok(builds.iter().all(|build| build["state"] == "done").then_some(builds))
    });
    let all = all.with_context(|| supervised.running.said())?;
    let [sync, fails, hangs, dies, made, used] = &all[..] else { bail!("not all builds: {all:?}") };
    let (sync, log) = told(server, sync)?;
    let attempts = sync["attempts"].as_array().map_or(0, Vec::len);
    ensure!(sync["outcome"] == "ok" && attempts == 1, "{sync:#}\n{log}");
    ensure!(sync["attempts"][0]["inputs"]["buildlet_version"] == format!("original {version}"), "{sync:#}");
    let counted: String = (1..=LINES).map(|n| format!("{n}\n")).collect();
    let tests = log.strip_suffix(&counted).with_context(|| format!("the log is not whole: {log}"))?;
    let passed = tests.lines().filter(|line| line.starts_with("ok ")).count();
    ensure!(passed >= 4, "{passed} packages passed\n{tests}");
    let id = sync["id"].as_str().unwrap_or_default();
    let kept = server.get(&format!("/api/v1/builds/{id}/artifacts"))?;
    let names: Vec<_> = kept["artifacts"].as_array().into_iter().flatten().map(|one| &one["name"]).collect();
    ensure!(names == ["out/kept.txt"] && kept["artifacts"][0]["size"] == 5, "{kept:#}");
    let (fails, log) = told(server, fails)?;
    ensure!(fails["outcome"] == "failed" && log == "it fails here\n", "{fails:#}\n{log}");
    ensure!(fails["cause"]["detail"] == "run: exit status 7", "{fails:#}");
    ensure!(fails["attempts"][0]["steps"][0]["exit"] == 7, "{fails:#}");
    let (hangs, log) = told(server, hangs)?;
    ensure!(hangs["outcome"] == "failed" && log == "it hangs\n", "{hangs:#}\n{log}");
    ensure!(hangs["cause"]["kind"] == "timeout" && !is_hanging()?, "{hangs:#}");
    let (dies, log) = told(server, dies)?;
    ensure!(dies["outcome"] == "ok" && log.is_empty(), "{dies:#}\n{log}");
    let first = &dies["attempts"][0];
    ensure!(first["outcome"] == "infra_failed" && first["cause"]["kind"] == "worker_lost", "{dies:#}");
    ensure!(dies["attempts"].as_array().map_or(0, Vec::len) == 2, "{dies:#}");
    let (made, log) = told(server, made)?;
    ensure!(made["outcome"] == "ok" && made["attempts"][0].get("warnings").is_none(), "{made:#}\n{log}");
    let (used, log) = told(server, used)?;
    ensure!(used["outcome"] == "ok", "{used:#}\n{log}");
    ensure!(log == format!("{SUBJECT}\nmade\npackage errgroup\n"), "{log}");
    ensure!(used["attempts"][0]["inputs"]["snapshot"].is_string(), "{used:#}");
    ensure!(busy, "it was never shown as busy");
    // The last one may have been seen to end, or not yet.
    ensure!(supervised.started >= 7, "{} processes for 7 attempts", supervised.started);
    Ok(format!(
        "x/sync ok: {passed} packages, log and artefact whole; exit 7 and timeout failed; lost with its machine, and ok on the next; a snapshot kept and used"
    ))
}

/// The builder's last build of a repo.
fn last(server: &Server, builder: &str, repo: &str) -> Result<Value> {
    Ok(server.get(&format!("/api/v1/builds?builder={builder}&repo={repo}"))?["builds"][0].take())
}

/// All of a build, and its log.
fn told(server: &Server, build: &Value) -> Result<(Value, String)> {
    let id = build["id"].as_str().context("a build without an id")?;
    let whole = server.get(&format!("/api/v1/builds/{id}"))?;
    let log = server.answer(&format!("/api/v1/builds/{id}/log"))?;
    Ok((whole, String::from_utf8_lossy(&log.body).into_owned()))
}
