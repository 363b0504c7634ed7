//! What this server has not ordered is not done.

use std::time::Duration;

use buildlet_client::{Address, BuildletClient, Error, ExecRequest};
use dashboard::api::Outcome;
use store::Conn as _;

use crate::world::{World, simple};

/// While no server runs, the job of an attempt is changed, and the next server would go on with it.
pub async fn what_somebody_wrote_into_the_database_is_not_run(world: World) {
    let dir = world.dir.path();
    let (hold, forged) = (dir.join("hold"), dir.join("forged"));
    std::fs::write(&hold, "").unwrap();
    let first = format!("echo one; while [ -e {} ]; do sleep 0.05; done", hold.display());
    world.configure(&simple(&first, ""));
    world.push("one", &[1]).await;
    let before = world.start().await;
    let row = world.until("one", "b", |row| row.state == "running").await;
    before.kill().await;
    // Also what has no seal at all is not taken for one of an earlier version.
    for (change, left) in
        [("job = replace(job, $1, $2)", true), ("job = replace(job, $1, $2), seal = NULL", false)]
    {
        let mut tx = world.db.begin().await.unwrap();
        let text = format!("UPDATE attempts SET {change}, state = 'leased', step = 0 WHERE ended_us IS NULL");
        let touch = format!("touch {}; echo one", forged.display());
        let changed =
            sqlx::query(sqlx::AssertSqlSafe(text)).bind("echo one").bind(touch).execute(tx.conn()).await;
        assert_eq!(changed.unwrap().rows_affected(), 1);
        tx.commit().await.unwrap();
        let after = world.start().await;
        let wanted = row.attempts + if left { 1 } else { 2 };
        world.until("one", "b", |row| row.attempts >= wanted && row.state == "running").await;
        if left {
            after.kill().await;
            continue;
        }
        std::fs::remove_file(&hold).unwrap();
        let build = world.done("one", "b").await;
        assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
        let (last, refused) = build.attempts.split_last().unwrap();
        assert_eq!(world.log(last).await, "one\n");
        assert_eq!(refused.len(), 2, "{build:?}");
        for attempt in refused {
            let cause = attempt.cause.as_ref().unwrap();
            assert_eq!((attempt.outcome, cause.kind.as_str()), (Some(Outcome::InfraFailed), "unsealed"));
            assert!(cause.detail.contains("not written by this server"), "{cause:?}");
        }
    }
    assert!(!forged.exists(), "it was run");
}

/// A worker of the server's own obeys nobody else, whoever reaches its socket.
pub async fn a_worker_starts_nothing_for_a_stranger(world: World) {
    world.configure(&simple("cat hello", ""));
    world.push("one", &[1]).await;
    let running = world.start().await;
    assert_eq!(world.done("one", "b").await.outcome, Some(Outcome::Ok));
    let status = running.until(|status| status.workers.iter().all(|worker| worker.state == "idle")).await;
    let folder = dir_of(&world, &status.workers[0].worker.to_string());
    let kept: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("worker.json")).unwrap()).unwrap();
    let client = BuildletClient::new(Address::Unix(kept["socket"].as_str().unwrap().into()), None);
    let agent = client.status().await.unwrap().bellwether.unwrap();
    assert_eq!(agent.order_key, Some(world.order_key.public()));
    let argv = ["touch", "there"].map(str::to_owned).to_vec();
    let request = ExecRequest { id: "x".into(), argv, ..ExecRequest::default() };
    match client.with_fence(1 << 40, "l").start(&request).await {
        Err(Error::Refused { status: 403, code: Some(code), message }) => {
            assert!(code == "order" && message.contains("signed order"), "{code}: {message}");
        }
        other => panic!("{other:?}"),
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!folder.join("work/there").exists());
}

fn dir_of(world: &World, worker: &str) -> std::path::PathBuf {
    world.dir.path().join("workers").join(worker)
}
