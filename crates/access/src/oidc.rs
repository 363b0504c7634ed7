//! Signing in by OpenID Connect: the code flow with PKCE.
//!
//! The id token comes from the provider's own endpoint over TLS (or on this machine), in answer to our secret. Its
//! signature by a key that the provider publishes, issuer, audience, end and nonce are checked (OpenID Connect Core 3.1.3.7).

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use base64::Engine as _;
use buildenv::Oidc;
use http::{HeaderMap, HeaderValue, Request, header};
use serde::Deserialize;
use serde_json::Value;

use crate::Access;
use crate::api::Failure;
use crate::out::{is_safe, json};
use crate::provider::{Back, Known, SignInError, bearer, form, post};
use crate::sign_in::{SignIn, safe_next};
use crate::signature::{Keys, signed};

const WAY: &str = "oidc";
/// How far the provider's clock may be from ours, in seconds.
const CLOCKS: i64 = 120;

/// What a provider says of itself.
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Tokens {
    access_token: String,
    id_token: String,
}

async fn discover(oidc: &Oidc) -> Result<Discovery, SignInError> {
    let url = format!("{}/.well-known/openid-configuration", oidc.issuer.trim_end_matches('/'));
    let request = Request::get(&url).body(axum::body::Body::empty());
    let found: Discovery = json(request.map_err(|error| SignInError::Here(error.to_string()))?).await?;
    if found.issuer.trim_end_matches('/') != oidc.issuer.trim_end_matches('/') {
        return Err(SignInError::Unbelievable("it names another issuer"));
    }
    if !is_safe(&found.authorization_endpoint) {
        return Err(SignInError::Unbelievable("its page to sign in is without TLS"));
    }
    Ok(found)
}

/// `GET /login/oidc`
pub(crate) async fn away(
    State(access): State<Access>,
    query: Result<Query<SignIn>, QueryRejection>,
) -> Response {
    let next = query.map(|Query(query)| query.next).unwrap_or_default();
    let sent = async {
        let config = access.config();
        let oidc = config.access().oidc.as_ref().ok_or(SignInError::NotConfigured("OpenID Connect"))?;
        let found = discover(oidc).await?;
        let (scopes, back) = (oidc.scopes.join(" "), access.way_back(WAY));
        access.send_away(WAY, safe_next(&next), |state, challenge, nonce| {
            let query = form(&[
                ("response_type", "code"),
                ("client_id", &oidc.client.client_id),
                ("redirect_uri", &back),
                ("scope", &scopes),
                ("state", state),
                ("nonce", nonce),
                ("code_challenge", challenge),
                ("code_challenge_method", "S256"),
            ]);
            let joint = if found.authorization_endpoint.contains('?') { '&' } else { '?' };
            format!("{}{joint}{query}", found.authorization_endpoint)
        })
    };
    sent.await.unwrap_or_else(|error| error.shown())
}

/// `GET /login/oidc/callback`
pub(crate) async fn back(
    State(access): State<Access>,
    headers: HeaderMap,
    query: Result<Query<Back>, QueryRejection>,
) -> Result<Response, Failure> {
    let back = query.map(|Query(back)| back).unwrap_or_default();
    let found = async {
        let config = access.config();
        let oidc = config.access().oidc.as_ref().ok_or(SignInError::NotConfigured("OpenID Connect"))?;
        let pending = access.take_back(WAY, &headers, &back)?;
        let claims = claims(&access, oidc, &back.code, &pending.verifier, &pending.nonce).await?;
        Known::of(&oidc.client, person(&claims), &groups(&claims, &oidc.groups_claim), pending)
    };
    access.welcome(&headers, found.await).await
}

