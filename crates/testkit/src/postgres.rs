//! A PostgreSQL of a test's own: fresh data, own port and socket, gone with the value.

use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::process::{Kill, kill};
use crate::wait::{free_port, wait_for};

/// From the start to the first connection.
const START_LIMIT: Duration = Duration::from_secs(60);
/// From the signal to the end.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running PostgreSQL server. It is killed by pid, and its data removed, when the value is dropped.
///
/// The server runs as a user that is not root (it refuses root): the test's own, or as root `postgres` or `nobody`.
#[derive(Debug)]
pub struct Postgres {
    dir: TempDir,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// Makes a database cluster and starts its server; about 2 s.
    ///
    /// # Errors
    /// When PostgreSQL is not installed (`cargo xtask setup` installs it), or does not start within a minute.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let dir = tempfile::Builder::new().prefix("bw-pg-").tempdir().context("a folder for PostgreSQL")?;
        let user = if rustix::process::geteuid().is_root() { Some(ordinary_user()?) } else { None };
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).context("giving the folder to PostgreSQL's user")?;
        }
        let mut postgres = Self { dir, programs, user, port: free_port()?, server: None };
        let data = postgres.dir.path().join("data");
        let output = postgres
            .command("initdb")
            .args([
                "--username=bellwether",
                "--auth=trust",
                "--no-sync",
                "--locale=C",
                "--encoding=UTF8",
                "-D",
            ])
            .arg(&data)
            .output()
            .context("initdb")?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        postgres.resume()?;
        Ok(postgres)
    }

    /// Makes a standby of this server and starts it. From then on this one acknowledges no commit that the standby does
    /// not have, so that nothing is lost where the standby takes its place.
    ///
    /// # Errors
    /// When the copy fails, or the standby does not start and follow within a minute.
    pub fn standby(&self) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("bw-pg-").tempdir().context("a folder for PostgreSQL")?;
        if let Some((uid, gid)) = self.user {
            chown(dir.path(), Some(uid), Some(gid)).context("giving the folder to PostgreSQL's user")?;
        }
        let copied = self
            .command("pg_basebackup")
            .args([
                "--no-sync",
                "--checkpoint=fast",
                "--write-recovery-conf",
                "-X",
                "stream",
                "-d",
                &self.url(),
                "-D",
            ])
            .arg(dir.path().join("data"))
            .output()
            .context("pg_basebackup")?;
        if !copied.status.success() {
            bail!("pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr).trim());
        }
        let (programs, user) = (self.programs.clone(), self.user);
        let mut standby = Self { dir, programs, user, port: free_port()?, server: None };
        standby.resume()?;
        wait_for("the standby's following", START_LIMIT, || {
            Ok((self.psql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")? == "1")
                .then_some(()))
        })?;
        self.psql("ALTER SYSTEM SET synchronous_standby_names = '*'")?;
        self.psql("SELECT pg_reload_conf()")?;
        wait_for("the standby's being waited for", START_LIMIT, || {
            Ok((self.psql("SELECT sync_state FROM pg_stat_replication")? == "sync").then_some(()))
        })?;
        Ok(standby)
    }

    /// Makes a standby a server that writes.
    ///
    /// # Errors
    /// When it is none, or takes longer than a minute.
    pub fn promote(&self) -> Result<()> {
        let done = self.psql("SELECT pg_promote(true, 60)")?;
        if done != "t" {
            bail!("pg_promote says {done:?}");
        }
        Ok(())
    }

    /// The address of the database `postgres` by another way there.
    #[must_use]
    pub fn url_by(&self, way: SocketAddr) -> String {
        format!("postgres://bellwether@{way}/postgres")
    }

    /// The address of the database `postgres`, for clients.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The address of another database of this server.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://bellwether@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Makes an empty database and returns its address.
    ///
    /// # Errors
    /// When the name is taken, or the server is stopped.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.psql(&format!("CREATE DATABASE \"{name}\""))?;
        Ok(self.url_of(name))
    }

    /// Runs one statement in the database `postgres` by psql; returns what it prints, unaligned.
    ///
    /// # Errors
    /// When the statement fails; carries the server's words.
    pub fn psql(&self, statement: &str) -> Result<String> {
        let output = self
            .command("psql")
            .args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, &self.url()])
            .output()
            .context("psql")?;
        if !output.status.success() {
            bail!("psql: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// Ends the server at once, connections with it, and keeps the data. Nothing happens if it is stopped.
    ///
    /// # Errors
    /// When it is still there after 10 s.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        kill(server.id(), Kill::Quit)?;
        let ended = wait_for("PostgreSQL's end", STOP_LIMIT, || Ok(server.try_wait()?));
        if ended.is_err() {
            kill(server.id(), Kill::Crash)?;
            server.wait()?;
        }
        ended.map(|_| ())
    }

    /// Starts the server again after [`Postgres::stop`], on the same port and data.
    ///
    /// # Errors
    /// When it does not answer within a minute; carries the end of its log.
    pub fn resume(&mut self) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let log = self.dir.path().join("log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let mut server = self
            .command("postgres")
            .args(["-p", &self.port.to_string(), "-c", "listen_addresses=127.0.0.1", "-c"])
            .arg(format!("unix_socket_directories={}", self.dir.path().display()))
            .args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=200", "-D"])
            .arg(self.dir.path().join("data"))
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .context("starting postgres")?;
        let ready = wait_for("PostgreSQL's first answer", START_LIMIT, || {
            if let Some(status) = server.try_wait()? {
                bail!("postgres ended: {status}");
            }
            let asked = self
                .command("pg_isready")
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .context("pg_isready")?;
            Ok(asked.success().then_some(()))
        });
        self.server = Some(server);
        ready.with_context(|| format!("its log ends:\n{}", tail(&log)))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", &self.programs)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A test that panics must still leave no server behind; there is nobody to tell.
        let _ = self.stop();
    }
}

/// The folder with initdb and postgres: Debian's newest, else the one on the PATH.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten() {
        let version = entry.file_name().to_string_lossy().parse().unwrap_or(0);
        found.push((version, entry.path().join("bin")));
    }
    found.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let whole = |dir: &PathBuf| dir.join("initdb").exists() && dir.join("postgres").exists();
    found
        .into_iter()
        .rev()
        .map(|(_, dir)| dir)
        .chain(std::env::split_paths(&path))
        .find(whole)
        .context("no PostgreSQL server here; `cargo xtask setup` installs it")
}

/// A user for the server when the test runs as root.
fn ordinary_user() -> Result<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").context("/etc/passwd")?;
    for wanted in ["postgres", "nobody"] {
        for line in users.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            if let [name, _, uid, gid, ..] = fields.as_slice()
                && *name == wanted
            {
                return Ok((uid.parse()?, gid.parse()?));
            }
        }
    }
    bail!("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}
