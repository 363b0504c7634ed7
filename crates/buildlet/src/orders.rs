//! Whose orders this agent obeys. Where it knows a coordinator's key, a command is started only by an order that the coordinator
//! has signed for this very request, machine and process, and each order once.
//!
//! A machine that dials in has the key from the answer to its registration, and keeps it: a coordinator with another one is
//! another coordinator. One that was started by its server has it from its command line. Original coordinators sign nothing.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ed25519_dalek::{Signature, VerifyingKey};
use tokio::time::Instant;

use crate::agent::hex;
use crate::order::{self, Order};

/// The file's name in the state directory.
const FILE: &str = "order-key";
/// So many orders are remembered until their end; more than a machine is given in that time.
const REMEMBERED: usize = 10_000;

/// Why an order is not obeyed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Refused {
    #[error("this agent starts nothing without a signed order, and there is none")]
    Unsigned,
    #[error("the order is none: {0}")]
    Malformed(String),
    #[error("the order was not signed by the coordinator of this machine")]
    Signature,
    #[error("the order is for machine {0:?}, and this is {1:?}")]
    Machine(String, String),
    #[error("the order is for an earlier process of this agent")]
    Instance,
    #[error("the order is of another lease than its request")]
    Lease,
    #[error("the order is for another request")]
    Request,
    #[error("the order has come {0} ms too late")]
    Late(u64),
    #[error("the order was obeyed already")]
    Again,
    #[error("there are more orders than this agent remembers; try again in a minute")]
    Crowded,
}

/// Why a key is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("a key of orders has 64 hexadecimal digits that are a point of Ed25519: {0:?} is none")]
    NoKey(String),
    #[error(
        "the coordinator signs its orders with another key ({offered}) than before, and the one of before does not vouch for it; \
         if it was set up anew, and that is known to be so, remove {}", file.display()
    )]
    Another { offered: String, file: PathBuf },
    #[error("the key of orders can't be kept in {}: {source}", file.display())]
    Kept { file: PathBuf, source: io::Error },
}

/// Whom this agent obeys, and as what.
#[derive(Debug, Clone)]
struct Master {
    key: VerifyingKey,
    machine: String,
}

/// Looks at orders.
pub(crate) struct Orders {
    instance: String,
    started: Instant,
    file: PathBuf,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    master: Option<Master>,
    /// By nonce, the end of each order that was obeyed.
    obeyed: HashMap<String, u64>,
}

/// What comes with a request beside its order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// As [`order::digest`] has it.
    pub(crate) digest: &'a str,
    pub(crate) lease: Option<&'a str>,
    pub(crate) fence: Option<u64>,
}

impl Orders {
    /// Obeys whoever asks, until a key is known.
    pub(crate) fn new(instance: &str, state_dir: &Path, started: Instant) -> Self {
        Self { instance: instance.to_owned(), started, file: state_dir.join(FILE), known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Obeys the holder of a key from now on, as the machine of this name.
    pub(crate) fn obey(&self, key: &str, machine: &str) -> Result<(), KeyError> {
        let key = key_of(key).ok_or_else(|| KeyError::NoKey(key.to_owned()))?;
        self.known().master = Some(Master { key, machine: machine.to_owned() });
        Ok(())
    }

    /// The key that is kept from a registration of before.
    pub(crate) fn kept(&self) -> Result<Option<String>, KeyError> {
        match std::fs::read_to_string(&self.file) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeyError::Kept { file: self.file.clone(), source }),
        }
    }

