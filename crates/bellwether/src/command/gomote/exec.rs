//! `gomote run`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use buildlet_client::ProcessState;
use gomote::ExecuteCommandRequest;
use regex::bytes::{Regex, RegexBuilder};
use tonic::Code;

use super::desk::{Desk, said};
use super::several;
use crate::args::Run;

/// So much of the newest output is looked at for `--until`.
const LOOKED_AT: usize = 8 << 20;
/// So much of a line is waited for where several machines write.
const LONGEST_LINE: usize = 64 << 10;

pub(super) async fn run(args: &Run) -> Result<ExitCode> {
    // `^` and `$` are of a line, since whole outputs end with the end of one.
    let lines = |text: &str| RegexBuilder::new(text).multi_line(true).build();
    let until = args.until.as_deref().map(lines).transpose().context("--until")?;
    let request = request(args)?;
    let desk = Desk::new(&args.server)?;
    let names = several::all(&desk, &args.server, &args.name).await?;
    let alone = names.len() == 1;
    let codes = several::each(names, async |name| {
        let mut out = Out { name: (!alone).then(|| name.clone()), line: Vec::new() };
        let request = ExecuteCommandRequest { gomote_id: name, ..request.clone() };
        on_one(&desk, &request, until.as_ref(), args.at_most, &mut out).await
    });
    // Of several, the one that did worst.
    Ok(ExitCode::from(codes.await?.into_iter().max().unwrap_or(0)))
}

/// Runs it on one machine, once or until its output matches; its exit code.
async fn on_one(
    desk: &Desk,
    request: &ExecuteCommandRequest,
    until: Option<&Regex>,
    at_most: u32,
    out: &mut Out,
) -> Result<u8> {
    for n in 1..=at_most {
        let (state, output) = once(desk, request, until.is_some(), out).await?;
        let code = code(&state)?;
        let Some(until) = until else {
            if out.name.is_some() && code != 0 {
                out.say(&state);
            }
            return Ok(code);
        };
        if until.is_match(&output) {
            out.say(&format!("run {n}: {state}, and its output matches"));
            return Ok(code);
        }
        out.say(&format!("run {n}: {state}, no match"));
    }
    out.say(&format!("no match in {at_most} runs"));
    Ok(1)
}

/// The terminal, for one machine of perhaps several: then each line begins with its name.
struct Out {
    name: Option<String>,
    /// The beginning of a line.
    line: Vec<u8>,
}

impl Out {
    fn say(&self, text: &str) {
        match &self.name {
            Some(name) => eprintln!("{name}: {text}"),
            None => eprintln!("{text}"),
        }
    }

    fn write(&mut self, output: &[u8]) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        match &self.name {
            None => out.write_all(output)?,
            Some(name) => {
                self.line.extend_from_slice(output);
                // A line without an end is not waited for.
                let end = match self.line.iter().rposition(|byte| *byte == b'\n') {
                    Some(end) => end + 1,
                    None if self.line.len() > LONGEST_LINE => self.line.len(),
                    None => return Ok(()),
                };
                for line in self.line[..end].split_inclusive(|byte| *byte == b'\n') {
                    write!(out, "{name}: ")?;
                    out.write_all(line)?;
                }
                self.line.drain(..end);
            }
        }
        out.flush()
    }

    /// Writes what was not the whole of a line.
    fn end(&mut self) -> std::io::Result<()> {
        if self.line.is_empty() { Ok(()) } else { self.write(b"\n") }
    }
}

/// What is sent; which machine is not said yet.
fn request(args: &Run) -> Result<ExecuteCommandRequest> {
    if let Some(bad) = args.env.iter().find(|env| !env.contains('=')) {
        bail!("-e {bad}: a variable is given as NAME=VALUE");
    }
    let path = match args.path.as_deref() {
        None => Vec::new(),
        // What is empty can't be told from what is not there.
        Some("" | "EMPTY") => vec!["$EMPTY".to_owned()],
        Some(path) => path.split(',').map(str::to_owned).collect(),
    };
    let Some((command, arguments)) = args.command.split_first() else { bail!("say which command") };
    // As a shell in that directory finds it.
    let beside = command.strip_prefix("./").filter(|_| !args.dir.is_empty() && !args.dir.starts_with('/'));
    let beside = beside.map(|command| format!("{}/{command}", args.dir.trim_end_matches('/')));
    Ok(ExecuteCommandRequest {
        command: beside.unwrap_or_else(|| command.clone()),
        system_level: args.system || !command.contains('/') || command.starts_with('/'),
        debug: args.debug,
        append_environment: args.env.clone(),
        path,
        directory: args.dir.clone(),
        args: arguments.to_vec(),
        imitate_host_type: args.builderenv.clone(),
        ..ExecuteCommandRequest::default()
    })
}

/// Runs it once, its output to stdout; how its process ended, and what it printed at last, if that is wanted.
async fn once(
    desk: &Desk,
    request: &ExecuteCommandRequest,
    wanted: bool,
    out: &mut Out,
) -> Result<(String, Vec<u8>)> {
    let request = request.clone();
    let mut told = desk.done(|mut api| async move { api.execute_command(request).await }).await?;
    let mut kept = Vec::new();
    loop {
        let output = match told.message().await {
            Ok(Some(some)) => some.output,
            Ok(None) => {
                out.end().context("writing to stdout")?;
                return Ok(("ok".to_owned(), kept));
            }
            Err(status) if status.code() == Code::Unknown && code(&said(&status)).is_ok() => {
                out.end().context("writing to stdout")?;
                return Ok((said(&status), kept));
            }
            Err(status) => return desk.hint(Err(status)),
        };
        out.write(&output).context("writing to stdout")?;
        if wanted {
            let over = (kept.len() + output.len()).saturating_sub(LOOKED_AT).min(kept.len());
            kept.drain(..over);
            kept.extend_from_slice(&output);
        }
    }
}

/// The exit code that says the same as how a process ended.
fn code(state: &str) -> Result<u8> {
    match ProcessState::parse(state) {
        ProcessState::Exited(0) => Ok(0),
        // Windows has larger ones: what matters of them is that they are not 0.
        ProcessState::Exited(code) => Ok(u8::try_from(code).unwrap_or(1)),
        ProcessState::Signaled(number) => Ok(128_u8.saturating_add(u8::try_from(number).unwrap_or(1))),
        ProcessState::Other(words) => bail!("the command could not be run: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_state_is_an_exit_code() {
        for (state, expected) in [
            ("ok", 0),
            ("exit status 7", 7),
            ("exit status 0xc0000005", 1),
            ("exit status 256", 1),
            ("signal: killed", 137),
            ("signal: aborted (core dumped)", 134),
            ("signal: signal 34", 162),
        ] {
            assert_eq!(code(state).unwrap(), expected, "{state}");
        }
        assert!(code("fork/exec /x: permission denied").is_err());
    }
}
