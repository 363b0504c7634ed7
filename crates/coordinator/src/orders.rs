//! The key with which this server signs what it orders machines to start, and what it has to find in its database as it left
//! it.
//!
//! An agent starts nothing that was not signed for it; and the job of an attempt that a server of before had begun is gone on
//! with only if it was sealed, as a machine stays somebody's only if it was sealed that it is. Whether a queued build is of what has
//! landed, the mirror is asked. No more than that is sealed: whoever can write into the database can still queue what anybody who
//! may order builds could, bring back what somebody held before, and make themselves a token.

use std::sync::Arc;

use buildlet_client::Signer;
use ed25519_dalek::{Signature, Signer as _, SigningKey};
use store::BuildId;
use store::attempts::AttemptRow;
use store::gomotes::GomoteRow;

use crate::clock::SharedClock;
use crate::pool::Address;

/// What the text of a seal begins with: no order passes for one.
const DOMAIN: &str = "bellwether seal 1";
/// What is said of what has no seal, or another's.
pub(crate) const UNSEALED: &str =
    "what the database has of it was not written by this server, or with another order-key than it has now";
/// How many random bytes an order has.
const NONCE: usize = 16;

/// The file of a key holds none.
#[derive(Debug, thiserror::Error)]
#[error("a key of orders is 64 hexadecimal digits: this is none")]
pub struct BadOrderKey;

/// The server's key for orders. Clones share it.
#[derive(Clone)]
pub struct OrderKey {
    key: Arc<SigningKey>,
    /// The key before this one, which machines may know still.
    before: Option<Arc<SigningKey>>,
    /// Whether what has no seal is taken as it is.
    adopts: bool,
}

impl std::fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OrderKey").field(&self.public()).finish()
    }
}

impl OrderKey {
    /// Makes one of 32 random bytes.
    #[must_use]
    pub fn of(random: &[u8; 32]) -> OrderKey {
        OrderKey { key: Arc::new(SigningKey::from_bytes(random)), before: None, adopts: false }
    }

    /// Reads one as [`OrderKey::secret`] writes it.
    ///
    /// # Errors
    /// [`BadOrderKey`].
    pub fn parse(text: &str) -> Result<OrderKey, BadOrderKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| BadOrderKey)?;
        Ok(OrderKey::of(&bytes))
    }

    /// A key that was made just now: what runs was begun by a server that had none, and is gone on with.
    #[must_use]
    pub fn new_here(self) -> OrderKey {
        OrderKey { adopts: true, ..self }
    }

    /// This key after another, which vouches for it to machines that know that one, and has sealed what runs.
    #[must_use]
    pub fn after(self, before: OrderKey) -> OrderKey {
        OrderKey { before: Some(before.key), adopts: false, ..self }
    }

    /// What the key of before says of this one to a machine that obeys `kept`, in hexadecimal digits.
    pub(crate) fn proof(&self, kept: &str) -> Option<String> {
        let before =
            self.before.as_ref().filter(|before| hex::encode(before.verifying_key().to_bytes()) == kept)?;
        let signature = before.sign(&buildlet_client::order::succession(&self.public()));
        Some(hex::encode(signature.to_bytes()))
    }

    /// The secret, in hexadecimal digits.
    #[must_use]
    pub fn secret(&self) -> String {
        hex::encode(self.key.to_bytes())
    }

    /// What machines know it by, in hexadecimal digits.
    #[must_use]
    pub fn public(&self) -> String {
        hex::encode(self.key.verifying_key().to_bytes())
    }

    /// Seals what is written into the database.
    pub(crate) fn seal(&self, what: &impl Sealed) -> String {
        hex::encode(self.key.sign(what.text().as_bytes()).to_bytes())
    }

    /// Whether what the database has is as a server with this key has written it.
    pub(crate) fn holds(&self, what: &impl Sealed, seal: Option<&str>) -> bool {
        let Some(seal) = seal else { return self.adopts };
        let mut bytes = [0; 64];
        if hex::decode_to_slice(seal, &mut bytes).is_err() {
            return false;
        }
        let (text, seal) = (what.text(), Signature::from_bytes(&bytes));
        let mut keys = std::iter::once(&self.key).chain(&self.before);
        keys.any(|key| key.verifying_key().verify_strict(text.as_bytes(), &seal).is_ok())
    }
}

/// What a server has to find in its database as it left it.
pub(crate) trait Sealed {
    /// What is sealed of it: what it leads to, and whose it is; and none of what goes on meanwhile. No other has the same.
    fn text(&self) -> String;
}

impl Sealed for AttemptRow {
    /// None of the ids has an end of a line in it.
    fn text(&self) -> String {
        let AttemptRow { id, build, worker, host, job, .. } = self;
        format!("{DOMAIN}\n{id}\n{build}\n{worker}\n{host}\n{job}")
    }
}

impl Sealed for GomoteRow {
    fn text(&self) -> String {
        let GomoteRow { id, name, owner, repo, builder, worker, host, .. } = self;
        let (id, worker) = (id.to_string(), worker.to_string());
        format!("{DOMAIN} gomote\n{:?}", [&id, name, owner, repo, builder, &worker, host])
    }
}

/// That somebody is to have the machine of a build, if it fails.
pub(crate) struct Wish<'a> {
    pub build: BuildId,
    pub owner: &'a str,
}

