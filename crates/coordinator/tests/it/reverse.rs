//! Machines that dial in: real buildlet processes, reached by connections that they make.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use buildlet_client::BuildletClient;
use coordinator::{NoHooks, Pool, Protocol, Reception, Registration, ReversePool};
use dashboard::api::Outcome;
use revdial::v2::{self, ControlError};
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use crate::outcomes::cause;
use crate::world::{PATIENCE, World, buildlet, hash};

pub const HOST: &str = "[host.far]\npool = \"reverse\"\ntrust = \"trusted\"\nenv_pass = [\"PATH\"]\n\
    [repo.one]\nurl = \"https://example.com/one\"\nhorizon = 1\n\
    [builder.b]\nhost = \"far\"\nrecipe = \"r\"\n";

pub fn configuration(run: &str) -> String {
    format!("{HOST}[recipe.r]\nrun = '''{run}'''\n")
}

pub fn pool(world: &World) -> (Arc<dyn Pool>, Reception) {
    let pool = ReversePool::new(Arc::clone(&world.clock) as _, &world.order_key);
    let reception = pool.reception();
    (Arc::new(pool), reception)
}

/// A machine: an agent that listens where only a shim reaches it, which dials in for it.
pub struct Far {
    pub socket: PathBuf,
    pub agent: Child,
    name: String,
    instance: String,
    /// Who it is, if it has a token of its own.
    pub identity: Option<coordinator::Identity>,
}

/// What a machine speaks.
#[derive(Clone, Copy)]
pub enum Speaks {
    /// All that it can.
    Ours,
    /// The original's endpoints: what of it says more is not heard, and asked for that it breaks off.
    Original,
}

impl Far {
    pub async fn start(world: &World) -> Far {
        Far::start_as(world, "box").await
    }

    /// With a name and places of its own.
    pub async fn start_as(world: &World, name: &str) -> Far {
        Far::start_in(world, name, name).await
    }

