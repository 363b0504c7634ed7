//! The helper's part: it has a console, on which the command runs.

use std::ffi::OsStr;
use std::io::{self, PipeWriter, Write as _};
use std::sync::Arc;

use super::told::{Told, WindowSize};
use crate::sys::console::Console;

/// Runs a command line on a console of its own, and returns the code it ended with once all that it showed is written.
pub(crate) fn run(line: &OsStr) -> io::Result<u32> {
    let mut told = io::stdin();
    let size = match Told::read(&mut told)? {
        Told::Size(size) => size,
        Told::Typed(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "the terminal has no size")),
    };
    let (keys, typing) = io::pipe()?;
    let console = Arc::new(Console::open(size.columns, size.rows, &keys, &io::stdout())?);
    // The console has an end of its own.
    drop(keys);
    let process = console.start(line)?;
    let front = Arc::clone(&console);
    // It ends with this process, whatever it waits for.
    std::thread::Builder::new().name("keys".into()).spawn(move || pass_on(told, typing, &front))?;
    let code = process.wait()?;
    // Waits for whoever reads what is shown. Who doesn't ends this process's job, so nothing waits for ever.
    console.close();
    Ok(code)
}

/// Passes on what is told until nobody tells or hears any more.
fn pass_on(mut told: impl io::Read, mut typing: PipeWriter, console: &Console) {
    while let Ok(next) = Told::read(&mut told) {
        match next {
            Told::Typed(keys) => {
                if typing.write_all(&keys).is_err() {
                    break;
                }
            }
            // One that can't be had leaves the last.
            Told::Size(WindowSize { columns, rows }) => drop(console.resize(columns, rows)),
        }
    }
    // Without this end the console takes its terminal to be gone, and ends what runs on it.
    std::mem::forget(typing);
}
