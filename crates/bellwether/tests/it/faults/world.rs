//! A tiny project, a data directory, and a server on them: one test's own world, gone with the value.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;
use testkit::{File, GitRepo, Server, ServerOptions, kill, wait_for, workers};

/// The longest wait for anything; an idle machine needs a few seconds for a whole test.
pub const LIMIT: Duration = Duration::from_secs(90);

/// What the recipe's value for the secret is; it must not be seen anywhere.
pub const SECRET: &str = "hunter2-and-more";

/// A test's world.
pub struct World {
    dir: TempDir,
    /// The project.
    pub repo: GitRepo,
    /// Variables for the server beside those that each has.
    pub environment: Vec<(String, String)>,
    /// Its server, once one was started.
    pub server: Option<Server>,
}

impl World {
    /// Makes a folder with an empty project.
    pub fn empty() -> World {
        let dir = tempfile::Builder::new().prefix("bw-fault-").tempdir().expect("a folder");
        let repo = GitRepo::create(&dir.path().join("tiny")).expect("a repository");
        World { dir, repo, environment: Vec::new(), server: None }
    }

    /// Makes the project, whose recipe has these steps. `$MARKS` in them is a file outside of the work directory.
    pub fn new(steps: &[&str]) -> World {
        let mut world = World::empty();
        let mut recipe = format!(
            "[builder.test]\nrecipe = \"test\"\n\n[recipe.test]\ntimeout = \"2m\"\nartifacts = [\"*.out\"]\nenv = {{ MARKS = {:?} }}\n",
            world.marks_file().display().to_string()
        );
        for (index, run) in steps.iter().enumerate() {
            recipe.push_str(&format!("\n[[recipe.test.step]]\nname = \"step-{index}\"\nrun = '''{run}'''\n"));
            if index == 0 {
                recipe.push_str("snapshot = true\n");
            }
        }
        world.repo.commit("The only one", &[("bellwether.toml", File::Text(&recipe))]).expect("a commit");
        world.configure("");
        world
    }

    /// A path in the test's own folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Where steps leave a line outside of their work directory.
    pub fn marks_file(&self) -> PathBuf {
        self.path("marks")
    }

    /// The lines that steps left.
    pub fn marks(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.marks_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until steps left so many lines.
    pub fn await_marks(&self, count: usize) {
        wait_for("the steps' marks", LIMIT, || Ok((self.marks().len() >= count).then_some(())))
            .unwrap_or_else(|error| panic!("{error:#}: {:?}\n{}", self.marks(), self.printed()));
    }

    /// Writes the server file; `environment` is put into its only environment.
    pub fn configure(&self, environment: &str) {
        self.configure_as(environment, 2, 1);
    }

    /// As [`World::configure`], with at most so many workers, and so many commits back to be built.
    pub fn configure_as(&self, environment: &str, capacity: u32, horizon: u32) {
        let text = format!(
            "[environment.dev]\n{environment}\n[host.local]\ncapacity = {capacity}\n\n[repo.tiny]\nurl = {:?}\nhorizon = {horizon}\n\n\
             [secret.word]\nenv = \"FAULT_WORD\"\nbuilders = [\"tiny:test\"]\n",
            self.path("tiny").display().to_string()
        );
        std::fs::write(self.path("server.toml"), text).expect("the server file");
    }

    /// How a server is started here.
    pub fn options(&self, data: &str, more: &[&str]) -> ServerOptions {
        ServerOptions {
            program: env!("CARGO_BIN_EXE_bellwether").into(),
            data: self.path(data),
            arguments: self.arguments(more),
            environment: [vec![("FAULT_WORD".into(), SECRET.into())], self.environment.clone()].concat(),
        }
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut all = vec!["--config".to_owned(), self.path("server.toml").display().to_string()];
        all.extend(more.iter().map(|&one| one.to_owned()));
        all
    }

    /// Starts the server and waits until it is healthy.
    pub fn start(&mut self) {
        self.server = Some(Server::start(self.options("data", &[])).expect("the server starts"));
    }

    /// Starts the server with more arguments, and waits for nothing; on the port of the one before.
    pub fn launch(&mut self, more: &[&str]) {
        let arguments = self.arguments(more);
        match &mut self.server {
            Some(server) => server.relaunch(arguments).expect("the server is started"),
            None => {
                self.server = Some(Server::launch(self.options("data", more)).expect("the server is started"))
            }
        }
    }

    /// The server.
    pub fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("a server was started")
    }

    /// Waits until the server, told to die, is dead of SIGKILL.
    pub fn await_death(&mut self) {
        use std::os::unix::process::ExitStatusExt as _;
        let ended = self.server().await_end(LIMIT);
        let status = ended.unwrap_or_else(|error| panic!("{error:#}\n{}", self.printed()));
        assert_eq!(status.signal(), Some(9), "{status}\n{}", self.printed());
    }

    /// What the server printed.
    pub fn printed(&self) -> String {
        self.server.as_ref().map(Server::printed).unwrap_or_default()
    }

