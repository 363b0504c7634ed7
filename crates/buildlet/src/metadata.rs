//! What a machine is told about itself from outside: the password and the certificate of the port it listens on (spec 1.6).
//!
//! The variables of the environment are always looked at. A server on the local link is asked only if the operator says so by
//! `--metadata`, or names it by a variable: on a machine that stands in no cloud anybody may answer there.

mod http;

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::PathBuf;

use ::http::{Method, StatusCode};
use serde::Deserialize;

use crate::args::MetadataFrom;
use http::{ASK, Answer, Server};

/// More is no password and no chain of certificates.
const LARGEST: u64 = 1 << 20;
const LINK: &str = "169.254.169.254";
/// The header of whoever asks Google's server, and of its answers.
const FLAVOR: (&str, &str) = ("Metadata-Flavor", "Google");

/// Why it is not known what the machine was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetadataError {
    /// The server did not answer.
    #[error(
        "the metadata server {server} can't be asked for {what}: {source}; use --metadata env if there is none"
    )]
    Ask {
        /// Which.
        server: String,
        /// For what.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// It answers with something else.
    #[error("the metadata server {server} answers {status} to {what}")]
    Status {
        /// Which.
        server: String,
        /// To what.
        what: String,
        /// How.
        status: StatusCode,
    },
    /// The user data is not what it should be.
    #[error("the user data of this machine is not the JSON that buildlets are given: {0}")]
    UserData(serde_json::Error),
    /// A variable names a file that can't be read.
    #[error("the file {} that the variable {name} names can't be read: {source}", file.display())]
    File {
        /// The variable.
        name: String,
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A variable is no text.
    #[error("the variable {0} is not UTF-8")]
    Text(String),
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Whether it came from a cloud's own server.
    pub(crate) cloud: bool,
    pub(crate) password: Option<String>,
    pub(crate) tls_cert: Option<String>,
    pub(crate) tls_key: Option<String>,
}

/// Variables that no command sees.
pub(crate) const SECRET: [&str; 3] = ["META_password", "META_tls_key", "META_tls_cert"];

type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Looks for what the machine was told.
pub(crate) async fn find(from: MetadataFrom, variable: Variable<'_>) -> Result<Metadata, MetadataError> {
    let text =
        |name: &str| variable(name).and_then(|value| value.into_string().ok()).filter(|v| !v.is_empty());
    let pod = text("KUBERNETES_SERVICE_HOST").is_some()
        || text("IN_KUBERNETES").is_some_and(|v| matches!(&*v, "1" | "t" | "T" | "TRUE" | "true" | "True"));
    let named = text("GCE_METADATA_HOST");
    let google = Server::new(named.as_deref().unwrap_or(LINK));
    let amazon = text("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    let amazon = Server::new(amazon.as_deref().unwrap_or(LINK));
    match from {
        MetadataFrom::Gce => gce(&google).await,
        MetadataFrom::Ec2 => ec2(&amazon).await,
        MetadataFrom::Env if named.is_some() && !pod => gce(&google).await,
        MetadataFrom::Auto if !pod => {
            if named.is_some() || is_gce(&google).await {
                gce(&google).await
            } else if is_ec2(&amazon).await {
                ec2(&amazon).await
            } else {
                env(variable)
            }
        }
        MetadataFrom::Env | MetadataFrom::Auto => env(variable),
    }
}

fn env(variable: Variable<'_>) -> Result<Metadata, MetadataError> {
    Ok(Metadata {
        cloud: false,
        password: of_variable("META_password", variable)?,
        tls_cert: of_variable("META_tls_cert", variable)?,
        tls_key: of_variable("META_tls_key", variable)?,
    })
}

fn of_variable(name: &str, variable: Variable<'_>) -> Result<Option<String>, MetadataError> {
    let Some(value) = variable(name) else { return Ok(None) };
    let value = value.into_string().map_err(|_bad| MetadataError::Text(name.to_owned()))?;
    let Some(file) = value.strip_prefix('@') else { return Ok(Some(value)) };
    let file = PathBuf::from(file);
    let mut text = String::new();
    let read = std::fs::File::open(&file).and_then(|opened| opened.take(LARGEST).read_to_string(&mut text));
    read.map_err(|source| MetadataError::File { name: name.to_owned(), file, source })?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

async fn is_gce(server: &Server) -> bool {
    let answer = server.ask(Method::GET, "/", &[FLAVOR]).await;
    answer.is_ok_and(|answer| answer.headers.get(FLAVOR.0).is_some_and(|value| value == FLAVOR.1))
}

async fn gce(server: &Server) -> Result<Metadata, MetadataError> {
    let attribute = async |key: &str| {
        let path = format!("/computeMetadata/v1/instance/attributes/{key}");
        match checked(server, Method::GET, &path, &[FLAVOR]).await {
            Ok(answer) => Ok(Some(answer.text)),
            // Nobody has set it.
            Err(MetadataError::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    };
    Ok(Metadata {
        cloud: true,
        password: attribute("password").await?,
        tls_cert: attribute("tls-cert").await?,
        tls_key: attribute("tls-key").await?,
    })
}

/// What a coordinator writes into the user data of its machines, as far as it is ours.
#[derive(Deserialize)]
struct UserData {
    #[serde(default)]
    tls_cert: Option<String>,
    #[serde(default)]
    tls_key: Option<String>,
    #[serde(default)]
    tls_password: Option<String>,
}

/// The token by which Amazon's newer server wants to be asked; none from an older one.
async fn token(server: &Server) -> Option<String> {
    let lifetime = [("X-aws-ec2-metadata-token-ttl-seconds", "60")];
    let answer = server.ask(Method::PUT, "/latest/api/token", &lifetime).await.ok()?;
    (answer.status == StatusCode::OK).then(|| answer.text.trim().to_owned())
}

async fn amazon(server: &Server, path: &str) -> Result<Answer, MetadataError> {
    match token(server).await {
        Some(token) => checked(server, Method::GET, path, &[("X-aws-ec2-metadata-token", &token)]).await,
        None => checked(server, Method::GET, path, &[]).await,
    }
}

async fn is_ec2(server: &Server) -> bool {
    amazon(server, "/latest/meta-data/instance-id").await.is_ok()
}

async fn ec2(server: &Server) -> Result<Metadata, MetadataError> {
    let answer = amazon(server, "/latest/user-data").await?;
    let data: UserData = serde_json::from_str(&answer.text).map_err(MetadataError::UserData)?;
    Ok(Metadata { cloud: true, password: data.tls_password, tls_cert: data.tls_cert, tls_key: data.tls_key })
}

async fn checked(
    server: &Server,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer, MetadataError> {
    let asked = tokio::time::timeout(ASK, server.ask(method, path, headers)).await;
    let answer = asked.unwrap_or_else(|_late| Err(io::ErrorKind::TimedOut.into()));
    let (server, what) = (server.to_string(), path.to_owned());
    match answer {
        Err(source) => Err(MetadataError::Ask { server, what, source }),
        Ok(answer) if answer.status == StatusCode::OK => Ok(answer),
        Ok(answer) => Err(MetadataError::Status { server, what, status: answer.status }),
    }
}

#[cfg(test)]
mod tests;
