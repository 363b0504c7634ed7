//! The servers whose pages are looked at: a demonstration, with a month of history, and one at work, on which something
//! runs, something waits, and something is blocked.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use testkit::{File, GitRepo, Kill, Server, free_port, kill, request, wait_for};

use super::LIMIT;
use crate::{process, server_binary};

/// A server.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    /// What its admin shows.
    pub(super) token: Option<String>,
    pub(super) kind: Kind,
    process: Process,
}

/// What there is to see of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// History and trees; nothing runs.
    Demonstration,
    /// What runs and waits.
    AtWork,
    /// Whatever is there.
    Known,
}

enum Process {
    None,
    Demo(Child),
    Work { server: Box<Server>, _dir: tempfile::TempDir },
}

impl Site {
    /// A server that runs already.
    pub(super) fn known(address: SocketAddr, token: Option<&Path>) -> Result<Site> {
        Ok(Site { address, token: token.map(read).transpose()?, kind: Kind::Known, process: Process::None })
    }

    /// `up --demo`.
    pub(super) fn demonstration() -> Result<Site> {
        let program = server_binary::tested()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let child = Command::new(program)
            .args(["up", "--demo", "--listen", &address.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the demonstration")?;
        let data = std::env::temp_dir().join(format!("bellwether-demo-{}", child.id()));
        let mut site =
            Site { address, token: None, kind: Kind::Demonstration, process: Process::Demo(child) };
        wait_for("the demonstration's health", LIMIT, || {
            if let Process::Demo(child) = &mut site.process
                && let Some(status) = child.try_wait()?
            {
                bail!("it ended: {status}");
            }
            let said = request(address, "GET", "/healthz", None, None);
            Ok(said.is_ok_and(|said| said.status == 200).then_some(()))
        })?;
        site.token = Some(read(&data.join("admin-token"))?);
        Ok(site)
    }

    /// A server with one machine, on which one build runs and others wait, each for another reason.
    pub(super) fn at_work() -> Result<Site> {
        let program = server_binary::tested()?;
        let dir = tempfile::tempdir()?;
        let mut flock = GitRepo::create(&dir.path().join("flock"))?;
        flock.commit("herd: count the sheep", &[("README", File::Text("sheep\n"))])?;
        let mut tower = GitRepo::create(&dir.path().join("tower"))?;
        tower.commit(
            "ring the bell",
            &[("bellwether.toml", File::Text("[builder.bell]\nrecipes = \"x\"\n"))],
        )?;
        let server = Server::configured(program, dir.path(), &work_config(flock.dir(), tower.dir()))?;
        let address = server.address();
        let token = Some(server.token()?);
        let process = Process::Work { server: Box::new(server), _dir: dir };
        let site = Site { address, token, kind: Kind::AtWork, process };
        wait_for("a build that runs and two that wait", LIMIT, || {
            let status = request(address, "GET", "/status.json", None, None)?.json()?;
            let count = |key: &str| status[key].as_array().map_or(0, Vec::len);
            let there = count("running") >= 1 && count("queued") >= 2 && count("blocked") >= 1;
            Ok(there.then_some(()))
        })?;
        Ok(site)
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes a link by which an admin signs in once.
    pub(super) fn login_link(&self) -> Result<Option<String>> {
        let Some(token) = &self.token else { return Ok(None) };
        let body = serde_json::json!({"person": "ada@flock.example", "role": "admin"});
        let said = request(self.address, "POST", "/api/v1/login-links", Some(token), Some(&body))?.json()?;
        Ok(Some(said["path"].as_str().context("a link without a path")?.to_owned()))
    }

    /// Ends what runs and waits, so that the server need not wait for it.
    fn cancel_all(&self) -> Result<()> {
        let status = request(self.address, "GET", "/status.json", self.token.as_deref(), None)?.json()?;
        for one in ["queued", "running"].iter().filter_map(|key| status[key].as_array()).flatten() {
            let Some(build) = one["build"].as_str() else { continue };
            let path = format!("/api/v1/builds/{build}/cancel");
            request(self.address, "POST", &path, self.token.as_deref(), None)?;
        }
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if matches!(self.process, Process::Work { .. })
            && let Err(error) = self.cancel_all()
        {
            eprintln!("builds are not ended: {error:#}");
        }
        match &mut self.process {
            Process::None => {}
            // It removes its data when it is asked to end.
            Process::Demo(child) => {
                let asked = kill(child.id(), Kill::Interrupt);
                let ended = wait_for("the demonstration's end", LIMIT, || Ok(child.try_wait()?));
                if asked.is_err() || ended.is_err() {
                    process::end_group(child);
                }
            }
            // Dropping it ends it, too, but its workers would go on for a while.
            Process::Work { server, .. } => {
                if let Err(error) = server.interrupt() {
                    eprintln!("the server at work is killed: {error:#}");
                }
            }
        }
    }
}

fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.trim().to_owned())
}

fn work_config(flock: &Path, tower: &Path) -> String {
    let url = |path: &Path| format!("{:?}", PathBuf::from(path).display().to_string());
    let (flock, tower) = (url(flock), url(tower));
    format!(
        r#"
[repo.flock]
url = {flock}

[repo.tower]
url = {tower}

[maintnerd]
git = [{{ project = "flock.example/flock", url = {flock} }}, {{ project = "flock.example/gone", url = "gone" }}]

[pubsubhelper.gerrit]
listen = "127.0.0.1:0"
rcpt = "bot@flock.example"

[host.local]
capacity = 1
notes = "this machine"

[host.mac]
pool = "reverse"
notes = "on Ada's desk"

[builder.linux-amd64]
host = "local"
recipe = "test"
repos = ["flock"]

[builder.linux-amd64-race]
host = "local"
recipe = "test"
repos = ["flock"]
notes = "finds what two do at once"

[builder.darwin-arm64]
host = "mac"
recipe = "test"
repos = ["flock"]

[recipe.test]
run = "echo counting; sleep 900"
"#
    )
}
