//! The shell of a session: `%ComSpec%` of the agent, else the `cmd.exe` of the system.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::environment::{Environment, variable};
use crate::sandbox::Role;

/// What runs for a client that asks for a shell, or for a line of one, and the variables that it has beside others'.
pub(in crate::ssh) struct Shell {
    pub(in crate::ssh) role: Role,
    pub(in crate::ssh) argv: Vec<OsString>,
    pub(in crate::ssh) env: Vec<(String, String)>,
}

/// Returns it; a line is text.
pub(in crate::ssh) fn run(environment: &Environment, line: Option<&[u8]>) -> Result<Shell, &'static str> {
    let given = |name| variable(environment, name).filter(|value| !value.is_empty());
    let shell = given("COMSPEC").cloned().unwrap_or_else(|| {
        let system = given("SYSTEMROOT").map_or(OsStr::new(r"C:\Windows"), OsString::as_os_str);
        Path::new(system).join(r"System32\cmd.exe").into()
    });
    let mut argv = vec![shell];
    if let Some(line) = line {
        argv.push(std::str::from_utf8(line).map_err(|_bad| "the command is not UTF-8")?.into());
    }
    Ok(Shell { role: Role::Shell, argv, env: Vec::new() })
}

/// What follows the name of the shell, as it is: it has rules of its own for quotes.
///
/// By `/s` it takes off the first and the last of them and leaves all between as it was sent; by `/d` it runs nothing before.
pub(crate) fn words(line: Option<&OsStr>) -> OsString {
    let Some(line) = line else { return OsString::new() };
    let mut words = OsString::from("/d /s /c \"");
    words.push(line);
    words.push("\"");
    words
}
