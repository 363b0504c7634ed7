//! Mail, webhooks and GitHub, each against a server on loopback or in this process.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use coordinator::outbox::github::{Github, Post};
use coordinator::outbox::mail::{Mail, Mailer, Settings};
use coordinator::outbox::webhook::{Privacy, Webhook, Webhooks};
use coordinator::outbox::{Again, Channel, Delivered, Delivery, Failure, Message};
use github::post::{Annotation, Check, Output};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use transport::Service;

use crate::hooks::TurnedClock;

async fn deliver(channel: &dyn Channel, message: &Message, again: bool) -> Result<Delivered, Failure> {
    let body = message.body.to_string();
    let delivery = Delivery {
        key: &message.key,
        marker: "00112233aabbccdd",
        target: &message.target,
        body: &body,
        again,
    };
    channel.deliver(delivery).await
}

/// Serves on loopback and keeps what came.
async fn server(
    answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static,
) -> (String, Arc<Mutex<Vec<(Value, String)>>>) {
    let came: Arc<Mutex<Vec<(Value, String)>>> = Arc::default();
    let keep = came.clone();
    let router = Router::new().fallback(move |request: Request| {
        let (keep, answer) = (keep.clone(), answer.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
            let header =
                |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let seen = json!({ "path": head.uri.to_string(), "delivery": header("x-bellwether-delivery"),
                "time": header("x-bellwether-timestamp"), "signature": header("x-bellwether-signature") });
            let mut all = keep.lock().unwrap();
            all.push((seen, body));
            answer(all.len())
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the test's runtime.
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, came)
}

#[tokio::test]
async fn a_webhook_is_signed_and_known_by_its_delivery() {
    let (url, came) = server(|n| match n {
        1 => StatusCode::BAD_GATEWAY.into_response(),
        2 => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
        3 => StatusCode::NO_CONTENT.into_response(),
        _ => (StatusCode::GONE, "no more").into_response(),
    })
    .await;
    let hook = |url: &str| Webhook::new(url, "s3cr3t", Privacy::May).unwrap();
    let webhooks = [("chat".to_owned(), hook(&format!("{url}/in?a=b")))].into();
    let webhooks = Webhooks { webhooks, clock: Arc::new(TurnedClock::default()) };
    let message = coordinator::outbox::webhook::message("k", "chat", json!({ "event": "broken" }));
    let failed = deliver(&webhooks, &message, false).await.unwrap_err();
    assert_eq!(failed.again, Again::Later, "{failed}");
    let moved = deliver(&webhooks, &message, true).await.unwrap_err();
    assert!(moved.again == Again::Later && moved.message.contains("last address"), "{moved}");
    assert_eq!(deliver(&webhooks, &message, true).await, Ok(Delivered::Now));
    let gone = deliver(&webhooks, &message, true).await.unwrap_err();
    assert!(gone.again == Again::Never && gone.message.contains("no more"), "{gone}");
    let came = came.lock().unwrap().clone();
    assert_eq!(came.len(), 4, "nobody was followed elsewhere");
    for (head, body) in came {
        assert_eq!(
            (head["path"].as_str(), head["delivery"].as_str()),
            (Some("/in?a=b"), Some("00112233aabbccdd"))
        );
        assert_eq!(body, r#"{"event":"broken"}"#);
        assert!(
            head["signature"].as_str().unwrap().starts_with("sha256=") && head["time"].is_string(),
            "{head}"
        );
    }
    let stranger = coordinator::outbox::webhook::message("k", "nobody", json!({}));
    assert!(deliver(&webhooks, &stranger, false).await.unwrap_err().message.contains("[webhook.nobody]"));
}

/// An address that is an inner one by its name alone.
#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_not_asked() {
    let (url, came) = server(|_| StatusCode::OK.into_response()).await;
    let named = url.replace("127.0.0.1", "localhost");
    let hook = Webhook::new(&named, "s3cr3t", Privacy::MayNot).unwrap();
    let webhooks =
        Webhooks { webhooks: [("x".to_owned(), hook)].into(), clock: Arc::new(TurnedClock::default()) };
    let message = coordinator::outbox::webhook::message("k", "x", json!({}));
    let refused = deliver(&webhooks, &message, false).await.unwrap_err();
    assert!(refused.message.contains("private network"), "{refused}");
    assert!(came.lock().unwrap().is_empty());
}

/// A mail server that answers RCPT with a code, and keeps what it takes.
async fn smtp(rcpt: &'static str) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = mails.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 here\r\n").await.unwrap();
            let (mut line, mut mail, mut data) = (String::new(), String::new(), false);
            while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                let answer = if data {
                    if line == ".\r\n" {
                        data = false;
                        keep.lock().unwrap().push(std::mem::take(&mut mail));
                        "250 queued\r\n"
                    } else {
                        mail.push_str(&line);
                        ""
                    }
                } else {
                    match line.get(..4).unwrap_or_default() {
                        "DATA" => {
                            data = true;
                            "354 go on\r\n"
                        }
                        "RCPT" => rcpt,
                        "QUIT" => "221 bye\r\n",
                        _ => "250 ok\r\n",
                    }
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                line.clear();
            }
        }
    });
    (port, mails)
}