    /// Asks the server; an error while it is away or unwell.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.server.as_ref().context("no server")?.request("GET", path, None, None)?.json()
    }

    /// How the server and its machines are, with what only developers see.
    pub fn status(&self) -> Result<Value> {
        let server = self.server.as_ref().context("no server")?;
        server.request("GET", "/api/v1/status", Some(&server.token()?), None)?.json()
    }

    /// Asks for bytes.
    pub fn bytes(&self, path: &str) -> Result<String> {
        let answer = self.server.as_ref().context("no server")?.request("GET", path, None, None)?;
        anyhow::ensure!(answer.status == 200, "status {}", answer.status);
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Sends an order with the server's token; what it answers may get lost.
    pub fn order(&self, path: &str) -> Result<Value> {
        let server = self.server.as_ref().context("no server")?;
        server.request("POST", path, Some(&server.token()?), None)?.json()
    }

    /// The id of the only build there is, once there is one.
    pub fn build_id(&self) -> String {
        wait_for("a build", LIMIT, || {
            let Ok(list) = self.get("/api/v1/builds") else { return Ok(None) };
            Ok(list["builds"][0]["id"].as_str().map(str::to_owned))
        })
        .unwrap_or_else(|error| panic!("{error:#}\n{}", self.printed()))
    }

    /// Waits until the only build is done, and returns its report.
    pub fn await_done(&self) -> Value {
        self.await_build("the build's end", |build| build["state"] == "done")
    }

    /// Waits until the only build is as wanted, and returns its report.
    pub fn await_build(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let id = self.build_id();
        let mut last = Value::Null;
        wait_for(what, LIMIT, || {
            let Ok(build) = self.get(&format!("/api/v1/builds/{id}")) else { return Ok(None) };
            last = build.clone();
            Ok(wanted(&build).then_some(build))
        })
        .unwrap_or_else(|error| panic!("{error:#}: {last:#}\n{}", self.printed()))
    }

    /// The log of a build.
    pub fn log(&self, build: &Value) -> String {
        let id = build["id"].as_str().expect("an id");
        self.bytes(&format!("/api/v1/builds/{id}/log")).expect("a log")
    }

    /// The log of an attempt.
    pub fn attempt_log(&self, attempt: &Value) -> String {
        let id = attempt["id"].as_str().expect("an id");
        self.bytes(&format!("/api/v1/attempts/{id}/log")).expect("a log")
    }

    /// Waits until nothing is under way, and checks that there is one build, that every worker is idle and one of the
    /// server's, and that no process of a job is left.
    pub fn check_quiet(&self) {
        self.check_rest(|worker| worker["state"] == "idle");
    }

    /// As [`World::check_quiet`], where not every worker need be idle.
    pub fn check_rest(&self, resting: impl Fn(&Value) -> bool) {
        self.await_rest(LIMIT, resting);
        let list = self.get("/api/v1/builds").expect("the builds");
        assert_eq!(list["builds"].as_array().map(Vec::len), Some(1), "{list:#}");
    }

    /// Waits until nothing is under way, every worker rests and is one of the server's, and no process of a job is left.
    pub fn await_rest(&self, limit: Duration, resting: impl Fn(&Value) -> bool) {
        let mut last = Value::Null;
        let quiet = wait_for("quiet", limit, || {
            let Ok(status) = self.status() else { return Ok(None) };
            last = status.clone();
            let none = |key: &str| status[key].as_array().is_some_and(Vec::is_empty);
            let states = status["workers"].as_array().cloned().unwrap_or_default();
            let mut known: Vec<&str> = states.iter().filter_map(|worker| worker["worker"].as_str()).collect();
            known.sort_unstable();
            let alive = workers(&self.data());
            let same = alive.iter().map(|worker| worker.name.as_str()).eq(known);
            let rest = states.iter().all(&resting);
            let able = states.iter().filter(|worker| worker["state"] != "set_aside").count();
            let processes = processes_of(&self.data());
            let ours =
                processes.len() == alive.len() && alive.iter().all(|worker| processes.contains(&worker.pid));
            Ok((none("queued") && none("running") && same && rest && ours && able <= 2).then_some(()))
        });
        if let Err(error) = quiet {
            let alive = workers(&self.data());
            let processes = processes_of(&self.data());
            panic!("{error:#}: {last:#}\nalive {alive:?}\nprocesses {processes:?}\n{}", self.printed());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server = None;
        // With the server dead nobody starts new ones; a job's processes end with their buildlet's directory marked.
        for pid in processes_of(self.dir.path()) {
            let _ = kill(pid, testkit::Kill::Crash);
        }
    }
}

/// The processes that have a path under `dir` in their arguments or environment: buildlets, and what their jobs run.
/// Not the servers: those carry `up`.
pub fn processes_of(dir: &Path) -> Vec<u32> {
    let under = format!("{}/", dir.display()).into_bytes();
    let holds = |text: &[u8]| text.windows(under.len()).any(|window| window == under);
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let arguments = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if arguments.split(|byte| *byte == 0).nth(1) == Some(b"up") {
            continue;
        }
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if holds(&arguments) || holds(&environment) {
            found.push(pid);
        }
    }
    found
}

/// The lines `from` to `to`, as `seq` prints them.
pub fn seq(from: u32, to: u32) -> String {
    (from..=to).map(|n| format!("{n}\n")).collect()
}