    pub async fn start_in(world: &World, name: &str, place: &str) -> Far {
        let dir = world.dir.path().join(place);
        std::fs::create_dir_all(&dir).unwrap();
        let socket = dir.join("socket");
        let agent = Command::new(buildlet())
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .arg("--workdir")
            .arg(dir.join("work"))
            .arg("--state-dir")
            .arg(dir.join("state"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let client = BuildletClient::new(buildlet_client::Address::Unix(socket.clone()), None);
        for _ in 0..500 {
            if let Ok(status) = client.status().await {
                let name = name.to_owned();
                return Far {
                    socket,
                    agent,
                    name,
                    instance: status.bellwether.unwrap().instance,
                    identity: None,
                };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the agent does not answer");
    }

    /// Ends it with no warning, and waits until its socket is nobody's: the next one takes the same.
    pub async fn end(mut self) {
        self.agent.kill().await.unwrap();
    }

    fn registration(&self) -> Registration {
        Registration {
            host: "far".into(),
            name: self.name.clone(),
            instance: Some(self.instance.clone()),
            protocol: Protocol::V2,
            least: None,
            identity: self.identity.clone(),
            obeys: None,
        }
    }

    /// Dials in; aborted, all connections break.
    pub fn dial(&self, reception: &Reception) -> JoinHandle<String> {
        tokio::spawn(dialled(self.registration(), Speaks::Ours, self.socket.clone(), reception.clone()))
    }

    /// Dials in, and says goodbye at that word.
    fn dial_until(&self, reception: &Reception, leave: oneshot::Receiver<()>) -> JoinHandle<String> {
        let leave = async move { drop(leave.await) };
        tokio::spawn(dialled_until(
            self.registration(),
            Speaks::Ours,
            self.socket.clone(),
            reception.clone(),
            leave,
        ))
    }
}

/// Returns why the coordinator let go.
pub async fn dialled(
    registration: Registration,
    speaks: Speaks,
    socket: PathBuf,
    reception: Reception,
) -> String {
    dialled_until(registration, speaks, socket, reception, std::future::pending()).await
}

async fn dialled_until(
    registration: Registration,
    speaks: Speaks,
    socket: PathBuf,
    reception: Reception,
    leave: impl Future<Output = ()>,
) -> String {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let at = reception.clone();
    let received = at.receive(registration, Box::new(theirs));
    let connect: v2::Connect<DuplexStream> = Arc::new(move |path: String| {
        let reception = reception.clone();
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let (_, id) = path.split_once("revdial.dialer=").unwrap();
            let (_, ours) = tokio::join!(reception.pick_up(id, Box::new(theirs)), answered(ours));
            Ok(ours)
        })
    });
    let mut received = std::pin::pin!(received);
    let ours = tokio::select! {
        reason = &mut received => return reason,
        ours = answered(ours) => ours,
    };
    let (mut listener, control) = v2::listener(ours, connect);
    let serving = async {
        let mut streams = JoinSet::new();
        while let Some(mut stream) = listener.accept().await {
            let socket = socket.clone();
            streams.spawn(async move {
                let mut agent = UnixStream::connect(socket).await?;
                match speaks {
                    Speaks::Ours => tokio::io::copy_bidirectional(&mut stream, &mut agent).await.map(drop),
                    Speaks::Original => crate::original::copy_veiled(stream, agent).await,
                }
            });
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        reason = &mut received => reason,
        error = control.run_until(leave) => match error {
            // What it had to say is on its way.
            ControlError::Left => received.await,
            error => format!("the machine's end: {error}"),
        },
        () = serving => unreachable!("it does not end by itself"),
    }
}

/// Reads the head of the answer.
pub async fn answered(mut connection: DuplexStream) -> DuplexStream {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    let first = revdial::head::SWITCHING.strip_suffix(b"\r\n").unwrap();
    assert!(head.starts_with(first), "{}", String::from_utf8_lossy(&head));
    connection
}

pub async fn until_logged(world: &World, text: &str) {
    for _ in 0..2000 {
        let running = world.builds().await.into_iter().find(|row| row.state == "running");
        if let Some(row) = running
            && let Ok(report) = world.dashboard.build(&row.id.to_string()).await
            && let Some(attempt) = report.attempts.last()
            && world.log(attempt).await.contains(text)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{text:?} was never logged");
}

async fn once_ok(world: &World, log: &str) {
    let build = world.done("one", "b").await;
    assert_eq!(build.outcome, Some(Outcome::Ok), "{build:?}");
    assert_eq!(build.attempts.len(), 1, "{build:?}");
    assert_eq!(world.log(&build.attempts[0]).await, log);
}

pub async fn a_machine_that_dials_in_is_given_builds(world: World) {
    world.configure(&configuration("cat hello"));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let waits = world.until("one", "b", |row| row.state == "queued").await;
    for _ in 0..500 {
        let status = running.status().await;
        if let [waiting] = &*status.queued {
            assert_eq!(waiting.build, waits.id);
            assert_eq!(waiting.reason, "waits for a machine of host far: there is none now");
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let far = Far::start(&world).await;
    let _dialled = far.dial(&reception);
    once_ok(&world, "from one\n").await;
    let status = running.status().await;
    let [machine] = &*status.workers else { panic!("{status:?}") };
    assert_eq!((machine.pool.as_str(), machine.host.as_str()), ("reverse", "far"));
    assert!(machine.detail.starts_with("box, version "), "{machine:?}");
    assert_eq!(reception.connected()[0].worker, machine.worker);
    // The same machine, wiped, has the next one.
    world.push("one", &[2, 1]).await;
    for _ in 0..1000 {
        if world.builds().await.iter().filter(|row| row.state == "done").count() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let next = world.builds().await.into_iter().find(|row| row.id != waits.id).unwrap();
    assert_eq!((next.state.as_str(), next.outcome.as_deref()), ("done", Some("ok")));
    let status = running.status().await;
    let workers: Vec<_> = status.workers.iter().map(|worker| worker.worker).collect();
    assert_eq!(workers, [machine.worker]);
}

pub async fn what_the_server_is_in_want_of_costs_no_machine(world: World) {
    world.configure(&configuration("cat hello"));
    world.mirror.broken.lock().unwrap().insert("one".into());
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let mut far = Far::start(&world).await;
    let dialled = far.dial(&reception);
    world.until("one", "b", |row| row.attempts == 2 && row.state == "queued").await;
    world.mirror.broken.lock().unwrap().clear();
    world.clock.turn(11);
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 3), "{build:?}");
    let one = &build.attempts[0].worker;
    assert!(build.attempts.iter().all(|attempt| attempt.worker == *one), "{build:?}");
    let status = running.until(|status| status.workers.iter().all(|one| one.state == "idle")).await;
    assert_eq!(status.workers.len(), 1, "{status:?}");
    assert!(!dialled.is_finished() && far.agent.try_wait().unwrap().is_none(), "it was told to end");
}

pub async fn what_runs_on_a_machine_outlives_its_connection(world: World) {
    world.configure(&configuration("echo first; sleep 2; echo last"));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let _running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let before = far.dial(&reception);
    until_logged(&world, "first").await;
    before.abort();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(reception.connected().is_empty());
    let _after = far.dial(&reception);
    once_ok(&world, "first\nlast\n").await;
}

pub async fn what_runs_on_a_machine_outlives_the_coordinator(world: World) {
    world.configure(&configuration("echo first; sleep 2; echo last"));
    world.push("one", &[1]).await;
    let far = Far::start(&world).await;
    let (first, reception) = pool(&world);
    let running = world.start_with(first, Arc::new(NoHooks)).await;
    let before = far.dial(&reception);
    until_logged(&world, "first").await;
    running.kill().await;
    before.abort();
    let (second, reception) = pool(&world);
    let running = world.start_with(second, Arc::new(NoHooks)).await;
    let _after = far.dial(&reception);
    once_ok(&world, "first\nlast\n").await;
    assert_eq!(running.status().await.workers.len(), 1, "it is the machine that it was");
}

pub async fn a_machine_that_was_started_anew_has_lost_what_ran_there(world: World) {
    let count = world.dir.path().join("count").display().to_string();
    world.configure(&configuration(&format!(
        "echo x >> {count}; test $(wc -l < {count}) -gt 1 || sleep 600; echo again"
    )));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let mut far = Far::start(&world).await;
    let before = far.dial(&reception);
    world.until("one", "b", |row| row.state == "running").await;
    for _ in 0..500 {
        if std::fs::read_to_string(&count).is_ok_and(|text| !text.is_empty()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let first = running.status().await.workers[0].worker;
    far.agent.kill().await.unwrap();
    before.abort();
    for _ in 0..500 {
        if reception.connected().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let anew = Far::start(&world).await;
    assert_ne!(anew.instance, far.instance);
    let _after = anew.dial(&reception);
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Ok), 2), "{build:?}");
    assert_eq!(world.log(&build.attempts[1]).await, "again\n");
    let status = running.status().await;
    assert_eq!(status.workers.len(), 1, "{status:?}");
    assert_ne!(status.workers[0].worker, first);
}

pub async fn a_machine_that_lies_or_is_not_ours_is_given_nothing(world: World) {
    world.configure(&configuration("true"));
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    for instance in [None, Some("another".to_owned())] {
        let registration = Registration { instance, ..far.registration() };
        let reason = dialled(registration, Speaks::Ours, far.socket.clone(), reception.clone()).await;
        assert_eq!(reason, "it registered as another process than it says it is");
    }
    // Nobody is behind it.
    let nowhere = world.dir.path().join("nowhere");
    let reason = dialled(far.registration(), Speaks::Ours, nowhere, reception.clone()).await;
    assert!(reason.starts_with("it does not say how it is"), "{reason}");
    assert!(running.status().await.workers.is_empty() && reception.connected().is_empty());
    // One that has worked for somebody who is not known here begins anew.
    let socket = buildlet_client::Address::Unix(far.socket.clone());
    let client = BuildletClient::new(socket, None).with_fence(1, "somebody's");
    client.wipe().await.unwrap();
    let reason = dialled(far.registration(), Speaks::Ours, far.socket.clone(), reception.clone()).await;
    assert!(reason.starts_with("it is to start anew"), "{reason}");
    let mut agent = far.agent;
    let ended = tokio::time::timeout(Duration::from_secs(20), agent.wait()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}

pub async fn a_machine_that_says_that_another_leads_is_set_aside_and_ends_nobody(world: World) {
    world.configure(&configuration("true"));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let socket = buildlet_client::Address::Unix(far.socket.clone());
    BuildletClient::new(socket, None)
        .with_fence(1 << 62, "of a server that is far ahead")
        .wipe()
        .await
        .unwrap();
    far.end().await;
    // The fence is on its disk.
    let far = Far::start(&world).await;
    let _dialled = far.dial(&reception);
    let status = running.until(|status| status.workers.iter().any(|one| one.state == "set_aside")).await;
    let reason = status.workers[0].reason.clone().unwrap();
    assert!(reason.contains("--state-dir"), "{reason}");
    let row = world.builds().await.pop().unwrap();
    assert_eq!((row.state.as_str(), row.attempts), ("queued", 1), "it waits for another machine");
}

pub async fn a_cancelled_build_whose_machine_is_lost_is_cancelled(world: World) {
    world.configure(&configuration("echo first; sleep 600"));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let mut far = Far::start(&world).await;
    let before = far.dial(&reception);
    until_logged(&world, "first").await;
    far.agent.kill().await.unwrap();
    before.abort();
    let id = world.builds().await[0].id;
    running.post(&format!("/api/v1/builds/{id}/cancel")).await;
    for _ in 0..500 {
        if reception.connected().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Started anew, it says by its name that what ran is lost.
    let anew = Far::start(&world).await;
    let _after = anew.dial(&reception);
    let build = world.done("one", "b").await;
    assert_eq!((build.outcome, build.attempts.len()), (Some(Outcome::Cancelled), 1), "{build:?}");
}

pub async fn what_a_host_asks_reaches_machines_that_are_here(mut world: World) {
    let go = world.dir.path().join("go").display().to_string();
    let asks = |more: &str| {
        let text = configuration(&format!("echo first; until [ -e {go} ]; do sleep 0.02; done"));
        text.replace("pool = \"reverse\"\n", &format!("pool = \"reverse\"\n{more}\n"))
    };
    world.configure(&asks(""));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    world.reception = Some(reception.clone());
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let _dialled = far.dial(&reception);
    until_logged(&world, "first").await;
    let chest = Far::start_as(&world, "chest").await;
    let idle = chest.dial(&reception);
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    // Over a broken connection it comes back to what it does.
    assert_eq!(reception.key_refused(&far.registration(), false), None);
    // Changed, and changed back before it made a difference to the one that is busy.
    world.configure(&asks("keys = false"));
    let words = "host \"far\" has `keys = false`";
    let status = running.until(|status| status.workers.len() == 1).await;
    assert!(status.workers[0].leaves.as_ref().unwrap().starts_with(words), "{status:?}");
    assert!(!tokio::time::timeout(PATIENCE, idle).await.unwrap().unwrap().is_empty());
    let mut agent = chest.agent;
    tokio::time::timeout(PATIENCE, agent.wait()).await.unwrap().unwrap();
    world.configure(&asks(""));
    running.until(|status| status.workers.iter().all(|one| one.leaves.is_none())).await;
    world.configure(&asks("min_version = 30"));
    let words = "it says that it is version 29, and host \"far\" takes 30 and newer";
    running.until(|status| status.workers[0].leaves.as_ref().is_some_and(|why| why.starts_with(words))).await;
    // Its connection breaks, and it goes on where it was.
    _dialled.abort();
    running.until(|status| status.workers[0].away).await;
    let again = far.dial(&reception);
    running.until(|status| !status.workers[0].away).await;
    world.push("one", &[2, 1]).await;
    std::fs::write(world.dir.path().join("go"), "").unwrap();
    let reason = tokio::time::timeout(PATIENCE, again).await.unwrap().unwrap();
    assert!(!reason.is_empty());
    let mut agent = far.agent;
    tokio::time::timeout(PATIENCE, agent.wait()).await.unwrap().unwrap();
    let first = world.builds().await.into_iter().find(|row| row.revision.contains(&hash(1))).unwrap();
    assert_eq!((first.outcome.as_deref(), first.attempts), (Some("ok"), 1), "{first:?}");
    // Who waits is told, and so is the machine at its next dial.
    let told = |status: &coordinator::Status| {
        let Some(one) = status.queued.first() else { return false };
        one.reason.starts_with("waits for a machine of host far: there is none now, ")
            && one.reason.contains(&format!("turned away (box: {words}"))
    };
    running.until(told).await;
    let anew = Far::start(&world).await;
    assert!(reception.key_refused(&anew.registration(), false).unwrap().contains("`keys = false`"));
    assert!(reception.key_refused(&anew.registration(), true).unwrap().contains("has a token of its own"));
    let reason = tokio::time::timeout(PATIENCE, anew.dial(&reception)).await.unwrap().unwrap();
    assert!(reason.starts_with(words), "{reason}");
    assert!(running.status().await.workers.is_empty());
}

pub async fn a_machine_that_is_deleted_is_told_to_end(world: World) {
    world.configure(&configuration("exit 3"));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let deleting = Arc::clone(&pool);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let dialled = far.dial(&reception);
    let build = world.done("one", "b").await;
    assert_eq!(cause(&build), ("exit", "run: exit status 3"));
    let worker = running.status().await.workers[0].worker;
    deleting.ask(coordinator::Ask::Delete { name: worker }).await.unwrap();
    let reason = tokio::time::timeout(Duration::from_secs(20), dialled).await.unwrap().unwrap();
    assert!(!reason.is_empty());
    let mut agent = far.agent;
    tokio::time::timeout(Duration::from_secs(20), agent.wait()).await.unwrap().unwrap();
    assert!(reception.connected().is_empty());
}

pub async fn a_machine_that_is_away_is_given_nothing_while_another_is_here(world: World) {
    world.configure(&configuration("cat hello"));
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let (near, far) = (Far::start(&world).await, Far::start_as(&world, "chest").await);
    let lasts = far.dial(&reception);
    running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    lasts.abort();
    let status = running.until(|status| status.workers.iter().any(|one| one.state == "away")).await;
    let away = status.workers[0].worker;
    assert!(status.workers[0].away);
    world.push("one", &[1]).await;
    let status = running.until(|status| !status.queued.is_empty()).await;
    assert_eq!(status.queued[0].reason, "waits for a machine of host far: there is none now, 1 away");
    let _here = near.dial(&reception);
    once_ok(&world, "from one\n").await;
    let status = running.until(|status| status.workers.iter().any(|one| one.state == "idle")).await;
    let state = status.workers.iter().map(|one| (one.worker == away, one.state.as_str()));
    let state: std::collections::BTreeMap<_, _> = state.collect();
    assert_eq!(state, [(true, "away"), (false, "idle")].into());
    // It is what it was once it is back.
    let _again = far.dial(&reception);
    running.until(|status| status.workers.iter().all(|one| one.state == "idle" && !one.away)).await;
}

pub async fn a_machine_that_says_goodbye_is_not_waited_for(world: World) {
    world.configure(&configuration("echo first; test -e again || { touch again; sleep 600; }"));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let (leave, left) = oneshot::channel();
    let lasts = far.dial_until(&reception, left);
    until_logged(&world, "first").await;
    leave.send(()).unwrap();
    let reason = tokio::time::timeout(Duration::from_secs(20), lasts).await.unwrap().unwrap();
    assert_eq!(reason, "its agent was ended");
    // Long before a place is given up whose machine only broke off.
    let status = running.until(|status| status.workers.is_empty() && !status.queued.is_empty()).await;
    assert!(status.running.is_empty(), "{status:?}");
    let row = world.builds().await.pop().unwrap();
    assert_eq!((row.state.as_str(), row.attempts), ("queued", 1));
}

pub async fn a_machine_that_is_too_old_is_told_so_and_given_nothing(mut world: World) {
    world.configure(&configuration("cat hello"));
    world.push("one", &[1]).await;
    let (pool, reception) = pool(&world);
    world.reception = Some(reception.clone());
    let running = world.start_with(pool, Arc::new(NoHooks)).await;
    let far = Far::start(&world).await;
    let registration = Registration { least: Some(30), ..far.registration() };
    let words = "it says that it is version 29, and host \"far\" takes 30 and newer";
    // In the answer to its registration, by what it said; and by what it is, if it has said something else.
    assert!(reception.too_old(&registration, 29).unwrap().starts_with(words));
    assert_eq!(reception.too_old(&registration, 30), None);
    let reason = dialled(registration, Speaks::Ours, far.socket.clone(), reception.clone()).await;
    assert!(reason.starts_with(words), "{reason}");
    let status = running.status().await;
    let [away] = &*status.turned_away else { panic!("{status:?}") };
    assert!(away.name == "box" && away.reason.starts_with(words), "{away:?}");
    assert!(status.workers.is_empty() && status.running.is_empty(), "{status:?}");
    // It has a newer one now, or its host takes older ones again.
    let _dialled = far.dial(&reception);
    once_ok(&world, "from one\n").await;
    assert!(running.status().await.turned_away.is_empty());
}
