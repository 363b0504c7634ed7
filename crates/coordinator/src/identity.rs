//! Who the machines are that dial in by a token of their own.
//!
//! A token is made for one machine of one host, and works once: the machine makes a secret itself, shows it together with the
//! token when it registers, and with that is known by the secret. Nothing is answered that could be lost on the way: a machine
//! that hears no answer shows the same two again, and is known already. Of tokens and secrets only SHA-256 is kept.

mod noted;

use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use store::audit::{self, Deed};
use store::machine_tokens::{self, MachineTokenRow};
use store::{Micros, StoreError};

use self::noted::{Noted, Whose};
use crate::attempt::Shared;
use crate::ledger::transition;

/// How many hexadecimal digits a machine's secret has.
const DIGITS: usize = 64;

/// A machine with a token of its own. It never names another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    pub(crate) fn new(of: &str) -> Identity {
        Identity(of.into())
    }
}

/// What a machine says of itself, and shows for it.
#[derive(Clone)]
pub struct Claim {
    /// The host that it says it is of.
    pub host: String,
    /// The name that it says it has.
    pub name: String,
    /// What only it knows.
    pub secret: String,
    /// The token, as long as it has not become the machine's identity; it may be shown later, too.
    pub bootstrap: Option<String>,
    /// Where it dials from, for people.
    pub from: String,
    /// Which version it says it is, for people.
    pub version: String,
}

/// Why a machine is not who it says it is, in words for whoever set it up.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    /// It shows no secret that could be one.
    #[error("a machine's secret has {DIGITS} hexadecimal digits: this is none")]
    Malformed,
    /// Nobody knows its secret, and it shows no token.
    #[error(
        "this machine is not known here, and it shows no token; make one with `bellwether token create machine {name} --host \
         {host}` and put it in its --token-file"
    )]
    Unknown {
        /// The name that it says it has.
        name: String,
        /// The host that it says it is of.
        host: String,
    },
    /// Its token was never made here.
    #[error(
        "this token is not known here; make one with `bellwether token create machine {name} --host {host}` and put it in the \
         machine's --token-file"
    )]
    UnknownToken {
        /// The name that it says it has.
        name: String,
        /// The host that it says it is of.
        host: String,
    },
    /// Its token or identity is another machine's.
    #[error(
        "this is the token of machine {name:?}, and not of {said:?}: a token is of one machine; make one for {said:?}"
    )]
    OtherName {
        /// The name that it is bound to.
        name: String,
        /// The name that was said.
        said: String,
    },
    /// Its token or identity is of another host.
    #[error(
        "machine {name:?} is of host {host:?}, and not of {said:?}: its --reverse-type has to say {host:?}, or it needs a new token"
    )]
    OtherHost {
        /// The machine.
        name: String,
        /// The host that it is bound to.
        host: String,
        /// The host that was said.
        said: String,
    },
    /// Its token became another identity.
    #[error(
        "the token of machine {name:?} was used already, with another state directory or by somebody else; if that was not \
         you, revoke it. Make a new one with `bellwether token revoke machine {name}` and `bellwether token create machine \
         {name} --host {host}`"
    )]
    Used {
        /// The machine.
        name: String,
        /// Its host.
        host: String,
    },
    /// Its token was not used in time.
    #[error(
        "the token of machine {name:?} was not used before its end; make a new one with `bellwether token revoke machine {name}` \
         and `bellwether token create machine {name} --host {host}`"
    )]
    Expired {
        /// The machine.
        name: String,
        /// Its host.
        host: String,
    },
    /// Its token or identity was revoked.
    #[error("machine {name:?} was revoked; if it is to come back, make a new token for it")]
    Revoked {
        /// The machine.
        name: String,
    },
    /// The database's.
    #[error("the database can't say who this machine is; it is to try again")]
    Store(#[from] StoreError),
}

impl Denied {
    /// Its kind, and the machine that it is about if that is known.
    fn kind(&self) -> (&'static str, &str) {
        match self {
            Denied::Malformed => ("malformed", ""),
            Denied::Unknown { .. } => ("unknown", ""),
            Denied::UnknownToken { .. } => ("unknown_token", ""),
            Denied::OtherName { name, .. } => ("other_name", name),
            Denied::OtherHost { name, .. } => ("other_host", name),
            Denied::Used { name, .. } => ("used", name),
            Denied::Expired { name, .. } => ("expired", name),
            Denied::Revoked { name } => ("revoked", name),
            Denied::Store(_) => ("database", ""),
        }
    }
}

/// What is kept of a token or a secret. Two are compared by their hashes, so that the time it takes tells nothing of them.
pub(crate) fn hashed(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// Whether a text can be the name of a machine, as the agent has it: it stands in a head of HTTP and in paths.
pub(crate) fn is_machine_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= 253 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

/// Knows the machines that have tokens of their own. Cheap to clone.
#[derive(Clone)]
pub struct Identities(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    /// When which refusal of whom was last written down.
    noted: Mutex<Noted>,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities").finish_non_exhaustive()
    }
}

impl Identities {
    pub(crate) fn new(shared: Arc<Shared>) -> Identities {
        Identities(Arc::new(Inner { shared, noted: Mutex::default() }))
    }

