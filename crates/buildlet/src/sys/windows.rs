//! Windows, as much of it as the agent needs. It is tested under Wine, and was never run on Windows: see docs/BUILDLET.md.

#[cfg(feature = "ssh")]
pub(crate) mod console;
mod errno;
pub(crate) mod fd;
pub(crate) mod fs;
mod kernel;
pub(crate) mod pipe;
pub(crate) mod process;

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use tokio::signal::windows::{
    CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
};

pub(crate) use errno::Errno;
pub(crate) use kernel::disk_free;
pub(crate) use process::Signal;

/// Variables of the agent's that every job has: without some of these hardly a program starts.
pub(crate) const PASSED: &[&str] = &[
    "PATH",
    "PATHEXT",
    "COMSPEC",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "PROGRAMDATA",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "COMMONPROGRAMFILES",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
];
/// Between the directories of `PATH`.
pub(crate) const PATH_SEPARATOR: &str = ";";
/// What is run without its ending being named, where `PATHEXT` does not say.
const ENDINGS: &str = ".COM;.EXE;.BAT;.CMD";

/// Whether two names are those of one variable.
pub(crate) fn same_variable(one: &OsStr, other: &OsStr) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// Whether this process may do everything on this machine; nobody is told apart by that here.
pub(crate) fn is_root() -> bool {
    false
}

/// What the machine calls itself.
pub(crate) fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default().to_ascii_lowercase()
}

/// Leaves the session that this process was started in; there is no such thing here that would end it.
pub(crate) fn own_session() {}

/// Takes this process into a job of its own, in which all is that it ever starts: so what has lost its parent is still found, and ends with
/// the agent.
#[expect(clippy::unnecessary_wraps, reason = "the other systems' can fail")]
pub(crate) fn adopt_orphans() -> io::Result<()> {
    if let Err(error) = process::found_family() {
        // A wipe finds out what that means.
        tracing::warn!(%error, "what commands leave behind may not be found");
    }
    Ok(())
}

/// A path without links, as programs are given it: most do not know `\\?\`.
pub(crate) fn canonical(path: &Path) -> io::Result<PathBuf> {
    let path = path.canonicalize()?;
    let plain =
        path.to_str().and_then(|text| text.strip_prefix(r"\\?\")).filter(|text| !text.starts_with("UNC"));
    Ok(plain.map_or(path.clone(), PathBuf::from))
}

/// Makes what is created so be its owner's alone; here it is whose its directory is.
pub(crate) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Lets nobody go into a directory; there are no such permissions here.
#[expect(clippy::unnecessary_wraps, reason = "the other system's can fail")]
pub(crate) fn lock_up(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes names in a directory last through a loss of power; the file system does by itself.
#[expect(clippy::unnecessary_wraps, reason = "the other system's can fail")]
pub(crate) fn sync_dir(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// The file that a program of this name is in a directory, if there is one: as it is named, or with one of the endings of
/// programs.
pub(crate) fn program_in(dir: &Path, name: &str, env: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let endings = env("PATHEXT").filter(|endings| !endings.is_empty()).unwrap_or_else(|| ENDINGS.to_owned());
    let named = Path::new(name).extension().is_some().then(|| dir.join(name));
    let with = endings
        .split(';')
        .filter(|ending| !ending.is_empty())
        .map(|ending| dir.join(format!("{name}{ending}")));
    named.into_iter().chain(with).find(|path| path.is_file())
}

/// Starts a command in a group of its own: what ends the agent by the keyboard is not meant for it.
pub(crate) fn own_group(command: &mut Command) -> &mut Command {
    use std::os::windows::process::CommandExt as _;
    command.creation_flags(windows_sys::Win32::System::Threading::CREATE_NEW_PROCESS_GROUP)
}

/// Text from bytes.
pub(crate) trait OsStrExt {
    /// The text; what is no UTF-8 is no name here and becomes one that nothing has.
    fn from_bytes(bytes: &[u8]) -> &Self;
}

impl OsStrExt for OsStr {
    fn from_bytes(bytes: &[u8]) -> &Self {
        Self::new(std::str::from_utf8(bytes).unwrap_or("\u{fffd}"))
    }
}

/// Reading and writing at a place in a file.
pub(crate) trait FileExt {
    /// Fills a buffer from a place on.
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
    /// Writes a buffer to a place.
    fn write_all_at(&self, buffer: &[u8], at: u64) -> io::Result<()>;
}

impl FileExt for File {
    fn read_exact_at(&self, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.seek_read(buffer, at)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => {
                    buffer = buffer.split_at_mut(read).1;
                    at += read as u64;
                }
            }
        }
        Ok(())
    }

    fn write_all_at(&self, mut buffer: &[u8], mut at: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.seek_write(buffer, at)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => {
                    buffer = buffer.split_at(written).1;
                    at += written as u64;
                }
            }
        }
        Ok(())
    }
}

/// What Unix knows of an end besides its code.
pub(crate) trait ExitStatusExt {
    /// The signal that ended it.
    fn signal(&self) -> Option<i32>;
    /// Whether it left its memory.
    fn core_dumped(&self) -> bool;
}

impl ExitStatusExt for ExitStatus {
    fn signal(&self) -> Option<i32> {
        None
    }

    fn core_dumped(&self) -> bool {
        false
    }
}

/// The orders to end that a system gives.
pub(crate) struct Ends {
    c: CtrlC,
    interrupt: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Ends {
    /// Begins to listen; from now on these orders do nothing else.
    pub(crate) fn hear() -> io::Result<Self> {
        Ok(Self { c: ctrl_c()?, interrupt: ctrl_break()?, close: ctrl_close()?, shutdown: ctrl_shutdown()? })
    }

    /// Returns what the next one is called. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.c.recv() => "Ctrl+C",
            _ = self.interrupt.recv() => "Ctrl+Break",
            _ = self.close.recv() => "its window was closed",
            _ = self.shutdown.recv() => "the system goes down",
        }
    }
}
