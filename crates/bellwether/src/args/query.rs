//! Arguments of `query`.

use std::ffi::OsString;

use clap::Args;

/// Arguments of `query`, all of which are for the program that it runs.
#[derive(Debug, Clone, Args)]
pub struct Query {
    /// What `bellwether-query` is told: --data DIR 'SELECT …', --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARG")]
    pub words: Vec<OsString>,
}