fn mailer(port: u16) -> Mailer {
    let settings = Settings {
        smtp: format!("smtp://127.0.0.1:{port}"),
        from: "CI <ci@example.org>".into(),
        login: None,
    };
    Mailer::new(&settings).unwrap()
}

#[tokio::test]
async fn a_mail_has_the_id_of_its_message_and_no_second_header() {
    let (port, mails) = smtp("250 ok\r\n").await;
    let mail = Mail {
        to: vec!["ada@example.org".into(), "Béla <bela@example.org>".into()],
        subject: "broken: go\r\nBcc: all@example.org".into(),
        text: "It is broken.\n.\nüber\n".into(),
    };
    let mailer = mailer(port);
    for again in [false, true] {
        assert_eq!(deliver(&mailer, &mail.message("k"), again).await, Ok(Delivered::Now));
    }
    let mails = mails.lock().unwrap().clone();
    assert_eq!(mails.len(), 2);
    for mail in mails {
        assert!(mail.contains("Message-ID: <00112233aabbccdd@example.org>\r\n"), "{mail}");
        assert!(mail.contains("Auto-Submitted: auto-generated\r\n") && !mail.contains("\r\nBcc:"), "{mail}");
    }
    let (port, _) = smtp("550 nobody here\r\n").await;
    let refused = deliver(&self::mailer(port), &mail.message("k"), false).await.unwrap_err();
    assert!(refused.again == Again::Never && refused.message.contains("nobody here"), "{refused}");
    let (port, _) = smtp("451 later\r\n").await;
    let later = deliver(&self::mailer(port), &mail.message("k"), false).await.unwrap_err();
    assert_eq!(later.again, Again::Later, "{later}");
    let bad = Mail { to: vec!["nobody".into()], ..mail };
    assert_eq!(deliver(&self::mailer(port), &bad.message("k"), false).await.unwrap_err().again, Again::Never);
}

/// A GitHub with one pull request and one commit. Of each request that posts it may do its work and not say so.
#[derive(Default)]
struct Hub {
    comments: Vec<Value>,
    runs: Vec<Value>,
    posts: usize,
    lost: Vec<usize>,
}

