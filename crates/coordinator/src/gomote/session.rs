//! A machine that somebody holds.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use buildlet_client::BuildletClient;
use gomote::Instance;
use store::{BuildId, Micros};
use tokio_util::sync::CancellationToken;

/// A machine that somebody holds.
pub(crate) struct Session {
    /// What the scheduler knows it by.
    pub id: BuildId,
    /// What people know it by.
    pub name: String,
    /// Who holds it.
    pub owner: String,
    /// The builder on whose host it is, by its full name.
    pub builder: String,
    /// Its host.
    pub host: String,
    /// Its work directory.
    pub workdir: String,
    /// The way to it.
    pub client: BuildletClient,
    /// Cancelled by who gives it back.
    pub end: CancellationToken,
    /// When it ends, in microseconds since 1970.
    pub expires: AtomicI64,
}

impl Session {
    /// Puts the end off: its owner uses it.
    pub fn renew(&self, now: Micros, idle: Duration) {
        self.expires.store((now + idle).0, Ordering::Relaxed);
    }

    /// How long until it ends, by that clock.
    pub fn left(&self, now: Micros) -> Duration {
        let left = self.expires.load(Ordering::Relaxed).saturating_sub(now.0);
        Duration::from_micros(u64::try_from(left).unwrap_or(0))
    }

    /// As the wire has it.
    pub fn instance(&self) -> Instance {
        Instance {
            gomote_id: self.name.clone(),
            builder_type: self.builder.clone(),
            host_type: self.host.clone(),
            expires: self.expires.load(Ordering::Relaxed) / 1_000_000,
            working_dir: self.workdir.clone(),
        }
    }
}