    /// Finds out which machine this is; one that shows a token that works has it as its identity from now on.
    ///
    /// # Errors
    /// See [`Denied`]. All but the database's are in the audit log, each of one machine at most once an hour, and of so many
    /// strangers.
    pub async fn identify(&self, claim: &Claim) -> Result<Identity, Denied> {
        let found = self.find(claim).await;
        match &found {
            Ok(identity) => self.note_seen(identity, claim).await,
            Err(Denied::Store(error)) => tracing::error!(%error, "a machine can't be identified"),
            Err(denied) => self.note_denied(denied, claim).await,
        }
        found
    }

    /// Whether a machine of this host and name has a token of its own, or had one that was revoked: nobody may take the name by
    /// the host's key.
    ///
    /// # Errors
    /// The database's.
    pub async fn has(&self, host: &str, name: &str) -> Result<bool, StoreError> {
        let mut reader = self.0.shared.ledger.db().read().await?;
        machine_tokens::ever(&mut reader, host, name).await
    }

    async fn find(&self, claim: &Claim) -> Result<Identity, Denied> {
        if claim.secret.len() != DIGITS || !claim.secret.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Denied::Malformed);
        }
        let Claim { name, host, .. } = claim;
        let secret = hashed(&claim.secret);
        let mut reader = self.0.shared.ledger.db().read().await?;
        let known = machine_tokens::by_secret(&mut reader, &secret).await?;
        let token = match (&known, &claim.bootstrap) {
            (Some(_), _) => None,
            (None, None) => return Err(Denied::Unknown { name: name.clone(), host: host.clone() }),
            (None, Some(token)) => {
                let found = machine_tokens::by_bootstrap(&mut reader, &hashed(token)).await?;
                found
                    .map(Some)
                    .ok_or_else(|| Denied::UnknownToken { name: name.clone(), host: host.clone() })?
            }
        };
        drop(reader);
        if let Some(known) = known {
            fits(&known, claim)?;
            return Ok(Identity::new(&known.bootstrap));
        }
        let token = token.ok_or_else(|| Denied::Unknown { name: name.clone(), host: host.clone() })?;
        fits(&token, claim)?;
        self.join(&token, &secret, claim).await
    }

    /// Makes a token the identity of a machine.
    async fn join(&self, token: &MachineTokenRow, secret: &str, claim: &Claim) -> Result<Identity, Denied> {
        let ledger = &self.0.shared.ledger;
        let now = ledger.clock().now();
        let after = transition!(ledger, "machine_join", token.name, |tx| {
            if machine_tokens::join(&mut tx, &token.bootstrap, secret, now).await? {
                let detail = format!("{} from {}", token.host, claim.from);
                let actor = format!("machine {}", token.name);
                audit::append(&mut tx, deed(now, &actor, "machine_join", &token.name, &detail)).await?;
            }
            machine_tokens::by_bootstrap(&mut tx, &token.bootstrap).await?
        })?;
        // As it is now, whoever wrote that: an earlier try of ours whose answer was lost, or somebody who was faster.
        let (name, host) = (token.name.clone(), token.host.clone());
        match after {
            Some(row) if row.revoked.is_some() => Err(Denied::Revoked { name }),
            Some(row) if row.secret.as_deref() == Some(secret) => {
                tracing::info!(machine = name, host, from = claim.from, "a machine has its identity");
                Ok(Identity::new(&row.bootstrap))
            }
            Some(row) if row.secret.is_none() => Err(Denied::Expired { name, host }),
            Some(_) => Err(Denied::Used { name, host }),
            None => Err(Denied::UnknownToken { name, host }),
        }
    }

    /// Notes where a machine is and what. That it is not noted keeps nobody out.
    async fn note_seen(&self, identity: &Identity, claim: &Claim) {
        let ledger = &self.0.shared.ledger;
        let noted = async {
            let mut tx = ledger.db().begin().await?;
            let now = ledger.clock().now();
            machine_tokens::seen(&mut tx, &identity.0, now, &claim.from, &claim.version).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, name = claim.name, "that a machine was seen is not noted");
        }
    }

    async fn note_denied(&self, denied: &Denied, claim: &Claim) {
        let (kind, machine) = denied.kind();
        let ledger = &self.0.shared.ledger;
        let now = ledger.clock().now();
        let whose = match machine {
            "" => Whose::stranger(&claim.from, &claim.name),
            machine => Whose::Machine(machine.to_owned()),
        };
        if !self.0.noted.lock().unwrap_or_else(PoisonError::into_inner).is_due(whose, kind, now) {
            return;
        }
        let detail = format!("{denied} (said to be {} of {}, from {})", claim.name, claim.host, claim.from);
        let target = if machine.is_empty() { claim.name.as_str() } else { machine };
        ledger.note(deed(now, "anonymous", "machine_denied", target, &detail)).await;
    }
}

/// Whether a machine says of itself what its token is bound to.
fn fits(row: &MachineTokenRow, claim: &Claim) -> Result<(), Denied> {
    let name = row.name.clone();
    if row.name != claim.name {
        return Err(Denied::OtherName { name, said: claim.name.clone() });
    }
    if row.host != claim.host {
        return Err(Denied::OtherHost { name, host: row.host.clone(), said: claim.host.clone() });
    }
    if row.revoked.is_some() {
        return Err(Denied::Revoked { name });
    }
    Ok(())
}

fn deed(time: Micros, actor: &str, action: &str, target: &str, detail: &str) -> Deed {
    Deed { time, actor: actor.into(), action: action.into(), target: target.into(), detail: detail.into() }
}
