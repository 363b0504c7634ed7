//! The values of secrets, and what a job's redactor looks for; tells whether a job's secrets still have the values that it
//! was given, without keeping them.
//!
//! What a job that runs prints is redacted by the values that the job has. A coordinator that takes it over knows today's
//! values only; where one of them has changed, it would store the old one as it is printed. So a proof of the values is
//! kept with the attempt: their digest, salted, and iterated so often that guessing a value from it is no easier than
//! guessing it anywhere else.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::job::Job;
use crate::redact::Secrets;

/// How often the digest is taken: some ten milliseconds.
const ROUNDS: u32 = 100_000;
/// How many proofs are remembered.
const REMEMBERED: usize = 1000;

/// How many compiled sets of secrets are kept.
const COMPILED: usize = 8;

/// Variables with values of secrets.
pub(crate) type Values = Vec<(String, String)>;

/// The values of secrets.
pub struct Vault {
    values: BTreeMap<String, String>,
    salt: String,
    proofs: Mutex<HashMap<[u8; 32], String>>,
    compiled: Mutex<Vec<(Values, Arc<Secrets>)>>,
}

impl Vault {
    /// Takes values by the names of their secrets; draws a salt.
    pub fn new(values: BTreeMap<String, String>, clock: &dyn Clock) -> Vault {
        let mut salt = [0; 16];
        clock.random(&mut salt);
        Vault { values, salt: hex::encode(salt), proofs: Mutex::default(), compiled: Mutex::default() }
    }

    /// The variables of a job that hold secrets. A secret without a value here is left out.
    pub(crate) fn of(&self, job: &Job) -> Values {
        let used = job.secrets.iter();
        used.filter_map(|used| Some((used.variable.clone(), self.values.get(&used.name)?.clone()))).collect()
    }

    /// What a redactor looks for; compiling a key file takes some ten milliseconds, so the latest are kept.
    pub(crate) fn compiled(&self, values: &Values) -> Arc<Secrets> {
        if values.is_empty() {
            return Arc::default();
        }
        if let Some((_, known)) = locked(&self.compiled).iter().find(|(known, _)| known == values) {
            return Arc::clone(known);
        }
        let new = Arc::new(Secrets::new(values.iter().map(|(_, value)| value.as_str())));
        let mut kept = locked(&self.compiled);
        kept.truncate(COMPILED - 1);
        kept.insert(0, (values.clone(), Arc::clone(&new)));
        new
    }

    /// A proof of these values; none of none.
    pub(crate) async fn prove(&self, values: &Values) -> Option<String> {
        match values.is_empty() {
            true => None,
            false => Some(self.salted(&self.salt, values).await),
        }
    }

    /// Whether a proof is one of these values.
    pub(crate) async fn holds(&self, proof: Option<&str>, values: &Values) -> bool {
        match proof.map(|proof| proof.split_once(':')) {
            None => values.is_empty(),
            Some(None) => false,
            Some(Some((salt, _))) => proof == Some(self.salted(salt, values).await.as_str()),
        }
    }

    async fn salted(&self, salt: &str, values: &Values) -> String {
        let mut digest = Sha256::new_with_prefix(salt);
        for text in values.iter().flat_map(|(name, value)| [name, value]) {
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
        let first: [u8; 32] = digest.finalize().into();
        if let Some(known) = locked(&self.proofs).get(&first) {
            return known.clone();
        }
        let last = tokio::task::spawn_blocking(move || {
            (0..ROUNDS).fold(first, |before, _| Sha256::digest(before).into())
        });
        // Without a thread nothing is proven, which is as if the values had changed.
        let Ok(last) = last.await else { return String::new() };
        let proof = format!("{salt}:{}", hex::encode(last));
        let mut made = locked(&self.proofs);
        if made.len() >= REMEMBERED {
            made.clear();
        }
        made.insert(first, proof.clone());
        proof
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_proof_holds_for_the_same_values_only() {
        let of = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        let (before, after) = [(); 2].map(|()| Vault::new(BTreeMap::new(), &SystemClock)).into();
        let proof = before.prove(&of("TOKEN", "hunter22")).await;
        assert!(!proof.as_deref().unwrap().contains("hunter22"));
        assert!(after.holds(proof.as_deref(), &of("TOKEN", "hunter22")).await);
        for other in [of("TOKEN", "hunter23"), of("TOKE", "Nhunter22"), Vec::new()] {
            assert!(!after.holds(proof.as_deref(), &other).await, "{other:?}");
        }
        assert_eq!(before.prove(&Vec::new()).await, None);
        assert!(after.holds(None, &Vec::new()).await);
        assert!(!after.holds(None, &of("TOKEN", "hunter22")).await, "as it was before there were proofs");
    }
}
