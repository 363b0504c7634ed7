//! The server's program, and examples, built by cargo.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::metadata;
use crate::process::{self, End, Line};

/// A build may take this long, from nothing.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Builds `bellwether` with more arguments for `cargo build`, and says where it is.
pub fn build(arguments: &[&str]) -> Result<PathBuf> {
    made(&[&["build", "--package", "bellwether"], arguments].concat())
}

/// The one that the tests run, with all features: where they were built, nothing is left to be done. Another selection of
/// packages is another set of features to cargo, for which it makes most crates anew.
pub fn tested() -> Result<PathBuf> {
    made(&["test", "--no-run", "--workspace", "--all-features", "--test", "it"])
}

/// An example of a crate, built as the tests are.
pub fn example(name: &str) -> Result<PathBuf> {
    program(name, &["build", "--workspace", "--all-features", "--example", name])
}

fn made(arguments: &[&str]) -> Result<PathBuf> {
    program("bellwether", arguments)
}

fn program(name: &str, arguments: &[&str]) -> Result<PathBuf> {
    let mut command = process::cargo();
    command.args(arguments).arg("--message-format=json-render-diagnostics").current_dir(metadata::root());
    let mut found = None;
    let end = process::stream(&mut command, LIMIT, |line| match line {
        Line::Err(text) => eprintln!("{text}"),
        Line::Out(text) => {
            let message: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            if message["target"]["name"] == name
                && message["profile"]["test"] == false
                && let Some(path) = message["executable"].as_str()
            {
                found = Some(PathBuf::from(path));
            }
        }
    })?;
    match end {
        End::Exited(status) if status.success() => {
            found.with_context(|| format!("cargo made no program {name}"))
        }
        End::Exited(status) => bail!("`{}`: {status}", process::shown(&command)),
        End::TimedOut => bail!("`{}` took more than {} min", process::shown(&command), LIMIT.as_secs() / 60),
    }
}
