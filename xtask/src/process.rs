//! Commands with a time limit: lines as they come, and all that was started ended when the time is over.

mod tree;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How long a finished command's pipes may be held open by something it left behind.
const LINGER: Duration = Duration::from_secs(5);
/// Lines waiting between the readers and the caller.
const QUEUE: usize = 1024;

/// A line of a command's output.
pub enum Line {
    /// From standard output.
    Out(String),
    /// From standard error.
    Err(String),
}

/// How a command ended.
pub enum End {
    /// By itself.
    Exited(ExitStatus),
    /// Its time was over; it, its process group and all that it started were killed.
    TimedOut,
}

/// Cargo, for a command from within `cargo xtask`, without what cargo told this program about its own package: build scripts
/// that look at it (ring's) would run anew, and all that is built upon them with them.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os().filter(|(name, _)| of_own_package(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command
}

/// Whether cargo sets this variable for a program that it runs, to tell it of the program's package.
fn of_own_package(name: &str) -> bool {
    name.starts_with("CARGO_PKG_") || matches!(name, "CARGO_MANIFEST_DIR" | "CARGO_MANIFEST_PATH")
}

/// Runs `command` with no standard input, hands each line to `on_line`, and ends it with all that it started after `limit`.
pub fn stream(command: &mut Command, limit: Duration, mut on_line: impl FnMut(Line)) -> Result<End> {
    let deadline = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    let (send, lines) = sync_channel(QUEUE);
    read_lines(child.stdout.take(), send.clone(), Line::Out);
    read_lines(child.stderr.take(), send, Line::Err);
    loop {
        if let Some(status) = child.try_wait()? {
            drain(&lines, &mut on_line);
            return Ok(End::Exited(status));
        }
        if Instant::now() >= deadline {
            tree::end_below(child.id());
            end_group(&mut child);
            drain(&lines, &mut on_line);
            return Ok(End::TimedOut);
        }
        match lines.recv_timeout(Duration::from_millis(20)) {
            Ok(line) => on_line(line),
            Err(RecvTimeoutError::Timeout) => {}
            // Both pipes are closed; only its end is missing.
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    }
}

/// Runs `command` to its end and returns its standard output; a failure carries the end of its standard error.
pub fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let shown = shown(command);
    let (mut out, mut err) = (String::new(), Vec::new());
    let end = stream(command, limit, |line| match line {
        Line::Out(line) => {
            out.push_str(&line);
            out.push('\n');
        }
        Line::Err(line) => err.push(line),
    })?;
    match end {
        End::Exited(status) if status.success() => Ok(out),
        End::Exited(status) => {
            let tail = err.len().saturating_sub(12);
            bail!("{shown}: {status}\n{}", err[tail..].join("\n"))
        }
        End::TimedOut => bail!("{shown}: not done after {} s", limit.as_secs()),
    }
}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Kills the process group of `child` (started with `process_group(0)`) and waits for the child.
pub fn end_group(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Gone already is as good.
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait();
}

fn read_lines(pipe: Option<impl Read + Send + 'static>, send: SyncSender<Line>, kind: fn(String) -> Line) {
    let Some(pipe) = pipe else { return };
    // The thread ends with the pipe, or when nobody listens any more.
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while let Ok(1..) = reader.read_until(b'\n', &mut bytes) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            if send.send(kind(line)).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}

fn drain(lines: &Receiver<Line>, on_line: &mut impl FnMut(Line)) {
    let until = Instant::now() + LINGER;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match lines.recv_timeout(left) {
            Ok(line) => on_line(line),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_told_of_no_package_but_of_where_it_works() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION_PRE"] {
            assert!(of_own_package(name), "{name}");
        }
        for name in ["CARGO", "CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "PATH"] {
            assert!(!of_own_package(name), "{name}");
        }
        let told = cargo().get_envs().filter(|(_, value)| value.is_some()).count();
        assert_eq!(told, 0, "nothing is set, some is taken away");
    }

    #[test]
    fn lines_of_both_pipes_arrive_and_the_status_is_kept() {
        let mut lines = Vec::new();
        let end = stream(
            Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]),
            Duration::from_secs(20),
            |line| {
                lines.push(match line {
                    Line::Out(text) => format!("1 {text}"),
                    Line::Err(text) => format!("2 {text}"),
                })
            },
        )
        .unwrap();
        lines.sort();
        assert_eq!(lines, ["1 out", "2 err"]);
        assert!(matches!(end, End::Exited(status) if status.code() == Some(3)));
    }

    #[test]
    fn an_endless_command_is_ended_with_its_group_and_what_left_it() {
        let mut pids = Vec::new();
        let end = stream(
            Command::new("sh")
                .args(["-c", "sleep 1000 & echo $!; setsid sh -c 'sleep 1000 & echo $!; wait'"]),
            Duration::from_secs(1),
            |line| {
                if let Line::Out(text) = line {
                    pids.push(text);
                }
            },
        )
        .unwrap();
        assert!(matches!(end, End::TimedOut));
        assert_eq!(pids.len(), 2, "{pids:?}");
        // The grandchildren got the same signal; their ends, or their places as zombies, follow at once.
        for pid in pids {
            testkit::wait_for("a grandchild's end", Duration::from_secs(20), || {
                let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                Ok((state.is_empty() || state.contains(") Z ")).then_some(()))
            })
            .unwrap();
        }
    }

    #[test]
    fn a_failure_carries_the_end_of_standard_error() {
        let error = output(Command::new("sh").args(["-c", "echo why >&2; exit 1"]), Duration::from_secs(20))
            .unwrap_err()
            .to_string();
        assert!(error.contains("why") && error.starts_with("sh -c"), "{error}");
    }
}