fn hub(hub: &Arc<Mutex<Hub>>) -> Github {
    let state = hub.clone();
    let router = Router::new().fallback(move |method: Method, request: Request| {
        let state = state.clone();
        async move {
            let path = request.uri().path().to_owned();
            let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let mut body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let mut hub = state.lock().unwrap();
            if method == Method::GET {
                let answer = if path.ends_with("/comments") { json!(hub.comments) } else { json!({ "check_runs": hub.runs }) };
                return axum::Json(answer).into_response();
            }
            hub.posts += 1;
            let added = body["output"]["annotations"].as_array().map_or(0, Vec::len);
            assert!(added <= 50);
            let answer = if path.ends_with("/comments") {
                let comment = json!({ "id": hub.comments.len() + 1, "user": { "id": 1, "login": "bot" }, "body": body["body"],
                    "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z" });
                hub.comments.push(comment.clone());
                comment
            } else {
                let known = path.rsplit('/').next().and_then(|id| id.parse::<usize>().ok());
                let at = known.map_or(hub.runs.len(), |id| id - 1);
                let before = hub.runs.get(at).map_or(0, |run| run["output"]["annotations_count"].as_u64().unwrap());
                body["id"] = (at + 1).into();
                body["output"]["annotations_count"] = (before + added as u64).into();
                if known.is_some() { hub.runs[at] = body.clone() } else { hub.runs.push(body.clone()) }
                body
            };
            let n = hub.posts;
            if hub.lost.contains(&n) {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            (StatusCode::CREATED, axum::Json(answer)).into_response()
        }
    });
    let options = github::Options {
        service: Service::in_process(router),
        token: Some("t".into()),
        user_agent: "test".into(),
        clock: Arc::new(github::SystemClock),
        seed: 1,
        limits: github::Limits::default(),
    };
    Github::new(github::Client::new(options).unwrap())
}

#[tokio::test]
async fn a_comment_on_github_is_there_once() {
    let state = Arc::new(Mutex::new(Hub { lost: vec![1], ..Hub::default() }));
    let channel = hub(&state);
    let post = Post::Comment { repo: "o/r".into(), number: 3, text: "Broken.".into(), since: 0 };
    let lost = deliver(&channel, &post.message("k"), false).await.unwrap_err();
    assert_eq!(lost.again, Again::Later, "{lost}");
    for _ in 0..2 {
        assert_eq!(deliver(&channel, &post.message("k"), true).await, Ok(Delivered::Before));
    }
    let hub = state.lock().unwrap();
    assert_eq!((hub.posts, hub.comments.len()), (1, 1));
    assert_eq!(hub.comments[0]["body"], "Broken.\n\n<!-- bw:00112233aabbccdd -->");
}

#[tokio::test]
async fn a_check_run_gets_each_annotation_once() {
    let state = Arc::new(Mutex::new(Hub { lost: vec![1, 3, 5], ..Hub::default() }));
    let channel = hub(&state);
    let annotation = |n: u32| Annotation {
        path: "a.go".into(),
        start_line: n,
        end_line: n,
        annotation_level: "failure".into(),
        message: "no".into(),
        title: String::new(),
    };
    let mut check = Check {
        name: "linux".into(),
        head_sha: "ab".repeat(20),
        external_id: "run 1".into(),
        status: "in_progress".into(),
        output: Output { title: "runs".into(), summary: "…".into(), ..Output::default() },
        ..Check::default()
    };
    let post =
        |check: &Check| Post::Check { repo: "o/r".into(), check: Box::new(check.clone()) }.message("k");
    let mut tries = 0;
    let mut deliver_all = async |check: &Check| {
        while deliver(&channel, &post(check), tries > 0).await.is_err() {
            tries += 1;
            assert!(tries < 10);
        }
    };
    deliver_all(&check).await;
    check.status = "completed".into();
    check.conclusion = Some("failure".into());
    check.output.annotations = (1..=120).map(annotation).collect();
    deliver_all(&check).await;
    let runs = state.lock().unwrap().runs.clone();
    assert_eq!(runs.len(), 1);
    assert_eq!(
        (&runs[0]["status"], &runs[0]["output"]["annotations_count"]),
        (&json!("completed"), &json!(120))
    );
    let odd = Post::Comment { repo: "o".into(), number: 1, text: String::new(), since: 0 };
    assert_eq!(deliver(&channel, &odd.message("k"), false).await.unwrap_err().again, Again::Never);
}
