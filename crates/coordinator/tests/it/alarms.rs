//! Alarms begin and end once, wherever the coordinator dies, and are shown and told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coordinator::AlarmList;
use serde_json::json;

use crate::hooks::Freeze;
use crate::standings::{CHAT, taking};
use crate::world::{PATIENCE, Running, World, hash, simple};

async fn alarms(running: &Running, wanted: impl Fn(&AlarmList) -> bool) -> AlarmList {
    let end = Instant::now() + PATIENCE;
    loop {
        let list: AlarmList = running.admin().get_json("/api/v1/alarms").await.unwrap();
        if wanted(&list) {
            return list;
        }
        assert!(Instant::now() < end, "{list:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn an_alarm_begins_and_ends_once_wherever_the_coordinator_dies(mut world: World) {
    let taken = taking(&mut world);
    world.alarms = Duration::from_millis(20);
    let more = format!(
        "retries = 1\n{CHAT}[notify.ops]\nbuilder = \"b\"\ntell = \"alarms\"\nwebhook = \"chat\"\n\
         [notify.team]\nwebhook = \"chat\"\n[alarms]\nleast = 1\nbuilder_retries = 60\noff = \"machine_retries\"\n"
    );
    let once = world.dir.path().join("once");
    world.configure(&simple(&format!("[ -e {0} ] || {{ touch {0}; exit 1; }}", once.display()), &more));
    world.push("one", &[1]).await;
    let done = |n: u32| move |row: &store::builds::BuildRow| row.revision.ends_with(&hash(n)) && row.reported;
    // It dies before the beginning is written, and after it.
    for point in ["before_alarm", "after_alarm"] {
        let freeze = Freeze::at(point);
        let running = world.start_with(world.local_pool(), Arc::clone(&freeze) as _).await;
        tokio::time::timeout(PATIENCE, freeze.reached.cancelled()).await.expect(point);
        running.kill().await;
    }
    let running = world.start().await;
    let list = alarms(&running, |list| !list.live.is_empty()).await;
    assert_eq!((list.live.len(), list.over.len()), (1, 0), "{list:?}");
    let alarm = &list.live[0];
    assert_eq!((alarm.kind.as_str(), alarm.subject.as_str()), ("builder_retries", "b"));
    assert!(alarm.detail.starts_with("1 of 1 builds had more than one attempt"), "{alarm:?}");
    assert_eq!(
        running.admin().get_json::<coordinator::Status>("/status.json").await.unwrap().alarms,
        list.live
    );
    // A builder may be of what is private.
    let reader = transport::Viewer::known("bob", transport::Role::Reader);
    let seen: AlarmList = running.service.clone().asking_as(reader).get_json("/api/v1/alarms").await.unwrap();
    assert_eq!(seen, AlarmList::default());
    let until = Instant::now() + PATIENCE;
    while running.measured("alarms{kind=\"builder_retries\"}") < 1.0 {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // A half is no more than its threshold, and more than half of it; a quarter is not.
    for n in 2..=4 {
        let commits: Vec<u32> = (1..=n).rev().collect();
        world.push("one", &commits).await;
        world.until("one", "b", done(n)).await;
    }
    let list = alarms(&running, |list| !list.over.is_empty()).await;
    assert_eq!((list.live.len(), list.over.len()), (0, 1), "{list:?}");
    let began = list.over[0].began.0;
    let keys = taken.until(2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let key = |event: &str| format!("alarm/builder_retries/b/{began}/{event}/ops/webhook/chat to chat");
    assert_eq!(taken.keys(), [key("begin"), key("end")], "{keys:?}");
    assert_eq!(taken.body(0)["event"], json!("alarm_begin"));
    running.end().await;
}
