//! Buildbot 4 with a master, one worker and three builders, driven by its REST API and its event stream.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use testkit::{free_port, request, wait_for};

use super::{Job, Jobs, Side};
use crate::{process, setup};

/// From the start to a connected worker.
const START_LIMIT: Duration = Duration::from_secs(90);

pub(super) struct Buildbot {
    programs: PathBuf,
    dir: PathBuf,
    web: SocketAddr,
    master: Option<Child>,
    worker: Option<Child>,
    events: Option<BufReader<TcpStream>>,
    done: BTreeSet<u64>,
}

impl Buildbot {
    pub(super) fn start(dir: &Path, jobs: &Jobs) -> Result<Self> {
        let programs = setup::path("buildbot")?.join("bin");
        let web = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let port = free_port()?;
        let mut side = Self {
            programs,
            dir: dir.to_path_buf(),
            web,
            master: None,
            worker: None,
            events: None,
            done: BTreeSet::new(),
        };
        side.tool("buildbot", &["create-master", "--relocatable", "master"])?;
        std::fs::write(dir.join("master/master.cfg"), config(web.port(), port, jobs))?;
        let address = format!("127.0.0.1:{port}");
        side.tool("buildbot-worker", &["create-worker", "worker", &address, "w", "pass"])?;
        side.worker = Some(side.spawn("buildbot-worker", "worker")?);
        side.resume()?;
        Ok(side)
    }

    /// The version of the package.
    pub(super) fn version(&self) -> String {
        let text = self.tool("buildbot", &["--version"]).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("Buildbot version: ")).unwrap_or("4").to_owned()
    }

    fn tool(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(self.programs.join(program));
        process::output(command.args(arguments).current_dir(&self.dir), Duration::from_secs(60))
    }

    fn spawn(&self, program: &str, base: &str) -> Result<Child> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join("output"))?;
        // A master that was killed leaves its pid behind and would not start.
        let _ = std::fs::remove_file(self.dir.join(base).join("twistd.pid"));
        Command::new(self.programs.join(program))
            .args(["start", "--nodaemon", base])
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {program}"))
    }

    fn get(&self, path: &str) -> Result<Value> {
        request(self.web, "GET", &format!("/api/v2/{path}"), None, None)?.json()
    }

    /// The event stream: one connection for all builds, so that waiting costs the master next to nothing.
    fn listen(&mut self) -> Result<()> {
        let mut stream = TcpStream::connect(self.web)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let head = "GET /sse/listen/buildrequests/*/complete HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).context("the event stream")?;
        if !line.contains(" 200 ") {
            bail!("the event stream: {}", line.trim());
        }
        self.events = Some(reader);
        Ok(())
    }

    /// Reads events for at most a second.
    fn read_event(&mut self) -> Result<()> {
        let events = self.events.as_mut().context("no event stream")?;
        let mut line = String::new();
        match events.read_line(&mut line) {
            Ok(0) => bail!("the event stream ended"),
            Ok(_) => {}
            // Nothing came; what came of a line is lost with it, but then the caller asks the API itself.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("the event stream"),
        }
        let Some(data) = line.strip_prefix("data:") else { return Ok(()) };
        if let Ok(event) = serde_json::from_str::<Value>(data)
            && let Some(id) = event["message"]["buildrequestid"].as_u64()
        {
            self.done.insert(id);
        }
        Ok(())
    }

    fn build_of(&self, request: &str) -> Result<u64> {
        let found = self.get(&format!("builds?buildrequestid={request}"))?;
        let builds = found["builds"].as_array().context("no builds")?;
        builds.last().and_then(|build| build["buildid"].as_u64()).context("no build of the request")
    }
}

impl Side for Buildbot {
    fn submit(&mut self, job: Job) -> Result<String> {
        let body = json!({"id": 1, "jsonrpc": "2.0", "method": "force", "params": {"reason": "bench"}});
        let path = format!("/api/v2/forceschedulers/force-{}", job.name());
        let answer = request(self.web, "POST", &path, None, Some(&body))?.json()?;
        let requests = answer["result"][1].as_object().context("no build request in the answer")?;
        let id = requests.values().next().and_then(Value::as_u64).context("no id of the build request")?;
        Ok(id.to_string())
    }

