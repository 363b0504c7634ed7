//! The wall clock, as a parameter.

use jiff::Timestamp;

/// Where the wall clock is read. Waits go by tokio's time.
pub trait Clock: Send + Sync + 'static {
    /// Returns the time of day. It may jump either way.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
