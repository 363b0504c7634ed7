//! Runs the steps of a recipe over a bare buildlet client: no scheduler, no database, no configuration.
//!
//! A step is a command that belongs to the buildlet. Starting it twice starts it once; its output is read from an offset,
//! so a runner that lost its connection, or its life, goes on where the sink's durable output ends.

use std::time::Duration;

use buildlet_client::{
    BuildletClient, Error as ClientError, ExecRequest, ExecState, Limits as WireLimits, RunState,
};
use futures::StreamExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::job::{Limits, Step};

/// Takes the output of a job's steps.
pub trait Sink: Send {
    /// Why it could not.
    type Error: std::error::Error + Send + Sync + 'static;
    /// A step's output begins; returns how much of it is here already.
    fn begin(&mut self, step: usize) -> impl Future<Output = Result<u64, Self::Error>> + Send;
    /// Takes output in.
    fn write(&mut self, raw: &[u8]) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// The step's output has ended: makes all of it durable.
    fn finish(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// Makes durable what was taken in.
    fn flush(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send;
    /// When [`Sink::flush`] is due at the latest.
    fn due(&self) -> Option<Instant>;
    /// How much of the step's output is durable: the worker may forget it.
    fn durable(&self) -> u64;
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It exited 0.
    Ok,
    /// It exited otherwise, or could not be started.
    Exit(String),
    /// It ran over its time.
    Timeout(Duration),
    /// It went over a limit of this kind.
    Limit(String),
    /// It was ended on request.
    Cancelled,
}

/// What a step that ended tells.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How it ended.
    pub end: End,
    /// The buildlet's account.
    pub state: ExecState,
    /// From the end of its output until all of it was stored.
    pub drained: Duration,
}

/// Why it is not known how a step ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError<S: std::error::Error + 'static> {
    /// The worker can't be reached, or lost the command.
    #[error("worker lost: {0}")]
    WorkerLost(String),
    /// The worker's own disk is full.
    #[error("the worker's disk is full: {0}")]
    DiskFull(String),
    /// The worker takes orders from somebody newer.
    #[error("the worker has a newer owner")]
    Stale,
    /// The worker refuses.
    #[error("the worker refuses: {0}")]
    Refused(String),
    /// The output could not be stored.
    #[error(transparent)]
    Sink(S),
}

/// What surrounds a run.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Ends the step on request.
    pub cancel: CancellationToken,
    /// The pool says that the worker is no more.
    pub gone: CancellationToken,
    /// How long a worker may be out of reach before it counts as lost.
    pub patience: Duration,
}

/// A step, and what it may have.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// The command's id at the buildlet: the same id never runs twice.
    pub id: &'a str,
    /// The step's place in its job.
    pub index: usize,
    /// The step.
    pub step: &'a Step,
    /// Variables with secrets in them.
    pub secrets: &'a [(String, String)],
    /// Names (or `PREFIX_*`) of the worker's environment that it may see.
    pub env_pass: &'a [String],
    /// Its limits.
    pub limits: &'a Limits,
}

/// How often what is durable is told to the worker, in bytes.
const ACK_EVERY: u64 = 8 << 20;

/// Runs one step, or goes on with it.
///
/// # Errors
/// See [`RunError`]: each means that the step itself was not judged.
pub async fn run_step<S: Sink>(
    client: &BuildletClient,
    run: Run<'_>,
    sink: &mut S,
    around: &Surroundings,
) -> Result<Ended, RunError<S::Error>> {
    let Run { id, index, step, secrets, env_pass, limits } = run;
    let mut env = step.env.clone();
    env.extend_from_slice(secrets);
    let request = ExecRequest {
        id: id.to_owned(),
        argv: vec!["sh".into(), "-c".into(), step.run.clone()],
        env,
        env_pass: env_pass.to_vec(),
        dir: step.dir.clone(),
        limits: WireLimits {
            wall_ms: Some(step.timeout_ms),
            memory_bytes: limits.memory_bytes,
            processes: limits.processes,
            disk_bytes: limits.disk_bytes,
            log_bytes: limits.log_bytes,
            cpu_millis: limits.cpu_millis,
        },
    };
    let mut from = sink.begin(index).await.map_err(RunError::Sink)?;
    let mut reach = Reach::new(around);
    reach.insist(|| client.start(&request)).await?;
    let mut acked = from;
    let mut killed = false;
    loop {
        let stream = reach.insist(|| client.output(id, from)).await;
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                sink.finish().await.map_err(RunError::Sink)?;
                return Err(error);
            }
        };
        let broken = loop {
            let due = sink.due();
            tokio::select! {
                chunk = stream.next() => match chunk {
                    Some(Ok(bytes)) => {
                        sink.write(&bytes).await.map_err(RunError::Sink)?;
                        from += bytes.len() as u64;
                        reach.heard();
                    }
                    Some(Err(error)) => break Some(error),
                    None => break None,
                },
                () = sleep_until(due), if due.is_some() => {
                    sink.flush().await.map_err(RunError::Sink)?;
                }
                () = around.gone.cancelled() => {
                    // What is buffered was really printed: keep it.
                    sink.finish().await.map_err(RunError::Sink)?;
                    return Err(RunError::WorkerLost("the machine is gone".into()));
                }
                () = around.cancel.cancelled(), if !killed => {
                    killed = true;
                    reach.insist(|| client.kill(id, "cancelled")).await?;
                }
            }
            if sink.durable() >= acked + ACK_EVERY {
                acked = sink.durable();
                reach.insist(|| client.ack(id, acked)).await?;
            }
        };
        match broken {
            None => break,
            Some(error) => {
                tracing::debug!(%error, exec = id, "output broke off; reading on");
                if let Err(lost) = reach.lost(error).await {
                    sink.finish().await.map_err(RunError::Sink)?;
                    return Err(lost);
                }
            }
        }
    }
    let drained = Instant::now();
    sink.finish().await.map_err(RunError::Sink)?;
    let state = loop {
        let state = reach.insist(|| client.exec_state(id, Duration::from_secs(20))).await?;
        if state.state == RunState::Exited {
            break state;
        }
    };
    Ok(Ended { drained: drained.elapsed(), ..judge(step, state)? })
}

