//! `/debug/goroutines` and `/debug/x`.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Uri, header};

use crate::agent::{Agent, ORIGINAL};
use crate::exec::tree;
use crate::http::GoError;

use super::form::Form;

/// The longest text, in bytes; as the original's.
const LONGEST: usize = 2 << 20;
/// The most letters that are sent to see how far a packet gets.
const MOST_LETTERS: usize = 1 << 20;

/// What the agent is doing: there are no goroutines here, but who asks wants to know why it seems to hang.
pub(crate) async fn goroutines(State(agent): State<Arc<Agent>>) -> Response {
    let mut text = String::new();
    describe(&agent, &mut text);
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
    }
    plain(text)
}

fn describe(agent: &Agent, text: &mut String) {
    let (os, arch) = super::target();
    let (requests, up) = agent.doings();
    let metrics = tokio::runtime::Handle::current().metrics();
    let pid = std::process::id().cast_signed();
    let own = tree::process(pid);
    // Writing to a string never fails.
    let _ok = writeln!(
        text,
        "buildlet version {ORIGINAL} ({os}-{arch}), bellwether {}, process {pid}\n\
         up {} s, memory {} KiB, threads {}, processor {} ms\n\
         requests {requests}, tasks {}, instance {}, work directory {}\n",
        env!("CARGO_PKG_VERSION"),
        up.as_secs(),
        own.map_or(0, |own| own.rss_bytes) >> 10,
        own.map_or(0, |own| own.threads),
        own.map_or(0, |own| own.cpu_ms),
        metrics.num_alive_tasks(),
        agent.instance(),
        agent.workdir().display(),
    );
    if let Some(reason) = agent.set_aside() {
        let _ok = writeln!(text, "set aside: {reason}\n");
    }
    for exec in agent.table.list() {
        let _ok = writeln!(text, "command {} {:?}", exec.id, exec.state);
    }
    for process in agent.table.everything() {
        if text.len() > LONGEST {
            return;
        }
        let line = tree::command_line(process.pid);
        let name = line.split(' ').next().unwrap_or_default();
        let _ok = writeln!(
            text,
            "process {} of {} {:?}{}: threads {}, memory {} KiB, processor {} ms",
            process.pid,
            process.parent,
            name,
            if process.zombie { " (ended)" } else { "" },
            process.threads,
            process.rss_bytes >> 10,
            process.cpu_ms,
        );
    }
}

/// As many letters as asked for.
pub(crate) async fn letters(uri: Uri) -> Result<Response, GoError> {
    let form = Form::of_query(uri.query());
    let count = count(form.get("n")).ok_or_else(|| GoError::bad("bad 'n' parameter: it is negative"))?;
    Ok(plain("X".repeat(count)))
}

/// Reads a number as the original does: what is none is 0, and what is too much is all that there is.
fn count(text: &str) -> Option<usize> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(0);
    }
    let number = digits.parse().unwrap_or(usize::MAX);
    if negative && number > 0 { None } else { Some(number.min(MOST_LETTERS)) }
}

fn plain(text: String) -> Response {
    let mut response = text.into_response();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_original_reads_them() {
        for (text, want) in [
            ("", Some(0)),
            ("x", Some(0)),
            ("1.5", Some(0)),
            ("0", Some(0)),
            ("-0", Some(0)),
            ("17", Some(17)),
            ("+17", Some(17)),
            ("1048577", Some(1_048_576)),
            ("99999999999999999999999", Some(1_048_576)),
            ("-1", None),
            ("-99999999999999999999999", None),
            ("--1", Some(0)),
        ] {
            assert_eq!(count(text), want, "{text:?}");
        }
    }
}
