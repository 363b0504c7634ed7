//! A server with builds that are asked for one by one, for measuring what else it can do meanwhile.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::{Value, json};
use testkit::{File, GitRepo, Kill, Server, kill, workers};

use super::Args;
use super::peer::percentile;

pub(super) const REPO: &str = "site";
/// No single build may take longer.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two questions whether a build is done.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// Lines of the long log, some 20 MB.
const LONG_LOG: usize = 300_000;

pub(super) struct Site {
    pub server: Server,
    token: String,
    /// Not built yet.
    commits: Vec<String>,
}

/// Times of some builds, in ms, sorted.
#[derive(Default)]
pub(super) struct Times {
    /// From being queued to the lease of a worker, by the server's own clock.
    dispatch: Vec<f64>,
    /// From the request to the end, as seen from outside.
    done: Vec<f64>,
}

impl Times {
    pub(super) fn add(&mut self, other: Self) {
        self.dispatch.extend(other.dispatch);
        self.done.extend(other.done);
        self.dispatch.sort_by(f64::total_cmp);
        self.done.sort_by(f64::total_cmp);
    }

    pub(super) fn dispatch(&self, percent: usize) -> f64 {
        percentile(&self.dispatch, percent)
    }

    pub(super) fn done(&self, percent: usize) -> f64 {
        percentile(&self.done, percent)
    }
}

impl Site {
    /// Starts a server with one worker; `more` is put into its configuration.
    pub(super) fn start(args: &Args, dir: &Path, commits: usize, more: &str) -> Result<Self> {
        let program = args.server(&[])?;
        std::fs::create_dir_all(dir)?;
        let mut repo = GitRepo::create(&dir.join("repo"))?;
        repo.commit("The first", &[("README", File::Text("Built by the benchmark.\n"))])?;
        let commits = repo.commit_many(commits)?;
        let url = toml::Value::from(repo.dir().to_string_lossy().as_ref()).to_string();
        let mut text =
            format!("{more}\n[repo.{REPO}]\nurl = {url}\n\n[host.one]\npool = \"local\"\ncapacity = 1\n");
        let long = format!(
            "yes 'a line of the log as compilers print them, neither long nor short' | head -n {LONG_LOG}"
        );
        for (name, run) in [("trivial", "seq 1 500"), ("long", &long)] {
            text.push_str(&format!(
                "\n[builder.{name}]\nhost = \"one\"\nrecipe = \"{name}\"\nrepos = [\"{REPO}\"]\npost_submit = false\ntry = true\n\
                 \n[recipe.{name}]\nrun = \"{run}\"\ntimeout = \"5m\"\n"
            ));
        }
        let server = Server::configured(program, dir, &text)?;
        let token = server.token()?;
        let mut site = Self { server, token, commits };
        // The worker is warm after it.
        site.build("trivial").context("the first build")?;
        Ok(site)
    }

    pub(super) fn pid(&self) -> Result<u32> {
        self.server.pid().context("the server is not running")
    }

    /// Asks for a build of the next commit and returns its id.
    pub(super) fn submit(&mut self, builder: &str) -> Result<String> {
        let commit = self.commits.pop().context("no commit is left")?;
        let body = json!({"repo": REPO, "rev": commit, "builder": builder});
        let answer = self.server.request("POST", "/api/v1/builds", Some(&self.token), Some(&body))?.json()?;
        Ok(answer["id"].as_str().context("no id in the answer")?.to_owned())
    }

    /// Waits for its end.
    pub(super) fn await_end(&self, id: &str) -> Result<Value> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let answer =
                self.server.request("GET", &format!("/api/v1/builds/{id}"), Some(&self.token), None)?;
            // The dashboard hears of a build a moment after the coordinator took it.
            let build = if answer.status == 404 { Value::Null } else { answer.json()? };
            if build["state"] == "done" {
                anyhow::ensure!(build["outcome"] == "ok", "build {id} ended: {build}");
                return Ok(build);
            }
            if Instant::now() >= deadline {
                bail!("build {id} is not done after {} s: {build}", LIMIT.as_secs());
            }
            std::thread::park_timeout(ASK_EVERY);
        }
    }

    /// One build from request to end; its id and times.
    pub(super) fn build(&mut self, builder: &str) -> Result<(String, Times)> {
        let began = Instant::now();
        let id = self.submit(builder)?;
        let build = self.await_end(&id)?;
        let done = began.elapsed().as_secs_f64() * 1e3;
        let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let queued = time(&build["created"]).context("when was it queued?")?;
        let started = time(&build["attempts"][0]["started"]).context("when did it start?")?;
        let dispatch = started.duration_since(queued).as_secs_f64() * 1e3;
        Ok((id, Times { dispatch: vec![dispatch], done: vec![done] }))
    }

    /// So many builds, one after another.
    pub(super) fn builds(&mut self, count: usize) -> Result<Times> {
        let mut times = Times::default();
        for _ in 0..count {
            times.add(self.build("trivial")?.1);
        }
        Ok(times)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // They would outlive the server for a while, as they should anywhere else.
        for worker in workers(self.server.data()) {
            let _ = kill(worker.pid, Kill::Crash);
        }
    }
}
