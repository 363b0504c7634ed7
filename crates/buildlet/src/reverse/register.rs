//! Registering with the coordinator, as long as the agent lives.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use revdial::head::{self, HeadError};
use revdial::v2::{self, Connect, ControlError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::alive::Alive;
use super::credentials::{Credentials, CredentialsError};
use super::dial::{Dial, DialError, Errand};
use super::pause::{Ended, Pause};
use super::settings::Settings;
use crate::agent::ORIGINAL;
use crate::orders::{KeyError, Orders};
use crate::server::Connection;

/// Connecting for a pick-up, TLS included, must be done within this time.
const PICK_UP: Duration = Duration::from_secs(20);
/// A request must be answered within this time.
const ANSWER: Duration = Duration::from_secs(30);
/// The coordinator says every 30 s that it lives; a control connection on which it was silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(90);

/// In the request: whose orders this machine obeys, if it knows. In the answer: the key with which the coordinator signs its
/// orders. Our own, as the instance is.
const ORDER_KEY: &str = "X-Bellwether-Order-Key";
/// In the answer to a machine that obeys a key of before: that one's signature of the key.
const ORDER_KEY_PROOF: &str = "X-Bellwether-Order-Key-Proof";

/// Why the machine is not registered.
#[derive(Debug, thiserror::Error)]
enum RegisterError {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Orders(#[from] KeyError),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("it did not answer in time")]
    NoAnswer,
}

/// A machine that is known to a coordinator.
pub(super) struct Machine {
    dial: Arc<dyn Dial>,
    coordinator: String,
    host_type: String,
    hostname: String,
    instance: String,
    credentials: Credentials,
    orders: Arc<Orders>,
}

impl Machine {
    pub(super) fn new(settings: Settings, instance: &str, orders: Arc<Orders>) -> Self {
        Self {
            dial: settings.dial,
            coordinator: settings.coordinator.to_string(),
            host_type: settings.host_type,
            hostname: settings.hostname,
            instance: instance.to_owned(),
            credentials: settings.credentials,
            orders,
        }
    }

    /// Registers, hands on the connections that are asked for, and registers anew when the control connection ends. Returns
    /// once nobody takes connections any more, or it has said goodbye.
    pub(super) async fn stay_registered(
        self: Arc<Self>,
        made: mpsc::Sender<Connection>,
        leaving: CancellationToken,
        chance: impl Fn() -> f64,
    ) {
        let mut pause = Pause::new();
        while !made.is_closed() {
            let coordinator = self.coordinator.as_str();
            let Some(registered) = leaving.run_until_cancelled(self.register()).await else { return };
            let ended = match registered {
                Ok(control) => {
                    tracing::info!(
                        coordinator,
                        host = self.host_type,
                        hostname = self.hostname,
                        "registered"
                    );
                    let since = Instant::now();
                    let why = self.pick_up(control, &made, &leaving).await;
                    if leaving.is_cancelled() {
                        return;
                    }
                    tracing::warn!(coordinator, %why, "no longer registered; commands go on");
                    Ended::Lasted(since.elapsed())
                }
                Err(RegisterError::Head(HeadError::Refused { status: status @ (400 | 412), body })) => {
                    tracing::error!(coordinator, status, said = ?body, host = self.host_type, hostname = self.hostname,
                        "the coordinator refuses this machine, which shows it {} in {}",
                        self.credentials.what(), self.credentials.file().display());
                    Ended::Refused
                }
                Err(error @ (RegisterError::Credentials(_) | RegisterError::Orders(_))) => {
                    tracing::error!(coordinator, %error, "not registered");
                    Ended::Refused
                }
                Err(error) => {
                    tracing::warn!(coordinator, %error, "not registered");
                    Ended::Failed
                }
            };
            let wait = pause.after(ended, chance());
            tracing::debug!(?wait, "dialling again after a pause");
            if leaving.run_until_cancelled(sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    async fn register(&self) -> Result<Connection, RegisterError> {
        // Read each time: what is put right is taken without a restart.
        let shown = self.credentials.read()?;
        let obeys = self.orders.kept()?;
        let version = ORIGINAL.to_string();
        let mut connection = self.dial.dial(Errand::Register).await?;
        let mut headers = vec![("X-Go-Host-Type", self.host_type.as_str())];
        headers.extend(shown.iter().map(|(name, value)| (*name, value.expose())));
        headers.extend([
            ("X-Go-Builder-Hostname", self.hostname.as_str()),
            ("X-Go-Builder-Version", version.as_str()),
            ("X-Revdial-Version", "2"),
            // Our own, by which our coordinator knows a process that has dialled before.
            ("X-Bellwether-Instance", self.instance.as_str()),
        ]);
        headers.extend(obeys.as_deref().map(|key| (ORDER_KEY, key)));
        let opened = timeout(ANSWER, head::open(&mut connection, "/reverse", &headers));
        let answer = opened.await.map_err(|_late| RegisterError::NoAnswer)??;
        let machine = format!("{}/{}", self.host_type, self.hostname);
        self.orders.registered(answer.header(ORDER_KEY), answer.header(ORDER_KEY_PROOF), &machine)?;
        Ok(connection)
    }

    /// Serves a control connection to its end, and says why it ended.
    async fn pick_up(
        &self,
        control: Connection,
        made: &mpsc::Sender<Connection>,
        leaving: &CancellationToken,
    ) -> ControlError {
        let (mut asked_for, control) = v2::listener(Alive::new(control, SILENCE), self.connect());
        let hand_on = async {
            while let Some(connection) = asked_for.accept().await {
                if made.send(connection).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            why = control.run_until(leaving.cancelled()) => why,
            () = hand_on => ControlError::Closed,
        }
    }

    /// How a connection is made that the coordinator asks for.
    fn connect(&self) -> Connect<Connection> {
        let dial = Arc::clone(&self.dial);
        Arc::new(move |path| {
            let dial = Arc::clone(&dial);
            Box::pin(async move {
                let dialled = timeout(PICK_UP, dial.dial(Errand::PickUp)).await;
                let mut connection = dialled.map_err(io::Error::from)?.map_err(io::Error::other)?;
                // The path has the only credential there is.
                let opened = timeout(ANSWER, head::open(&mut connection, &path, &[])).await;
                opened.map_err(io::Error::from)?.map_err(io::Error::other)?;
                Ok(connection)
            })
        })
    }
}

#[cfg(test)]
mod tests;
