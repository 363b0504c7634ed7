//! A log that is served: how soon clients see what is new, and what it costs to give it to many who have nothing of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use testkit::{Kill, kill};

use super::Args;
use super::beside::{self, Beside, median};
use super::corpus::{MB, example, load_of_machine, said};
use super::table::{self, Table};
use crate::corpus;
use crate::interop::around;

/// What is made up where no log is given: as much as is served.
const SCALE: f64 = 0.11;
/// So much of the log is served.
const SERVED: u64 = 128 << 20;
/// Clients that catch up at once.
const CLIENTS: usize = 100;
/// Mutations whose way is timed.
const MUTATIONS: usize = 500;
/// By which a mutation is to be seen, in milliseconds.
const SEEN: f64 = 50.0;
/// The longest that a server takes to listen, and to say what it took.
const ANSWER: Duration = Duration::from_secs(60);
/// How many times the processor time of sendfile ours may take.
const COSTS: f64 = 1.2;

pub(super) fn section(args: &Args) -> Result<String> {
    let made = tempfile::tempdir().context("a folder for the log")?;
    let log = match &args.log {
        Some(log) => log.as_path(),
        None => {
            corpus::make(made.path(), SCALE)?;
            made.path()
        }
    };
    let (catch_up, seen) = (example("maintnerd", "catch_up")?, example("maintnerd", "seen")?);
    let theirs = around("netsource", "./netsource")?;
    let dir = tempfile::tempdir().context("a folder for segments")?;
    let bytes = SERVED.to_string();
    said(Command::new(&catch_up).arg("make").arg(log).arg(dir.path()).arg(&bytes))?;
    let mut sides: [Side; 3] = Default::default();
    for round in 1..=args.rounds {
        eprintln!("catching up, round {round} of {}", args.rounds);
        for (side, name) in sides.iter_mut().zip(["sendfile", "serve", "copy"]) {
            side.round(&catch_up, name, dir.path())?;
        }
    }
    let [sendfile, ours, copied] = &sides;
    ensure!(sendfile.bytes == ours.bytes, "sendfile sent {} bytes, ours {}", sendfile.bytes, ours.bytes);
    let mut costs = Table::new("sendfile", "ours");
    costs.row(
        "processor time of the server",
        "s",
        median(&sendfile.cpu),
        median(&ours.cpu),
        table::Budget::Times(COSTS),
    );
    let (least, copied) = (median(&sendfile.cpu), median(&copied.cpu));
    costs.row("… where the edge does not know what lies in files", "s", least, copied, table::Budget::None);
    costs.row("time", "s", median(&sendfile.seconds), median(&ours.seconds), table::Budget::None);

    eprintln!("{MUTATIONS} mutations, seen by either client");
    let count = MUTATIONS.to_string();
    let ours_sees = said(Command::new(&seen).arg(dir.path()).arg(&count))?;
    let theirs_sees = said(Command::new(&seen).arg(dir.path()).arg(&count).arg(&theirs))?;
    let of = |said: &Value, name: &str| said[name].as_f64().with_context(|| format!("no {name} in {said}"));
    let mut times = Beside::default();
    for name in ["p50", "p99", "max"] {
        let what = format!("appended → seen, {name}");
        times.row(&what, "ms", of(&theirs_sees, name)?, of(&ours_sees, name)?, beside::Budget::None);
    }
    let p99 = of(&ours_sees, "p99")?;
    Ok(format!(
        "`--only served --rounds {}`: {CLIENTS} clients at once read {:.0} MB of a log each, {:.1} GB in all, from a server in a process of its own: from our routes behind \
         our edge, and from a thread for each connection that does nothing but sendfile (the example `catch_up` of crate maintnerd), in turns; \
         medians. Processor time is the server's, the system's for it included; on a machine that has other \
         work it is more to be believed than times are.{}\n\n{}\n\
         From the call that appends a mutation to that log until a client on loopback has it, {MUTATIONS} of them one after another at random pauses of \
         up to 40 ms (the example `seen`): our client once its corpus has it, the original's once it has handed it on (`interop/netsource`; it hashes \
         each segment anew for each change, as it does with all that are not in Google's storage). The budget for ours is p99 < {SEEN:.0} ms: {}.\n\n{}",
        args.rounds,
        ours.bytes / CLIENTS as f64 / MB,
        ours.bytes / MB / 1e3,
        load_of_machine(),
        costs.finish(),
        if p99 < SEEN { "met" } else { "**missed**" },
        times.finish(),
    ))
}

/// What one server took, round by round.
#[derive(Default)]
struct Side {
    cpu: Vec<f64>,
    seconds: Vec<f64>,
    bytes: f64,
}

impl Side {
    fn round(&mut self, program: &Path, name: &str, folder: &Path) -> Result<()> {
        let mut server = Server::start(program, name, folder)?;
        let before = server.cpu()?;
        let got = said(Command::new(program).arg("fetch").arg(&server.address).arg(CLIENTS.to_string()))?;
        self.cpu.push(server.cpu()? - before);
        self.seconds.push(got["seconds"].as_f64().context("no seconds")?);
        self.bytes = got["bytes"].as_f64().context("no bytes")?;
        Ok(())
    }
}

/// A server of the example, which says what it took when it is sent a line.
struct Server {
    child: Child,
    to: ChildStdin,
    from: Receiver<String>,
    address: String,
}

impl Server {
    fn start(program: &Path, name: &str, folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg(name).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| program.display().to_string())?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (to, from) = to.zip(from).context("its input and output are ours")?;
        let (send, lines) = sync_channel(1);
        // It ends with the server, or when nobody listens any more.
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut server = Self { child, to, from: lines, address: String::new() };
        server.address = server.line(ANSWER)?;
        Ok(server)
    }

    fn line(&mut self, limit: Duration) -> Result<String> {
        let line = self.from.recv_timeout(limit).map_err(|why| match why {
            RecvTimeoutError::Timeout => anyhow!("the server says nothing for {} s", limit.as_secs()),
            RecvTimeoutError::Disconnected => anyhow!("the server ended"),
        })?;
        Ok(line.trim().to_owned())
    }

    /// Seconds of processor that it has had.
    fn cpu(&mut self) -> Result<f64> {
        writeln!(self.to)?;
        let line = self.line(ANSWER)?;
        line.parse().with_context(|| format!("{line:?} is no time"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill(self.child.id(), Kill::Crash);
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_says_nothing_or_ends_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("server");
        std::fs::write(&script, "echo here\nread line\n[ $1 = ends ] || exec sleep 1000\n").unwrap();
        let start = |how| Server::start(Path::new("sh"), script.to_str().unwrap(), Path::new(how)).unwrap();
        let mut silent = start("silent");
        assert_eq!(silent.address, "here");
        let said = silent.line(Duration::from_millis(10)).unwrap_err().to_string();
        assert!(said.contains("says nothing"), "{said}");
        let said = start("ends").cpu().unwrap_err().to_string();
        assert!(said.contains("ended"), "{said}");
    }
}
