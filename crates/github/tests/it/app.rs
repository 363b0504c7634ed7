//! An app's tokens: made when they are needed, made anew before they end and where GitHub takes them no more.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use github::post::Status;
use github::{App, BadKey, Client, Clock as _, Options};
use http::{StatusCode, header};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use transport::Service;

use crate::{Paused, clock, limits, repo};

/// A key that is for tests only and of use to nobody.
const KEY: &[u8] = include_bytes!("../../../pubsubhelper/tests/it/throw-away-test-key.der");

fn pem() -> String {
    format!("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----\n", STANDARD.encode(KEY))
}

/// What makes tokens `t1`, `t2`, …, each good for an hour, and notes who asked with what.
#[derive(Default)]
struct Forge {
    made: u32,
    /// None is taken that is not younger than this.
    revoked: u32,
    seen: Vec<String>,
    claims: Vec<String>,
}

fn forge(clock: Paused) -> (Router, Arc<Mutex<Forge>>) {
    let forge = Arc::new(Mutex::new(Forge::default()));
    let state = Arc::clone(&forge);
    let router = Router::new().fallback(move |request: Request| {
        let mut forge = state.lock().unwrap();
        let shown = request.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned();
        let shown = shown.strip_prefix("Bearer ").unwrap().to_owned();
        let end = |made: u32| clock.now().as_second() + 3600 + i64::from(made);
        let (status, body) = if request.uri().path() == "/app/installations/7/access_tokens" {
            assert_eq!(request.method(), "POST");
            forge.claims.push(shown);
            forge.made += 1;
            let expires = jiff::Timestamp::from_second(end(0)).unwrap();
            (
                StatusCode::CREATED,
                json!({"token": format!("t{}.{}", forge.made, end(0)), "expires_at": expires.to_string()}),
            )
        } else {
            let (number, until) = shown.strip_prefix('t').unwrap().split_once('.').unwrap();
            let good = number.parse::<u32>().unwrap() > forge.revoked
                && clock.now().as_second() < until.parse::<i64>().unwrap();
            forge.seen.push(format!("{} {}", request.method(), if good { number } else { "refused" }));
            match good {
                true => (StatusCode::OK, json!([])),
                false => (StatusCode::UNAUTHORIZED, json!({"message": "Bad credentials"})),
            }
        };
        let body = if request.method() == "POST" && body == json!([]) {
            json!({"state": "success", "context": "c"})
        } else {
            body
        };
        async move { Response::builder().status(status).body(Body::from(body.to_string())).unwrap() }
    });
    (router, forge)
}

fn client(router: Router, clock: Paused) -> Client {
    let options = Options {
        service: Service::in_process(router).with_timeout(Duration::from_secs(30)),
        token: None,
        user_agent: "bellwether-test".into(),
        clock: Arc::new(clock),
        seed: 1,
        limits: limits(),
    };
    Client::of_app(options, App::new("Iv1", 7, &pem()).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_token_is_made_anew_before_it_ends_and_where_it_is_taken_no_more() {
    let clock = clock();
    let (router, forge) = forge(clock);
    let client = client(router, clock);
    let taken = || std::mem::take(&mut forge.lock().unwrap().seen);
    // All who ask at once make one.
    let go = repo();
    let (one, other) = tokio::join!(client.labels(&go, None), client.labels(&go, None));
    one.unwrap();
    other.unwrap();
    tokio::time::advance(Duration::from_secs(54 * 60)).await;
    client.labels(&repo(), None).await.unwrap();
    assert_eq!(taken(), ["GET 1"; 3]);
    // Five minutes before its end, so that nothing that is on its way finds it ended.
    tokio::time::advance(Duration::from_secs(70)).await;
    client.labels(&repo(), None).await.unwrap();
    assert_eq!(taken(), ["GET 2"]);
    // Days later.
    tokio::time::advance(Duration::from_secs(3 * 86_400)).await;
    client.labels(&repo(), None).await.unwrap();
    assert_eq!(taken(), ["GET 3"]);
    // Taken back by GitHub in the middle: what is read and what is posted are both sent once more.
    forge.lock().unwrap().revoked = 3;
    client.labels(&repo(), None).await.unwrap();
    assert_eq!(taken(), ["GET refused", "GET 4"]);
    forge.lock().unwrap().revoked = 4;
    let status = Status { state: "success".into(), context: "c".into(), ..Status::default() };
    client.create_status(&repo(), "0123", &status).await.unwrap();
    assert_eq!(taken(), ["POST refused", "POST 5"]);
    // An app that is suspended gets a no, and not a loop.
    forge.lock().unwrap().revoked = 1000;
    let error = client.labels(&repo(), None).await.unwrap_err().to_string();
    assert!(error.contains("Bad credentials"), "{error}");
    assert_eq!(taken(), ["GET refused", "GET refused"]);
    assert_eq!(forge.lock().unwrap().made, 6);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_the_app_is_signed_and_short() {
    let clock = clock();
    let (router, forge) = forge(clock);
    let client = client(router, clock);
    client.labels(&repo(), None).await.unwrap();
    let claim = forge.lock().unwrap().claims.pop().unwrap();
    let (signed, signature) = claim.rsplit_once('.').unwrap();
    let public = RsaKeyPair::from_der(KEY).unwrap().public_key().as_ref().to_vec();
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
    public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let part = |n: usize| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(signed.split('.').nth(n).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "RS256", "typ": "JWT"}));
    let now = clock.now().as_second();
    assert_eq!(part(1), json!({"iss": "Iv1", "iat": now - 60, "exp": now + 480}));
    assert!(!format!("{client:?}").contains("t1"));
}

#[test]
fn what_is_no_key_is_refused_without_a_word_of_it() {
    assert_eq!(App::new("1", 7, "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n").unwrap_err(), BadKey);
    assert_eq!(App::new("1", 7, "s3cr3t!").unwrap_err(), BadKey);
    assert!(!format!("{:?}", App::new("1", 7, &pem()).unwrap()).contains("MII"));
}
