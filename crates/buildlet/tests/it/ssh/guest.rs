//! Somebody with a key, and a port of this machine that leads to an agent.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use buildlet_client::{Connect, Connection};
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};
use tokio::process::{Child, Command};
use tokio_util::task::AbortOnDropHandle;

use crate::agent::Agent;

/// Longer is a hang.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The way to an agent that listens.
struct Socket(PathBuf);

impl Connect for Socket {
    fn connect(&self) -> BoxFuture<'static, std::io::Result<Box<dyn Connection>>> {
        let socket = self.0.clone();
        Box::pin(async move { Ok(Box::new(UnixStream::connect(socket).await?) as Box<dyn Connection>) })
    }
}

/// Somebody who may come to an agent.
pub struct Guest {
    pub dir: tempfile::TempDir,
    pub port: u16,
    _leading: AbortOnDropHandle<()>,
}

/// Makes a key as people do.
pub fn make_key(at: &Path, kind: &str) {
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", "", "-C", "somebody", "-f"])
        .arg(at)
        .status()
        .expect("ssh-keygen: install openssh-client");
    assert!(made.success());
}

/// What asks an agent for a way in.
pub fn request(key: &str, more: &str) -> String {
    format!(
        "POST /connect-ssh HTTP/1.1\r\nHost: x\r\nX-Go-Ssh-User: gopher\r\nX-Go-Authorized-Key: {}\r\n{more}\
         Content-Length: 0\r\n\r\n",
        key.trim()
    )
}

/// Asks on a connection, and leaves it where SSH begins.
pub async fn enter<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> S {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    stream
}

impl Guest {
    /// With a key of their own.
    pub async fn of(agent: &Agent) -> Self {
        Self::with(agent, "").await
    }

    /// With more headers in the requests that let them in.
    pub async fn with(agent: &Agent, more: &str) -> Self {
        Self::by(Arc::new(Socket(agent.socket())), more).await
    }

    /// On a way of their own to the agent.
    pub async fn by(way: Arc<dyn Connect>, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        make_key(&dir.path().join("key"), "ed25519");
        let key = std::fs::read_to_string(dir.path().join("key.pub")).unwrap();
        let (port, leading) = lead(way, request(&key, more)).await;
        Self { dir, port, _leading: leading }
    }

    /// The key that was told to the agent.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("key")
    }

    /// The flags by which OpenSSH's programs get here.
    pub fn flags(&self) -> Vec<String> {
        let mut flags = vec!["-F".to_owned(), "none".to_owned(), "-i".to_owned()];
        flags.push(self.key().display().to_string());
        for option in [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "BatchMode=yes",
            "LogLevel=ERROR",
            &format!("Port={}", self.port),
        ] {
            flags.extend(["-o".to_owned(), option.to_owned()]);
        }
        flags
    }

    /// One of OpenSSH's programs on its way here.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.args(self.flags()).kill_on_drop(true).stdin(Stdio::null());
        command
    }

    /// `ssh`, with what is to run.
    pub fn ssh(&self, more: &[&str], line: &str) -> Command {
        let mut command = self.program("ssh");
        command.args(more).arg("gopher@127.0.0.1");
        if !line.is_empty() {
            command.arg(line);
        }
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, line: &str) -> Output {
        end(self.ssh(&[], line)).await
    }
}

/// Runs a program to its end.
pub async fn end(mut command: Command) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("install openssh-client");
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap()
}

/// Starts a program with pipes.
pub fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("install openssh-client")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A port each of whose connections becomes one to the agent.
async fn lead(way: Arc<dyn Connect>, request: String) -> (u16, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let leading = tokio::spawn(async move {
        let mut tunnels = tokio::task::JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let (way, request) = (Arc::clone(&way), request.clone());
            tunnels.spawn(async move {
                let mut agent = enter(way.connect().await.unwrap(), &request).await;
                let _ended = tokio::io::copy_bidirectional(&mut client, &mut agent).await;
            });
        }
    });
    (port, AbortOnDropHandle::new(leading))
}
