//! Somebody at the door, and what is carried between them and the machine.
//!
//! A channel here has one on the machine. What is asked of it (a terminal, a command) is asked there, and answered as it is there;
//! bytes go both ways beside that.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::Certificate;
use russh::server::{self, Auth, Msg};
use russh::{
    Channel, ChannelId, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf, Pty, Sig,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use transport::Standing;

use super::door::Shells;
use super::machine::{self, Quiet};
use super::pending::{Pending, WINDOW};
use super::pump::Pump;
use super::recording::Recording;
use crate::gomote::{self, Session};

/// Channels of a connection at once.
pub(super) const CHANNELS: usize = 16;
/// How long a machine may take to answer a request.
const ANSWER: Duration = Duration::from_secs(30);
/// The room of somebody of whom so much waits that no more should come: the library tells of it again when that is used up.
const NO_ROOM: u32 = 2;
/// How long their connection is not read then: they trickle.
const PAUSE: Duration = Duration::from_millis(20);
/// The extended data that is the standard error.
const STDERR: u32 = 1;

/// How many channels somebody has open.
#[derive(Clone, Default)]
pub(super) struct Used(Arc<AtomicUsize>);

impl Used {
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Somebody who was let in.
#[derive(Clone)]
pub(super) struct Admitted {
    /// What they hold.
    pub session: Arc<Session>,
    /// How long what they showed for their certificate counts.
    pub standing: Standing,
}

/// Somebody at the door.
pub(super) struct Guest {
    shells: Shells,
    admitted: Arc<OnceLock<Admitted>>,
    login: Option<oneshot::Sender<()>>,
    from: String,
    machine: Option<(Handle<Quiet>, Pump)>,
    lines: HashMap<ChannelId, Result<Line, String>>,
    used: Used,
}

/// A channel and the one that belongs to it on the machine.
struct Line {
    to_machine: Arc<ChannelWriteHalf<client::Msg>>,
    pending: Arc<Pending>,
    /// What the machine answers to requests, in their order.
    answers: mpsc::Receiver<bool>,
    recording: Option<Arc<Recording>>,
    _carried: AbortOnDropHandle<()>,
}

/// What a channel is asked to be, for its recording.
enum Begun<'a> {
    Shell,
    Command(&'a [u8]),
    Subsystem(&'a str),
}

type Done = Result<(), russh::Error>;

impl Guest {
    pub fn new(
        shells: Shells,
        admitted: Arc<OnceLock<Admitted>>,
        login: oneshot::Sender<()>,
        from: String,
    ) -> Guest {
        Guest {
            shells,
            admitted,
            login: Some(login),
            from,
            machine: None,
            lines: HashMap::new(),
            used: Used::default(),
        }
    }

    pub fn used(&self) -> Used {
        self.used.clone()
    }

    /// Opens a channel on the machine for one here.
    async fn line(&mut self, channel: Channel<Msg>, handle: server::Handle) -> Result<Line, String> {
        let admitted = self.admitted.get().ok_or("nobody is logged in")?;
        let session = &admitted.session;
        let config = self.shells.0.config.borrow().clone();
        let place = gomote::place(&config, session);
        let unreached = |error: &dyn std::fmt::Display| format!("{} can't be reached: {error}", session.name);
        if self.machine.as_ref().is_none_or(|(machine, _)| machine.is_closed()) {
            let user = place.ssh_user.as_deref().unwrap_or("gomote");
            let opened = machine::open(session, user, &self.shells.0.key).await;
            self.machine = Some(opened.map_err(|error| unreached(&error))?);
        }
        let Some((machine, _)) = &self.machine else { return Err("it is gone".to_owned()) };
        let there = timeout(ANSWER, machine.channel_open_session()).await;
        let there = there.map_err(|late| unreached(&late))?.map_err(|error| unreached(&error))?;
        let (from_machine, to_machine) = there.split();
        let to_machine = Arc::new(to_machine);
        for entry in &place.env {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            to_machine.set_env(false, name, value).await.map_err(|error| unreached(&error))?;
        }
        let recording = config.environment().ssh.record.then(|| {
            let mut random = [0; 8];
            self.shells.0.shared.ledger.clock().random(&mut random);
            Recording::begin(
                &self.shells,
                &format!("{}-{}-{}", session.name, session.id, hex::encode(random)),
            )
        });
        let (answered, answers) = mpsc::channel(CHANNELS);
        // What it says comes by the handler.
        let (_, to_guest) = channel.split();
        let pending = Arc::new(Pending::default());
        let way = Way {
            admitted: admitted.clone(),
            handle,
            to_guest,
            pending: Arc::clone(&pending),
            answered,
            recording: recording.clone(),
            used: self.used.clone(),
        };
        self.used.0.fetch_add(1, Ordering::Relaxed);
        let carried = tokio::spawn(way.carry(from_machine, Arc::clone(&to_machine)));
        Ok(Line { to_machine, pending, answers, recording, _carried: AbortOnDropHandle::new(carried) })
    }

    /// Asks the machine for what somebody asks for, and answers as it does.
    async fn asked(
        &mut self,
        id: ChannelId,
        session: &mut server::Session,
        begun: Option<Begun<'_>>,
        ask: impl AsyncFnOnce(&ChannelWriteHalf<client::Msg>) -> Done,
    ) -> Done {
        let line = match self.lines.get_mut(&id) {
            None => return session.channel_failure(id),
            Some(Ok(line)) => line,
            Some(Err(reason)) => {
                // Said where a command would say it: the refusal of a channel has no words of its own.
                session.channel_success(id)?;
                if begun.is_some() {
                    session.extended_data(id, STDERR, format!("bellwether: {reason}\r\n"))?;
                    session.exit_status_request(id, 255)?;
                    session.close(id)?;
                }
                return Ok(());
            }
        };
        if let (Some(recording), Some(begun)) = (&line.recording, begun) {
            recording.what(match begun {
                Begun::Shell => None,
                Begun::Command(command) => Some(String::from_utf8_lossy(command).into_owned()),
                Begun::Subsystem(name) => Some(format!("subsystem {name}")),
            });
        }
        let answer = async {
            ask(&line.to_machine).await.ok()?;
            line.answers.recv().await
        };
        match timeout(ANSWER, answer).await {
            Ok(Some(true)) => session.channel_success(id),
            _ => session.channel_failure(id),
        }
    }

    fn at_machine(&self, id: ChannelId) -> Option<&Line> {
        self.lines.get(&id)?.as_ref().ok()
    }
}

/// What carries between two channels.
struct Way {
    admitted: Admitted,
    handle: server::Handle,
    to_guest: ChannelWriteHalf<Msg>,
    pending: Arc<Pending>,
    answered: mpsc::Sender<bool>,
    recording: Option<Arc<Recording>>,
    used: Used,
}

impl Drop for Way {
    fn drop(&mut self) {
        self.used.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Way {
    /// Carries until the machine's channel is closed, or they may be there no longer.
    async fn carry(self, mut from_machine: ChannelReadHalf, to_machine: Arc<ChannelWriteHalf<client::Msg>>) {
        let there = async {
            while let Some(data) = self.pending.next().await {
                if to_machine.data_bytes(data).await.is_err() {
                    break;
                }
            }
            let _ = to_machine.eof().await;
            // What ends it comes from the machine.
            std::future::pending::<()>().await;
        };
        let back = self.back(&mut from_machine);
        let Admitted { session, standing } = &self.admitted;
        let last = tokio::select! {
            () = there => None,
            last = back => last,
            over = session.over(standing) => Some(over.to_string()),
        };
        if let Some(last) = last {
            let text = format!("\r\nbellwether: {last}\r\n");
            let said = async {
                let _ = self.to_guest.extended_data_bytes(STDERR, text).await;
                let _ = self.to_guest.exit_status(255).await;
            };
            // Somebody who does not read does not hear of it.
            let _ = timeout(Duration::from_secs(1), said).await;
        }
        let _ = self.to_guest.close().await;
        let _ = to_machine.close().await;
    }

    /// Carries what the machine sends; the last word to the guest, if it ends without one of its own.
    async fn back(&self, from_machine: &mut ChannelReadHalf) -> Option<String> {
        let mut ended = false;
        let gone = Some("their connection has ended".to_owned());
        while let Some(message) = from_machine.wait().await {
            let sent = match message {
                ChannelMsg::Data { data } => {
                    self.recorded(&data).await?;
                    self.to_guest.data_bytes(data).await
                }
                ChannelMsg::ExtendedData { data, ext } => {
                    self.recorded(&data).await?;
                    self.to_guest.extended_data_bytes(ext, data).await
                }
                ChannelMsg::Eof => self.to_guest.eof().await,
                ChannelMsg::ExitStatus { exit_status } => {
                    ended = true;
                    self.to_guest.exit_status(exit_status).await
                }
                ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, lang_tag } => {
                    ended = true;
                    let id = self.to_guest.id();
                    let told = self.handle.exit_signal_request(
                        id,
                        signal_name,
                        core_dumped,
                        error_message,
                        lang_tag,
                    );
                    told.await.map_err(|()| russh::Error::SendError)
                }
                ChannelMsg::Success | ChannelMsg::Failure => {
                    // There is never more than one request whose answer is waited for.
                    let _ = self.answered.try_send(matches!(message, ChannelMsg::Success));
                    Ok(())
                }
                ChannelMsg::Close => return None,
                _ => Ok(()),
            };
            if sent.is_err() {
                return gone;
            }
        }
        (!ended).then(|| format!("the connection to {} is lost", self.admitted.session.name))
    }

    async fn recorded(&self, data: &[u8]) -> Option<()> {
        match &self.recording {
            Some(recording) => recording.output(data).await,
            None => Some(()),
        }
    }
}

impl server::Handler for Guest {
    type Error = russh::Error;

    async fn auth_openssh_certificate(
        &mut self,
        user: &str,
        certificate: &Certificate,
    ) -> Result<Auth, russh::Error> {
        let name = user.to_owned();
        let admitted = match self.shells.0.shared.gomotes.find(user) {
            Ok(session) => {
                self.shells.admits(certificate, &session).map(|standing| Admitted { session, standing })
            }
            Err(_) => Err("nothing is held by that name"),
        };
        match admitted {
            Ok(admitted) => {
                self.shells.renew(&admitted.session);
                let _ = self.admitted.set(admitted);
                Ok(Auth::Accept)
            }
            Err(reason) => {
                tracing::info!(from = self.from, name, reason, "a certificate lets nobody in");
                Ok(Auth::reject())
            }
        }
    }

    async fn auth_succeeded(&mut self, _: &mut server::Session) -> Done {
        if let Some(login) = self.login.take() {
            let _ = login.send(());
        }
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: server::ChannelOpenHandle,
        session: &mut server::Session,
    ) -> Done {
        if self.lines.len() >= CHANNELS {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        let id = channel.id();
        let line = self.line(channel, session.handle()).await;
        if let Err(reason) = &line {
            tracing::warn!(from = self.from, reason, "a shell can't be had");
        }
        self.lines.insert(id, line);
        reply.accept().await;
        Ok(())
    }

    async fn data(&mut self, id: ChannelId, data: &[u8], _: &mut server::Session) -> Done {
        let Some(line) = self.at_machine(id) else { return Ok(()) };
        line.pending.push(data).map_err(std::io::Error::other)?;
        if line.pending.is_full() {
            let _ = timeout(PAUSE, line.pending.has_room()).await;
        }
        Ok(())
    }

    async fn channel_eof(&mut self, id: ChannelId, _: &mut server::Session) -> Done {
        if let Some(line) = self.at_machine(id) {
            line.pending.end();
        }
        Ok(())
    }

    fn adjust_window(&mut self, _: ChannelId, _: u32) -> u32 {
        // It is one for all channels of a connection: while one command does not read, what is sent to others trickles too.
        let full = self.lines.values().flatten().any(|line| line.pending.is_full());
        if full { NO_ROOM } else { WINDOW }
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut server::Session) -> Done {
        if let Some(Ok(line)) = self.lines.remove(&id) {
            let _ = line.to_machine.close().await;
        }
        Ok(())
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
        session: &mut server::Session,
    ) -> Done {
        if let Some(recording) = self.at_machine(id).and_then(|line| line.recording.as_ref()) {
            recording.terminal(term, columns, rows);
        }
        let ask = async |machine: &ChannelWriteHalf<client::Msg>| {
            machine.request_pty(true, term, columns, rows, width, height, modes).await
        };
        self.asked(id, session, None, ask).await
    }

    async fn shell_request(&mut self, id: ChannelId, session: &mut server::Session) -> Done {
        let ask = async |machine: &ChannelWriteHalf<client::Msg>| machine.request_shell(true).await;
        self.asked(id, session, Some(Begun::Shell), ask).await
    }

    async fn exec_request(&mut self, id: ChannelId, command: &[u8], session: &mut server::Session) -> Done {
        let ask = async |machine: &ChannelWriteHalf<client::Msg>| machine.exec(true, command).await;
        self.asked(id, session, Some(Begun::Command(command)), ask).await
    }

    async fn subsystem_request(&mut self, id: ChannelId, name: &str, session: &mut server::Session) -> Done {
        let ask = async |machine: &ChannelWriteHalf<client::Msg>| machine.request_subsystem(true, name).await;
        self.asked(id, session, Some(Begun::Subsystem(name)), ask).await
    }

    async fn env_request(
        &mut self,
        id: ChannelId,
        name: &str,
        value: &str,
        session: &mut server::Session,
    ) -> Done {
        if let Some(line) = self.at_machine(id) {
            // An sshd that takes none of them says nothing of it.
            let _ = line.to_machine.set_env(false, name, value).await;
        }
        session.channel_success(id)
    }

    async fn window_change_request(
        &mut self,
        id: ChannelId,
        columns: u32,
        rows: u32,
        width: u32,
        height: u32,
        _: &mut server::Session,
    ) -> Done {
        if let Some(line) = self.at_machine(id) {
            if let Some(recording) = &line.recording {
                recording.resized(columns, rows);
            }
            let _ = line.to_machine.window_change(columns, rows, width, height).await;
        }
        Ok(())
    }

    async fn signal(&mut self, id: ChannelId, signal: Sig, _: &mut server::Session) -> Done {
        if let Some(line) = self.at_machine(id) {
            let _ = line.to_machine.signal(signal).await;
        }
        Ok(())
    }

    async fn x11_request(
        &mut self,
        id: ChannelId,
        _: bool,
        _: &str,
        _: &str,
        _: u32,
        session: &mut server::Session,
    ) -> Done {
        session.channel_failure(id)
    }
}
