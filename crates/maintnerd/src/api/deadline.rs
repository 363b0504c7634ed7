//! How long an answer may take.

use std::time::{Duration, Instant};

/// Until when somebody waits for an answer.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Instant);

/// It took longer than whoever asked waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer took too long")]
pub struct Late;

impl Deadline {
    /// In so long from now.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// Looks whether it is over.
    ///
    /// # Errors
    /// If it is.
    pub fn check(&self) -> Result<(), Late> {
        if Instant::now() < self.0 { Ok(()) } else { Err(Late) }
    }
}
