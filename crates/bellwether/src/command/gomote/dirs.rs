//! Directories of the command line's own, one for each server.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::args::Server;

/// A directory for a server, beneath the one that a variable names or, without it, the home.
pub(super) fn of_server(server: &Server, variable: &str, beneath_home: &str, what: &str) -> Result<PathBuf> {
    let base = match (std::env::var_os(variable), std::env::var_os("HOME")) {
        (Some(dir), _) if Path::new(&dir).is_absolute() => PathBuf::from(dir),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(beneath_home),
        _ => bail!("set HOME: {what} are kept beneath it"),
    };
    let url = server.server.trim_end_matches('/');
    let authority = url.split_once("://").map_or(url, |(_, authority)| authority);
    Ok(base.join("bellwether").join(what).join(plain(authority)))
}

/// A text as a name of a directory.
fn plain(text: &str) -> String {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.chars().map(|c| if fine(c) { c } else { '-' }).collect()
}

/// Whether something that somebody typed can be a file's name, and is no option of another program.
pub(super) fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['.', '-']) && plain(name) == name
}
