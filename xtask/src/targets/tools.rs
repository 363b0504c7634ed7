//! What targets need from the machine: standard libraries, compilers, and what runs a program of another kind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::list::Runner;
use crate::process;

/// The time one download of a standard library may take.
const DOWNLOAD: Duration = Duration::from_secs(5 * 60);
/// The time rustc may take to say where it lives.
const ASKED: Duration = Duration::from_secs(60);

/// Makes sure that the toolchain in use has the target's standard library, by rustup if need be.
pub(super) fn standard_library(triple: &str) -> Result<()> {
    let sysroot = process::output(Command::new("rustc").args(["--print", "sysroot"]), ASKED)?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(triple).join("lib");
    if library.exists() {
        return Ok(());
    }
    if found("rustup").is_none() {
        bail!(
            "{} is not there, and no rustup to install it: install what your system calls it",
            library.display()
        );
    }
    process::output(Command::new("rustup").args(["target", "add", triple]), DOWNLOAD).with_context(|| {
        format!("rustup could not install it; with a network, `rustup target add {triple}` shows why")
    })?;
    Ok(())
}

/// Where a program is that is named or found in `PATH`.
pub(super) fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// What goes before the program's name to run it here, or why it can't be.
pub(super) fn how_to_run(runner: Runner) -> Result<Vec<String>, String> {
    match runner {
        Runner::Itself(arch) if std::env::consts::ARCH == arch => Ok(Vec::new()),
        Runner::Itself(arch) => Err(format!("this machine is no {arch}")),
        Runner::By(program) if found(program).is_some() => Ok(vec![program.to_owned()]),
        Runner::By(program) => Err(format!("no {program} here")),
    }
}

/// Has build scripts compile their C by a program that does nothing: for what is checked, no object is ever read, and a
/// real compiler would want the headers of the target's system.
pub(super) fn compile_nothing(command: &mut Command, triple: &str) {
    set(command, "CC", triple, "true");
    set(command, "AR", triple, "true");
    // Else Apple's own tool is asked where its headers are.
    command.env("SDKROOT", "/");
}

/// Sets `CC` or `AR` for the target, unless whoever calls has set it.
pub(super) fn set(command: &mut Command, what: &str, triple: &str, program: &str) {
    let name = format!("{what}_{}", triple.replace('-', "_"));
    if std::env::var_os(&name).is_none() {
        command.env(name, program);
    }
}

/// The target as cargo's variables spell it.
pub(super) fn upper(triple: &str) -> String {
    triple.replace('-', "_").to_uppercase()
}