impl Sealed for Wish<'_> {
    fn text(&self) -> String {
        format!("{DOMAIN} wish\n{}\n{}", self.build, self.owner)
    }
}

/// As what a machine is named in orders; originals take none.
pub(crate) fn machine(worker: store::WorkerId, address: &Address) -> Option<String> {
    match address {
        Address::Unix { .. } | Address::Tcp { .. } => Some(worker.to_string()),
        Address::Reverse { host, name, .. } => Some(format!("{host}/{name}")),
        Address::Original { .. } => None,
    }
}

/// Signs for clients of machines.
pub(crate) struct Signs {
    pub key: OrderKey,
    pub clock: SharedClock,
}

impl Signer for Signs {
    fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.key.sign(bytes).to_bytes()
    }

    fn nonce(&self) -> String {
        let mut random = [0; NONCE];
        self.clock.random(&mut random);
        hex::encode(random)
    }
}

#[cfg(test)]
mod tests {
    use store::{AttemptId, BuildId, LeaseId, Micros, WorkerId};

    use super::*;

    macro_rules! id {
        ($of:ty, $time:literal) => {
            <$of>::new(Micros($time * 1_000_000), &mut |bytes: &mut [u8]| bytes.fill(0))
        };
    }

    fn attempt() -> AttemptRow {
        AttemptRow {
            id: id!(AttemptId, 1),
            build: id!(BuildId, 2),
            number: 1,
            lease: id!(LeaseId, 3),
            worker: id!(WorkerId, 4),
            host: "h".into(),
            fence: 1,
            state: "leased".into(),
            step: 0,
            outcome: None,
            cause: None,
            job: "{\"steps\":[]}".into(),
            inputs: "{}".into(),
            warnings: "[]".into(),
            started: Micros(1),
            ended: None,
            seal: None,
        }
    }

    #[test]
    fn what_was_not_written_by_this_server_is_seen() {
        let key = OrderKey::of(&[3; 32]);
        let seal = key.seal(&attempt());
        let seal = Some(seal.as_str());
        assert!(key.holds(&attempt(), seal));
        // What goes on changes nothing.
        assert!(key.holds(&AttemptRow { fence: 9, state: "running".into(), step: 2, ..attempt() }, seal));
        for forged in [
            AttemptRow { job: "{\"steps\":[1]}".into(), ..attempt() },
            AttemptRow { id: id!(AttemptId, 9), ..attempt() },
            AttemptRow { build: id!(BuildId, 9), ..attempt() },
            AttemptRow { worker: id!(WorkerId, 9), ..attempt() },
            AttemptRow { host: "i".into(), ..attempt() },
        ] {
            assert!(!key.holds(&forged, seal), "{forged:?}");
        }
        for forged in [None, Some("00"), Some(OrderKey::of(&[4; 32]).seal(&attempt()).as_str())] {
            assert!(!key.holds(&attempt(), forged), "{forged:?}");
        }
        let later = OrderKey::of(&[5; 32]).new_here().after(key.clone());
        assert!(later.holds(&attempt(), seal) && !later.holds(&attempt(), None));
        let new = key.new_here();
        assert!(new.holds(&attempt(), None) && !new.holds(&attempt(), Some("00")));
    }

    #[test]
    fn nobody_takes_over_what_somebody_else_holds() {
        let key = OrderKey::of(&[3; 32]);
        let row = GomoteRow {
            id: id!(BuildId, 1),
            name: "ada-b-0".into(),
            owner: "ada".into(),
            repo: String::new(),
            builder: "b".into(),
            worker: id!(WorkerId, 2),
            host: "h".into(),
            created: Micros(1),
            expires: Micros(2),
            seal: None,
        };
        let seal = key.seal(&row);
        let holds = |row: &GomoteRow| key.holds(row, Some(&seal));
        assert!(holds(&row) && holds(&GomoteRow { expires: Micros(9), ..row.clone() }));
        for forged in [
            GomoteRow { id: id!(BuildId, 9), ..row.clone() },
            GomoteRow { name: "x".into(), ..row.clone() },
            GomoteRow { owner: "eve".into(), ..row.clone() },
            GomoteRow { repo: "r".into(), ..row.clone() },
            GomoteRow { builder: "c".into(), ..row.clone() },
            GomoteRow { worker: id!(WorkerId, 9), ..row.clone() },
            GomoteRow { host: "i".into(), ..row.clone() },
            // What is one field's and what the next one's.
            GomoteRow { builder: "b\", \"h".into(), host: String::new(), ..row.clone() },
        ] {
            assert!(!holds(&forged), "{forged:?}");
        }
        let (build, owner) = (id!(BuildId, 1), "ada");
        let seal = key.seal(&Wish { build, owner });
        assert!(key.holds(&Wish { build, owner }, Some(&seal)));
        assert!(!key.holds(&Wish { build, owner: "eve" }, Some(&seal)));
        assert!(!key.holds(&Wish { build: id!(BuildId, 9), owner }, Some(&seal)));
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let key = OrderKey::of(&[3; 32]);
        assert_eq!(OrderKey::parse(&format!("{}\n", key.secret())).unwrap().public(), key.public());
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(66)] {
            assert!(OrderKey::parse(bad).is_err(), "{bad}");
        }
    }
}
