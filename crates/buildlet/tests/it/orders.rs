//! An agent that knows its coordinator's key starts nothing but what that has ordered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use buildlet_client::order::{self, Order};
use buildlet_client::{About, BuildletClient, Error, OriginalExec, OriginalMode, Signer};
use ed25519_dalek::{Signer as _, SigningKey};
use futures::StreamExt as _;

use crate::agent::{Agent, end, read, shell, soon};
use crate::coordinator::{Coordinator as Dialled, KEY, plain};
use crate::raw;

const MACHINE: &str = "01BOX";

struct Coordinator(SigningKey, AtomicU64);

impl Signer for Coordinator {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.0.sign(bytes).to_bytes()
    }

    fn nonce(&self) -> String {
        self.1.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

fn coordinator(seed: u8) -> Arc<Coordinator> {
    Arc::new(Coordinator(SigningKey::from_bytes(&[seed; 32]), AtomicU64::new(0)))
}

fn public(seed: u8) -> String {
    coordinator(seed).0.verifying_key().to_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn agent() -> Agent {
    Agent::start(&["--order-key", &public(7), "--order-machine", MACHINE]).await
}

fn signing(agent: &Agent, seed: u8, machine: &str) -> BuildletClient {
    let about = About { commits: vec!["tiny@aa".into()], trust: "landed" };
    agent.client().with_orders(coordinator(seed), machine).with_about(about).with_fence(1, "l")
}

/// What an agent says that obeys nobody but its coordinator.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Error>) -> String {
    match answer.unwrap_err() {
        Error::Refused { status: 403, code: Some(code), message } if code == "order" => message,
        other => panic!("{other:?}"),
    }
}

fn original(script: &str) -> OriginalExec {
    OriginalExec {
        cmd: "sh".into(),
        args: ["-c", script].map(str::to_owned).to_vec(),
        mode: OriginalMode::System,
        dir: String::new(),
        env: Vec::new(),
        path: Vec::new(),
        debug: false,
    }
}

#[tokio::test]
async fn what_the_coordinator_orders_is_done_and_nothing_else() {
    let agent = agent().await;
    let ours = signing(&agent, 7, MACHINE);
    let status = ours.status().await.unwrap().bellwether.unwrap();
    assert_eq!(status.order_key.unwrap().len(), 64);
    ours.start(&shell("a", "echo ordered")).await.unwrap();
    assert_eq!(read(&ours, "a", 0).await, "ordered\n");
    // The same again is a new order for what is there already.
    assert_eq!(ours.start(&shell("a", "echo other")).await.unwrap().id, "a");
    let mut output = ours.exec_original(&original("echo by form")).await.unwrap();
    assert_eq!(output.next().await.unwrap().unwrap(), "by form\n");

    let stranger = agent.client().with_fence(1, "l");
    assert!(refusal(stranger.start(&shell("b", "true")).await).contains("without a signed order"));
    assert!(refusal(stranger.exec_original(&original("true")).await.map(drop)).contains("signed order"));
    let door = stranger.connect_ssh("x", "ssh-ed25519 AAAA").await.map(drop);
    assert!(refusal(door).contains("signed order"));
    // What starts nothing needs none: the fence keeps others out.
    stranger.write_file("f", 0o644, "x".into()).await.unwrap();
    for (seed, machine, said) in [(8, MACHINE, "not signed by"), (7, "another", "for machine \"another\"")] {
        let client = signing(&agent, seed, machine);
        assert!(refusal(client.start(&shell("b", "true")).await).contains(said));
        assert!(refusal(client.exec_original(&original("true")).await.map(drop)).contains(said));
        assert!(refusal(client.connect_ssh("x", "ssh-ed25519 AAAA").await.map(drop)).contains(said));
    }
    let known: Vec<_> = status_of(&ours).await.execs.into_iter().map(|exec| exec.id).collect();
    assert_eq!(known, ["a"]);
}

async fn status_of(client: &BuildletClient) -> buildlet_client::AgentStatus {
    client.status().await.unwrap().bellwether.unwrap()
}

/// A request to start a command, and an order that is signed for `ordered`.
async fn by_hand(agent: &Agent, sent: &str, ordered: &str, fence: u64, nonce: &str) -> (u16, String) {
    let status = status_of(&agent.client()).await;
    let order = Order {
        machine: MACHINE.into(),
        instance: status.instance,
        lease: None,
        fence: Some(1),
        commits: Vec::new(),
        trust: "landed".into(),
        request: order::digest("POST", "/bw1/exec", b"", b"", ordered.as_bytes()),
        until_ms: status.uptime_ms + 60_000,
        nonce: nonce.into(),
    };
    let json = serde_json::to_vec(&order).unwrap();
    let value = order::written(&json, &coordinator(7).sign(&order::signed(&json)));
    let head = format!(
        "POST /bw1/exec HTTP/1.1\r\nHost: b\r\nContent-Length: {}\r\nBw-Fence: {fence}\r\n\
         Bw-Order: {value}\r\n\r\n{sent}",
        sent.len()
    );
    let answer = raw::send(agent, head);
    (raw::status(&answer).parse().unwrap(), raw::body(&answer).to_owned())
}

#[tokio::test]
async fn an_order_is_for_one_request_under_one_fence_once() {
    let agent = agent().await;
    let body = |id: &str, script: &str| {
        let env = [["NAME", "value"]];
        serde_json::json!({"id": id, "argv": ["sh", "-c", script], "env": env}).to_string()
    };
    let ordered = body("a", "echo ordered");
    for (sent, said) in [
        (body("a", "echo changed"), "for another request"),
        (body("b", "echo ordered"), "for another request"),
        (ordered.replace("NAME", "NAMF"), "for another request"),
        (ordered.replace("value", "valuf"), "for another request"),
    ] {
        let (status, text) = by_hand(&agent, &sent, &ordered, 1, "n").await;
        assert!(status == 403 && text.contains(said), "{sent}: {status} {text}");
    }
    let (status, text) = by_hand(&agent, &ordered, &ordered, 1, "n").await;
    assert_eq!(status, 200, "{text}");
    let client = agent.client();
    end(&client, "a").await;
    let (status, text) = by_hand(&agent, &ordered, &ordered, 1, "n").await;
    assert!(status == 403 && text.contains("obeyed already"), "{status} {text}");
    // Also once the machine was wiped, and knows the command no more.
    assert!(client.with_fence(1, "l").wipe().await.unwrap().clean);
    let (status, text) = by_hand(&agent, &ordered, &ordered, 1, "n").await;
    assert!(status == 403 && text.contains("obeyed already"), "{status} {text}");
    // An old order is of an old lease: said under the new fence, it is another's.
    let (status, text) = by_hand(&agent, &ordered, &ordered, 2, "m").await;
    assert!(status == 403 && text.contains("another lease"), "{status} {text}");
    let (status, text) = by_hand(&agent, &ordered, &ordered, 1, "m").await;
    assert!(status == 409 && text.contains("stale_fence"), "{status} {text}");
}

#[tokio::test]
async fn whoever_orders_finds_an_agent_again_that_was_started_anew() {
    let mut agent = agent().await;
    let client = signing(&agent, 7, MACHINE);
    client.start(&shell("a", "true")).await.unwrap();
    agent.kill();
    agent.launch().await;
    client.start(&shell("b", "echo there")).await.unwrap();
    assert_eq!(read(&client, "b", 0).await, "there\n");
}

#[tokio::test]
async fn an_agent_that_was_told_of_nobody_obeys_whoever_reaches_it() {
    let agent = Agent::start(&[]).await;
    for client in [agent.client(), signing(&agent, 7, MACHINE)] {
        client.start(&shell("a", "true")).await.unwrap();
    }
    assert_eq!(status_of(&agent.client()).await.order_key, None);
}

#[tokio::test]
async fn a_machine_that_dials_in_obeys_whom_it_has_dialled_first() {
    let mut first = Dialled::offering(([127, 0, 0, 1], 0).into(), plain(), Some(public(7))).await;
    let agent = Agent::dialling_out(KEY, &["--coordinator", &first.url()], &[]);
    let machine = first.registered().await;
    let ours = machine.client.with_orders(coordinator(7), "host-a/attic").with_fence(1, "l");
    ours.start(&shell("a", "echo ordered")).await.unwrap();
    assert_eq!(read(&ours, "a", 0).await, "ordered\n");
    assert!(refusal(machine.client.start(&shell("b", "true")).await).contains("signed order"));
    let other = machine.client.with_orders(coordinator(7), "host-a/cellar");
    assert!(refusal(other.start(&shell("b", "true")).await).contains("is for machine"));

    // Somebody else at that address, with another key.
    let address = first.address;
    drop((ours, other, machine));
    first.stop().await;
    let _other = Dialled::offering(address, plain(), Some(public(8))).await;
    let said = format!("another key ({})", public(8));
    soon("it is noticed", || agent.log().contains(&said)).await;
}
