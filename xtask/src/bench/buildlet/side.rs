//! A buildlet that runs, and what is asked of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::{Kill, cpu_time, free_port, kill, resident_bytes, wait_for};

use super::http::Client;

/// What both are given to be asked with.
const PASSWORD: &str = "gophers";
/// The same as HTTP has it, with the user that the original's client is.
const AUTHORIZATION: &str = "Basic Z29tb3RlOmdvcGhlcnM=";
const FORM: &str = "application/x-www-form-urlencoded";
/// Longest start.
const START: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Original,
    Ours,
}

/// A process that ends with this.
pub(super) struct Side {
    /// Through which it is asked, if it dialled out.
    _relay: Option<Ending>,
    kind: Kind,
    program: PathBuf,
    workdir: PathBuf,
    child: Child,
    client: Client,
}

impl Side {
    pub(super) fn start(kind: Kind, program: &Path, place: &Path) -> Result<Self> {
        let workdir = place.join("work");
        std::fs::create_dir_all(&workdir)?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(program);
        match kind {
            Kind::Original => {
                command.args(["-halt=false", "-listen", &listen, "-workdir"]).arg(&workdir);
                command.env("META_password", PASSWORD).env("HOME", place);
            }
            Kind::Ours => {
                let file = place.join("password");
                std::fs::write(&file, PASSWORD)?;
                command.args(["--idle-exit", "10h", "--listen", &listen, "--workdir"]).arg(&workdir);
                command.arg("--state-dir").arg(place.join("state")).arg("--password-file").arg(&file);
            }
        }
        let log = std::fs::File::create(place.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| program.display().to_string())?;
        let at: SocketAddr = listen.parse()?;
        // From here on it is ended, whatever comes.
        let child = Ending(Some(child));
        let client = wait_for("the buildlet's port", START, || Ok(Client::open(at, AUTHORIZATION).ok()))
            .with_context(|| std::fs::read_to_string(place.join("log")).unwrap_or_default())?;
        let child = child.keep().context("invariant: it was just put there")?;
        Ok(Self { _relay: None, kind, program: program.to_owned(), workdir, child, client })
    }

    /// Has it dial out to a coordinator made of the original's package (`interop/rates relay`), and asks it through that.
    pub(super) fn start_reverse(kind: Kind, program: &Path, relay: &Path, place: &Path) -> Result<Self> {
        let workdir = place.join("work");
        std::fs::create_dir_all(&workdir)?;
        // An original has any other port in the name that TLS asks for, which no TLS library takes.
        let coordinator = match kind {
            Kind::Original => 443,
            Kind::Ours => free_port()?,
        };
        let asked: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        let (certificate, said) = (place.join("relay.pem"), place.join("relay.log"));
        let log = std::fs::File::create(&said)?;
        let mut command = Command::new(relay);
        command.args(["relay", &format!("127.0.0.1:{coordinator}"), &asked.to_string()]).arg(&certificate);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let relay = Ending(Some(command.spawn().with_context(|| relay.display().to_string())?));
        let said = || std::fs::read_to_string(&said).unwrap_or_default();
        wait_for("the relay's certificate", START, || Ok(certificate.exists().then_some(()))).with_context(|| {
            format!("{}; port {coordinator} must be free, and yours to listen on: be root, or use `unshare --net`", said())
        })?;
        let mut command = Command::new(program);
        match kind {
            Kind::Original => {
                command.args(["-halt=false", "-coordinator=localhost:443", "-hostname=box"]);
                command.args(["-reverse-type=host-linux-amd64-localdev", "-workdir"]).arg(&workdir);
                command.env("HOME", place);
            }
            Kind::Ours => {
                let key = place.join("key");
                std::fs::write(&key, "nobody-looks-at-it")?;
                command.args(["--reverse-type", "box", "--hostname", "box", "--coordinator"]);
                command.arg(format!("https://localhost:{coordinator}")).arg("--key-file").arg(&key);
                command.arg("--ca-file").arg(&certificate).arg("--workdir").arg(&workdir);
                command.arg("--state-dir").arg(place.join("state"));
            }
        }
        let log = std::fs::File::create(place.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = Ending(Some(command.spawn().with_context(|| program.display().to_string())?));
        wait_for("the machine", START, || Ok(said().contains("registered").then_some(())))
            .with_context(|| std::fs::read_to_string(place.join("log")).unwrap_or_default())?;
        let client = Client::open(asked, AUTHORIZATION)?;
        let child = child.keep().context("invariant: it was just put there")?;
        Ok(Self { _relay: Some(relay), kind, program: program.to_owned(), workdir, child, client })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn workdir(&self) -> &Path {
        &self.workdir
    }

    pub(super) fn resident(&self) -> Result<u64> {
        resident_bytes(self.child.id())
    }

    /// Its own processor time until now, in seconds.
    pub(super) fn cpu(&self) -> Result<f64> {
        Ok(cpu_time(self.child.id())?.as_secs_f64())
    }

    /// The most memory that it has ever held.
    pub(super) fn peak(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        Ok(kib.context("no VmHWM")?.trim().parse::<u64>()? << 10)
    }

    pub(super) fn get(&mut self, path: &str) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.client.ask(&format!("GET {path}"), "text/plain", b"", |bytes| {
            body.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(body)
    }

    pub(super) fn unpack(&mut self, dir: &str, archive: &[u8]) -> Result<()> {
        let line = format!("PUT /writetgz?dir={dir}");
        self.client.ask(&line, "application/octet-stream", archive, |_| Ok(()))?;
        Ok(())
    }

    pub(super) fn pack(&mut self, dir: &str, archive: &mut Vec<u8>) -> Result<()> {
        self.pack_as("", dir, archive)
    }

    /// As coordinators ask for a snapshot; the original knows no level.
    pub(super) fn pack_for_own(&mut self, dir: &str, archive: &mut Vec<u8>) -> Result<()> {
        self.pack_as("&level=1", dir, archive)
    }

    fn pack_as(&mut self, how: &str, dir: &str, archive: &mut Vec<u8>) -> Result<()> {
        self.client.ask(&format!("GET /tgz?dir={dir}{how}"), "text/plain", b"", |bytes| {
            archive.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<()> {
        self.client.ask("POST /removeall", FORM, format!("path={path}").as_bytes(), |_| Ok(()))?;
        Ok(())
    }

    /// Runs a command to its end; returns how much it printed.
    pub(super) fn run(&mut self, program: &str, arguments: &[&str]) -> Result<u64> {
        let mut form = format!("cmd={program}&mode=sys");
        for argument in arguments {
            form.push_str(&format!("&cmdArg={}", argument.replace('/', "%2F")));
        }
        let mut printed = 0;
        let state = self.client.ask("POST /exec", FORM, form.as_bytes(), |bytes| {
            printed += bytes.len() as u64;
            Ok(())
        })?;
        ensure!(state.as_deref() == Some("ok"), "{program} ended with {state:?}");
        Ok(printed)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A process that is ended if it is not kept.
struct Ending(Option<Child>);

impl Ending {
    fn keep(mut self) -> Option<Child> {
        self.0.take()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            end(child);
        }
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = kill(child.id(), Kill::Crash);
    let _ = child.wait();
}
