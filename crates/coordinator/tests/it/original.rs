//! Original buildlets that dial in: real agents of ours of which nothing is heard but what an original says.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use coordinator::{NoHooks, Protocol, Reception, Registration, Stopped};
use dashboard::api::{BuildReport, Outcome};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::fences::finished;
use crate::hooks::Freeze;
use crate::outcomes::cause;
use crate::reverse::{Far, HOST, Speaks, dialled, pool, until_logged};
use crate::world::{PATIENCE, World};

/// What an agent of ours has in its status beside the version.
const MARK: &[u8] = b"\"Bellwether\":";
const VEIL: &[u8] = b"\"NotHeardOf\":";

/// Copies both ways until either ends; the mark is not let out, and nothing of ours in.
pub async fn copy_veiled(stream: DuplexStream, agent: UnixStream) -> io::Result<()> {
    let (from_us, to_us) = tokio::io::split(stream);
    let (from_agent, to_agent) = agent.into_split();
    let veil = |bytes: &mut [u8]| {
        if let Some(at) = bytes.windows(MARK.len()).position(|part| part == MARK) {
            bytes[at..at + MARK.len()].copy_from_slice(VEIL);
        }
        Ok(())
    };
    let refuse = |bytes: &mut [u8]| {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        match text.contains(" /bw1/") || text.contains("\nbw-") {
            true => Err(io::Error::other("an original knows nothing of that")),
            false => Ok(()),
        }
    };
    tokio::select! {
        ended = copy(from_agent, to_us, veil) => ended,
        ended = copy(from_us, to_agent, refuse) => ended,
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    look: impl Fn(&mut [u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        look(&mut buffer[..count])?;
        to.write_all(&buffer[..count]).await?;
    }
}

fn dial(far: &Far, reception: &Reception) -> JoinHandle<String> {
    let registration = Registration {
        host: "far".into(),
        name: "old".into(),
        instance: None,
        protocol: Protocol::V2,
        least: None,
        identity: None,
        obeys: None,
    };
    tokio::spawn(dialled(registration, Speaks::Original, far.socket.clone(), reception.clone()))
}

async fn ended(mut far: Far) {
    let ended = tokio::time::timeout(Duration::from_secs(20), far.agent.wait()).await;
    assert!(ended.expect("it was not told to end").unwrap().success());
}

async fn none_left(running: &crate::world::Running, reception: &Reception) {
    running.until(|status| status.workers.is_empty()).await;
    assert!(reception.connected().is_empty());
}

async fn logs(world: &World, build: &BuildReport) -> Vec<String> {
    let mut logs = Vec::new();
    for attempt in &build.attempts {
        logs.push(world.log(attempt).await);
    }
    logs
}

pub async fn an_original_is_given_one_build_and_told_to_end(world: World) {
    world.configure(&format!(
        "{HOST}env = {{ HERE = \"$WORKDIR/one\" }}\n\
         [recipe.r]\nrun = '''cat hello; test \"$HERE\" = \"$PWD\" && mkdir out'''\n"
    ));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    // What somebody left there is not there for the build.
    std::fs::create_dir_all(world.dir.path().join("far/work").join("one/out")).unwrap();
    let dialled = dial(&far, &reception);
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 1), "{build:?}");
    assert_eq!(logs(&world, &build).await, ["from one\n"]);
    let reason = dialled.await.unwrap();
    assert!(reason.contains("told to end"), "{reason}");
    ended(far).await;
    none_left(&running, &reception).await;
    assert_eq!(running.measured("workers_lost_total"), 0.0);
    // The next waits until it was started anew.
    world.push("one", &[2, 1]).await;
    let status = running.until(|status| !status.queued.is_empty()).await;
    assert_eq!(status.queued[0].reason, "waits for a machine of host far: there is none now");
    let far = Far::start(&world).await;
    let _dialled = dial(&far, &reception);
    ended(far).await;
    let builds = world.builds().await;
    assert!(builds.iter().all(|row| row.outcome.as_deref() == Some("ok")) && builds.len() == 2, "{builds:?}");
}

pub async fn an_original_is_idle_until_it_is_leased_and_busy_then(world: World) {
    world.configure(&format!("{HOST}[recipe.r]\nrun = 'echo first; sleep 600'\n"));
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let _dialled = dial(&far, &reception);
    let status = running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    let worker = &status.workers[0];
    assert!(worker.detail.starts_with("old, original buildlet, version "), "{worker:?}");
    assert_eq!(reception.connected()[0].worker, worker.worker);
    world.push("one", &[1]).await;
    let status = running.until(|status| status.workers.iter().any(|one| one.state == "busy")).await;
    assert_eq!(status.running[0].worker, worker.worker);
    until_logged(&world, "first").await;
    let id = world.builds().await[0].id;
    running.post(&format!("/api/v1/builds/{id}/cancel")).await;
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Cancelled), 1), "{build:?}");
    assert_eq!(logs(&world, &build).await, ["first\n"]);
    ended(far).await;
    none_left(&running, &reception).await;
}

