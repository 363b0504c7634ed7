//! Signing in by others: a real OpenID provider (npm's `oidc-provider`) on loopback, and GitHub by its documented shapes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::extract::{Form, State};
use axum::http::HeaderMap as Headers;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, header};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use transport::Service;

use crate::world::{Answer, World, config};

const BACK: &str = "http://localhost:8119/login/oidc/callback";

/// The folder that `cargo xtask setup` filled by the list of packages in the tree.
fn modules() -> PathBuf {
    let list =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/components/oidc-provider/package-lock.json");
    let digest = Sha256::digest(std::fs::read(list).unwrap());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let home = || Path::new(&std::env::var_os("HOME").expect("HOME")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty());
    let cache = cache.map_or_else(home, PathBuf::from).join("bellwether/components").join(digest);
    let folder = cache.join("tree/node_modules");
    assert!(folder.is_dir(), "no {}: `cargo xtask setup --only oidc-provider` installs it", folder.display());
    folder
}

/// The provider, running.
struct Provider {
    child: Child,
    issuer: String,
}

impl Provider {
    fn start() -> Provider {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc.mjs");
        let mut command = Command::new("node");
        command.arg(script).arg(modules()).arg(BACK);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("node runs");
        let mut issuer = String::new();
        let out = child.stdout.as_mut().expect("its output");
        BufReader::new(out).read_line(&mut issuer).unwrap();
        assert!(issuer.starts_with("http://127.0.0.1:"), "{issuer:?}");
        Provider { child, issuer: issuer.trim().to_owned() }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A person at a browser that speaks to the provider only.
struct Browser {
    jar: BTreeMap<String, String>,
    service: Service,
    issuer: String,
}

impl Browser {
    fn new(provider: &Provider) -> Browser {
        let issuer = provider.issuer.clone();
        Browser { jar: BTreeMap::new(), service: Service::url(&issuer), issuer }
    }

    async fn send(&mut self, method: &str, path: &str, form: &str) -> (String, String) {
        let cookies: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder().method(method).uri(path).header(header::COOKIE, cookies.join("; "));
        let request = request.header(header::HOST, self.issuer.trim_start_matches("http://"));
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.service.send(request.body(form.to_owned().into()).unwrap()).await.unwrap();
        for set in answer.headers().get_all(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.jar.insert(name.to_owned(), value.to_owned());
        }
        let to = answer.headers().get(header::LOCATION).map_or("", |to| to.to_str().unwrap()).to_owned();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (to, String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Signs in as somebody, agrees to what is asked, and returns the address that leads back to us.
    async fn sign_in(&mut self, address: &str, name: &str) -> String {
        let mut next = address.to_owned();
        for _ in 0..12 {
            if next.starts_with(BACK) {
                return next;
            }
            let path = next.strip_prefix(&self.issuer).unwrap_or(&next).to_owned();
            let (to, text) = self.send("GET", &path, "").await;
            next = if !to.is_empty() {
                to
            } else if text.contains("value=\"login\"") {
                self.send("POST", &path, &format!("prompt=login&login={name}&password=x")).await.0
            } else if text.contains("value=\"consent\"") {
                self.send("POST", &path, "prompt=consent").await.0
            } else {
                panic!("{path} shows: {text}");
            };
        }
        panic!("never led back");
    }
}

fn with_oidc(provider: &Provider, secret: &Path, roles: &str) -> Arc<buildenv::Config> {
    config(&format!(
        "[access.oidc]\nissuer = {:?}\nclient_id = \"ci\"\nclient_secret_file = {:?}\n\
         scopes = [\"openid\", \"email\", \"groups\"]\nroles = {roles}\n",
        provider.issuer,
        secret.display().to_string()
    ))
}

fn way_back(address: &str) -> String {
    address.split_once("://localhost:8119").unwrap().1.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_by_a_real_openid_provider_and_gets_the_role_of_their_group() {
    let on = World::new(store::Dialect::Sqlite).await;
    let provider = Provider::start();
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "a secret/with+signs\n").unwrap();
    on.config.send_replace(with_oidc(&provider, &secret, "{ dev = \"developer\" }"));
    let page = on.get("/login?next=/builds/7", &[]).await;
    assert!(page.text.contains("/login/oidc?next=%2Fbuilds%2F7"), "{page:?}");
    let away = on.get("/login/oidc?next=/builds/7", &[]).await;
    let to = away.header(header::LOCATION).to_owned();
    assert!(to.starts_with(&provider.issuer) && to.contains("code_challenge_method=S256"), "{away:?}");
    let cookie = away.cookie();
    let back = way_back(&Browser::new(&provider).sign_in(&to, "ada").await);
    // Another browser that is led to the same address is not signed in.
    assert_eq!(on.get(&back, &[]).await.status, 403);
    let done = on.get(&back, &[("cookie", &cookie)]).await;
    assert_eq!((done.status, done.header(header::LOCATION)), (303, "/builds/7"), "{done:?}");
    assert_eq!(on.get("/", &[("cookie", &done.cookie())]).await.text, "ada@example.org developer");
    let again = on.get(&back, &[("cookie", &cookie)]).await;
    assert_eq!(again.status, 403, "a way back is gone once");
    assert_eq!(on.audit().await, ["ada@example.org sign_in ada@example.org developer by oidc"]);

    // Somebody without a group that has a role.
    let away = on.get("/login/oidc", &[]).await;
    let back = Browser::new(&provider).sign_in(away.header(header::LOCATION), "eve").await;
    let refused = on.get(&way_back(&back), &[("cookie", &away.cookie())]).await;
    assert!(refused.status == 403 && refused.text.contains("eve@example.org has no role"), "{refused:?}");

    // A code that was not made for this sign-in: PKCE and the nonce do not fit.
    let (first, second) = (on.get("/login/oidc", &[]).await, on.get("/login/oidc", &[]).await);
    let back = way_back(&Browser::new(&provider).sign_in(first.header(header::LOCATION), "ada").await);
    let state = |answer: &Answer| answer.cookie().split_once('=').unwrap().1.to_owned();
    let swapped = back.replace(&state(&first), &state(&second));
    let refused = on.get(&swapped, &[("cookie", &second.cookie())]).await;
    assert_eq!(refused.status, 502, "{refused:?}");

    // A wrong secret of ours.
    std::fs::write(&secret, "another").unwrap();
    let away = on.get("/login/oidc", &[]).await;
    let back = Browser::new(&provider).sign_in(away.header(header::LOCATION), "ada").await;
    assert_eq!(on.get(&way_back(&back), &[("cookie", &away.cookie())]).await.status, 502);
}

/// Stands where a provider should: everything is as it should be, and the token is signed with one of two keys.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_token_counts_only_with_the_signature_of_the_provider() {
    let on = World::new(store::Dialect::Sqlite).await;
    let (published, other) = (Signer::new("a"), Signer::new("a"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let discovery = json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"), "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"), "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    });
    let keys = json!({"keys": [published.key()]});
    let id_token = Arc::new(Mutex::new(String::new()));
    let answered = Arc::clone(&id_token);
    let token = async move || {
        Json(
            json!({"access_token": "x", "id_token": answered.lock().unwrap().clone(), "token_type": "bearer"}),
        )
    };
    let routes = Router::new()
        .route("/.well-known/openid-configuration", axum::routing::get(async move || Json(discovery)))
        .route("/keys", axum::routing::get(async move || Json(keys)))
        .route("/token", axum::routing::post(token));
    let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "s").unwrap();
    on.config.send_replace(config(&format!(
        "[access.oidc]\nissuer = {issuer:?}\nclient_id = \"ci\"\nclient_secret_file = {:?}\nroles = {{ \"*\" = \"reader\" }}\n",
        secret.display().to_string()
    )));
    let sign_in = async |sign: &dyn Fn(&Value) -> String| {
        let away = on.get("/login/oidc", &[]).await;
        let to = away.header(header::LOCATION).to_owned();
        let query: BTreeMap<String, String> =
            axum::extract::Query::try_from_uri(&to.parse().unwrap()).map(|query| query.0).unwrap();
        let claims =
            json!({"iss": issuer, "aud": "ci", "exp": 1u64 << 40, "nonce": query["nonce"], "sub": "eve"});
        *id_token.lock().unwrap() = sign(&claims);
        let back = format!("/login/oidc/callback?code=c&state={}", query["state"]);
        on.get(&back, &[("cookie", &away.cookie())]).await
    };
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let fine = sign_in(&|claims| published.sign(claims)).await;
    assert_eq!(fine.status, 303, "{fine:?}");
    let forged = sign_in(&|claims| other.sign(claims)).await;
    assert!(forged.status == 502 && forged.text.contains("signature of its id token is wrong"), "{forged:?}");
    let plain =
        |claims: &Value| format!("{}.{}.", encoded("{\"alg\":\"none\"}"), encoded(&claims.to_string()));
    let plain = sign_in(&plain).await;
    assert!(plain.status == 502 && plain.text.contains("is signed by"), "{plain:?}");
    let foreign = sign_in(&|claims| Signer::new("b").sign(claims)).await;
    assert!(foreign.status == 502 && foreign.text.contains("a key that it does not publish"), "{foreign:?}");
    server.abort();
}

/// A pair of keys.
struct Signer {
    pair: Ed25519KeyPair,
    kid: &'static str,
}

impl Signer {
    fn new(kid: &'static str) -> Signer {
        let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        Signer { pair: Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap(), kid }
    }

    fn key(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig", "x": x})
    }

    fn sign(&self, claims: &Value) -> String {
        let head = json!({"alg": "EdDSA", "kid": self.kid}).to_string();
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.pair.sign(text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What the other side was asked, and what is known there.
#[derive(Clone, Default)]
struct Github(Arc<Mutex<Vec<Value>>>);

async fn token(State(github): State<Github>, Form(form): Form<BTreeMap<String, String>>) -> Json<Value> {
    let known = form.get("code").is_some_and(|code| code == "good");
    github.0.lock().unwrap().push(json!(form));
    Json(match known {
        true => json!({"access_token": "gho_x", "scope": "read:org", "token_type": "bearer"}),
        false => json!({
            "error": "bad_verification_code",
            "error_description": "The code passed is incorrect or expired.",
            "error_uri": "https://docs.github.com/"
        }),
    })
}

async fn api(uri: http::Uri, headers: Headers) -> Json<Value> {
    assert_eq!(headers[header::AUTHORIZATION], "Bearer gho_x");
    Json(match uri.path() {
        "/user" => json!({"login": "Ada", "id": 7, "type": "User"}),
        "/user/orgs" => json!([{"login": "example", "id": 1}]),
        "/user/teams" => json!([{"slug": "ci", "name": "CI", "organization": {"login": "example"}}]),
        other => panic!("{other}"),
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_signs_in_by_github_and_gets_the_role_of_their_team() {
    let on = World::new(store::Dialect::Sqlite).await;
    let github = Github::default();
    let routes = Router::new()
        .route("/login/oauth/access_token", axum::routing::post(token))
        .fallback(api)
        .with_state(github.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "s3\n").unwrap();
    let with = |roles: &str| {
        config(&format!(
            "[access.github]\nurl = {url:?}\napi = {url:?}\nclient_id = \"Iv1\"\nclient_secret_file = {:?}\nroles = {roles}\n",
            secret.display().to_string()
        ))
    };
    let sign_in = async |code: &str| {
        let away = on.get("/login/github?next=/status", &[]).await;
        let to = away.header(header::LOCATION).to_owned();
        assert!(to.starts_with(&format!("{url}/login/oauth/authorize?client_id=Iv1&")), "{to}");
        let cookie = away.cookie();
        let state = cookie.split_once('=').unwrap().1;
        assert!(to.contains(&format!("state={state}")), "{to}");
        on.get(&format!("/login/github/callback?code={code}&state={state}"), &[("cookie", &cookie)]).await
    };
    for (roles, becomes) in [
        ("{ \"example/ci\" = \"admin\", example = \"developer\" }", "Ada@github admin"),
        ("{ Example = \"developer\", other = \"admin\" }", "Ada@github developer"),
        ("{ \"@ada\" = \"developer\", \"*\" = \"reader\" }", "Ada@github developer"),
        ("{ \"*\" = \"reader\" }", "Ada@github reader"),
    ] {
        on.config.send_replace(with(roles));
        let done = sign_in("good").await;
        assert_eq!((done.status, done.header(header::LOCATION)), (303, "/status"), "{done:?}");
        assert_eq!(on.get("/", &[("cookie", &done.cookie())]).await.text, becomes);
    }
    let asked = github.0.lock().unwrap()[0].clone();
    assert_eq!((&asked["client_secret"], &asked["client_id"]), (&json!("s3"), &json!("Iv1")));
    assert!(asked["code_verifier"].as_str().unwrap().len() >= 43, "{asked}");
    let denied = sign_in("bad").await;
    assert!(denied.status == 403 && denied.text.contains("bad_verification_code"), "{denied:?}");
    on.config.send_replace(with("{ other = \"admin\" }"));
    let nobody = sign_in("good").await;
    assert!(nobody.status == 403 && nobody.text.contains("Ada@github has no role"), "{nobody:?}");
    let made_up =
        on.get("/login/github/callback?code=good&state=x", &[("cookie", "bellwether_login=x")]).await;
    assert_eq!(made_up.status, 403);
    on.config.send_replace(config(""));
    assert_eq!(on.get("/login/github", &[]).await.status, 404);
    server.abort();
}
