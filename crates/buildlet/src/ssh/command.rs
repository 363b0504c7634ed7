//! What runs on a channel: from its streams to the client, from the client to its streams, until it ends or has to.

use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::ChannelWriteHalf;
use russh::server::{Handle, Msg};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::exec::{Attached, Streams};
use crate::sys::{ExitStatusExt as _, Signal, pipe};

use super::input::Input;
use super::signals;
use super::terminal::Terminal;

/// What is read at once, in bytes.
const PIECE: usize = super::PACKET as usize;
/// The number by which SSH knows standard error.
const STDERR: u32 = 1;
/// How long the last processes have to go by themselves when a command has ended.
const SETTLE: Duration = Duration::from_millis(20);
/// How long a stream may stay open and silent that no process of the command should hold any more.
const DRAIN: Duration = Duration::from_secs(2);
/// What SSH clients show for an end that has no number.
const UNKNOWN: u32 = 255;

/// A command with everything it needs.
pub(super) struct Command {
    pub(super) attached: Attached,
    pub(super) face: Face,
    pub(super) input: Arc<Input>,
    pub(super) output: ChannelWriteHalf<Msg>,
    pub(super) session: Handle,
    pub(super) signals: mpsc::Receiver<Signal>,
    pub(super) stop: CancellationToken,
}

/// What it reads from and writes to.
pub(super) enum Face {
    Terminal(Arc<Terminal>),
    Pipes(Box<Streams>),
}

impl Command {
    /// Runs it to its end, or until it is to stop; nothing of it is left then.
    pub(super) async fn run(mut self) {
        let dead = CancellationToken::new();
        let terminal = match &self.face {
            Face::Terminal(terminal) => Some(Arc::clone(terminal)),
            Face::Pipes(_) => None,
        };
        let (showing, feeding) = carriers(self.face, &self.output, &self.input, &dead);
        let (mut showing, mut feeding) = (pin!(showing), pin!(feeding));
        let (mut shown, mut fed) = (false, false);
        let stopped = loop {
            tokio::select! {
                () = self.attached.exited() => break false,
                () = self.stop.cancelled() => break true,
                () = &mut showing, if !shown => shown = true,
                () = &mut feeding, if !fed => fed = true,
                Some(signal) = self.signals.recv() => {
                    match &terminal {
                        Some(terminal) => terminal.signal(&self.attached, signal),
                        None => self.attached.signal(None, signal),
                    }
                }
            }
        };
        self.input.refuse();
        if !stopped && !shown {
            shown = timeout(SETTLE, &mut showing).await.is_ok();
        }
        let status = self.attached.end().await;
        dead.cancel();
        if stopped {
            return;
        }
        let tell = async {
            if !shown {
                showing.await;
            }
            tell(&self.output, &self.session, status).await
        };
        tokio::select! {
            told = tell => if told.is_err() {
                tracing::debug!("nobody is there to hear how a command ended");
            },
            () = self.stop.cancelled() => {}
        }
    }
}

/// What shows the output, and what feeds the input; each ends when its stream does, or nobody is there any more.
fn carriers<'a>(
    face: Face,
    output: &'a ChannelWriteHalf<Msg>,
    input: &'a Input,
    dead: &'a CancellationToken,
) -> (impl Future<Output = ()> + 'a, impl Future<Output = ()> + 'a) {
    let (terminal, stdin, stdout, stderr) = match face {
        Face::Terminal(terminal) => (Some(terminal), None, None, None),
        Face::Pipes(streams) => {
            let Streams { stdin, stdout, stderr } = *streams;
            (None, Some(stdin), Some(stdout), Some(stderr))
        }
    };
    let screen = terminal.clone();
    let showing = async move {
        let screen = async {
            if let Some(terminal) = screen {
                show_terminal(&terminal, output, dead).await;
            }
        };
        tokio::join!(screen, show(stdout, output, None, dead), show(stderr, output, Some(STDERR), dead));
    };
    let feeding = async move {
        let fed = match (&terminal, stdin) {
            (Some(terminal), _) => feed_terminal(input, terminal).await,
            (None, Some(stdin)) => feed(input, stdin).await,
            (None, None) => Ok(()),
        };
        input.refuse();
        if let Err(error) = fed {
            // What it had to read, it did not want to.
            tracing::debug!(%error, "a command reads no more");
        }
    };
    (showing, feeding)
}

async fn show(
    stream: Option<pipe::Receiver>,
    output: &ChannelWriteHalf<Msg>,
    kind: Option<u32>,
    dead: &CancellationToken,
) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; PIECE];
    loop {
        let read = tokio::select! {
            read = stream.read(&mut buffer) => read,
            () = overdue(dead) => return,
        };
        if !send(read, &buffer, output, kind).await {
            return;
        }
    }
}

async fn show_terminal(terminal: &Terminal, output: &ChannelWriteHalf<Msg>, dead: &CancellationToken) {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = tokio::select! {
            read = terminal.read(&mut buffer) => read,
            () = overdue(dead) => return,
        };
        if !send(read, &buffer, output, None).await {
            return;
        }
    }
}

/// Sends what was read; says whether more may come.
async fn send(
    read: io::Result<usize>,
    buffer: &[u8],
    output: &ChannelWriteHalf<Msg>,
    kind: Option<u32>,
) -> bool {
    let bytes = match read {
        Ok(read) => Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default()),
        Err(error) => {
            tracing::debug!(%error, "output of a command ends");
            return false;
        }
    };
    if bytes.is_empty() {
        return false;
    }
    // It waits for the client's room.
    let sent = match kind {
        None => output.data_bytes(bytes).await,
        Some(kind) => output.extended_data_bytes(kind, bytes).await,
    };
    sent.is_ok()
}

/// Returns when a stream has been silent for long after all that could have written to it has ended.
async fn overdue(dead: &CancellationToken) {
    dead.cancelled().await;
    sleep(DRAIN).await;
    tracing::warn!("somebody outside holds a command's output open");
}

async fn feed(input: &Input, mut stdin: pipe::Sender) -> io::Result<()> {
    while let Some(bytes) = input.next().await {
        stdin.write_all(&bytes).await?;
    }
    Ok(())
}

async fn feed_terminal(input: &Input, terminal: &Terminal) -> io::Result<()> {
    while let Some(bytes) = input.next().await {
        terminal.write_all(&bytes).await?;
    }
    match terminal.end_of_file() {
        Some(keys) => terminal.write_all(&keys).await,
        None => Ok(()),
    }
}

/// Tells the client how it ended, and that this was all.
async fn tell(
    output: &ChannelWriteHalf<Msg>,
    session: &Handle,
    status: Option<ExitStatus>,
) -> Result<(), russh::Error> {
    match status.and_then(|status| Some((status, status.signal()?))) {
        Some((status, signal)) => {
            let (name, core) = (signals::named(signal), status.core_dumped());
            let told =
                session.exit_signal_request(output.id(), name, core, String::new(), String::new()).await;
            told.map_err(|()| russh::Error::SendError)?;
        }
        None => {
            let code = status.and_then(|status| status.code()).map(i32::cast_unsigned);
            output.exit_status(code.unwrap_or(UNKNOWN)).await?;
        }
    }
    output.eof().await?;
    output.close().await
}
