//! What a client asks for, and what it gets.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use russh::server::{Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, VerifiedPublicKey};
use russh::{ChannelId, ChannelOpenFailure, Error, Pty, Sig};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::Agent;
use crate::environment::variable;
use crate::exec::{Attached, Wanted};
use crate::sandbox::Role;
use crate::sys::program_in;

use super::channel::{Channel, Running};
use super::command::{Command, Face};
use super::guest::Guest;
use super::shell::{self, Shell};
use super::signals;
use super::terminal::{Size, Terminal};

/// Channels of one connection at once.
const CHANNELS: usize = 16;
/// The longest name of a kind of terminal, in bytes.
const LONGEST_TERM: usize = 128;
/// Signals that wait for a command.
const SIGNALS: usize = 8;
/// What a client is told of room while there is none, in bytes: the least that lets it be told of more later.
const NO_ROOM: u32 = 2;
/// How long a client that has no room is let wait before its next bytes are looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// The exit status for what did not start.
const NOT_STARTED: u32 = 255;

/// One client, on its connection.
pub(super) struct Session {
    agent: Arc<Agent>,
    /// Starts the name of each of its commands.
    name: String,
    guest: Guest,
    stop: CancellationToken,
    entered: CancellationToken,
    tasks: TaskTracker,
    channels: HashMap<ChannelId, Channel>,
    begun: u64,
}