    fn wait(&mut self, ids: &[String], limit: Duration) -> Result<()> {
        let mut open: BTreeSet<u64> = ids.iter().map(|id| Ok(id.parse()?)).collect::<Result<_>>()?;
        let deadline = Instant::now() + limit;
        let mut asked = Instant::now();
        loop {
            open.retain(|id| !self.done.contains(id));
            if open.is_empty() {
                break;
            }
            if Instant::now() >= deadline {
                bail!("{} builds of Buildbot are not done after {} s", open.len(), limit.as_secs());
            }
            self.read_event()?;
            // An event may have come before we listened, or been cut: now and then the API is asked.
            if asked.elapsed() > Duration::from_secs(10) {
                asked = Instant::now();
                for id in open.clone() {
                    if self.get(&format!("buildrequests/{id}"))?["buildrequests"][0]["complete"]
                        == json!(true)
                    {
                        self.done.insert(id);
                    }
                }
            }
        }
        let last = ids.last().context("nothing to wait for")?;
        let result = &self.get(&format!("buildrequests/{last}"))?["buildrequests"][0]["results"];
        anyhow::ensure!(result == &json!(0), "the last build of Buildbot ended with {result}");
        Ok(())
    }

    fn fetch_log(&mut self, id: &str) -> Result<usize> {
        let build = self.build_of(id)?;
        let steps = self.get(&format!("builds/{build}/steps"))?;
        // The first step is Buildbot's own and has no log.
        let step = steps["steps"].as_array().and_then(|steps| steps.last()).context("no step")?;
        let step = step["stepid"].as_u64().context("no id of the step")?;
        let log = self.get(&format!("steps/{step}/logs"))?["logs"][0]["logid"].as_u64().context("no log")?;
        Ok(request(self.web, "GET", &format!("/api/v2/logs/{log}/raw"), None, None)?.body.len())
    }

    fn server(&self) -> Result<u32> {
        Ok(self.master.as_ref().context("the master is not running")?.id())
    }

    fn worker(&self) -> Option<u32> {
        self.worker.as_ref().map(Child::id)
    }

    fn crash(&mut self) -> Result<()> {
        self.events = None;
        let mut master = self.master.take().context("the master is not running")?;
        testkit::kill(master.id(), testkit::Kill::Crash)?;
        master.wait()?;
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        self.master = Some(self.spawn("buildbot", "master")?);
        wait_for("Buildbot's worker", START_LIMIT, || {
            let workers = self.get("workers").unwrap_or_default();
            let connected = &workers["workers"][0]["connected_to"];
            Ok(connected.as_array().is_some_and(|masters| !masters.is_empty()).then_some(()))
        })
        .with_context(|| std::fs::read_to_string(self.dir.join("output")).unwrap_or_default())?;
        self.listen()
    }
}

impl Drop for Buildbot {
    fn drop(&mut self) {
        for child in [&mut self.worker, &mut self.master].into_iter().flatten() {
            process::end_group(child);
        }
    }
}

/// The master's configuration: no limits of its own, nothing merged, nothing reported outside.
fn config(web: u16, port: u16, jobs: &Jobs) -> String {
    let python = |text: &str| Value::from(text).to_string();
    let jobs: Vec<String> = [(Job::Trivial, &jobs.trivial), (Job::Log, &jobs.log), (Job::Long, &jobs.long)]
        .into_iter()
        .map(|(job, command)| format!("    ({}, {}),", python(job.name()), python(command)))
        .collect();
    format!(
        r#"from buildbot.plugins import schedulers, steps, util, worker

c = BuildmasterConfig = {{}}
c["workers"] = [worker.Worker("w", "pass")]
c["protocols"] = {{"pb": {{"port": "tcp:{port}:interface=127.0.0.1"}}}}
c["www"] = {{"port": "tcp:{web}:interface=127.0.0.1", "plugins": {{}}}}
c["db"] = {{"db_url": "sqlite:///state.sqlite"}}
c["buildbotURL"] = "http://127.0.0.1:{web}/"
c["buildbotNetUsageData"] = None
c["collapseRequests"] = False
c["builders"] = []
c["schedulers"] = []
for name, command in [
{}
]:
    factory = util.BuildFactory([steps.ShellCommand(command=["sh", "-c", command])])
    c["builders"].append(util.BuilderConfig(name=name, workernames=["w"], factory=factory))
    c["schedulers"].append(schedulers.ForceScheduler(name="force-" + name, builderNames=[name]))
"#,
        jobs.join("\n")
    )
}
