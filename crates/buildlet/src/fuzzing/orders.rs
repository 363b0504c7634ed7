//! Signed orders, and the JSON of the `/bw1` protocol.

use std::fmt::Debug;
use std::path::Path;

use arbitrary::Unstructured;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{bytes, number, once_in, one};
use crate::agent::hex;
use crate::order::{self, Order};
use crate::orders::{Orders, Refused, Request, follows};
use crate::wire;

/// Gives an agent orders: the one that was signed for its request is obeyed once, and no other ever is.
pub fn orders(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let key = SigningKey::from_bytes(&[7; 32]);
    let agent = Orders::new("i", Path::new("/nowhere"), Instant::now());
    let key_text = hex(key.verifying_key().as_bytes());
    agent.obey(&key_text, "host/box").expect("a key");

    let text = |u: &mut Unstructured<'_>| String::from_utf8_lossy(&bytes(u, 8)).into_owned();
    let digest = order::digest("POST", &text(&mut u), b"", &bytes(&mut u, 8), &bytes(&mut u, 8));
    let lease = once_in(&mut u, 2).then(|| text(&mut u));
    let fence = once_in(&mut u, 2).then(|| number(&mut u, 9) as u64);
    let order = Order {
        machine: "host/box".into(),
        instance: "i".into(),
        lease: lease.clone(),
        fence,
        commits: vec![text(&mut u)],
        trust: text(&mut u),
        request: digest.clone(),
        until_ms: u64::MAX,
        nonce: text(&mut u),
    };
    let json = serde_json::to_vec(&order).expect("an order can be written");
    let value = order::written(&json, &key.sign(&order::signed(&json)).to_bytes()).into_bytes();
    let request = Request { digest: &digest, lease: lease.as_deref(), fence };

    // What is changed, or was never signed.
    for _ in 0..=number(&mut u, 3) {
        let other = changed(&mut u, &value);
        if other != value {
            let admitted = agent.admit(Some(&other), request);
            assert!(admitted.is_err(), "{}", String::from_utf8_lossy(&other));
        }
    }
    // The right one with another request.
    let another = Request { digest: "d", ..request };
    assert_eq!(agent.admit(Some(&value), another), Err(Refused::Request));
    let another = Request { fence: Some(fence.unwrap_or(0) + 1), ..request };
    assert_eq!(agent.admit(Some(&value), another), Err(Refused::Lease));
    assert_eq!(agent.admit(None, request), Err(Refused::Unsigned));
    // None of all that has used it up.
    assert_eq!(agent.admit(Some(&value), request), Ok(()));
    assert_eq!(agent.admit(Some(&value), request), Err(Refused::Again));

    // The key that comes after it.
    let next = hex(SigningKey::from_bytes(&[8; 32]).verifying_key().as_bytes());
    let proof = hex(&key.sign(&order::succession(&next)).to_bytes());
    assert!(follows(&key_text, &next, Some(&proof)));
    let bad = changed(&mut u, proof.as_bytes());
    let bad = String::from_utf8_lossy(&bad);
    assert!(bad.eq_ignore_ascii_case(&proof) || !follows(&key_text, &next, Some(&bad)), "{bad}");
    let bad = changed(&mut u, next.as_bytes());
    let bad = String::from_utf8_lossy(&bad);
    assert!(bad == next || !follows(&key_text, &bad, Some(&proof)), "{bad}");
}

/// Something near it, or something else.
fn changed(u: &mut Unstructured<'_>, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    for _ in 0..=number(u, 2) {
        let at = number(u, value.len());
        match number(u, 5) {
            0 => value.truncate(at),
            1 => value.insert(at, *one(u, b"A.=_- \0\xff")),
            2 if at < value.len() => drop(value.remove(at)),
            3 => value = bytes(u, 400),
            _ => {
                if let Some(byte) = value.get_mut(at) {
                    *byte = number(u, 255) as u8;
                }
            }
        }
    }
    value
}

/// Reads a body of each kind: what can be read is written so that it is read as the same.
pub fn wire(data: &[u8]) {
    let Some((kind, json)) = data.split_first() else { return };
    match kind % 8 {
        0 => same::<wire::ExecRequest>(json),
        1 => same::<wire::ExecState>(json),
        2 => same::<wire::Status>(json),
        3 => same::<wire::WipeReport>(json),
        4 => same::<wire::GlobRequest>(json),
        5 => same::<wire::GlobReport>(json),
        6 => same::<wire::ErrorBody>(json),
        _ => same::<Order>(json),
    }
}

fn same<T: DeserializeOwned + Serialize + PartialEq + Debug>(json: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(json) else { return };
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    assert_eq!(again, read);
}
