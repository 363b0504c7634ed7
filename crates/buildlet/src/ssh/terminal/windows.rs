//! A pseudo-console, which is in the helper that the command starts by: it ends with the command's job, and nothing of it can hold
//! up the agent.
//!
//! The helper is told by its standard input what is typed and which size the terminal has ([`Told`]); what is shown goes from the
//! console straight to the helper's standard output.

mod host;
mod told;

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use russh::Pty;
use tokio::sync::mpsc;

use super::Size;
use crate::exec::{Attached, TerminalEnd};
use crate::sys::{Signal, pipe};
pub(crate) use host::run as host;
use told::{Told, WindowSize};

/// Pieces of what is typed that wait for the console.
const PIECES: usize = 4;
/// The key that interrupts, Ctrl+C.
const INTERRUPT: u8 = 0x03;

/// A terminal; the helper's end is there until a command takes it.
pub(in crate::ssh) struct Terminal {
    shown: pipe::Receiver,
    /// What is typed; nothing only wakes who passes it on.
    typed: mpsc::Sender<Vec<u8>>,
    size: Arc<Mutex<Option<WindowSize>>>,
    theirs: Mutex<Option<TerminalEnd>>,
}

impl Terminal {
    /// Makes one of this size. How keys are treated is the console's own affair.
    pub(in crate::ssh) fn open(size: Size, _modes: &[(Pty, u32)]) -> io::Result<Self> {
        let (told, mut telling) = io::pipe()?;
        let (shown, showing) = io::pipe()?;
        let (typed, mut pieces) = mpsc::channel::<Vec<u8>>(PIECES);
        let sizes = Arc::new(Mutex::new(Some(WindowSize::from(size))));
        let changed = Arc::clone(&sizes);
        // It ends when this terminal is dropped; a write that nobody reads fails with the end of the helper, which has the other end.
        let tell = move || {
            let mut piece = Vec::new();
            loop {
                let size = changed.lock().unwrap_or_else(PoisonError::into_inner).take();
                let size = size.map(|size| Told::Size(size).bytes()).unwrap_or_default();
                let typed = piece.chunks(told::MOST).flat_map(|typed| Told::Typed(typed.to_vec()).bytes());
                let bytes: Vec<u8> = size.into_iter().chain(typed).collect();
                if telling.write_all(&bytes).is_err() {
                    return;
                }
                match pieces.blocking_recv() {
                    Some(next) => piece = next,
                    None => return,
                }
            }
        };
        std::thread::Builder::new().name("terminal".into()).spawn(tell)?;
        let theirs = Mutex::new(Some(TerminalEnd { told, shown: showing }));
        Ok(Self { shown: pipe::receiver(shown)?, typed, size: sizes, theirs })
    }

    /// The helper's end, once.
    pub(in crate::ssh) fn take(&self) -> Option<TerminalEnd> {
        self.theirs.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Changes its size; who runs on it can see it.
    #[expect(clippy::unnecessary_wraps, reason = "the other system's can fail")]
    pub(in crate::ssh) fn resize(&self, size: Size) -> io::Result<()> {
        *self.size.lock().unwrap_or_else(PoisonError::into_inner) = Some(size.into());
        // Where there is no room, something is passed on after this, and the size before it.
        let _full = self.typed.try_send(Vec::new());
        Ok(())
    }

    /// Interrupts what is in front as its key does; any other signal is its first process's.
    pub(in crate::ssh) fn signal(&self, attached: &Attached, signal: Signal) {
        if signal == Signal::INT {
            // What reads nothing does not hear keys.
            let _full = self.typed.try_send(vec![INTERRUPT]);
        } else {
            attached.signal(None, signal);
        }
    }

    /// What is typed to say that there is no more: Ctrl+Z and Enter, which who reads lines understands.
    #[expect(clippy::unused_self, reason = "the other system's depends on it")]
    pub(in crate::ssh) fn end_of_file(&self) -> Option<[u8; 2]> {
        Some(*b"\x1a\r")
    }

    /// Reads what is shown on it; nothing at the end.
    pub(in crate::ssh) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.shown.readable().await?;
            match self.shown.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }

    /// Types.
    pub(in crate::ssh) async fn write_all(&self, data: &[u8]) -> io::Result<()> {
        self.typed.send(data.to_vec()).await.map_err(|_gone| io::ErrorKind::BrokenPipe.into())
    }
}
