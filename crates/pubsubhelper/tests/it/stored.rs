use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use pubsubhelper::{Event, PublishError, Published};
use store::pubsub_events::{self, PubsubEventRow};
use tokio::task::JoinSet;

use crate::world::{LONG, World, hint};

fn number(event: &Event) -> i64 {
    event.github.as_ref().unwrap().issue_number
}

fn new(published: Published) -> Arc<Event> {
    match published {
        Published::New(event) => event,
        Published::Repeated => panic!("it was taken before"),
    }
}

pub(crate) async fn a_restart_keeps_events_and_deliveries(on: World) {
    for n in 1..=60 {
        on.hub.publish(hint(n), Some(format!("id {n}"))).await.unwrap();
    }
    let before = on.hub.recent(Timestamp::MIN);
    assert_eq!(before.len(), 60);
    let on = on.again().await;
    assert_eq!(on.hub.recent(Timestamp::MIN), before);
    let fifth = before[55].time;
    assert_eq!(number(&before[55]), 5);
    let next = on.hub.wait(fifth).await;
    assert_eq!(number(&next), 6, "whoever asked before goes on where they were");
    assert_eq!(on.hub.publish(hint(9), Some("id 9".into())).await.unwrap(), Published::Repeated);
    let later = new(on.hub.publish(hint(61), None).await.unwrap());
    assert!(later.time > before[0].time);
}

pub(crate) async fn a_delivery_makes_one_event_however_often_it_comes(on: World) {
    let mut all = JoinSet::new();
    for n in 0..40 {
        let hub = on.hub.clone();
        all.spawn(async move { hub.publish(hint(n % 4), Some(format!("id {}", n % 4))).await.unwrap() });
    }
    let answers = all.join_all().await;
    assert_eq!(answers.iter().filter(|one| matches!(one, Published::New(_))).count(), 4);
    assert_eq!(on.hub.recent(Timestamp::MIN).len(), 4);
    // Without an id nothing is known of it.
    for _ in 0..2 {
        new(on.hub.publish(hint(9), None).await.unwrap());
    }
}

pub(crate) async fn a_thousand_who_wait_all_get_the_event(on: World) {
    let mut all = JoinSet::new();
    for _ in 0..1000 {
        let hub = on.hub.clone();
        all.spawn(async move { hub.wait(None).await });
    }
    // Some go away; nobody is kept waiting by that.
    let mut gone = JoinSet::new();
    for _ in 0..100 {
        let hub = on.hub.clone();
        gone.spawn(async move { hub.wait(None).await });
    }
    let waiting = async {
        while on.hub.waiting() < 1100 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap();
    gone.shutdown().await;
    assert_eq!(on.hub.waiting(), 1000, "nothing is left of who went");
    let event = new(on.hub.publish(hint(1), None).await.unwrap());
    let got = tokio::time::timeout(LONG, all.join_all()).await.unwrap();
    assert_eq!(got.len(), 1000);
    assert!(got.iter().all(|one| *one == event));
    assert_eq!(on.hub.waiting(), 0);
}

pub(crate) async fn what_cannot_be_stored_is_not_shown(on: World) {
    let first = new(on.hub.publish(hint(1), None).await.unwrap());
    on.db.close().await;
    let refused = on.hub.publish(hint(2), Some("id".into())).await.unwrap_err();
    assert!(matches!(refused, PublishError::Store(_)), "{refused}");
    assert_eq!(on.hub.recent(Timestamp::MIN), [first]);
    // It was not taken, so it may come again.
    let on = on.again().await;
    new(on.hub.publish(hint(2), Some("id".into())).await.unwrap());
}

pub(crate) async fn what_is_old_is_forgotten(on: World) {
    let old = Timestamp::now() - Duration::from_secs(7200);
    let mut tx = on.db.begin().await.unwrap();
    for n in 0..100 {
        let event = Event { time: Some(old), ..Event::default() };
        let time_ns = i64::try_from(old.as_nanosecond()).unwrap() + n;
        let row = PubsubEventRow { time_ns, event: event.to_json(), delivery: None };
        pubsub_events::add(&mut tx, &row).await.unwrap();
    }
    tx.commit().await.unwrap();
    let on = on.again().await;
    assert_eq!(on.hub.recent(Timestamp::MIN).len(), 100);
    // The first drops them from memory, the second from the database.
    for n in 1..=2 {
        on.hub.publish(hint(n), None).await.unwrap();
    }
    assert_eq!(on.hub.recent(Timestamp::MIN).len(), 2);
    let rows = pubsub_events::newest(&mut on.db.read().await.unwrap(), i64::MAX, 1000).await.unwrap();
    assert_eq!(rows.len(), 2);
}