/// Asks for a person's claims: those of the id token, and what the provider adds to them.
async fn claims(
    access: &Access,
    oidc: &Oidc,
    code: &str,
    verifier: &str,
    nonce: &str,
) -> Result<Value, SignInError> {
    let found = discover(oidc).await?;
    let (id, secret) = (&oidc.client.client_id, access.client_secret(&oidc.client).await?);
    let back = access.way_back(WAY);
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &*back),
        ("code_verifier", verifier),
    ];
    // Without a word of the provider the name and the secret go into the head.
    let methods = found.token_endpoint_auth_methods_supported.unwrap_or_default();
    let in_head = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
    if !in_head {
        pairs.extend([("client_id", &**id), ("client_secret", &*secret)]);
    }
    let mut request = post(&found.token_endpoint, &pairs)?;
    if in_head {
        let quoted = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", quoted(id), quoted(&secret));
        let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        let mut value = HeaderValue::try_from(value).map_err(|error| SignInError::Here(error.to_string()))?;
        value.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let tokens: Tokens = json(request).await?;
    let now = store::Micros::now().0 / 1_000_000;
    // Asked for each time: a provider may change its keys at any time, and people sign in seldom.
    let keys = Request::get(&found.jwks_uri).body(axum::body::Body::empty());
    let keys: Keys = json(keys.map_err(|error| SignInError::Here(error.to_string()))?).await?;
    let mut claims = checked(&signed(&tokens.id_token, &keys)?, &oidc.issuer, id, nonce, now)?;
    if let Some(userinfo) = &found.userinfo_endpoint {
        let more: Value = json(bearer(userinfo, &tokens.access_token)?).await?;
        if more.get("sub") != claims.get("sub") {
            return Err(SignInError::Unbelievable("it speaks of two people"));
        }
        if let (Some(claims), Some(more)) = (claims.as_object_mut(), more.as_object()) {
            for (name, value) in more {
                claims.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
    Ok(claims)
}

/// Reads the claims of an id token whose signature holds, and checks that they are for us and of this sign-in.
fn checked(body: &[u8], issuer: &str, id: &str, nonce: &str, now: i64) -> Result<Value, SignInError> {
    use SignInError::Unbelievable;
    let claims =
        serde_json::from_slice::<Value>(body).map_err(|_| Unbelievable("its id token can't be read"))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss").map(|iss| iss.trim_end_matches('/')) != Some(issuer.trim_end_matches('/')) {
        return Err(Unbelievable("its id token is of another issuer"));
    }
    let for_us = match claims.get("aud") {
        Some(Value::String(aud)) => aud == id,
        Some(Value::Array(list)) => {
            list.iter().any(|aud| aud == id) && (list.len() == 1 || text("azp") == Some(id))
        }
        _ => false,
    };
    if !for_us {
        return Err(Unbelievable("its id token is for another client"));
    }
    if claims.get("exp").and_then(Value::as_i64).is_none_or(|end| end + CLOCKS < now) {
        return Err(Unbelievable("its id token is over"));
    }
    if text("nonce") != Some(nonce) {
        return Err(Unbelievable("its id token is of another sign-in"));
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err(Unbelievable("its id token names nobody"));
    }
    Ok(claims)
}

/// A person's name for the audit log: a verified address, a name of their choice with the provider's own id, or that id.
fn person(claims: &Value) -> String {
    let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let sub = text("sub").unwrap_or_default();
    let verified = claims.get("email_verified") == Some(&Value::Bool(true));
    let name = match (text("email").filter(|_| verified), text("preferred_username")) {
        (Some(email), _) => email.to_owned(),
        (None, Some(name)) => format!("{name} ({sub})"),
        (None, None) => sub.to_owned(),
    };
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn groups(claims: &Value, name: &str) -> Vec<String> {
    match claims.get(name) {
        Some(Value::String(group)) => vec![group.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_token_is_for_us_in_time_and_of_this_sign_in() {
        let good = json!({"iss": "https://id/", "aud": "ci", "exp": 1000, "nonce": "n", "sub": "7"});
        let check = |claims: &Value| checked(claims.to_string().as_bytes(), "https://id", "ci", "n", 900);
        assert_eq!(check(&good).unwrap(), good);
        let with = |name: &str, value: Value| {
            let mut claims = good.clone();
            claims[name] = value;
            claims
        };
        assert!(check(&with("aud", json!(["ci"]))).is_ok());
        let mut two = with("aud", json!(["ci", "other"]));
        assert!(check(&two).is_err());
        two["azp"] = json!("ci");
        assert!(check(&two).is_ok());
        for (name, value) in [
            ("iss", json!("https://evil")),
            ("aud", json!("other")),
            ("aud", json!(null)),
            ("exp", json!(700)),
            ("exp", json!(null)),
            ("nonce", json!("m")),
            ("nonce", json!(null)),
            ("sub", json!("")),
        ] {
            assert!(check(&with(name, value.clone())).is_err(), "{name} {value}");
        }
        for bad in ["", "a", "{}", "[]", "7"] {
            assert!(checked(bad.as_bytes(), "https://id", "ci", "n", 900).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_person_is_named_by_what_the_provider_vouches_for() {
        let claims = json!({"sub": "7", "email": "ada@example.org", "email_verified": true});
        assert_eq!(person(&claims), "ada@example.org");
        let claims = json!({"sub": "7", "email": "root@example.org", "preferred_username": "admin"});
        assert_eq!(person(&claims), "admin (7)");
        assert_eq!(person(&json!({"sub": "7\n"})), "7");
        assert_eq!(groups(&json!({"g": ["a", 1, "b"]}), "g"), ["a", "b"]);
        assert_eq!(groups(&json!({"g": "a"}), "g"), ["a"]);
    }
}
