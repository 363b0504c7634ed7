//! Gerrit's REST API and its git, as one of its users.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::Value;

use crate::git;
use crate::http::exchange;

/// What stands before each JSON that Gerrit answers, against its use as a script.
const PREFIX: &[u8] = b")]}'\n";

/// Somebody who asks a Gerrit: by HTTP Basic with a name and a password, or as nobody in particular.
#[derive(Debug, Clone)]
pub struct User {
    at: SocketAddr,
    name: String,
    authorization: Option<String>,
}

impl User {
    /// A user with a password of Gerrit's own (`http_password`).
    #[must_use]
    pub fn new(at: SocketAddr, name: &str, password: &str) -> Self {
        let authorization = Some(format!("Basic {}", BASE64.encode(format!("{name}:{password}"))));
        Self { at, name: name.to_owned(), authorization }
    }

    pub(super) fn nobody(at: SocketAddr) -> Self {
        Self { at, name: String::new(), authorization: None }
    }

    /// The user's name; empty for nobody in particular.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of a project's repository for git.
    #[must_use]
    pub fn repository(&self, project: &str) -> String {
        let prefix = if self.authorization.is_some() { "a/" } else { "" };
        format!("http://{}/{prefix}{project}", self.at)
    }

    /// Arguments for git, before its command, with which it is this user.
    #[must_use]
    pub fn git_options(&self) -> Vec<String> {
        let header = self.authorization.as_ref();
        header
            .map(|value| ["-c".into(), format!("http.extraHeader=Authorization: {value}")].into())
            .unwrap_or_default()
    }

    /// The refs of a project that git shows this user, by name.
    ///
    /// # Errors
    /// When git or Gerrit refuses.
    pub fn refs(&self, project: &str) -> Result<BTreeMap<String, String>> {
        let mut arguments = self.git_options();
        arguments.extend(["ls-remote".into(), "--quiet".into(), self.repository(project)]);
        // It needs no repository, and reads none above this folder.
        let mut command = git::command(&std::env::temp_dir());
        let output = git::run(command.env("GIT_CEILING_DIRECTORIES", "/").args(arguments), None);
        let listed = output.with_context(|| format!("ls-remote as {:?}", self.name))?;
        let pairs = listed.lines().filter_map(|line| line.split_once('\t'));
        Ok(pairs.map(|(id, name)| (name.to_owned(), id.to_owned())).collect())
    }

    /// Asks for what is at a path that begins with `/` (without `/a`).
    ///
    /// # Errors
    /// When Gerrit answers otherwise than 2xx with JSON; carries its words.
    pub fn get(&self, path: &str) -> Result<Value> {
        self.ask("GET", path, None)
    }

    /// Sends JSON; an answer without a body is null.
    ///
    /// # Errors
    /// As [`User::get`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("POST", path, Some(body))
    }

    /// Puts JSON; an answer without a body is null.
    ///
    /// # Errors
    /// As [`User::get`].
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask("PUT", path, Some(body))
    }

    /// Removes what is at a path.
    ///
    /// # Errors
    /// As [`User::get`].
    pub fn delete(&self, path: &str) -> Result<Value> {
        self.ask("DELETE", path, None)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let whole = if self.authorization.is_some() { format!("/a{path}") } else { path.to_owned() };
        let answer = exchange(self.at, method, &whole, self.authorization.as_deref(), body)?;
        if !(200..300).contains(&answer.status) {
            let said: String = String::from_utf8_lossy(&answer.body).chars().take(400).collect();
            bail!("{method} {path} as {:?}: {} {}", self.name, answer.status, said.trim());
        }
        match answer.body.strip_prefix(PREFIX) {
            Some(json) => serde_json::from_slice(json).with_context(|| format!("{method} {path}: not JSON")),
            None => Ok(Value::Null),
        }
    }
}

/// A name as one piece of a path.
pub(super) fn piece(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_piece_of_a_path() {
        assert_eq!(piece("infra/tools ä"), "infra%2Ftools%20%C3%A4");
    }
}
