//! A thousand machines that lose their server together: connections in memory, and agents that only say how they are and that
//! they are clean. The coordinator, its pool and its database are real.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Json, Router};
use buildlet_client::{AgentStatus, Status, WipeReport};
use coordinator::{NoHooks, PoolEvent, Protocol, Reception, Registration};
use revdial::v2;
use tokio::io::DuplexStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::reverse::{HOST, answered, pool};
use crate::world::{Running, World};

const MACHINES: usize = 1000;
/// Room on the way between the two ends of a connection.
const ROOM: usize = 4096;

/// A machine.
struct Machine {
    name: String,
    /// How often it was asked how it is, and told to clean itself.
    asked: AtomicU32,
    wiped: AtomicU32,
}

impl Machine {
    fn router(self: &Arc<Self>) -> Router {
        let (asked, wiped) = (Arc::clone(self), Arc::clone(self));
        let status = move || async move {
            asked.asked.fetch_add(1, Ordering::Relaxed);
            let agent = AgentStatus {
                protocol: 1,
                version: "0".into(),
                digest: String::new(),
                instance: format!("instance of {}", asked.name),
                fence: 0,
                lease: None,
                limits: "watch".into(),
                cpu_limit: "watch".into(),
                isolation: "none".into(),
                execs: Vec::new(),
                disk_free: 1 << 40,
                set_aside: None,
                uptime_ms: 0,
                order_key: None,
            };
            Json(Status { version: 29, bellwether: Some(agent) })
        };
        let wipe = move || async move {
            wiped.wiped.fetch_add(1, Ordering::Relaxed);
            Json(WipeReport { clean: true, ..WipeReport::default() })
        };
        Router::new().route("/status", get(status)).route("/bw1/wipe", post(wipe))
    }

    /// Dials in as long as there is a server, again and again, each time after a pause as the agent has it: from half to one
    /// and a half of a second, by its number.
    async fn live(self: Arc<Self>, number: usize, mut server: watch::Receiver<Option<Reception>>) {
        let pause = Duration::from_millis(500 + (number * 7919 % MACHINES) as u64);
        loop {
            let Ok(reception) = server.wait_for(Option::is_some).await.map(|now| now.clone()) else { return };
            // Seen: whatever comes next is another server, also where nobody looked while there was none.
            server.borrow_and_update();
            tokio::time::sleep(pause).await;
            let Some(reception) = reception else { continue };
            tokio::select! {
                () = self.dial(reception) => {}
                _ = server.changed() => {}
            }
        }
    }

    /// Is there until its connection ends.
    async fn dial(self: &Arc<Self>, reception: Reception) {
        let registration = Registration {
            host: "far".into(),
            name: self.name.clone(),
            instance: Some(format!("instance of {}", self.name)),
            protocol: Protocol::V2,
            least: None,
            identity: None,
            obeys: None,
        };
        let (ours, theirs) = tokio::io::duplex(ROOM);
        let at = reception.clone();
        let connect: v2::Connect<DuplexStream> = Arc::new(move |path: String| {
            let reception = reception.clone();
            Box::pin(async move {
                let (ours, theirs) = tokio::io::duplex(ROOM);
                let (_, id) = path.split_once("revdial.dialer=").unwrap();
                let (_, ours) = tokio::join!(reception.pick_up(id, Box::new(theirs)), answered(ours));
                Ok(ours)
            })
        });
        let serving = async {
            let (listener, control) = v2::listener(answered(ours).await, connect);
            let served = axum::serve(Dialled(listener), self.router());
            tokio::select! {
                _ = control.run() => {}
                _ = async { served.await } => {}
            }
        };
        tokio::select! {
            _ = at.receive(registration, Box::new(theirs)) => {}
            () = serving => {}
        }
    }
}

/// The connections that are asked for.
struct Dialled(v2::Listener<DuplexStream>);

impl axum::serve::Listener for Dialled {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.accept().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

/// What this process has of memory, and has used of the processors.
fn used() -> (u64, Duration) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    (kib, Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap()))
}

