//! A machine that somebody holds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use buildlet_client::BuildletClient;
use gomote::Instance;
use store::{BuildId, Micros, WorkerId};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use transport::Standing;

use crate::api::GomoteInfo;

/// So many certificates for one hold let somebody in at once; with more the oldest does not.
const SIGNED: usize = 256;

/// A machine that somebody holds.
pub(crate) struct Session {
    /// What the scheduler knows it by.
    pub id: BuildId,
    /// What people know it by.
    pub name: String,
    /// Who holds it.
    pub owner: String,
    /// The repo whose builder it is; empty for one of the server's.
    pub repo: String,
    /// The builder on whose host it is, by its full name.
    pub builder: String,
    /// Its host.
    pub host: String,
    /// The machine.
    pub worker: WorkerId,
    /// Since when it is held.
    pub created: Micros,
    /// Its work directory.
    pub workdir: String,
    /// The way to it.
    pub client: BuildletClient,
    /// Cancelled by who gives it back.
    pub end: CancellationToken,
    /// When it ends, in microseconds since 1970.
    pub expires: AtomicI64,
    /// Which certificates were signed for it, by their serial numbers, and how long what was shown for them counts.
    pub signed: Signed,
}

/// Certificates, the newest last.
#[derive(Default)]
pub(crate) struct Signed(Mutex<VecDeque<(u64, Standing)>>);

impl Signed {
    /// Notes one.
    pub fn note(&self, serial: u64, standing: &Standing) {
        let mut signed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if signed.len() == SIGNED {
            signed.pop_front();
        }
        signed.push_back((serial, standing.clone()));
    }

    /// How long what was shown for one counts; none if it is not known.
    pub fn standing(&self, serial: u64) -> Option<Standing> {
        let signed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        signed.iter().find(|(known, _)| *known == serial).map(|(_, standing)| standing.clone())
    }
}

/// Why somebody may not go on with what they do on a machine.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Over {
    /// It was given back, or is gone.
    #[error("{0} is not held any more")]
    NotHeld(String),
    /// Who holds it is not known any more.
    #[error("what {0} showed counts no longer: the token was revoked, its time is over, or they signed out")]
    NotKnown(String),
}

impl Over {
    /// Waits until what somebody showed counts no longer.
    pub async fn not_known(who: &str, standing: &Standing) -> Over {
        standing.ended().await;
        Over::NotKnown(who.to_owned())
    }
}

impl From<Over> for Status {
    fn from(over: Over) -> Status {
        match over {
            Over::NotHeld(_) => Status::aborted(over.to_string()),
            Over::NotKnown(_) => Status::unauthenticated(over.to_string()),
        }
    }
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

    /// Waits until its owner, who showed this, may not go on with it.
    pub async fn over(&self, standing: &Standing) -> Over {
        tokio::select! {
            () = self.end.cancelled() => Over::NotHeld(self.name.clone()),
            over = Over::not_known(&self.owner, standing) => over,
        }
    }

    /// For whoever runs the server.
    pub fn info(&self) -> GomoteInfo {
        GomoteInfo {
            name: self.name.clone(),
            owner: self.owner.clone(),
            builder: self.builder.clone(),
            host: self.host.clone(),
            worker: self.worker,
            created: self.created,
            expires: Micros(self.expires.load(Ordering::Relaxed)),
        }
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
