use axum::body::Body;
use futures::StreamExt as _;
use http::Request;
use serde_json::json;
use tower::ServiceExt as _;

use crate::world::{ADMIN, World};

pub async fn a_token_is_shown_once_works_and_is_revoked(on: World) {
    let body = json!({"name": "ada", "role": "developer"});
    let made = on.order("POST", "/api/v1/tokens", ADMIN, body.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    let token = made.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(on.order("POST", "/api/v1/tokens", ADMIN, body).await.status, 409, "the name is taken");
    assert_eq!(on.order("POST", "/order", &token, json!({})).await.text, "ada developer");
    assert_eq!(on.order("GET", "/api/v1/tokens", &token, json!({})).await.status, 403);
    let list = on.order("GET", "/api/v1/tokens", ADMIN, json!({})).await;
    assert!(!list.text.contains(&token) && !list.text.contains("hash"), "{list:?}");
    let first = &list.json()["tokens"][0];
    assert_eq!((&first["name"], &first["maker"]), (&json!("ada"), &json!("admin")));
    assert!(first["used"].is_i64(), "{first}");
    assert_eq!(on.order("DELETE", "/api/v1/tokens/ada", ADMIN, json!({})).await.status, 204);
    assert_eq!(on.order("DELETE", "/api/v1/tokens/ada", ADMIN, json!({})).await.status, 404);
    assert_eq!(on.order("POST", "/order", &token, json!({})).await.status, 401);
    let audit = on.audit().await;
    assert!(audit.contains(&"admin token_create ada developer".to_owned()), "{audit:?}");
    assert!(audit.contains(&"admin token_revoke ada ".to_owned()), "{audit:?}");
    // Nothing of the database shows a token.
    let rows = store::tokens::list(&mut on.db.read().await.unwrap()).await.unwrap();
    assert!(rows.iter().all(|row| !format!("{row:?}").contains(&token)));
}

pub async fn a_token_ends_by_itself_and_is_about_its_repos_only(on: World) {
    let body = json!({"name": "m1", "role": "builder", "repos": ["a", "b"], "expires_in": 3600});
    let made = on.order("POST", "/api/v1/tokens", ADMIN, body).await.json();
    let token = made["token"].as_str().unwrap();
    for (repo, sees) in [("a", "true"), ("b", "true"), ("c", "false")] {
        assert_eq!(on.order("GET", &format!("/sees/{repo}"), token, json!({})).await.text, sees, "{repo}");
    }
    let who = on.order("GET", "/api/v1/whoami", token, json!({})).await.json();
    assert_eq!(who, json!({"who": "m1", "role": "builder", "known": true, "repos": ["a", "b"]}));
    let body = json!({"name": "old", "role": "developer", "expires_in": 0});
    assert_eq!(on.order("POST", "/api/v1/tokens", ADMIN, body).await.status, 400);
    let body = json!({"name": "old", "role": "developer", "expires_in": 1});
    let made = on.order("POST", "/api/v1/tokens", ADMIN, body).await.json();
    let ended = async {
        while on.order("GET", "/", made["token"].as_str().unwrap(), json!({})).await.status != 401 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), ended).await.expect("it ends by itself");
}

pub async fn an_admin_of_some_repos_makes_nobody_more_than_that(on: World) {
    let body = json!({"name": "ruth", "role": "admin", "repos": ["a"]});
    let made = on.order("POST", "/api/v1/tokens", ADMIN, body).await.json();
    let token = made["token"].as_str().unwrap();
    for (method, path, body) in [
        ("POST", "/api/v1/tokens", json!({"name": "more", "role": "admin"})),
        ("GET", "/api/v1/tokens", json!({})),
        ("DELETE", "/api/v1/tokens/ruth", json!({})),
        ("POST", "/api/v1/login-links", json!({"role": "admin"})),
    ] {
        let answer = on.order(method, path, token, body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("forbidden")), "{method} {path}");
    }
    assert_eq!(on.order("POST", "/order", token, json!({})).await.text, "ruth admin");
}

