//! `query`: runs `bellwether-query`, which is a program of its own, since its engine takes minutes to build.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow};

use crate::args::Query;

/// How it is called.
const PROGRAM: &str = "bellwether-query";

pub fn run(args: &Query) -> Result<ExitCode> {
    let beside = std::env::current_exe().ok().and_then(|itself| beside(&itself));
    let program = beside.map_or_else(|| OsString::from(PROGRAM), PathBuf::into_os_string);
    let mut command = Command::new(&program);
    command.args(&args.words);
    let done = end_as(&mut command);
    match done {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Err(missing()),
        done => done.with_context(|| format!("running {}", program.to_string_lossy())),
    }
}

/// The one in the folder of this program, if there is one.
fn beside(itself: &Path) -> Option<PathBuf> {
    let found = itself.with_file_name(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX));
    found.is_file().then_some(found)
}

fn missing() -> anyhow::Error {
    anyhow!(
        "{PROGRAM} is neither beside this program nor in PATH. It is built apart, since its engine takes some minutes: in the \
         source of bellwether, `cargo install --path query`, or `cargo build --manifest-path query/Cargo.toml` and then \
         query/target/debug/{PROGRAM} by itself"
    )
}

/// In the place of this process, which Ctrl-C and the end of a pipe reach then.
#[cfg(unix)]
fn end_as(command: &mut Command) -> io::Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec())
}

#[cfg(not(unix))]
fn end_as(command: &mut Command) -> io::Result<ExitCode> {
    let status = command.status()?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    use crate::args::{Cli, Command};

    #[test]
    fn all_words_are_for_the_other_program() {
        let given = ["--data", "DIR", "--format", "csv", "--help", "SELECT -1"];
        let cli = Cli::try_parse_from(["bellwether", "query"].into_iter().chain(given)).unwrap();
        let Command::Query(query) = cli.command else { panic!("{cli:?}") };
        assert_eq!(query.words, given);
    }

    #[test]
    fn it_is_found_beside_this_program() {
        let folder = tempfile::tempdir().unwrap();
        let itself = folder.path().join("bellwether");
        assert_eq!(beside(&itself), None);
        let program = folder.path().join(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX));
        std::fs::write(&program, "").unwrap();
        assert_eq!(beside(&itself), Some(program));
        assert!(missing().to_string().contains("cargo install --path query"));
    }
}
