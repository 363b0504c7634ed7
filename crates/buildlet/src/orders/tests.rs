use ed25519_dalek::{Signer as _, SigningKey};

use super::*;

const REQUEST: Request<'static> = Request { digest: "d1", lease: Some("l"), fence: Some(7) };

fn order(nonce: &str) -> Order {
    Order {
        machine: "far/box".into(),
        instance: "i1".into(),
        lease: Some("l".into()),
        fence: Some(7),
        commits: vec!["tiny@aa".into()],
        trust: "landed".into(),
        request: "d1".into(),
        until_ms: 60_000,
        nonce: nonce.into(),
    }
}

fn coordinator() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn signed(key: &SigningKey, order: &Order) -> Vec<u8> {
    let json = serde_json::to_vec(order).unwrap();
    let signature = key.sign(&order::signed(&json)).to_bytes();
    order::written(&json, &signature).into_bytes()
}

fn agent(dir: &Path) -> Orders {
    let orders = Orders::new("i1", dir, Instant::now());
    orders.registered(Some(&hex(coordinator().verifying_key().as_bytes())), None, "far/box").unwrap();
    orders
}

#[tokio::test(start_paused = true)]
async fn one_order_starts_one_command_on_one_machine_once_and_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let admit = |order: &Order| agent.admit(Some(&signed(&coordinator(), order)), REQUEST);
    assert_eq!(admit(&order("n1")), Ok(()));
    assert_eq!(admit(&order("n1")), Err(Refused::Again));
    assert_eq!(admit(&order("n2")), Ok(()));
    assert_eq!(agent.admit(None, REQUEST), Err(Refused::Unsigned));
    let other = Order { machine: "far/another".into(), ..order("n3") };
    assert_eq!(admit(&other), Err(Refused::Machine("far/another".into(), "far/box".into())));
    assert_eq!(admit(&Order { instance: "i0".into(), ..order("n3") }), Err(Refused::Instance));
    for other in [
        Order { fence: Some(6), ..order("n3") },
        Order { fence: None, ..order("n3") },
        Order { lease: Some("m".into()), ..order("n3") },
    ] {
        assert_eq!(admit(&other), Err(Refused::Lease));
    }
    assert_eq!(admit(&Order { request: "d2".into(), ..order("n3") }), Err(Refused::Request));
    let stranger = signed(&SigningKey::from_bytes(&[8; 32]), &order("n3"));
    assert_eq!(agent.admit(Some(&stranger), REQUEST), Err(Refused::Signature));
    assert!(matches!(agent.admit(Some(b"e30.AAAA"), REQUEST), Err(Refused::Malformed(_))));
    // Nothing of all that has used it up; its time does.
    tokio::time::advance(std::time::Duration::from_millis(60_000)).await;
    assert_eq!(admit(&order("n3")), Ok(()));
    tokio::time::advance(std::time::Duration::from_millis(1)).await;
    assert_eq!(admit(&order("n4")), Err(Refused::Late(1)));
    // What was obeyed is remembered as long as it could be obeyed again.
    assert_eq!(admit(&order("n1")), Err(Refused::Late(1)));
}

#[tokio::test(start_paused = true)]
async fn a_changed_bit_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let whole = signed(&coordinator(), &order("n1"));
    for at in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[at / 8] ^= 1 << (at % 8);
        assert!(agent.admit(Some(&changed), REQUEST).is_err(), "bit {at}");
    }
    assert_eq!(agent.admit(Some(&whole), REQUEST), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn more_orders_than_can_be_remembered_are_not_obeyed() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let until = u64::MAX;
    agent.known().obeyed.extend((0..REMEMBERED).map(|n| (format!("x{n}"), until)));
    let full = agent.admit(Some(&signed(&coordinator(), &order("n1"))), REQUEST);
    assert_eq!(full, Err(Refused::Crowded));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_with_another_key_or_none_is_another_one() {
    let dir = tempfile::tempdir().unwrap();
    let unknown = Orders::new("i1", dir.path(), Instant::now());
    unknown.registered(None, None, "far/box").unwrap();
    assert_eq!(unknown.admit(None, REQUEST), Ok(()));
    assert!(matches!(unknown.registered(Some("no key"), None, "far/box"), Err(KeyError::NoKey(_))));
    assert!(!unknown.wanted());

    let first = agent(dir.path());
    assert_eq!(first.key(), Some(hex(coordinator().verifying_key().as_bytes())));
    let other = hex(SigningKey::from_bytes(&[8; 32]).verifying_key().as_bytes());
    // Also after a restart.
    for agent in [first, Orders::new("i2", dir.path(), Instant::now())] {
        for offered in [Some(other.as_str()), None] {
            let error = agent.registered(offered, None, "far/box").unwrap_err().to_string();
            assert!(error.contains(FILE) && error.contains("remove"), "{error}");
        }
    }
    std::fs::remove_file(dir.path().join(FILE)).unwrap();
    let again = Orders::new("i2", dir.path(), Instant::now());
    again.registered(Some(&other), None, "far/box").unwrap();
    assert_eq!(again.key(), Some(other));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_followed_by_the_one_that_it_has_signed() {
    let dir = tempfile::tempdir().unwrap();
    let agent = agent(dir.path());
    let public = |seed: u8| hex(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes());
    let proof = |by: &SigningKey, of: &str| hex(&by.sign(&order::succession(of)).to_bytes());
    let new = public(8);
    let good = proof(&coordinator(), &new);
    let of_another = proof(&coordinator(), &public(9));
    let by_another = proof(&SigningKey::from_bytes(&[8; 32]), &new);
    let signed_as_order = hex(&coordinator().sign(&order::signed(new.as_bytes())).to_bytes());
    for bad in [
        of_another,
        by_another,
        signed_as_order,
        good[2..].to_owned(),
        format!("+{}", &good[1..]),
        String::new(),
    ] {
        let error = agent.registered(Some(&new), Some(&bad), "far/box").unwrap_err().to_string();
        assert!(error.contains("does not vouch"), "{error}");
    }
    assert_eq!(agent.kept().unwrap(), Some(hex(coordinator().verifying_key().as_bytes())));
    agent.registered(Some(&new), Some(&good), "far/box").unwrap();
    assert_eq!((agent.key(), agent.kept().unwrap()), (Some(new.clone()), Some(new)));
    // What was signed with the key of before is nothing any more.
    assert_eq!(agent.admit(Some(&signed(&coordinator(), &order("n1"))), REQUEST), Err(Refused::Signature));
}
