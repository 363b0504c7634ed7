//! Tokens of an app's installation. Each lasts an hour: it is made anew before it ends, and where GitHub takes it no more.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderValue;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::client::malformed;
use crate::error::Error;

/// So long before its end a token is not shown any more.
const EARLY: Duration = Duration::from_secs(5 * 60);
/// What GitHub gives tokens; what our clock makes of it otherwise is the clock's fault.
const LIFE: Duration = Duration::from_secs(3600);
/// The least that a new token is shown, whatever our clock says.
const LEAST: Duration = Duration::from_secs(60);
/// How long what says who we are holds: GitHub takes ten minutes at most, and its clock may be before or behind ours.
const CLAIM: Duration = Duration::from_secs(8 * 60);
const BACK: Duration = Duration::from_secs(60);

/// An app of GitHub's, at one of its installations.
pub struct App {
    id: String,
    installation: u64,
    key: RsaKeyPair,
}

/// Why a key is none. The key is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no RSA private key: GitHub gives one as a file that begins with -----BEGIN RSA PRIVATE KEY-----"
)]
pub struct BadKey;

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "App({} at {})", self.id, self.installation)
    }
}

impl App {
    /// Takes an app's client id or number, the number of an installation, and the private key as GitHub gives it (PEM).
    ///
    /// # Errors
    /// What is no such key.
    pub fn new(id: &str, installation: u64, key: &str) -> Result<App, BadKey> {
        let lines = key.lines().map(str::trim);
        let text: String = lines.filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(text).map_err(|_| BadKey)?;
        let pair = RsaKeyPair::from_der(&der).or_else(|_| RsaKeyPair::from_pkcs8(&der));
        Ok(App { id: id.to_owned(), installation, key: pair.map_err(|_| BadKey)? })
    }

    /// Where tokens are made.
    fn path(&self) -> String {
        format!("/app/installations/{}/access_tokens", self.installation)
    }

    /// Says who we are: a JSON web token (RFC 7519), signed by RS256.
    fn claim(&self, now: Timestamp) -> Result<String, Error> {
        let second = now.as_second();
        let claims = serde_json::json!({
            "iss": self.id, "iat": second - BACK.as_secs() as i64, "exp": second + CLAIM.as_secs() as i64,
        });
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", part(r#"{"alg":"RS256","typ":"JWT"}"#), part(&claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature)
            .map_err(|_| malformed(&self.path(), "the app's key does not sign"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[derive(Clone)]
struct Kept {
    header: HeaderValue,
    /// Until when it is shown.
    until: Timestamp,
}

#[derive(Deserialize)]
struct Made {
    token: String,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

/// The token that is shown, and how the next is had.
pub(crate) struct Tokens {
    app: App,
    kept: Mutex<Option<Kept>>,
    /// One asks, and the others wait for what it gets.
    pub(crate) asking: Semaphore,
}

/// A header that is in no text.
fn bearer(path: &str, token: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value.map_err(|_| malformed(path, "its token has characters that no header can have"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Tokens {
    pub(crate) fn new(app: App) -> Tokens {
        Tokens { app, kept: Mutex::default(), asking: Semaphore::new(1) }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        // Nothing that a panic could leave half done is behind it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that is to be shown, if it lasts.
    pub(crate) fn current(&self, now: Timestamp) -> Option<HeaderValue> {
        self.kept().as_ref().filter(|kept| now < kept.until).map(|kept| kept.header.clone())
    }

    /// GitHub took it no more: the next is made anew. Whoever was answered so for an older one changes nothing.
    pub(crate) fn refused(&self, header: &HeaderValue) {
        let mut kept = self.kept();
        if kept.as_ref().is_some_and(|kept| kept.header == header) {
            *kept = None;
        }
    }

    /// Where a token is made, and what is shown there.
    pub(crate) fn claim(&self, now: Timestamp) -> Result<(String, HeaderValue), Error> {
        let path = self.app.path();
        let header = bearer(&path, &self.app.claim(now)?)?;
        Ok((path, header))
    }

    /// Takes what was answered there.
    pub(crate) fn take(&self, body: &[u8], now: Timestamp) -> Result<HeaderValue, Error> {
        let path = self.app.path();
        let made: Made = serde_json::from_slice(body).map_err(|error| malformed(&path, place(&error)))?;
        let header = bearer(&path, &made.token)?;
        let ends = made
            .expires_at
            .map_or(LIFE, |end| Duration::try_from(end.duration_since(now)).unwrap_or_default());
        let life = ends.min(LIFE).saturating_sub(EARLY).max(LEAST);
        let until = now.checked_add(life).unwrap_or(Timestamp::MAX);
        *self.kept() = Some(Kept { header: header.clone(), until });
        Ok(header)
    }
}

/// Where an answer is wrong, without a word of it: it may have a token in it.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {}", error.line(), error.column())
}
