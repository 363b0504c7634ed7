//! Systems without namespaces.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::args::Args;

/// Says that it can't.
pub(crate) fn outside(_args: &Args, _dir: &Path) -> ExitCode {
    let _lost =
        writeln!(io::stderr(), "buildlet: jobs can't be confined here: only Linux has the namespaces for it");
    ExitCode::FAILURE
}

/// Says that it can't.
pub(crate) fn inside(_args: &Args, _dir: &Path, _ids: (u32, u32)) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
