use axum::body::Body;
use futures::future::join_all;
use futures::{FutureExt as _, StreamExt as _};
use http::{Request, header};
use serde_json::json;
use transport::Role;

use crate::world::{ADMIN, World, config};

pub async fn where_reading_is_closed_a_stranger_gets_health_looks_and_the_page_to_sign_in(on: World) {
    on.config.send_replace(config("[access]\nread = \"developer\"\n"));
    for (path, status) in [
        ("/", 401),
        ("/healthz", 200),
        ("/assets/style.css", 200),
        ("/login", 200),
        ("/api/v1/whoami", 200),
        ("/api/v1/routes", 401),
        ("/nothing", 401),
    ] {
        assert_eq!(on.get(path, &[]).await.status, status, "{path}");
    }
    // A person is shown where to sign in.
    let page = on.get("/sees/a?x=y", &[("accept", "text/html")]).await;
    assert_eq!((page.status, page.header(header::LOCATION)), (303, "/login?next=%2Fsees%2Fa%3Fx%3Dy"));
    let cookie = on.sign_in("ada", Role::Reader).await;
    assert_eq!(on.get("/", &[("cookie", &cookie)]).await.text, "ada reader");
    assert_eq!(on.order("GET", "/", ADMIN, json!({})).await.text, "admin admin");
    let routes = on.order("GET", "/api/v1/routes", ADMIN, json!({})).await.json();
    // What is refused is a page for a person, and JSON for a program.
    let accept = ("accept", "text/html,*/*;q=0.8");
    let page = on.get("/nothing", &[("cookie", &cookie), accept]).await;
    assert_eq!((page.status, page.header(header::CONTENT_TYPE)), (404, "text/html; charset=utf-8"));
    assert!(
        page.text.contains("There is no such page") && page.text.contains("no such path"),
        "{}",
        page.text
    );
    for path in ["/api/v1/nothing?a=b", "/nothing.json"] {
        let answer = on.get(path, &[("cookie", &cookie), accept]).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("not_found")), "{path}");
    }
    let order = json!({"path": "/order", "method": "POST", "role": "developer"});
    assert!(routes["routes"].as_array().unwrap().contains(&order), "{routes}");
}

pub async fn what_strangers_look_at_is_made_for_few_of_them_at_once(on: World) {
    let most = async |token: Option<&str>| {
        let authorization = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        let asked = (0..40).map(|_| on.get("/crowd", &headers));
        let answers = futures::future::join_all(asked).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        answers.iter().map(|answer| answer.text.parse::<usize>().unwrap()).max().unwrap()
    };
    // Of both databases' tests at once, should they run together.
    let strangers = most(None).await;
    assert!((1..=2 * 4).contains(&strangers), "{strangers} at once");
    assert!(most(Some(ADMIN)).await > 2 * 4, "who says who they are does not wait");
}

pub async fn what_a_crowd_of_strangers_looks_at_is_made_once_for_many_of_them(on: World) {
    let ask = async |headers: &[(&str, &str)], path: &str| {
        let answers = futures::future::join_all((0..300).map(|_| on.get(path, headers))).await;
        for answer in &answers {
            assert_eq!((answer.status, answer.header(header::ETAG)), (200, "one"), "{answer:?}");
            assert!(answer.text.parse::<usize>().is_ok(), "{answer:?}");
        }
        on.made.swap(0, std::sync::atomic::Ordering::Relaxed)
    };
    // The first of them are no crowd.
    let made = ask(&[], "/made").await;
    assert!((50..200).contains(&made), "{made}");
    assert_eq!(ask(&[("cookie", "a=b")], "/made?c").await, 300, "what may be somebody's own is not shared");
    let authorization = format!("Bearer {ADMIN}");
    assert_eq!(ask(&[("authorization", &authorization)], "/made").await, 300, "nor what is known to be");
}

pub async fn a_question_is_no_order_after_which_all_is_made_anew(on: World) {
    let asked = (0..300).map(|_| async {
        let answer = on.get("/made", &[]).await;
        assert_eq!((answer.status, answer.header(header::ETAG)), (200, "one"), "{answer:?}");
        let answer = on.ask("POST", "/question", &[], "why").await;
        assert_eq!((answer.status, &*answer.text), (200, "why"), "{answer:?}");
    });
    join_all(asked).await;
    let made = on.made.load(std::sync::atomic::Ordering::Relaxed);
    assert!((1..200).contains(&made), "{made}");
    let large = on.ask("POST", "/question", &[], &"w".repeat((128 << 10) + 1)).await;
    assert_eq!((large.status, large.json()["code"].as_str()), (413, Some("too_large")));
    // Nor does a question of a session need a form of ours.
    let cookie = on.sign_in("ada", Role::Reader).await;
    assert_eq!(on.ask("POST", "/question", &[("cookie", &cookie)], "why").await.status, 200);
    assert_eq!(on.ask("POST", "/order", &[("cookie", &cookie)], "").await.status, 403);
}

