//! `buildlet run-docker` and `buildlet run-qemu`, which are for hosts of Unix: here they say so.

pub(crate) mod docker {
    //! Keeping containers.

    use std::ffi::OsString;

    /// Arguments that are not looked at.
    #[derive(Debug, Clone, clap::Args)]
    pub struct DockerArgs {
        /// Whatever there is
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    }

    /// Says that it can't be done.
    pub(crate) fn keep(_args: DockerArgs) -> &'static str {
        "run-docker"
    }
}

pub(crate) mod qemu {
    //! Keeping a virtual machine.

    use std::ffi::OsString;

    /// Arguments that are not looked at.
    #[derive(Debug, Clone, clap::Args)]
    pub struct QemuArgs {
        /// Whatever there is
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    }

    /// Says that it can't be done.
    pub(crate) fn keep(_args: QemuArgs) -> &'static str {
        "run-qemu"
    }
}

use std::io::{self, Write as _};
use std::process::ExitCode;

/// Says which of them is not there.
pub(crate) fn main(keeping: &'static str) -> ExitCode {
    // Whoever has closed it does not want to know.
    let _told = writeln!(
        io::stderr(),
        "buildlet: {keeping} does not work on Windows; run it on a Linux host, or dial out from this machine itself (--reverse-type)"
    );
    ExitCode::FAILURE
}
