//! A directory with repositories, a data directory, and the program run in them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testkit::{File, GitRepo, Server, ServerOptions, wait_for};

/// The longest wait for anything.
pub const LONG: Duration = Duration::from_secs(90);

/// What a command came to.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// Fails unless it exited so, and what it printed has each of these.
    #[track_caller]
    pub fn must(&self, code: i32, parts: &[&str]) -> &Said {
        let all = format!("{}\n{}", self.out, self.err);
        assert_eq!(self.code, code, "{all}");
        for part in parts {
            assert!(all.contains(part), "{part:?} is not in\n{all}");
        }
        self
    }

    /// What it printed on stdout, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.out, self.err))
    }
}

/// A project file with one builder `t` whose recipe is this script.
pub fn project(run: &str) -> String {
    format!(
        "[builder.t]\nhost = \"local\"\nrecipe = \"t\"\n\n[recipe.t]\nrun = '''\n{run}\n'''\ntimeout = \"80s\"\n"
    )
}

/// A throw-away directory. At its end the workers of its data directory are ended.
pub struct World {
    dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> World {
        World { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// A repository whose recipe is this script, with one commit.
    pub fn repo(&self, name: &str, run: &str) -> GitRepo {
        let mut repo = GitRepo::create(&self.path().join(name)).unwrap();
        repo.commit("first", &[("bellwether.toml", File::Text(&project(run)))]).unwrap();
        repo
    }

    /// The program in this directory; `DATA` stands for the data directory.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    pub fn run_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
        let data = self.data();
        let output = Command::new("/usr/bin/timeout")
            .args(["-k", "5", "120", env!("CARGO_BIN_EXE_bellwether")])
            .args(arguments.iter().map(|one| if *one == "DATA" { data.to_str().unwrap() } else { one }))
            .env_remove("BELLWETHER_TOKEN")
            .env_remove("BELLWETHER_SERVER")
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .current_dir(self.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `up --once` of these, on a free port, with more arguments.
    pub fn once(&self, arguments: &[&str]) -> Said {
        let mut all = vec!["up", "--once", "--data", "DATA", "--listen", "127.0.0.1:0"];
        all.extend(arguments);
        self.run(&all)
    }

    /// `up` of these repositories.
    pub fn serve(&self, repos: &[&str]) -> Server {
        let arguments = repos.iter().map(|repo| self.path().join(repo).display().to_string()).collect();
        let options = ServerOptions {
            program: PathBuf::from(env!("CARGO_BIN_EXE_bellwether")),
            data: self.data(),
            arguments,
            environment: Vec::new(),
        };
        Server::start(options).unwrap()
    }

    /// A command that talks to the server, its first word `command`.
    pub fn ask(&self, server: &Server, command: &str, arguments: &[&str]) -> Said {
        let url = format!("http://{}", server.address());
        let mut all = vec![command, "--server", &url, "--data", "DATA"];
        all.extend(arguments);
        self.run(&all)
    }

    /// Waits until the newest build of a repo is as `check` wants it.
    pub fn wait_build(
        &self,
        server: &Server,
        repo: &str,
        what: &str,
        check: impl Fn(&Value) -> bool,
    ) -> Value {
        wait_for(what, LONG, || {
            let list = server.request("GET", &format!("/api/v1/builds?repo={repo}"), None, None)?.json()?;
            let found = list["builds"].as_array().and_then(|builds| builds.iter().find(|one| check(one)));
            Ok(found.cloned())
        })
        .unwrap()
    }

    /// Waits for a file.
    pub fn wait_file(&self, name: &str) {
        wait_for(name, LONG, || Ok(self.path().join(name).exists().then_some(()))).unwrap();
    }

    pub fn touch(&self, name: &str) {
        std::fs::write(self.path().join(name), "").unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.data().join("workers")).into_iter().flatten().flatten() {
            let Ok(text) = std::fs::read(entry.path().join("worker.json")) else { continue };
            let kept: Value = serde_json::from_slice(&text).unwrap_or_default();
            if let Some(pid) = kept["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()) {
                // It may have ended by itself.
                let _ = testkit::kill(pid, testkit::Kill::Crash);
            }
        }
    }
}