    /// Obeys the coordinator that has answered a registration. One that was known to sign must go on with the same key, or with
    /// one that this key has signed.
    pub(crate) fn registered(
        &self,
        offered: Option<&str>,
        proof: Option<&str>,
        machine: &str,
    ) -> Result<(), KeyError> {
        let bad = |source| KeyError::Kept { file: self.file.clone(), source };
        match (self.kept()?, offered) {
            (None, None) => return Ok(()),
            (Some(kept), Some(offered)) if kept == offered => {}
            (Some(kept), Some(offered)) if follows(&kept, offered, proof) => {
                tracing::info!(
                    before = kept,
                    now = offered,
                    "the coordinator has another key for its orders"
                );
                self.keep(offered).map_err(bad)?;
            }
            (Some(_), offered) => {
                let offered = offered.unwrap_or("none").to_owned();
                return Err(KeyError::Another { offered, file: self.file.clone() });
            }
            (None, Some(offered)) => {
                key_of(offered).ok_or_else(|| KeyError::NoKey(offered.to_owned()))?;
                self.keep(offered).map_err(bad)?;
            }
        }
        self.obey(offered.unwrap_or_default(), machine)
    }

    /// Keeps a key, so that after a loss of power there is none or this one, whole.
    fn keep(&self, key: &str) -> io::Result<()> {
        let new = self.file.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(format!("{key}\n").as_bytes())?;
        // By the handle that has written it: another system lets no reader do so.
        file.sync_all()?;
        std::fs::rename(&new, &self.file)?;
        self.file.parent().map_or(Ok(()), crate::sys::sync_dir)
    }

    /// The key whose orders are obeyed, in hexadecimal digits, if there is one.
    pub(crate) fn key(&self) -> Option<String> {
        self.known().master.as_ref().map(|master| hex(master.key.as_bytes()))
    }

    /// Whether requests need orders.
    pub(crate) fn wanted(&self) -> bool {
        self.known().master.is_some()
    }

    /// The agent's own clock, in milliseconds.
    pub(crate) fn uptime_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Sees whether an order lets a request be done. It is obeyed by that: there is no second time.
    pub(crate) fn admit(&self, order: Option<&[u8]>, request: Request<'_>) -> Result<(), Refused> {
        let now = self.uptime_ms();
        let mut known = self.known();
        let Some(master) = &known.master else { return Ok(()) };
        let (json, signature) = match order {
            None => return Err(Refused::Unsigned),
            Some(order) => order::read(order)
                .ok_or_else(|| Refused::Malformed("it is not JSON and a signature in base64".to_owned()))?,
        };
        let signature = Signature::from_bytes(&signature);
        master.key.verify_strict(&order::signed(&json), &signature).map_err(|_| Refused::Signature)?;
        let order: Order =
            serde_json::from_slice(&json).map_err(|error| Refused::Malformed(error.to_string()))?;
        if order.machine != master.machine {
            return Err(Refused::Machine(order.machine, master.machine.clone()));
        }
        if order.instance != self.instance {
            return Err(Refused::Instance);
        }
        if (order.lease.as_deref(), order.fence) != (request.lease, request.fence) {
            return Err(Refused::Lease);
        }
        if order.request != request.digest {
            return Err(Refused::Request);
        }
        if order.until_ms < now {
            return Err(Refused::Late(now - order.until_ms));
        }
        known.obeyed.retain(|_, until| *until >= now);
        if known.obeyed.contains_key(&order.nonce) {
            return Err(Refused::Again);
        }
        if known.obeyed.len() >= REMEMBERED {
            return Err(Refused::Crowded);
        }
        tracing::debug!(lease = order.lease, commits = ?order.commits, trust = order.trust, "an order is obeyed");
        known.obeyed.insert(order.nonce, order.until_ms);
        Ok(())
    }
}

/// Whether the key that is kept has signed the one that is offered.
pub(crate) fn follows(kept: &str, offered: &str, proof: Option<&str>) -> bool {
    let (Some(kept), Some(_), Some(proof)) = (key_of(kept), key_of(offered), proof.and_then(bytes_of)) else {
        return false;
    };
    kept.verify_strict(&order::succession(offered), &Signature::from_bytes(&proof)).is_ok()
}

/// The key that is written so.
fn key_of(text: &str) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(&bytes_of(text)?).ok()
}

/// So many bytes, written in hexadecimal digits.
fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
