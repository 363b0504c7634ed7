//! A pseudo-terminal: its two ends, its size and how it treats what is typed.

mod modes;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use russh::Pty;
use rustix::io::Errno;
use rustix::termios::{LocalModes, SpecialCodeIndex, Winsize, tcgetattr, tcgetpgrp, tcsetwinsize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Size;
use crate::exec::{Attached, TerminalEnd};
use crate::sys::Signal;

impl From<Size> for Winsize {
    fn from(size: Size) -> Self {
        let cut = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
        Self {
            ws_col: cut(size.columns),
            ws_row: cut(size.rows),
            ws_xpixel: cut(size.width),
            ws_ypixel: cut(size.height),
        }
    }
}

/// A terminal; the command's end is there until a command takes it.
pub(in crate::ssh) struct Terminal {
    ours: AsyncFd<OwnedFd>,
    theirs: Mutex<Option<TerminalEnd>>,
}

impl Terminal {
    /// Makes one of this size, which behaves as the client's does.
    pub(in crate::ssh) fn open(size: Size, modes: &[(Pty, u32)]) -> io::Result<Self> {
        let (ours, theirs) = pair()?;
        tcsetwinsize(&theirs, size.into())?;
        modes::set(&theirs, modes)?;
        rustix::io::ioctl_fionbio(&ours, true)?;
        #[expect(
            deprecated,
            reason = "it is unsound only for types whose descriptor changes, which an OwnedFd's never does"
        )]
        let ours = AsyncFd::with_interest(ours, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { ours, theirs: Mutex::new(Some(theirs)) })
    }

    /// The command's end, once.
    pub(in crate::ssh) fn take(&self) -> Option<TerminalEnd> {
        self.theirs.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Changes its size; who runs on it hears of it.
    pub(in crate::ssh) fn resize(&self, size: Size) -> io::Result<()> {
        Ok(tcsetwinsize(self.ours.get_ref(), size.into())?)
    }

    /// Sends a signal to the processes that what is typed goes to.
    pub(in crate::ssh) fn signal(&self, attached: &Attached, signal: Signal) {
        attached.signal(tcgetpgrp(self.ours.get_ref()).ok(), signal);
    }

    /// What is typed to say that there is no more, if the terminal reads lines.
    pub(in crate::ssh) fn end_of_file(&self) -> Option<[u8; 1]> {
        let attributes = tcgetattr(self.ours.get_ref()).ok()?;
        let lines = attributes.local_modes.contains(LocalModes::ICANON);
        lines.then(|| [attributes.special_codes[SpecialCodeIndex::VEOF]])
    }

    /// Reads what is shown on it; nothing at the end.
    pub(in crate::ssh) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = |fd: &OwnedFd| rustix::io::read(fd, &mut *buffer).map_err(io::Error::from);
        match self.ours.async_io(Interest::READABLE, read).await {
            // How Linux says that nobody has the other end.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(0),
            read => read,
        }
    }

    /// Types.
    pub(in crate::ssh) async fn write_all(&self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let write = |fd: &OwnedFd| rustix::io::write(fd, data).map_err(io::Error::from);
            let written = self.ours.async_io(Interest::WRITABLE, write).await?;
            data = data.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// Both ends of a new terminal.
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    rustix::io::fcntl_setfd(&ours, rustix::io::FdFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    let name = ptsname(&ours, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    Ok((ours, theirs))
}

/// None, where it is not known how a terminal is named.
#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "terminals are not made on this system; ssh -T needs none",
    ))
}