/// Asks now and then how things stand: each answer names a thousand machines.
async fn until_all_are_ready(running: &Running, reception: &Reception) -> coordinator::Status {
    let mut states = BTreeMap::new();
    for _ in 0..120 {
        let status = running.status().await;
        states.clear();
        for one in &status.workers {
            *states.entry((one.state.clone(), one.away)).or_insert(0) += 1;
        }
        if status.workers.len() == MACHINES && states.get(&("idle".into(), false)) == Some(&MACHINES) {
            return status;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let connected = reception.connected().len();
    panic!(
        "not all of {MACHINES} are ready: {connected} are connected, and by state and being away: {states:?}"
    );
}

/// Machines that have a server when `now` says so.
fn machines(count: usize, now: &watch::Receiver<Option<Reception>>) -> (Vec<Arc<Machine>>, JoinSet<()>) {
    let machine =
        |n| Arc::new(Machine { name: format!("m{n}"), asked: AtomicU32::new(0), wiped: AtomicU32::new(0) });
    let machines: Vec<Arc<Machine>> = (0..count).map(machine).collect();
    let mut lives = JoinSet::new();
    for (n, machine) in machines.iter().enumerate() {
        lives.spawn(Arc::clone(machine).live(n, now.clone()));
    }
    (machines, lives)
}

pub async fn more_machines_than_can_be_told_of_at_once_are_all_told_of(world: World) {
    const SOME: usize = 600;
    let (pool, reception) = pool(&world);
    let (server, now) = watch::channel(Some(reception));
    let (machines, mut lives) = machines(SOME, &now);
    // Nobody reads until all have come: there is room for less than half of them, and the others wait for it.
    for _ in 0..6000 {
        if machines.iter().all(|one| one.asked.load(Ordering::Relaxed) > 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut events = pool.events().unwrap();
    for n in 0..SOME {
        let told = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
        assert!(matches!(told, Ok(Some(PoolEvent::Joined { .. }))), "after {n}: {told:?}");
    }
    drop(server);
    lives.shutdown().await;
}

pub async fn a_thousand_machines_are_ready_again_within_two_heartbeats(world: World) {
    world.configure(&format!("{HOST}[recipe.r]\nrun = \"true\"\n"));
    let (server, now) = watch::channel(None);
    let (machines, mut lives) = machines(MACHINES, &now);
    let (first, reception) = pool(&world);
    let running = world.start_with(first, Arc::new(NoHooks)).await;
    let before = used();
    server.send_replace(Some(reception.clone()));
    let status = until_all_are_ready(&running, &reception).await;
    let known: BTreeSet<_> = status.workers.iter().map(|one| one.worker).collect();
    // Known to the next server once their addresses are written down.
    for _ in 0..240 {
        let rows = store::workers::live(&mut world.db.read().await.unwrap()).await.unwrap();
        if rows.iter().filter(|row| row.address.is_some()).count() == MACHINES {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let came = used();
    running.kill().await;
    server.send_replace(None);
    for machine in &machines {
        machine.asked.store(0, Ordering::Relaxed);
        machine.wiped.store(0, Ordering::Relaxed);
    }
    let (second, reception) = pool(&world);
    let running = world.start_with(second, Arc::new(NoHooks)).await;
    server.send_replace(Some(reception.clone()));
    let status = until_all_are_ready(&running, &reception).await;
    let again: BTreeSet<_> = status.workers.iter().map(|one| one.worker).collect();
    assert_eq!(again, known, "they are the machines that they were");
    let counts =
        |of: fn(&Machine) -> &AtomicU32| machines.iter().map(move |one| of(one).load(Ordering::Relaxed));
    let asked = counts(|one| &one.asked).max();
    assert!(asked <= Some(3), "once to come in, and two heartbeats: {asked:?}");
    assert!(counts(|one| &one.wiped).all(|wiped| wiped == 1), "each is cleaned once");
    let back = used();
    eprintln!(
        "a thousand came: {} KiB and {:?} of the processors, with the machines' own ends; came back: {} KiB and {:?}",
        came.0 - before.0,
        came.1 - before.1,
        back.0 - before.0,
        back.1 - came.1,
    );
    lives.shutdown().await;
}
