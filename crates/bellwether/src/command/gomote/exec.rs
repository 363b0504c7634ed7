//! `gomote run`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use buildlet_client::ProcessState;
use gomote::ExecuteCommandRequest;
use regex::bytes::RegexBuilder;
use tonic::Code;

use super::desk::{Desk, said};
use super::named;
use crate::args::Run;

/// So much of the newest output is looked at for `--until`.
const LOOKED_AT: usize = 8 << 20;

pub(super) async fn run(args: &Run) -> Result<ExitCode> {
    // `^` and `$` are of a line, since whole outputs end with the end of one.
    let lines = |text: &str| RegexBuilder::new(text).multi_line(true).build();
    let until = args.until.as_deref().map(lines).transpose().context("--until")?;
    let request = request(args)?;
    let desk = Desk::new(&args.server)?;
    for n in 1..=args.at_most {
        let (state, output) = once(&desk, &request, until.is_some()).await?;
        let Some(until) = &until else { return Ok(ExitCode::from(code(&state)?)) };
        if until.is_match(&output) {
            eprintln!("run {n}: {state}, and its output matches");
            return Ok(ExitCode::from(code(&state)?));
        }
        eprintln!("run {n}: {state}, no match");
    }
    eprintln!("no match in {} runs", args.at_most);
    Ok(ExitCode::FAILURE)
}

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
        gomote_id: named(&args.name)?,
        command: beside.unwrap_or_else(|| command.clone()),
        system_level: args.system || !command.contains('/') || command.starts_with('/'),
        debug: args.debug,
        append_environment: args.env.clone(),
        path,
        directory: args.dir.clone(),
        args: arguments.to_vec(),
        imitate_host_type: args.builderenv.clone(),
    })
}

/// Runs it once, its output to stdout; how its process ended, and what it printed at last, if that is wanted.
async fn once(desk: &Desk, request: &ExecuteCommandRequest, wanted: bool) -> Result<(String, Vec<u8>)> {
    let request = request.clone();
    let mut told = desk.done(|mut api| async move { api.execute_command(request).await }).await?;
    let mut kept = Vec::new();
    loop {
        let output = match told.message().await {
            Ok(Some(some)) => some.output,
            Ok(None) => return Ok(("ok".to_owned(), kept)),
            Err(status) if status.code() == Code::Unknown && code(&said(&status)).is_ok() => {
                return Ok((said(&status), kept));
            }
            Err(status) => return desk.hint(Err(status)),
        };
        let mut out = std::io::stdout().lock();
        out.write_all(&output).and_then(|()| out.flush()).context("writing to stdout")?;
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
