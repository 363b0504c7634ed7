//! The agent and the client hold the same messages.

#[test]
fn both_sides_hold_the_same_messages() {
    let ours = include_str!("../../src/wire.rs");
    let theirs = include_str!("../../../buildlet-client/src/wire.rs");
    assert_eq!(
        ours, theirs,
        "crates/buildlet/src/wire.rs and crates/buildlet-client/src/wire.rs are one text"
    );
}

#[test]
fn both_sides_hold_the_same_orders() {
    let ours = include_str!("../../src/order.rs");
    let theirs = include_str!("../../../buildlet-client/src/order.rs");
    assert_eq!(
        ours, theirs,
        "crates/buildlet/src/order.rs and crates/buildlet-client/src/order.rs are one text"
    );
}

#[test]
fn a_state_looks_like_this() {
    let state =
        buildlet_client::ExecState { id: "x".into(), process_state: "ok".into(), ..Default::default() };
    let json = serde_json::to_value(&state).unwrap();
    let theirs: buildlet::wire::ExecState = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(theirs).unwrap(), json);
    assert_eq!(json["state"], "running");
    assert_eq!(json["ended_by"], serde_json::Value::Null);
}
