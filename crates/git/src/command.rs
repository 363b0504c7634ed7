//! One git command: arguments, limits, answer.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio_util::sync::CancellationToken;

use crate::config::OVERRIDES;
use crate::error::classify;
use crate::group::{self, Running};
use crate::{Error, Git, RemoteUrl};

/// A command to be run. Values from outside are only put behind `--end-of-options`, `--` or on standard input.
pub(crate) struct Call {
    git: Git,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    cwd: Option<PathBuf>,
    url: Option<RemoteUrl>,
    setting: Option<String>,
    env: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    timeout: Duration,
    output: u64,
    cancel: CancellationToken,
}

/// A command's end.
pub(crate) struct Output {
    pub(crate) what: String,
    pub(crate) place: String,
    pub(crate) url: Option<RemoteUrl>,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Output {
    /// Requires the status 0.
    pub(crate) fn ok(self) -> Result<Output, Error> {
        if self.status.success() { Ok(self) } else { Err(self.error()) }
    }

    /// Says why the command failed.
    pub(crate) fn error(&self) -> Error {
        classify(&self.what, self.status.to_string(), &self.stderr, self.url.as_ref(), &self.place)
    }
}

impl Git {
    pub(crate) fn call<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Call {
        Call {
            git: self.clone(),
            args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            dir: None,
            cwd: None,
            url: None,
            setting: None,
            env: Vec::new(),
            stdin: None,
            timeout: self.inner.limits.local,
            output: self.inner.limits.output,
            cancel: CancellationToken::new(),
        }
    }
}

impl Call {
    /// Works on this repository.
    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Runs in this folder and lets git find the repository.
    pub(crate) fn cwd(mut self, dir: &Path) -> Self {
        self.cwd = Some(dir.to_owned());
        self
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Adds the address as an argument, and its credentials to the environment.
    pub(crate) fn url(mut self, url: &RemoteUrl) -> Self {
        self.url = Some(url.clone());
        if let Some((setting, variables)) = url.credentials() {
            self.setting = Some(setting);
            self.env.extend(variables.into_iter().map(|(key, value)| (key.into(), value.into())));
        }
        self.arg(url.argument())
    }

    pub(crate) fn stdin(mut self, bytes: Vec<u8>) -> Self {
        self.stdin = Some(bytes);
        self
    }

    /// A setting of git's, `key=value`, for this command alone; not together with an address.
    pub(crate) fn setting(mut self, setting: &str) -> Self {
        self.setting = Some(setting.to_owned());
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn cancel(mut self, cancel: &CancellationToken) -> Self {
        self.cancel = cancel.clone();
        self
    }

    pub(crate) fn output(mut self, limit: u64) -> Self {
        self.output = limit;
        self
    }

    fn what(&self) -> String {
        self.args.first().map_or_else(String::new, |arg| arg.to_string_lossy().into_owned())
    }

    fn place(&self) -> String {
        self.dir.as_ref().or(self.cwd.as_ref()).map_or_else(String::new, |dir| dir.display().to_string())
    }

    async fn start(&mut self) -> Result<(Running, Option<ChildStdin>, ChildStdout), Error> {
        let inner = &self.git.inner;
        let gate = if self.url.is_some() { &inner.remote } else { &inner.local };
        let permit = gate.clone().acquire_owned().await.expect("invariant: the semaphore is never closed");
        let mut command = Command::new(&inner.program);
        command.env_clear().envs(inner.env.iter().map(|(k, v)| (k, v)));
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        for setting in OVERRIDES.iter().copied().chain(self.setting.as_deref()) {
            command.arg("-c").arg(setting);
        }
        if let Some(dir) = &self.dir {
            let mut option = OsString::from("--git-dir=");
            option.push(dir);
            command.arg(option).current_dir(dir);
        } else {
            command.current_dir(self.cwd.as_deref().unwrap_or(Path::new("/")));
        }
        command.args(&self.args);
        command.stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        tracing::debug!(command = self.what(), place = self.place(), "git starts");
        group::start(command, inner.limits.grace, permit).map_err(|source| {
            let folder = self.dir.as_ref().or(self.cwd.as_ref());
            match folder {
                Some(folder) if source.kind() == std::io::ErrorKind::NotFound && !folder.is_dir() => {
                    Error::NotFound {
                        url: folder.display().to_string(),
                        detail: "there is no such folder".into(),
                    }
                }
                Some(folder) if folder.is_file() => Error::NotFound {
                    url: folder.display().to_string(),
                    detail: "it is a file, and no folder".into(),
                },
                _ => Error::Start { program: inner.program.clone(), source },
            }
        })
    }

    /// Runs the command to its end and holds its output. A status other than 0 is no error here.
    pub(crate) async fn run(mut self) -> Result<Output, Error> {
        let (what, place, limit, timeout) = (self.what(), self.place(), self.output, self.timeout);
        let cancel = self.cancel.clone();
        let io = |source| Error::Io { what: what.clone(), source };
        let mut running = None;
        let work = async {
            let (process, stdin, mut stdout) = self.start().await?;
            let process = running.insert(process);
            let bytes = self.stdin.take();
            let write = async {
                if let (Some(mut stdin), Some(bytes)) = (stdin, bytes) {
                    // A command that does not want all of its input says why by its status.
                    let _ = stdin.write_all(&bytes).await;
                }
                Ok(())
            };
            let read = read_limited(&mut stdout, limit, &what);
            let wait = async { process.wait().await.map_err(io) };
            let ((), stdout, (status, stderr)) = tokio::try_join!(write, read, wait)?;
            Ok((status, stdout, stderr))
        };
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled { what: what.clone() }),
            () = tokio::time::sleep(timeout) => Err(Error::Timeout { what: what.clone(), limit: timeout }),
            result = work => result,
        };
        match result {
            Ok((status, stdout, stderr)) => Ok(Output { what, place, url: self.url, status, stdout, stderr }),
            Err(error) => {
                if let Some(mut running) = running {
                    running.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Starts the command for reading its output as it comes.
    pub(crate) async fn stream(mut self) -> Result<Stream, Error> {
        let (running, stdin, stdout) = self.start().await?;
        drop(stdin);
        Ok(Stream { what: self.what(), place: self.place(), running, stdout, timeout: self.timeout })
    }
}

impl Call {
    /// Starts the command for a conversation.
    pub(crate) async fn talk(mut self) -> Result<(Running, ChildStdin, ChildStdout), Error> {
        self.stdin = Some(Vec::new());
        let (running, stdin, stdout) = self.start().await?;
        Ok((running, stdin.expect("invariant: stdin is piped"), stdout))
    }
}

/// A command whose output is read as it comes. Dropping it ends the command.
pub(crate) struct Stream {
    pub(crate) what: String,
    pub(crate) place: String,
    pub(crate) running: Running,
    pub(crate) stdout: ChildStdout,
    pub(crate) timeout: Duration,
}

impl Stream {
    /// Calls `each` with every record that ends in NUL, cut after `longest` bytes, until it says to stop.
    pub(crate) async fn records(
        mut self,
        longest: usize,
        mut each: impl FnMut(&[u8]) -> std::ops::ControlFlow<()>,
    ) -> Result<(), Error> {
        let (what, limit) = (self.what.clone(), self.timeout);
        let io = |source| Error::Io { what: what.clone(), source };
        let work = async {
            let mut record = Vec::new();
            let mut chunk = vec![0; 64 << 10];
            loop {
                let n = self.stdout.read(&mut chunk).await.map_err(io)?;
                if n == 0 {
                    break;
                }
                let mut rest = &chunk[..n];
                while let Some(end) = rest.iter().position(|byte| *byte == 0) {
                    keep(&mut record, &rest[..end], longest);
                    if each(&record).is_break() {
                        self.running.stop().await;
                        return Ok(());
                    }
                    record.clear();
                    rest = &rest[end + 1..];
                }
                keep(&mut record, rest, longest);
            }
            let (status, stderr) = self.running.wait().await.map_err(io)?;
            if !status.success() {
                return Err(classify(&self.what, status.to_string(), &stderr, None, &self.place));
            }
            if !record.is_empty() {
                let _ = each(&record);
            }
            Ok(())
        };
        match tokio::time::timeout(limit, work).await {
            Ok(result) => result,
            Err(_) => {
                self.running.stop().await;
                Err(Error::Timeout { what, limit })
            }
        }
    }
}

fn keep(record: &mut Vec<u8>, bytes: &[u8], longest: usize) {
    let room = longest.saturating_sub(record.len());
    record.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

async fn read_limited(from: &mut (impl AsyncRead + Unpin), limit: u64, what: &str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = from.take(limit + 1).read_to_end(&mut bytes).await;
    read.map_err(|source| Error::Io { what: what.to_owned(), source })?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { what: what.to_owned(), limit });
    }
    Ok(bytes)
}
