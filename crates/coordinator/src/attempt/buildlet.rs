//! The buildlet that an attempt has: an agent of ours, or an original one. The driver is the same for both.

use std::io;
use std::time::Duration;

use buildlet_client::{
    About, BuildletClient, Error, ExecRequest, GlobReport, Limits, OutputStream, RunState, Status,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::original::{Links, Original};
use super::{Fate, Trouble, unclean, wiped};
use crate::pool::Address;
use crate::recipe::{self, Ended, Run, RunError, Sink, Surroundings};

/// A worker's buildlet. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Buildlet {
    /// Ours: commands belong to it and are found again, and it obeys the newest fence only.
    Ours(BuildletClient),
    /// An original one: a command ends with its request, the process with its connection, and each is used once.
    Original(Original),
}

/// What this attempt has left on its machine before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It begins here.
    Nothing,
    /// It had begun to prepare.
    Begun,
}

impl Buildlet {
    /// What is at an address, and reached by this client.
    pub fn at(address: Option<&Address>, client: BuildletClient) -> Buildlet {
        match address {
            Some(Address::Original { .. }) => Buildlet::Original(Original::new(client)),
            _ => Buildlet::Ours(client),
        }
    }

    /// What both kinds answer.
    pub fn client(&self) -> &BuildletClient {
        match self {
            Buildlet::Ours(client) => client,
            Buildlet::Original(original) => original.client(),
        }
    }

    /// The same with a lease's fencing token on every request, where there is anything that knows one.
    pub fn fenced(self, fence: u64, lease: &str) -> Buildlet {
        match self {
            Buildlet::Ours(client) => Buildlet::Ours(client.with_fence(fence, lease)),
            // What holds back a coordinator that is over is the database: each step comes after a row was moved on, and
            // whoever can't move it ends, and its connections with it, which are nobody else's.
            Buildlet::Original(original) => Buildlet::Original(original),
        }
    }

    /// The same, whose orders say what they are about.
    pub fn about(self, about: About) -> Buildlet {
        match self {
            Buildlet::Ours(client) => Buildlet::Ours(client.with_about(about)),
            Buildlet::Original(original) => Buildlet::Original(original),
        }
    }

    /// Asks how it is.
    pub async fn status(&self) -> Result<Status, Error> {
        self.client().status().await
    }

    /// Makes sure that nothing is there from before. One of ours was wiped at the end of the attempt before.
    pub async fn clear(&self, left: Left) -> Result<(), Error> {
        match (self, left) {
            (Buildlet::Ours(client), Left::Begun) => client.wipe().await.map(drop),
            (Buildlet::Ours(_), Left::Nothing) => Ok(()),
            (Buildlet::Original(original), _) => original.clear().await,
        }
    }

    /// Unpacks a gzip'd tar into a directory. Returns the links in it that are still to be made, by [`Buildlet::link`].
    pub async fn unpack(
        &self,
        dir: &str,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Links, Error> {
        match self {
            Buildlet::Ours(client) => client.write_tgz(dir, body).await.map(|()| Links::default()),
            Buildlet::Original(original) => original.unpack(dir, body).await,
        }
    }

    /// Makes the links that an archive left to be made.
    pub async fn link(&self, dir: &str, links: &Links) -> Result<(), Trouble> {
        match self {
            Buildlet::Original(original) if !links.is_empty() => original.link(dir, links).await,
            _ => Ok(()),
        }
    }

    /// Writes a file that everybody may read.
    pub async fn write_file(&self, path: &str, content: Bytes) -> Result<(), Error> {
        self.client().write_file(path, 0o644, content).await
    }

    /// Runs a command of ours in the work directory, whose output nobody needs. Returns how it ended: `ok`, or in words.
    pub async fn run(&self, id: &str, argv: &[&str], limit: Duration) -> Result<String, Trouble> {
        let client = match self {
            Buildlet::Ours(client) => client,
            Buildlet::Original(original) => return original.run(argv, limit).await,
        };
        let request = ExecRequest {
            id: id.to_owned(),
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: Vec::new(),
            env_pass: vec!["PATH".into()],
            dir: String::new(),
            limits: Limits { wall_ms: Some(limit.as_millis() as u64), ..Limits::default() },
        };
        client.start(&request).await?;
        loop {
            let state = client.exec_state(id, Duration::from_secs(20)).await?;
            if state.state == RunState::Exited {
                return Ok(state.process_state);
            }
        }
    }

    /// Runs a step, or goes on with it.
    pub async fn run_step<S: Sink>(
        &self,
        run: Run<'_>,
        sink: &mut S,
        around: &Surroundings,
    ) -> Result<Ended, RunError<S::Error>> {
        match self {
            Buildlet::Ours(client) => recipe::run_step(client, run, sink, around).await,
            Buildlet::Original(original) => original.run_step(run, sink, around).await,
        }
    }

    /// Whether it knows the command: it runs, or has run.
    pub async fn knows(&self, id: &str) -> bool {
        match self {
            Buildlet::Ours(client) => client.exec_state(id, Duration::ZERO).await.is_ok(),
            Buildlet::Original(_) => false,
        }
    }

    /// The output of a command that has run.
    pub async fn output(&self, id: &str) -> Result<OutputStream, Error> {
        match self {
            Buildlet::Ours(client) => client.output(id, 0).await,
            Buildlet::Original(_) => Err(Error::Gone { what: format!("the output of {id}") }),
        }
    }

    /// Lists regular files beneath `dir` that match one of the patterns.
    pub async fn glob(&self, dir: &str, patterns: &[String]) -> Result<GlobReport, Error> {
        match self {
            Buildlet::Ours(client) => client.glob(dir, patterns).await,
            Buildlet::Original(original) => original.glob(dir, patterns).await,
        }
    }

    /// Reads one regular file.
    pub async fn file(&self, path: &str) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        match self {
            Buildlet::Ours(client) => client.file(path).await.map(|(_, stream)| stream.boxed()),
            Buildlet::Original(original) => original.file(path).await,
        }
    }

    /// Streams a directory as a gzip'd tar for other machines, which wait for it: soon rather than small, where a machine is ours.
    pub async fn tgz(&self, dir: &str) -> Result<OutputStream, Error> {
        match self {
            Buildlet::Ours(client) => client.tgz_fast(dir).await,
            Buildlet::Original(_) => self.client().tgz(dir).await,
        }
    }

    /// Lets it go at an attempt's end, given what the attempt has found out of it. One of ours is wiped, so that the next
    /// build finds it as new.
    pub async fn let_go(
        &self,
        found: Option<Fate>,
        patience: Option<Duration>,
        gone: &CancellationToken,
    ) -> Fate {
        let client = match (self, found) {
            (Buildlet::Original(_), Some(Fate::SetAside(reason))) => {
                return Fate::Used(format!("it was given up: {reason}"));
            }
            (Buildlet::Original(_), None | Some(Fate::Idle)) => {
                return Fate::Used("an original buildlet is used once".to_owned());
            }
            (Buildlet::Ours(client), Some(Fate::SetAside(reason))) => {
                // It takes no more work, but what its job left must not keep others from working: its disk is theirs, too.
                let _ = client.wipe().await;
                return Fate::SetAside(reason);
            }
            (_, Some(fate)) => return fate,
            (Buildlet::Ours(client), None) => client,
        };
        match wiped(client, patience, gone).await {
            Ok(report) if report.clean => Fate::Idle,
            Ok(report) => Fate::SetAside(unclean(&report)),
            Err(error) if error.is_transient() => Fate::Lost(error.to_string()),
            Err(error) => Fate::SetAside(format!("can't be wiped: {error}")),
        }
    }
}
