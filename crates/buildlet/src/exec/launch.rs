//! From a request to a running process.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::environment::{Environment, set};
use crate::sandbox::{Reexec, Role, Setup};
use crate::sys::{PASSED, same_variable};

use super::tree::MARKER;

/// A process to start through the helper.
pub(crate) struct Launch<'a> {
    pub(crate) reexec: &'a Reexec,
    pub(crate) setup: Setup,
    pub(crate) role: Role,
    pub(crate) argv: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) dir: PathBuf,
}

impl Launch<'_> {
    /// Returns what becomes the job once it is started; the caller says where its standard streams lead.
    ///
    /// Every process of a job begins here: whose rights it has, and what it is kept from, is in its set-up.
    pub(crate) fn command(mut self) -> Command {
        let user = self.setup.user.clone();
        // A directory of a job's is gone into with a job's rights.
        let run_in = match &user {
            Some(_) => {
                self.setup.dir = Some(self.dir);
                PathBuf::from("/")
            }
            None => self.dir,
        };
        let mut command = self.reexec.command(&self.setup);
        command.arg(self.role.argument()).args(self.argv).env_clear();
        if let Some(user) = user {
            command.env("USER", &user.name).env("LOGNAME", &user.name);
        }
        command.envs(self.env).current_dir(run_in);
        command
    }

    /// Starts it with nothing to read, and returns it with the end of the pipe it writes to.
    pub(crate) fn spawn(self) -> io::Result<(Child, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        let child = self.spawn_on(Stdio::null(), writer.try_clone()?.into(), writer.into())?;
        Ok((child, reader))
    }

    /// Starts it with these standard streams.
    pub(crate) fn spawn_on(self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> io::Result<Child> {
        self.command().stdin(stdin).stdout(stdout).stderr(stderr).spawn()
    }
}

/// Builds the whole environment of a job: PATH, what is passed on, our own names, what was asked for.
pub(crate) fn job_environment(
    agent: &Environment,
    workdir: &Path,
    id: Option<&str>,
    pass: &[String],
    asked: &[(String, String)],
) -> Vec<(OsString, OsString)> {
    let mut env = Environment::new();
    for (name, value) in agent {
        let every = PASSED.iter().any(|passed| same_variable(name, OsStr::new(passed)));
        if every || pass.iter().any(|pattern| matches_name(pattern, name)) {
            env.insert(name.clone(), value.clone());
        }
    }
    set(&mut env, "WORKDIR", workdir);
    set(&mut env, "HOME", home(workdir));
    set(&mut env, "TMPDIR", tmpdir(workdir));
    if cfg!(windows) {
        set(&mut env, "USERPROFILE", home(workdir));
        for name in ["TEMP", "TMP"] {
            set(&mut env, name, tmpdir(workdir));
        }
    }
    let workdir_text = workdir.to_string_lossy();
    for (name, value) in asked {
        if !name.is_empty() && !name.contains(['=', '\0']) {
            set(&mut env, name, value.replace("$WORKDIR", &workdir_text).replace('\0', ""));
        }
    }
    if let Some(id) = id {
        set(&mut env, MARKER, id);
    }
    env.into_iter().collect()
}

/// A job's HOME.
pub(crate) fn home(workdir: &Path) -> PathBuf {
    workdir.join(".home")
}

/// A job's TMPDIR.
pub(crate) fn tmpdir(workdir: &Path) -> PathBuf {
    workdir.join(".tmp")
}

fn matches_name(pattern: &str, name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_sees_only_what_it_should() {
        let agent: Environment =
            [("PATH", "/bin"), ("SECRET", "s"), ("GO_A", "1"), ("GOX", "2"), ("HOME", "/root")]
                .map(|(k, v)| (k.into(), v.into()))
                .into();
        let asked = [("A", "1"), ("A", "$WORKDIR/x"), ("", "no"), ("BW_EXEC_ID", "forged")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        let env = job_environment(&agent, Path::new("/w"), Some("id"), &["GO_*".to_owned()], &asked);
        let text: Vec<String> = env.iter().map(|(k, v)| format!("{}={}", k.display(), v.display())).collect();
        assert_eq!(
            text,
            [
                "A=/w/x",
                "BW_EXEC_ID=id",
                "GO_A=1",
                "HOME=/w/.home",
                "PATH=/bin",
                "TMPDIR=/w/.tmp",
                "WORKDIR=/w"
            ]
        );
    }
}
