//! The real `bellwether` binary as a process of its own: started, asked, killed, started again.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::http::{Answer, request};
use crate::process::{Kill, kill};
use crate::wait::{free_port, wait_for};

/// From the start to the first good answer of `/healthz`.
const START_LIMIT: Duration = Duration::from_secs(60);
/// From the signal to the end.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The `bellwether` binary.
    pub program: PathBuf,
    /// Its data directory.
    pub data: PathBuf,
    /// Arguments after `up --data … --listen …`.
    pub arguments: Vec<String>,
    /// Variables beside the test's own environment.
    pub environment: Vec<(String, String)>,
}

/// A running `bellwether up`. Killed when the value is dropped; workers that it started end by themselves.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    address: SocketAddr,
    log: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Starts the server on a free port and waits until it is healthy.
    ///
    /// # Errors
    /// When it ends, or is not healthy within a minute; carries the end of what it printed.
    pub fn start(options: ServerOptions) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        std::fs::create_dir_all(&options.data)?;
        let log = options.data.with_extension("output");
        let mut server = Self { options, address, log, child: None };
        server.resume()?;
        Ok(server)
    }

    /// Starts the server of a folder: `server.toml`, which is written there, and `data`.
    ///
    /// # Errors
    /// See [`Server::start`].
    pub fn configured(program: PathBuf, dir: &Path, config: &str) -> Result<Self> {
        let file = dir.join("server.toml");
        std::fs::write(&file, config).with_context(|| format!("writing {}", file.display()))?;
        let arguments = vec!["--config".into(), file.to_string_lossy().into_owned()];
        Self::start(ServerOptions { program, data: dir.join("data"), arguments, environment: Vec::new() })
    }

    /// Starts the server on a free port without waiting for anything: it may end, or wait, before it is healthy.
    ///
    /// # Errors
    /// When the program can't be started.
    pub fn launch(options: ServerOptions) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        std::fs::create_dir_all(&options.data)?;
        let log = options.data.with_extension("output");
        let mut server = Self { options, address, log, child: None };
        server.child = Some(server.spawn()?);
        Ok(server)
    }

    /// The token of the command line, which the server keeps in its data directory.
    ///
    /// # Errors
    /// Where the server has not come so far, or it can't be read.
    pub fn token(&self) -> Result<String> {
        let file = self.options.data.join("admin-token");
        let text = std::fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        Ok(text.trim().to_owned())
    }

    /// Starts it again with these arguments as [`Server::launch`] does.
    ///
    /// # Errors
    /// When it runs already, or can't be started.
    pub fn relaunch(&mut self, arguments: Vec<String>) -> Result<()> {
        if self.child.is_some() {
            bail!("the server runs already");
        }
        self.options.arguments = arguments;
        self.child = Some(self.spawn()?);
        Ok(())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it is not running, or is still there after the limit.
    pub fn await_end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server is not running")?;
        let status = wait_for("the server's end", limit, || Ok(child.try_wait()?))?;
        self.child = None;
        Ok(status)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its pid while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.options.data
    }

    /// What it printed so far, all starts together.
    #[must_use]
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Starts it again on the same port and data, and waits until it is healthy.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn resume(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("the server runs already");
        }
        let mut child = self.spawn()?;
        let ready = wait_for("the server's health", START_LIMIT, || {
            if let Some(status) = child.try_wait()? {
                bail!("the server ended: {status}");
            }
            let answer = request(self.address, "GET", "/healthz", None, None);
            Ok(answer.is_ok_and(|answer| answer.status == 200).then_some(()))
        });
        self.child = Some(child);
        ready.with_context(|| {
            let printed = self.printed();
            let lines: Vec<&str> = printed.lines().collect();
            format!("it printed:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
        })
    }

    fn spawn(&self) -> Result<Child> {
        let out = OpenOptions::new().create(true).append(true).open(&self.log)?;
        Command::new(&self.options.program)
            .arg("up")
            .arg("--data")
            .arg(&self.options.data)
            .args(["--listen", &self.address.to_string()])
            .args(&self.options.arguments)
            .envs(self.options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("starting {}", self.options.program.display()))
    }

    /// kill -9, as a crash; its workers live on.
    ///
    /// # Errors
    /// When it is not running.
    pub fn crash(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server is not running")?;
        kill(child.id(), Kill::Crash)?;
        child.wait()?;
        Ok(())
    }

    /// Ctrl-C, then waits for its end for up to a minute.
    ///
    /// # Errors
    /// When it is not running, or does not end.
    pub fn interrupt(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server is not running")?;
        kill(child.id(), Kill::Interrupt)?;
        let status = wait_for("the server's end", STOP_LIMIT, || Ok(child.try_wait()?))?;
        self.child = None;
        Ok(status)
    }

    /// Sends one request; with a token it is sent as a bearer token.
    ///
    /// # Errors
    /// As [`request`].
    pub fn request(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer> {
        request(self.address, method, path, token, body)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // There is nobody to tell; it may be gone already.
            let _ = kill(child.id(), Kill::Crash);
            let _ = child.wait();
        }
    }
}
