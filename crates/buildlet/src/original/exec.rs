//! The original `/exec`: the command lives as long as its connection, and its end comes as a trailer.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use http_body::Frame;
use http_body_util::StreamBody;

use crate::agent::Agent;
use crate::environment::{Environment, set, variable};
use crate::exec::{Launch, Table, Waiter, home, process_state, tree};
use crate::http::{ApiError, GoError, Token, outrun};
use crate::paths::is_relative_beneath;
use crate::sandbox::{Role, Setup};
use crate::sys::{self, Signal, pipe};

use super::form::Form;
use super::{internal, require};

/// Directories of the work directory that Go is told to use, whatever the caller says: they go with the next wipe.
const CACHES: [(&str, &str); 3] = [("TMPDIR", "tmp"), ("GOCACHE", "gocache"), ("GOPLSCACHE", "goplscache")];

const TRAILER: HeaderName = HeaderName::from_static("process-state");

pub(crate) async fn exec(
    State(agent): State<Arc<Agent>>,
    method: Method,
    version: Version,
    uri: Uri,
    headers: HeaderMap,
    token: Option<Extension<Token>>,
    body: Body,
) -> Response {
    if let Err(error) = require(&method, &Method::POST) {
        return error.into_response();
    }
    if version < Version::HTTP_11 {
        return GoError::bad("HTTP/1.1 or higher required").into_response();
    }
    let mut response = match Form::read(uri.query(), &headers, body).await {
        Err(error) => error.into_response(),
        Ok(form) => start_held(&agent, token, &form).await,
    };
    response.headers_mut().insert(header::TRAILER, HeaderValue::from_static("Process-State"));
    response
}

/// Starts it once no wipe is at work, unless a newer holder has come meanwhile. Who has no fencing token can't be told from who comes
/// after them, so they do not wait.
async fn start_held(agent: &Arc<Agent>, token: Option<Extension<Token>>, form: &Form) -> Response {
    let _open = match (token, agent.gate.try_read()) {
        (_, Ok(open)) => open,
        (Some(_), Err(_wiping)) => agent.gate.read().await,
        (None, Err(_wiping)) => {
            let text = "this machine is being wiped".to_owned();
            return GoError(StatusCode::SERVICE_UNAVAILABLE, text).into_response();
        }
    };
    if let Some(newest) = outrun(agent, token) {
        return ApiError::stale(newest).into_response();
    }
    if let Some(reason) = agent.set_aside() {
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "set_aside", reason).into_response();
    }
    start(agent, form).unwrap_or_else(axum::response::IntoResponse::into_response)
}

fn start(agent: &Arc<Agent>, form: &Form) -> Result<Response, GoError> {
    let settings = &agent.table.settings;
    let workdir = &settings.workdir;
    let system = form.get("mode") == "sys";
    let program = {
        let _rights = crate::user::of(settings.user.as_deref()).map_err(internal)?;
        make_caches(workdir).map_err(internal)?;
        resolve(workdir, form.get("cmd"), system, &settings.environment)?
    };
    let dir = match form.get("dir") {
        "" if system => workdir.clone(),
        "" => program.parent().filter(|p| p.is_absolute()).unwrap_or(workdir).to_owned(),
        dir if is_absolute(dir) => PathBuf::from(dir),
        dir if is_relative_beneath(dir) => workdir.join(dir),
        _ => return Err(GoError::bad("bad 'dir' parameter")),
    };
    let mut agents = settings.environment.clone();
    if let Some(user) = &settings.user {
        agent.table.make_places().map_err(internal)?;
        agents.insert("HOME".into(), home(workdir).into());
        agents.extend(["USER", "LOGNAME"].map(|name| (name.into(), user.name.clone().into())));
    }
    let env = environment_of(&agents, workdir, form, &dir);
    let mut head = Vec::new();
    if form.yes("debug") {
        let args: Vec<&str> = form.of_body("cmdArg").collect();
        let text = format!(
            ":: Running {} with args {args:?} and env {env:?} in {}\n\n",
            program.display(),
            dir.display()
        );
        head = text.into_bytes();
    }
    let arguments = form.of_body("cmdArg");
    let error_file = settings.user.as_ref().map(|_user| agent.table.error_file());
    let command = if settings.user.is_none() {
        let mut command = Command::new(&program);
        command.args(arguments).env_clear().envs(env).current_dir(dir);
        sys::own_group(&mut command);
        command
    } else {
        let launch = Launch {
            reexec: &settings.reexec,
            setup: Setup {
                namespaces: settings.namespaces,
                user: settings.user.clone(),
                error_file: error_file.clone(),
                ..Setup::default()
            },
            role: Role::Command,
            argv: [program.clone().into()].into_iter().chain(arguments.map(OsString::from)).collect(),
            env: env.into_iter().collect(),
            dir,
        };
        launch.command()
    };
    let output = match Running::start(&agent.table, command, error_file) {
        Ok(running) => Step::Output(running),
        Err(error) => Step::Trailer(start_text(&program, &error)),
    };
    let frames = stream::unfold(Step::Head(head, Box::new(output)), next);
    Ok(Body::new(StreamBody::new(frames)).into_response())
}

