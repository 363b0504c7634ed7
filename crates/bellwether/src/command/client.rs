//! The command line's way to a running server.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use transport::Service;

use crate::api::Client;
use crate::args::Server;
use crate::server::TOKEN_FILE;
use crate::system::data;

/// A running server.
pub struct Remote {
    /// Its API.
    pub api: Client,
    /// Its address.
    pub url: String,
    token: Option<String>,
    shown: Shown,
}

/// Where the token came from that is shown to the server.
enum Shown {
    Environment,
    File(PathBuf),
    /// None: the file where it is looked for can't be read.
    Nothing(PathBuf),
}

impl Remote {
    /// Reaches the server, with its token where that can be read.
    pub fn new(args: &Server) -> Result<Remote> {
        let url = match args.server.contains("://") {
            true => args.server.trim_end_matches('/').to_owned(),
            // An address as `up --listen` takes it.
            false => format!("http://{}", args.server.trim_end_matches('/')),
        };
        let mut service = match &args.ca_file {
            Some(file) => {
                let said = || format!("--ca-file {}", file.display());
                let certificates = std::fs::read(file).with_context(said)?;
                Service::url_trusting(&url, &certificates).with_context(said)?
            }
            None => Service::url(&url),
        };
        let (token, shown) = match std::env::var("BELLWETHER_TOKEN") {
            Ok(token) => (Some(token), Shown::Environment),
            Err(_) => {
                let file = args.data.clone().map_or_else(data::default_dir, Ok)?.join(TOKEN_FILE);
                match std::fs::read_to_string(&file) {
                    Ok(token) => (Some(token), Shown::File(file)),
                    Err(_) => (None, Shown::Nothing(file)),
                }
            }
        };
        let token = token.map(|token| token.trim().to_owned());
        if let Some(token) = &token {
            service = service.with_bearer(token);
        }
        Ok(Remote { api: Client::new(service), url, token, shown })
    }

    /// A server behind a service, for tests.
    #[cfg(test)]
    pub fn of(service: Service, url: &str) -> Remote {
        let (api, url) = (Client::new(service), url.to_owned());
        Remote { api, url, token: None, shown: Shown::Environment }
    }

    /// What is shown to the server.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Says what to do about a server that can't be reached.
    pub fn hint<T>(&self, answer: Result<T, transport::CallError>) -> Result<T> {
        answer.map_err(|error| match error {
            transport::CallError::Unreachable { .. } if untrusted(&error) => {
                anyhow::Error::new(error).context(format!(
                    "{} shows a certificate that is not trusted here; give it, or its authority's, by --ca-file",
                    self.url
                ))
            }
            transport::CallError::Unreachable { .. } if error.is_connect() => {
                anyhow::Error::new(error).context(format!(
                    "no server answers at {}; start one with `bellwether up`, or name it with --server",
                    self.url
                ))
            }
            transport::CallError::Unreachable { .. } => anyhow::Error::new(error)
                .context(format!("{} hung up before its answer was whole; its log may say why", self.url)),
            error if error.is_status(http::StatusCode::UNAUTHORIZED) => {
                anyhow::Error::new(error).context(self.unauthorized())
            }
            error => error.into(),
        })
    }

    /// The same as [`Remote::hint`], of an error that may be one of a call.
    pub fn hint_any<T>(&self, answer: Result<T>) -> Result<T> {
        answer.or_else(|error| match error.downcast::<transport::CallError>() {
            Ok(call) => self.hint(Err(call)),
            Err(error) => Err(error),
        })
    }

    /// Says what to do about a token that is not good, or not there.
    pub fn unauthorized(&self) -> String {
        let remedy = "name the server's data directory with --data, or set BELLWETHER_TOKEN";
        match &self.shown {
            Shown::Environment => {
                format!("{} does not take the token in BELLWETHER_TOKEN", self.url)
            }
            Shown::File(file) => {
                format!("{} does not take the token in {}; {remedy}", self.url, file.display())
            }
            Shown::Nothing(file) => {
                format!("{} wants a token, and there is none in {}; {remedy}", self.url, file.display())
            }
        }
    }
}

/// Whether it was the certificate on which a call came to nothing.
fn untrusted(error: &transport::CallError) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("invalid peer certificate") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Prints a value as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value).context("this can't be written as JSON")?);
    Ok(())
}

/// A revision with each commit cut to ten digits.
pub fn short_revision(revision: &str) -> String {
    let short = |part: &str| match part.split_once('@') {
        Some((repo, commit)) => format!("{repo}@{}", commit.get(..10).unwrap_or(commit)),
        None => part.to_owned(),
    };
    revision.split('+').map(short).collect::<Vec<_>>().join("+")
}
