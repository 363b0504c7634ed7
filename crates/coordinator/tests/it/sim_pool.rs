//! A second pool, of machines in a cloud that outlives its clients: they take 90 seconds of the test's clock, are refused
//! for quota, vanish and leak. Each is a real buildlet process, but for those whose disk is full.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use buildlet_client::BuildletClient;
use coordinator::{Address, Answer, Ask, Clock as _, Machine, Pool, PoolError, PoolEvent};
use futures::future::BoxFuture;
use http::StatusCode;
use serde_json::json;
use store::{Micros, WorkerId};
use tokio::sync::mpsc;

use crate::hooks::TurnedClock;
use crate::world::{World, buildlet};

/// How long a machine takes to start.
pub const BOOT: Duration = Duration::from_secs(90);

struct Instance {
    host: String,
    ready: Micros,
    up: bool,
    child: Option<Child>,
    full: Option<tokio::task::AbortHandle>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(task) = &self.full {
            task.abort();
        }
    }
}

/// The cloud: what exists, whoever asked for it.
pub struct Cloud {
    dir: PathBuf,
    clock: Arc<TurnedClock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    instances: BTreeMap<WorkerId, Instance>,
    /// Machines that may exist at once.
    quota: usize,
    /// How many of the next machines have a full disk.
    full: u32,
    refused: u32,
    deleted: Vec<WorkerId>,
    client: Option<mpsc::Sender<PoolEvent>>,
}

impl Cloud {
    pub fn new(world: &World, quota: usize) -> Arc<Cloud> {
        let dir = world.dir.path().join("cloud");
        std::fs::create_dir_all(&dir).unwrap();
        let state = State { quota, ..State::default() };
        Arc::new(Cloud { dir, clock: Arc::clone(&world.clock), state: Mutex::new(state) })
    }

    pub fn set_quota(&self, quota: usize) {
        self.state.lock().unwrap().quota = quota;
    }

    pub fn next_are_full(&self, count: u32) {
        self.state.lock().unwrap().full = count;
    }

    pub fn names(&self) -> Vec<WorkerId> {
        self.state.lock().unwrap().instances.keys().copied().collect()
    }

    pub fn refused(&self) -> u32 {
        self.state.lock().unwrap().refused
    }

    pub fn deleted(&self) -> Vec<WorkerId> {
        self.state.lock().unwrap().deleted.clone()
    }

    /// Makes a machine that no coordinator knows of.
    pub fn leak(&self, name: WorkerId, host: &str) {
        self.create(name, host.to_owned()).unwrap();
    }

    /// The machine is gone, with all that runs on it.
    pub async fn vanish(&self, name: WorkerId) {
        let gone = self.state.lock().unwrap().instances.remove(&name);
        assert!(gone.is_some());
        drop(gone);
        self.tell(PoolEvent::Gone { name, reason: "vanished".into() }).await;
    }

    async fn tell(&self, event: PoolEvent) {
        let client = self.state.lock().unwrap().client.clone();
        if let Some(client) = client {
            let _ = client.send(event).await;
        }
    }

    fn create(&self, name: WorkerId, host: String) -> Result<(), PoolError> {
        let mut state = self.state.lock().unwrap();
        if state.instances.contains_key(&name) {
            return Ok(());
        }
        if state.instances.len() >= state.quota {
            state.refused += 1;
            return Err(PoolError::Quota { message: format!("{} of {}", state.quota, state.quota) });
        }
        let ready = self.clock.now() + BOOT;
        state.instances.insert(name, Instance { host, ready, up: false, child: None, full: None });
        Ok(())
    }

    fn socket(&self, name: WorkerId) -> PathBuf {
        let id = name.to_string();
        self.dir.join(&id[id.len() - 10..]).join("s").join("socket")
    }

    fn machine(&self, name: WorkerId, host: &str) -> Machine {
        let address = Some(Address::Unix { path: self.socket(name).to_string_lossy().into_owned() });
        Machine { name, host: host.to_owned(), address, detail: "a machine of the cloud".into() }
    }