fn make_caches(workdir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(workdir)?;
    for (_, name) in CACHES {
        match std::fs::create_dir(workdir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A command and its output; dropping it ends the command and all that hangs on it.
struct Running {
    table: Arc<Table>,
    waiter: Waiter,
    output: pipe::Receiver,
    /// Where it says why it could not start, if it is set apart first.
    error_file: Option<PathBuf>,
}

/// How far an answer is.
enum Step {
    Head(Vec<u8>, Box<Step>),
    Output(Running),
    Trailer(String),
    Done,
}

impl Running {
    fn start(table: &Arc<Table>, mut command: Command, error_file: Option<PathBuf>) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn()?;
        drop(command);
        let waiter = Waiter::new(child)?;
        table.add_main(waiter.pid());
        let output = pipe::receiver(reader)?;
        Ok(Self { table: Arc::clone(table), waiter, output, error_file })
    }

    /// Takes how it ended, once it has exited.
    fn ended(&mut self) -> String {
        match self.waiter.reap() {
            Ok((status, _)) => {
                let failed = status.code() == Some(crate::sandbox::FAILED);
                let said = self.error_file.as_ref().filter(|_| failed).map(std::fs::read_to_string);
                // Empty is what it stays where the command itself ended so.
                match said {
                    Some(Ok(text)) if !text.is_empty() => text,
                    _ => process_state(status),
                }
            }
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.waiter.pid();
        if tree::process(pid).is_some_and(|process| !process.zombie) {
            // The client is gone. What hangs on the command goes with it; what left its tree, the next wipe ends.
            for process in tree::descendants(pid) {
                tree::signal(process.pid, Signal::KILL);
            }
            tree::signal(pid, Signal::KILL);
            // Killed, it is dead within moments.
            let _status = self.waiter.reap();
        }
        self.table.forget_main(pid);
        if let Some(file) = &self.error_file {
            // It is not there if the helper did not come so far.
            let _gone = std::fs::remove_file(file);
        }
    }
}

/// Yields what is printed, then how it ended: when it has exited and all holders of the pipe closed it.
async fn next(step: Step) -> Option<(io::Result<Frame<Bytes>>, Step)> {
    match step {
        // Also if it is empty: the headers are on their way at once.
        Step::Head(head, next) => Some((Ok(Frame::data(head.into())), *next)),
        Step::Output(mut running) => loop {
            let mut buffer = vec![0; 64 << 10];
            let read = match running.output.readable().await {
                Ok(()) => running.output.try_read(&mut buffer),
                Err(error) => Err(error),
            };
            match read {
                Ok(0) => {
                    running.waiter.exited().await;
                    return Some((Ok(trailer(&running.ended())), Step::Done));
                }
                Ok(read) => {
                    buffer.truncate(read);
                    return Some((Ok(Frame::data(buffer.into())), Step::Output(running)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Some((Err(error), Step::Done)),
            }
        },
        Step::Trailer(text) => Some((Ok(trailer(&text)), Step::Done)),
        Step::Done => None,
    }
}

fn trailer(text: &str) -> Frame<Bytes> {
    let plain: String =
        text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
    let value = HeaderValue::from_str(&plain).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    Frame::trailers(HeaderMap::from_iter([(TRAILER, value)]))
}

fn start_text(program: &Path, error: &io::Error) -> String {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ArgumentListTooLong => "argument list too long".to_owned(),
        io::ErrorKind::InvalidInput => "invalid argument".to_owned(),
        io::ErrorKind::InvalidFilename => "file name too long".to_owned(),
        _ => error.to_string(),
    };
    format!("fork/exec {}: {reason}", program.display())
}

/// Finds the program by the newest original's rules.
fn resolve(workdir: &Path, cmd: &str, system: bool, env: &Environment) -> Result<PathBuf, GoError> {
    if cmd.is_empty() {
        return Err(GoError::bad("requires 'cmd' parameter"));
    }
    if is_absolute(cmd) {
        return Ok(cmd.into());
    }
    if cmd.contains(std::path::is_separator) {
        let inside = !system && is_relative_beneath(cmd);
        return if inside { Ok(workdir.join(cmd)) } else { Err(GoError::bad("bad 'cmd' parameter")) };
    }
    let text = |name: &str| variable(env, name).map(|value| value.to_string_lossy().into_owned());
    if !system && let Some(here) = sys::program_in(workdir, cmd, text) {
        return Ok(here);
    }
    let path = variable(env, "PATH").cloned().unwrap_or_default();
    std::env::split_paths(&path).find_map(|dir| sys::program_in(&dir, cmd, text)).ok_or_else(|| {
        let text = format!("exec: {cmd:?}: executable file not found in $PATH");
        GoError(StatusCode::UNPROCESSABLE_ENTITY, text)
    })
}

/// Builds the environment as the newest original does: ours, the caller's, the caches, PATH, PWD.
fn environment_of(agent: &Environment, workdir: &Path, form: &Form, dir: &Path) -> Environment {
    let mut env = agent.clone();
    if cfg!(windows) {
        // The original's scripts for it ask for an exit code by this.
        set(&mut env, "GOBUILDEXIT", "1");
    }
    set(&mut env, "WORKDIR", workdir);
    let bootstrap = workdir.join("go1.4");
    if bootstrap.exists() || variable(&env, "GOROOT_BOOTSTRAP").is_none() {
        set(&mut env, "GOROOT_BOOTSTRAP", bootstrap);
    }
    for entry in form.of_body("env") {
        if let Some((key, value)) = entry.split_once('=')
            && !key.is_empty()
        {
            set(&mut env, key, value);
        }
    }
    for (variable, name) in CACHES {
        set(&mut env, variable, workdir.join(name));
    }
    if cfg!(windows) {
        // What TMPDIR is called there.
        for name in ["TEMP", "TMP"] {
            set(&mut env, name, workdir.join("tmp"));
        }
    }
    let elements: Vec<&str> = form.of_body("path").collect();
    if !elements.is_empty() {
        let old = variable(&env, "PATH").map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        let path = path_of(&elements, &old, &workdir.to_string_lossy(), sys::PATH_SEPARATOR);
        set(&mut env, "PATH", path);
    }
    set(&mut env, "PWD", dir);
    env
}

/// A path from the wire that does not begin in the work directory.
fn is_absolute(path: &str) -> bool {
    path.starts_with('/') || Path::new(path).is_absolute()
}

/// Replaces `$PATH`, `$WORKDIR` and `$EMPTY` in elements of PATH and drops what becomes empty.
fn path_of(elements: &[&str], old: &str, workdir: &str, separator: &str) -> String {
    let replaced = elements
        .iter()
        .map(|element| element.replace("$PATH", old).replace("$WORKDIR", workdir).replace("$EMPTY", ""));
    replaced.filter(|element| !element.is_empty()).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn path_vectors_of_the_original() {
        let old = "/bin:/usr/bin";
        let cases: [(&[&str], &str, &str); 8] = [
            (&["$PATH"], old, "/bin:/usr/bin"),
            (&["$EMPTY"], old, ""),
            (&["$EMPTY"], "", ""),
            (&["/go/bin", "$WORKDIR/foo"], old, "/go/bin:/workdir/foo"),
            (&["/go/bin", "$PATH", "$WORKDIR/foo"], old, "/go/bin:/bin:/usr/bin:/workdir/foo"),
            (&["$PATH", "/go/bin", "/a/b"], old, "/bin:/usr/bin:/go/bin:/a/b"),
            (&["$PATH"], "", ""),
            (&["$PATH", "$WORKDIR/foo"], "", "/workdir/foo"),
        ];
        for (elements, old, want) in cases {
            assert_eq!(path_of(elements, old, "/workdir", ":"), want, "{elements:?}");
        }
        let windows = path_of(&["$PATH", r"$WORKDIR\foo"], r"C:\Go\bin;C:\windows", r"C:\workdir", ";");
        assert_eq!(windows, r"C:\Go\bin;C:\windows;C:\workdir\foo");
    }
}
