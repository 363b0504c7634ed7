//! The shell of a session: `$SHELL` of the agent, else `/bin/sh`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;

use crate::environment::Environment;
use crate::sandbox::Role;

/// What runs for a client that asks for a shell, or for a line of one, and the variables that it has beside others'.
pub(in crate::ssh) struct Shell {
    pub(in crate::ssh) role: Role,
    pub(in crate::ssh) argv: Vec<OsString>,
    pub(in crate::ssh) env: Vec<(String, String)>,
}

/// Returns it.
#[expect(clippy::unnecessary_wraps, reason = "the other system's can fail")]
pub(in crate::ssh) fn run(environment: &Environment, line: Option<&[u8]>) -> Result<Shell, &'static str> {
    let shell = environment.get(OsStr::new("SHELL")).filter(|shell| !shell.is_empty());
    let shell = shell.cloned().unwrap_or_else(|| "/bin/sh".into());
    let env = vec![("SHELL".to_owned(), shell.to_string_lossy().into_owned())];
    let mut argv = vec![shell];
    if let Some(line) = line {
        argv.extend(["-c".into(), OsString::from_vec(line.to_vec())]);
    }
    Ok(Shell { role: Role::Command, argv, env })
}
