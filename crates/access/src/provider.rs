//! Signing in by others: what OpenID Connect and GitHub have in common. A person is sent there with a secret of this one
//! attempt (`state`, also in a cookie) and the hash of another (PKCE); whoever comes back with both is who was sent.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use buildenv::{LoginClient, SecretSource};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use transport::{Role, Viewer};

use crate::api::Failure;
use crate::out::OutError;
use crate::page::refused;
use crate::signature::SignatureError;
use crate::{Access, make};

/// How long somebody may take to come back.
const WAIT: Duration = Duration::from_secs(600);
/// How many may be on their way.
const MOST: usize = 1000;
/// The cookie of somebody who is on the way.
const COOKIE: &str = "bellwether_login";

/// Somebody who was sent away to sign in.
#[derive(Debug)]
pub(crate) struct Pending {
    /// By which way.
    pub way: &'static str,
    /// What PKCE's hash is of.
    pub verifier: String,
    /// What the answer must name.
    pub nonce: String,
    /// Where they wanted to go.
    pub next: String,
    since: Instant,
}

/// All of them, by their state.
pub(crate) type Waiting = HashMap<String, Pending>;

/// What they come back with.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Back {
    #[serde(default)]
    pub code: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    #[error("signing in by {0} is not configured")]
    NotConfigured(&'static str),
    #[error("this sign-in was not begun in this browser, or took too long: begin again")]
    NotBegun,
    #[error("the other side says: {0}")]
    Denied(String),
    #[error("{0} has no role here; whoever runs this server can give one in [access]")]
    NoRole(String),
    #[error("{0:?} is the name of somebody who is built in, and nobody is signed in by it")]
    BuiltIn(String),
    #[error("the other side's answer is not to be believed: {0}")]
    Unbelievable(&'static str),
    #[error("the other side's answer is not to be believed: {0}")]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    Out(#[from] OutError),
    #[error("our secret there can't be read; the server's log says why")]
    Secret,
    #[error("{0}")]
    Here(String),
}

impl SignInError {
    /// Shows a person what is wrong.
    pub(crate) fn shown(&self) -> Response {
        tracing::warn!(error = %self, "nobody is signed in");
        let status = match self {
            Self::NotConfigured(_) => StatusCode::NOT_FOUND,
            Self::Out(_) | Self::Unbelievable(_) | Self::Signature(_) => StatusCode::BAD_GATEWAY,
            Self::Secret | Self::Here(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotBegun | Self::Denied(_) | Self::NoRole(_) | Self::BuiltIn(_) => StatusCode::FORBIDDEN,
        };
        refused(status, &self.to_string())
    }
}

/// PKCE's hash.
pub(crate) fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// Writes a query or a form.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Makes the request of a form.
pub(crate) fn post(url: &str, pairs: &[(&str, &str)]) -> Result<Request<Body>, SignInError> {
    let request = Request::post(url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(Body::from(form(pairs))).map_err(|error| SignInError::Here(error.to_string()))
}

/// Makes a request with a bearer token.
pub(crate) fn bearer(url: &str, token: &str) -> Result<Request<Body>, SignInError> {
    let request = Request::get(url).header(header::AUTHORIZATION, format!("Bearer {token}"));
    request.body(Body::empty()).map_err(|error| SignInError::Here(error.to_string()))
}

/// Somebody whom the other side knows, and who has a role here.
pub(crate) struct Known {
    person: String,
    role: Role,
    pending: Pending,
}

impl Known {
    /// Finds the role that somebody's groups have.
    ///
    /// # Errors
    /// [`SignInError::NoRole`] if they have none; [`SignInError::BuiltIn`] if they go by the name of somebody who is built in.
    pub(crate) fn of(
        client: &LoginClient,
        person: String,
        groups: &[String],
        pending: Pending,
    ) -> Result<Known, SignInError> {
        if Viewer::is_built_in(&person) {
            return Err(SignInError::BuiltIn(person));
        }
        match role(client, groups.iter().map(String::as_str)) {
            Some(role) => Ok(Known { person, role, pending }),
            None => Err(SignInError::NoRole(person)),
        }
    }
}

/// The highest of the roles that somebody's groups have.
fn role<'a>(client: &LoginClient, groups: impl Iterator<Item = &'a str> + Clone) -> Option<Role> {
    let fits = |group: &str| group == "*" || groups.clone().any(|of| of.eq_ignore_ascii_case(group));
    let roles =
        client.roles.iter().filter(|(group, _)| fits(group)).filter_map(|(_, role)| role.parse().ok());
    // Of these three the later one may more.
    roles.filter(|role| matches!(role, Role::Reader | Role::Developer | Role::Admin)).max()
}

impl Access {
    /// Sends somebody away; `address` makes the address of the other side from state, PKCE's hash and nonce.
    pub(crate) fn send_away(
        &self,
        way: &'static str,
        next: &str,
        address: impl FnOnce(&str, &str, &str) -> String,
    ) -> Result<Response, SignInError> {
        let secret = || make("").map_err(|error| SignInError::Here(error.to_string()));
        let (state, verifier, nonce) = (secret()?, secret()?, secret()?);
        let to = address(&state, &challenge(&verifier), &nonce);
        let mut waiting = self.0.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        waiting.retain(|_, one| one.since.elapsed() < WAIT);
        if waiting.len() >= MOST {
            let oldest = waiting.iter().min_by_key(|(_, one)| one.since).map(|(state, _)| state.clone());
            oldest.and_then(|state| waiting.remove(&state));
        }
        let pending = Pending { way, verifier, nonce, next: next.to_owned(), since: Instant::now() };
        waiting.insert(state.clone(), pending);
        drop(waiting);
        let cookie = self.way_cookie(&state, WAIT.as_secs());
        Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&to)).into_response())
    }

    fn way_cookie(&self, value: &str, seconds: u64) -> HeaderValue {
        let tail = if self.secure() { "; Secure" } else { "" };
        let text = format!("{COOKIE}={value}; Path=/login; HttpOnly; SameSite=Lax; Max-Age={seconds}{tail}");
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(COOKIE))
    }

    /// Takes somebody back who was sent away from this browser, once.
    pub(crate) fn take_back(
        &self,
        way: &'static str,
        headers: &HeaderMap,
        back: &Back,
    ) -> Result<Pending, SignInError> {
        let sent = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut sent = sent.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let ours = sent.any(|(name, value)| name == COOKIE && value == back.state);
        let mut waiting = self.0.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let pending = if ours { waiting.remove(&back.state) } else { None };
        drop(waiting);
        let pending = pending.filter(|one| one.way == way && one.since.elapsed() < WAIT);
        let pending = pending.ok_or(SignInError::NotBegun)?;
        if !back.error.is_empty() {
            return Err(SignInError::Denied(format!("{} {}", back.error, back.error_description)));
        }
        Ok(pending)
    }

    /// Lets somebody in whom the other side knows, and takes the cookie of the way away; or shows why not.
    pub(crate) async fn welcome(
        &self,
        headers: &HeaderMap,
        found: Result<Known, SignInError>,
    ) -> Result<Response, Failure> {
        let Known { person, role, pending } = match found {
            Ok(known) => known,
            Err(error) => return Ok(error.shown()),
        };
        let mut response = self.let_in(headers, &person, role, pending.way, &pending.next).await?;
        response.headers_mut().append(header::SET_COOKIE, self.way_cookie("", 0));
        Ok(response)
    }

    /// Reads our secret there.
    pub(crate) async fn client_secret(&self, client: &LoginClient) -> Result<String, SignInError> {
        let read = match &client.client_secret {
            SecretSource::Env(name) => std::env::var(name).map_err(|error| format!("{name}: {error}")),
            SecretSource::File(file) => {
                let path = self.0.data.join(file);
                let read = tokio::fs::read_to_string(&path).await;
                read.map_err(|error| format!("{}: {error}", path.display()))
            }
        };
        read.map(|text| text.trim().to_owned()).map_err(|error| {
            tracing::error!(error, "the secret of signing in can't be read");
            SignInError::Secret
        })
    }

    /// The address that the other side sends people back to.
    pub(crate) fn way_back(&self, way: &str) -> String {
        format!("{}/login/{way}/callback", self.config().environment().url.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn the_highest_role_of_a_persons_groups_counts() {
        let roles = [("ops", "admin"), ("dev", "developer"), ("*", "reader"), ("odd", "service")];
        let client = |roles: &[(&str, &str)]| LoginClient {
            client_id: "ci".into(),
            client_secret: SecretSource::Env("X".into()),
            roles: roles.iter().map(|(group, role)| ((*group).into(), (*role).into())).collect(),
        };
        let all = client(&roles);
        assert_eq!(role(&all, ["dev", "ops"].into_iter()), Some(Role::Admin));
        assert_eq!(role(&all, ["Dev"].into_iter()), Some(Role::Developer));
        assert_eq!(role(&all, ["odd"].into_iter()), Some(Role::Reader));
        assert_eq!(role(&client(&roles[..2]), ["odd"].into_iter()), None);
    }

    #[test]
    fn nobody_is_signed_in_by_the_name_of_somebody_who_is_built_in() {
        let client = LoginClient {
            client_id: "ci".into(),
            client_secret: SecretSource::Env("X".into()),
            roles: [("*".into(), "reader".into())].into(),
        };
        let known = |person: &str| {
            let pending = Pending {
                way: "oidc",
                verifier: String::new(),
                nonce: String::new(),
                next: String::new(),
                since: Instant::now(),
            };
            Known::of(&client, person.to_owned(), &[], pending)
        };
        for name in ["admin", "anonymous"] {
            assert!(matches!(known(name), Err(SignInError::BuiltIn(of)) if of == name));
        }
        assert!(known("admin (7)").is_ok());
    }
}
