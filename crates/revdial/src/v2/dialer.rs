//! The end that asks for connections, which is the coordinator's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::line::{ControlError, LEAVING, Lines, Message, send};

/// How often the other end is told that this one lives.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Requests for a connection that wait to be sent.
const ASKED: usize = 64;
/// Connections that nobody waits for any more.
const SPARE: usize = 8;

/// Who waits for a connection of one control connection, and connections that nobody waits for.
#[derive(Debug)]
struct Waiting<C> {
    waiters: VecDeque<oneshot::Sender<Result<C, String>>>,
    spare: VecDeque<C>,
    ended: bool,
}

/// One control connection's.
type Desk<C> = Arc<Mutex<Waiting<C>>>;

fn at<C>(desk: &Desk<C>) -> MutexGuard<'_, Waiting<C>> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C> Waiting<C> {
    /// Gives what came to whoever waits for longest; gives it back if nobody does.
    fn give(&mut self, mut came: Result<C, String>) -> Option<Result<C, String>> {
        while let Some(waiter) = self.waiters.pop_front() {
            match waiter.send(came) {
                Ok(()) => return None,
                // That one has given up.
                Err(back) => came = back,
            }
        }
        Some(came)
    }
}

/// Where connections that are picked up are handed to their dialers: one for all control connections of a server.
pub struct Pickups<C>(Arc<Mutex<HashMap<String, Desk<C>>>>);

impl<C> Clone for Pickups<C> {
    fn clone(&self) -> Self {
        Pickups(Arc::clone(&self.0))
    }
}

impl<C> Default for Pickups<C> {
    fn default() -> Self {
        Pickups(Arc::default())
    }
}

impl<C> std::fmt::Debug for Pickups<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The ids are secrets.
        f.debug_struct("Pickups").field("dialers", &self.table().len()).finish()
    }
}

impl<C> Pickups<C> {
    fn table(&self) -> MutexGuard<'_, HashMap<String, Desk<C>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a dialer has this id, the value of `revdial.dialer` in a request's query.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.table().contains_key(id)
    }

    /// Hands a connection to the dialer of this id; [`crate::head::accept`] was sent on it before.
    ///
    /// # Errors
    /// Gives the connection back if there is no such dialer, or too many connections that nobody asked for.
    pub fn deliver(&self, id: &str, connection: C) -> Result<(), C> {
        let desk = self.table().get(id).cloned();
        let Some(desk) = desk else { return Err(connection) };
        let mut waiting = at(&desk);
        match waiting.give(Ok(connection)) {
            Some(Ok(connection)) if waiting.ended || waiting.spare.len() >= SPARE => Err(connection),
            Some(Ok(connection)) => {
                waiting.spare.push_back(connection);
                Ok(())
            }
            Some(Err(_)) | None => Ok(()),
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The control connection has ended.
    #[error("the control connection has ended")]
    Ended,
    /// The other end could not make it.
    #[error("the machine could not dial back: {0}")]
    Failed(String),
}

/// Asks the other end for connections.
#[derive(Debug)]
pub struct Dialer<C> {
    asks: mpsc::Sender<()>,
    desk: Desk<C>,
}

impl<C> Dialer<C> {
    /// Asks for a connection and waits for it. There is no limit of time: put one around it. Where several wait, any
    /// connection is as good as another, and so is one for which its waiter waited no longer.
    ///
    /// # Errors
    /// If the control connection ends, or the other end says that it failed.
    pub async fn dial(&self) -> Result<C, DialError> {
        let came = {
            let mut waiting = at(&self.desk);
            if let Some(connection) = waiting.spare.pop_front() {
                return Ok(connection);
            }
            if waiting.ended {
                return Err(DialError::Ended);
            }
            let (waiter, came) = oneshot::channel();
            waiting.waiters.push_back(waiter);
            came
        };
        self.asks.send(()).await.map_err(|_| DialError::Ended)?;
        came.await.map_err(|_| DialError::Ended)?.map_err(DialError::Failed)
    }
}

/// The control connection's work. Connections are asked for only while [`Control::run`] is awaited.
#[derive(Debug)]
pub struct Control<S, C> {
    control: S,
    path: String,
    asks: mpsc::Receiver<()>,
    registered: Registered<C>,
}

/// Takes the dialer out of the table at its end, and tells those who wait.
#[derive(Debug)]
struct Registered<C> {
    pickups: Pickups<C>,
    id: String,
    desk: Desk<C>,
}

impl<C> Drop for Registered<C> {
    fn drop(&mut self) {
        self.pickups.table().remove(&self.id);
        let mut waiting = at(&self.desk);
        waiting.ended = true;
        waiting.waiters.clear();
        waiting.spare.clear();
    }
}

/// Makes the asking end of a control connection, which has been answered with 101. `path` is that of the handler which
/// hands connections to `pickups`; `id` is the secret that a picked up connection shows: 32 hexadecimal digits of chance.
pub fn dialer<S, C>(control: S, path: &str, id: String, pickups: &Pickups<C>) -> (Dialer<C>, Control<S, C>) {
    let (asks, asked) = mpsc::channel(ASKED);
    let desk =
        Arc::new(Mutex::new(Waiting { waiters: VecDeque::new(), spare: VecDeque::new(), ended: false }));
    pickups.table().insert(id.clone(), Arc::clone(&desk));
    let mark = if path.contains('?') { '&' } else { '?' };
    let path = format!("{path}{mark}revdial.dialer={id}");
    let registered = Registered { pickups: pickups.clone(), id, desk: Arc::clone(&desk) };
    (Dialer { asks, desk }, Control { control, path, asks: asked, registered })
}

impl<S: AsyncRead + AsyncWrite, C> Control<S, C> {
    /// Runs until the control connection ends, and says why it did.
    pub async fn run(self) -> ControlError {
        let Control { control, path, mut asks, registered } = self;
        let (reader, mut writer) = tokio::io::split(control);
        let mut lines = Lines::new(reader);
        let mut due = Instant::now();
        loop {
            let told = tokio::select! {
                line = lines.next() => match line {
                    Ok(message) if message.command == "pickup-failed" => {
                        // As by the original, of whoever waits: the message does not say whose it was.
                        at(&registered.desk).give(Err(message.err));
                        continue;
                    }
                    Ok(message) if message.command == LEAVING => return ControlError::Left,
                    Ok(_) => continue,
                    Err(error) => return error,
                },
                asked = asks.recv() => match asked {
                    Some(()) => send(&mut writer, &Message::conn_ready(&path)).await,
                    // Nobody can ask any more.
                    None => return ControlError::Closed,
                },
                () = sleep_until(due) => Ok(()),
            };
            // The original says that it lives at once, every 30 s, and after each request.
            due = Instant::now() + KEEP_ALIVE;
            let told = match told {
                Ok(()) => send(&mut writer, &Message::keep_alive()).await,
                failed => failed,
            };
            if let Err(error) = told {
                return error;
            }
        }
    }
}
