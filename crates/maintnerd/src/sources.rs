//! How it stands with what the log is made of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// How it stands with one source. Who polls it fills it in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MaintnerSource")]
pub struct SourceState {
    /// What is polled, such as `github.com/golang/go`.
    pub name: String,
    /// What is being done, in some words.
    pub doing: String,
    /// Why it does not go on; none while all is well.
    pub trouble: Option<String>,
    /// What strangers are told of a trouble, whose own words may have paths and addresses of this machine.
    #[serde(skip)]
    pub in_short: &'static str,
    /// Until when all that happened there is in the log.
    #[schemars(with = "Option<String>")]
    pub whole_until: Option<Timestamp>,
    /// When it was looked at last with success.
    #[schemars(with = "Option<String>")]
    pub looked: Option<Timestamp>,
    /// Mutations that came of it since this process began, where they are counted.
    pub mutations: Option<u64>,
    /// What may still be asked of it.
    pub budget: Option<Budget>,
}

impl SourceState {
    /// The same as strangers are told it.
    #[must_use]
    pub fn for_strangers(self) -> Self {
        let short = if self.in_short.is_empty() { "it could not be read" } else { self.in_short };
        Self { trouble: self.trouble.map(|_| short.to_owned()), ..self }
    }
}

/// How much may be asked until a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "MaintnerBudget")]
pub struct Budget {
    /// Requests that are left.
    pub left: u64,
    /// Of so many.
    pub of: u64,
    /// When there are all of them again.
    #[schemars(with = "String")]
    pub anew: Timestamp,
}

/// The states of all sources. Copies share them.
#[derive(Debug, Clone, Default)]
pub struct Sources(Arc<Mutex<BTreeMap<String, SourceState>>>);

impl Sources {
    /// Notes how it stands with a source now.
    pub fn report(&self, state: SourceState) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(state.name.clone(), state);
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<SourceState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}