/// What is to run on a channel.
enum Request<'a> {
    Shell,
    Exec(&'a [u8]),
    Subsystem(&'a str),
}

impl Session {
    pub(super) fn new(
        agent: Arc<Agent>,
        name: String,
        guest: Guest,
        stop: CancellationToken,
        entered: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        Self { agent, name, guest, stop, entered, tasks, channels: HashMap::new(), begun: 0 }
    }

    /// Runs what was asked for, or says on the channel why not: a client shows that, and of a refusal only that it was one.
    fn run(
        &mut self,
        id: ChannelId,
        request: &Request<'_>,
        session: &mut russh::server::Session,
    ) -> Result<(), Error> {
        if self.channels.get(&id).is_none_or(|channel| channel.output.is_none()) {
            return session.channel_failure(id);
        }
        session.channel_success(id)?;
        let Err(why) = self.begin(id, request, session) else { return Ok(()) };
        tracing::info!(session = self.name, why, "nothing was started");
        self.channels.remove(&id);
        session.extended_data(id, 1, format!("bellwether: {why}\r\n"))?;
        session.exit_status_request(id, NOT_STARTED)?;
        session.eof(id)?;
        session.close(id)
    }

    fn begin(
        &mut self,
        id: ChannelId,
        request: &Request<'_>,
        session: &russh::server::Session,
    ) -> Result<(), String> {
        // Whoever holds it alone ends every session, this one too: it is not waited for.
        let Ok(_open) = self.agent.gate.try_read() else {
            return Err("this machine is being wiped".to_owned());
        };
        let environment = &self.agent.table.settings.environment;
        let channel = self.channels.get_mut(&id).ok_or("there is no such channel")?;
        let Shell { role, argv, env } = match request {
            Request::Shell => shell::run(environment, None)?,
            Request::Exec(line) if line.contains(&0) => return Err("the command holds a NUL".to_owned()),
            Request::Exec(line) => {
                if is_old_scp(line) && !has_program(variable(environment, "PATH"), "scp") {
                    let text =
                        "this machine has no scp program, which scp -O needs; without -O it needs none";
                    return Err(text.to_owned());
                }
                shell::run(environment, Some(line))?
            }
            // What makes a terminal there has its standard input for itself.
            Request::Subsystem("sftp") if cfg!(windows) && channel.terminal.is_some() => {
                return Err("sftp runs on no terminal here".to_owned());
            }
            Request::Subsystem("sftp") => Shell { role: Role::Sftp, argv: Vec::new(), env: Vec::new() },
            Request::Subsystem(name) => return Err(format!("there is no subsystem {name:?}, only sftp")),
        };
        let env = channel.environment().into_iter().chain(env).collect();
        let terminal = channel.terminal.clone();
        let theirs = terminal.as_ref().and_then(|terminal| terminal.take());
        self.begun += 1;
        let wanted =
            Wanted { id: format!("{}-{}", self.name, self.begun), role, argv, env, terminal: theirs };
        let (attached, streams) =
            Attached::start(&self.agent.table, wanted).map_err(|error| error.to_string())?;
        let face = match (streams, terminal) {
            (Some(streams), _) => Face::Pipes(Box::new(streams)),
            (None, Some(terminal)) => Face::Terminal(terminal),
            (None, None) => unreachable!("invariant: what has no terminal has pipes"),
        };
        let output = channel.output.take().ok_or("something runs on this channel already")?;
        let (signals, wanted_signals) = mpsc::channel(SIGNALS);
        let stop = self.stop.child_token();
        let command = Command {
            attached,
            face,
            input: Arc::clone(&channel.input),
            output,
            session: session.handle(),
            signals: wanted_signals,
            stop: stop.clone(),
        };
        channel.begun(Running { stop, signals, task: self.tasks.spawn(command.run()) });
        Ok(())
    }

    fn knows(&self, key: &russh::keys::PublicKey) -> Auth {
        if self.guest.holds(key) { Auth::Accept } else { Auth::reject() }
    }
}

impl Handler for Session {
    type Error = Error;

    async fn auth_publickey_offered(&mut self, _: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        Ok(self.knows(offer.public_key))
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        Ok(self.knows(key.public_key))
    }

    async fn auth_succeeded(&mut self, _: &mut russh::server::Session) -> Result<(), Error> {
        self.entered.cancel();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: russh::Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut russh::server::Session,
    ) -> Result<(), Error> {
        self.channels.retain(|_, channel| !channel.is_over());
        if self.channels.len().max(self.tasks.len()) >= CHANNELS {
            tracing::info!(session = self.name, CHANNELS, "a channel too many is refused");
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        // What comes is told to us as it comes; the half that would queue it is not needed.
        let (_reading, writing) = channel.split();
        self.channels.insert(writing.id(), Channel::new(writing));
        reply.accept().await;
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut russh::server::Session) -> Result<(), Error> {
        self.channels.remove(&id);
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut russh::server::Session) -> Result<(), Error> {
        if let Some(channel) = self.channels.get(&id) {
            channel.input.end();
        }
        Ok(())
    }

    async fn data(
        &mut self,
        id: ChannelId,
        data: &[u8],
        _: &mut russh::server::Session,
    ) -> Result<(), Error> {
        let Some(channel) = self.channels.get(&id) else { return Ok(()) };
        if channel.input.push(data).is_err() {
            return Err(std::io::Error::other("a client sends more than it may").into());
        }
        if channel.input.is_full() {
            let _in_time = timeout(PAUSE, channel.input.has_room()).await;
        }
        Ok(())
    }

    fn adjust_window(&mut self, _: ChannelId, _: u32) -> u32 {
        // It is one for all channels of a connection: while one command does not read, what is sent to others crawls too.
        let full = self.channels.values().any(|channel| channel.input.is_full());
        if full { NO_ROOM } else { super::WINDOW }
    }

    async fn pty_request(
        &mut self,
        id: ChannelId,
        term: &str,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        modes: &[(Pty, u32)],
        session: &mut russh::server::Session,
    ) -> Result<(), Error> {
        let channel = self.channels.get_mut(&id);
        let Some(channel) = channel.filter(|c| c.output.is_some() && c.terminal.is_none()) else {
            return session.channel_failure(id);
        };
        if term.len() > LONGEST_TERM || !channel.set("TERM", term) {
            return session.channel_failure(id);
        }
        match Terminal::open(Size { columns, rows, width, height }, modes) {
            Ok(terminal) => channel.terminal = Some(Arc::new(terminal)),
            Err(error) => {
                tracing::warn!(%error, "there is no terminal to be had");
                return session.channel_failure(id);
            }
        }
        session.channel_success(id)
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut russh::server::Session,
    ) -> Result<(), Error> {
        session.channel_failure(id)
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Error> {
        let set = self.channels.get_mut(&id).is_some_and(|channel| channel.set(name, value));
        if set { session.channel_success(id) } else { session.channel_failure(id) }
    }

    async fn shell_request(
        &mut self,
        id: ChannelId,
        session: &mut russh::server::Session,
    ) -> Result<(), Error> {
        self.run(id, &Request::Shell, session)
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        line: &[u8],
        session: &mut russh::server::Session,
    ) -> Result<(), Error> {
        self.run(id, &Request::Exec(line), session)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut russh::server::Session,
    ) -> Result<(), Error> {
        self.run(id, &Request::Subsystem(name), session)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        _: &mut russh::server::Session,
    ) -> Result<(), Error> {
        if let Some(terminal) = self.channels.get(&id).and_then(|channel| channel.terminal.as_ref())
            && let Err(error) = terminal.resize(Size { columns, rows, width, height })
        {
            tracing::debug!(%error, "a terminal keeps its size");
        }
        Ok(())
    }

    async fn signal(
        &mut self,
        id: ChannelId,
        signal: Sig,
        _: &mut russh::server::Session,
    ) -> Result<(), Error> {
        if let (Some(channel), Some(signal)) = (self.channels.get(&id), signals::wanted(&signal)) {
            channel.signal(signal);
        }
        Ok(())
    }
}

/// Whether a command is what `scp` of before SFTP starts at the far end.
fn is_old_scp(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_ascii_whitespace();
    words.next() == Some("scp") && words.any(|word| word == "-t" || word == "-f")
}

fn has_program(path: Option<&OsString>, name: &str) -> bool {
    path.is_some_and(|path| {
        std::env::split_paths(path).any(|dir| program_in(&dir, name, |_default| None).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scp_of_before_is_told_from_what_else_is_called_so() {
        for (line, old) in [
            ("scp -t .", true),
            ("scp -v -r -p -f /x", true),
            ("scp a b", false),
            ("scpx -t .", false),
            ("", false),
        ] {
            assert_eq!(is_old_scp(line.as_bytes()), old, "{line}");
        }
    }

    #[test]
    fn a_program_is_one_that_may_run() {
        assert!(has_program(Some(&"/nowhere:/bin:/usr/bin".into()), "sh"));
        assert!(!has_program(Some(&"/nowhere:/etc".into()), "passwd"));
        assert!(!has_program(None, "sh"));
    }
}
