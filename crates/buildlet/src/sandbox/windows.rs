//! Setting a process apart on Windows: it goes into its job, and the command runs as its child, since nothing becomes another program here.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{Command, ExitStatus};

use super::Setup;
use crate::sys::process::Job;

/// Gives the helper its name in lists of processes, which is its file's here.
pub(super) fn named(command: &mut Command) -> &mut Command {
    command
}

/// Sets this process apart.
pub(super) fn enter(setup: &Setup) -> io::Result<()> {
    let unsupported =
        |what| io::Error::new(io::ErrorKind::Unsupported, format!("{what} are not there on Windows"));
    if setup.namespaces {
        return Err(unsupported("namespaces"));
    }
    if setup.user.is_some() {
        return Err(unsupported("other users for jobs"));
    }
    // What is started from here on is in it too.
    setup.cgroups.iter().try_for_each(|job| Job::join(job.as_os_str()))?;
    match &setup.dir {
        Some(dir) => std::env::set_current_dir(dir)
            .map_err(|error| io::Error::new(error.kind(), format!("chdir {}: {error}", dir.display()))),
        None => Ok(()),
    }
}

/// Runs the command and ends as it ends; returns only if it could not be started.
pub(super) fn become_command(argv: &[OsString]) -> io::Result<()> {
    let (program, args) =
        argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "exec: no command"))?;
    ends(Command::new(program).args(args).status().map_err(|error| told(program, error))?)
}

/// Runs a shell, with or without a line, on these standard streams or a terminal that they tell of, and ends as it ends; returns only if
/// it could not be started.
#[cfg(feature = "ssh")]
pub(super) fn become_shell(setup: &Setup, argv: &[OsString]) -> io::Result<()> {
    use std::os::windows::process::CommandExt as _;

    let (shell, line) =
        argv.split_first().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "exec: no shell"))?;
    let words = crate::ssh::shell::words(line.first().map(OsString::as_os_str));
    if setup.terminal {
        let mut line = OsString::from("\"");
        line.push(shell);
        line.push("\" ");
        line.push(words);
        let code = crate::ssh::terminal::host(&line).map_err(|error| told(shell, error))?;
        std::process::exit(code.cast_signed())
    }
    ends(Command::new(shell).raw_arg(words).status().map_err(|error| told(shell, error))?)
}

/// Ends as another process has ended.
fn ends(status: ExitStatus) -> ! {
    // Every end has a code here.
    std::process::exit(status.code().unwrap_or(1))
}

/// Why a program was not started, as Go says it.
fn told(program: &OsStr, error: io::Error) -> io::Error {
    let name = program.to_string_lossy();
    let text = match error.kind() {
        io::ErrorKind::NotFound if !name.contains(['/', '\\']) => {
            format!("exec: {name:?}: executable file not found in %PATH%")
        }
        io::ErrorKind::NotFound => {
            format!("fork/exec {name}: The system cannot find the file specified.")
        }
        _ => format!("fork/exec {name}: {error}"),
    };
    io::Error::new(error.kind(), text)
}

/// Standard output without a buffer that looks for ends of lines.
#[cfg(feature = "ssh")]
pub(super) fn own_stdout() -> io::Result<std::fs::File> {
    use std::os::windows::io::AsHandle as _;
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}
