//! A Windows of Wine's with the agent on it.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use buildlet_client::{Address, BuildletClient, Connect, Connection, ExecRequest};
use futures::future::BoxFuture;
use tokio::net::TcpStream;

use crate::agent::soon;
use crate::raw::free_port;

const COMPILER: &str = "x86_64-w64-mingw32-gcc";
const WINE: &str = "/usr/lib/wine/wine64";
const SERVER: &str = "/usr/lib/wine/wineserver64";
/// A new Windows is made in half a minute, and later where others compute.
const PATIENCE: Duration = Duration::from_secs(300);

/// It ends with this.
pub(super) struct Machine {
    dir: tempfile::TempDir,
    at: SocketAddr,
    agent: Option<Child>,
}

/// The way to its agent.
struct Port(SocketAddr);

impl Connect for Port {
    fn connect(&self) -> BoxFuture<'static, std::io::Result<Box<dyn Connection>>> {
        let at = self.0;
        Box::pin(async move { Ok(Box::new(TcpStream::connect(at).await?) as Box<dyn Connection>) })
    }
}

impl Machine {
    /// Starts one with this agent.
    pub(super) async fn start(program: &OsStr) -> Self {
        assert!(Path::new(WINE).exists(), "no {WINE}: install Debian's wine64");
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(program, dir.path().join("buildlet.exe")).unwrap();
        for (source, made, more) in [
            (include_str!("random.c"), "bcryptprimitives.dll", &["-shared", "-ladvapi32"][..]),
            (include_str!("shell.c"), "shell.exe", &[]),
            (include_str!("console.c"), "console.exe", &[]),
        ] {
            let file = dir.path().join(made).with_extension("c");
            std::fs::write(&file, source).unwrap();
            let mut compile = Command::new(COMPILER);
            compile.arg("-o").arg(dir.path().join(made)).arg(file).args(more);
            assert!(compile.status().expect("install gcc-mingw-w64-x86-64-win32").success(), "{made}");
        }
        let mut machine = Self { dir, at: free_port(), agent: None };
        machine.install();
        machine.launch().await;
        machine
    }

    /// Makes a Windows whose shell is ours.
    fn install(&self) {
        let done = |mut command: Command| assert!(command.status().unwrap().success(), "{command:?}");
        let mut boot = self.wine("wineboot");
        boot.arg("--init");
        done(boot);
        let key = r"HKLM\System\CurrentControlSet\Control\Session Manager\Environment";
        let mut set = self.wine("reg");
        set.args(["add", key, "/f", "/v", "ComSpec", "/d", &self.path("shell.exe")]);
        done(set);
    }

    async fn launch(&mut self) {
        let mut agent = self.wine(&self.program());
        agent.args(["--allow-no-password", "--listen", &self.at.to_string()]);
        agent.args(["--workdir", &self.path("work"), "--state-dir", &self.path("state")]);
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        self.agent = Some(agent.stderr(log).spawn().unwrap());
        let (client, deadline) = (self.client(), Instant::now() + PATIENCE);
        while client.status().await.is_err() {
            let ended = self.agent.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A program of Windows.
    pub(super) fn wine(&self, program: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "600", WINE, program]).stdin(Stdio::null()).stdout(Stdio::null());
        command
            .env("WINEPREFIX", self.dir.path().join("windows"))
            // What it says of its own consoles is asked for below.
            .env("WINEDEBUG", "-all,fixme+console")
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
            .env("WINEPATH", self.path(""))
            .env_remove("DISPLAY");
        command
    }

    /// A file of ours as Windows names it.
    pub(super) fn path(&self, name: &str) -> String {
        format!("Z:{}", self.dir.path().join(name).display()).replace('/', "\\")
    }

    /// The agent's program.
    pub(super) fn program(&self) -> String {
        self.path("buildlet.exe")
    }

    /// What is run on consoles.
    pub(super) fn console(&self) -> String {
        self.path("console.exe")
    }

    pub(super) fn workdir(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// What the agent and Wine have logged.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub(super) fn client(&self) -> BuildletClient {
        BuildletClient::new(Address::Tcp(self.at), None)
    }

    /// The way there.
    pub(super) fn way(&self) -> Arc<dyn Connect> {
        Arc::new(Port(self.at))
    }

    pub(super) fn at(&self) -> SocketAddr {
        self.at
    }

    /// Waits until so many naps are held.
    pub(super) async fn naps(&self, wanted: usize) {
        let line = format!("{}\0nap", self.console());
        let count = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
            lines.filter(|bytes| String::from_utf8_lossy(bytes).starts_with(&line)).count()
        };
        soon(&format!("{wanted} naps"), || count() == wanted).await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the agent's log\n{}", self.log());
        }
        // Ends all of this Windows, the agent too.
        let prefix = self.dir.path().join("windows");
        let _ended = Command::new(SERVER).arg("-k").env("WINEPREFIX", prefix).status();
        if let Some(mut agent) = self.agent.take() {
            let _status = agent.wait();
        }
    }
}

pub(super) fn command(id: &str, argv: &[&str]) -> ExecRequest {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    ExecRequest { id: id.to_owned(), argv, ..ExecRequest::default() }
}
