//! What this server has not ordered is not done.

use std::time::Duration;

use buildlet_client::{Address, BuildletClient, Error, ExecRequest};
use dashboard::api::Outcome;
use store::Conn as _;
use tonic::Code;
use transport::{Role, Viewer};

use crate::held::{CONFIG, client, create, destroy, held, run};
use crate::scopes::until_held;
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

/// While no server runs, a machine that somebody holds is made another's, and one of a build that goes on is wished for.
pub async fn nobody_has_a_machine_because_the_database_says_so(world: World) {
    let config = CONFIG
        .replace("sleep 0.02; done", "sleep 0.02; done; exit 1")
        .replace("capacity = 1", "capacity = 2");
    let go = world.dir.path().join("go");
    world.configure(&config.replace("GO", &go.display().to_string()));
    world.push("one", &[1]).await;
    let before = world.start().await;
    let row = world.until("one", "b", |row| row.state == "running").await;
    let (one, _) = create(&mut client(&before, "ann", Role::Developer)).await;
    before.kill().await;
    let mut tx = world.db.begin().await.unwrap();
    let changed = sqlx::query("UPDATE gomotes SET owner = 'eve'").execute(tx.conn()).await.unwrap();
    assert_eq!(changed.rows_affected(), 1);
    let wish = "INSERT INTO wanted_holds (build, owner, wanted_us) VALUES ($1, 'eve', 1)";
    sqlx::query(wish).bind(row.id.to_string()).execute(tx.conn()).await.unwrap();
    tx.commit().await.unwrap();
    let after = world.start().await;
    let mut eve = client(&after, "eve", Role::Developer);
    assert_eq!(held(&mut eve).await, [""; 0]);
    let refused = run(&mut eve, &one.gomote_id, "true").await.1.unwrap_err();
    assert_eq!(refused.0, Code::NotFound, "{refused:?}");
    std::fs::write(&go, "").unwrap();
    assert_eq!(world.done("one", "b").await.outcome, Some(Outcome::Failed));
    // Both machines are free again: the wiped one that ann had, and the build's.
    after.until(|status| status.workers.iter().filter(|worker| worker.state == "idle").count() == 2).await;
    assert_eq!(held(&mut eve).await, [""; 0]);
    let mut reader = world.db.read().await.unwrap();
    assert_eq!(store::wanted_holds::all(&mut reader).await.unwrap(), []);
    assert_eq!(store::gomotes::live(&mut reader).await.unwrap(), []);
}

/// A row that has ended, and is sealed, is opened again while a build has the machine.
pub async fn what_somebody_held_before_is_not_theirs_while_another_has_it(world: World) {
    let go = world.dir.path().join("go");
    world.configure(&CONFIG.replace("GO", &go.display().to_string()));
    let before = world.start().await;
    let mut ann = client(&before, "ann", Role::Developer);
    let (one, _) = create(&mut ann).await;
    destroy(&mut ann, &one.gomote_id).await;
    before.until(|status| status.workers.iter().any(|worker| worker.state == "idle")).await;
    world.push("one", &[1]).await;
    world.until("one", "b", |row| row.state == "running").await;
    before.kill().await;
    let mut tx = world.db.begin().await.unwrap();
    let again = "UPDATE gomotes SET ended_us = NULL, expires_us = expires_us + 86400000000";
    assert_eq!(sqlx::query(again).execute(tx.conn()).await.unwrap().rows_affected(), 1);
    tx.commit().await.unwrap();
    let after = world.start().await;
    assert_eq!(held(&mut client(&after, "ann", Role::Developer)).await, [""; 0]);
    std::fs::write(&go, "").unwrap();
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 1), "{build:?}");
}

/// The same while somebody else holds it, who has it still.
pub async fn what_somebody_held_before_is_theirs_who_hold_it_now(world: World) {
    world.configure(&CONFIG.replace("GO", &world.dir.path().join("go").display().to_string()));
    let before = world.start().await;
    let mut ann = client(&before, "ann", Role::Developer);
    let (one, _) = create(&mut ann).await;
    destroy(&mut ann, &one.gomote_id).await;
    let mut bob = client(&before, "bob", Role::Developer);
    let (two, _) = create(&mut bob).await;
    before.kill().await;
    let mut tx = world.db.begin().await.unwrap();
    let again =
        "UPDATE gomotes SET ended_us = NULL, expires_us = expires_us + 86400000000 WHERE owner = 'ann'";
    assert_eq!(sqlx::query(again).execute(tx.conn()).await.unwrap().rows_affected(), 1);
    tx.commit().await.unwrap();
    let after = world.start().await;
    let mut bob = client(&after, "bob", Role::Developer);
    until_held(&after, &Viewer::known("root", Role::Admin), &[&two.gomote_id]).await;
    assert_eq!(run(&mut bob, &two.gomote_id, "echo mine").await, ("mine\n".into(), Ok(())));
    assert_eq!(held(&mut client(&after, "ann", Role::Developer)).await, [""; 0]);
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
