//! A stand-in for the network between a client and a service: an address that stays, and what happens on the way.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What happens on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All goes through.
    Through,
    /// Connections are cut, and new ones end at once.
    Cut,
    /// Connections stay, and nothing comes through until that changes.
    Mute,
    /// What comes back takes so long on its way, piece by piece.
    Slow(Duration),
    /// Connections are cut, and what is asked on new ones is answered by HTTP's status 503.
    Unwell,
}

const UNWELL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 8\r\nConnection: close\r\n\r\nSlowDown";

/// An address that leads to another one, which may change. It ends with the value.
#[derive(Debug)]
pub struct Forwarder {
    address: SocketAddr,
    road: Arc<Road>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Road {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    way: Way,
    open: Vec<TcpStream>,
    /// Connections that were made so far.
    made: usize,
    over: bool,
}

impl Forwarder {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// When there is none.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("a port for the forwarder")?;
        let address = listener.local_addr()?;
        let state = State { target, way: Way::Through, open: Vec::new(), made: 0, over: false };
        let road = Arc::new(Road { state: Mutex::new(state), changed: Condvar::new() });
        let at = Arc::clone(&road);
        let listener = std::thread::spawn(move || {
            for client in listener.incoming() {
                if at.lock().over {
                    return;
                }
                if let Ok(client) = client {
                    at.accept(client);
                }
            }
        });
        Ok(Self { address, road, listener: Some(listener) })
    }

    /// The address that stays.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens on the way, also for what is under way.
    pub fn set(&self, way: Way) {
        let mut state = self.road.lock();
        state.way = way;
        if matches!(way, Way::Cut | Way::Unwell) {
            state.cut();
        }
        self.road.changed.notify_all();
    }

    /// Leads to another address from now on, and cuts what led to the old one.
    pub fn lead_to(&self, target: SocketAddr) {
        let mut state = self.road.lock();
        state.target = target;
        state.cut();
        self.road.changed.notify_all();
    }

    /// How many connections were made so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.road.lock().made
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.road.lock().over = true;
        self.set(Way::Cut);
        // Wakes the listener, which ends then.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl State {
    fn cut(&mut self) {
        for stream in self.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Road {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, mut client: TcpStream) {
        let mut state = self.lock();
        state.made += 1;
        let target = match state.way {
            Way::Cut => return,
            Way::Unwell => {
                drop(state);
                std::thread::spawn(move || {
                    // Whatever is asked: its first piece is read, so that the answer is not lost with it.
                    let _ = client.set_read_timeout(Some(Duration::from_secs(10)));
                    let _ = client.read(&mut [0; 16 * 1024]);
                    let _ = client.write_all(UNWELL);
                    let _ = client.shutdown(Shutdown::Write);
                    while client.read(&mut [0; 16 * 1024]).is_ok_and(|read| read > 0) {}
                });
                return;
            }
            _ => state.target,
        };
        let Ok(server) = TcpStream::connect(target) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let pairs =
            [(client.try_clone(), server.try_clone(), false), (server.try_clone(), client.try_clone(), true)];
        state.open.extend([client, server]);
        drop(state);
        for (from, to, back) in pairs {
            if let (Ok(from), Ok(to)) = (from, to) {
                let road = Arc::clone(self);
                std::thread::spawn(move || road.carry(from, to, back));
            }
        }
    }

    /// Ends with the connection, which `cut` or either side ends.
    fn carry(&self, mut from: TcpStream, mut to: TcpStream, back: bool) {
        let mut piece = vec![0; 64 * 1024];
        while let Ok(read) = from.read(&mut piece) {
            if read == 0 || !self.passes(back) || to.write_all(&piece[..read]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }

    fn passes(&self, back: bool) -> bool {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            state = match state.way {
                Way::Through => return true,
                Way::Cut | Way::Unwell => return false,
                Way::Mute => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Way::Slow(_) if waited || !back => return true,
                Way::Slow(pause) => {
                    waited = true;
                    self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
