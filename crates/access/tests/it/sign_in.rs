use http::header;
use transport::Role;

use crate::world::{World, config};

pub async fn a_link_signs_in_once_and_the_session_ends_with_signing_out(on: World) {
    let path = on.access.login_link("ada", Role::Developer).await.unwrap();
    // Looking at the link does not use it up.
    let page = on.get(&format!("{path}&next=/builds/1"), &[]).await;
    assert!(page.header(header::CONTENT_SECURITY_POLICY).contains("default-src 'none'"));
    assert_eq!(page.header(header::REFERRER_POLICY), "no-referrer");
    let form = format!("token={}&next={}", page.field("token"), page.field("next"));
    let elsewhere = on.form("/login", &[("sec-fetch-site", "cross-site")], &form).await;
    assert_eq!(elsewhere.status, 403, "another site signs nobody in");
    let answer = on.form("/login", &[("sec-fetch-site", "same-origin")], &form).await;
    assert_eq!((answer.status, answer.header(header::LOCATION)), (303, "/builds/1"));
    let set = answer.header(header::SET_COOKIE);
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && !set.contains("Secure"), "{set}");
    let again = on.form("/login", &[], &form).await;
    assert_eq!(again.status, 401, "it works once");
    assert!(again.header(header::SET_COOKIE).is_empty());
    let cookie = answer.cookie();
    assert_eq!(on.get("/", &[("cookie", &cookie)]).await.text, "ada developer");
    assert_eq!(on.get("/", &[("cookie", "bellwether=made-up")]).await.text, "anonymous reader");
    let page = on.get("/login", &[("cookie", &cookie)]).await;
    assert!(page.text.contains("<strong>ada</strong>, developer"), "{page:?}");
    let form = format!("csrf={}", page.field("csrf"));
    let out = on.form("/logout", &[("cookie", &cookie)], &form).await;
    assert_eq!(out.status, 303);
    assert!(out.header(header::SET_COOKIE).contains("Max-Age=0"));
    assert_eq!(on.get("/", &[("cookie", &cookie)]).await.text, "anonymous reader");
    let audit = on.audit().await;
    let refused = "anonymous refused POST /login 127.0.0.1";
    assert_eq!(audit, [refused, "ada sign_in ada developer by link", refused, "ada sign_out ada "]);
}

pub async fn signing_in_again_ends_the_session_before(on: World) {
    let before = on.sign_in("ada", Role::Reader).await;
    let path = on.access.login_link("ada", Role::Admin).await.unwrap();
    let token = path.split_once("token=").unwrap().1;
    let page = on.get("/login", &[("cookie", &before)]).await;
    let form = format!("token={token}&csrf={}", page.field("csrf"));
    let after = on.form("/login", &[("cookie", &before)], &form).await.cookie();
    assert_ne!(before, after);
    assert_eq!(on.get("/", &[("cookie", &before)]).await.text, "anonymous reader");
    assert_eq!(on.get("/", &[("cookie", &after)]).await.text, "ada admin");
}

pub async fn an_order_of_a_session_needs_the_token_of_its_form(on: World) {
    let cookie = on.sign_in("ada", Role::Developer).await;
    let other = on.sign_in("eve", Role::Developer).await;
    let field = async |cookie: &str| on.get("/login", &[("cookie", cookie)]).await.field("csrf");
    let (csrf, of_another) = (field(&cookie).await, field(&other).await);
    let own = ("cookie", cookie.as_str());
    let form = format!("reason=x&csrf={csrf}");
    assert_eq!(on.form("/order", &[own], &form).await.text, "ada developer");
    assert_eq!(on.form("/order", &[own, ("sec-fetch-site", "same-origin")], &form).await.status, 200);
    assert_eq!(on.form("/order", &[own, ("origin", "http://ci.example")], &form).await.status, 200);
    assert_eq!(on.ask("POST", "/order", &[own, ("x-csrf-token", &csrf)], "{}").await.status, 200);
    for (headers, body) in [
        (vec![own], String::new()),
        (vec![own], "csrf=".to_owned()),
        (vec![own], format!("csrf={of_another}")),
        (vec![own, ("x-csrf-token", &*of_another)], form.clone()),
        (vec![own, ("sec-fetch-site", "cross-site")], form.clone()),
        (vec![own, ("sec-fetch-site", "same-site")], form.clone()),
        (vec![own, ("origin", "https://evil.example")], form.clone()),
        (vec![own, ("origin", "null")], form.clone()),
    ] {
        let answer = on.form("/order", &headers, &body).await;
        assert_eq!(
            (answer.status, &*answer.json()["code"].to_string()),
            (403, "\"csrf\""),
            "{headers:?} {body}"
        );
    }
    let long = format!("csrf={csrf}&reason={}", "x".repeat(100_000));
    assert_eq!(on.form("/order", &[own], &long).await.status, 413);
    let audit = on.audit().await;
    assert!(audit.contains(&"ada refused POST /order 127.0.0.1".to_owned()), "{audit:?}");
    assert_eq!(on.ask("POST", "/order", &[own], "{}").await.status, 403, "JSON without the header");
}

pub async fn a_server_with_tls_says_so_in_its_cookie(on: World) {
    on.config.send_replace(config("[environment.dev]\nurl = \"https://ci.example\"\n"));
    let cookie = on.sign_in("ada", Role::Developer).await;
    assert!(cookie.starts_with("__Host-bellwether="), "{cookie}");
    assert_eq!(on.get("/", &[("cookie", &cookie)]).await.text, "ada developer");
    let plain = cookie.replace("__Host-", "");
    assert_eq!(on.get("/", &[("cookie", &plain)]).await.text, "anonymous reader");
}