fn judge<S: std::error::Error + 'static>(step: &Step, state: ExecState) -> Result<Ended, RunError<S>> {
    let ended_by = state.ended_by.as_deref().unwrap_or("");
    let end = match ended_by.split_once(':').unwrap_or((ended_by, "")) {
        ("timeout", _) => End::Timeout(Duration::from_millis(step.timeout_ms)),
        ("limit", kind) => End::Limit(kind.to_owned()),
        ("killed", _) => End::Cancelled,
        ("agent_restart", _) => return Err(RunError::WorkerLost("the buildlet was restarted".into())),
        ("worker", "disk_full") => return Err(RunError::DiskFull("no space left for the output".into())),
        _ if state.process_state == "ok" => End::Ok,
        _ => End::Exit(match &state.start_error {
            Some(error) => error.clone(),
            None => state.process_state.clone(),
        }),
    };
    Ok(Ended { end, state, drained: Duration::ZERO })
}

pub(crate) async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when).await,
        None => std::future::pending().await,
    }
}

/// Keeps account of how long the worker has been out of reach.
struct Reach<'a> {
    around: &'a Surroundings,
    /// Since when nothing goes: a command that prints nothing for hours is no sign of that.
    failing: Option<Instant>,
    tries: u32,
}

impl<'a> Reach<'a> {
    fn new(around: &'a Surroundings) -> Self {
        Reach { around, failing: None, tries: 0 }
    }

    fn heard(&mut self) {
        self.failing = None;
        self.tries = 0;
    }

    /// Calls until the worker answers.
    async fn insist<T, F, S>(&mut self, mut call: impl FnMut() -> F) -> Result<T, RunError<S>>
    where
        F: Future<Output = Result<T, ClientError>>,
        S: std::error::Error + 'static,
    {
        loop {
            match call().await {
                Ok(value) => {
                    self.heard();
                    return Ok(value);
                }
                Err(error) => self.lost(error).await?,
            }
        }
    }

    /// Waits a little after an error that may pass, and gives up on any other.
    async fn lost<S: std::error::Error + 'static>(&mut self, error: ClientError) -> Result<(), RunError<S>> {
        if self.around.gone.is_cancelled() {
            return Err(RunError::WorkerLost("the machine is gone".into()));
        }
        match &error {
            ClientError::StaleFence { .. } => return Err(RunError::Stale),
            ClientError::Refused { code: Some(code), message, .. } if code == "no_space" => {
                return Err(RunError::DiskFull(message.clone()));
            }
            ClientError::Gone { what } => {
                return Err(RunError::WorkerLost(format!("the buildlet no longer knows {what}")));
            }
            error if !error.is_transient() => return Err(RunError::Refused(error.to_string())),
            _ => {}
        }
        let failing = self.failing.get_or_insert_with(Instant::now).elapsed();
        if failing > self.around.patience {
            return Err(RunError::WorkerLost(format!("{error}, for {} s", failing.as_secs())));
        }
        let pause = Duration::from_millis(20 << self.tries.min(6));
        self.tries += 1;
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.around.gone.cancelled() => Err(RunError::WorkerLost("the machine is gone".into())),
        }
    }
}
