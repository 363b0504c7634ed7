//! `buildlet check`: what a machine lacks to be one of a coordinator's, in plain words, before it is started.
//!
//! It takes the flags that the agent is to be started with, and changes nothing: no directory is made, nothing is registered.

mod coordinator;
mod jobs;
mod machine;
mod places;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use serde::Serialize;

use crate::args::Args;
use crate::sandbox::Reexec;

/// What is known of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warn,
    /// The agent does not start so, or no job can run.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at, in one word.
    check: &'static str,
    verdict: Verdict,
    /// What is so, and what would help if it should be otherwise.
    said: String,
}

impl Finding {
    fn ok(check: &'static str, said: impl fmt::Display) -> Self {
        Self { check, verdict: Verdict::Ok, said: said.to_string() }
    }

    fn warn(check: &'static str, said: impl fmt::Display) -> Self {
        Self { check, verdict: Verdict::Warn, said: said.to_string() }
    }

    fn fail(check: &'static str, said: impl fmt::Display) -> Self {
        Self { check, verdict: Verdict::Fail, said: said.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        // Errors of the system have lines of their own at times; each finding is one.
        write!(f, "{verdict:<4}  {}: {}", self.check, self.said.replace(['\n', '\r'], " "))
    }
}

/// All that was looked at.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether nothing failed.
    ok: bool,
    checks: &'a [Finding],
}

/// Looks at this machine with the flags that its agent is to be started with, and says what is wrong.
#[derive(clap::Parser)]
#[command(name = "buildlet check", bin_name = "buildlet check")]
struct Asked {
    /// Prints what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    args: Args,
}

/// Looks, prints, and says by its exit code whether the agent can be started: 0, or 1 if anything failed.
pub(crate) fn main(words: Vec<OsString>, reexec_prefix: Vec<OsString>) -> ExitCode {
    let words = [OsString::from("buildlet check")].into_iter().chain(words);
    let asked = match Asked::try_parse_from(crate::start::arguments(words)) {
        Ok(asked) => asked,
        Err(error) => {
            // Whoever has closed its output does not want to know.
            let _told = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(4).build();
    let findings = match runtime {
        Ok(runtime) => {
            let findings = runtime.block_on(look(&asked.args, &Reexec { prefix: reexec_prefix }));
            // A resolver that does not answer must not hold the end up.
            runtime.shutdown_background();
            findings
        }
        Err(error) => vec![Finding::fail("process", format!("nothing can be run here: {error}"))],
    };
    let ok = findings.iter().all(|finding| finding.verdict != Verdict::Fail);
    let _told = print(&Report { ok, checks: &findings }, asked.json);
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(report: &Report<'_>, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report)?;
        return writeln!(out);
    }
    report.checks.iter().try_for_each(|finding| writeln!(out, "{finding}"))
}

/// Looks at everything, what is nearest first.
async fn look(args: &Args, reexec: &Reexec) -> Vec<Finding> {
    let mut findings = machine::look(args, reexec);
    findings.extend(places::look(args));
    let plan = match args.reverse_type {
        Some(_) => None,
        None => places::listen(args, &mut findings).await,
    };
    findings.extend(jobs::look(args, crate::start::is_dedicated(args, plan.as_ref())));
    if args.reverse_type.is_some() {
        findings.extend(coordinator::look(args).await);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_says_aloud_what_failed() {
        let lines = [
            Finding::ok("a", "fine").to_string(),
            Finding::warn("b", "so so").to_string(),
            Finding::fail("c", "two\nlines").to_string(),
        ];
        assert_eq!(lines, ["ok    a: fine", "warn  b: so so", "FAIL  c: two lines"]);
    }
}