/// Lets those go on that were begun, until so many wait.
async fn until_waiting(on: &World, all: &mut (impl Future + Unpin), wanted: usize) {
    for _ in 0..10_000 {
        if on.waits.load(std::sync::atomic::Ordering::Relaxed) == wanted {
            return;
        }
        assert!(all.now_or_never().is_none(), "nothing happened yet");
        tokio::task::yield_now().await;
    }
    panic!("{} wait", on.waits.load(std::sync::atomic::Ordering::Relaxed));
}

pub async fn strangers_who_wait_or_ask_slowly_keep_nobody_else_waiting(on: World) {
    let mut waiting = Box::pin(join_all((0..6).map(|_| on.get("/wait", &[]))));
    until_waiting(&on, &mut waiting, 6).await;
    let mut asking = Box::pin(join_all((0..6).map(|_| {
        let begun = futures::stream::iter([Ok::<_, std::io::Error>("why")]).chain(futures::stream::pending());
        on.send(Request::post("/question").body(Body::from_stream(begun)).unwrap())
    })));
    for _ in 0..100 {
        assert!((&mut asking).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert_eq!(on.get("/", &[]).await.status, 200);
    assert_eq!(on.ask("POST", "/question", &[], "how").await.text, "how");
    on.happens.send_replace(true);
    assert!(waiting.await.iter().all(|answer| (answer.status, &*answer.text) == (200, "happened")));
}

pub async fn strangers_who_wait_are_bounded_by_address(on: World) {
    let mut waiting = Box::pin(join_all((0..250).map(|_| on.looks_from("192.0.2.1", "/wait", None))));
    until_waiting(&on, &mut waiting, 250).await;
    let refused = on.looks_from("192.0.2.1", "/wait", None).await;
    assert_eq!((refused.status, refused.header(header::RETRY_AFTER)), (503, "5"));
    assert!(refused.json()["message"].as_str().unwrap().contains("wait for something"), "{refused:?}");
    assert_eq!(on.looks_from("192.0.2.1", "/", None).await.status, 200, "it may look");
    // Who says who they are is not counted, and another address has places of its own.
    on.happens.send_replace(true);
    assert_eq!(on.order("GET", "/wait", ADMIN, json!({})).await.text, "happened");
    assert_eq!(on.looks_from("192.0.2.2", "/wait", None).await.text, "happened");
    assert!(waiting.await.iter().all(|answer| answer.status == 200));
    assert_eq!(on.looks_from("192.0.2.1", "/wait", None).await.status, 200, "who left gives the place back");
}

pub async fn strangers_are_held_to_a_rate_by_address(on: World) {
    let text = "[access]\nstrangers_per_second = 1\nstrangers_burst = 3\nproxies = [\"10.0.0.1\"]\n";
    on.config.send_replace(config(text));
    let mut last = 200;
    for _ in 0..10 {
        last = on.from("192.0.2.1", None).await.status;
    }
    let refused = on.from("192.0.2.1", Some("192.0.2.77")).await;
    assert_eq!((last, refused.status), (429, 429), "who is no proxy says what it likes");
    assert!(refused.header(header::RETRY_AFTER).parse::<u64>().unwrap() >= 1);
    assert_eq!(refused.json()["code"], "too_many");
    assert_eq!(on.from("192.0.2.2", None).await.status, 200, "another address");
    assert_eq!(on.from("10.0.0.1", Some("192.0.2.3")).await.status, 200, "by the proxy, for another one");
    assert_eq!(
        on.from("10.0.0.1", Some("192.0.2.9, 192.0.2.1")).await.status,
        429,
        "by the proxy, for the first"
    );
    // Who says who they are is not held up, and a wrong token is no way around.
    for _ in 0..10 {
        assert_eq!(on.order("GET", "/", ADMIN, json!({})).await.status, 200);
    }
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(on.order("GET", "/", "guess", json!({})).await.status);
    }
    assert_eq!((statuses[0], statuses[9]), (401, 429), "{statuses:?}");
    assert_eq!(on.get("/healthz", &[]).await.status, 200, "health is always told");
}

pub async fn refused_orders_are_in_the_audit_log(on: World) {
    let made = on.order("POST", "/api/v1/tokens", ADMIN, json!({"name": "r", "role": "reader"})).await.json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(on.order("POST", "/order", token, json!({})).await.status, 403);
    for _ in 0..100 {
        assert_eq!(on.ask("POST", "/order", &[], "").await.status, 401);
    }
    let audit = on.audit().await;
    assert!(audit.contains(&"r refused POST /order 127.0.0.1".to_owned()), "{audit:?}");
    let strangers = audit.iter().filter(|row| row.starts_with("anonymous refused")).count();
    assert!((1..50).contains(&strangers), "bounded: {strangers}");
    store::audit::verify(&mut on.db.read().await.unwrap(), None).await.unwrap();
}
