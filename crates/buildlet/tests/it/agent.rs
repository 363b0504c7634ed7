//! Starts and stops agents.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buildlet_client::{Address, BuildletClient, ExecRequest, ExecState, Limits};
use futures::StreamExt as _;

/// An agent process with directories of its own; both end with it.
pub struct Agent {
    pub dir: tempfile::TempDir,
    child: Option<Child>,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    /// A directory of its own that is a small file system, and the options with which it is mounted.
    small: Option<(PathBuf, &'static str)>,
    /// As whom it runs, if not as the tests.
    user: Option<u32>,
}

impl Agent {
    pub async fn start(flags: &[&str]) -> Self {
        Self::start_with(flags, None).await
    }

    /// Starts one whose directories other users can get through.
    pub async fn start_reachable(flags: &[&str]) -> Self {
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut agent = Self { dir, child: None, flags, env: Vec::new(), small: None, user: None };
        agent.launch().await;
        agent
    }

    /// Starts one with more variables in its environment.
    pub async fn start_in(flags: &[&str], env: &[(&str, &str)]) -> Self {
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        let env = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let mut agent =
            Self { dir: tempfile::tempdir().unwrap(), child: None, flags, env, small: None, user: None };
        agent.launch().await;
        agent
    }

    /// Starts one whose directory of this name is a file system of its own, mounted with these options, which only it
    /// and its children see.
    pub async fn start_small(name: &str, options: &'static str) -> Self {
        Self::start_with(&[], Some((name, options))).await
    }

    async fn start_with(flags: &[&str], small: Option<(&str, &'static str)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        let small = small.map(|(name, options)| (dir.path().join(name), options));
        let mut agent = Self { dir, child: None, flags, env: Vec::new(), small, user: None };
        agent.launch().await;
        agent
    }

    /// Starts one that is confined, by this user if it is not the tests' own. None of its directories is seen by its jobs, but its own.
    pub async fn start_confined(user: Option<u32>, flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::write(dir.path().join("secret"), "the server's own").unwrap();
        std::os::unix::fs::chown(dir.path(), user, user).unwrap();
        let (confined, hidden) = (dir.path().join("confined"), dir.path().display().to_string());
        let mut all =
            vec!["--confine".to_owned(), confined.display().to_string(), "--confine-hide".into(), hidden];
        if user.is_none() && rustix::process::geteuid().is_root() {
            all.extend(["--confine-as".to_owned(), crate::isolation::job_user().to_string()]);
        }
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let mut agent = Self { dir, child: None, flags: all, env: Vec::new(), small: None, user };
        agent.launch().await;
        agent
    }

    /// Starts one that dials out, with this key; it is reached only by whom it dials.
    pub fn dialling_out(key: &str, flags: &[&str], env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".gobuildkey-host-a"), key).unwrap();
        let flags = [&["--reverse-type", "host-a", "--hostname", "attic"], flags].concat();
        let flags = flags.iter().map(|f| (*f).to_owned()).collect();
        let mut env: Vec<_> = env.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        env.push(("HOME".to_owned(), dir.path().display().to_string()));
        let mut agent = Self { dir, child: None, flags, env, small: None, user: None };
        agent.spawn();
        agent
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Whether the process has not ended.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// The agent's program; through a mount namespace if it is to have a small disk.
    fn program(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_buildlet");
        let Some((small, options)) = &self.small else { return Command::new(program) };
        std::fs::create_dir_all(small).unwrap();
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        let script = "mount -t tmpfs -o \"$1\" small \"$2\" && shift 2 && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script, "sh", options]).arg(small).arg(program);
        command
    }

    /// Starts the process on the same directories again.
    pub async fn launch(&mut self) {
        self.spawn();
        let client = self.client();
        let deadline = Instant::now() + Duration::from_secs(20);
        while client.status().await.is_err() {
            let log = self.log();
            assert!(Instant::now() < deadline, "the agent did not start: {log}");
            assert!(self.runs(), "the agent ended: {log}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn spawn(&mut self) {
        let mut program = self.program();
        // What the machine of the tests has to go through is nothing to them.
        for name in ["HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
            program.env_remove(name);
        }
        if let Some(user) = self.user {
            std::os::unix::process::CommandExt::uid(&mut program, user);
            std::os::unix::process::CommandExt::gid(&mut program, user);
        }
        let child = program
            .arg("--listen")
            .arg(format!("unix:{}", self.socket().display()))
            .arg("--workdir")
            .arg(self.workdir())
            .arg("--state-dir")
            .arg(self.dir.path().join("state"))
            .args(&self.flags)
            .env("PASS_ME", "passed")
            .env("BW_AGENT_SECRET", "secret")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(
                std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap(),
            )
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s/agent.sock")
    }

    pub fn workdir(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub fn client(&self) -> BuildletClient {
        BuildletClient::new(Address::Unix(self.socket()), None)
    }

    /// kill -9.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits for the process to end by itself and returns its exit code.
    pub async fn wait(&mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                self.child = None;
                return status.code().unwrap();
            }
            assert!(Instant::now() < deadline, "the agent goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_child(&child);
            // Asked, so that it ends its own children.
            let _asked = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let _status = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- the agent's log\n{}", self.log());
        }
    }
}

pub fn shell(id: &str, script: &str) -> ExecRequest {
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    ExecRequest { id: id.to_owned(), argv, ..ExecRequest::default() }
}

pub fn limited(id: &str, script: &str, limits: Limits) -> ExecRequest {
    ExecRequest { limits, ..shell(id, script) }
}

/// Waits for a command's end.
pub async fn end(client: &BuildletClient, id: &str) -> ExecState {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let state = client.exec_state(id, Duration::from_secs(20)).await.unwrap();
        if state.state == buildlet_client::RunState::Exited {
            return state;
        }
        assert!(Instant::now() < deadline, "it goes on: {state:?}");
    }
}

/// Reads output to its end.
pub async fn read(client: &BuildletClient, id: &str, from: u64) -> String {
    let mut stream = client.output(id, from).await.unwrap();
    let mut all = Vec::new();
    while let Some(bytes) = stream.next().await {
        all.extend_from_slice(&bytes.unwrap());
    }
    String::from_utf8(all).unwrap()
}

/// Waits, shortly, for something to become true.
pub async fn soon(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !check() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Says whether a process lives.
pub fn alive(pid: u32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(") ").next().unwrap().starts_with(['Z', 'X']),
        Err(_) => false,
    }
}

/// Reads a pid that a command wrote into a file.
pub async fn pid_in(file: &Path) -> u32 {
    let read =
        || std::fs::read_to_string(file).ok().filter(|t| t.ends_with('\n'))?.trim().parse::<u32>().ok();
    soon("a pid file", || read().is_some()).await;
    read().unwrap()
}
