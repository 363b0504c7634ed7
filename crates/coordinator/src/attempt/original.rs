//! An original buildlet, by the endpoints that it has had since 2015.
//!
//! It knows no command that outlives its request, no fence, no limit and no wipe. A command that is to end loses its request,
//! which ends its own process and not what that has started: so such a machine is used once, and told to end after.

mod archive;
mod exec;
mod files;
mod links;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use buildlet_client::{BuildletClient, Error, OriginalExec, OriginalMode, RunState};
use bytes::Bytes;
use futures::Stream;
use tokio::time::Instant;

use super::{Fate, Trouble, Verdict};
use crate::recipe::{End, Ended, Run, RunError, Sink, Surroundings, sleep_until};
use exec::{Command, Event};
pub use links::Links;

/// Where the script lies that makes links.
const SCRIPT: &str = ".bellwether-links";
/// The longest that making links may take.
const LINKING: Duration = Duration::from_secs(300);

/// An original buildlet. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Original {
    client: BuildletClient,
    /// Its work directory, as it says.
    workdir: Arc<OnceLock<String>>,
}

impl Original {
    /// The buildlet that this client reaches.
    pub fn new(client: BuildletClient) -> Original {
        Original { client, workdir: Arc::default() }
    }

    pub(super) fn client(&self) -> &BuildletClient {
        &self.client
    }

    /// Empties the work directory: one that was named to it is not emptied at its start.
    pub(super) async fn clear(&self) -> Result<(), Error> {
        self.client.remove_all(&["."]).await?;
        let workdir = self.client.workdir().await?;
        self.workdir.get_or_init(|| workdir);
        Ok(())
    }

    pub(super) async fn unpack(
        &self,
        dir: &str,
        body: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<Links, Error> {
        let (files, links) = archive::without_links(body);
        let written = self.client.write_tgz(dir, files).await;
        // Its end: whoever took the files takes no more of them now.
        let links = links.await;
        written?;
        links
    }

    pub(super) async fn link(&self, dir: &str, links: &Links) -> Result<(), Trouble> {
        let refused = |said: String| {
            let detail = format!("links in {dir} could not be made: {said}");
            Trouble::Infra {
                verdict: Verdict::infra("worker_refused", detail.clone()),
                fate: Some(Fate::SetAside(detail)),
            }
        };
        let script = links.script(dir, SCRIPT);
        self.client.write_file(SCRIPT, 0o644, script.into()).await?;
        match self.run(&["sh", SCRIPT], LINKING).await? {
            said if said == "ok" => Ok(()),
            said => Err(refused(said)),
        }
    }

    /// Runs a command of ours in the work directory.
    pub(super) async fn run(&self, argv: &[&str], limit: Duration) -> Result<String, Trouble> {
        let (cmd, args) = argv.split_first().unwrap_or((&"true", &[]));
        let exec = OriginalExec {
            cmd: (*cmd).to_owned(),
            args: args.iter().map(|word| (*word).to_owned()).collect(),
            mode: OriginalMode::System,
            ..OriginalExec::default()
        };
        let mut command = match Command::start(&self.client, &exec, limit).await? {
            Ok(command) => command,
            Err(unstarted) => return Ok(unstarted),
        };
        let mut said = Vec::new();
        loop {
            match command.next().await {
                Event::Output(bytes) => {
                    let room = 2000_usize.saturating_sub(said.len());
                    said.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
                Event::Ended(text) if text == "ok" => return Ok(text),
                Event::Ended(text) => {
                    let said = String::from_utf8_lossy(&said);
                    let said = said.trim();
                    return Ok(if said.is_empty() { text } else { format!("{text}: {said}") });
                }
                Event::Timeout => return Ok(format!("it took more than {} s", limit.as_secs())),
                Event::Lost(detail) => return Err(Trouble::lost(detail)),
            }
        }
    }

    fn variables(&self, asked: &[(String, String)], secrets: &[(String, String)]) -> Vec<String> {
        let workdir = self.workdir.get().map_or("", String::as_str);
        asked
            .iter()
            .chain(secrets)
            .filter(|(name, _)| !name.is_empty() && !name.contains(['=', '\0']))
            .map(|(name, value)| format!("{name}={}", value.replace("$WORKDIR", workdir).replace('\0', "")))
            .collect()
    }

    /// Runs one step. Its limits of memory, processes, disk and processors are nobody's here.
    pub(super) async fn run_step<S: Sink>(
        &self,
        run: Run<'_>,
        sink: &mut S,
        around: &Surroundings,
    ) -> Result<Ended, RunError<S::Error>> {
        let Run { id, index, step, secrets, limits, .. } = run;
        let exec = OriginalExec {
            cmd: "sh".to_owned(),
            args: vec!["-c".to_owned(), step.run.clone()],
            mode: OriginalMode::System,
            dir: step.dir.clone(),
            env: self.variables(&step.env, secrets),
            path: Vec::new(),
            debug: false,
        };
        sink.begin(index).await.map_err(RunError::Sink)?;
        let limit = Duration::from_millis(step.timeout_ms);
        let started = Command::start(&self.client, &exec, limit).await;
        let mut command = match started {
            Ok(Ok(command)) => command,
            Ok(Err(unstarted)) => return Ok(exec::ended(id, &unstarted, 0, Duration::ZERO)),
            Err(error) if error.is_transient() => return Err(RunError::WorkerLost(error.to_string())),
            Err(error) => return Err(RunError::Refused(error.to_string())),
        };
        let mut bytes = 0;
        let over = loop {
            let due = sink.due();
            tokio::select! {
                event = command.next() => match event {
                    Event::Output(output) => {
                        let room = limits.log_bytes.unwrap_or(u64::MAX) - bytes;
                        let taken = output.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                        sink.write(&output[..taken]).await.map_err(RunError::Sink)?;
                        bytes += taken as u64;
                        if taken < output.len() {
                            break Ok(End::Limit("log".to_owned()));
                        }
                    }
                    Event::Ended(text) => break Err(Ok(text)),
                    Event::Timeout => break Ok(End::Timeout(limit)),
                    Event::Lost(detail) => break Err(Err(detail)),
                },
                () = sleep_until(due), if due.is_some() => {
                    sink.flush().await.map_err(RunError::Sink)?;
                }
                () = around.gone.cancelled() => break Err(Err("the machine is gone".to_owned())),
                () = around.cancel.cancelled() => break Ok(End::Cancelled),
            }
        };
        // The request ends here, if the command has not.
        drop(command);
        let drained = Instant::now();
        // What is buffered was really printed: it is kept however this ended.
        sink.finish().await.map_err(RunError::Sink)?;
        let drained = drained.elapsed();
        match over {
            Ok(end) => {
                let state = exec::state(id, RunState::Exited, "signal: killed", bytes);
                Ok(Ended { end, state, drained })
            }
            Err(Ok(text)) => Ok(exec::ended(id, &text, bytes, drained)),
            Err(Err(detail)) => Err(RunError::WorkerLost(detail)),
        }
    }
}
