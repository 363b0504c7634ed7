use store::{DatabaseUrl, Db};
use tokio::sync::oneshot;

use super::*;
use crate::{Config, GithubEvent, Hint, Hub, TakeOver};

fn config() -> Config {
    Config { take_over: TakeOver::AtOnce, write: Duration::from_millis(300), ..Config::default() }
}

async fn hub() -> (Hub, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(&DatabaseUrl::Sqlite("bellwether.db".into()), dir.path()).await.unwrap();
    (Hub::open(config(), db).await.unwrap(), dir)
}

type Answer = oneshot::Receiver<Result<Published, PublishError>>;

fn order(number: i64) -> (Order, Answer) {
    let (done, answer) = oneshot::channel();
    let hint = Hint::Github(GithubEvent { issue_number: number, ..GithubEvent::default() });
    (Order { hint, delivery: Some(format!("id {number}")), done }, answer)
}

async fn ask(writer: &mut Writer<'_>, number: i64) -> Result<Published, PublishError> {
    let (order, answer) = order(number);
    let _ = writer.store(vec![order]).await;
    answer.await.unwrap()
}

fn numbers(hub: &Hub) -> Vec<i64> {
    let number = |event: &Arc<Event>| event.github.as_ref().unwrap().issue_number;
    hub.recent(Timestamp::MIN).iter().rev().map(number).collect()
}

#[tokio::test]
async fn what_took_place_though_its_answer_was_lost_is_shown() {
    let (hub, _dir) = hub().await;
    let mut writer = Writer::new(&hub.inner);
    writer.lose_answer = true;
    assert!(matches!(ask(&mut writer, 1).await, Ok(Published::New(_))));
    assert_eq!(numbers(&hub), [1]);
    writer.lose_answer = false;
    assert!(matches!(ask(&mut writer, 1).await, Ok(Published::Repeated)));
    assert!(matches!(ask(&mut writer, 2).await, Ok(Published::New(_))));
    assert_eq!(numbers(&hub), [1, 2]);
}

/// The answer is lost, and then nothing answers for a while: what became of it is looked for until it is known, and whoever
/// waits meanwhile misses nothing.
#[tokio::test]
async fn what_is_not_known_is_looked_for_until_it_is() {
    let (hub, _dir) = hub().await;
    let mut writer = Writer::new(&hub.inner);
    let new = [order(1).0, order(2).0].map(|one| (one.hint, one.delivery));
    let first = hub.inner.kept().begin(hub.inner.now());
    let new = new.into_iter().zip([first, kept::after(first)]);
    let new: Vec<New> =
        new.map(|((hint, delivery), time)| New { time, event: Arc::new(hint.at(time)), delivery }).collect();
    writer.write(&new, None).await.unwrap();
    writer.unsure = Some(new);
    let held = hub.inner.db.begin().await.unwrap();
    assert!(ask(&mut writer, 3).await.is_err(), "the database is held");
    writer.beat().await.unwrap();
    assert_eq!(numbers(&hub), [0; 0]);
    assert!(hub.inner.kept().tick(hub.inner.now()) < first);
    drop(held);
    writer.beat().await.unwrap();
    assert_eq!(numbers(&hub), [1, 2]);
    assert!(matches!(ask(&mut writer, 2).await, Ok(Published::Repeated)));
}

#[tokio::test]
async fn a_write_that_takes_too_long_is_given_up_and_leaves_nothing() {
    let (hub, _dir) = hub().await;
    let mut writer = Writer::new(&hub.inner);
    let held = hub.inner.db.begin().await.unwrap();
    let slow = ask(&mut writer, 1).await.unwrap_err();
    assert!(slow.to_string().contains("300 ms"), "{slow}");
    drop(held);
    assert!(matches!(ask(&mut writer, 1).await, Ok(Published::New(_))), "it was not taken");
    assert_eq!(numbers(&hub), [1]);
}

#[tokio::test]
async fn of_two_hubs_the_one_opened_last_stores() {
    let (old, _dir) = hub().await;
    let db = old.inner.db.clone();
    let careful = Config { take_over: TakeOver::WhenOver, ..config() };
    let held = Hub::open(careful.clone(), db.clone()).await.err().unwrap().to_string();
    assert!(held.contains("stores events in this database"), "{held}");
    let new = Hub::open(config(), db.clone()).await.unwrap();
    let ended = tokio::spawn({
        let old = old.clone();
        async move { old.run(CancellationToken::new()).await }
    });
    assert_eq!(ended.await.unwrap(), Err(Replaced), "its first beat finds it");
    let refused = old.publish(Hint::Github(GithubEvent::default()), None).await.unwrap_err();
    assert!(matches!(refused, PublishError::Ended), "{refused}");
    let stale = ask(&mut Writer::new(&old.inner), 1).await.unwrap_err();
    assert!(matches!(&stale, PublishError::Store(error) if matches!(**error, StoreError::Stale)), "{stale}");
    assert!(matches!(ask(&mut Writer::new(&new.inner), 2).await, Ok(Published::New(_))));
    assert_eq!(numbers(&new), [2]);
    // Whoever ends gives the place back.
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    new.run(shutdown).await.unwrap();
    let next = Hub::open(careful, db).await.unwrap();
    assert_eq!(numbers(&next), [2]);
}