    /// Starts the machines whose time has come, and tells of them. The test calls it after it turned the clock.
    pub async fn boot(&self) {
        let now = self.clock.now();
        let due: Vec<(WorkerId, String, bool)> = {
            let mut state = self.state.lock().unwrap();
            let mut full = state.full;
            let due = state.instances.iter().filter(|(_, one)| !one.up && one.ready <= now);
            let due = due
                .map(|(name, one)| {
                    let is_full = full > 0;
                    full = full.saturating_sub(1);
                    (*name, one.host.clone(), is_full)
                })
                .collect();
            state.full = full;
            due
        };
        for (name, host, full) in due {
            if full {
                self.start_full(name)
            } else {
                self.start(name).await
            }
            let machine = self.machine(name, &host);
            self.tell(PoolEvent::Ready { machine }).await;
        }
    }

    async fn start(&self, name: WorkerId) {
        let socket = self.socket(name);
        let dir = socket.parent().and_then(std::path::Path::parent).unwrap();
        std::fs::create_dir_all(dir).unwrap();
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let mut child = Command::new(buildlet())
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .arg("--workdir")
            .arg(dir.join("work"))
            .arg("--state-dir")
            .arg(dir.join("state"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        match self.state.lock().unwrap().instances.get_mut(&name) {
            Some(one) => {
                one.child = Some(child);
                one.up = true;
            }
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                return;
            }
        }
        let client = BuildletClient::new(buildlet_client::Address::Unix(socket), None);
        let end = Instant::now() + Duration::from_secs(30);
        while client.status().await.is_err() {
            assert!(Instant::now() < end, "a buildlet does not start");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An agent that has no room for anything.
    fn start_full(&self, name: WorkerId) {
        let socket = self.socket(name);
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let refuse = || async {
            let body = json!({"code": "no_space", "message": "no space left on device"});
            (StatusCode::INSUFFICIENT_STORAGE, axum::Json(body))
        };
        let router = Router::new()
            .route("/status", axum::routing::get(|| async { axum::Json(json!({"Version": 23})) }))
            .fallback(refuse);
        let listener = tokio::net::UnixListener::bind(socket).unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        if let Some(one) = self.state.lock().unwrap().instances.get_mut(&name) {
            one.full = Some(task.abort_handle());
            one.up = true;
        }
    }
}

/// A client of the cloud.
pub struct SimPool {
    cloud: Arc<Cloud>,
    events: Mutex<Option<mpsc::Receiver<PoolEvent>>>,
}

impl SimPool {
    pub fn new(cloud: &Arc<Cloud>) -> Arc<SimPool> {
        let (sender, receiver) = mpsc::channel(64);
        cloud.state.lock().unwrap().client = Some(sender);
        Arc::new(SimPool { cloud: Arc::clone(cloud), events: Mutex::new(Some(receiver)) })
    }
}

impl Pool for SimPool {
    fn name(&self) -> &str {
        "local"
    }

    fn ask(&self, ask: Ask) -> BoxFuture<'_, Result<Answer, PoolError>> {
        // Through text and back: what is asked and answered can cross a process border.
        let ask: Ask = serde_json::from_str(&serde_json::to_string(&ask).unwrap()).unwrap();
        let answer = match ask {
            Ask::Create { name, host } => self.cloud.create(name, host).map(|()| Answer::Accepted),
            Ask::List { .. } => {
                let state = self.cloud.state.lock().unwrap();
                let machines = state.instances.iter().map(|(name, one)| match one.up {
                    true => self.cloud.machine(*name, &one.host),
                    false => Machine { address: None, ..self.cloud.machine(*name, &one.host) },
                });
                Ok(Answer::Machines { machines: machines.collect() })
            }
            Ask::Delete { name } => {
                let mut state = self.cloud.state.lock().unwrap();
                if state.instances.remove(&name).is_some() {
                    state.deleted.push(name);
                }
                Ok(Answer::Accepted)
            }
        };
        Box::pin(std::future::ready(answer))
    }

    fn events(&self) -> Option<mpsc::Receiver<PoolEvent>> {
        self.events.lock().unwrap().take()
    }
}
