//! Time and randomness, as parameters.

use std::sync::Arc;

use store::Micros;

/// Where the coordinator reads the wall clock and draws randomness.
pub trait Clock: Send + Sync + 'static {
    /// Returns the wall clock. It may jump either way.
    fn now(&self) -> Micros;
    /// Fills the buffer with random bytes.
    fn random(&self, buffer: &mut [u8]);
}

/// The clock of the machine, and the operating system's randomness.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Micros {
        Micros::now()
    }

    fn random(&self, buffer: &mut [u8]) {
        // Without randomness no id and no token is safe; nothing sensible can go on.
        getrandom::fill(buffer).expect("invariant: the operating system gives randomness");
    }
}

/// A shared clock.
pub type SharedClock = Arc<dyn Clock>;

/// Makes an id of the clock's time and randomness.
macro_rules! new_id {
    ($id:ty, $clock:expr) => {{
        let clock = &$clock;
        <$id>::new(clock.now(), &mut |buffer: &mut [u8]| clock.random(buffer))
    }};
}
pub(crate) use new_id;
