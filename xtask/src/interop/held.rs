//! The original's client of gomote holds machines of our server, and works on them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::builds;
use super::{PATIENCE, Server};
use crate::process;

/// The builder whose machines are processes of this one, and that builds nothing.
const HERE: &str = "here";

/// What the server's file says of it.
pub(super) fn config() -> String {
    format!(
        "[host.{HERE}]\npool = \"local\"\ntrust = \"trusted\"\n\
         [builder.{HERE}]\nhost = \"{HERE}\"\nrecipe = \"fails\"\nrepos = [\"sync\"]\nbranches = [\"none-of-them\"]\n"
    )
}

/// On a machine with a buildlet of ours.
pub(super) fn of_ours(client: &Path, dir: &Path) -> Result<String> {
    work(client, dir, HERE)
}

/// On one that dialled in with an original buildlet.
pub(super) fn of_theirs(
    server: &Server,
    client: &Path,
    buildlet: &Path,
    dir: &Path,
    version: &str,
) -> Result<String> {
    let home = dir.join(format!("held{version}"));
    let running = builds::run(buildlet, version, &home)?;
    builds::here(server, version).with_context(|| running.said())?;
    work(client, dir, &format!("sync{version}")).with_context(|| running.said())
}

fn work(client: &Path, dir: &Path, builder: &str) -> Result<String> {
    let certificate = dir.join("data/tls/self-signed.pem");
    let token = std::fs::read_to_string(dir.join("data/admin-token"))?;
    let mut command = Command::new(client);
    // Files go by Go's usual client, which trusts what this variable names.
    command
        .args(["localhost:443", token.trim(), builder])
        .arg(&certificate)
        .env("SSL_CERT_FILE", &certificate);
    let said = process::output(&mut command, PATIENCE)?;
    Ok(format!("{} answers as they must be", said.lines().count()))
}