pub async fn what_lasts_longer_than_a_request_hears_that_a_token_counts_no_longer(on: World) {
    let make = |name: &'static str, seconds: Option<u64>| {
        let body = json!({"name": name, "role": "developer", "expires_in": seconds});
        async {
            on.order("POST", "/api/v1/tokens", ADMIN, body).await.json()["token"].as_str().unwrap().to_owned()
        }
    };
    let stay = async |token: &str| {
        assert_eq!(on.order("GET", "/stay", token, json!({})).await.status, 200);
        on.stays.lock().unwrap().clone()
    };
    let (ada, bob) = (make("ada", None).await, make("bob", None).await);
    let (first, second, other) = (stay(&ada).await, stay(&ada).await, stay(&bob).await);
    assert!(!first.has_ended() && !second.has_ended());
    assert_eq!(on.order("DELETE", "/api/v1/tokens/ada", ADMIN, json!({})).await.status, 204);
    assert!(first.has_ended() && second.has_ended() && !other.has_ended());
    // Made again by that name, it is another one.
    let again = make("ada", None).await;
    assert!(!stay(&again).await.has_ended() && first.has_ended());
    let short = make("short", Some(1)).await;
    let short = stay(&short).await;
    tokio::time::timeout(std::time::Duration::from_secs(60), short.ended()).await.expect("its time is over");
    // A session ends with signing out, and with signing in anew.
    let mut cookie = on.sign_in("cat", transport::Role::Developer).await;
    assert_eq!(on.get("/stay", &[("cookie", &cookie)]).await.status, 200);
    let before = on.stays.lock().unwrap().clone();
    let path = on.access.login_link("cat", transport::Role::Developer).await.unwrap();
    let token = path.split_once("token=").unwrap().1;
    let page = on.get("/login", &[("cookie", &cookie)]).await;
    let form = format!("token={token}&csrf={}", page.field("csrf"));
    cookie = on.form("/login", &[("cookie", &cookie)], &form).await.cookie();
    assert!(before.has_ended());
    let page = on.get("/login", &[("cookie", &cookie)]).await;
    assert_eq!(on.get("/stay", &[("cookie", &cookie)]).await.status, 200);
    let last = on.stays.lock().unwrap().clone();
    let out = on.form("/logout", &[("cookie", &cookie)], &format!("csrf={}", page.field("csrf"))).await;
    assert!(out.status == 303 && last.has_ended(), "{out:?}");
}

pub async fn what_is_still_being_answered_breaks_off_when_a_token_counts_no_longer(on: World) {
    let mut open = Vec::new();
    for name in ["ada", "bob"] {
        let made =
            on.order("POST", "/api/v1/tokens", ADMIN, json!({"name": name, "role": "developer"})).await;
        let token = made.json()["token"].as_str().unwrap().to_owned();
        let asked = Request::get("/follow").header("authorization", format!("Bearer {token}"));
        let answer = on.app.clone().oneshot(asked.body(Body::empty()).unwrap()).await.unwrap();
        let mut pieces = answer.into_body().into_data_stream();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "first");
        open.push(pieces);
    }
    assert_eq!(on.order("DELETE", "/api/v1/tokens/ada", ADMIN, json!({})).await.status, 204);
    let told = tokio::time::timeout(std::time::Duration::from_secs(60), open[0].next()).await;
    assert!(told.unwrap().unwrap().unwrap_err().to_string().contains("counts no longer"));
    assert!(open[0].next().await.is_none());
    let goes_on = tokio::time::timeout(std::time::Duration::from_millis(50), open[1].next()).await;
    assert!(goes_on.is_err(), "{goes_on:?}");
}

pub async fn what_is_no_token_is_refused(on: World) {
    for (name, role) in
        [("Ada", "developer"), ("a", "root"), ("a", "anonymous"), ("", "admin"), ("a b", "admin")]
    {
        let answer = on.order("POST", "/api/v1/tokens", ADMIN, json!({"name": name, "role": role})).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_request")), "{name} {role}");
    }
    let body = json!({"name": "a", "role": "admin", "expires_in": u64::MAX});
    assert_eq!(on.order("POST", "/api/v1/tokens", ADMIN, body).await.status, 400);
    for token in ["", "x", &ADMIN[1..], &format!("{ADMIN}0")] {
        assert_eq!(on.order("GET", "/", token, json!({})).await.status, 401, "{token:?}");
    }
    assert_eq!(on.get("/", &[("authorization", "Basic eDp5")]).await.text, "anonymous reader");
}

pub async fn nobody_is_given_the_name_of_somebody_who_is_built_in(on: World) {
    for name in ["admin", "anonymous"] {
        let body = json!({"name": name, "role": "developer"});
        let answer = on.order("POST", "/api/v1/tokens", ADMIN, body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_request")), "{name}");
        assert!(answer.text.contains("built in"), "{answer:?}");
    }
    let body = json!({"name": "ruth", "role": "admin"});
    let made = on.order("POST", "/api/v1/tokens", ADMIN, body).await.json();
    let ruth = made["token"].as_str().unwrap();
    let link = async |token: &str, person: &str| {
        let body = json!({"person": person, "role": "developer"});
        on.order("POST", "/api/v1/login-links", token, body).await.status
    };
    for name in ["admin", "anonymous", "this process", "another service"] {
        assert_eq!(link(ruth, name).await, 400, "{name}");
    }
    assert_eq!(link(ADMIN, "anonymous").await, 400);
    // One signs oneself in by the name that one has.
    assert_eq!(link(ADMIN, "admin").await, 200);
    assert_eq!(link(ruth, "ruth").await, 200);
    assert_eq!(link(ruth, "administrator").await, 200);
}
