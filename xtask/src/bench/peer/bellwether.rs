//! Bellwether as `up` runs it: the release binary, SQLite, one local worker, driven by its own API.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use testkit::{File, GitRepo, Server};

use super::{Job, Jobs, Side};
use crate::server_binary;

/// Between two questions whether a build is done, where its time is measured.
const ASK_EVERY: Duration = Duration::from_millis(2);
/// The same where many are waited for and the server's CPU is measured: asking is not what it is about.
const ASK_MANY_EVERY: Duration = Duration::from_millis(50);
/// The repository's name.
const REPO: &str = "bench";

pub(super) struct Bellwether {
    server: Server,
    /// Commits that were not built yet: a builder builds a commit once, so each build has its own.
    commits: Vec<String>,
    /// A commit whose tree is at hand, and how many builders had it.
    known: Option<(String, usize)>,
    token: String,
}

impl Bellwether {
    pub(super) fn start(dir: &Path, jobs: &Jobs, builds: usize) -> Result<Self> {
        let program = server_binary::build(&["--release"])?;
        let mut repo = GitRepo::create(&dir.join("repo"))?;
        let commit =
            |n| repo.commit("The work of the benchmark", &[("README", File::Text(&format!("{n}\n")))]);
        let commits = (0..builds).map(commit).collect::<Result<_>>()?;
        let server = Server::configured(program, dir, &config(repo.dir(), jobs, builds))?;
        let token = server.token()?;
        Ok(Self { server, commits, known: None, token })
    }
}

impl Side for Bellwether {
    fn submit(&mut self, job: Job) -> Result<String> {
        let (commit, builder) = match (job, &mut self.known) {
            (Job::Again, Some((commit, builders))) => {
                *builders += 1;
                (commit.clone(), format!("again-{builders}"))
            }
            _ => (self.commits.pop().context("no commit is left")?, job.name().to_owned()),
        };
        self.known.get_or_insert((commit.clone(), 0));
        let body = json!({"repo": REPO, "rev": commit, "builder": builder});
        let answer = self.server.request("POST", "/api/v1/builds", Some(&self.token), Some(&body))?.json()?;
        Ok(answer["id"].as_str().context("no id in the answer")?.to_owned())
    }

    fn wait(&mut self, ids: &[String], limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let pause = if ids.len() > 1 { ASK_MANY_EVERY } else { ASK_EVERY };
        for id in ids {
            loop {
                let path = format!("/api/v1/builds/{id}");
                let answer = self.server.request("GET", &path, Some(&self.token), None)?;
                // The dashboard hears of a build a moment after the coordinator took it.
                let build = if answer.status == 404 { json!(null) } else { answer.json()? };
                if build["state"] == "done" {
                    anyhow::ensure!(build["outcome"] == "ok", "build {id} ended: {build}");
                    break;
                }
                if Instant::now() >= deadline {
                    bail!("build {id} is not done after {} s: {build}", limit.as_secs());
                }
                std::thread::park_timeout(pause);
            }
        }
        Ok(())
    }

    fn fetch_log(&mut self, id: &str) -> Result<usize> {
        let path = format!("/api/v1/builds/{id}/log");
        let answer = self.server.request("GET", &path, Some(&self.token), None)?;
        anyhow::ensure!(answer.status == 200, "the log: status {}", answer.status);
        Ok(answer.body.len())
    }

    fn server(&self) -> Result<u32> {
        self.server.pid().context("the server is not running")
    }

    fn worker(&self) -> Option<u32> {
        // A process `… buildlet …` whose arguments name our data directory.
        let data = self.server.data().to_string_lossy().into_owned();
        std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let words: Vec<String> =
                line.split(|byte| *byte == 0).map(|w| String::from_utf8_lossy(w).into()).collect();
            let agent = words.iter().take(2).any(|word| word == "buildlet" || word.ends_with("/buildlet"));
            (agent && words.iter().any(|word| word.contains(&data))).then_some(pid)
        })
    }

    fn crash(&mut self) -> Result<()> {
        self.server.crash()
    }

    fn resume(&mut self) -> Result<()> {
        self.server.resume()
    }
}

impl Drop for Bellwether {
    fn drop(&mut self) {
        // It would outlive the server for a while, as it should anywhere else.
        if let Some(worker) = self.worker() {
            let _ = testkit::kill(worker, testkit::Kill::Crash);
        }
    }
}

/// The administrator's token that `up` keeps for the command line.
/// Three builders that run only when asked, and one worker for all.
fn config(repo: &Path, jobs: &Jobs, again: usize) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut out = format!(
        "[repo.{REPO}]\nurl = {}\n\n[host.one]\npool = \"local\"\ncapacity = 1\n",
        quoted(&repo.to_string_lossy())
    );
    for (job, command) in [(Job::Trivial, &jobs.trivial), (Job::Log, &jobs.log), (Job::Long, &jobs.long)] {
        let name = job.name();
        out.push_str(&format!(
            "\n[builder.{name}]\nhost = \"one\"\nrecipe = \"{name}\"\nrepos = [\"{REPO}\"]\npost_submit = false\ntry = true\n\
             \n[recipe.{name}]\nrun = {}\ntimeout = \"5m\"\n",
            quoted(command)
        ));
    }
    for n in 1..=again {
        out.push_str(&format!(
            "\n[builder.again-{n}]\nhost = \"one\"\nrecipe = \"trivial\"\nrepos = [\"{REPO}\"]\npost_submit = false\ntry = true\n"
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_toml_with_the_three_commands() {
        let dir = tempfile::tempdir().unwrap();
        let jobs = Jobs::new(dir.path());
        let read: toml::Table = toml::from_str(&config(dir.path(), &jobs, 2)).unwrap();
        assert_eq!(read["recipe"]["long"]["run"].as_str(), Some(jobs.long.as_str()));
        assert_eq!(read["builder"].as_table().unwrap().len(), 5);
    }
}
