//! The end that serves connections, which is the machine's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::line::{ControlError, Lines, Message, send};

/// Connections that wait to be accepted.
const BACKLOG: usize = 8;
/// Connections that are being made or wait at once; while there are so many, no more requests are read.
const MAKING: usize = 64;

/// A connection that is being made.
pub type Pickup<C> = Pin<Box<dyn Future<Output = io::Result<C>> + Send>>;

/// Makes a connection to the coordinator and asks there for a path, as [`crate::head::open`] does. Limits its own time.
pub type Connect<C> = Arc<dyn Fn(String) -> Pickup<C> + Send + Sync>;

/// Takes the connections that the other end asked for.
#[derive(Debug)]
pub struct Listener<C>(mpsc::Receiver<C>);

impl<C> Listener<C> {
    /// Waits for the next connection; none once the control connection has ended.
    pub async fn accept(&mut self) -> Option<C> {
        self.0.recv().await
    }
}

/// The control connection's work. Connections are made only while [`Control::run`] is awaited.
pub struct Control<S, C> {
    control: S,
    connect: Connect<C>,
    made: mpsc::Sender<C>,
}

impl<S, C> std::fmt::Debug for Control<S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}

/// Makes the serving end of a control connection, which has been answered with 101.
pub fn listener<S, C>(control: S, connect: Connect<C>) -> (Listener<C>, Control<S, C>) {
    let (made, accepted) = mpsc::channel(BACKLOG);
    (Listener(accepted), Control { control, connect, made })
}

impl<S: AsyncRead + AsyncWrite, C: Send + 'static> Control<S, C> {
    /// Runs until the control connection ends, and says why it did. Connections that are being made are given up then;
    /// those that were accepted go on.
    pub async fn run(self) -> ControlError {
        self.run_until(std::future::pending()).await
    }

    /// The same, and says goodbye once `leave` is over: the machine ends and does not come back.
    pub async fn run_until(self, leave: impl Future<Output = ()>) -> ControlError {
        let mut leave = std::pin::pin!(leave);
        let (reader, mut writer) = tokio::io::split(self.control);
        let mut lines = Lines::new(reader);
        let mut making: JoinSet<Result<(), Message>> = JoinSet::new();
        loop {
            let failed = tokio::select! {
                line = lines.next(), if making.len() < MAKING => match line {
                    Ok(message) if message.command == "conn-ready" => {
                        let path = message.conn_path;
                        making.spawn(make((self.connect)(path.clone()), path, self.made.clone()));
                        continue;
                    }
                    // Of a later version, or a sign of life.
                    Ok(_) => continue,
                    Err(error) => return error,
                },
                Some(made) = making.join_next(), if !making.is_empty() => match made {
                    Ok(Err(failed)) => failed,
                    Ok(Ok(())) => continue,
                    Err(error) => {
                        tracing::error!(%error, "the task of a connection died");
                        Message::pickup_failed("", "the task of the connection died")
                    }
                },
                () = self.made.closed() => return ControlError::Closed,
                () = &mut leave => {
                    return send(&mut writer, &Message::leaving()).await.err().unwrap_or(ControlError::Left);
                }
            };
            if let Err(error) = send(&mut writer, &failed).await {
                return error;
            }
        }
    }
}

async fn make<C>(pickup: Pickup<C>, path: String, made: mpsc::Sender<C>) -> Result<(), Message> {
    match pickup.await {
        // Nobody accepts any more: that ends the control connection too.
        Ok(connection) => made.send(connection).await.map_err(|_| Message::pickup_failed(&path, "closed")),
        Err(error) => Err(Message::pickup_failed(&path, &error.to_string())),
    }
}
