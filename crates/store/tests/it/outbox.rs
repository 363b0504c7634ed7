//! The table of messages to the world outside.

use store::outbox::{self, NewMessage};
use store::{Micros, StoreError};

use crate::Fixture;

fn message<'a>(key: &'a str, target: &'a str) -> NewMessage<'a> {
    NewMessage { key, marker: "m", channel: "gerrit", target, body: "{}" }
}

async fn due(on: &Fixture, now: i64, floor: i64) -> Vec<String> {
    let mut reader = on.db.read().await.unwrap();
    let rows = outbox::due(&mut reader, "gerrit", Micros(now), floor, 10).await.unwrap();
    rows.into_iter().map(|row| row.key).collect()
}

pub(crate) async fn messages_are_put_once_and_go_out_in_order(on: Fixture) {
    let mut tx = on.db.begin().await.unwrap();
    for (key, target) in [("c", "one"), ("a", "one"), ("b", "two")] {
        assert!(outbox::put(&mut tx, &message(key, target), Micros(10)).await.unwrap());
        assert!(!outbox::put(&mut tx, &message(key, "other"), Micros(11)).await.unwrap(), "{key} is there");
    }
    let mail = NewMessage { channel: "mail", ..message("m", "one") };
    assert!(outbox::put(&mut tx, &mail, Micros(10)).await.unwrap());
    let long = "x".repeat(outbox::LONGEST_KEY + 1);
    assert!(outbox::put(&mut tx, &message(&long, "one"), Micros(10)).await.is_err());
    tx.commit().await.unwrap();
    // Of a transaction that did not happen there is no message.
    let mut tx = on.db.begin().await.unwrap();
    assert!(outbox::put(&mut tx, &message("never", "three"), Micros(10)).await.unwrap());
    drop(tx);
    assert_eq!(due(&on, 10, 0).await, ["c", "b"], "the first of each target");
    assert_eq!(due(&on, 9, 0).await, [""; 0]);

    let floor = 100;
    let mut tx = on.db.begin().await.unwrap();
    outbox::take(&mut tx, "c", 101, floor).await.unwrap();
    let twice = outbox::take(&mut tx, "c", 102, floor).await;
    assert!(matches!(twice, Err(StoreError::Stale)));
    tx.commit().await.unwrap();
    assert_eq!(due(&on, 10, floor).await, ["b"], "what is behind one that is taken waits");
    // Whoever leads next finds it again, and the one before notes nothing any more.
    assert_eq!(due(&on, 10, 200).await, ["c", "b"]);
    let mut tx = on.db.begin().await.unwrap();
    outbox::take(&mut tx, "c", 201, 200).await.unwrap();
    for stale in [
        outbox::sent(&mut tx, "c", 101, Micros(20), None).await,
        outbox::put_off(&mut tx, "c", 101, Micros(20), "no").await,
        outbox::give_up(&mut tx, "c", 101, Micros(20), "no").await,
        outbox::sent(&mut tx, "a", 201, Micros(20), None).await,
    ] {
        assert!(matches!(stale, Err(StoreError::Stale)));
    }
    outbox::put_off(&mut tx, "c", 201, Micros(30), "it is away").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(&on, 29, 200).await, ["b"], "order holds while it waits");
    assert_eq!(due(&on, 30, 200).await, ["c", "b"]);
    let troubled = outbox::troubled(&mut on.db.read().await.unwrap(), 10).await.unwrap();
    assert_eq!(troubled.len(), 1);
    assert_eq!((troubled[0].attempts, troubled[0].last_error.as_deref()), (2, Some("it is away")));

    let mut tx = on.db.begin().await.unwrap();
    outbox::take(&mut tx, "c", 202, 200).await.unwrap();
    outbox::give_up(&mut tx, "c", 202, Micros(40), "never").await.unwrap();
    outbox::take(&mut tx, "b", 203, 200).await.unwrap();
    outbox::sent(&mut tx, "b", 203, Micros(50), None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(due(&on, 40, 200).await, ["a"], "those behind one that was given up go on");
    let mut reader = on.db.read().await.unwrap();
    let counts = outbox::counts(&mut reader).await.unwrap();
    let counts: Vec<_> =
        counts.iter().map(|row| (&*row.channel, &*row.state, row.count, row.failed)).collect();
    assert_eq!(
        counts,
        [("gerrit", "given_up", 1, 1), ("gerrit", "waiting", 1, 0), ("mail", "waiting", 1, 0)]
    );
    drop(reader);

    let mut tx = on.db.begin().await.unwrap();
    assert!(!outbox::revive(&mut tx, "b", Micros(60)).await.unwrap(), "it was sent");
    assert!(outbox::revive(&mut tx, "c", Micros(60)).await.unwrap());
    assert_eq!(outbox::prune(&mut tx, Micros(50)).await.unwrap(), 0);
    assert_eq!(outbox::prune(&mut tx, Micros(51)).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert_eq!(due(&on, 60, 200).await, ["c"]);
    assert!(outbox::get(&mut on.db.read().await.unwrap(), "b").await.unwrap().is_none());
}