pub async fn exits_timeouts_and_a_full_log_are_failures_on_an_original(world: World) {
    let cases = [
        ("echo no; exit 3", "", ("exit", "run: exit status 3"), "no\n"),
        ("kill -9 $$", "", ("exit", "run: signal: killed"), ""),
        ("echo here; sleep 600", "timeout = '1s'\n", ("timeout", "run ran over 1 s"), "here\n"),
        ("yes", "", ("limit", "log"), ""),
    ];
    for (n, (run, more, wanted, log)) in cases.into_iter().enumerate() {
        let limit = if run == "yes" { "limits = { log = \"64KiB\" }\n" } else { "" };
        world.configure(&format!("{HOST}{limit}[recipe.r]\nrun = '''{run}'''\n{more}"));
        world.push("one", &[1]).await;
        let (pool, reception) = pool(&world);
        let running = world.start_with(pool, Arc::new(NoHooks)).await;
        let far = Far::start(&world).await;
        let _dialled = dial(&far, &reception);
        ended(far).await;
        let build = world.done("one", "b").await;
        assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Failed), n + 1), "{build:?}");
        assert_eq!(cause(&build), wanted, "{run}");
        let said = world.log(&build.attempts[n]).await;
        match run {
            "yes" => assert_eq!(said.len(), 64 << 10),
            _ => assert_eq!(said, log, "{run}"),
        }
        running.post(&format!("/api/v1/builds/{}/retry", build.id)).await;
        running.kill().await;
        world.until("one", "b", |row| row.state == "queued").await;
    }
}

pub async fn what_runs_on_an_original_is_lost_with_its_connection_and_tried_again(world: World) {
    let count = world.dir.path().join("count").display().to_string();
    world.configure(&format!(
        "{HOST}[recipe.r]\nrun = '''echo x >> {count}; test $(wc -l < {count}) -gt 1 || {{ echo first; sleep 600; }}; echo again'''\n"
    ));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let before = dial(&far, &reception);
    until_logged(&world, "first").await;
    before.abort();
    // Its place is not kept for it: that would be longer than this test waits.
    none_left(&running, &reception).await;
    far.end().await;
    let far = Far::start(&world).await;
    let _after = dial(&far, &reception);
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 2), "{build:?}");
    assert_eq!(build.attempts[0].cause.as_ref().unwrap().kind, "worker_lost", "{build:?}");
    assert_eq!(logs(&world, &build).await, ["first\n", "again\n"]);
    ended(far).await;
}

pub async fn what_runs_on_an_original_is_lost_with_the_coordinator_and_tried_again(world: World) {
    let count = world.dir.path().join("count").display().to_string();
    world.configure(&format!(
        "{HOST}[recipe.r]\nrun = '''echo x >> {count}; test $(wc -l < {count}) -gt 1 || {{ echo first; sleep 600; }}; echo again'''\n"
    ));
    world.push("one", &[1]).await;
    let (first, reception) = pool(&world);
    let running = world.start_with(first, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let before = dial(&far, &reception);
    until_logged(&world, "first").await;
    running.kill().await;
    before.abort();
    far.end().await;
    let (second, reception) = pool(&world);
    let running = world.start_with(second, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let _after = dial(&far, &reception);
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 2), "{build:?}");
    let lost = build.attempts[0].cause.as_ref().unwrap();
    assert_eq!(lost.kind, "worker_lost");
    assert!(lost.detail.starts_with("the machine was gone when the server started again"), "{lost:?}");
    ended(far).await;
    none_left(&running, &reception).await;
}

/// Its machine knows no fence and stays connected to it: that a step's row can't be moved on is all that holds it back.
pub async fn a_paused_coordinator_gives_its_original_no_command_and_writes_nothing(world: World) {
    let count = world.dir.path().join("count");
    let run = format!("echo x >>{}; echo done", count.display());
    let text = format!("{HOST}[recipe.r]\nrun = '''{run}'''\n").replace("horizon = 1", "horizon = 50");
    world.configure(&text);
    let mut commits = Vec::new();
    for (point, attempts, commands) in [
        ("before_preparing", 2, 1),
        ("before_running", 2, 1),
        ("before_reporting", 2, 2),
        // What it came to was written down.
        ("before_done", 1, 1),
    ] {
        let freeze = Freeze::at(point);
        let (first, theirs) = pool(&world);
        let paused = world.start_with(first, Arc::clone(&freeze) as _).await;
        let held = Far::start_as(&world, "held").await;
        let dialled = dial(&held, &theirs);
        commits.insert(0, commits.len() as u32 + 1);
        world.push("one", &commits).await;
        tokio::time::timeout(PATIENCE, freeze.reached.cancelled()).await.expect(point);
        let (second, reception) = pool(&world);
        let next = world.start_with(second, Arc::new(NoHooks)).await;
        let far = Far::start(&world).await;
        let _dialled = dial(&far, &reception);
        let build = finished(&world, commits.len(), point).await;
        assert_eq!(
            (build.outcome, build.attempts.len()),
            (Some(Outcome::Ok), attempts),
            "{point}: {build:?}"
        );
        assert_eq!(world.log(build.attempts.last().unwrap()).await, "done\n", "{point}");
        if attempts == 2 {
            ended(far).await;
            none_left(&next, &reception).await;
        }
        next.stop.cancel();
        assert_eq!(next.stopped().await, Stopped::AtOnce);
        let before = world.everything().await;
        assert_eq!(theirs.connected().len(), 1, "{point}: its machine is still there");
        freeze.release.cancel();
        assert_eq!(paused.stopped().await, Stopped::Superseded, "{point}");
        assert_eq!(world.everything().await, before, "{point}: the paused one wrote");
        let ran = std::fs::read_to_string(&count).unwrap();
        assert_eq!(ran.lines().count(), commands, "{point}: the paused one gave a command");
        std::fs::remove_file(&count).unwrap();
        dialled.abort();
    }
}
