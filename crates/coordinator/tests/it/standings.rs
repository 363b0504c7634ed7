//! Builders that break and are mended: told once, and never of a flake.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use coordinator::outbox::{Channel, Channels, Delivered, Delivery, Failure, Kind, Limits};
use futures::future::BoxFuture;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use store::builds::BuildRow;
use transport::{Role, Viewer};

use crate::hooks::Freeze;
use crate::world::{PATIENCE, Running, World, hash, simple};

/// Takes all that is sent to webhooks.
#[derive(Default)]
pub struct Taken(Mutex<Vec<(String, Value)>>);

impl Channel for Taken {
    fn deliver<'a>(&'a self, delivery: Delivery<'a>) -> BoxFuture<'a, Result<Delivered, Failure>> {
        let body = serde_json::from_str(delivery.body).unwrap();
        self.0.lock().unwrap().push((format!("{} to {}", delivery.key, delivery.target), body));
        Box::pin(std::future::ready(Ok(Delivered::Now)))
    }
}

impl Taken {
    pub fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(key, _)| key.clone()).collect()
    }

    pub fn body(&self, n: usize) -> Value {
        self.0.lock().unwrap()[n].1.clone()
    }

    pub async fn until(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let keys = self.keys();
            if keys.len() >= count {
                return keys;
            }
            assert!(Instant::now() < end, "not {count}: {keys:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Webhooks are taken, and quickly.
pub fn taking(world: &mut World) -> Arc<Taken> {
    let taken = Arc::new(Taken::default());
    world.channels = Channels::from([(Kind::Webhook, Arc::clone(&taken) as _)]);
    world.outbox = Limits { poll: Duration::from_millis(10), ..Limits::default() };
    taken
}

pub const CHAT: &str = "[webhook.chat]\nurl = \"https://chat.example.org/\"\nsecret_file = \"x\"\n";

/// Tries the build of commit `n` once more, and waits for its end.
async fn again(world: &World, running: &Running, n: u32) -> BuildRow {
    let at = |row: &BuildRow| row.revision.ends_with(&hash(n));
    let row = world.until("one", "b", |row| at(row) && row.state == "done").await;
    running.post(&format!("/api/v1/builds/{}/retry", row.id)).await;
    world.until("one", "b", |new| at(new) && new.state == "done" && new.attempts > row.attempts).await
}

pub async fn a_builder_that_breaks_is_told_once_and_so_is_that_it_is_mended(mut world: World) {
    let taken = taking(&mut world);
    let bad = world.dir.path().join("bad");
    let more = format!(
        "[repo.two]\nurl = \"https://example.com/two\"\n\
         [builder.flaky]\nhost = \"h\"\nrecipe = \"f\"\nrepos = [\"two\"]\n\
         [recipe.f]\nretries = 1\nrun = \'\'\'[ -e {0} ] || {{ touch {0}; exit 1; }}\'\'\'\n{CHAT}\
         [notify.team]\nbranch = \"main\"\nwebhook = \"chat\"\n[notify.other]\nbuilder = \"x*\"\nwebhook = \"chat\"\n",
        world.dir.path().join("flaky").display()
    );
    world.configure(&simple(&format!("[ ! -e {} ]", bad.display()), &more));
    let done = |n: u32| move |row: &BuildRow| row.revision.ends_with(&hash(n)) && row.state == "done";
    let push = async |n: u32| world.push("one", &(1..=n).rev().collect::<Vec<_>>()).await;
    push(1).await;
    world.push("two", &[9]).await;
    let running = world.start().await;
    world.until("one", "b", done(1)).await;
    assert_eq!(world.until("two", "flaky", done(9)).await.attempts, 2, "a flake");

    // Once is no more than a flake.
    std::fs::write(&bad, "").unwrap();
    push(2).await;
    assert_eq!(world.until("one", "b", done(2)).await.outcome.as_deref(), Some("failed"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(taken.keys(), [""; 0]);
    running.kill().await;

    // Wherever the coordinator dies over a second failure, it is told once.
    let mut expected = Vec::new();
    for (first, point) in [(2, "before_done"), (4, "after_done")] {
        let second = first + 1;
        let freeze = Freeze::at(point);
        push(second).await;
        let dies = world.start_with(world.local_pool(), Arc::clone(&freeze) as _).await;
        tokio::time::timeout(PATIENCE, freeze.reached.cancelled()).await.expect(point);
        dies.kill().await;
        let running = world.start().await;
        world.until("one", "b", done(second)).await;
        expected.push(format!("builder/b/one/main/{}/broken", hash(first)));
        assert_eq!(taken.until(expected.len()).await.len(), expected.len());
        std::fs::remove_file(&bad).unwrap();
        assert_eq!(again(&world, &running, second).await.outcome.as_deref(), Some("ok"));
        expected.push(format!("builder/b/one/main/{}/mended", hash(second)));
        assert_eq!(taken.until(expected.len()).await.len(), expected.len());
        std::fs::write(&bad, "").unwrap();
        push(second + 1).await;
        world.until("one", "b", done(second + 1)).await;
        running.kill().await;
    }
    let running = world.start().await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let wanted: Vec<String> = expected.iter().map(|key| format!("{key}/team/webhook/chat to chat")).collect();
    assert_eq!(taken.keys(), wanted, "and nothing of the flake, or twice");
    let body = taken.body(0);
    assert_eq!((&body["event"], &body["commit"]), (&json!("broken"), &json!(hash(2))), "{body}");
    assert_eq!((&body["builder"], &body["branch"]), (&json!("b"), &json!("main")), "{body}");
    assert!(body["text"].as_str().unwrap().contains("exit run: exit status 1"), "{body}");
    running.end().await;
}

/// Says no until it is told otherwise.
#[derive(Default)]
struct Refusing(Mutex<bool>);

impl Channel for Refusing {
    fn deliver<'a>(&'a self, _: Delivery<'a>) -> BoxFuture<'a, Result<Delivered, Failure>> {
        let again = coordinator::outbox::Again::Never;
        let no = || Failure { message: "it is not <wanted>".into(), again };
        let answer = if *self.0.lock().unwrap() { Ok(Delivered::Now) } else { Err(no()) };
        Box::pin(std::future::ready(answer))
    }
}

pub async fn who_runs_the_server_sees_what_was_not_sent_and_has_it_sent(mut world: World) {
    taking(&mut world);
    let refusing = Arc::new(Refusing::default());
    world.channels = Channels::from([(Kind::Webhook, Arc::clone(&refusing) as _)]);
    let running = world.start().await;
    let mut tx = world.db.begin().await.unwrap();
    let message = coordinator::outbox::webhook::message("a/<key>", "chat", json!({}));
    message.put(&mut tx, &*world.clock).await.unwrap();
    tx.commit().await.unwrap();
    let ann = running.admin();
    let until = async |state: &str| {
        let end = Instant::now() + PATIENCE;
        loop {
            let list: Value = ann.get_json("/outbox.json").await.unwrap();
            let mut all =
                ["troubled", "open", "sent"].into_iter().flat_map(|of| list[of].as_array().unwrap());
            if all.any(|one| one["state"] == state) {
                return list;
            }
            assert!(Instant::now() < end, "{list}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let list = until("given_up").await;
    assert_eq!(list["counts"], json!([{"channel": "webhook", "state": "given_up", "count": 1, "failed": 1}]));
    assert_eq!(list["troubled"][0]["last_error"], "it is not <wanted>");
    let page = ann.send(Request::get("/outbox").body(axum::body::Body::empty()).unwrap()).await.unwrap();
    let page = axum::body::to_bytes(page.into_body(), 1 << 20).await.unwrap();
    let page = String::from_utf8(page.into()).unwrap();
    for part in ["it is not &#60;wanted&#62;", "value=\"a/&#60;key&#62;\"", "Try now"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let body = json!({"key": "a/<key>"});
    let retry = "/api/v1/outbox/retry";
    for (viewer, status) in [
        (Viewer::stranger(true), StatusCode::UNAUTHORIZED),
        (Viewer::known("ada", Role::Developer), StatusCode::FORBIDDEN),
        (Viewer::known("eve", Role::Admin).scoped(vec!["one".into()]), StatusCode::FORBIDDEN),
    ] {
        let service = running.service.clone().asking_as(viewer);
        let request = Request::post(retry).header(header::CONTENT_TYPE, "application/json");
        let answer = service.send(request.body(body.to_string().into()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status);
        let answer =
            service.send(Request::get("/outbox.json").body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(answer.unwrap().status(), status);
    }
    assert_eq!(until("given_up").await["troubled"][0]["attempts"], 1, "nobody had it tried");
    *refusing.0.lock().unwrap() = true;
    let answer: Value = ann.call_json(Method::POST, retry, Some(&body)).await.unwrap();
    assert_eq!(answer["state"], "waiting", "{answer}");
    until("sent").await;
    // It is not said twice, and by a form it leads back to the page.
    let twice = ann.call_json::<Value, Value>(Method::POST, retry, Some(&body)).await.unwrap_err();
    assert!(twice.is_code("sent"), "{twice}");
    let unknown = ann.call_json::<Value, Value>(Method::POST, retry, Some(&json!({"key": "b"}))).await;
    assert!(unknown.unwrap_err().is_code("not_found"));
    let rows = store::audit::after(&mut world.db.read().await.unwrap(), 0, 100).await.unwrap();
    let deeds: Vec<_> = rows.iter().map(|row| format!("{} {}", row.deed.actor, row.deed.action)).collect();
    assert_eq!(deeds, ["ann outbox_retry"]);
    running.end().await;
}
